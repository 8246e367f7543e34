//! Two sockets, and the bytes between them: what one end sends the other gets, no more of it being read than can be
//! passed on; an end of sending is passed on behind the last byte. No epoll here: whoever has the loop says what is ready.

use super::super::daemon::Interest;
use dc_link::Place;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Read at once, in bytes; what may wait of one way at most. A TLS record with its frame fits.
pub(super) const CHUNK_BYTES: usize = 17 << 10;
/// Chunks of one way in a turn: the others wait meanwhile.
const CHUNKS_MAX: usize = 8;

/// One way: from a side to the other one.
#[derive(Default)]
struct Way {
    waits: Vec<u8>,
    start: usize,
    /// Nothing more comes.
    ended: bool,
    /// The other side has been told so, or takes nothing any more.
    over: bool,
    /// The other side takes nothing any more: what comes is read and dropped, so that its own last words, which went the
    /// other way, are not lost with a socket that is closed on unread bytes.
    broken: bool,
    bytes: u64,
}

/// Two connected sockets.
pub(super) struct Pair {
    sides: [TcpStream; 2],
    /// The first: from side 0 to side 1.
    ways: [Way; 2],
    /// When bytes went last, in ns.
    pub moved_ns: u64,
    /// Who has it, for people.
    pub what: String,
    _place: Option<Place>,
}

impl Pair {
    /// The one who dialled, and its node; both non-blocking.
    pub fn new(sides: [TcpStream; 2], place: Option<Place>, what: String) -> Self {
        Self { sides, ways: Default::default(), moved_ns: crate::daemon::now(), what, _place: place }
    }

    /// A side's socket.
    pub fn side(&self, side: usize) -> &TcpStream {
        &self.sides[side]
    }

    /// Bytes that went: to the node, and from it.
    pub fn bytes(&self) -> [u64; 2] {
        [self.ways[0].bytes, self.ways[1].bytes]
    }

    /// What to wait for at a side. Where it is nothing it must not be waited for at all: an end is told to who did not ask.
    pub fn interest(&self, side: usize) -> Interest {
        let (out, into) = (&self.ways[side], &self.ways[1 - side]);
        Interest { read: !out.ended && out.waits.is_empty(), write: !into.waits.is_empty() }
    }

    /// Whether all was passed on, both ways.
    pub fn is_over(&self) -> bool {
        self.ways.iter().all(|way| way.over && (way.ended || !way.broken))
            || self.ways.iter().all(|way| way.broken)
    }

    /// Whether one end takes nothing any more: it may not last for long.
    pub fn is_broken(&self) -> bool {
        self.ways.iter().any(|way| way.broken)
    }

    /// A side is ready for this. `scratch` is [`CHUNK_BYTES`] long.
    pub fn on_ready(&mut self, side: usize, read: bool, write: bool, scratch: &mut [u8]) {
        if write {
            self.carry(1 - side, scratch);
        }
        if read {
            self.carry(side, scratch);
        }
    }

    /// Moves what goes of one way.
    fn carry(&mut self, from: usize, scratch: &mut [u8]) {
        let [first, second] = &mut self.sides;
        let (source, sink) = if from == 0 { (first, second) } else { (second, first) };
        let way = &mut self.ways[from];
        let before = way.bytes;
        for _ in 0..CHUNKS_MAX {
            if !way.flush(sink) || way.ended {
                break;
            }
            match source.read(scratch) {
                Ok(0) => way.ended = true,
                Ok(count) => way.put(&scratch[..count], sink),
                Err(error) if would_wait(&error) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => way.ended = true,
            }
        }
        if way.ended && way.waits.is_empty() && !way.over {
            // It may be gone already.
            let _ = sink.shutdown(Shutdown::Write);
            way.over = true;
        }
        if way.bytes != before {
            self.moved_ns = crate::daemon::now();
        }
    }
}

impl Way {
    /// Passes on what waits; whether nothing waits any more.
    fn flush(&mut self, sink: &mut TcpStream) -> bool {
        while self.start < self.waits.len() && !self.broken {
            match sink.write(&self.waits[self.start..]) {
                Ok(0) => self.on_broken(),
                Ok(count) => {
                    self.start += count;
                    self.bytes += count as u64;
                }
                Err(error) if would_wait(&error) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.on_broken(),
            }
        }
        // Memory is for who is slow alone.
        (self.waits, self.start) = (Vec::new(), 0);
        true
    }

    /// Passes on what has come; what does not go waits.
    fn put(&mut self, mut bytes: &[u8], sink: &mut TcpStream) {
        while !bytes.is_empty() && !self.broken {
            match sink.write(bytes) {
                Ok(0) => self.on_broken(),
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.bytes += count as u64;
                }
                Err(error) if would_wait(&error) => {
                    self.waits = bytes.to_vec();
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.on_broken(),
            }
        }
    }

    fn on_broken(&mut self) {
        (self.broken, self.over) = (true, true);
    }
}

fn would_wait(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
