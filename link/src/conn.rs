//! A session with its socket, and where they come from: for a loop on poll or epoll that asks each what it waits for.

use crate::gate::{Gate, Place, TurnedAway};
use crate::instant::UnixSeconds;
use crate::session::{Event, LinkError, SendError, Session, Settings};
use crate::tls::{Admission, Endpoint};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, connect, socket,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use thiserror::Error;

/// After an error for want of descriptors or memory nothing is accepted for so long, in ns: the error would come again
/// at once.
const PAUSE_NS: u64 = 100_000_000;

/// A stream socket, non-blocking.
#[derive(Debug)]
pub enum Socket {
    /// To another host.
    Tcp(TcpStream),
    /// On this one.
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(bufs),
            Self::Unix(stream) => stream.write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A connection. Dropping it closes its socket and gives its place back.
pub struct Conn {
    socket: Socket,
    session: Session,
    place: Option<Place>,
}

impl Conn {
    /// A session over a socket, which must be non-blocking.
    #[must_use]
    pub fn new(socket: Socket, session: Session) -> Self {
        Self { socket, session, place: None }
    }

    /// The session, to ask and to send.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// See [`Session::want_read`].
    #[must_use]
    pub fn want_read(&self) -> bool {
        self.session.want_read()
    }

    /// See [`Session::want_write`].
    #[must_use]
    pub fn want_write(&self) -> bool {
        self.session.want_write()
    }

    /// See [`Session::deadline_ns`].
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        self.session.deadline_ns()
    }

    /// See [`Session::is_finished`]: then drop it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.session.is_finished()
    }

    /// See [`Session::on_readable`]. On an error the last words have been tried: drop it.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn on_readable(&mut self, now_ns: u64) -> Result<(), LinkError> {
        let read = self.session.on_readable(&mut self.socket, now_ns);
        self.after(read, now_ns)
    }

    /// See [`Session::on_writable`].
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn on_writable(&mut self, now_ns: u64) -> Result<(), LinkError> {
        let written = self.session.on_writable(&mut self.socket, now_ns);
        self.after(written, now_ns)
    }

    /// See [`Session::on_tick`].
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn on_tick(&mut self, now_ns: u64) -> Result<(), LinkError> {
        let ticked = self.session.on_tick(now_ns);
        self.after(ticked, now_ns)
    }

    /// See [`Session::next_event`].
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, LinkError> {
        self.session.next_event()
    }

    /// See [`Session::send`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), SendError> {
        self.session.send(kind, body)
    }

    /// The socket, for what is no frame any more: for a relay, where both sides have said so in frames. With the place
    /// that the connection has. `None`, and an end: the session is not up, or bytes of it wait yet.
    #[must_use]
    pub fn into_plain(self) -> Option<(Socket, Option<Place>)> {
        self.session.is_at_rest().then_some((self.socket, self.place))
    }

    fn after(&mut self, result: Result<(), LinkError>, now_ns: u64) -> Result<(), LinkError> {
        if !self.session.is_unproved()
            && let Some(place) = &mut self.place
        {
            place.on_proved();
        }
        if result.is_err() {
            // An alert says why; a socket that does not take it now never will.
            let _ = self.session.on_writable(&mut self.socket, now_ns);
            let _ = match &self.socket {
                Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
                Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            };
        }
        result
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why nothing was accepted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AcceptError {
    /// A connection was closed at once: go on accepting.
    #[error("a connection from {from} was turned away: {why}")]
    TurnedAway {
        /// Where it came from.
        from: SocketAddr,
        /// Why.
        why: TurnedAway,
    },
    /// The system's error.
    #[error("no connection can be accepted: {}", .0.desc())]
    Os(Errno),
    /// TLS.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// The port of a daemon.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    gate: Gate,
    paused_until_ns: u64,
}

impl Acceptor {
    /// On a listening socket, with the caps of a gate; several may share one.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn new(listener: TcpListener, gate: Gate) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, gate, paused_until_ns: 0 })
    }

    /// Whether to wait for it: not while every place is taken, and not for a moment after descriptors ran out.
    #[must_use]
    pub fn want_accept(&self, now_ns: u64) -> bool {
        now_ns >= self.paused_until_ns && self.gate.has_room()
    }

    /// Its address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes a connection; `None` when none waits, or [`Acceptor::want_accept`] says no.
    ///
    /// # Errors
    /// [`AcceptError`]; the acceptor can be used again in every case.
    pub fn accept(
        &mut self,
        endpoint: &Endpoint,
        admission: &Admission,
        settings: &Settings,
        now_ns: u64,
        today: UnixSeconds,
    ) -> Result<Option<(Conn, SocketAddr)>, AcceptError> {
        if !self.want_accept(now_ns) {
            return Ok(None);
        }
        let (stream, from) = loop {
            match self.listener.accept() {
                Ok(taken) => break taken,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // It was gone before it was taken.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.paused_until_ns = now_ns.saturating_add(PAUSE_NS);
                        return Err(AcceptError::Os(
                            error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
                        ));
                    }
                },
            }
        };
        let place = self.gate.try_enter(from.ip()).map_err(|why| AcceptError::TurnedAway { from, why })?;
        let prepared = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
        prepared
            .map_err(|error| AcceptError::Os(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
        let session = Session::accept(endpoint, admission.clone(), settings.clone(), now_ns, today)?;
        Ok(Some((Conn { socket: Socket::Tcp(stream), session, place: Some(place) }, from)))
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Begins to connect, without waiting: the socket becomes writable when it is, and an error shows when it is written
/// or read. The session's handshake deadline bounds the time.
///
/// # Errors
/// When there is no socket, or the system refuses at once.
pub fn connect_tcp(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let address: &dyn SockaddrLike = match to {
        SocketAddr::V4(v4) => &SockaddrIn::from(v4),
        SocketAddr::V6(v6) => &SockaddrIn6::from(v6),
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    match connect(fd.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    Ok(stream)
}
