//! Reads a state directory back: the newest snapshot that is whole, and every acknowledged record after it, or an error.
//! The only thing ever left out is the tail behind the last acknowledged record, which a crash may have torn.
//!
//! How a torn tail is told from damage: each record says how much of its segment was durable when it was written. A bad
//! record is damage when any good record behind it says that it had been durable, or when a later segment or the
//! snapshot does. Else it was part of the last write, whose blocks may have reached the disk in any order, and of which
//! nobody was told. Nothing is changed here.

use crate::segment::{PAYLOAD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::snapshot::{self, Snapshot, Unreadable};
use crate::{ClusterUuid, StoreError, layout};
use dc_spool::files::{Dir, FileError};
use dc_spool::header::HeaderError;
use dc_spool::journal::Before;
use dc_spool::journal::frame::{self, Shared};
use nix::errno::Errno;
use std::fmt;

/// How the journal ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// With its last record.
    Clean,
    /// With bytes that were never acknowledged, and are left out.
    Torn {
        /// The segment's number.
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
                layout::segment(*segment)
            ),
        }
    }
}

/// A record of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef<'a> {
    /// Its number.
    pub seq: u64,
    /// The run of the scheduler that wrote it.
    pub epoch: u32,
    /// Its type.
    pub kind: u16,
    /// What it says.
    pub payload: &'a [u8],
}

/// A segment, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Loaded {
    pub header: SegmentHeader,
    pub shared: Shared,
    pub bytes: Vec<u8>,
    /// How much of it counts; 0 when not even its header was acknowledged.
    pub valid_bytes: u64,
    /// Where its records begin.
    pub places: Vec<usize>,
}

/// The records after the snapshot, in order; they were all checked when the directory was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Records {
    pub(crate) segments: Vec<Loaded>,
    pub(crate) after_seq: u64,
}

impl Records {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let all = self.segments.iter().flat_map(|segment| {
            segment.places.iter().filter_map(|at| {
                let bytes = segment.bytes.get(*at..)?;
                let frame = frame::parse_within(segment.shared, PAYLOAD_BYTES_MAX, bytes)?;
                let epoch = segment.header.epoch;
                Some(RecordRef { seq: frame.seq, epoch, kind: frame.number, payload: frame.payload })
            })
        });
        all.filter(|record| record.seq > self.after_seq)
    }
}

/// What can be read of a state directory, up to the first error.
#[derive(Debug)]
pub(crate) struct Found {
    /// Newer snapshots that are not whole, and why.
    pub passed_over: Vec<(u32, Unreadable)>,
    pub snapshot: Option<Snapshot>,
    /// All numbers that have a file, rising.
    pub snapshots: Vec<u32>,
    pub segments: Vec<u32>,
    /// The segments from the snapshot on.
    pub records: Records,
    /// Damage in records that the snapshot holds already, and which nobody needs.
    pub overtaken: Option<StoreError>,
    pub tail: Tail,
    /// Where the journal ends, for the next segment's header.
    pub before: Before,
    /// The newest epoch that may have been seen by anybody.
    pub epoch: u32,
    /// Why the rest was not read.
    pub error: Option<StoreError>,
}

impl Found {
    /// The number of the newest segment; 0 without any.
    pub fn last_segment(&self) -> u32 {
        self.segments.last().copied().unwrap_or(0)
    }
}

/// Reads all of it.
pub(crate) fn read(dir: &Dir, cluster: ClusterUuid) -> Found {
    let found = Found {
        passed_over: Vec::new(),
        snapshot: None,
        snapshots: Vec::new(),
        segments: Vec::new(),
        records: Records::default(),
        overtaken: None,
        tail: Tail::Clean,
        before: Before::default(),
        epoch: 0,
        error: None,
    };
    let mut reader = Reader { dir, cluster, attached: false, found };
    reader.found.error = reader.read().err();
    reader.found
}

/// Names in the directory: snapshots and segments, rising.
pub(crate) fn names(dir: &Dir) -> Result<(Vec<u32>, Vec<u32>), FileError> {
    let entries = dir.list()?;
    let numbers = |parse: fn(&std::ffi::OsStr) -> Option<u32>| {
        let mut numbers: Vec<_> = entries.iter().filter_map(|entry| parse(&entry.name)).collect();
        numbers.sort_unstable();
        numbers
    };
    Ok((numbers(layout::parse_snapshot), numbers(layout::parse_segment)))
}

/// The header of a segment. One that says it is another cluster's or a newer dc's is an error at once; any other that is
/// not whole may be one that was never acknowledged.
pub(crate) fn header(
    dir: &Dir,
    cluster: ClusterUuid,
    number: u32,
) -> Result<Result<SegmentHeader, HeaderError>, StoreError> {
    let name = layout::segment(number);
    let path = dir.path_of(&name);
    let start = dir.open_file(&name)?.read_front(SEGMENT_HEADER_BYTES as u64)?;
    match SegmentHeader::decode(cluster, number, &start) {
        Err(error @ (HeaderError::Newer { .. } | HeaderError::Foreign { .. } | HeaderError::Misplaced)) => {
            Err(StoreError::header(path, error))
        }
        other => Ok(other),
    }
}

struct Reader<'a> {
    dir: &'a Dir,
    cluster: ClusterUuid,
    /// Whether the record that the snapshot stands for was found.
    attached: bool,
    found: Found,
}

/// Where a segment must end, as a later segment says.
#[derive(Clone, Copy)]
struct End {
    seq: u64,
    crc: u32,
    /// Its length, when the very next segment says it.
    bytes: Option<u64>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), StoreError> {
        (self.found.snapshots, self.found.segments) = names(self.dir)?;
        let at_seq = self.choose_snapshot()?;
        let headers = self.found.segments.iter().map(|number| header(self.dir, self.cluster, *number));
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        let starts = |header: &Result<SegmentHeader, HeaderError>| {
            header.as_ref().is_ok_and(|header| header.before.seq <= at_seq)
        };
        let base = headers.iter().rposition(starts);
        if let Some(Ok(header)) = base.and_then(|base| headers.get(base)) {
            self.found.before = header.before;
        } else if at_seq > 0 || self.found.segments.first().is_some_and(|first| *first != 1) {
            let missing = self.found.segments.first().map_or(1, |first| first.saturating_sub(1).max(1));
            return Err(StoreError::Missing { path: self.dir.path_of(layout::segment(missing)) });
        }
        let base = base.unwrap_or(0);
        let needed: Vec<u32> = self.found.segments.get(base..).unwrap_or_default().to_vec();
        for (expected, there) in (needed.first().copied().unwrap_or(1)..).zip(&needed) {
            if expected != *there {
                return Err(StoreError::Missing { path: self.dir.path_of(layout::segment(expected)) });
            }
        }
        self.attach(at_seq)?;
        for (nth, number) in needed.iter().copied().enumerate() {
            let later = headers.get(base + nth + 1..).unwrap_or_default();
            let end = later.iter().enumerate().find_map(|(far, header)| {
                let before = header.as_ref().ok()?.before;
                Some(End { seq: before.seq, crc: before.crc, bytes: (far == 0).then_some(before.bytes) })
            });
            let header = headers.get(base + nth).copied().unwrap_or(Err(HeaderError::Short));
            self.segment(number, nth == 0, header, end)?;
        }
        if self.found.before.seq < at_seq {
            let number = self.found.last_segment().max(1);
            return Err(self.corrupt(
                number,
                self.found.before.bytes,
                "a snapshot proves that more was durable",
            ));
        }
        Ok(())
    }

    /// Takes the newest snapshot that is whole; gives the number of the record it stands for.
    fn choose_snapshot(&mut self) -> Result<u64, StoreError> {
        for number in self.found.snapshots.clone().into_iter().rev() {
            match snapshot::read(self.dir, self.cluster, number) {
                Ok(snapshot) => {
                    let seq = snapshot.stands.seq;
                    self.found.epoch = snapshot.stands.epoch;
                    self.found.records.after_seq = seq;
                    self.found.snapshot = Some(snapshot);
                    return Ok(seq);
                }
                // These are not damage: another program, or another user, is what it needs.
                Err(Unreadable::Header(
                    error
                    @ (HeaderError::Newer { .. } | HeaderError::Foreign { .. } | HeaderError::Misplaced),
                )) => return Err(StoreError::header(self.dir.path_of(layout::snapshot(number)), error)),
                Err(Unreadable::File(error)) if error.errno() != Some(Errno::EIO) => return Err(error.into()),
                Err(why) => self.found.passed_over.push((number, why)),
            }
        }
        let why = self.found.passed_over.first().map_or_else(
            || "there is none".to_owned(),
            |(number, why)| format!("{}: {why}", layout::snapshot(*number)),
        );
        Err(StoreError::NoSnapshot { dir: self.dir.path().to_owned(), why })
    }

    /// Holds the record that the snapshot stands for against the one in the journal, when the reading is there.
    fn attach(&mut self, at_seq: u64) -> Result<(), StoreError> {
        let stands = self.found.snapshot.as_ref().map(|snapshot| snapshot.stands);
        if let Some(stands) = stands.filter(|_| self.found.before.seq == at_seq) {
            if stands.crc != self.found.before.crc {
                let path = self.dir.path_of(layout::snapshot(stands.number));
                let why = "it does not belong to this journal: the record it stands for is another one";
                return Err(StoreError::Corrupt { path, at: 0, why });
            }
            self.attached = true;
        }
        Ok(())
    }

    fn segment(
        &mut self,
        number: u32,
        first: bool,
        header: Result<SegmentHeader, HeaderError>,
        end: Option<End>,
    ) -> Result<(), StoreError> {
        let before = self.found.before;
        match header {
            Ok(header) if !first && header.before != before => Err(self.corrupt(
                number.saturating_sub(1),
                before.bytes,
                "the next segment says that it ended elsewhere",
            )),
            Ok(header) if header.epoch < self.found.epoch && !first => {
                Err(self.corrupt(number, 0, "its epoch is below that of the segment before"))
            }
            Ok(header) => {
                self.found.epoch = self.found.epoch.max(header.epoch);
                self.body(header, end)
            }
            Err(error) => self.headless(number, error, end),
        }
    }

    /// A segment without a header: fine if it was never acknowledged.
    fn headless(&mut self, number: u32, error: HeaderError, end: Option<End>) -> Result<(), StoreError> {
        let (before, epoch) = (self.found.before, self.found.epoch);
        let damaged = StoreError::header(self.dir.path_of(layout::segment(number)), error);
        let bytes = self.dir.read(layout::segment(number), SEGMENT_BYTES_MAX)?;
        // It followed a segment of the same run, or began a new one; all else in its header is known.
        let could_be = [epoch, epoch.saturating_add(1)].map(|epoch| SegmentHeader { number, epoch, before });
        if let Some(end) = end {
            let nothing_in_it = end.seq == before.seq && end.crc == before.crc && end.bytes.unwrap_or(0) == 0;
            if !nothing_in_it {
                return Err(damaged);
            }
        } else if bytes.iter().any(|byte| *byte != 0) {
            if could_be.iter().any(|header| proven(header.shared(self.cluster), &bytes, 0, before.seq)) {
                return Err(damaged);
            }
            self.found.tail = torn(number, &bytes, 0);
        }
        let [header, next] = could_be;
        self.found.before.bytes = 0;
        self.found.epoch = next.epoch;
        let shared = header.shared(self.cluster);
        self.found.records.segments.push(Loaded {
            header,
            shared,
            bytes,
            valid_bytes: 0,
            places: Vec::new(),
        });
        Ok(())
    }

    fn body(&mut self, header: SegmentHeader, end: Option<End>) -> Result<(), StoreError> {
        let bytes = self.dir.read(layout::segment(header.number), SEGMENT_BYTES_MAX)?;
        let shared = header.shared(self.cluster);
        let mut loaded = Loaded { header, shared, bytes, valid_bytes: 0, places: Vec::new() };
        self.found.before.bytes = SEGMENT_HEADER_BYTES as u64;
        let mut result = self.frames(&mut loaded, end);
        if let Some(error) = result.as_ref().err().cloned()
            && self.skip_overtaken(&mut loaded)
        {
            self.found.overtaken = Some(error);
            result = self.frames(&mut loaded, end);
        }
        loaded.valid_bytes = self.found.before.bytes;
        self.found.records.segments.push(loaded);
        result
    }

    /// Reads on from where the reading is, to the end of what counts.
    fn frames(&mut self, loaded: &mut Loaded, end: Option<End>) -> Result<(), StoreError> {
        let (number, shared) = (loaded.header.number, loaded.shared);
        loop {
            let Before { bytes: at, seq, crc } = self.found.before;
            let corrupt = |why| Err(self.corrupt(number, at, why));
            if let Some(end) = end.filter(|end| end.seq == seq) {
                let same = end.crc == crc && end.bytes.is_none_or(|bytes| bytes == at);
                return if same { Ok(()) } else { corrupt("a later segment says that it ended elsewhere") };
            }
            let place = at as usize;
            let rest = loaded.bytes.get(place..).unwrap_or_default();
            match frame::parse_within(shared, PAYLOAD_BYTES_MAX, rest) {
                Some(frame) if frame.seq == seq + 1 && frame.crc_before == crc => {
                    loaded.places.push(place);
                    self.found.before =
                        Before { bytes: at + frame.len_bytes as u64, seq: frame.seq, crc: frame.crc };
                    self.attach(self.found.records.after_seq)?;
                }
                Some(_) => return corrupt("a record there is not the one that comes next"),
                None if end.is_some() => return corrupt("a record that was acknowledged is not whole"),
                None if rest.iter().all(|byte| *byte == 0) => return Ok(()),
                None if proven(shared, &loaded.bytes, place, seq) => {
                    return corrupt("a record there is not whole, and later ones prove that it once was");
                }
                None => {
                    self.found.tail = torn(number, &loaded.bytes, place);
                    return Ok(());
                }
            }
        }
    }

    /// Goes to the end of the record that the snapshot stands for, when it lies behind damage in this segment: what the
    /// snapshot holds is not needed.
    fn skip_overtaken(&mut self, loaded: &mut Loaded) -> bool {
        let Some(stands) = self.found.snapshot.as_ref().map(|s| s.stands).filter(|_| !self.attached) else {
            return false;
        };
        let at = self.found.before.bytes as usize;
        let mut behind =
            frame::behind(loaded.shared, PAYLOAD_BYTES_MAX, &loaded.bytes, at, stands.seq.saturating_sub(1));
        let Some((place, frame)) = behind.find(|(_, f)| f.seq == stands.seq && f.crc == stands.crc) else {
            return false;
        };
        self.found.before =
            Before { bytes: (place + frame.len_bytes) as u64, seq: frame.seq, crc: frame.crc };
        loaded.places.push(place);
        self.attached = true;
        true
    }

    fn corrupt(&self, number: u32, at: u64, why: &'static str) -> StoreError {
        StoreError::Corrupt { path: self.dir.path_of(layout::segment(number)), at, why }
    }
}

/// Whether a good record behind `at` says that the bytes at `at` had been durable.
fn proven(shared: Shared, file: &[u8], at: usize, seq: u64) -> bool {
    frame::behind(shared, PAYLOAD_BYTES_MAX, file, at, seq).any(|(_, frame)| frame.durable_bytes > at as u64)
}

fn torn(segment: u32, file: &[u8], at: usize) -> Tail {
    let end = file.iter().rposition(|byte| *byte != 0).map_or(at, |last| last + 1);
    Tail::Torn { segment, at: at as u64, bytes: end.saturating_sub(at) as u64 }
}

/// The CRC of a record that is durable, by its number; 0 for number 0.
pub(crate) fn crc_of(dir: &Dir, cluster: ClusterUuid, seq: u64) -> Result<u32, StoreError> {
    let (_, segments) = names(dir)?;
    for number in segments.iter().rev() {
        let Ok(header) = header(dir, cluster, *number)? else { continue };
        if header.before.seq == seq {
            return Ok(header.before.crc);
        }
        if header.before.seq > seq {
            continue;
        }
        let bytes = dir.read(layout::segment(*number), SEGMENT_BYTES_MAX)?;
        let shared = header.shared(cluster);
        let mut at = SEGMENT_HEADER_BYTES;
        while let Some(frame) =
            bytes.get(at..).and_then(|rest| frame::parse_within(shared, PAYLOAD_BYTES_MAX, rest))
        {
            if frame.seq == seq {
                return Ok(frame.crc);
            }
            at += frame.len_bytes;
        }
        let why = "a record that is durable cannot be read back";
        return Err(StoreError::Corrupt { path: dir.path_of(layout::segment(*number)), at: at as u64, why });
    }
    Err(StoreError::Missing { path: dir.path_of(layout::segment(segments.first().copied().unwrap_or(1))) })
}
