//! Where shims come in: a socket without a file, for this user alone, and a token that only the launcher's processes
//! know.

use crate::shim::words::{FromShim, TOKEN_BYTES, WORD_BYTES_MAX};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    getsockopt, listen, recv, send, sendmsg, socket, sockopt,
};
use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const EVENTS_MAX: usize = 64;
/// What the listening socket and the launcher's output are known by; connections follow.
const LISTENER: u64 = u64::MAX;
const CHATTER: u64 = u64::MAX - 1;

/// What has come.
#[derive(Debug)]
pub enum Came {
    /// A word of a connection's; none: it is at its end, or says what no shim says.
    Word(usize, Option<FromShim>),
    /// The launcher has said something, or closed its output.
    Chatter,
}

/// The socket and all that came in by it.
#[derive(Debug)]
pub struct Door {
    epoll: Epoll,
    listener: OwnedFd,
    connections: Vec<Option<OwnedFd>>,
    /// What proves a shim.
    pub token: [u8; TOKEN_BYTES],
    name: String,
}

impl Door {
    /// Opens one for so many shims.
    pub fn open(ranks: usize) -> nix::Result<Self> {
        let mut random = [0; 2 * TOKEN_BYTES];
        let drawn = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
        drawn.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let (token, rest) = random.split_first_chunk::<TOKEN_BYTES>().ok_or(Errno::EIO)?;
        let name = format!("dc-gang-{}", hex(rest));
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(listener.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        let backlog = i32::try_from(ranks).unwrap_or(i32::MAX).clamp(1, 4096);
        listen(&listener, Backlog::new(backlog)?)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        Ok(Self { epoll, listener, connections: Vec::new(), token: *token, name })
    }

    /// What shims find in their environment.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.name, hex(&self.token))
    }

    /// The launcher's output is waited for too.
    pub fn add_chatter(&self, pipe: &OwnedFd) -> nix::Result<()> {
        self.epoll.add(pipe, EpollEvent::new(EpollFlags::EPOLLIN, CHATTER))
    }

    /// It is at its end.
    pub fn remove_chatter(&self, pipe: &OwnedFd) {
        let _ = self.epoll.delete(pipe);
    }

    /// Readable when something has come.
    #[must_use]
    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// What has come, each connection's next word.
    pub fn take(&mut self) -> Vec<Came> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut came = Vec::new();
        for event in &events[..ready] {
            match event.data() {
                LISTENER => self.accept(),
                CHATTER => came.push(Came::Chatter),
                index => came.extend(self.receive(index as usize)),
            }
        }
        came
    }

    fn accept(&mut self) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        while let Ok(fd) = accept4(self.listener.as_raw_fd(), flags) {
            let connection = crate::process::calls::own(fd);
            let peer = getsockopt(&connection, sockopt::PeerCredentials);
            if !peer.is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw()) {
                continue;
            }
            let event = EpollEvent::new(EpollFlags::EPOLLIN, self.connections.len() as u64);
            if self.epoll.add(&connection, event).is_ok() {
                self.connections.push(Some(connection));
            }
        }
    }

    fn receive(&mut self, index: usize) -> Option<Came> {
        let connection = self.connections.get(index)?.as_ref()?;
        let mut bytes = [0; WORD_BYTES_MAX];
        match recv(connection.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Ok(len) if len > 0 => Some(Came::Word(index, FromShim::decode(&bytes[..len]).ok())),
            _ => Some(Came::Word(index, None)),
        }
    }

    /// Sends a word of one byte, with descriptors.
    pub fn send(&self, index: usize, word: u8, fds: &[BorrowedFd<'_>]) -> nix::Result<()> {
        let connection = self.connections.get(index).and_then(Option::as_ref).ok_or(Errno::ENOTCONN)?;
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        if fds.is_empty() {
            return send(connection.as_raw_fd(), &[word], flags).map(drop);
        }
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&raw)];
        sendmsg::<UnixAddr>(connection.as_raw_fd(), &[IoSlice::new(&[word])], &control, flags, None).map(drop)
    }

    /// Closes a connection.
    pub fn close(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            *connection = None;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
