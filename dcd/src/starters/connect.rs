//! A connection to a starter's socket, and the frames on it. Through the directory's descriptor, so that the length of
//! its path does not matter.

use super::SOCKET;
use super::lock::{is_held, open_dir};
use dc_model::codec::DecodeError;
use dc_model::wire::{FrameBuffer, ToStarter};
use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt, recvmsg,
    send, socket,
};
use nix::sys::stat::fstat;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use thiserror::Error;

const READ_BYTES: usize = 64 << 10;

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConnectError {
    /// No starter lives there: it was killed, or has ended, or none was started. A later try goes no better.
    #[error("no starter serves {dir}")]
    Dead {
        /// The directory, escaped.
        dir: String,
    },
    /// It lives, and does not take connections at this moment: to be tried again soon.
    #[error("the starter of {dir} does not answer yet")]
    NotYet {
        /// The directory, escaped.
        dir: String,
    },
    /// Another user than the directory's owner listens there.
    #[error("user {uid} listens in {dir}, who is not its owner: who has changed it?")]
    Stranger {
        /// The directory, escaped.
        dir: String,
        /// Whose process it is.
        uid: u32,
    },
    /// dc-exec cannot make it.
    #[error("the starter of {dir} cannot be reached: {why}")]
    Exec {
        /// The directory, escaped.
        dir: String,
        /// Its line.
        why: String,
    },
    /// The system's error.
    #[error("the starter of {dir} cannot be reached: {}", .errno.desc())]
    Os {
        /// The directory, escaped.
        dir: String,
        /// The error.
        errno: Errno,
    },
}

/// Why a connection is over. The starter may live on: its directory tells.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Lost {
    /// The starter has closed it, or has ended.
    #[error("the starter has closed the connection")]
    Ended,
    /// The starter has closed it, and says why.
    #[error("the starter refuses: {0}")]
    Refused(String),
    /// What came is no message.
    #[error("the starter sent a message that {0}")]
    Unreadable(DecodeError),
    /// The system's error.
    #[error("the connection to the starter failed: {}", .0.desc())]
    Os(Errno),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    pub(super) frames: FrameBuffer,
    waiting: Vec<u8>,
    sent: usize,
    /// Why nothing more is read.
    over: Option<Lost>,
    /// A descriptor that came along.
    pub(super) came: Option<OwnedFd>,
    scratch: Box<[u8]>,
}

/// A connection to the starter of a directory of this user's.
pub(super) fn socket_of(dir: &Path) -> Result<OwnedFd, ConnectError> {
    let name = || dir.to_string_lossy().escape_debug().to_string();
    let os = |errno| ConnectError::Os { dir: name(), errno };
    let fd = match open_dir(dir) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Err(ConnectError::Dead { dir: name() }),
        Err(errno) => return Err(os(errno)),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(os)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", fd.as_raw_fd());
    let address = UnixAddr::new(path.as_str()).map_err(os)?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => {}
        Err(Errno::EAGAIN) => return Err(ConnectError::NotYet { dir: name() }),
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => {
            // A starter takes its lock first: one that holds it will listen in a moment.
            let held = is_held(&fd).map_err(|e| os(Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
            let dir = name();
            return Err(match held {
                Some(true) => ConnectError::NotYet { dir },
                _ => ConnectError::Dead { dir },
            });
        }
        Err(errno) => return Err(os(errno)),
    }
    let owner = fstat(&fd).map_err(os)?.st_uid;
    let uid = getsockopt(&socket, PeerCredentials).map_err(os)?.uid();
    if uid != owner && uid != 0 {
        return Err(ConnectError::Stranger { dir: name(), uid });
    }
    Ok(socket)
}

impl Wire {
    /// Connects, and sends the first message.
    pub(super) fn connect(dir: &Path, first: &ToStarter) -> Result<Self, ConnectError> {
        socket_of(dir).map(|socket| Self::over(socket, first))
    }

    /// Over a socket that is connected, and sends the first message. It need not be one that never blocks: all calls
    /// say so themselves.
    pub(super) fn over(socket: OwnedFd, first: &ToStarter) -> Self {
        let mut wire = Self {
            socket,
            frames: FrameBuffer::default(),
            waiting: Vec::new(),
            sent: 0,
            over: None,
            came: None,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        };
        wire.send(first);
        wire.on_writable();
        wire
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Why it is over, when all that came before was taken.
    pub(super) fn lost(&self) -> Option<Lost> {
        self.over.clone()
    }

    pub(super) fn end(&mut self, why: Lost) -> Lost {
        self.over = Some(why.clone());
        why
    }

    pub(super) fn send(&mut self, message: &ToStarter) {
        if self.over.is_none() {
            message.encode(&mut self.waiting);
        }
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len() - self.sent
    }

    /// Sends what the socket takes.
    pub(super) fn on_writable(&mut self) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while self.sent < self.waiting.len() {
            match send(self.socket.as_raw_fd(), &self.waiting[self.sent..], flags) {
                Ok(bytes) => self.sent += bytes,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                // What came before its end is still read; that tells the rest.
                Err(_) => {
                    self.sent = self.waiting.len();
                }
            }
        }
        if self.sent * 2 >= self.waiting.len() {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Reads what is there, once.
    pub(super) fn on_readable(&mut self) {
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let mut slices = [IoSliceMut::new(&mut self.scratch)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags);
        let (bytes, fds) = match received {
            Ok(message) => {
                let fds: Vec<RawFd> = message
                    .cmsgs()
                    .into_iter()
                    .flatten()
                    .filter_map(|m| match m {
                        ControlMessageOwned::ScmRights(fds) => Some(fds),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                (message.bytes, fds)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(Errno::ECONNRESET) => (0, Vec::new()),
            Err(errno) => {
                self.over.get_or_insert(Lost::Os(errno));
                return;
            }
        };
        for fd in fds {
            self.came = Some(crate::process::calls::own(fd));
        }
        match bytes {
            0 => drop(self.over.get_or_insert(Lost::Ended)),
            bytes => self.frames.push(&self.scratch[..bytes]),
        }
    }
}
