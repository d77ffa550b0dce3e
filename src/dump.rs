//! Reading what `pg_dump` and `pg_dumpall` wrote: statements with their lines, and the few facts that
//! are needed before a server can parse them.
//!
//! The server is the parser of SQL; here a script is only cut into statements, by psql's rules.

mod archive;
mod encoding;
mod facts;
mod file;
mod psql;
mod script;
mod tokens;
mod variables;
mod words;

pub use facts::{
    DatabaseStated, DumpFacts, StatedPassword, database_stated, databases_stated, every_server_has,
    nothing_stored, roles_named, stated_password, without_stored_hash,
};
pub use file::{Archive, Content, DumpError, DumpFile, PlainDump};
pub use psql::Sources;
pub use script::{Item, ItemKind, ScriptError, split, statements};
pub use tokens::{Token, TokenKind, tokens};
pub use variables::Variables;
pub use words::{Word, words, words_at};
