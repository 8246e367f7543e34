//! Writes the journal: one write and one fdatasync a batch, a new segment when one is long enough, space reserved ahead.
//! After an error nothing more is taken, because nobody knows what is on the disk. No thread is known here.

use crate::queue::Batch;
use crate::segment::{PAYLOAD_BYTES_MAX, SegmentHeader};
use crate::store::Options;
use crate::{ClusterUuid, StoreError, layout};
use dc_spool::files::{Dir, FileError, Op};
use dc_spool::journal::Before;
use dc_spool::journal::frame::{self, Place, Shared};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Tries of a reservation that signals interrupt.
const INTERRUPTED_MAX: u32 = 100;

/// The segment that is written.
#[derive(Debug)]
struct Active {
    file: File,
    path: PathBuf,
    number: u32,
    shared: Shared,
    durable_bytes: u64,
    allocated_bytes: u64,
}

/// Writes the records of one epoch.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: Dir,
    cluster: ClusterUuid,
    epoch: u32,
    options: Options,
    active: Active,
    /// A segment whose name is taken, but for which there was no space yet.
    spare: Option<(u32, File)>,
    /// What is not written yet: the records of a batch, before them perhaps the header.
    buffer: Vec<u8>,
    last_seq: u64,
    last_crc: u32,
    full: Option<FileError>,
}

impl Writer {
    /// Makes the segment after `last_segment`; its name is durable when this returns, its header with the first commit.
    ///
    /// # Errors
    /// When the disk says no: there must be space at least for what is reserved.
    pub fn begin(
        dir: &Dir,
        cluster: ClusterUuid,
        epoch: u32,
        last_segment: u32,
        before: Before,
        options: Options,
    ) -> Result<Self, StoreError> {
        let number = next_number(dir, last_segment)?;
        let name = layout::segment(number);
        let file = dir.create_file(&name, layout::FILE_MODE)?;
        let path = dir.path_of(&name);
        let mut full = None;
        let mut allocated_bytes = options.first_bytes();
        if let Err(error) = allocate(dir, &file, &path, 0, allocated_bytes) {
            if !out_of_space(&error) {
                return Err(error.into());
            }
            // What runs must be able to end, though nothing new can begin.
            allocated_bytes = options.reserve_bytes;
            allocate(dir, &file, &path, 0, allocated_bytes)?;
            full = Some(error);
        }
        dir.sync()?;
        let header = SegmentHeader { number, epoch, before };
        let buffer = header.encode(cluster);
        let active =
            Active { file, path, number, shared: header.shared(cluster), durable_bytes: 0, allocated_bytes };
        Ok(Self {
            dir: dir.clone(),
            cluster,
            epoch,
            options,
            active,
            spare: None,
            buffer,
            last_seq: before.seq,
            last_crc: before.crc,
            full,
        })
    }

    /// Why nothing new should be taken: less than the reserved space would be left.
    pub fn full(&self) -> Option<&FileError> {
        self.full.as_ref()
    }

    /// Bytes that can still be written without asking the disk for space.
    pub fn room_bytes(&self) -> u64 {
        self.active.allocated_bytes - self.active.durable_bytes - self.buffer.len() as u64
    }

    /// The number of the segment that is written.
    #[cfg(test)]
    pub fn segment(&self) -> u32 {
        self.active.number
    }

    /// Makes a batch durable; gives back the number of its last record.
    ///
    /// # Errors
    /// Any; nothing may be committed after it.
    pub fn commit(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        self.maybe_rotate()?;
        for (kind, payload) in batch.iter() {
            let place = Place {
                seq: self.last_seq + 1,
                durable_bytes: self.active.durable_bytes,
                crc_before: self.last_crc,
            };
            let shared = self.active.shared;
            self.last_crc =
                frame::put(&mut self.buffer, shared, place, kind, PAYLOAD_BYTES_MAX, |w| w.raw(payload));
            self.last_seq = place.seq;
        }
        let end = self.active.durable_bytes + self.buffer.len() as u64;
        self.maybe_reserve(end)?;
        self.write_all()?;
        let synced = self.dir.disk().sync_data(self.active.file.as_fd());
        synced.map_err(|errno| FileError::os(Op::SyncData, &self.active.path, errno))?;
        self.active.durable_bytes = end;
        self.buffer.clear();
        Ok(self.last_seq)
    }

    /// When the disk was full: asks again, and goes on as before when there is space.
    ///
    /// # Errors
    /// Any but a full disk.
    pub fn maybe_recover(&mut self) -> Result<(), StoreError> {
        if self.full.take().is_some() {
            self.maybe_rotate()?;
            self.maybe_reserve(self.active.durable_bytes)?;
        }
        Ok(())
    }

    /// Keeps what is reserved, and what may wait in memory, ahead of `end`. What was reserved before takes this batch
    /// in any case, so a full disk is no error here.
    fn maybe_reserve(&mut self, end: u64) -> Result<(), StoreError> {
        let ahead = end + self.options.ahead_bytes();
        let active = &mut self.active;
        if self.full.is_some() || ahead <= active.allocated_bytes {
            return Ok(());
        }
        let chunk = self.options.chunk_bytes;
        let wanted = (ahead - active.allocated_bytes).next_multiple_of(chunk);
        match allocate(&self.dir, &active.file, &active.path, active.allocated_bytes, wanted) {
            Ok(()) => active.allocated_bytes += wanted,
            Err(error) if out_of_space(&error) && end <= active.allocated_bytes => self.full = Some(error),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Goes on in a new segment when this one is long enough and all in it is durable. Without space for a new one this
    /// one takes what is still to come.
    fn maybe_rotate(&mut self) -> Result<(), StoreError> {
        let long = self.active.durable_bytes >= self.options.segment_bytes;
        if !long || self.full.is_some() || !self.buffer.is_empty() {
            return Ok(());
        }
        let (number, file) = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let number = next_number(&self.dir, self.active.number)?;
                match self.dir.create_file(layout::segment(number), layout::FILE_MODE) {
                    Ok(file) => (number, file),
                    Err(error) if out_of_space(&error) => return self.no_space(error),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let path = self.dir.path_of(layout::segment(number));
        let allocated_bytes = self.options.first_bytes();
        match allocate(&self.dir, &file, &path, 0, allocated_bytes) {
            Ok(()) => {}
            Err(error) if out_of_space(&error) => {
                self.spare = Some((number, file));
                return self.no_space(error);
            }
            Err(error) => return Err(error.into()),
        }
        self.dir.sync()?;
        let before = Before { bytes: self.active.durable_bytes, seq: self.last_seq, crc: self.last_crc };
        let header = SegmentHeader { number, epoch: self.epoch, before };
        self.buffer = header.encode(self.cluster);
        let shared = header.shared(self.cluster);
        let old = std::mem::replace(
            &mut self.active,
            Active { file, path, number, shared, durable_bytes: 0, allocated_bytes },
        );
        // Gives back what was reserved behind its end, which was zeros; that it fails costs space alone.
        let _ = self.dir.disk().set_len(old.file.as_fd(), old.durable_bytes);
        Ok(())
    }

    fn no_space(&mut self, error: FileError) -> Result<(), StoreError> {
        self.full = Some(error);
        Ok(())
    }

    fn write_all(&mut self) -> Result<(), FileError> {
        let active = &self.active;
        let mut written = 0;
        while let Some(rest) = self.buffer.get(written..).filter(|rest| !rest.is_empty()) {
            match self.dir.disk().write(active.file.as_fd(), rest, active.durable_bytes + written as u64) {
                Ok(0) => return Err(FileError::os(Op::Write, &active.path, Errno::EIO)),
                Ok(n) => written += n,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(FileError::os(Op::Write, &active.path, errno)),
            }
        }
        Ok(())
    }
}

fn next_number(dir: &Dir, last: u32) -> Result<u32, StoreError> {
    last.checked_add(1).ok_or_else(|| StoreError::Numbers { dir: dir.path().to_owned(), what: "segment" })
}

fn allocate(dir: &Dir, file: &File, path: &std::path::Path, offset: u64, len: u64) -> Result<(), FileError> {
    let mut tries = 0;
    loop {
        match dir.disk().allocate(file.as_fd(), offset, len) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) if tries < INTERRUPTED_MAX => tries += 1,
            Err(errno) => return Err(FileError::os(Op::Allocate, path, errno)),
        }
    }
}

fn out_of_space(error: &FileError) -> bool {
    error.is_full() || error.errno() == Some(Errno::EFBIG)
}
