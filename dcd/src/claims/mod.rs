//! Who uses which CPUs of this host: one small file a dcrun in a directory that all may write to, locked as long as
//! its owner lives. A hint between neighbours, never a permission: whoever cannot read or write it runs all the same,
//! and what others put there can at worst make one prefer other cores.

mod says;
mod view;

pub use says::{NAME_BYTES_MAX, Says, WITHIN_MAX};
pub use view::{Neighbour, crowd, overlapping};

use dc_spool::files::Locked;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The variable that names the directory in which the claims' own is.
pub const PLACE_VARIABLE: &str = "DC_CLAIMS";
/// The claims' own directory, in the one that the variable names.
const NAME: &str = "dc-claims";
const SUFFIX: &str = ".claim";
/// A longer file is none of ours.
const BYTES_MAX: u64 = 16 << 10;
/// More entries than this are not looked at: what anybody may fill must not hold a start up.
const FILES_MAX: usize = 1024;
/// How long others may look and claim before one goes on without waiting for one's turn. They take well below a
/// millisecond each; only somebody who means harm holds the turn.
const TURN_PATIENCE: Duration = Duration::from_millis(500);
/// A file that was begun so long ago and is not locked was left by a dcrun that was killed over it.
const BEGUN_MAX: Duration = Duration::from_secs(60);

/// The directory of all claims.
#[derive(Debug)]
pub struct Claims {
    dir: OwnedFd,
    path: PathBuf,
}

/// The right to look and claim: one dcrun after another has it, so that two never choose the same free cores.
#[derive(Debug)]
pub struct Turn {
    _dir: Option<Locked>,
}

impl Turn {
    /// Whether it was really had, or waited for in vain.
    #[must_use]
    pub fn is_had(&self) -> bool {
        self._dir.is_some()
    }
}

/// A claim of one's own: taken back when dropped, or unlocked by the kernel when its owner is killed.
#[derive(Debug)]
pub struct Claim {
    dir: OwnedFd,
    name: String,
    _file: Locked,
}

/// The others, and what was found beside them.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those that live, in the order of their files' names.
    pub neighbours: Vec<Neighbour>,
    /// Locked files that are no claims, by their names.
    pub foreign: Vec<String>,
}

/// What a file in the directory is.
enum Entry {
    Alive(Neighbour),
    Foreign,
    Nothing,
}

impl Claims {
    /// Those of this host: below the directory that [`PLACE_VARIABLE`] names, else in memory where it can be, so that
    /// a reboot forgets them.
    ///
    /// # Errors
    /// When there is no such directory and none can be made.
    pub fn of_host() -> io::Result<Self> {
        match std::env::var_os(PLACE_VARIABLE).filter(|named| !named.is_empty()) {
            Some(named) => Self::open_in(Path::new(&named)),
            None => Self::open_in(Path::new("/dev/shm")).or_else(|_| Self::open_in(Path::new("/tmp"))),
        }
    }

    /// Those below `parent`.
    ///
    /// # Errors
    /// When `parent` is no directory, has something else under that name, or a directory from which anybody may
    /// remove anybody's file.
    pub fn open_in(parent: &Path) -> io::Result<Self> {
        let path = parent.join(NAME);
        // A link is not followed: it would be somebody else's choice where one writes.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = match open(&path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => {
                let flags = flags.difference(OFlag::O_NOFOLLOW);
                make(&open(parent, flags, Mode::empty())?)?
            }
            Err(errno) => return Err(errno.into()),
        };
        let mode = Mode::from_bits_truncate(fstat(&dir)?.st_mode);
        if mode.contains(Mode::S_IWOTH) && !mode.contains(Mode::S_ISVTX) {
            return Err(io::Error::other("anybody may remove what is in it: it lacks the sticky bit"));
        }
        Ok(Self { dir, path })
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for one's turn to look and claim; not for long.
    #[must_use]
    pub fn turn(&self) -> Turn {
        let until = Instant::now() + TURN_PATIENCE;
        let mut pause = Duration::from_micros(200);
        // An open file of its own: the lock is the file's, and this one ends with the turn.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Ok(mut dir) = openat(&self.dir, ".", flags, Mode::empty()).map(File::from) else {
            return Turn { _dir: None };
        };
        loop {
            match Locked::alone(dir) {
                Ok(locked) => return Turn { _dir: Some(locked) },
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < until => dir = back,
                // Held for too long, or a file system that has no such locks.
                Err(_) => return Turn { _dir: None },
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// The others that live. What a dead one of the same user left is removed; root removes anybody's.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn look(&self) -> io::Result<Seen> {
        let mut names = Vec::new();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut list = nix::dir::Dir::openat(&self.dir, ".", flags, Mode::empty())?;
        for entry in list.iter().take(FILES_MAX) {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            names.extend(name.filter(|name| name.ends_with(SUFFIX)).map(str::to_owned));
        }
        names.sort();
        let mut seen = Seen::default();
        for name in names {
            match self.entry(&name) {
                Entry::Alive(neighbour) => seen.neighbours.push(neighbour),
                Entry::Foreign => seen.foreign.push(name),
                Entry::Nothing => {}
            }
        }
        Ok(seen)
    }

    fn entry(&self, name: &str) -> Entry {
        // Never waits: not for a pipe's other end, nor for a lock.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let Ok(file) = openat(&self.dir, name, flags, Mode::empty()).map(File::from) else {
            return Entry::Nothing;
        };
        let Ok(stat) = fstat(&file) else { return Entry::Nothing };
        let is_file = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        // A second name of a file elsewhere is nobody's claim.
        if !is_file || stat.st_nlink > 1 {
            return Entry::Nothing;
        }
        // Those that begin with a dot are not claims yet.
        let is_begun = name.starts_with('.');
        match Locked::shared(file) {
            // Nobody holds it: its owner is dead.
            Ok(_stale) => {
                let is_ours = [0, stat.st_uid].contains(&Uid::effective().as_raw());
                if is_ours && (!is_begun || is_old(&stat)) {
                    let _ = unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir);
                }
                Entry::Nothing
            }
            Err((file, Errno::EWOULDBLOCK)) if !is_begun => {
                let mut bytes = Vec::new();
                let read = file.take(BYTES_MAX).read_to_end(&mut bytes);
                let says = read.ok().and_then(|_| says::parse(std::str::from_utf8(&bytes).ok()?));
                says.map_or(Entry::Foreign, |says| Entry::Alive(Neighbour { uid: stat.st_uid, says }))
            }
            Err(_) => Entry::Nothing,
        }
    }

    /// Says what this dcrun uses. It is seen by others complete and locked, or not at all.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn claim(&self, says: &Says) -> io::Result<Claim> {
        let name = format!("{}-{}{SUFFIX}", says.job, says.pid);
        let hidden = format!(".{name}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.dir, &*hidden, flags, Mode::from_bits_truncate(0o644))?);
        let published = (|| {
            // Whatever the umask says.
            fchmod(&file, Mode::from_bits_truncate(0o644))?;
            (&file).write_all(says::show(says).as_bytes())?;
            let file = Locked::alone(file).map_err(|(_, errno)| errno)?;
            nix::fcntl::renameat(&self.dir, &*hidden, &self.dir, &*name)?;
            Ok(file)
        })();
        match published {
            Ok(file) => Ok(Claim { dir: self.dir.try_clone()?, name, _file: file }),
            Err(error) => {
                let _ = unlinkat(&self.dir, &*hidden, UnlinkatFlags::NoRemoveDir);
                Err(error)
            }
        }
    }
}

/// Makes the directory, open to all: it appears under its name with its rights, so that whoever comes at the same
/// time finds a place for a claim.
fn make(parent: &OwnedFd) -> io::Result<OwnedFd> {
    // A number of another process's namespace may be the same; nobody else has the time too.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let begun = format!(".{NAME}-{}-{:?}-{now}", std::process::id(), std::thread::current().id());
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    mkdirat(parent, &*begun, Mode::from_bits_truncate(0o700))?;
    let made = (|| {
        let dir = openat(parent, &*begun, flags, Mode::empty())?;
        // All may add, none may take away another's; whatever the umask says.
        fchmod(&dir, Mode::from_bits_truncate(0o1777))?;
        // Over an empty directory of another's it would fall too: never over anything.
        let whole = nix::fcntl::RenameFlags::RENAME_NOREPLACE;
        nix::fcntl::renameat2(parent, &*begun, parent, NAME, whole)?;
        Ok(dir)
    })();
    match made {
        Err(error) => {
            let _ = unlinkat(parent, &*begun, UnlinkatFlags::RemoveDir);
            match error {
                Errno::EEXIST => Ok(openat(parent, NAME, flags, Mode::empty())?),
                errno => Err(errno.into()),
            }
        }
        Ok(dir) => Ok(dir),
    }
}

fn is_old(stat: &FileStat) -> bool {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.unsigned_abs());
    changed.elapsed().is_ok_and(|age| age > BEGUN_MAX)
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked: nobody takes it for a dead one's.
        let _ = unlinkat(self.dir.as_fd(), &*self.name, UnlinkatFlags::NoRemoveDir);
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
