//! The sections of a plain dump: pg_dump writes a comment above each object that it dumps
//! (`_printTocEntry` in its `pg_backup_archiver.c`), by which objects are left out of it here.

use std::collections::HashSet;

/// An object as pg_dump's comment names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
pub(super) struct Object {
    /// Its schema; `-` for what is in none.
    pub(super) schema: String,
    /// Its name, with the table's before it for what belongs to one, and argument types for a routine.
    pub(super) name: String,
}

impl Object {
    /// Its schema and its name.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.schema, &self.name)
    }
}

/// Leaves the sections of some objects out, with the comments and privileges that belong to them.
pub(super) fn without(dump: &str, objects: &[Object]) -> String {
    let objects: Vec<(&str, &str)> = objects.iter().map(Object::place).collect();
    without_named(dump, &objects)
}

/// The same of objects by their schemas and names.
pub(crate) fn without_named(dump: &str, objects: &[(&str, &str)]) -> String {
    let objects: HashSet<(&str, &str)> = objects.iter().copied().collect();
    let mut text = String::with_capacity(dump.len());
    let mut kept = true;
    let mut lines = dump.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if line.trim_end() == "--"
            && let Some(header) = lines.peek().and_then(|line| line.strip_prefix("-- Name: "))
        {
            kept = !is_of(header.trim_end(), &objects);
        } else if !kept
            && (line.starts_with("\\unrestrict") || line.starts_with("-- PostgreSQL database dump"))
        {
            // The end of the last section.
            kept = true;
        }
        // These stand at the end of one section and are for the next.
        if kept || line.starts_with("SET default_table") {
            text.push_str(line);
        }
    }
    text
}

/// Whether a header, from after `Name: `, is of one of the objects: `orders touch; Type: TRIGGER; Schema: sales; …`.
fn is_of(header: &str, objects: &HashSet<(&str, &str)>) -> bool {
    let Some((name, rest)) = header.split_once("; Type: ") else {
        return false;
    };
    let Some((kind, rest)) = rest.split_once("; Schema: ") else {
        return false;
    };
    let schema = rest.split_once("; Owner: ").map_or(rest, |(schema, _)| schema);
    // Above a comment, a label or privileges the name has the kind of the object before it.
    let attached = matches!(kind, "ACL" | "COMMENT" | "SECURITY LABEL");
    let own = if attached { name.split_once(' ').map_or(name, |(_, own)| own) } else { name };
    objects.contains(&(schema, name)) || objects.contains(&(schema, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_with_all_that_is_about_it() {
        let section = |name: &str, kind: &str, body: &str| {
            format!("--\n-- Name: {name}; Type: {kind}; Schema: s; Owner: o\n--\n\n{body};\n\n\n")
        };
        let parts = [
            section("f(integer)", "FUNCTION", "CREATE FUNCTION s.f(integer)"),
            section("f(text)", "FUNCTION", "CREATE FUNCTION s.f(text)"),
            section("t t_fkey", "FK CONSTRAINT", "ALTER TABLE;\n\n\nSET default_tablespace = fast"),
            section("FUNCTION f(integer)", "ACL", "GRANT"),
            "--\n-- PostgreSQL database dump complete\n--\n".to_owned(),
        ];
        let object = |name: &str| Object { schema: "s".to_owned(), name: name.to_owned() };
        let left = without(&parts.concat(), &[object("f(integer)"), object("t t_fkey")]);
        assert!(
            left.contains("CREATE FUNCTION s.f(text)") && left.ends_with("dump complete\n--\n"),
            "{left}"
        );
        assert!(left.contains("SET default_tablespace = fast;"), "{left}");
        for gone in ["s.f(integer)", "ALTER TABLE", "GRANT"] {
            assert!(!left.contains(gone), "{gone} in {left}");
        }
    }
}
