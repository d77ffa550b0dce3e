//! Cuts the text of one query message into its statements, as the server does.

use std::ops::Range;

use super::Cutter;

/// The places of the statements of a query string, without semicolons and without the comments before them.
/// `escapes`: `standard_conforming_strings` is off. What never ends is one statement: the server refuses the
/// whole text for it.
pub fn statements(text: &str, escapes: bool) -> Vec<Range<usize>> {
    let mut cutter = Cutter { text, at: 0, line: 1, escapes, server: true };
    let mut places = Vec::new();
    loop {
        let before = cutter.at;
        if cutter.skip_blank().is_err() {
            places.push(before..text.len());
            return places;
        }
        match cutter.peek(0) {
            None => return places,
            Some(b';') => cutter.advance(1),
            Some(_) => {
                let start = cutter.at;
                match cutter.pass_statement() {
                    Ok(Some(end)) => {
                        let statement = text.get(start..end).unwrap_or_default();
                        places.push(start..start + statement.trim_ascii_end().len());
                    }
                    Ok(None) | Err(_) => {
                        places.push(start..text.len());
                        return places;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, escapes: bool) -> Vec<&str> {
        statements(text, escapes).into_iter().map(|place| &text[place]).collect()
    }

    #[test]
    fn a_query_string_is_cut_as_the_server_cuts_it() {
        assert_eq!(cut("a; b ;;-- c;\n d", false), ["a", "b", "d"]);
        assert_eq!(cut(" ; -- nothing;\n/* ; */", false), Vec::<&str>::new());
        assert_eq!(cut("SELECT '\\'; COPY t FROM stdin; x \\ y", false).len(), 3);
        assert_eq!(cut("SELECT '\\'; SELECT '", true), ["SELECT '\\'; SELECT '"]);
        assert_eq!(
            cut("DO $$ a; b $$; CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", false).len(),
            2
        );
        assert_eq!(cut("SELECT 1; SELECT 'never; SELECT 3", false), ["SELECT 1", "SELECT 'never; SELECT 3"]);
        assert_eq!(cut("SELECT 1; /* never", false), ["SELECT 1", " /* never"]);
    }
}
