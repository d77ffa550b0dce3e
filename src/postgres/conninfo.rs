//! A connection string as libpq takes it (PostgreSQL manual, 34.1.1), with its secrets taken out.
//!
//! libpq itself is who connects, so that everything it knows (services, `~/.pgpass`, TLS, Kerberos, several
//! hosts) is left to it. Only what must not stand on a command line, and what makes the session read-only, is
//! thirdrun's business.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::identifiers::Secret;

/// A connection string that can be shown.
#[derive(Debug, Clone)]
pub struct Conninfo {
    form: Form,
    /// The password that stood in it.
    pub password: Option<Secret>,
    options: Option<String>,
}

#[derive(Debug, Clone)]
enum Form {
    /// Without its query part, and that in pieces, still encoded.
    Uri(String, Vec<String>),
    /// Keys and values.
    Pairs(Vec<(String, String)>),
}

/// Why a connection string is refused before anybody connects.
#[derive(Debug, thiserror::Error)]
pub enum ConninfoError {
    /// It is the URL of something else.
    #[error("'{0}://' is not the scheme of a PostgreSQL server")]
    Scheme(String),
    /// It cannot be read.
    #[error("the connection string {0}")]
    Syntax(&'static str),
    /// A secret that libpq takes in no other way.
    #[error("sslpassword would show in the process list")]
    KeyPassword,
}

impl Conninfo {
    /// Reads what psql's `-d` takes: a URI, keywords and values, or the name of a database.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, ConninfoError> {
        let mut password = None;
        let mut form = match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => {
                let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
                let (address, found) = without_password(address);
                password = found;
                let scheme = text.get(..text.len() - rest.len()).unwrap_or_default();
                let query = query.split('&').filter(|piece| !piece.is_empty()).map(str::to_owned);
                Form::Uri(format!("{scheme}{address}"), query.collect())
            }
            Some((scheme, _)) if !scheme.contains(['=', ' ']) => {
                return Err(ConninfoError::Scheme(scheme.to_owned()));
            }
            _ if text.contains('=') => Form::Pairs(pairs(text)?),
            _ => Form::Pairs(vec![("dbname".to_owned(), text.to_owned())]),
        };
        if form.take("sslpassword").is_some() {
            return Err(ConninfoError::KeyPassword);
        }
        let password = form.take("password").or(password).map(Secret::new);
        let options = form.take("options");
        Ok(Self { form, password, options })
    }

    /// It without its secrets and options.
    pub fn shown(&self) -> String {
        self.form.render(None)
    }

    /// It without its secrets, for sessions that begin with these options (PostgreSQL manual, 34.1.2) after those
    /// that it or `PGOPTIONS` has.
    pub fn with_options(&self, options: &str) -> String {
        let inherited = self.options.clone().or_else(|| std::env::var("PGOPTIONS").ok());
        let all = format!("{} {options}", inherited.unwrap_or_default());
        self.form.render(Some(all.trim()))
    }
}

/// A connection string as some object of a database keeps it, with another password; none where it has none. Of one
/// that cannot be read nothing is kept.
pub(crate) fn masked_by(text: &str, instead: &mut dyn FnMut(&str) -> String) -> Option<String> {
    let Ok(known) = Conninfo::parse(text) else {
        return Some(instead(text));
    };
    let password = instead(known.password.as_ref()?.reveal());
    let options = known.options.as_deref();
    Some(match &known.form {
        Form::Uri(address, query) => {
            let mut query = query.clone();
            query.push(format!("password={password}"));
            Form::Uri(address.clone(), query).render(options)
        }
        Form::Pairs(pairs) => {
            let mut pairs = pairs.clone();
            pairs.push(("password".to_owned(), password));
            Form::Pairs(pairs).render(options)
        }
    })
}

impl Form {
    /// Takes every value of a key out, and returns the last, which is the one that counts.
    fn take(&mut self, key: &str) -> Option<String> {
        let mut taken = None;
        match self {
            Self::Uri(_, query) => query.retain(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                let is = decoded(name) == key;
                if is {
                    taken = Some(decoded(value));
                }
                !is
            }),
            Self::Pairs(pairs) => pairs.retain(|(name, value)| {
                let is = name == key;
                if is {
                    taken = Some(value.clone());
                }
                !is
            }),
        }
        taken
    }

    fn render(&self, options: Option<&str>) -> String {
        match self {
            Self::Uri(address, query) => {
                let options = options.map(|options| format!("options={}", encoded(options)));
                let query: Vec<_> = query.iter().cloned().chain(options).collect();
                if query.is_empty() { address.clone() } else { format!("{address}?{}", query.join("&")) }
            }
            Self::Pairs(pairs) => {
                let options = options.map(|options| ("options".to_owned(), options.to_owned()));
                let quote = |(key, value): &(String, String)| {
                    let plain = !value.is_empty() && !value.contains(['\'', '\\', ' ', '\t', '\n', '\r']);
                    if plain {
                        format!("{key}={value}")
                    } else {
                        format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
                    }
                };
                pairs.iter().chain(options.iter()).map(quote).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// The part of a URI between its scheme and its query, without the password of the user.
fn without_password(address: &str) -> (String, Option<String>) {
    // Up to the first of these, as libpq looks for it.
    let end =
        address.find(['@', '/']).filter(|at| address.get(*at..).is_some_and(|rest| rest.starts_with('@')));
    let Some((user, rest)) = end.and_then(|end| address.split_at_checked(end)) else {
        return (address.to_owned(), None);
    };
    match user.split_once(':') {
        Some((user, password)) => {
            (format!("{user}{rest}"), Some(decoded(password)).filter(|text| !text.is_empty()))
        }
        None => (address.to_owned(), None),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Keywords and values (PostgreSQL manual, 34.1.1.1).
fn pairs(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    let blank = |c: &char| c.is_ascii_whitespace();
    loop {
        while chars.next_if(blank).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
            key.push(c);
        }
        while chars.next_if(blank).is_some() {}
        if chars.next() != Some('=') {
            return Err(ConninfoError::Syntax("has a keyword without a value"));
        }
        while chars.next_if(blank).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_ascii_whitespace() => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) => value.push(c),
                None if quoted => return Err(ConninfoError::Syntax("has a quote that never ends")),
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>) {
        let conninfo = Conninfo::parse(text).unwrap();
        (conninfo.shown(), conninfo.password.map(|secret| secret.reveal().to_owned()))
    }

    #[test]
    fn a_password_is_taken_out_of_every_form() {
        for (text, shown, password) in [
            ("postgres://u:p%40w@h:1/d?sslmode=require", "postgres://u@h:1/d?sslmode=require", Some("p@w")),
            ("postgresql://u@[::1],h2/d?password=x&a=b", "postgresql://u@[::1],h2/d?a=b", Some("x")),
            ("postgres:///d?host=%2Ftmp", "postgres:///d?host=%2Ftmp", None),
            ("postgres://u:@h/d", "postgres://u@h/d", None),
            ("postgres://h/a@b", "postgres://h/a@b", None),
            ("host = h password='a\\'b c' user=u", "host=h user=u", Some("a'b c")),
            ("host='' dbname='a b'", "host='' dbname='a b'", None),
            ("shop", "dbname=shop", None),
        ] {
            assert_eq!(read(text), (shown.to_owned(), password.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn options_come_after_those_that_are_there() {
        let uri = Conninfo::parse("postgres://h/d?options=-c%20a%3D1").unwrap();
        assert_eq!(uri.with_options("-c b=2"), "postgres://h/d?options=%2Dc%20a%3D1%20%2Dc%20b%3D2");
        let pairs = Conninfo::parse("host=h options='-c a=1'").unwrap();
        assert_eq!(pairs.with_options("-c b=2"), "host=h options='-c a=1 -c b=2'");
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        assert!(matches!(Conninfo::parse("mysql://h/d"), Err(ConninfoError::Scheme(_))));
        assert!(matches!(Conninfo::parse("host=h dbname"), Err(ConninfoError::Syntax(_))));
        assert!(matches!(Conninfo::parse("host='h"), Err(ConninfoError::Syntax(_))));
        assert!(matches!(Conninfo::parse("sslpassword=x"), Err(ConninfoError::KeyPassword)));
    }

    #[test]
    fn a_kept_connection_string_gets_another_password() {
        let masked = |text: &str, mask: &str| masked_by(text, &mut |_| mask.to_owned());
        assert_eq!(masked("host=h password=s", "masked").as_deref(), Some("host=h password=masked"));
        assert_eq!(
            masked("postgres://u:s@h/d", "masked").as_deref(),
            Some("postgres://u@h/d?password=masked")
        );
        assert_eq!(masked("host=h", "masked"), None);
    }
}
