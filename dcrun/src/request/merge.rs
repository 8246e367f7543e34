//! What becomes of the results, as it is typed: `KIND:FILE`, or `exec:COMMAND`.

use super::{RequestError, Work};
use dc_spool::job::MergeKind;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One thing that becomes of the results.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    /// How they are put together.
    pub kind: MergeKind,
    /// The file, or the command.
    pub target: PathBuf,
}

/// Reads one value of `--merge`. A grid's file tells by its name what it is to be.
pub(super) fn of(given: &OsStr) -> Result<Merge, RequestError> {
    let bad = || RequestError::MergeKind { given: given.to_string_lossy().into_owned() };
    let mut parts = given.as_bytes().splitn(2, |b| *b == b':');
    let (Some(kind), Some(target)) = (parts.next(), parts.next()) else { return Err(bad()) };
    let path = Path::new(OsStr::from_bytes(target));
    let kind = match (kind, path.extension().and_then(OsStr::to_str)) {
        (b"concat", _) => MergeKind::Concat,
        (b"grid", Some("raw")) => MergeKind::GridRaw,
        (b"grid", Some("pgm")) => MergeKind::GridPgm,
        (b"grid", _) => MergeKind::Grid,
        (b"exec", _) => MergeKind::Exec,
        _ => return Err(bad()),
    };
    let is_file = kind != MergeKind::Exec;
    if target.trim_ascii().is_empty() || (is_file && target.ends_with(b"/")) {
        return Err(bad());
    }
    Ok(Merge { kind, target: path.to_owned() })
}

/// What they mean together.
pub(super) fn check(merges: &[Merge], work: &Work, has_fill: bool) -> Result<(), RequestError> {
    let has_grid = merges.iter().any(|merge| merge.kind.is_grid());
    if has_grid && !matches!(work, Work::Domain { .. }) {
        return Err(RequestError::GridWithoutDomain);
    }
    if has_fill && !has_grid {
        return Err(RequestError::FillWithoutGrid);
    }
    let mut files = merges.iter().filter(|merge| merge.kind != MergeKind::Exec).map(|merge| &merge.target);
    while let Some(file) = files.next() {
        if files.clone().any(|other| other == file) {
            return Err(RequestError::MergeTwice { file: file.clone() });
        }
    }
    Ok(())
}
