//! Reads a journal back: every acknowledged record in order, or an error. The only thing ever left out is the tail
//! behind the last acknowledged record, which a crash may have torn.
//!
//! How a torn tail is told from damage: each record says how much of its segment was durable when it was written. A
//! bad record is damage when any good record behind it says that it had been durable; else it was part of the last
//! batch, whose blocks may have reached the disk in any order, and of which nobody was told.

use super::JournalError;
use super::codec;
use super::frame::{self, PAYLOAD_BYTES_MAX, Shared};
use super::segment::{self, Before, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES};
use crate::files::{Dir, FileError};
use crate::header::HeaderError;
use crate::layout;
use dc_model::{JobUuid, Record};
use std::fmt;

/// How the journal ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// With its last record.
    Clean,
    /// With bytes that were never acknowledged, and are left out.
    Torn {
        /// The segment's epoch.
        segment: u32,
        /// Where they begin, in bytes.
        at: u64,
        /// How many they are, up to the last that is not zero.
        bytes: u64,
    },
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("the journal is whole"),
            Self::Torn { segment, at, bytes } => write!(
                f,
                "{}: the last {bytes} bytes, from byte {at} on, are an unfinished write of which nothing was \
                 acknowledged; they are left out",
                layout::journal(*segment)
            ),
        }
    }
}

/// What a journal says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// Every record with its number, in order.
    pub records: Vec<(u64, Record)>,
    /// The newest epoch that has a segment, perhaps an empty one; 0 without any. The next run is the one after it.
    pub epoch: u32,
    /// How it ends.
    pub tail: Tail,
    /// Where it ends, for the next segment's header.
    pub before: Before,
}

/// A segment, as far as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFound {
    /// Its epoch.
    pub epoch: u32,
    /// The file's length.
    pub file_bytes: u64,
    /// How much of it counts; 0 when not even its header was acknowledged.
    pub valid_bytes: u64,
    /// Records in it that count.
    pub records: usize,
}

/// What can be read of a journal, up to the first error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What was read.
    pub replay: Replay,
    /// The segments that were read.
    pub segments: Vec<SegmentFound>,
    /// Why the rest was not.
    pub error: Option<JournalError>,
}

/// Reads the journal of `job` in its directory.
///
/// # Errors
/// When an acknowledged record is damaged or missing, a segment belongs to another job or is of a newer version, or a
/// file cannot be read.
pub fn read_all(dir: &Dir, job: JobUuid) -> Result<Replay, JournalError> {
    let found = read_found(dir, job);
    found.error.map_or(Ok(found.replay), Err)
}

/// As [`read_all`], but gives what comes before the first error as well.
#[must_use]
pub fn read_found(dir: &Dir, job: JobUuid) -> Found {
    let replay = Replay { records: Vec::new(), epoch: 0, tail: Tail::Clean, before: Before::default() };
    let mut reader = JournalReader { dir, job, replay, segments: Vec::new() };
    let error = reader.read().err();
    Found { replay: reader.replay, segments: reader.segments, error }
}

struct JournalReader<'a> {
    dir: &'a Dir,
    job: JobUuid,
    replay: Replay,
    segments: Vec<SegmentFound>,
}

/// Where a segment must end, as a later segment says.
#[derive(Clone, Copy)]
struct End {
    seq: u64,
    crc: u32,
    /// Its length, when the very next segment says it.
    bytes: Option<u64>,
}

impl JournalReader<'_> {
    fn read(&mut self) -> Result<(), JournalError> {
        let epochs = segments_in(self.dir)?;
        let Some(last) = epochs.last().copied() else { return Ok(()) };
        for (segment, there) in (1..).zip(&epochs) {
            if segment != *there {
                return Err(JournalError::Missing { segment });
            }
        }
        let headers = epochs.iter().map(|epoch| self.header(*epoch)).collect::<Result<Vec<_>, _>>()?;
        for (index, epoch) in epochs.iter().copied().enumerate() {
            let later = headers.get(index + 1..).unwrap_or_default();
            let end = later.iter().enumerate().find_map(|(nth, header)| {
                header.ok().map(|h| End { seq: h.seq, crc: h.crc, bytes: (nth == 0).then_some(h.bytes) })
            });
            let header = headers.get(index).copied().unwrap_or(Err(HeaderError::Short));
            self.segment(epoch, header, end)?;
            self.replay.epoch = epoch;
        }
        debug_assert_eq!(self.replay.epoch, last);
        Ok(())
    }

    /// The header of a segment. One that says it is another job's or a newer dc's is an error at once; any other that
    /// is not whole may be one that was never acknowledged.
    fn header(&self, epoch: u32) -> Result<Result<Before, HeaderError>, JournalError> {
        let file = self.dir.open_file(layout::journal(epoch))?;
        let start = file.read_front(SEGMENT_HEADER_BYTES as u64)?;
        match segment::decode(self.job, epoch, &start) {
            Err(
                error @ (HeaderError::Newer { .. } | HeaderError::Foreign { .. } | HeaderError::Misplaced),
            ) => Err(JournalError::Header { segment: epoch, error }),
            other => Ok(other),
        }
    }

    fn segment(
        &mut self,
        epoch: u32,
        header: Result<Before, HeaderError>,
        end: Option<End>,
    ) -> Result<(), JournalError> {
        let before = self.replay.before;
        match header {
            Ok(says) if says != before => Err(JournalError::Corrupt {
                segment: epoch.saturating_sub(1).max(1),
                at: before.bytes,
                why: "the next segment says that it ended elsewhere",
            }),
            Ok(_) => self.body(epoch, end),
            Err(error) => self.headless(epoch, error, end),
        }
    }

    /// A segment without a header: fine if it was never acknowledged.
    fn headless(&mut self, epoch: u32, error: HeaderError, end: Option<End>) -> Result<(), JournalError> {
        let before = self.replay.before;
        let damaged = JournalError::Header { segment: epoch, error };
        let file = self.dir.read(layout::journal(epoch), SEGMENT_BYTES_MAX)?;
        if let Some(end) = end {
            let nothing_in_it = end.seq == before.seq && end.crc == before.crc && end.bytes.unwrap_or(0) == 0;
            if !nothing_in_it {
                return Err(damaged);
            }
        } else if file.iter().any(|byte| *byte != 0) {
            let seed = segment::seed(&segment::encode(self.job, epoch, before));
            let shared = Shared { seed, epoch };
            if acknowledged_behind(shared, &file, 0, before.seq) {
                return Err(damaged);
            }
            self.replay.tail = torn(epoch, &file, 0);
        }
        self.replay.before.bytes = 0;
        self.segments.push(SegmentFound { epoch, file_bytes: file.len() as u64, valid_bytes: 0, records: 0 });
        Ok(())
    }

    fn body(&mut self, epoch: u32, end: Option<End>) -> Result<(), JournalError> {
        let file = self.dir.read(layout::journal(epoch), SEGMENT_BYTES_MAX)?;
        let header = file.get(..SEGMENT_HEADER_BYTES).unwrap_or_default();
        let shared = Shared { seed: segment::seed(header), epoch };
        let Before { mut seq, mut crc, .. } = self.replay.before;
        let first = self.replay.records.len();
        let mut at = SEGMENT_HEADER_BYTES;
        let corrupt = |at: usize, why| JournalError::Corrupt { segment: epoch, at: at as u64, why };
        let result = loop {
            if let Some(end) = end.filter(|end| end.seq == seq) {
                let same = end.crc == crc && end.bytes.is_none_or(|bytes| bytes == at as u64);
                let why = "a later segment says that it ended elsewhere";
                break if same { Ok(()) } else { Err(corrupt(at, why)) };
            }
            let rest = file.get(at..).unwrap_or_default();
            match frame::parse(shared, rest) {
                Some(frame) if frame.seq == seq + 1 && frame.crc_before == crc => {
                    let Ok(record) = codec::decode(frame.number, frame.payload) else {
                        break Err(corrupt(
                            at,
                            "a record there is of an unknown kind, though its checksum is right",
                        ));
                    };
                    self.replay.records.push((frame.seq, record));
                    (seq, crc) = (frame.seq, frame.crc);
                    at += frame.len_bytes;
                }
                Some(_) => break Err(corrupt(at, "a record there is not the one that comes next")),
                None if end.is_some() => {
                    break Err(corrupt(at, "a record that was acknowledged is not whole"));
                }
                None if rest.iter().all(|byte| *byte == 0) => break Ok(()),
                None if acknowledged_behind(shared, &file, at, seq) => {
                    break Err(corrupt(
                        at,
                        "a record there is not whole, and later ones prove that it once was",
                    ));
                }
                None => {
                    self.replay.tail = torn(epoch, &file, at);
                    break Ok(());
                }
            }
        };
        self.replay.before = Before { bytes: at as u64, seq, crc };
        self.segments.push(SegmentFound {
            epoch,
            file_bytes: file.len() as u64,
            valid_bytes: at as u64,
            records: self.replay.records.len() - first,
        });
        result
    }
}

/// Whether a good record behind `at` says that the bytes at `at` had been durable.
fn acknowledged_behind(shared: Shared, file: &[u8], at: usize, seq: u64) -> bool {
    frame::behind(shared, PAYLOAD_BYTES_MAX, file, at, seq).any(|(_, frame)| frame.durable_bytes > at as u64)
}

fn torn(segment: u32, file: &[u8], at: usize) -> Tail {
    let end = file.iter().rposition(|byte| *byte != 0).map_or(at, |last| last + 1);
    Tail::Torn { segment, at: at as u64, bytes: end.saturating_sub(at) as u64 }
}

/// The epochs that have a segment, rising.
fn segments_in(dir: &Dir) -> Result<Vec<u32>, FileError> {
    let mut epochs: Vec<_> =
        dir.list()?.iter().filter_map(|entry| layout::parse_journal(&entry.name)).collect();
    epochs.sort_unstable();
    Ok(epochs)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
