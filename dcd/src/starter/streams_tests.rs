//! A process that is held may end without having been a rank: its pipes' end is not the end of the rank's streams.

use super::*;
use dc_model::CpuSet;
use dc_model::wire::FrameBuffer;
use nix::unistd::write;
use std::io::Read;
use std::os::unix::net::UnixStream;

struct Fixture {
    streams: Streams,
    out: OutputSocket,
    reader: UnixStream,
    frames: FrameBuffer,
}

impl Fixture {
    fn new() -> Self {
        let (ours, reader) = UnixStream::pair().unwrap();
        reader.set_nonblocking(true).unwrap();
        let out = OutputSocket::new(ours);
        Self { streams: Streams::new().unwrap(), out, reader, frames: FrameBuffer::default() }
    }

    fn open(&mut self) -> (OwnedFd, StreamKey) {
        let launch = Launch {
            subtask: SubtaskId(1),
            attempt: Attempt(1),
            rank: Rank(0),
            cpus: CpuSet::new(),
            cores: 1,
            numa: None,
            cells: 1,
            block: None,
            args: Vec::new(),
            before: None,
            after: None,
        };
        self.streams.open(&launch, false).unwrap()
    }

    /// What the reader is told by what is readable now: bytes, and whether they are the last.
    fn told(&mut self) -> Vec<(Vec<u8>, bool)> {
        self.streams.on_readable(&mut self.out);
        self.out.flush();
        let mut chunk = [0; 4096];
        if let Ok(bytes) = self.reader.read(&mut chunk) {
            self.frames.push(&chunk[..bytes]);
        }
        let mut told = Vec::new();
        while let Some((kind, body)) = self.frames.next_frame().unwrap() {
            let frame = Output::decode(kind, body).unwrap();
            told.push((frame.bytes, frame.last));
        }
        told
    }
}

#[test]
fn the_end_of_one_that_was_held_and_is_gone_is_not_told() {
    let mut it = Fixture::new();
    let (theirs, first) = it.open();
    it.streams.hold([Some(first), None]);
    drop(theirs);
    assert_eq!(it.told(), []);
    it.streams.discard([Some(first), None]);
    // The process that is made in its place has the one end.
    let (theirs, second) = it.open();
    write(&theirs, b"said\n").unwrap();
    drop(theirs);
    assert_eq!(it.told(), [(b"said\n".to_vec(), false)]);
    it.streams.on_rank_ended(second, Instant::now(), &mut it.out, &mut Timers::default());
    assert_eq!(it.told(), [(Vec::new(), true)]);
}

#[test]
fn one_that_has_gone_on_has_its_end_however_late_that_is_seen() {
    for knows_before in [true, false] {
        let mut it = Fixture::new();
        let (theirs, key) = it.open();
        it.streams.hold([Some(key), None]);
        write(&theirs, b"said\n").unwrap();
        assert_eq!(it.told(), [(b"said\n".to_vec(), false)]);
        if knows_before {
            it.streams.let_go([Some(key), None], &mut it.out);
        }
        drop(theirs);
        let last = [(Vec::new(), true)];
        assert_eq!(it.told(), if knows_before { &last[..] } else { &[] });
        it.streams.let_go([Some(key), None], &mut it.out);
        it.streams.on_rank_ended(key, Instant::now(), &mut it.out, &mut Timers::default());
        assert_eq!(it.told(), if knows_before { &[] } else { &last[..] });
        assert!(it.streams.is_empty());
    }
}
