//! Where the ranks' standard input comes from: dcrun's own, looked at once, or a file. A file is never read here; each
//! attempt opens it anew. Nothing is taken from a terminal that was not asked for by name.

use super::SetupError;
use dc_model::pattern::{Names, Pattern};
use dc_model::wire::Source;
use dc_model::{SubtaskId, size};
use dc_spool::job::{Found, InputFrom, JobRecord};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Whence, isatty, lseek};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of a pipe that are kept, unless `DC_STDIN_KEEP` says another.
pub const KEPT_BYTES: u64 = 64 << 20;
/// The most that may be kept.
const KEPT_BYTES_MAX: u64 = 1 << 40;
/// dcrun's own standard input, for who opens it anew.
const OWN: &str = "/proc/self/fd/0";

/// What dcrun's own standard input is now.
#[derive(Clone, Debug)]
struct Own {
    found: Found,
    terminal: bool,
    device: bool,
}

fn look() -> Own {
    let stdin = io::stdin();
    let terminal = isatty(&stdin).unwrap_or(false);
    let kind = fstat(&stdin).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
    let found = match kind {
        Ok(SFlag::S_IFIFO | SFlag::S_IFSOCK) => Found::Stream,
        Ok(SFlag::S_IFREG) => {
            let offset = lseek(&stdin, 0, Whence::SeekCur).ok().and_then(|at| u64::try_from(at).ok());
            // One that may not be opened again, such as another user's, is read as a pipe is.
            match (std::fs::read_link(OWN), offset, File::open(OWN)) {
                (Ok(path), Some(offset), Ok(_)) => Found::File { path, offset },
                _ => Found::Stream,
            }
        }
        _ => Found::Nothing,
    };
    Own { found, terminal, device: matches!(kind, Ok(SFlag::S_IFCHR | SFlag::S_IFBLK)) }
}

/// What a new job's record keeps of it.
#[must_use]
pub fn found(from: &InputFrom) -> Found {
    match from {
        InputFrom::Nowhere | InputFrom::File(_) => Found::Nothing,
        InputFrom::Default => look().found,
        InputFrom::Own(_) | InputFrom::OwnForAll => {
            let own = look();
            // Asked for by name: whatever it is, but for nothing at all.
            if own.terminal || is_read(&own) { stream_or(own.found) } else { Found::Nothing }
        }
    }
}

fn is_read(own: &Own) -> bool {
    let is_null = || std::fs::read_link(OWN).is_ok_and(|path| path == Path::new("/dev/null"));
    own.found != Found::Nothing || (own.device && !is_null())
}

fn stream_or(found: Found) -> Found {
    match found {
        Found::Nothing => Found::Stream,
        found => found,
    }
}

/// What the starter is told, and whether dcrun reads its own.
///
/// # Errors
/// When there is no such subtask, or a file cannot be opened.
pub fn source(record: &JobRecord, resumed: bool) -> Result<Source, SetupError> {
    let streams = &record.options.streams;
    let total = record.subtasks.len();
    let only = match streams.stdin {
        InputFrom::Nowhere => return Ok(Source::Null),
        InputFrom::File(ref pattern) => {
            check_file(record, pattern)?;
            return Ok(Source::File(pattern.clone()));
        }
        InputFrom::Default => Some(SubtaskId(0)),
        InputFrom::Own(rank) if rank < total => Some(SubtaskId(rank)),
        InputFrom::Own(rank) => return Err(SetupError::InputRank { rank, total }),
        InputFrom::OwnForAll => None,
    };
    match (&streams.found, resumed) {
        (Found::Nothing, _) => Ok(Source::Null),
        (Found::File { path, offset }, true) => {
            File::open(path).map_err(|source| SetupError::Read { path: path.clone(), source })?;
            Ok(Source::At { path: path.as_os_str().as_bytes().to_vec(), offset: *offset, only })
        }
        (Found::File { offset, .. }, false) => {
            // By the open file, which stays the same if another takes its name.
            let path = format!("/proc/{}/fd/0", std::process::id()).into_bytes();
            Ok(Source::At { path, offset: *offset, only })
        }
        (Found::Stream, false) => Ok(Source::Relay { only }),
        (Found::Stream, true) => Ok(match again(&streams.stdin) {
            Some(Found::File { offset, .. }) => {
                let path = format!("/proc/{}/fd/0", std::process::id()).into_bytes();
                Source::At { path, offset, only }
            }
            Some(_) => Source::Relay { only },
            None => Source::Null,
        }),
    }
}

/// The resume's own standard input, in the place of a pipe that is gone.
fn again(from: &InputFrom) -> Option<Found> {
    Some(found(from)).filter(|found| *found != Found::Nothing)
}

/// Whether a job whose input came through a pipe goes on without one.
#[must_use]
pub fn is_missed(record: &JobRecord, source: &Source) -> bool {
    record.options.streams.found == Found::Stream && *source == Source::Null
}

/// The one file of a pattern without holes is looked at before anything runs.
fn check_file(record: &JobRecord, pattern: &[u8]) -> Result<(), SetupError> {
    if pattern.contains(&b'%') {
        return Ok(());
    }
    let name = Pattern::parse(pattern)
        .ok()
        .and_then(|pattern| pattern.fill(&Names::default(), dc_model::Rank(0), SubtaskId(0)).ok());
    let Some(name) = name else { return Ok(()) };
    let path = record.cwd.join(std::ffi::OsStr::from_bytes(&name));
    let opened = std::fs::metadata(&path).and_then(|meta| match meta.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        // A named pipe is not opened: that would wait, or take something out of it.
        false if !meta.is_file() => Ok(()),
        false => File::open(&path).map(drop),
    });
    opened.map_err(|source| SetupError::Read { path, source })
}

/// How much of a pipe is kept.
///
/// # Errors
/// When `DC_STDIN_KEEP` is no number of bytes.
pub fn kept_bytes(given: Option<&std::ffi::OsStr>) -> Result<u64, SetupError> {
    let Some(given) = given else { return Ok(KEPT_BYTES) };
    let bad = || SetupError::StdinKeep { given: given.to_string_lossy().into_owned() };
    let bytes = given.to_str().and_then(|text| size::parse_bytes(text).ok());
    bytes.filter(|bytes| *bytes <= KEPT_BYTES_MAX).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn what_is_kept() {
        let kept = |text: &str| kept_bytes(Some(OsStr::new(text))).ok();
        assert_eq!(kept_bytes(None).unwrap(), 64 << 20);
        assert_eq!(kept("0"), Some(0));
        assert_eq!(kept("5000"), Some(5000));
        assert_eq!((kept("2k"), kept("3M"), kept("1g")), (Some(2048), Some(3 << 20), Some(1 << 30)));
        for bad in ["", "k", "-1", "1.5M", "99999999T", "99999999999G", "1 M"] {
            assert_eq!(kept(bad), None, "{bad}");
        }
    }
}
