//! The results of a job for a program that is not dc's: all of them verified, then named one a line, and strung
//! together as a stream.

use crate::concat::copy;
use crate::{MergeError, Part};
use dc_model::Attempt;
use dc_spool::layout;
use dc_spool::result::Results;
use std::fmt::Write as _;
use std::io;

/// The first line of a listing: what stands in its columns, which a tab parts.
pub const COLUMNS: &str = "subtask\tname\tfile\toffset\tbytes\tdtype\tlayout\tvalues_per_cell\tcount\tblock";

/// What there is to merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// [`COLUMNS`], then a line for each result, in the order of the parts. Files are named from the job's directory;
    /// what is missing is `-`.
    pub text: String,
    /// How many results there are.
    pub results: u64,
    /// Length of all payloads together.
    pub bytes: u64,
}

/// Reads every result once and holds it against its checksum; then names them.
///
/// # Errors
/// The first result that is missing, damaged or not the one that was committed.
pub fn list(parts: &[Part], results: &Results) -> Result<Listing, MergeError> {
    let mut all = Listing { text: format!("{COLUMNS}\n"), results: 0, bytes: 0 };
    for part in parts {
        let reader = part.try_open(results)?;
        reader.verify().map_err(|e| part.unusable(io::Error::other(e)))?;
        let (head, bytes) = (reader.head(), reader.meta().len);
        let attempt = part.committed.map_or(Attempt(0), |(attempt, _)| attempt);
        let file = format!("{}/{}", layout::RESULT, layout::result(part.subtask, attempt));
        let block = part.block.map_or_else(|| "-".to_owned(), |block| block.to_string());
        // Writing into a string cannot fail. A name is of letters, digits and signs.
        let _ = writeln!(
            all.text,
            "{}\t{}\t{file}\t{}\t{bytes}\t{}\t{}\t{}\t{}\t{block}",
            part.subtask,
            part.name.as_deref().unwrap_or("-"),
            reader.payload_at(),
            head.dtype,
            head.layout,
            head.values_per_cell,
            head.values,
        );
        all.results += 1;
        all.bytes = all.bytes.saturating_add(bytes);
    }
    Ok(all)
}

/// Why a stream of results ended early.
#[derive(Debug)]
pub enum StreamError {
    /// A result is not what it was.
    Merge(MergeError),
    /// The other side does not take it.
    Output(io::Error),
}

/// Writes the payloads of all parts, one after another, and returns their length. Damage shows before the last bytes of
/// the result it is in are written.
///
/// # Errors
/// [`StreamError`].
pub fn stream(parts: &[Part], results: &Results, out: &mut dyn io::Write) -> Result<u64, StreamError> {
    let mut total_bytes = 0;
    for part in parts {
        let reader = part.try_open(results).map_err(StreamError::Merge)?;
        let unusable = |error| StreamError::Merge(part.unusable(error));
        total_bytes +=
            copy(&mut reader.payload(), unusable, |piece| out.write_all(piece).map_err(StreamError::Output))?;
    }
    Ok(total_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spool::TestSpool;
    use crate::{Dtype, Layout};
    use dc_model::Block;

    fn two(spool: &TestSpool) -> Vec<Part> {
        let block = Some(Block { x0: 0, y0: 1, x1: 2, y1: 3 });
        let mut named = spool.add(7, None, (Dtype::U1, Layout::Bytes, 1), b"xyz");
        named.name = Some("north".into());
        vec![spool.add(3, block, (Dtype::I2, Layout::Block, 2), &[9; 16]), named]
    }

    #[test]
    fn a_line_for_each_and_its_bytes_are_where_it_says() {
        let spool = TestSpool::new();
        let parts = two(&spool);
        let listing = list(&parts, &spool.results).unwrap();
        assert_eq!((listing.results, listing.bytes), (2, 19));
        let lines: Vec<Vec<&str>> = listing.text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0].join("\t"), COLUMNS);
        assert_eq!(lines[1][..2], ["3", "-"]);
        assert_eq!(lines[1][4..], ["16", "i2", "block", "2", "8", "0 1 2 3"]);
        assert_eq!(lines[2][1], "north");
        assert_eq!(lines[2][4..], ["3", "u1", "bytes", "1", "3", "-"]);
        let whole = std::fs::read(spool.result_path(7)).unwrap();
        assert_eq!(whole[lines[2][3].parse::<usize>().unwrap()..], *b"xyz");
        assert!(spool.result_path(7).ends_with(lines[2][2]));
        let mut out = Vec::new();
        assert_eq!(stream(&parts, &spool.results, &mut out).unwrap(), 19);
        assert_eq!(out, [&[9; 16][..], b"xyz"].concat());
    }

    #[test]
    fn damage_is_found_before_anything_is_given_out() {
        let spool = TestSpool::new();
        let parts = two(&spool);
        spool.damage(7);
        let error = list(&parts, &spool.results).unwrap_err().to_string();
        assert!(error.contains("subtask 7 (north) cannot be used"), "{error}");
        let mut out = Vec::new();
        assert!(matches!(stream(&parts, &spool.results, &mut out), Err(StreamError::Merge(_))));
        assert!(out.len() < 19);
    }
}
