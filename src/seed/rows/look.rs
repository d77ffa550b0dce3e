//! What the name of a column says of its values.

/// What a text or a number is about, as far as its column's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Email,
    Url,
    Host,
    Ip,
    Mac,
    Phone,
    Uuid,
    /// So many hexadecimal digits.
    Hex(usize),
    Json,
    Login,
    FirstName,
    LastName,
    FullName,
    Company,
    Job,
    City,
    Country,
    Currency,
    State,
    Street,
    Zip,
    TimeZone,
    Language,
    Colour,
    UserAgent,
    MimeType,
    File,
    Status,
    Title,
    Sentence,
    Name,
    Word,
}

/// Parts of names, the more telling ones first.
const PARTS: &[(Look, &[&str])] = &[
    (Look::Email, &["email", "e_mail", "mailto"]),
    (Look::UserAgent, &["user_agent", "useragent"]),
    (Look::MimeType, &["mime_type", "mimetype", "content_type"]),
    (Look::TimeZone, &["timezone", "time_zone"]),
    (Look::Url, &["url", "website", "webhook", "homepage"]),
    (Look::Phone, &["phone", "mobile", "fax"]),
    (Look::Uuid, &["uuid", "guid"]),
    (Look::Hex(64), &["sha256", "checksum", "digest", "token", "secret", "api_key"]),
    (Look::Hex(40), &["sha1"]),
    (Look::Hex(32), &["md5"]),
    (Look::Login, &["login", "username", "user_name", "nickname"]),
    (Look::FirstName, &["first_name", "firstname", "given_name", "givenname"]),
    (Look::LastName, &["last_name", "lastname", "surname", "family_name"]),
    (Look::Company, &["company", "employer", "vendor", "supplier", "manufacturer"]),
    (Look::Job, &["job_title", "jobtitle", "profession"]),
    (
        Look::FullName,
        &["full_name", "fullname", "realname", "real_name", "customer_name", "author", "person"],
    ),
    (Look::Country, &["country"]),
    (Look::Currency, &["currency"]),
    (Look::Zip, &["postal", "postcode", "zipcode"]),
    (Look::Street, &["street", "address"]),
    (Look::Host, &["hostname", "domain"]),
    (Look::Language, &["locale", "language"]),
    (Look::Colour, &["colour", "color"]),
    (Look::File, &["filename", "file_name", "filepath", "file_path"]),
    (Look::Sentence, &["description", "comment", "message", "content", "summary", "remark", "reason"]),
    (Look::Title, &["title", "subject", "headline"]),
];

/// Names, or words of names that underscores divide.
const WORDS: &[(Look, &[&str])] = &[
    (Look::Url, &["uri", "link", "href"]),
    (Look::Host, &["host", "server"]),
    (Look::Ip, &["ip", "ipaddr", "ipaddress", "inet"]),
    (Look::Mac, &["mac", "macaddr", "macaddress"]),
    (Look::Phone, &["tel", "cell"]),
    (Look::Hex(64), &["sha", "hash"]),
    (Look::Json, &["json"]),
    (Look::City, &["city", "town"]),
    (Look::Status, &["status", "state", "phase"]),
    (Look::State, &["province", "region"]),
    (Look::Zip, &["zip"]),
    (Look::Language, &["lang"]),
    (Look::TimeZone, &["tz"]),
    (Look::FullName, &["contact", "owner"]),
    (Look::File, &["path", "file"]),
    (Look::Sentence, &["note", "notes", "body", "text", "bio", "about"]),
    (Look::Name, &["name", "label"]),
];

impl Look {
    /// What a name says.
    pub(super) fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        let is = |wanted: &str| name.split(['_', '-', '.', ' ']).any(|word| word == wanted);
        // `ip_address` is no street.
        if is("ip") || is("mac") {
            return if is("ip") { Self::Ip } else { Self::Mac };
        }
        let part = PARTS.iter().find(|(_, parts)| parts.iter().any(|part| name.contains(part)));
        let word = || WORDS.iter().find(|(_, words)| words.iter().any(|word| is(word)));
        part.or_else(word).map_or(Self::Word, |(look, _)| *look)
    }
}

/// The numbers that columns of this name usually hold, in whole units.
pub(super) fn range(name: &str) -> Option<(i64, i64)> {
    let name = name.to_lowercase();
    // As a word of its own, at the beginning or at the end.
    let is = |word: &str| {
        name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            || name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
    };
    Some(if is("age") {
        (18, 90)
    } else if is("year") {
        (2000, 2024)
    } else if is("month") {
        (1, 12)
    } else if is("day") || is("hour") {
        (1, 23)
    } else if is("lat") || is("latitude") || is("lon") || is("lng") || is("longitude") {
        (1, 89)
    } else if is("quantity") || is("qty") || is("count") || is("position") || is("priority") {
        (1, 20)
    } else if is("percent") || is("percentage") || is("pct") || is("rate") || is("discount") {
        (1, 100)
    } else if is("rating") || is("stars") || is("score") {
        (1, 5)
    } else if is("port") {
        (1024, 65_535)
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        for (name, look) in [
            ("contact_email", Look::Email),
            ("homepage_url", Look::Url),
            ("ip_address", Look::Ip),
            ("ShippingAddress", Look::Street),
            ("order_status", Look::Status),
            ("country_code", Look::Country),
            ("zip", Look::Zip),
            ("display_name", Look::Name),
            ("description", Look::Sentence),
            ("sku", Look::Word),
        ] {
            assert_eq!(Look::of(name), look, "{name}");
        }
        assert_eq!(range("birth_year"), Some((2000, 2024)));
        assert_eq!(range("message"), None);
    }
}
