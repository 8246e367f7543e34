//! Asking dc-exec, for dcd: the process, the request's way in, and the replies' way out. Nothing of this is used by
//! the privileged program.

use crate::reply::{REPLY_BYTES, Reply, Said};
use crate::request::Request;
use crate::stage::Stage;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use nix::unistd::{Pid, pipe2, write};
use std::ffi::CString;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The number under which dc-exec looks for a pidfd.
const PIDFD: i32 = 3;

/// What dc-exec has said.
#[derive(Debug)]
pub enum Told {
    /// All is done; with what it hands over, if anything.
    Done(Option<OwnedFd>),
    /// It has become the starter.
    Started,
    /// It has not done it.
    Refused {
        /// The step.
        stage: Stage,
        /// The system's error, or 0.
        errno: i32,
        /// A line for people: printable ASCII.
        text: String,
    },
    /// It ended without a word that makes sense: it was killed, or is of another version.
    Nothing,
}

/// A dc-exec that runs: a child of the caller's, which reaps it.
#[derive(Debug)]
pub struct Asked {
    /// Its process; of a start it becomes the starter's.
    pub pid: Pid,
    socket: OwnedFd,
    told: Vec<u8>,
    handed: Option<OwnedFd>,
}

impl Asked {
    /// Runs `words`, the last of which is the request's verb, with these variables and no others of the caller's
    /// descriptors than standard error and a pidfd.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        words: &[CString],
        variables: &[CString],
        request: &Request,
        stderr: BorrowedFd<'_>,
        pidfd: Option<BorrowedFd<'_>>,
    ) -> nix::Result<Self> {
        let (socket, its) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        let (input, fill) = pipe2(OFlag::O_CLOEXEC)?;
        // A request is shorter than any pipe.
        let bytes = request.encode();
        if write(&fill, &bytes)? != bytes.len() {
            return Err(Errno::EIO);
        }
        drop(fill);
        let high = |fd: BorrowedFd<'_>| above(fd).map_err(|_| Errno::EMFILE);
        let mut places = vec![(high(input.as_fd())?, 0), (high(its.as_fd())?, 1), (high(stderr)?, 2)];
        if let Some(pidfd) = pidfd {
            places.push((high(pidfd)?, PIDFD));
        }
        let mut actions = PosixSpawnFileActions::init()?;
        for (from, to) in &places {
            actions.add_dup2(from.as_raw_fd(), *to)?;
        }
        let mut attributes = PosixSpawnAttr::init()?;
        attributes
            .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigmask(&SigSet::empty())?;
        attributes.set_sigdefault(&SigSet::all())?;
        let program = words.first().ok_or(Errno::EINVAL)?;
        let pid = posix_spawn(program.as_c_str(), &actions, &attributes, words, variables)?;
        Ok(Self { pid, socket, told: Vec::new(), handed: None })
    }

    /// Readable when there is more for [`Asked::wait`].
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Waits for its last word.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(mut self) -> nix::Result<Told> {
        let mut bytes = [0; 2 * REPLY_BYTES];
        loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Err(Errno::EINTR) => continue,
                Err(Errno::ECONNRESET) => break,
                other => other?,
            };
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(fds) = control {
                    self.handed = fds.into_iter().map(crate::calls::own).next_back();
                }
            }
            let count = message.bytes;
            if count == 0 || self.told.len() > 2 * REPLY_BYTES {
                break;
            }
            self.told.extend(&bytes[..count]);
        }
        Ok(self.said())
    }

    fn said(self) -> Told {
        let replies: Option<Vec<_>> =
            self.told.chunks(REPLY_BYTES).map(|bytes| Reply::decode(bytes).ok()).collect();
        let mut replies = replies.unwrap_or_default();
        let is_going = replies.first().is_some_and(|reply| reply.said == Said::Going);
        let count = replies.len();
        match replies.pop() {
            Some(Reply { said: Said::Refused(stage), errno, text }) if count == 1 || is_going => {
                Told::Refused { stage, errno, text }
            }
            Some(Reply { said: Said::Done, .. }) if count == 1 => Told::Done(self.handed),
            Some(_) if count == 1 => Told::Started,
            _ => Told::Nothing,
        }
    }
}

/// The same file under a number above those that dc-exec is given, so that none overwrites another.
fn above(fd: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    let mut below = Vec::new();
    let mut copy = fd.try_clone_to_owned()?;
    while copy.as_raw_fd() <= PIDFD {
        let next = copy.try_clone()?;
        below.push(std::mem::replace(&mut copy, next));
    }
    Ok(copy)
}
