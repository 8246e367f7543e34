//! The scheduler's durable store: a decision is a record, and a record counts when it is on disk. One state directory
//! holds a journal in segments and snapshots of the state; what is in them is drawn byte by byte in
//! `docs/journal-format.md`. Records and state are opaque bytes here: no decision is known in this crate.

mod clean;
mod dump;
mod error;
mod fsck;
mod identity;
mod journal_thread;
mod layout;
mod owner;
mod queue;
mod read;
mod segment;
mod snapshot;
mod snapshot_thread;
mod store;
mod writer;

pub use dump::{Described, Describer, DumpFormat, dump, undescribed};
pub use error::{AppendError, SnapshotError, StoreError};
pub use fsck::{Damage, Report, SegmentReport, SnapshotReport, check, repair};
pub use identity::{ClusterUuid, FORMAT_VERSION, identity, init, init_on};
pub use queue::Room;
pub use read::{RecordRef, Records, Tail};
pub use segment::{PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, TYPE_EPOCH, TYPE_FIRST};
pub use snapshot::{CHUNK_BYTES, CHUNK_HEAD_BYTES, SNAPSHOT_HEADER_BYTES, STATE_BYTES_MAX};
pub use store::{Options, Progress, Recovered, SnapshotDone, Store};

#[cfg(test)]
mod tests;
