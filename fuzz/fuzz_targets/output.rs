//! What programs print: the marks of a container, psql's errors, and what is kept of it, however it comes in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thirdrun::fuzzing;
use thirdrun::programs::{Captured, Stream};

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, bytes) = input;
    let whole = heard(&[&bytes]);
    let pieces = pieces(&bytes, &cuts);
    assert_eq!(heard(&pieces), whole);

    // With its marks around it, in any pieces, it is what it was.
    let marked = [b"\nM begin 1\n", bytes.as_slice(), b"\nM end 7\nlater"].concat();
    let has_mark = bytes.windows(3).any(|three| three == b"\nM ") || bytes.starts_with(b"M ");
    let (status, captured) = fuzzing::contained([marked.as_slice()], "M");
    let (in_pieces, captured_in_pieces) = fuzzing::contained(self::pieces(&marked, &cuts), "M");
    assert_eq!((in_pieces, captured_in_pieces.tail()), (status, captured.tail()));
    if !has_mark {
        assert_eq!(status, Some(7));
        let mut plain = Captured::default();
        plain.push(Stream::Out, &bytes);
        assert_eq!(captured.tail(), plain.tail());
    }
});

/// What is kept of a stream of errors.
fn heard(pieces: &[&[u8]]) -> (String, bool, Vec<String>) {
    let mut captured = Captured::default();
    for piece in pieces {
        captured.push(Stream::Err, piece);
    }
    captured.finish();
    (captured.tail(), captured.truncated(), captured.errors().to_vec())
}

fn pieces<'a>(mut bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().take(64) {
        let (piece, rest) = bytes.split_at(usize::from(*cut).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}
