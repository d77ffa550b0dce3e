//! What several targets have in common: a server that answers as PostgreSQL does, and readers of what is rendered.

pub mod hypertext;
pub mod peer;
