//! The descriptors that a starter is started with, taken over before anything else is opened.
//!
//! Unsafe because a bare number becomes an owned descriptor: true once, at the very start of the process.
#![allow(unsafe_code)]

use crate::process::calls::close_from;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// The control socket's number.
pub const CONTROL: RawFd = 3;
/// The output socket's number.
pub const OUTPUT: RawFd = 4;
/// The progress file's number; ranks find it by this number under the starter's /proc entry.
pub const PROGRESS: RawFd = 5;

/// What dcrun left open.
#[derive(Debug)]
pub struct Inherited {
    /// Messages, both ways.
    pub control: UnixStream,
    /// Output frames, to dcrun.
    pub output: UnixStream,
    /// The progress file.
    pub progress: OwnedFd,
}

impl Inherited {
    /// Takes the three over, makes standard input /dev/null, and closes everything else that came along.
    ///
    /// # Errors
    /// When they are not what a starter is given.
    pub fn take() -> io::Result<Self> {
        let kinds = [(CONTROL, SFlag::S_IFSOCK), (OUTPUT, SFlag::S_IFSOCK), (PROGRESS, SFlag::S_IFREG)];
        for (fd, kind) in kinds {
            // SAFETY: borrowed for two calls that fail when it is not open.
            let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
            let found = SFlag::from_bits_truncate(fstat(borrowed)?.st_mode) & SFlag::S_IFMT;
            if found != kind {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("descriptor {fd} is of another kind"),
                ));
            }
            fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        close_from(PROGRESS + 1)?;
        let null = File::open("/dev/null")?;
        // SAFETY: standard input is open (Rust's runtime sees to it) and nothing here reads it.
        let mut stdin = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
        nix::unistd::dup2(&null, &mut stdin)?;
        debug_assert!(null.as_raw_fd() > PROGRESS);
        // SAFETY: open, checked above, and owned by nobody else in this new process.
        let [control, output, progress] =
            [CONTROL, OUTPUT, PROGRESS].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let (control, output) = (UnixStream::from(control), UnixStream::from(output));
        control.set_nonblocking(true)?;
        output.set_nonblocking(true)?;
        Ok(Self { control, output, progress })
    }
}
