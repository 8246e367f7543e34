//! dcrun's standard output and standard error: few, large writes, in order also where both are the same file.

use dc_model::wire::Output;
use dcd::label::Cursor;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// An open last line up to this length is held back from a terminal while a bar stands there.
const HELD_BYTES_MAX: usize = 256 << 10;

/// Both streams.
#[derive(Debug)]
pub struct Streams {
    out: Stream,
    err: Stream,
    /// Both are one file: then all is written through the one descriptor, which keeps the order.
    one_file: bool,
    /// Columns of the rank before each line; none: no rank.
    label: Option<usize>,
    /// The first failure to write standard output, until it is asked for.
    failure: Option<io::Error>,
}

#[derive(Debug)]
struct Stream {
    fd: BorrowedFd<'static>,
    terminal: bool,
    buffer: Vec<u8>,
    cursor: Cursor,
    closed: bool,
}

impl Streams {
    /// Over these two.
    #[must_use]
    pub fn new(out: BorrowedFd<'static>, err: BorrowedFd<'static>, label: Option<usize>) -> Self {
        let file = |fd: BorrowedFd<'_>| fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino));
        let one_file = file(out).is_some() && file(out) == file(err);
        let failure = None;
        Self { out: Stream::new(out), err: Stream::new(err), one_file, label, failure }
    }

    /// Takes a piece of a rank's output.
    pub fn piece(&mut self, piece: &Output) {
        let label = self.label;
        let (buffer, cursor) = self.turn_to(piece.stderr);
        match label {
            Some(width) => cursor.labelled(buffer, piece, width),
            None => cursor.plain(buffer, piece),
        }
    }

    /// Takes lines of dcrun's own for standard error.
    pub fn lines(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let (buffer, cursor) = self.turn_to(true);
        cursor.close(buffer);
        write(buffer);
    }

    /// The buffer to append to, and the cursor that counts there.
    fn turn_to(&mut self, stderr: bool) -> (&mut Vec<u8>, &mut Cursor) {
        let stream = if stderr && !self.one_file { &mut self.err } else { &mut self.out };
        (&mut stream.buffer, &mut stream.cursor)
    }

    /// Whether anything waits that touches a terminal.
    #[must_use]
    pub fn touches_terminal(&self) -> bool {
        [&self.out, &self.err].iter().any(|stream| stream.terminal && !stream.buffer.is_empty())
    }

    /// Writes all that waits. While `bar` stands on the terminal, a line without an end is held back there.
    pub fn flush(&mut self, bar: bool) {
        for i in 0..2 {
            let stream = if i == 0 { &mut self.out } else { &mut self.err };
            let held = if bar && stream.terminal { stream.open_bytes() } else { 0 };
            let result = stream.write(held);
            // A closed standard error is nobody's loss.
            if let (Err(error), true) = (result, i == 0) {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Why standard output cannot be written any more; told once.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

impl Stream {
    fn new(fd: BorrowedFd<'static>) -> Self {
        let terminal = nix::unistd::isatty(fd).unwrap_or(false);
        Self { fd, terminal, buffer: Vec::new(), cursor: Cursor::default(), closed: false }
    }

    /// Bytes of the last line, where it has no end yet.
    fn open_bytes(&self) -> usize {
        let open = self.buffer.iter().rev().take_while(|b| **b != b'\n').count();
        if open <= HELD_BYTES_MAX { open } else { 0 }
    }

    /// Writes all but the last `held` bytes.
    fn write(&mut self, held: usize) -> io::Result<()> {
        let len = self.buffer.len() - held;
        if len == 0 {
            return Ok(());
        }
        let result = if self.closed { Ok(()) } else { write_all(self.fd, &self.buffer[..len]) };
        self.buffer.drain(..len);
        self.closed |= result.is_err();
        result
    }
}

/// Writes everything, also to a descriptor that somebody made non-blocking.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let _ = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::{Attempt, Rank, SubtaskId};
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn leaked(fd: OwnedFd) -> BorrowedFd<'static> {
        let leaked: &'static OwnedFd = Box::leak(Box::new(fd));
        leaked.as_fd()
    }

    fn piece(rank: u32, stderr: bool, bytes: &[u8]) -> Output {
        let (subtask, attempt) = (SubtaskId(rank), Attempt(1));
        Output { subtask, attempt, rank: Rank(rank), stderr, last: true, bytes: bytes.to_vec() }
    }

    fn read(pipe: OwnedFd, len: usize) -> String {
        let mut bytes = vec![0; len];
        File::from(pipe).read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn one_file_keeps_the_order_and_own_words_their_line() {
        let (read_end, write_end) = nix::unistd::pipe().unwrap();
        let other = write_end.try_clone().unwrap();
        let mut streams = Streams::new(leaked(write_end), leaked(other), Some(1));
        streams.piece(&piece(0, false, b"a\nb"));
        streams.piece(&piece(1, true, b"c\n"));
        streams.piece(&piece(2, false, b"d"));
        streams.lines(|out| out.extend_from_slice(b"dcrun: e\n"));
        streams.flush(false);
        let want = "0: a\n0: b\n1: c\n2: d\ndcrun: e\n";
        assert_eq!(read(read_end, want.len()), want);
    }

    #[test]
    fn a_closed_reader_is_told_once_and_only_for_standard_output() {
        let (out_read, out) = nix::unistd::pipe().unwrap();
        let (err_read, err) = nix::unistd::pipe().unwrap();
        let mut streams = Streams::new(leaked(out), leaked(err), None);
        drop(err_read);
        streams.piece(&piece(0, true, b"x\n"));
        streams.flush(false);
        assert!(streams.take_failure().is_none());
        drop(out_read);
        for _ in 0..2 {
            streams.piece(&piece(0, false, b"x\n"));
            streams.flush(false);
        }
        assert_eq!(streams.take_failure().map(|e| e.kind()), Some(io::ErrorKind::BrokenPipe));
        assert!(streams.take_failure().is_none());
    }

    #[test]
    fn bytes_come_out_as_they_are() {
        let (read_end, out) = nix::unistd::pipe().unwrap();
        let null = File::options().write(true).open("/dev/null").unwrap();
        let mut streams = Streams::new(leaked(out), leaked(null.into()), None);
        streams.piece(&piece(0, false, b"a\0\xffb"));
        streams.flush(false);
        let mut bytes = [0; 4];
        File::from(read_end).read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"a\0\xffb");
    }
}
