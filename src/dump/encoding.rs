//! The text of a dump as UTF-8, whatever encoding its client had: PostgreSQL says so in the dump
//! (`SET client_encoding`), since `pg_dump` writes in the database's own encoding unless told otherwise.

use encoding_rs::Encoding;

/// What `pg_dump` writes at the top of a plain dump.
const STATEMENT: &[u8] = b"SET client_encoding = '";

/// A text that is not in the encoding that it names, or names none and is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecodable {
    /// The first line with bytes that mean nothing, from 1, where it is known.
    pub(super) line: Option<usize>,
    /// The encoding, as PostgreSQL calls it.
    pub(super) encoding: String,
}

/// Whether a text begins with the byte order mark of UTF-16, in which PowerShell writes what `>` takes.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    Encoding::for_bom(bytes).is_some_and(|(encoding, _)| encoding != encoding_rs::UTF_8)
}

/// Decodes the bytes of a plain dump.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Undecodable> {
    if is_utf16(&bytes) {
        let (text, encoding, replaced) = encoding_rs::UTF_8.decode(&bytes);
        let undecodable = Undecodable { line: None, encoding: encoding.name().to_owned() };
        return if replaced { Err(undecodable) } else { Ok(text.into_owned()) };
    }
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let valid = error.utf8_error().valid_up_to();
    let bytes = error.into_bytes();
    let line = bytes.iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
    let Some(name) = stated(&bytes) else {
        return Err(Undecodable { line: Some(line), encoding: "UTF8".to_owned() });
    };
    let undecodable = |line| Undecodable { line, encoding: name.clone() };
    let encoding = of(&name).ok_or_else(|| undecodable(Some(line)))?;
    let (text, _, replaced) = encoding.decode(&bytes);
    if replaced { Err(undecodable(None)) } else { Ok(text.into_owned()) }
}

/// The client's encoding that a dump sets.
fn stated(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(STATEMENT.len()).position(|window| window == STATEMENT)?;
    let rest = bytes.get(at + STATEMENT.len()..)?;
    let name = rest.split(|byte| *byte == b'\'').next()?;
    String::from_utf8(name.to_owned()).ok()
}

/// PostgreSQL's names (manual, 24.3.1) and those of the Encoding Standard.
fn of(name: &str) -> Option<&'static Encoding> {
    let name = name.to_ascii_uppercase();
    let label = match name.as_str() {
        "LATIN1" | "WIN1252" => "windows-1252",
        "LATIN2" => "iso-8859-2",
        "LATIN3" => "iso-8859-3",
        "LATIN4" => "iso-8859-4",
        "LATIN5" | "WIN1254" => "windows-1254",
        "LATIN6" => "iso-8859-10",
        "LATIN7" => "iso-8859-13",
        "LATIN8" => "iso-8859-14",
        "LATIN9" => "iso-8859-15",
        "LATIN10" => "iso-8859-16",
        "ISO_8859_5" => "iso-8859-5",
        "ISO_8859_6" => "iso-8859-6",
        "ISO_8859_7" => "iso-8859-7",
        "ISO_8859_8" => "iso-8859-8",
        "KOI8R" => "koi8-r",
        "KOI8U" => "koi8-u",
        "WIN866" => "ibm866",
        "WIN874" => "windows-874",
        "EUC_JP" => "euc-jp",
        "EUC_KR" | "UHC" => "euc-kr",
        "EUC_CN" | "GBK" => "gbk",
        "GB18030" => "gb18030",
        "SJIS" => "shift_jis",
        "BIG5" => "big5",
        other => {
            let page = other.strip_prefix("WIN")?;
            return Encoding::for_label(format!("windows-{page}").as_bytes());
        }
    };
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_read_in_the_encoding_that_it_names() {
        let latin = b"SET client_encoding = 'LATIN1';\nCOMMENT ON TABLE t IS 'caf\xe9';\n".to_vec();
        assert!(decode(latin).unwrap().contains("'café'"));
        let cyrillic = b"SET client_encoding = 'WIN1251';\n-- \xcf\xf0\xe8\n".to_vec();
        assert!(decode(cyrillic).unwrap().contains("При"));
    }

    #[test]
    fn what_cannot_be_decoded_is_named_with_its_line() {
        assert_eq!(
            decode(b"SELECT 1;\n-- caf\xe9\n".to_vec()),
            Err(Undecodable { line: Some(2), encoding: "UTF8".to_owned() })
        );
        let error = decode(b"SET client_encoding = 'SQL_ASCII';\n\n-- caf\xe9\n".to_vec()).unwrap_err();
        assert_eq!((error.line, error.encoding.as_str()), (Some(3), "SQL_ASCII"));
    }
}
