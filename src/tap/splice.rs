//! What a client gets for a statement that was not passed on.

use bytes::Bytes;

use super::frames::{each, put};
use crate::dump::{Token, tokens};

/// The protocol in which a statement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A simple query (53.2.2).
    Simple,
    /// An Execute (53.2.3), whose row description was asked for on its own.
    Extended,
    /// A function call (53.2.5).
    Function,
}

/// Messages in the place of a server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Splice {
    /// It went well.
    Done(Bytes),
    /// It failed; the server is made to fail at the same place.
    Failed(Bytes),
    /// It failed on the client's side, and the server knows nothing of it.
    Refused(Bytes),
    /// `COPY FROM STDIN`: what begins it, and what comes when the client's data is over.
    CopyIn(Bytes, Bytes),
}

impl Splice {
    /// Makes it from a recorded response, or makes one up for the text.
    pub(super) fn of(response: Option<&Bytes>, text: &str, form: Form) -> Self {
        let recorded: &[u8] = response.map(|bytes| bytes.as_ref()).unwrap_or_default();
        let described = each(recorded).any(|(tag, _)| tag == b'T');
        let (mut handshake, mut rest, mut complete, mut failed) = (Vec::new(), Vec::new(), false, false);
        for (tag, message) in each(recorded) {
            match tag {
                b'G' if form != Form::Function => handshake.extend_from_slice(message),
                b'T' if form != Form::Simple => {}
                b'D' if form == Form::Simple && !described => {}
                b'T' | b'D' | b'H' | b'd' | b'c' | b'V' => rest.extend_from_slice(message),
                b'C' | b'E' => {
                    rest.extend_from_slice(message);
                    (complete, failed) = (true, tag == b'E');
                    break;
                }
                _ => {}
            }
        }
        if failed {
            return Self::Failed(rest.into());
        }
        if form == Form::Function {
            if rest.first() != Some(&b'V') {
                rest.clear();
                // A null (53.7, FunctionCallResponse).
                put(&mut rest, b'V', &[&(-1_i32).to_be_bytes()]);
            }
            return Self::Done(rest.into());
        }
        if !complete {
            let copy = copies(text);
            if handshake.is_empty() && copy == Some(Copy::In) {
                put(&mut handshake, b'G', &[&NO_COLUMNS]);
            }
            if copy == Some(Copy::Out) {
                rest.clear();
                put(&mut rest, b'H', &[&NO_COLUMNS]);
                put(&mut rest, b'c', &[]);
            }
            put(&mut rest, b'C', &[made_up_tag(text).as_bytes(), b"\0"]);
        }
        if handshake.is_empty() {
            Self::Done(rest.into())
        } else {
            Self::CopyIn(handshake.into(), rest.into())
        }
    }
}

/// Text format, no columns (53.7, CopyInResponse and CopyOutResponse).
const NO_COLUMNS: [u8; 3] = [0, 0, 0];

/// An ErrorResponse of COPY data that the client itself gave up.
pub(super) fn given_up() -> Bytes {
    let mut bytes = Vec::new();
    let fields: &[u8] = b"SERROR\0VERROR\0C57014\0MCOPY from stdin failed: terminated by the client\0\0";
    put(&mut bytes, b'E', &[fields]);
    bytes.into()
}

#[derive(Debug, PartialEq, Eq)]
enum Copy {
    In,
    Out,
}

fn copies(text: &str) -> Option<Copy> {
    if !text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
        return None;
    }
    let tokens = tokens(text);
    let has = |a: &str, b: &str| {
        tokens.windows(2).any(|pair: &[Token]| match pair {
            [first, second] => first.is(text, a) && second.is(text, b),
            _ => false,
        })
    };
    if has("from", "stdin") {
        Some(Copy::In)
    } else if has("to", "stdout") {
        Some(Copy::Out)
    } else {
        None
    }
}

/// A tag as the server would give, with no row affected.
fn made_up_tag(text: &str) -> String {
    let mut words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase);
    let first = words.next().unwrap_or_default();
    match first.as_str() {
        "INSERT" => "INSERT 0 0".to_owned(),
        "SELECT" | "UPDATE" | "DELETE" | "MERGE" | "COPY" | "FETCH" | "MOVE" => format!("{first} 0"),
        "WITH" | "VALUES" | "TABLE" => "SELECT 0".to_owned(),
        "CREATE" | "ALTER" | "DROP" => format!("{first} {}", words.next().unwrap_or_default()),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(parts: &[(u8, &[u8])]) -> Bytes {
        let mut bytes = Vec::new();
        for (tag, body) in parts {
            put(&mut bytes, *tag, &[body]);
        }
        bytes.into()
    }

    #[test]
    fn a_recorded_response_fits_the_form_in_which_the_statement_comes() {
        let all = messages(&[(b'T', b"d"), (b'D', b"r"), (b'C', b"SELECT 1\0")]);
        let bare = messages(&[(b'D', b"r"), (b'C', b"SELECT 1\0")]);
        assert_eq!(Splice::of(Some(&all), "", Form::Simple), Splice::Done(all.clone()));
        assert_eq!(Splice::of(Some(&all), "", Form::Extended), Splice::Done(bare.clone()));
        assert_eq!(
            Splice::of(Some(&bare), "", Form::Simple),
            Splice::Done(messages(&[(b'C', b"SELECT 1\0")]))
        );
    }

    #[test]
    fn without_a_response_a_success_is_made_up() {
        let made = |text: &str| Splice::of(None, text, Form::Simple);
        assert_eq!(made("REVOKE ALL ON t FROM r"), Splice::Done(messages(&[(b'C', b"REVOKE\0")])));
        assert_eq!(made("create table t()"), Splice::Done(messages(&[(b'C', b"CREATE TABLE\0")])));
        assert!(matches!(made("COPY t FROM STDIN"), Splice::CopyIn(_, _)));
        assert!(matches!(made("COPY t FROM '/stdin'"), Splice::Done(_)));
    }

    #[test]
    fn a_recorded_error_stays_one() {
        let error = messages(&[(b'D', b"r"), (b'E', b"C42501\0\0")]);
        assert!(matches!(Splice::of(Some(&error), "", Form::Extended), Splice::Failed(_)));
    }
}
