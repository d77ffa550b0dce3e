//! What is done with each piece of a dump before a server sees it.

use std::borrow::Cow;

use super::error::{is_insert, table_of};
use crate::dump::{
    Item, ItemKind, PlainDump, Word, databases_stated, every_server_has, without_stored_hash, words, words_at,
};
use crate::identifiers::{DatabaseName, RoleName, quote_identifier};
use crate::observations::Skipped;
use crate::seed::DataInDump;

/// What is done with one piece of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Treatment<'t> {
    /// It is sent.
    Send(Cow<'t, str>),
    /// It is sent once everything before it is answered.
    Alone(Cow<'t, str>),
    /// The tablespace is made, then the statement sent.
    Tablespace {
        /// The tablespace.
        name: String,
        /// What is left of the statement.
        statement: Cow<'t, str>,
    },
    /// What it gives are statements, which are sent one by one.
    Generate(&'t str),
    /// What it gives are the values of variables, whose names begin like this.
    Ask(&'t str, String),
    /// Its rows are loaded.
    Copy(&'t str),
    /// It has no meaning here.
    Nothing,
    /// The clone does not have it.
    LeaveOut(Skipped),
    /// The rest is not read.
    End,
    /// A command of psql that is not known.
    NotUnderstood,
}

/// Treats the pieces of one dump, in order.
pub(super) struct Treatments {
    /// The clone's database.
    database: DatabaseName,
    /// What the dump calls it.
    original: Option<DatabaseName>,
    rows: DataInDump,
    /// Whether it is restored into the database that every server has, as roles are.
    roles: bool,
    place: Place,
    /// The database that every server has and the dump is in, until something of it was left out.
    server_database: Option<String>,
}

/// Where a dump has gone to by `\connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The clone's database.
    Clone,
    /// One that every server has: only what belongs to the server as a whole is made from there.
    Server,
    /// One that the clone does not have.
    Elsewhere,
}

impl Treatments {
    pub(super) fn new(dump: &PlainDump, database: &DatabaseName, rows: DataInDump, roles: bool) -> Self {
        let stated: Vec<DatabaseName> = databases_stated(&dump.text).collect();
        // Where one has the clone's name already, no other stands for it.
        let original = if stated.contains(database) {
            None
        } else {
            stated.into_iter().find(|name| !every_server_has(name.as_str()))
        };
        Self { database: database.clone(), original, rows, roles, place: Place::Clone, server_database: None }
    }

    /// What is done with the next piece.
    pub(super) fn of<'t>(&mut self, item: &Item<'t>) -> Treatment<'t> {
        match item.kind {
            ItemKind::Command => self.command(item),
            _ if self.place == Place::Elsewhere => Treatment::Nothing,
            _ if self.place == Place::Server && !is_of_server(item) => self.on_server(),
            ItemKind::Inside { command, .. } => self.asked(item, command),
            ItemKind::Copy(_) if self.rows == DataInDump::Skip => left_out_rows(item),
            ItemKind::Copy(data) => Treatment::Copy(data),
            ItemKind::Statement => self.statement(item),
        }
    }

    /// psql's own commands that dumps contain. `\restrict` guards psql against the dump (PostgreSQL manual,
    /// psql); a session has no such commands, so that it needs no guard. Texts are UTF-8 by now, and what is
    /// printed is printed for nobody.
    fn command<'t>(&mut self, item: &Item<'t>) -> Treatment<'t> {
        // A program that psql would run, and that nobody here does.
        let runs = |text: &str| text.contains('`') || text.contains('|');
        match item.text.split_whitespace().next().unwrap_or_default() {
            "\\set" | "\\unset" | "\\o" | "\\out" if runs(item.text) => Treatment::NotUnderstood,
            // It hangs on what the server says, which is not known when a file is read.
            "\\set" if item.text.contains(':') => Treatment::NotUnderstood,
            "\\connect" | "\\c" => self.connect(item),
            "\\restrict" | "\\unrestrict" | "\\encoding" | "\\echo" | "\\qecho" | "\\warn" | "\\timing"
            | "\\pset" | "\\x" | "\\t" | "\\a" | "\\set" | "\\unset" | "\\o" | "\\out" | "\\H" | "\\f"
            | "\\C" | "\\T" | "\\conninfo" | "\\errverbose" => Treatment::Nothing,
            // What it shows is shown to nobody.
            shows
                if ["\\d", "\\l", "\\z"].iter().any(|show| shows.starts_with(show))
                    && !shows.starts_with("\\lo_") =>
            {
                Treatment::Nothing
            }
            "\\q" | "\\quit" => Treatment::End,
            _ => Treatment::NotUnderstood,
        }
    }

    /// A statement that a command ends: what the server answers is what psql goes on with.
    fn asked<'t>(&self, item: &Item<'t>, command: &'t str) -> Treatment<'t> {
        let mut words = command.split_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            ("\\gexec", None) => Treatment::Generate(item.text),
            ("\\gset", prefix) => Treatment::Ask(item.text, prefix.unwrap_or_default().to_owned()),
            ("\\g" | "\\gx", None) => self.statement(item),
            _ => Treatment::NotUnderstood,
        }
    }

    /// `\connect name`, also as `\connect -reuse-previous=on "dbname='name'"`, which `pg_dump` writes for names
    /// of unusual characters.
    fn connect<'t>(&mut self, item: &Item<'t>) -> Treatment<'t> {
        let rest = item.text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim());
        let rest = rest.strip_prefix("-reuse-previous=on").map_or(rest, str::trim);
        let name = rest.trim_matches('"').replace("\"\"", "\"");
        let name = match name.strip_prefix("dbname='") {
            Some(quoted) => quoted.trim_end_matches('\'').replace("\\'", "'").replace("\\\\", "\\"),
            None => name.split_whitespace().next().unwrap_or_default().to_owned(),
        };
        self.server_database = Some(name.clone());
        self.place = match name.as_str() {
            // Without a name it stays where it is.
            "" | "-" => self.place,
            name if self.is_clone(name) => Place::Clone,
            "postgres" | "template1" if self.roles => Place::Clone,
            "postgres" | "template1" => Place::Server,
            _ => Place::Elsewhere,
        };
        if self.place == Place::Elsewhere {
            self.other(&format!("everything in database {name}"))
        } else {
            Treatment::Nothing
        }
    }

    /// What a database that every server has holds is no part of the clone, which is told once.
    fn on_server<'t>(&mut self) -> Treatment<'t> {
        match self.server_database.take() {
            Some(name) => self.other(&format!("what database {name} holds")),
            None => Treatment::Nothing,
        }
    }

    fn is_clone(&self, name: &str) -> bool {
        name == self.database.as_str() || self.original.as_ref().is_some_and(|own| own.as_str() == name)
    }

    fn other<'t>(&self, what: &str) -> Treatment<'t> {
        let error = format!("a clone has one database, {}", self.database);
        Treatment::LeaveOut(Skipped { object: what.to_owned(), error })
    }

    fn statement<'t>(&self, item: &Item<'t>) -> Treatment<'t> {
        let placed = words_at(item.text);
        let words: Vec<&Word> = placed.iter().map(|(_, word)| word).collect();
        let is = |at: usize, keyword: &str| words.get(at).is_some_and(|word| word.is(keyword));
        let name = |at: usize| words.get(at).and_then(|word| word.identifier()).unwrap_or_default();
        let as_is = Cow::Borrowed(item.text);
        if is(0, "set") || is(0, "reset") {
            return setting(as_is, &words);
        }
        match name(1) {
            "database" if is(0, "create") || is(0, "drop") => {
                // It is there already: a server cannot be without one.
                if self.is_clone(name(2)) || is(2, "if") || every_server_has(name(2)) {
                    Treatment::Nothing
                } else {
                    self.other(&format!("database {}", name(2)))
                }
            }
            "tablespace" if is(0, "create") => {
                let owner = is(3, "owner").then(|| RoleName::new(name(4)).quoted());
                let alter =
                    |owner| format!("ALTER TABLESPACE {} OWNER TO {owner}", quote_identifier(name(2)));
                let statement = owner.map_or_else(|| "SELECT".to_owned(), alter).into();
                Treatment::Tablespace { name: name(2).to_owned(), statement }
            }
            "subscription" => subscription(as_is, &words),
            _ if is(0, "copy") && words.windows(2).any(of_program) => Treatment::NotUnderstood,
            "extension" if is(0, "create") => Treatment::Alone(as_is),
            _ if self.rows == DataInDump::Skip && is_insert(item.text) => left_out_rows(item),
            _ => match without_stored_hash(item.text).or_else(|| self.renamed(item.text, &placed)) {
                Some(changed) => Treatment::Send(changed.into()),
                None => Treatment::Send(as_is),
            },
        }
    }

    /// A statement about the original's database, with the name that the clone gives it.
    fn renamed(&self, statement: &str, words: &[(std::ops::Range<usize>, Word)]) -> Option<String> {
        let original = self.original.as_ref().filter(|original| **original != self.database)?;
        let (range, name) = words.windows(3).find_map(|three| match three {
            [(_, before), (_, database), (range, name)]
                if database.is("database") && ["alter", "on", "in"].iter().any(|word| before.is(word)) =>
            {
                Some((range, name))
            }
            _ => None,
        })?;
        if name.identifier() != Some(original.as_str()) {
            return None;
        }
        let (before, after) = (statement.get(..range.start)?, statement.get(range.end..)?);
        Some(format!("{before}{}{after}", self.database.quoted()))
    }
}

fn of_program(pair: &[&Word]) -> bool {
    matches!(pair, [way, program] if (way.is("from") || way.is("to")) && program.is("program"))
}

/// Whether a statement is about the server as a whole, whichever database it comes from.
fn is_of_server(item: &Item<'_>) -> bool {
    let words = words(item.text);
    let is = |at: usize, keyword: &str| words.get(at).is_some_and(|word| word.is(keyword));
    let global = |at: usize| {
        let known = ["role", "user", "group", "database", "tablespace", "parameter"];
        known.iter().any(|kind| is(at, kind)) && !is(at + 1, "mapping")
    };
    if is(0, "grant") || is(0, "revoke") {
        // Of roles to roles where there is no ON.
        return words.iter().position(|word| word.is("on")).is_none_or(|on| global(on + 1));
    }
    match item.kind {
        ItemKind::Statement => {
            is(0, "set")
                || is(0, "reset")
                || words.iter().any(|word| word.is("set_config"))
                || (["create", "alter", "drop"].iter().any(|verb| is(0, verb)) && global(1))
                || (is(0, "comment") && global(2))
        }
        ItemKind::Copy(_) | ItemKind::Command | ItemKind::Inside { .. } => false,
    }
}

fn setting<'t>(statement: Cow<'t, str>, words: &[&Word]) -> Treatment<'t> {
    match words {
        [_, setting, ..] if setting.is("client_encoding") => Treatment::Nothing,
        [_, setting, _, Word::Bare(name) | Word::Quoted(name) | Word::Text(name)]
            if setting.is("default_tablespace") && !name.is_empty() =>
        {
            Treatment::Tablespace { name: name.clone(), statement }
        }
        _ if words.iter().any(|word| word.is("authorization") || word.is("role")) => {
            Treatment::Alone(statement)
        }
        _ => Treatment::Send(statement),
    }
}

/// A subscription that is made without connecting is kept; what would connect is left out.
fn subscription<'t>(statement: Cow<'t, str>, words: &[&Word]) -> Treatment<'t> {
    let first = |keyword: &str| words.first().is_some_and(|word| word.is(keyword));
    let has = |keyword: &str| words.iter().any(|word| word.is(keyword));
    let says_no = |word: &Word| matches!(word, Word::Bare(text) | Word::Text(text) if ["false", "off", "no"].contains(&text.as_str()));
    let unconnected = words
        .windows(3)
        .any(|three| matches!(three, [connect, Word::Sign('='), no] if connect.is("connect") && says_no(no)));
    let connects = (first("create") && !unconnected)
        || (first("alter")
            && ["enable", "refresh", "publication", "connection"].iter().any(|word| has(word)));
    if !connects {
        return Treatment::Alone(statement);
    }
    let name = words.get(2).and_then(|word| word.identifier()).unwrap_or_default();
    let what = if first("create") { "" } else { "a change of " };
    Treatment::LeaveOut(Skipped {
        object: format!("{what}subscription {name}"),
        error: "it would connect to another server".to_owned(),
    })
}

fn left_out_rows<'t>(item: &Item<'t>) -> Treatment<'t> {
    if item.kind == ItemKind::Copy("") {
        return Treatment::Nothing;
    }
    Treatment::LeaveOut(Skipped {
        object: format!("rows of {}", table_of(item.text)),
        error: "the rehearsal file says dumped = \"skip\"".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::split;

    fn treated(script: &str) -> Vec<String> {
        let text = format!("CREATE DATABASE shop;\n{script}");
        let dump = PlainDump {
            path: "d.sql".into(),
            text: text.clone(),
            is_file: true,
            sources: crate::dump::Sources::default(),
        };
        let mut treatments = Treatments::new(&dump, &DatabaseName::new("clone"), DataInDump::Skip, false);
        let items = split(&text).unwrap();
        let shown = |treatment| match treatment {
            Treatment::Send(sql) => format!("send {sql}"),
            Treatment::Alone(sql) => format!("alone {sql}"),
            Treatment::Tablespace { name, statement } => format!("tablespace {name}: {statement}"),
            Treatment::LeaveOut(skipped) => format!("out {}", skipped.object),
            other => format!("{other:?}"),
        };
        items.iter().skip(1).map(|item| shown(treatments.of(item))).collect()
    }

    #[test]
    fn the_original_database_is_the_clone_whatever_it_is_called() {
        assert_eq!(
            treated(
                "ALTER DATABASE shop SET x TO 'shop';\nGRANT CONNECT ON DATABASE shop TO a;\n\
                 ALTER ROLE a IN DATABASE \"shop\" SET x TO 1;\nCREATE TABLE shop (i int);\n\\connect shop\nDROP TABLE a;"
            ),
            [
                "send ALTER DATABASE \"clone\" SET x TO 'shop'",
                "send GRANT CONNECT ON DATABASE \"clone\" TO a",
                "send ALTER ROLE a IN DATABASE \"clone\" SET x TO 1",
                "send CREATE TABLE shop (i int)",
                "Nothing",
                "send DROP TABLE a",
            ]
        );
    }

    #[test]
    fn other_databases_are_left_out_as_a_whole() {
        assert_eq!(
            treated(
                "CREATE DATABASE other;\n\\connect -reuse-previous=on \"dbname='the other'\"\n\
                 CREATE TABLE a ();\n\\connect shop\nCREATE TABLE b ();"
            ),
            [
                "out database other",
                "out everything in database the other",
                "Nothing",
                "Nothing",
                "send CREATE TABLE b ()"
            ]
        );
    }

    #[test]
    fn of_the_databases_that_every_server_has_only_what_is_the_servers_is_made() {
        assert_eq!(
            treated(
                "\\connect template1\nREVOKE ALL ON SCHEMA public FROM PUBLIC;\nCREATE ROLE a;\nGRANT a TO b;\n\
                 \\connect postgres\nCREATE TABLE c ();\nCREATE USER MAPPING FOR a SERVER s;\n\
                 GRANT SET ON PARAMETER x TO a;\n\\connect shop\nCREATE TABLE d ();"
            ),
            [
                "Nothing",
                "out what database template1 holds",
                "send CREATE ROLE a",
                "send GRANT a TO b",
                "Nothing",
                "out what database postgres holds",
                "Nothing",
                "send GRANT SET ON PARAMETER x TO a",
                "Nothing",
                "send CREATE TABLE d ()",
            ]
        );
    }

    #[test]
    fn nothing_connects_to_another_server() {
        let kept =
            "CREATE SUBSCRIPTION a CONNECTION 'host=b' PUBLICATION d WITH (connect = false, slot_name = 'a')";
        assert_eq!(
            treated(&format!(
                "CREATE SUBSCRIPTION a CONNECTION 'host=b password=c' PUBLICATION d;\n{kept};\n\
                 ALTER SUBSCRIPTION a ENABLE;\nALTER SUBSCRIPTION a OWNER TO b;"
            )),
            [
                "out subscription a",
                &format!("alone {kept}"),
                "out a change of subscription a",
                "alone ALTER SUBSCRIPTION a OWNER TO b",
            ]
        );
    }

    #[test]
    fn tablespaces_lie_in_place_and_encodings_are_done_with() {
        assert_eq!(
            treated(
                "SET client_encoding = 'LATIN1';\nCREATE TABLESPACE fast OWNER boss LOCATION '/mnt/fast';\n\
                 SET default_tablespace = fast;\nSET default_tablespace = '';"
            ),
            [
                "Nothing",
                "tablespace fast: ALTER TABLESPACE \"fast\" OWNER TO \"boss\"",
                "tablespace fast: SET default_tablespace = fast",
                "send SET default_tablespace = ''",
            ]
        );
    }

    #[test]
    fn rows_are_left_out_when_asked() {
        assert_eq!(
            treated("COPY public.a (i) FROM stdin;\n1\n\\.\nINSERT INTO public.b VALUES (1);\n\\gexec"),
            ["out rows of public.a", "out rows of public.b", "NotUnderstood"]
        );
    }
}
