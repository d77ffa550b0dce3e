//! Readers of renderings: whether a value has broken out of its place.

const TAGS: [&str; 43] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "p",
    "h1",
    "h2",
    "h3",
    "nav",
    "ul",
    "ol",
    "li",
    "a",
    "b",
    "main",
    "article",
    "section",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "code",
    "pre",
    "br",
    "figure",
    "figcaption",
    "i",
    "details",
    "summary",
    "footer",
    "sub",
    "em",
    "strong",
    "small",
    "dl",
    "dd",
];
const ATTRIBUTES: [&str; 15] = [
    "lang",
    "charset",
    "name",
    "content",
    "http-equiv",
    "class",
    "href",
    "id",
    "tabindex",
    "role",
    "aria-label",
    "scope",
    "start",
    "style",
    "title",
];
const BARE: [&str; 1] = ["open"];
const VOID: [&str; 2] = ["meta", "br"];

/// Panics unless a page is made of the tags and attributes that thirdrun's pages have, each closed in its turn.
pub fn page(text: &str) {
    let mut rest = text.strip_prefix("<!DOCTYPE html>").expect("a page of HTML");
    let mut open: Vec<&str> = Vec::new();
    while let Some(at) = rest.find(['<', '>']) {
        assert!(rest[at..].starts_with('<'), "a bare > after {:?}", tail(&rest[..at]));
        assert!(!rest[..at].contains('"') || open.last() == Some(&"style"), "a bare quotation mark");
        rest = &rest[at + 1..];
        if let Some(closing) = rest.strip_prefix('/') {
            let (name, after) = closing.split_once('>').expect("a tag that ends");
            assert_eq!(open.pop(), Some(name), "a tag that was not open");
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).expect("a tag that ends");
        let name = &rest[..end];
        assert!(TAGS.contains(&name), "an unknown tag {name:?}");
        rest = attributes(&rest[end..]);
        if name == "style" {
            let (_, after) = rest.split_once("</style>").expect("a style that ends");
            rest = after;
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are never closed");
}

/// Passes the attributes of a tag and its end.
fn attributes(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return after;
        }
        let end = rest.find(['=', '>', ' ']).expect("a tag that ends");
        let name = &rest[..end];
        if BARE.contains(&name) {
            rest = &rest[end..];
            continue;
        }
        assert!(ATTRIBUTES.contains(&name), "an unknown attribute {name:?}");
        let value = rest[end..].strip_prefix("=\"").expect("a quoted value");
        let (value, after) = value.split_once('"').expect("a value that ends");
        assert!(!value.contains(['<', '>']), "a bare bracket in {value:?}");
        if name == "href" {
            assert!(value.starts_with("#script-"), "a link that leads away: {value:?}");
        }
        rest = after;
    }
}

fn tail(text: &str) -> &str {
    let mut at = text.len().saturating_sub(40);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    &text[at..]
}

/// Panics if Markdown has HTML of its own outside of code, but for what thirdrun writes.
pub fn markdown(text: &str) {
    const KNOWN: [&str; 8] =
        ["details>", "/details>", "summary>", "/summary>", "sub>", "/sub>", "!-- -->", "br>"];
    let mut lines = text.lines();
    let mut plain = String::new();
    while let Some(line) = lines.next() {
        let fence = line.len() - line.trim_start_matches('`').len();
        if fence >= 3 && !line[fence..].contains('`') {
            let ends = |line: &str| {
                let run = line.trim_start_matches('`');
                line.len() - run.len() >= fence && run.trim().is_empty()
            };
            assert!(lines.by_ref().any(ends), "a fence that never ends");
        } else {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    let mut rest = plain.as_str();
    while let Some(at) = rest.find(['`', '<', '\\']) {
        let here = &rest[at..];
        rest = if let Some(escaped) = here.strip_prefix('\\') {
            let mut chars = escaped.chars();
            chars.next();
            chars.as_str()
        } else if let Some(tag) = here.strip_prefix('<') {
            assert!(
                KNOWN.iter().any(|known| tag.starts_with(known)),
                "HTML in Markdown: {:?}",
                tail(&plain[..plain.len() - tag.len()])
            );
            tag
        } else {
            let run = here.len() - here.trim_start_matches('`').len();
            let mut inner = &here[run..];
            loop {
                let next = inner.find('`').expect("a span of code that ends");
                let length = inner[next..].len() - inner[next..].trim_start_matches('`').len();
                inner = &inner[next + length..];
                if length == run {
                    break inner;
                }
            }
        };
    }
}
