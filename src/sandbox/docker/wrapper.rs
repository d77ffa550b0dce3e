//! How a program in a container tells that it has ended, whatever it leaves running.
//!
//! An `exec` of the engine ends only when nobody holds its streams any more, and closes them under whoever
//! does. So the program is the child of a small shell that says when it began and when it ended, by marks
//! in the streams themselves, and then stays: what the program left in the background keeps its streams,
//! and everything that was printed before the end has arrived when the mark has.

use crate::programs::{Captured, Stream};

/// `$1` is the mark; the rest is the program. The first mark on standard output tells the process group.
pub(super) const SCRIPT: &str = r#"mark=$1
shift
printf '\n%s begin %s\n' "$mark" "$$"
"$@" </dev/null
status=$?
printf '\n%s end %s\n' "$mark" "$status"
printf '\n%s end %s\n' "$mark" "$status" >&2
trap '' PIPE
exec >/dev/null 2>&1
while :; do sleep 3600; done
"#;

/// Kills the process group `$1`; the exit status is [`REMAIN`] while there is something of it. What nobody takes leave
/// of is no process any more, unless that is the container's init (1), who will soon. It starts no process: there may
/// be no room for one.
pub(super) const KILL: &str = r#"group=$1
kill -KILL -"$group" 2>/dev/null
for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    set -- ${line##*) }
    [ "$3" = "$group" ] || continue
    case $1$2 in Z1) ;; Z*) continue ;; esac
    exit 3
done
exit 0
"#;
/// The exit status of [`KILL`] that tells that processes remain.
pub(super) const REMAIN: i64 = 3;

/// Takes the marks out of one stream.
#[derive(Debug)]
pub(super) struct Marks {
    stream: Stream,
    begin: Vec<u8>,
    end: Vec<u8>,
    /// What may be the beginning of a mark.
    held: Vec<u8>,
    /// The process group, once told.
    pub(super) group: Option<String>,
    /// The exit status, once told.
    pub(super) status: Option<i32>,
}

impl Marks {
    pub(super) fn new(stream: Stream, mark: &str) -> Self {
        Self {
            stream,
            begin: format!("\n{mark} begin ").into_bytes(),
            end: format!("\n{mark} end ").into_bytes(),
            held: Vec::new(),
            group: None,
            status: None,
        }
    }

    /// Takes in what the stream brought; passes on what the program printed.
    pub(super) fn push(&mut self, bytes: &[u8], captured: &mut Captured) {
        if self.status.is_some() {
            // Printed in the background, after the end.
            return;
        }
        self.held.extend(bytes);
        if self.stream == Stream::Out && self.group.is_none() {
            match self.take(&self.begin.clone()) {
                Some((before, group)) => {
                    captured.push(self.stream, &before);
                    self.group = Some(group);
                }
                None => return,
            }
        }
        if let Some((before, status)) = self.take(&self.end.clone()) {
            captured.push(self.stream, &before);
            self.status = status.parse().ok().or(Some(-1));
            self.held.clear();
            return;
        }
        // All but what a mark could still begin with.
        let keep = (self.end.len() + 16).min(self.held.len());
        let pass: Vec<u8> = match self.held.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) if self.held.len() - newline <= keep => self.held.drain(..newline).collect(),
            _ => std::mem::take(&mut self.held),
        };
        captured.push(self.stream, &pass);
    }

    /// The stream has ended: what was held was no mark.
    pub(super) fn finish(&mut self, captured: &mut Captured) {
        if self.status.is_none() {
            captured.push(self.stream, &self.held);
            self.held.clear();
        }
    }

    /// Cuts a whole mark and its line out of what is held: what came before it, and its argument.
    fn take(&mut self, mark: &[u8]) -> Option<(Vec<u8>, String)> {
        let at = self.held.windows(mark.len()).position(|window| window == mark)?;
        let argument: Vec<u8> = self.held.get(at + mark.len()..)?.to_vec();
        let line = argument.iter().position(|byte| *byte == b'\n')?;
        let text = String::from_utf8_lossy(argument.get(..line)?).into_owned();
        let before = self.held.get(..at)?.to_vec();
        self.held = argument.get(line + 1..)?.to_vec();
        Some((before, text))
    }
}

/// What a program that printed these pieces, marks and all, is told to have ended with, and to have printed.
pub(crate) fn unmarked<'a>(
    stream: Stream,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mark: &str,
) -> (Option<i32>, Captured) {
    let mut marks = Marks::new(stream, mark);
    let mut captured = Captured::default();
    for piece in pieces {
        marks.push(piece, &mut captured);
    }
    marks.finish(&mut captured);
    captured.finish();
    (marks.status, captured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pieces: &[&str]) -> (Marks, String) {
        let mut marks = Marks::new(Stream::Out, "M");
        let mut captured = Captured::default();
        for piece in pieces {
            marks.push(piece.as_bytes(), &mut captured);
        }
        marks.finish(&mut captured);
        let text = captured.tail();
        (marks, text)
    }

    #[test]
    fn marks_are_taken_out_wherever_the_stream_is_cut() {
        let whole = "\nM begin 42\nfirst\n\nsecond\nM not a mark\nlast\nM end 3\nlater";
        for cut in 0..=whole.len() {
            let (marks, text) = fed(&[&whole[..cut], &whole[cut..]]);
            assert_eq!(marks.group.as_deref(), Some("42"));
            assert_eq!(marks.status, Some(3));
            assert_eq!(text, "first\n\nsecond\nM not a mark\nlast", "cut at {cut}");
        }
        let single: Vec<_> = whole.split_inclusive(|_| true).collect();
        assert_eq!(fed(&single).1, "first\n\nsecond\nM not a mark\nlast");
    }

    #[test]
    fn a_stream_that_ends_without_a_mark_loses_nothing() {
        let (marks, text) = fed(&["\nM begin 1\nall of it\nM en"]);
        assert_eq!(marks.status, None);
        assert_eq!(text, "all of it\nM en");
    }
}
