//! Whole lines out of a byte stream. What is kept back is a part of one line, never more than
//! [`LINE_BYTES_MAX`]; a longer line is split.

use dc_model::wire::LINE_BYTES_MAX;

/// The part of a line that has no end yet.
#[derive(Default, Debug)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Adds what was read, and gives out what is whole, in pieces of at most [`LINE_BYTES_MAX`] bytes that end where
    /// a line does, unless that line alone is longer.
    pub fn push(&mut self, bytes: &[u8], mut piece: impl FnMut(&[u8])) {
        let Some(newline) = bytes.iter().rposition(|b| *b == b'\n') else {
            self.partial.extend_from_slice(bytes);
            self.split_partial(&mut piece);
            return;
        };
        let (whole, rest) = bytes.split_at(newline + 1);
        if self.partial.is_empty() {
            pieces(whole, &mut piece);
        } else {
            self.partial.extend_from_slice(whole);
            pieces(&self.partial, &mut piece);
            self.partial.clear();
        }
        self.partial.extend_from_slice(rest);
        self.split_partial(&mut piece);
    }

    /// The unterminated rest at the stream's end.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    fn split_partial(&mut self, piece: &mut impl FnMut(&[u8])) {
        // A line of exactly the limit may still get its newline: only what is beyond is split off.
        let mut start = 0;
        while self.partial.len() - start >= LINE_BYTES_MAX {
            piece(&self.partial[start..start + LINE_BYTES_MAX]);
            start += LINE_BYTES_MAX;
        }
        self.partial.drain(..start);
        if self.partial.is_empty() {
            // Most streams hold nothing back: their memory is not kept for one long line.
            self.partial = Vec::new();
        }
    }
}

/// Cuts whole lines into pieces: as many lines as fit, or a part of one that is longer.
fn pieces(mut whole: &[u8], piece: &mut impl FnMut(&[u8])) {
    while !whole.is_empty() {
        let window = &whole[..whole.len().min(LINE_BYTES_MAX)];
        let cut = window.iter().rposition(|b| *b == b'\n').map_or(window.len(), |at| at + 1);
        let (head, rest) = whole.split_at(cut);
        piece(head);
        whole = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for part in input.chunks(chunk) {
            lines.push(part, |piece| out.push(piece.to_vec()));
        }
        (out, lines.finish())
    }

    #[test]
    fn pieces_end_where_lines_do() {
        let input = b"one\ntwo\nthree\n\nfour";
        for chunk in 1..=input.len() {
            let (out, rest) = run(input, chunk);
            assert!(out.iter().all(|piece| piece.ends_with(b"\n")), "chunks of {chunk}");
            assert_eq!(rest, b"four");
            assert_eq!([out.concat(), rest].concat(), input);
        }
        assert_eq!(run(input, 100).0.len(), 1, "lines that came together go together");
    }

    #[test]
    fn long_lines_are_split_and_lose_nothing() {
        for len in [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 3 * LINE_BYTES_MAX + 5] {
            let mut input = vec![b'x'; len];
            input.extend_from_slice(b"\nnext\nrest");
            for chunk in [1000, LINE_BYTES_MAX, input.len()] {
                let (out, rest) = run(&input, chunk);
                assert!(out.iter().all(|piece| piece.len() <= LINE_BYTES_MAX));
                assert_eq!(rest, b"rest");
                assert_eq!([out.concat(), rest].concat(), input, "{len} in chunks of {chunk}");
            }
        }
    }
}
