//! What waits to be sent: bounded, with a signal before it is full.

use super::SendError;
use crate::frames::{FRAME_BYTES_MAX, HEAD_BYTES};

#[derive(Debug)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    start: usize,
    bytes_max: usize,
    is_congested: bool,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, bytes_max, is_congested: false }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From half full on, until a quarter is left.
    pub(super) fn is_congested(&self) -> bool {
        self.is_congested
    }

    pub(super) fn front(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
            // One long frame must not hold its memory for ever.
            if self.bytes.capacity() > (1 << 20) {
                self.bytes = Vec::new();
            }
        }
        if self.len() <= self.bytes_max / 4 {
            self.is_congested = false;
        }
    }

    /// Appends a frame that `write` makes, or nothing.
    pub(super) fn put(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), SendError> {
        if self.start > 0 && self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let (at, queued_bytes) = (self.bytes.len(), self.len());
        self.bytes.extend_from_slice(&[0, 0, 0, 0, kind]);
        write(&mut self.bytes);
        let bytes = self.bytes.len().saturating_sub(at);
        let bytes_max = self.bytes_max.min(FRAME_BYTES_MAX + 4);
        if bytes > bytes_max || bytes < HEAD_BYTES {
            self.bytes.truncate(at);
            return Err(SendError::TooLong { bytes, bytes_max });
        }
        if queued_bytes + bytes > self.bytes_max {
            self.bytes.truncate(at);
            return Err(SendError::Full { queued_bytes });
        }
        // At most FRAME_BYTES_MAX.
        let len = (bytes - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        self.is_congested |= self.len() > self.bytes_max / 2;
        Ok(())
    }
}
