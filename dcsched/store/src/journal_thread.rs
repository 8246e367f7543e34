//! The thread that makes records durable: all that waits in one write and one sync, then the next. The first error ends
//! it, and nothing is tried again.

use crate::queue::{Batch, Next, Queue};
use crate::writer::Writer;
use nix::sys::eventfd::EventFd;

/// Runs until the store is closed or the disk fails.
pub(crate) fn run(mut writer: Writer, queue: &Queue, ready: &EventFd) {
    let mut batch = Batch::default();
    loop {
        let was_full = writer.full().is_some();
        let (done, durable_seq) = match queue.next(batch) {
            Next::End => return,
            Next::Commit(records) => match writer.commit(&records) {
                Ok(seq) => (records, Some(seq)),
                Err(error) => return fail(error, queue, ready),
            },
            Next::Recover => match writer.maybe_recover() {
                Ok(()) => (Batch::default(), None),
                Err(error) => return fail(error, queue, ready),
            },
        };
        queue.publish(&done, durable_seq, writer.room_bytes(), writer.full().cloned());
        if durable_seq.is_some() || was_full != writer.full().is_some() {
            tell(ready);
        }
        batch = done;
    }
}

fn fail(error: crate::StoreError, queue: &Queue, ready: &EventFd) {
    queue.fail(error);
    tell(ready);
}

/// Makes the descriptor readable. Its count cannot overflow: the reader takes it whole, and this adds one a batch.
pub(crate) fn tell(ready: &EventFd) {
    let _ = ready.write(1);
}
