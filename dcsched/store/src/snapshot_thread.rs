//! Writes a snapshot beside the journal's thread, holds it against what is on disk, and only then removes what it makes
//! needless. Its failure stops nothing: the snapshots before it and the whole journal are still there.

use crate::queue::Queue;
use crate::snapshot::{self, Stands};
use crate::store::SnapshotDone;
use crate::{ClusterUuid, StoreError, clean, layout, read};
use dc_spool::files::Dir;

/// Writes the state as it is after record `seq`, once that is durable.
pub(crate) fn write(
    dir: &Dir,
    cluster: ClusterUuid,
    epoch: u32,
    seq: u64,
    state: &[u8],
    queue: &Queue,
) -> Result<SnapshotDone, StoreError> {
    queue.wait_durable(seq)?;
    let tail_bytes = queue.lock().tail_bytes;
    let crc = if seq == 0 { 0 } else { read::crc_of(dir, cluster, seq)? };
    let (snapshots, _) = read::names(dir)?;
    let number = snapshots.last().copied().unwrap_or(0).checked_add(1);
    let numbers = || StoreError::Numbers { dir: dir.path().to_owned(), what: "snapshot" };
    let stands = Stands { number: number.ok_or_else(numbers)?, seq, crc, epoch };
    let digest = snapshot::write(dir, cluster, stands, state)?;
    let path = dir.path_of(layout::snapshot(stands.number));
    let proven = snapshot::read(dir, cluster, stands.number)
        .is_ok_and(|found| found.stands == stands && found.digest == digest);
    if !proven {
        return Err(StoreError::Corrupt { path, at: 0, why: "it is not what was just written" });
    }
    let files_removed = clean::clean(dir, cluster)?;
    let mut shared = queue.lock();
    shared.tail_bytes = shared.tail_bytes.saturating_sub(tail_bytes);
    Ok(SnapshotDone { number: stands.number, seq, files_removed })
}
