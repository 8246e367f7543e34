//! The check of a state directory: what is there, the first damage and what it costs, and the repair, which takes away
//! nothing that was ever acknowledged, and keeps aside what it takes.

use crate::read::{self, Tail};
use crate::segment::{PAYLOAD_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::{ClusterUuid, FORMAT_VERSION, StoreError, identity, layout, owner, snapshot};
use dc_spool::files::{Dir, FileError, Op, TMP_PREFIX};
use dc_spool::journal::frame;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A snapshot, as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotReport {
    /// Its number.
    pub number: u32,
    /// Record it stands for, epoch, bytes of state, and digest; or why it cannot be read.
    pub found: Result<(u64, u32, usize, u128), String>,
}

/// A segment, as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentReport {
    /// Its number.
    pub number: u32,
    /// The run that wrote it.
    pub epoch: u32,
    /// The file's length.
    pub file_bytes: u64,
    /// How much of it counts; 0 when not even its header was acknowledged.
    pub valid_bytes: u64,
    /// Number of its first record, if it has one.
    pub first_seq: u64,
    /// Records in it that count.
    pub records: usize,
}

/// The first damage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// What and where.
    pub error: StoreError,
    /// The last record that can still be read in order.
    pub readable_seq: u64,
    /// The highest record that is known to have been written; those between are lost from this directory.
    pub proven_seq: u64,
}

/// What a check found. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Whose state it is.
    pub cluster: ClusterUuid,
    /// Who has it open; what is reported may be of a moment then.
    pub held_by: Option<String>,
    /// Snapshots, the newest first.
    pub snapshots: Vec<SnapshotReport>,
    /// Segments from the newest snapshot that is whole on.
    pub segments: Vec<SegmentReport>,
    /// Segments kept only for the snapshot before.
    pub segments_older: usize,
    /// Records after the snapshot.
    pub records: usize,
    /// How the journal ends.
    pub tail: Tail,
    /// Damage that a newer snapshot makes good.
    pub overtaken: Option<StoreError>,
    /// Unfinished files of interrupted writers.
    pub unfinished: Vec<String>,
    /// Why it does not open.
    pub damage: Option<Damage>,
}

/// Reads all of a state directory. Takes no lock, and changes nothing.
///
/// # Errors
/// When it is no state directory, or cannot be read at all.
pub fn check(path: &Path) -> Result<Report, StoreError> {
    let dir = open(path)?;
    check_in(&dir)
}

fn open(path: &Path) -> Result<Dir, StoreError> {
    match Dir::open(path) {
        Err(error) if error.is_not_found() => Err(StoreError::NotMade { dir: path.to_owned() }),
        other => Ok(other?),
    }
}

fn check_in(dir: &Dir) -> Result<Report, StoreError> {
    let cluster = identity(dir)?;
    let found = read::read(dir, cluster);
    let snapshots = found.snapshots.iter().rev().map(|number| {
        let read = snapshot::read(dir, cluster, *number);
        let found = read.map(|s| (s.stands.seq, s.stands.epoch, s.state.len(), s.digest));
        SnapshotReport { number: *number, found: found.map_err(|why| why.to_string()) }
    });
    let snapshots = snapshots.collect();
    let mut segments = Vec::new();
    for segment in &found.records.segments {
        let number = segment.header.number;
        segments.push(SegmentReport {
            number,
            epoch: segment.header.epoch,
            file_bytes: dir.len_bytes(layout::segment(number))?.unwrap_or(0),
            valid_bytes: segment.valid_bytes,
            first_seq: segment.header.before.seq + 1,
            records: segment.places.len(),
        });
    }
    let first_read = segments.first().map_or(u32::MAX, |segment| segment.number);
    let unfinished =
        dir.list()?.into_iter().filter(|entry| entry.name.as_bytes().starts_with(TMP_PREFIX.as_bytes()));
    let damage = found.error.clone().map(|error| Damage {
        error,
        readable_seq: found.before.seq,
        proven_seq: proven_seq(dir, cluster, &found),
    });
    Ok(Report {
        cluster,
        held_by: owner::holder(dir),
        snapshots,
        segments,
        segments_older: found.segments.iter().filter(|number| **number < first_read).count(),
        records: found.records.iter().count(),
        tail: found.tail,
        overtaken: found.overtaken,
        unfinished: unfinished.map(|entry| entry.name.to_string_lossy().into_owned()).collect(),
        damage,
    })
}

/// The highest number that any record, header or snapshot in the directory names.
fn proven_seq(dir: &Dir, cluster: ClusterUuid, found: &read::Found) -> u64 {
    let mut highest = found.before.seq.max(found.snapshot.as_ref().map_or(0, |s| s.stands.seq));
    for number in &found.segments {
        let Ok(Ok(header)) = read::header(dir, cluster, *number) else { continue };
        highest = highest.max(header.before.seq);
        let Ok(bytes) = dir.read(layout::segment(*number), SEGMENT_BYTES_MAX) else { continue };
        let mut at = crate::SEGMENT_HEADER_BYTES;
        // Frame by frame where they are whole, else at each place where one could begin.
        while let Some((place, frame)) =
            frame::behind(header.shared(cluster), PAYLOAD_BYTES_MAX, &bytes, at, 0).next()
        {
            highest = highest.max(frame.seq);
            at = place + frame.len_bytes;
        }
    }
    highest
}

/// Takes away what was never acknowledged and what interrupted writers left, and moves damaged snapshots that are not
/// needed aside. Gives back a line for each thing done. What is cut from a segment is kept in a file beside it.
///
/// # Errors
/// When another process has the directory; when something acknowledged is damaged, which no repair brings back, and then
/// nothing was changed; or when the disk says no.
pub fn repair(path: &Path) -> Result<Vec<String>, StoreError> {
    let dir = open(path)?;
    let cluster = identity(&dir)?;
    let _owner = owner::take(&dir)?;
    let found = read::read(&dir, cluster);
    if let Some(error) = found.error {
        return Err(error);
    }
    let mut done = Vec::new();
    if let Tail::Torn { segment, at, bytes } = found.tail {
        let name = layout::segment(segment);
        let content = dir.read(&name, SEGMENT_BYTES_MAX)?;
        let valid = usize::try_from(at).unwrap_or(usize::MAX);
        let (kept, cut) = content.split_at_checked(valid).unwrap_or((&content, &[]));
        let aside = format!("cut.{name}.{at}");
        let cut = cut.get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(cut);
        dir.replace(&aside, |out| out.write_all(cut))?;
        dir.replace(&name, |out| out.write_all(kept))?;
        done.push(format!(
            "{name}: cut at byte {at}; the {bytes} bytes behind it, never acknowledged, are in {aside}"
        ));
    }
    for (number, why) in &found.passed_over {
        let name = layout::snapshot(*number);
        let aside = format!("bad.{name}");
        let renamed = dir.disk().rename(dir.as_fd(), name.as_ref(), aside.as_ref());
        renamed.map_err(|errno| FileError::os(Op::Rename, &dir.path_of(&aside), errno))?;
        dir.sync()?;
        done.push(format!("{name}: damaged ({why}), not needed; moved to {aside}"));
    }
    let swept = dir.sweep_tmp()?;
    if swept > 0 {
        done.push(format!("{swept} unfinished files of interrupted writers removed"));
    }
    Ok(done)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster {}, format {FORMAT_VERSION}", self.cluster)?;
        if let Some(owner) = &self.held_by {
            writeln!(f, "in use by {owner}: what follows is of a moment")?;
        }
        for snapshot in &self.snapshots {
            let name = layout::snapshot(snapshot.number);
            match &snapshot.found {
                Ok((seq, epoch, bytes, digest)) => writeln!(
                    f,
                    "{name}: whole, {bytes} bytes of state after record {seq}, epoch {epoch}, digest {digest:032x}"
                )?,
                Err(why) => writeln!(f, "{name}: damaged: {why}")?,
            }
        }
        if self.segments_older > 0 {
            writeln!(f, "{} older segments, kept for the snapshot before", self.segments_older)?;
        }
        for segment in &self.segments {
            let SegmentReport { epoch, file_bytes, valid_bytes, first_seq, records, .. } = segment;
            let name = layout::segment(segment.number);
            write!(f, "{name}: epoch {epoch}, {valid_bytes} of {file_bytes} bytes, ")?;
            match *records as u64 {
                0 => writeln!(f, "no records")?,
                n => writeln!(f, "{n} records, the first {first_seq}")?,
            }
        }
        if let Some(error) = &self.overtaken {
            writeln!(f, "{error}; the snapshot holds those records")?;
        }
        for name in &self.unfinished {
            writeln!(f, "{name}: an unfinished file, never read")?;
        }
        if let Tail::Torn { .. } = self.tail {
            writeln!(f, "{}", self.tail)?;
        }
        match &self.damage {
            None => writeln!(f, "it opens: {} records after the snapshot", self.records),
            Some(damage) => {
                writeln!(f, "DAMAGED: {}", damage.error)?;
                let Damage { readable_seq, proven_seq, .. } = damage;
                if proven_seq > readable_seq {
                    writeln!(
                        f,
                        "records up to {readable_seq} can be read; {} to {proven_seq} at least would be lost",
                        readable_seq + 1
                    )
                } else {
                    writeln!(f, "records up to {readable_seq} can be read; what followed is not known")
                }
            }
        }
    }
}
