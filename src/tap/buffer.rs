//! Bytes on their way: filled at one end, taken at the other, without allocation while they flow.

/// What a buffer holds unless a message asks for more.
pub(super) const SIZE: usize = 64 * 1024;
/// Less free space than this at the end, and the bytes are moved to the front.
const ROOM: usize = SIZE / 4;

/// A queue of bytes in one piece.
#[derive(Default)]
pub(super) struct Buffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is in it.
    pub(super) fn filled(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }

    /// What is in it, to be changed in place.
    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        self.data.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes bytes away at the front.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.data.len() > 2 * SIZE {
                // A long message is gone: its memory goes with it.
                self.data = Vec::new();
            }
        }
    }

    /// Puts bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.data.len() - self.end < bytes.len() {
            self.compact();
            let size = (self.end + bytes.len()).max(SIZE);
            if self.data.len() < size {
                self.data.resize(size, 0);
            }
        }
        if let Some(space) = self.data.get_mut(self.end..self.end + bytes.len()) {
            space.copy_from_slice(bytes);
            self.end += bytes.len();
        }
    }

    /// Puts bytes before what is in it.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let rest = self.filled().to_vec();
        *self = Self::default();
        self.append(bytes);
        self.append(&rest);
    }

    /// Free space at the end. The buffer grows as bytes arrive, not as a header says: a message that only claims
    /// to be long costs nothing.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.data.len() - self.end < ROOM {
            self.compact();
            if self.data.len() - self.end < ROOM {
                self.data.resize((2 * self.data.len()).max(SIZE), 0);
            }
        }
        self.data.get_mut(self.end..).unwrap_or_default()
    }

    /// Bytes were put into the free space.
    pub(super) fn filled_by(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.data.len());
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut buffer = Buffer::default();
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let (mut written, mut read) = (0, Vec::new());
        while read.len() < bytes.len() {
            let space = buffer.space();
            let count = space.len().min(7919).min(bytes.len() - written);
            space[..count].copy_from_slice(&bytes[written..written + count]);
            buffer.filled_by(count);
            written += count;
            let taken = buffer.len().min(4001);
            read.extend_from_slice(&buffer.filled()[..taken]);
            buffer.consume(taken);
        }
        assert_eq!(read, bytes);
        buffer.append(&bytes);
        assert_eq!(buffer.filled(), bytes);
        buffer.consume(bytes.len());
        assert_eq!(buffer.data.len(), 0);
    }
}
