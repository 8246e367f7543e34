//! Removes what newer snapshots have made needless, keeping one generation behind the newest: that snapshot, and every
//! segment with a record after it.

use crate::{ClusterUuid, StoreError, layout, read, snapshot};
use dc_spool::files::Dir;

/// Removes them; gives back how many files went. What a crash leaves of this is removed by the next.
pub(crate) fn clean(dir: &Dir, cluster: ClusterUuid) -> Result<usize, StoreError> {
    let (snapshots, segments) = read::names(dir)?;
    // Only what can be read now counts as a generation: the newest and the one to fall back to.
    let mut whole = snapshots.iter().rev().filter_map(|n| snapshot::read(dir, cluster, *n).ok());
    let (Some(_newest), Some(kept)) = (whole.next(), whole.next()) else { return Ok(0) };
    let mut removed = 0;
    for number in snapshots.iter().filter(|number| **number < kept.stands.number) {
        removed += usize::from(dir.remove(layout::snapshot(*number))?);
    }
    // A segment goes when the one behind it begins at or before what the snapshot stands for.
    for pair in segments.windows(2) {
        let [older, next] = pair else { continue };
        let overtaken =
            read::header(dir, cluster, *next)?.is_ok_and(|header| header.before.seq <= kept.stands.seq);
        if !overtaken {
            break;
        }
        removed += usize::from(dir.remove(layout::segment(*older))?);
    }
    if removed > 0 {
        dir.sync()?;
    }
    Ok(removed)
}
