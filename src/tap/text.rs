//! The texts of statements, as they are kept.

use std::borrow::Cow;
use std::sync::Arc;

use super::expect::Text;
use super::journal::TEXT;
use crate::secrets::masked_statement;

/// A text with the same places of bytes, whatever encoding the client has.
pub(super) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| '?'));
            }
            Cow::Owned(text)
        }
    }
}

/// As much of a text as is kept, without its secrets.
pub(super) fn kept(text: &str, truncated: bool) -> Text {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown = text.get(..end).unwrap_or_default();
    let shown = masked_statement(shown);
    let masked = matches!(shown, Cow::Owned(_));
    Text { text: Arc::from(shown), truncated: truncated || end < text.len(), masked }
}
