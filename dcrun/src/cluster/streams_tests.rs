//! Output of nodes: nothing lost, nothing twice, whatever happens to the way.

use super::*;
use dc_model::Rank;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Ways that the test makes: the node's ends are sent to it, with what the reader has.
struct Made {
    made: Mutex<Sender<(u32, Option<OutputAt>, UnixStream)>>,
    gone: Arc<Mutex<bool>>,
}

impl Reach for Made {
    fn streams(&self, node: &NodeRow, _: JobUuid, have: Option<OutputAt>) -> Result<UnixStream, Unreached> {
        if *self.gone.lock().unwrap() {
            return Err(Unreached::Gone);
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.made.lock().unwrap().send((node.number, have, theirs)).unwrap();
        Ok(ours)
    }

    fn at(&self, _: &NodeRow) -> Result<dcd::peer::client::NodeAt, Unreached> {
        Err(Unreached::Gone)
    }
}

struct Stage {
    streams: Streams,
    made: Receiver<(u32, Option<OutputAt>, UnixStream)>,
    told: Receiver<Told>,
    console: UnixStream,
    gone: Arc<Mutex<bool>>,
}

fn stage() -> Stage {
    let (sender, made) = channel();
    let gone = Arc::new(Mutex::new(false));
    let reach = Arc::new(Made { made: Mutex::new(sender), gone: Arc::clone(&gone) });
    let (ours, console) = UnixStream::pair().unwrap();
    console.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (tell, told) = channel();
    let streams = Streams::start(reach, JobUuid([1; 16]), ours, move |what| drop(tell.send(what))).unwrap();
    Stage { streams, made, told, console, gone }
}

fn row(number: u32) -> NodeRow {
    NodeRow { number, name: format!("n{number}"), ..NodeRow::default() }
}

fn piece(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let output = Output {
        subtask: SubtaskId(0),
        attempt: Attempt(1),
        rank: Rank(0),
        stderr: false,
        last: false,
        bytes: text.as_bytes().to_vec(),
    };
    output.encode(&mut bytes);
    bytes
}

fn from(offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    FromStarter::OutputFrom(OutputAt { starter_inc: 9, offset }).encode(&mut bytes);
    bytes
}

/// The next piece that the console would show.
fn shown(console: &mut UnixStream) -> Option<String> {
    let mut frames = FrameBuffer::default();
    loop {
        if let Some((kind, body)) = frames.next_frame().unwrap() {
            return Some(String::from_utf8(Output::decode(kind, body).unwrap().bytes).unwrap());
        }
        let mut byte = [0];
        match console.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => frames.push(&byte),
            Err(error) => panic!("nothing is shown: {error}"),
        }
    }
}

fn wait<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn a_lost_way_is_gone_on_with_from_what_was_handed_over() {
    let mut stage = stage();
    stage.streams.node(&row(3));
    let (number, have, mut node) = wait(&stage.made);
    assert_eq!((number, have), (3, None));
    node.write_all(&[from(100), piece("a\n")].concat()).unwrap();
    assert_eq!(shown(&mut stage.console).as_deref(), Some("a\n"));
    let end = 100 + piece("a\n").len() as u64;
    // Half a frame, then the way is lost.
    node.write_all(&piece("never")[..7]).unwrap();
    drop(node);
    let (_, have, mut node) = wait(&stage.made);
    assert_eq!(have, Some(OutputAt { starter_inc: 9, offset: end }));
    node.write_all(&[from(end), piece("b\n")].concat()).unwrap();
    assert_eq!(shown(&mut stage.console).as_deref(), Some("b\n"));
    // It is acknowledged up to its end.
    let mut frames = FrameBuffer::default();
    let mut buffer = [0; 64];
    node.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let n = node.read(&mut buffer).unwrap();
    frames.push(&buffer[..n]);
    let (kind, body) = frames.next_frame().unwrap().unwrap();
    let offset = end + piece("b\n").len() as u64;
    assert_eq!(ToStarter::decode(kind, body), Ok(ToStarter::AckOutput { offset }));
    *stage.gone.lock().unwrap() = true;
    drop(node);
    stage.streams.job_ended();
    assert_eq!(shown(&mut stage.console), None, "all was had");
}

#[test]
fn several_nodes_at_once_and_input_for_one() {
    let mut stage = stage();
    stage.streams.node(&row(1));
    stage.streams.node(&row(2));
    let mut nodes = BTreeMap::new();
    for _ in 0..2 {
        let (number, _, stream) = wait(&stage.made);
        nodes.insert(number, stream);
    }
    let mut second = nodes.remove(&2).unwrap();
    second.write_all(&[from(0), piece("2\n")].concat()).unwrap();
    assert_eq!(shown(&mut stage.console).as_deref(), Some("2\n"));
    let mut wants = Vec::new();
    FromStarter::WantInput { subtask: SubtaskId(5), attempt: Attempt(2), at: 7, room: 9 }.encode(&mut wants);
    second.write_all(&wants).unwrap();
    let told = Told::Wants { node: 2, subtask: SubtaskId(5), attempt: Attempt(2), at: 7, room: 9 };
    assert_eq!(wait(&stage.told), told);
    let mut first = nodes.remove(&1).unwrap();
    first.write_all(&[from(0), piece("1\n")].concat()).unwrap();
    assert_eq!(shown(&mut stage.console).as_deref(), Some("1\n"));
}

#[test]
fn who_does_not_read_holds_up_the_nodes_and_bounds_the_memory() {
    let mut stage = stage();
    stage.streams.node(&row(1));
    let (_, _, mut node) = wait(&stage.made);
    node.set_nonblocking(true).unwrap();
    let line = format!("{}\n", "x".repeat(60_000));
    let (bytes, mut sent, mut head) = (piece(&line), 0usize, from(0));
    let mut write = |bytes: &[u8]| match node.write(bytes) {
        Ok(n) => n,
        Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
        Err(e) => panic!("{e}"),
    };
    assert_eq!(write(&head), head.len());
    head.clear();
    // Until nothing more is taken for a while.
    let mut since = Instant::now();
    let mut at = 0;
    while since.elapsed() < Duration::from_millis(500) {
        let n = write(&bytes[at..]);
        at = (at + n) % bytes.len();
        sent += n;
        if n > 0 {
            since = Instant::now();
        } else {
            std::thread::yield_now();
        }
    }
    assert!(sent < 16 << 20, "{sent} bytes were taken, and nobody read them");
    assert!(sent > 60_000);
    assert_eq!(shown(&mut stage.console).as_deref(), Some(line.as_str()));
}
