//! Reading a checkpoint: held against its name, job and subtask, verified whole, then copied out by region.

use super::regions::{ENTRY_BYTES, Entry, RegionMut, decode_count, decode_table, repeated};
use super::{CheckpointError, Checkpoints};
use crate::files::{Dir, shown};
use crate::header::{FileKind, HeaderError};
use crate::layout;
use crate::record_file::{PIECE_BYTES, RecordError, RecordFile};
use dc_model::{JobUuid, Restart, SubtaskId};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// So often a checkpoint is read that cannot be read.
const READ_TRIES: u32 = 3;

/// A verified checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    file: RecordFile,
    restart: Restart,
    entries: Vec<Entry>,
    table_bytes: u64,
    table_crc: u32,
}

impl Checkpoints {
    /// Opens a checkpoint and verifies all of it.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is not the one its name says, of this job and subtask.
    pub fn open_verified(&self, subtask: SubtaskId, restart: Restart) -> Result<Checkpoint, RecordError> {
        let dir = self.dir.subdir(layout::subtask_dir(subtask))?;
        self.verify_in(&dir, subtask, restart)
    }

    /// As [`Checkpoints::verify_in`]; what cannot be read is tried again, because that says nothing of the checkpoint:
    /// a passing error must not cost the work of hours. What is damaged stays so, and is not.
    pub(super) fn verify_trying(
        &self,
        dir: &Dir,
        subtask: SubtaskId,
        restart: Restart,
    ) -> Result<Checkpoint, RecordError> {
        let mut tries = 1;
        loop {
            match self.verify_in(dir, subtask, restart) {
                Err(error @ RecordError::File(_)) if tries < READ_TRIES && !error.is_not_found() => {
                    tries += 1
                }
                other => return other,
            }
        }
    }

    pub(super) fn verify_in(
        &self,
        dir: &Dir,
        subtask: SubtaskId,
        restart: Restart,
    ) -> Result<Checkpoint, RecordError> {
        let file = RecordFile::open(dir, &layout::checkpoint(restart), FileKind::Checkpoint)?;
        Checkpoint::verified(file, self.job, subtask, restart)
    }
}

impl Checkpoint {
    /// Opens the one at `path`, whose last name says which it is, and verifies all of it.
    ///
    /// # Errors
    /// As [`Checkpoints::open_verified`].
    pub fn open_path(path: &Path, job: JobUuid, subtask: SubtaskId) -> Result<Self, RecordError> {
        let file = RecordFile::open_path(path, FileKind::Checkpoint)?;
        let restart = path.file_name().and_then(layout::parse_checkpoint);
        let restart = restart.ok_or_else(|| file.refused(HeaderError::Misplaced))?;
        Self::verified(file, job, subtask, restart)
    }

    fn verified(
        file: RecordFile,
        job: JobUuid,
        subtask: SubtaskId,
        restart: Restart,
    ) -> Result<Self, RecordError> {
        let header = *file.header();
        let refused = |why| file.refused(why);
        header.check_job(job).map_err(refused)?;
        if (header.subtask, header.attempt, header.step) != (subtask, restart.attempt, restart.step) {
            return Err(file.refused(HeaderError::Misplaced));
        }
        file.verify()?;
        let table_bytes = u64::from(decode_count(file.more()).map_err(refused)?) * ENTRY_BYTES as u64;
        let impossible = HeaderError::Content(dc_model::codec::DecodeError::Impossible("number of regions"));
        let data_bytes = header.payload_bytes.checked_sub(table_bytes).ok_or_else(|| refused(impossible))?;
        // Within the file, and at most REGIONS_MAX entries: not an allocation that a header can blow up.
        let mut table = vec![0; usize::try_from(table_bytes).map_err(|_| refused(impossible))?];
        file.read(0, &mut table)?;
        let entries = decode_table(&table, data_bytes).map_err(refused)?;
        Ok(Self { restart, entries, table_bytes, table_crc: crc32c::crc32c(&table), file })
    }

    /// Which one it is.
    #[must_use]
    pub fn restart(&self) -> Restart {
        self.restart
    }

    /// Its regions, in the order in which they were written.
    #[must_use]
    pub fn regions(&self) -> &[Entry] {
        &self.entries
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether these regions, in any order, are exactly those it holds.
    fn check_regions(&self, regions: &[RegionMut<'_>]) -> Result<(), CheckpointError> {
        let differs = |why| Err(CheckpointError::Regions { path: shown(self.path()).to_string(), why });
        if let Some(id) = repeated(regions.iter().map(|region| region.id)) {
            return Err(CheckpointError::RepeatedRegion(id));
        }
        let held: BTreeMap<u32, u64> = self.entries.iter().map(|entry| (entry.id, entry.bytes)).collect();
        for RegionMut { id, data } in regions {
            let wanted = data.len() as u64;
            match held.get(id) {
                None => return differs(format!("has no region {id}")),
                Some(bytes) if *bytes != wanted => {
                    return differs(format!("has {bytes} bytes in region {id}, not {wanted}"));
                }
                Some(_) => {}
            }
        }
        if regions.len() != self.entries.len() {
            return differs(format!("has {} regions, not {}", self.entries.len(), regions.len()));
        }
        Ok(())
    }

    /// Fills the caller's regions. Ids and lengths are compared before anything is changed. What is read now is held
    /// against the CRC once more: a file that changed since it was verified is an error, after which the regions are
    /// not to be used.
    ///
    /// # Errors
    /// When the regions are not exactly those of the checkpoint, or the file fails to read the same again.
    pub fn restore(&self, regions: &mut [RegionMut<'_>]) -> Result<(), CheckpointError> {
        self.check_regions(regions)?;
        let (mut at, mut crc) = (self.table_bytes, self.table_crc);
        let mut wanted: BTreeMap<u32, &mut [u8]> =
            regions.iter_mut().map(|region| (region.id, &mut *region.data)).collect();
        for entry in &self.entries {
            let Some(data) = wanted.remove(&entry.id) else { continue };
            for piece in data.chunks_mut(PIECE_BYTES) {
                self.file.read(at, piece)?;
                crc = crc32c::crc32c_append(crc, piece);
                at += piece.len() as u64;
            }
        }
        self.file.check_crc(crc)?;
        Ok(())
    }

    /// Copies all regions' bytes, one after another, to `out`, which `named` names to the user.
    ///
    /// # Errors
    /// When `out` fails, or the file fails to read the same again.
    pub fn copy_to(&self, out: &mut dyn Write, named: &str) -> Result<(), CheckpointError> {
        let (mut at, mut crc) = (self.table_bytes, self.table_crc);
        let end = self.file.header().payload_bytes;
        let mut piece = vec![0; PIECE_BYTES];
        while at < end {
            let len = usize::try_from(end - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            self.file.read(at, &mut piece[..len])?;
            crc = crc32c::crc32c_append(crc, &piece[..len]);
            at += len as u64;
            out.write_all(&piece[..len]).map_err(|error| CheckpointError::output(error, named))?;
        }
        self.file.check_crc(crc)?;
        Ok(())
    }
}
