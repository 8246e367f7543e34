//! On one host: a Unix socket, and what the kernel says of who is at its other end (SO_PEERCRED).

use crate::guarded::{GuardError, check_owner, lock};
use dc_spool::files::{Dir, FileError, Op, shown};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket,
};
use nix::sys::stat::FchmodatFlags;
use nix::sys::stat::{Mode, SFlag, fchmodat, fstat, lstat};
use nix::unistd::geteuid;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The longest path of a socket, in bytes: the kernel's 107, less what its temporary name has more.
pub const PATH_BYTES_MAX: usize = 107 - NEW.len();

const NEW: &str = ".new";
const LOCK: &str = ".lock";
const WAITING_MAX: i32 = 1024;

/// What the kernel shows for a user that this user namespace has no number for.
const OVERFLOW_UID: u32 = 65_534;

/// Who the process at the other end was when it connected (or began to listen), by the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Credentials {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group. Its other groups are to be looked up for the user, never asked for.
    pub gid: u32,
    /// Its process. For messages: it may have ended, and its number be another's.
    pub pid: i32,
}

/// Which users may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocalPolicy {
    /// This process's own, and root.
    Own,
    /// These, this process's own, and root.
    Listed(Vec<u32>),
    /// Every user of the host; who it is decides what it may ask for.
    Everyone,
}

impl LocalPolicy {
    /// Whether this user may connect.
    #[must_use]
    pub fn allows(&self, uid: u32) -> bool {
        let own = uid == 0 || uid == geteuid().as_raw();
        own || match self {
            Self::Own => false,
            Self::Listed(uids) => uids.contains(&uid),
            // Nobody knows who that is.
            Self::Everyone => uid != OVERFLOW_UID && uid != u32::MAX,
        }
    }

    /// The socket's mode: nobody who may not ask is let as far as asking.
    fn mode(&self) -> Mode {
        match self {
            Self::Own => Mode::from_bits_truncate(0o600),
            Self::Listed(_) | Self::Everyone => Mode::from_bits_truncate(0o666),
        }
    }
}

/// Why there is no local connection.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LocalError {
    /// Too long for the kernel.
    #[error("the path of the socket has {bytes} bytes, and at most {PATH_BYTES_MAX} are possible: {}", shown(.path))]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// Its directory, or one above it, is not to be believed.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The directory is a symbolic link.
    #[error("{} is a symbolic link: name the directory itself", shown(.0))]
    Link(PathBuf),
    /// Something else has the name.
    #[error("{} exists and is no socket: remove it, or choose another path", shown(.0))]
    NotSocket(PathBuf),
    /// Another process listens there.
    #[error("{} is in use by another process: stop that first", shown(.0))]
    InUse(PathBuf),
    /// Nobody listens there.
    #[error("nobody listens at {}: is the daemon running?", shown(.0))]
    Nobody(PathBuf),
    /// Its user may not connect, or is not whom this side trusts.
    #[error("user {uid} (process {pid}) is not accepted at {}", shown(.path))]
    User {
        /// Which socket.
        path: PathBuf,
        /// Its user.
        uid: u32,
        /// Its process.
        pid: i32,
    },
    /// The system's error.
    #[error("the socket {} failed: {}", shown(.path), .errno.desc())]
    Os {
        /// Which socket.
        path: PathBuf,
        /// The error.
        errno: Errno,
    },
}

/// A listening socket. Its name goes with it.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    policy: LocalPolicy,
    path: PathBuf,
    inode: (u64, u64),
    _lock: Flock<File>,
}

impl LocalListener {
    /// Listens at a path. The directory, and those above it, must belong to this user or root, and others may not write
    /// into it. A socket that a dead process left is replaced in one step, under a lock (`PATH.lock`) that its process
    /// would hold if it lived.
    ///
    /// # Errors
    /// [`LocalError`].
    pub fn bind(path: &Path, policy: LocalPolicy) -> Result<Self, LocalError> {
        let (dir, path) = checked(path)?;
        let os = |errno| LocalError::Os { path: path.clone(), errno };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = lock(&dir, &format!("{name}{LOCK}"), FlockArg::LockExclusiveNonblock).map_err(
            |error| match error {
                GuardError::File(file) if file.errno() == Some(Errno::EWOULDBLOCK) => {
                    LocalError::InUse(path.clone())
                }
                error => error.into(),
            },
        )?;
        match lstat(&path) {
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(os(errno)),
            Ok(stat) if kind(stat.st_mode) == SFlag::S_IFSOCK => {}
            Ok(_) => return Err(LocalError::NotSocket(path)),
        }
        let fresh = path.with_file_name(format!("{name}{NEW}"));
        let fd = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )
        .map_err(os)?;
        // Ours by the lock: what a process that died in here left.
        match nix::unistd::unlink(&fresh) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(os(errno)),
        }
        bind(fd.as_raw_fd(), &UnixAddr::new(&fresh).map_err(os)?).map_err(os)?;
        // Nobody can connect before it listens, and it listens only with its mode.
        fchmodat(&dir, &*format!("{name}{NEW}"), policy.mode(), FchmodatFlags::FollowSymlink).map_err(os)?;
        listen(&fd, Backlog::new(WAITING_MAX).map_err(os)?).map_err(os)?;
        let stat = lstat(&fresh).map_err(os)?;
        nix::fcntl::renameat(&dir, &*format!("{name}{NEW}"), &dir, &*name).map_err(os)?;
        let inode = (stat.st_dev, stat.st_ino);
        Ok(Self { listener: UnixListener::from(fd), policy, path, inode, _lock: lock })
    }

    /// Takes a connection, non-blocking; `None` when none waits.
    ///
    /// # Errors
    /// [`LocalError::User`] for one that may not connect, which is closed: go on accepting. Others are the system's.
    pub fn accept(&self) -> Result<Option<(UnixStream, Credentials)>, LocalError> {
        let os = |errno| LocalError::Os { path: self.path.clone(), errno };
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => match error.kind() {
                    std::io::ErrorKind::Interrupted | std::io::ErrorKind::ConnectionAborted => continue,
                    std::io::ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(os(from_io(&error))),
                },
            };
            stream.set_nonblocking(true).map_err(|error| os(from_io(&error)))?;
            let credentials = credentials(&stream).map_err(os)?;
            if !self.policy.allows(credentials.uid) {
                let (uid, pid) = (credentials.uid, credentials.pid);
                return Err(LocalError::User { path: self.path.clone(), uid, pid });
            }
            return Ok(Some((stream, credentials)));
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for LocalListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        // Only our own: somebody may have put another one there by hand.
        if lstat(&self.path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.inode) {
            let _ = nix::unistd::unlink(&self.path);
        }
    }
}

/// Connects to a daemon of this host, and checks that it runs as a user whom `policy` allows: this one or root, or
/// those listed. The stream is non-blocking.
///
/// # Errors
/// [`LocalError`].
pub fn dial_local(path: &Path, policy: &LocalPolicy) -> Result<(UnixStream, Credentials), LocalError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(LocalError::TooLong { path: path.to_owned(), bytes: path.as_os_str().len() });
    }
    let os = |errno| LocalError::Os { path: path.to_owned(), errno };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(os)?;
    let address = UnixAddr::new(path).map_err(os)?;
    loop {
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::ENOENT | Errno::ECONNREFUSED) => return Err(LocalError::Nobody(path.to_owned())),
            // Its queue is full (EAGAIN), or it may not be opened.
            Err(errno) => return Err(os(errno)),
        }
    }
    let stream = UnixStream::from(fd);
    let credentials = credentials(&stream).map_err(os)?;
    if !policy.allows(credentials.uid) {
        let (uid, pid) = (credentials.uid, credentials.pid);
        return Err(LocalError::User { path: path.to_owned(), uid, pid });
    }
    Ok((stream, credentials))
}

fn credentials(stream: &UnixStream) -> Result<Credentials, Errno> {
    let found = getsockopt(stream, PeerCredentials)?;
    Ok(Credentials { uid: found.uid(), gid: found.gid(), pid: found.pid() })
}

fn from_io(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn kind(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

/// Opens the directory of a socket, checks it and all above it, and gives its path without links.
fn checked(path: &Path) -> Result<(Dir, PathBuf), LocalError> {
    let bad = || FileError { op: Op::Open, path: path.to_owned(), reason: dc_spool::files::Reason::BadName };
    let name = path.file_name().ok_or_else(|| GuardError::File(bad()))?;
    if std::str::from_utf8(name.as_bytes()).is_err() {
        return Err(GuardError::File(bad()).into());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |path: &Path, errno| GuardError::File(FileError::os(Op::Open, path, errno));
    let stat = lstat(parent).map_err(|errno| failed(parent, errno))?;
    if kind(stat.st_mode) == SFlag::S_IFLNK {
        return Err(LocalError::Link(parent.to_owned()));
    }
    // Links above it are followed once; what they led to is what is checked, and used.
    let real = std::fs::canonicalize(parent).map_err(|error| failed(parent, from_io(&error)))?;
    for above in real.ancestors().skip(1) {
        let stat = lstat(above).map_err(|errno| failed(above, errno))?;
        check_owner(above, stat.st_uid)?;
        // In a sticky directory nobody moves what is another's.
        if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
            return Err(writable(above, stat.st_mode));
        }
    }
    let dir = Dir::open(&real).map_err(GuardError::File)?;
    let stat = fstat(&dir).map_err(|errno| failed(&real, errno))?;
    check_owner(&real, stat.st_uid)?;
    if stat.st_mode & 0o022 != 0 {
        return Err(writable(&real, stat.st_mode));
    }
    let path = real.join(name);
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return Err(LocalError::TooLong { path, bytes });
    }
    Ok((dir, path))
}

fn writable(path: &Path, mode: u32) -> LocalError {
    let why = "others may put sockets of theirs into it";
    GuardError::Mode { path: path.to_owned(), mode: mode & 0o7777, why, remedy: "go-w" }.into()
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
