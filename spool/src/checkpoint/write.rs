//! Writing a checkpoint: straight from the kernel's memory, or from a stream of unknown length. It is not there
//! before it is whole and on disk.

use super::regions::{ENTRY_BYTES, Entry, REGIONS_MAX, Region, encode_count, encode_table, repeated};
use super::{CheckpointError, Checkpoints};
use crate::files::{Dir, FileError, NewFile, Op};
use crate::header::{FileKind, Header};
use crate::layout::{self, DIR_MODE, FILE_MODE};
use crate::record_file::PIECE_BYTES;
#[cfg(test)]
use dc_model::JobUuid;
use dc_model::{Restart, SubtaskId};
use std::io::Read;
use std::sync::PoisonError;

impl Checkpoints {
    /// Writes a checkpoint of `regions`. It is durable when this returns; on an error nothing of it is left.
    ///
    /// # Errors
    /// When an id comes twice, or any step of writing fails.
    pub fn write(
        &self,
        subtask: SubtaskId,
        restart: Restart,
        regions: &[Region<'_>],
    ) -> Result<(), CheckpointError> {
        if let Some(id) = repeated(regions.iter().map(|region| region.id)) {
            return Err(CheckpointError::RepeatedRegion(id));
        }
        let mut file = self.begin(subtask, restart, regions.len())?;
        for region in regions {
            file.begin_region(region.id);
            file.append(region.data)?;
        }
        file.finish()
    }

    /// Writes a checkpoint of one region, all that `input` gives until its end. Gives back its length in bytes.
    ///
    /// # Errors
    /// When `input` fails (`named` tells the user what it is), or any step of writing.
    pub fn write_stream(
        &self,
        subtask: SubtaskId,
        restart: Restart,
        id: u32,
        input: &mut dyn Read,
        named: &str,
    ) -> Result<u64, CheckpointError> {
        let mut file = self.begin(subtask, restart, 1)?;
        file.begin_region(id);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match input.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => file.append(&piece[..n])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FileError::io(Op::Read, named.as_ref(), error).into()),
            }
        }
        let bytes = file.data_bytes;
        file.finish()?;
        Ok(bytes)
    }

    /// The subtask's directory, made where it is missing. Its entry is synced once by every process: it was made,
    /// perhaps, by an attempt that was killed before it could do that.
    pub(super) fn subtask_dir_to_write(&self, subtask: SubtaskId) -> Result<Dir, FileError> {
        let name = layout::subtask_dir(subtask);
        let dir = match self.dir.subdir(&name) {
            Err(error) if error.is_not_found() => match self.dir.make_subdir(&name, DIR_MODE) {
                Err(error) if error.is_exists() => self.dir.subdir(&name)?,
                made => made?,
            },
            there => there?,
        };
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if !synced.contains(&subtask) {
            self.dir.sync()?;
            synced.insert(subtask);
        }
        Ok(dir)
    }

    fn begin(
        &self,
        subtask: SubtaskId,
        restart: Restart,
        regions: usize,
    ) -> Result<Unfinished, CheckpointError> {
        let count = u32::try_from(regions).ok().filter(|count| *count <= REGIONS_MAX);
        let count = count.ok_or(CheckpointError::TooManyRegions(regions))?;
        let dir = self.subtask_dir_to_write(subtask)?;
        let mut file = dir.new_file(FILE_MODE)?;
        let header = Header {
            job: self.job,
            subtask,
            attempt: restart.attempt,
            step: restart.step,
            payload_bytes: 0,
            payload_crc: 0,
        };
        let more = encode_count(count);
        let front = header.encode(FileKind::Checkpoint, &more).len() + regions * ENTRY_BYTES;
        // The header and the table come last; till then nothing reads as a checkpoint.
        file.append(&vec![0; front])?;
        Ok(Unfinished {
            file,
            header,
            more,
            entries: Vec::with_capacity(regions),
            data_crc: 0,
            data_bytes: 0,
        })
    }
}

struct Unfinished {
    file: NewFile,
    header: Header,
    more: Vec<u8>,
    entries: Vec<Entry>,
    data_crc: u32,
    data_bytes: u64,
}

impl Unfinished {
    fn begin_region(&mut self, id: u32) {
        self.entries.push(Entry { id, bytes: 0 });
    }

    /// Adds to the newest region, piece by piece, so that a piece is in the cache when it is written.
    fn append(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.data_crc = crc32c::crc32c_append(self.data_crc, piece);
            self.file.append(piece)?;
        }
        let len = bytes.len() as u64;
        self.data_bytes += len;
        if let Some(entry) = self.entries.last_mut() {
            entry.bytes += len;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), CheckpointError> {
        let (front, restart) = front(self.header, &self.more, &self.entries, self.data_crc, self.data_bytes);
        self.file.put(&front, 0)?;
        self.file.commit(layout::checkpoint(restart))?;
        Ok(())
    }
}

/// Header and table of a checkpoint whose regions were written.
fn front(
    mut header: Header,
    more: &[u8],
    entries: &[Entry],
    data_crc: u32,
    data_bytes: u64,
) -> (Vec<u8>, Restart) {
    let table = encode_table(entries);
    // crc32c counts lengths in usize; a payload beyond that cannot have been in this machine's memory or disk.
    let data_len = usize::try_from(data_bytes).unwrap_or(usize::MAX);
    header.payload_crc = crc32c::crc32c_combine(crc32c::crc32c(&table), data_crc, data_len);
    header.payload_bytes = table.len() as u64 + data_bytes;
    let mut front = header.encode(FileKind::Checkpoint, more);
    front.extend_from_slice(&table);
    (front, Restart { attempt: header.attempt, step: header.step })
}

/// The bytes of a checkpoint, for tests that need one in memory.
#[cfg(test)]
pub(super) fn encode(job: JobUuid, subtask: SubtaskId, restart: Restart, regions: &[Region<'_>]) -> Vec<u8> {
    let data: Vec<u8> = regions.iter().flat_map(|region| region.data).copied().collect();
    let entries: Vec<Entry> =
        regions.iter().map(|region| Entry { id: region.id, bytes: region.data.len() as u64 }).collect();
    let Restart { attempt, step } = restart;
    let header = Header { job, subtask, attempt, step, payload_bytes: 0, payload_crc: 0 };
    let more = encode_count(regions.len() as u32);
    let (mut bytes, _) = front(header, &more, &entries, crc32c::crc32c(&data), data.len() as u64);
    bytes.extend_from_slice(&data);
    bytes
}
