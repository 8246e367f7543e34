//! Emptying a job's directory: as the user, after all of root's rights are gone. The user may be at it at the same
//! time; nothing outside is touched all the same, because every step is below a descriptor and follows no link.

use crate::directory::beneath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Deeper ones are moved up first, so that neither descriptors nor stack run out.
const DEPTH_MAX: usize = 64;
/// Times that the whole is gone through: more than one where directories are deep, or the user makes new files.
const PASSES_MAX: u32 = 10_000;

/// Removes all that is in a directory.
///
/// # Errors
/// ENOTEMPTY where something comes again and again; what else the system says.
pub fn clear(top: &OwnedFd) -> nix::Result<()> {
    let mut sweep = Sweep { top: top.as_fd(), removed: 0, moved: 0 };
    for _ in 0..PASSES_MAX {
        let before = (sweep.removed, sweep.moved);
        let seen = sweep.empty(sweep.top, 0)?;
        if seen == 0 {
            return Ok(());
        }
        if before == (sweep.removed, sweep.moved) {
            break;
        }
    }
    Err(Errno::ENOTEMPTY)
}

struct Sweep<'a> {
    top: BorrowedFd<'a>,
    removed: u64,
    moved: u64,
}

impl Sweep<'_> {
    /// Goes through one directory; says how many entries it met.
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> nix::Result<u64> {
        // A descriptor of its own: a listing goes on where the last one of the same descriptor ended.
        let mut listing = Dir::openat(directory, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut seen = 0;
        for entry in listing.iter() {
            let name = entry?.file_name().to_owned();
            if [b".", &b".."[..]].contains(&name.to_bytes()) {
                continue;
            }
            seen += 1;
            match unlinkat(directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) => self.removed += 1,
                Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) => self.directory(directory, &name, depth)?,
                Err(errno) => return Err(errno),
            }
        }
        Ok(seen)
    }

    fn directory(&mut self, within: BorrowedFd<'_>, name: &CStr, depth: usize) -> nix::Result<()> {
        if depth >= DEPTH_MAX {
            let up = format!(".dc-remove-{}", self.moved);
            self.moved += 1;
            return gone_is_well(renameat(within, name, self.top, up.as_str()));
        }
        let below = match open(within, name) {
            Ok(below) => below,
            // Swapped for something else, or removed: the next pass sees what it is then.
            Err(Errno::ENOTDIR | Errno::ELOOP | Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        self.empty(below.as_fd(), depth + 1)?;
        match unlinkat(within, name, UnlinkatFlags::RemoveDir) {
            Ok(()) => self.removed += 1,
            // The next pass.
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// Opens a directory of the user's; one that the user may not enter is made so first.
fn open(within: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    match beneath(within, name, OFlag::O_PATH | OFlag::O_DIRECTORY) {
        Ok(path) => {
            let proc = format!("/proc/self/fd/{}", path.as_raw_fd());
            match fchmodat(AT_FDCWD, proc.as_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink) {
                Ok(()) | Err(Errno::EPERM) => {}
                Err(errno) => return Err(errno),
            }
            beneath(path.as_fd(), ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        }
        Err(errno) => Err(errno),
    }
}

fn gone_is_well(result: nix::Result<()>) -> nix::Result<()> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
