//! Text of scripts and servers within Markdown: nothing of it is read as markup, a mention or a link.

/// Text that stands for itself, on one line.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() + 8);
    for character in raw.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An empty comment keeps `@name` from calling somebody, and `#1` or an address from being linked.
            '@' | '#' => {
                out.push(character);
                out.push_str("<!-- -->");
            }
            ':' => out.push_str(":<!-- -->"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '$' | '!' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    // A colon that no address follows needs none, and reads better without.
    out.replace(":<!-- --> ", ": ").trim_end_matches("<!-- -->").to_owned()
}

/// A span of code.
pub(super) fn code(raw: &str) -> String {
    let line = raw.replace(['\n', '\r'], " ");
    let fence = "`".repeat(longest_run(&line) + 1);
    if line.starts_with('`') || line.ends_with('`') || line.trim().is_empty() {
        format!("{fence} {line} {fence}")
    } else {
        format!("{fence}{line}{fence}")
    }
}

/// A block of code.
pub(super) fn fenced(raw: &str, language: &str) -> String {
    let fence = "`".repeat(longest_run(raw).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", raw.trim_end_matches('\n'))
}

/// How many backticks stand together at most.
fn longest_run(raw: &str) -> usize {
    raw.split(|character| character != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        assert_eq!(text("a_b *c* <img> @you #1"), "a\\_b \\*c\\* &lt;img&gt; @<!-- -->you #<!-- -->1");
        assert_eq!(text("because: x"), "because: x");
        assert!(!text("https://example.org").contains("https://"));
        assert_eq!(text("a\n| b"), "a \\| b");
    }

    #[test]
    fn code_keeps_its_backticks() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a `b` c"), "``a `b` c``");
        assert_eq!(code("`b`"), "`` `b` ``");
        assert_eq!(fenced("x\n```\ny\n", "sql"), "````sql\nx\n```\ny\n````");
    }
}
