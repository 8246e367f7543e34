//! Puts pieces of ranks' output one after another: the rank before each line where that is asked for, and the memory
//! of whose line is open, so that nothing is glued to a line it does not belong to.

use dc_model::wire::Output;
use dc_model::{Attempt, SubtaskId};

/// Whose line is open.
type Owner = (SubtaskId, Attempt, bool);

/// Where a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cursor {
    /// At the beginning of a line.
    #[default]
    Start,
    /// In a line that its stream may go on with.
    Open(Owner),
    /// In a line whose stream has ended.
    Ended,
}

impl Cursor {
    /// Whether a line of dcrun's own would be glued to another.
    #[must_use]
    pub fn is_open(self) -> bool {
        self != Self::Start
    }

    /// Ends the open line, if one is.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            out.push(b'\n');
            *self = Self::Start;
        }
    }

    /// Appends a piece as it is.
    pub fn plain(&mut self, out: &mut Vec<u8>, piece: &Output) {
        if !piece.bytes.is_empty() {
            out.extend_from_slice(&piece.bytes);
            *self = after(piece);
        }
    }

    /// Appends a piece with its rank before each line, right-aligned to `width`.
    pub fn labelled(&mut self, out: &mut Vec<u8>, piece: &Output, width: usize) {
        if piece.bytes.is_empty() {
            return;
        }
        let mut goes_on = *self == Self::Open(owner(piece));
        if !goes_on {
            self.close(out);
        }
        let label = format!("{:>width$}: ", piece.rank.0);
        for line in piece.bytes.split_inclusive(|b| *b == b'\n') {
            if !std::mem::take(&mut goes_on) {
                out.extend_from_slice(label.as_bytes());
            }
            out.extend_from_slice(line);
        }
        *self = after(piece);
    }
}

fn owner(piece: &Output) -> Owner {
    (piece.subtask, piece.attempt, piece.stderr)
}

fn after(piece: &Output) -> Cursor {
    match (piece.bytes.last(), piece.last) {
        (Some(b'\n') | None, _) => Cursor::Start,
        (_, true) => Cursor::Ended,
        (_, false) => Cursor::Open(owner(piece)),
    }
}

/// How many columns the highest rank's number takes.
#[must_use]
pub fn width(ranks: u32) -> usize {
    ranks.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::Rank;

    fn piece(rank: u32, bytes: &[u8], last: bool) -> Output {
        let (subtask, attempt) = (SubtaskId(rank), Attempt(1));
        Output { subtask, attempt, rank: Rank(rank), stderr: false, last, bytes: bytes.to_vec() }
    }

    fn labelled(pieces: &[Output], width: usize) -> String {
        let (mut cursor, mut out) = (Cursor::default(), Vec::new());
        pieces.iter().for_each(|piece| cursor.labelled(&mut out, piece, width));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_gets_its_rank() {
        assert_eq!(labelled(&[piece(3, b"a\n\nb\n", true)], 1), "3: a\n3: \n3: b\n");
        assert_eq!(labelled(&[piece(3, b"a\n", true), piece(12, b"b\n", true)], 2), " 3: a\n12: b\n");
    }

    #[test]
    fn an_unterminated_line_is_ended_only_when_another_comes() {
        assert_eq!(labelled(&[piece(0, b"a", true)], 1), "0: a");
        assert_eq!(labelled(&[piece(0, b"a", true), piece(1, b"b", true)], 1), "0: a\n1: b");
        assert_eq!(labelled(&[piece(0, b"a", true), piece(1, b"", true)], 1), "0: a");
        assert_eq!(
            labelled(&[piece(0, b"a", true), piece(0, b"b", true)], 1),
            "0: a\n0: b",
            "another process"
        );
    }

    #[test]
    fn a_long_line_goes_on_where_it_was_left() {
        assert_eq!(labelled(&[piece(0, b"aa", false), piece(0, b"bb\nc\n", true)], 1), "0: aabb\n0: c\n");
        let between = [piece(0, b"aa", false), piece(1, b"x\n", true), piece(0, b"bb\n", true)];
        assert_eq!(labelled(&between, 1), "0: aa\n1: x\n0: bb\n");
    }

    #[test]
    fn without_labels_nothing_is_added() {
        let (mut cursor, mut out) = (Cursor::default(), Vec::new());
        for piece in [piece(0, b"a", true), piece(1, b"", true), piece(1, b"b\nc", true)] {
            cursor.plain(&mut out, &piece);
        }
        assert_eq!(out, b"ab\nc");
        cursor.close(&mut out);
        cursor.close(&mut out);
        assert_eq!(out, b"ab\nc\n");
    }

    #[test]
    fn widths() {
        assert_eq!([1, 2, 10, 11, 100, 101].map(width), [1, 1, 1, 2, 2, 3]);
    }
}
