//! Parses expressions as the server deparses them (`pg_get_expr`), as far as rows can be made to fit them.

mod parser;
mod tokens;

use std::sync::Arc;

use super::pattern::Pattern;
use tokens::Token;

/// An expression without its casts and collations.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// An operator between two expressions.
    Binary(String, Box<Expr>, Box<Expr>),
    /// Whether a text matches a pattern; `false`: whether it does not.
    Match(Box<Expr>, Arc<Pattern>, bool),
    /// `left op ANY (list)`; `true` stands for ALL.
    Any(String, Box<Expr>, Vec<Expr>, bool),
    /// `true`: IS NOT NULL.
    IsNull(Box<Expr>, bool),
    Call(String, Vec<Expr>),
    Array(Vec<Expr>),
    Column(String),
    /// A constant as text.
    Constant(String),
    Bool(bool),
    Null,
    /// Whatever was not understood.
    Other,
}

/// Reads one expression.
pub(super) fn parse(text: &str) -> Expr {
    parser::Parser::read(&tokens::split(text)).unwrap_or(Expr::Other)
}

/// The identifiers that an expression, or a list of them, contains.
pub(super) fn identifiers(text: &str) -> Vec<String> {
    tokens::split(text)
        .into_iter()
        .filter_map(|token| match token {
            Token::Name(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// The texts and numbers that an expression contains.
pub(super) fn literals(text: &str) -> Vec<String> {
    tokens::split(text)
        .into_iter()
        .filter_map(|token| match token {
            Token::Text(text) | Token::Number(text) => Some(text),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Box<Expr> {
        Box::new(Expr::Column(name.to_owned()))
    }

    fn constant(text: &str) -> Expr {
        Expr::Constant(text.to_owned())
    }

    #[test]
    fn deparsed_checks_are_understood() {
        assert_eq!(
            parse("((price >= (0)::numeric) AND (price < '99.5'::numeric))"),
            Expr::And(vec![
                Expr::Binary(">=".into(), column("price"), Box::new(constant("0"))),
                Expr::Binary("<".into(), column("price"), Box::new(constant("99.5"))),
            ])
        );
        assert_eq!(
            parse(
                "((status)::text = ANY ((ARRAY['a'::character varying, 'it''s'::character varying])::text[]))"
            ),
            Expr::Any("=".into(), column("status"), vec![constant("a"), constant("it's")], false)
        );
        assert_eq!(
            parse("(length(TRIM(BOTH FROM name)) > 0)"),
            Expr::Binary(
                ">".into(),
                Box::new(Expr::Call(
                    "length".into(),
                    vec![Expr::Call("btrim".into(), vec![*column("name")])]
                )),
                Box::new(constant("0"))
            )
        );
        assert_eq!(
            parse("(t > '2024-01-01 00:00:00+00'::timestamp with time zone)"),
            Expr::Binary(">".into(), column("t"), Box::new(constant("2024-01-01 00:00:00+00")))
        );
        assert_eq!(
            parse("((a IS NULL) OR (NOT (b IS NOT NULL)))"),
            Expr::Or(vec![
                Expr::IsNull(column("a"), false),
                Expr::Not(Box::new(Expr::IsNull(column("b"), true)))
            ])
        );
    }

    #[test]
    fn operators_with_a_schema_and_cases_are_understood() {
        assert_eq!(
            parse("(mail OPERATOR(public.~) 'x'::public.citext)"),
            Expr::Match(column("mail"), Arc::new(Pattern::of("~", "x").unwrap()), true)
        );
        assert_eq!(
            parse("CASE WHEN a THEN b ELSE c END"),
            Expr::Or(vec![
                Expr::And(vec![*column("a"), *column("b")]),
                Expr::And(vec![Expr::Not(column("a")), *column("c")]),
            ])
        );
    }

    #[test]
    fn what_is_not_understood_is_other() {
        assert_eq!(parse("a ) b"), Expr::Other);
        assert_eq!(parse("CASE a WHEN 1 THEN true ELSE false END"), Expr::Other);
    }

    #[test]
    fn what_is_too_deep_or_grows_without_end_is_other() {
        let nested = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        let chain = format!("a{}", " + 1".repeat(100_000));
        let not = format!("{}a", "NOT ".repeat(100_000));
        let minus = format!("{}1", "- ".repeat(100_000));
        // Each has the one before it in it more than once.
        let case = (0..40).fold("a".to_owned(), |case, _| format!("CASE WHEN {case} THEN b ELSE c END"));
        let lists = format!("a{}", " ~ ANY (ARRAY['x', 'y', 'z'])".repeat(40));
        for text in [nested, chain, not, minus, case, lists] {
            assert_eq!(parse(&text), Expr::Other);
        }
    }

    #[test]
    fn identifiers_of_a_list_of_expressions_are_found() {
        assert_eq!(identifiers("lower(email), \"Odd \"\"Name\""), ["lower", "email", "Odd \"Name"]);
    }
}
