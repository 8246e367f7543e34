//! Where a serving starter is found: its socket and its lock in the job's directory, and the connections that have not said
//! yet what they are for.

use crate::starters::{HeldElsewhere, LOCK, Lock, SOCKET};
use dc_model::wire::{FrameBuffer, FromStarter, Opening, OutputAt, ToStarter};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, renameat};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, getsockopt, listen, recv,
    send, socket,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use thiserror::Error;

/// Connections that may be silent at the same time; the oldest goes for another.
const SILENT_MAX: usize = 8;
const WAITING_MAX: i32 = 16;
const READ_BYTES: usize = 4096;
const EVENTS_MAX: usize = 16;
const LISTENER: u64 = u64::MAX;
/// What else is to wake the loop by the same descriptor.
pub const TIMER: u64 = u64::MAX - 1;

/// Why a directory cannot be served.
#[derive(Debug, Error)]
pub enum DoorError {
    /// It is not this user's alone.
    #[error("{dir} is not to be used: it must be a directory of this user, with mode 0700")]
    NotPrivate {
        /// It, escaped.
        dir: String,
    },
    /// Another starter is there.
    #[error("{dir} has a starter already")]
    Taken {
        /// It, escaped.
        dir: String,
    },
    /// The system's error.
    #[error("{dir} cannot be served: {what}: {source}")]
    Os {
        /// It, escaped.
        dir: String,
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A connection that has said what it is for.
#[derive(Debug)]
pub enum Came {
    /// Commands and reports; what came behind its first message.
    Control(UnixStream, FrameBuffer),
    /// Output, from here on.
    Output(UnixStream, FrameBuffer, Option<OutputAt>),
}

#[derive(Debug)]
struct Silent {
    token: u64,
    socket: UnixStream,
    frames: FrameBuffer,
}

/// The door.
#[derive(Debug)]
pub struct Door {
    epoll: Epoll,
    listener: OwnedFd,
    silent: VecDeque<Silent>,
    tokens: u64,
    dir: OwnedFd,
    lock: Lock,
    /// Given up for a moment where descriptors have run out, so that who knocks is let in and sent away.
    spare: Option<File>,
}

impl Door {
    /// Takes the lock of this directory, and listens in it.
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn open(path: &Path) -> Result<Self, DoorError> {
        let name = || path.to_string_lossy().escape_debug().to_string();
        let os = |what| move |source: io::Error| DoorError::Os { dir: name(), what, source };
        let errno = |what| move |errno: Errno| DoorError::Os { dir: name(), what, source: errno.into() };
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let dir = open(path, flags, Mode::empty()).map_err(errno("open"))?;
        let stat = fstat(&dir).map_err(errno("stat"))?;
        if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(DoorError::NotPrivate { dir: name() });
        }
        let lock = match Lock::take(&dir).map_err(os("lock"))? {
            Ok(lock) => lock,
            Err(HeldElsewhere) => return Err(DoorError::Taken { dir: name() }),
        };
        let listener = listen_in(&dir).map_err(errno("listen"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(errno("epoll"))?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER)).map_err(errno("epoll"))?;
        let spare = File::open("/dev/null").ok();
        Ok(Self { epoll, listener, silent: VecDeque::new(), tokens: 0, dir, lock, spare })
    }

    /// The descriptor that is readable when [`Door::take`] has something.
    #[must_use]
    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Notes for those who find a dead starter.
    pub fn note(&self, text: &[u8]) {
        let _ = self.lock.note(text);
    }

    /// Whoever has said by now what it wants.
    pub fn take(&mut self) -> Vec<Came> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut came = Vec::new();
        for event in &events[..count] {
            match event.data() {
                LISTENER => self.accept(),
                TIMER => {}
                token => came.extend(self.listen_to(token)),
            }
        }
        came
    }

    fn accept(&mut self) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = match accept4(self.listener.as_raw_fd(), flags) {
            Ok(fd) => crate::process::calls::own(fd),
            Err(Errno::EMFILE | Errno::ENFILE) => {
                self.silent.clear();
                self.spare = None;
                if let Ok(fd) = accept4(self.listener.as_raw_fd(), flags) {
                    drop(crate::process::calls::own(fd));
                }
                self.spare = File::open("/dev/null").ok();
                return;
            }
            Err(_) => return,
        };
        let may = |uid: u32| uid == 0 || uid == geteuid().as_raw();
        if !getsockopt(&fd, PeerCredentials).is_ok_and(|peer| may(peer.uid())) {
            return;
        }
        self.tokens += 1;
        let (token, socket) = (self.tokens, UnixStream::from(fd));
        if self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token)).is_err() {
            return;
        }
        if self.silent.len() >= SILENT_MAX {
            self.silent.pop_front();
        }
        self.silent.push_back(Silent { token, socket, frames: FrameBuffer::default() });
    }

    fn listen_to(&mut self, token: u64) -> Option<Came> {
        let at = self.silent.iter().position(|silent| silent.token == token)?;
        let silent = &mut self.silent[at];
        let mut bytes = [0; READ_BYTES];
        match recv(silent.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            Ok(count) if count > 0 => silent.frames.push(&bytes[..count]),
            _ => {
                self.silent.remove(at);
                return None;
            }
        }
        let first = match silent.frames.next_frame() {
            Ok(None) => return None,
            Ok(Some((kind, body))) => ToStarter::decode(kind, body),
            Err(e) => Err(e),
        };
        let Silent { socket, frames, .. } = self.silent.remove(at)?;
        let _ = self.epoll.delete(&socket);
        match first {
            Ok(ToStarter::Open(Opening::Control)) => Some(Came::Control(socket, frames)),
            Ok(ToStarter::Open(Opening::Output { have })) => Some(Came::Output(socket, frames, have)),
            Ok(_) => refuse(&socket, "the first message must say what the connection is for"),
            Err(e) => refuse(&socket, &format!("the first message {e}")),
        }
    }

    /// Wakes the loop by the door's descriptor when this one is readable.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn watch(&self, other: impl AsFd, token: u64) -> nix::Result<()> {
        self.epoll.add(other, EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    /// Nobody is to come any more: the names go, the lock last, so that nobody takes this for a starter's death.
    pub fn close(self) {
        for name in [SOCKET, LOCK] {
            let _ = unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir);
        }
    }
}

fn refuse(socket: &UnixStream, text: &str) -> Option<Came> {
    let mut bytes = Vec::new();
    FromStarter::Refused { text: text.to_owned() }.encode(&mut bytes);
    let _ = send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    None
}

/// A socket that listens before it has its name: whoever finds it can connect. By the directory's descriptor, since the
/// kernel takes paths of a hundred bytes only.
fn listen_in(dir: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let new = format!("{SOCKET}.new");
    // The lock is held: nobody else is making one.
    match unlinkat(dir, new.as_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let path = format!("/proc/self/fd/{}/{new}", dir.as_raw_fd());
    bind(listener.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
    fchmodat(dir, new.as_str(), Mode::from_bits_truncate(0o600), FchmodatFlags::FollowSymlink)?;
    listen(&listener, Backlog::new(WAITING_MAX)?)?;
    renameat(dir, new.as_str(), dir, SOCKET)?;
    Ok(listener)
}
