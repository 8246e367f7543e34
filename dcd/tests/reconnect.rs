//! kill -9 of who leads a job, at random moments: nothing of what ranks said or how they ended is lost, doubled or changed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, Output, OutputAt, ToStarter};
use dc_model::{JobUuid, Outcome};
use dcd::starters::{self, Control, Event, Life, Lost, OutputEvent, OutputReader, Told};
use harness::served::{EXE, Ends, LONG, Served, hello, job_dir, output_event};
use harness::{DEADLINE, proc, shell};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("DC_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
        });
        println!("seed {seed} (DC_SEED)");
        Self(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a subtask writes, and how it ends.
const SCRIPT: &str = "i=0; while [ $i -lt 300 ]; do echo \"$1 line $i of output\"; i=$((i+1)); \
                      [ $((i % 100)) = 0 ] && sleep 0.0$(($1 % 5)); done; exit $(($1 % 7))";

fn expected(subtask: u32) -> String {
    (0..300).map(|i| format!("{subtask} line {i} of output\n")).collect()
}

/// An output reader that comes and goes, in one process: offsets alone make it exact.
#[test]
fn output_is_exact_over_readers_that_come_and_go() {
    let mut random = Random::new();
    let mut job = Served::start();
    let count = 12;
    for subtask in 0..count {
        let mut launch = shell(subtask, SCRIPT);
        launch.args.extend([b"sh".to_vec(), subtask.to_string().into_bytes()]);
        job.launch(launch);
    }
    let mut texts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let (mut have, mut ends, mut readers) = (None::<OutputAt>, 0, 0);
    while ends < 2 * count {
        readers += 1;
        let mut reader = OutputReader::connect(&job.dir, have).unwrap();
        // What it was given and has not kept is sent again: it keeps a few, and forgets the rest when it goes.
        let (keeps, forgets) = (random.below(40), random.below(20));
        let mut taken = 0;
        while taken < keeps + forgets && ends < 2 * count {
            // When all that is left is to be forgotten nothing more comes.
            let limit = if taken < keeps { DEADLINE } else { Duration::from_millis(20) };
            let event = output_event(&mut reader, limit).unwrap();
            assert!(event.is_some() || taken >= keeps, "output before the deadline");
            let Some(event) = event else { break };
            match event {
                OutputEvent::From(at) => {
                    if let Some(have) = have {
                        assert_eq!(at, have, "exactly from there on");
                    }
                    have = Some(at);
                }
                OutputEvent::Frame { frame, end } => {
                    taken += 1;
                    if taken > keeps {
                        continue;
                    }
                    have = have.map(|have| OutputAt { offset: end, ..have });
                    ends += u32::from(frame.last);
                    if !frame.stderr {
                        texts.entry(frame.subtask.0).or_default().extend_from_slice(&frame.bytes);
                    }
                    if random.below(3) == 0 {
                        reader.ack(end);
                    }
                }
            }
        }
    }
    println!("{readers} readers");
    for subtask in 0..count {
        assert_eq!(String::from_utf8_lossy(&texts[&subtask]), expected(subtask), "subtask {subtask}");
        assert_eq!(job.ended(subtask, 1).1, Outcome::Exited((subtask % 7) as u8));
    }
}

#[test]
fn without_a_reader_ranks_wait_and_the_starter_stays_small() {
    let mut job = Served::start();
    job.run(0, "head -c 20000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; exit 5");
    job.started(0);
    let status = || std::fs::read_to_string(format!("/proc/{}/status", job.pid)).unwrap();
    let rss_kib = || -> u64 {
        let text = status();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // Another is served meanwhile, and the writer is held up.
    proc::until("its pipes to be full", || {
        let wchan = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        let ranks = dcd::process::children::of(nix::unistd::Pid::from_raw(job.pid)).unwrap();
        let below = ranks.iter().flat_map(|pid| dcd::process::children::of(*pid).unwrap());
        below.map(|pid| wchan(pid.as_raw())).any(|wchan| wchan.contains("pipe"))
    });
    assert!(rss_kib() < 32 << 10, "{} KiB", rss_kib());
    job.run(1, "exit 4");
    assert_eq!(job.ended(1, 1).1, Outcome::Exited(4));
    let mut reader = OutputReader::connect(&job.dir, None).unwrap();
    let mut bytes = 0;
    loop {
        if let OutputEvent::Frame { frame, end } = output_event(&mut reader, DEADLINE).unwrap().unwrap() {
            reader.ack(end);
            if (frame.subtask.0, frame.stderr) == (0, false) {
                bytes += frame.bytes.len();
                if frame.last {
                    break;
                }
            }
        }
    }
    assert_eq!(bytes, 20_000_000 + 19_999, "and a newline between two lines");
    assert_eq!(job.ended(0, 1).1, Outcome::Exited(5));
}

const SUBTASKS: u32 = 120;
const LANES: usize = 8;

/// What a leader has kept, in a file that it appends to before it acknowledges anything.
#[derive(Default)]
struct Kept {
    told: Option<Told>,
    have: Option<OutputAt>,
    ended: BTreeMap<u32, Vec<u32>>,
    texts: BTreeMap<u32, Vec<u8>>,
    lasts: u32,
}

impl Kept {
    /// Whether all have ended, and all has been read.
    fn is_whole(&self) -> bool {
        self.ended.len() == SUBTASKS as usize && self.lasts == 2 * SUBTASKS
    }

    fn read(path: &Path) -> Self {
        let mut kept = Self::default();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be torn.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "T" => kept.told = Some(Told { starter_inc: number(1), seq: number(2) }),
                "E" => {
                    kept.told = Some(Told { starter_inc: number(1), seq: number(2) });
                    kept.ended.entry(number(3) as u32).or_default().push(number(4) as u32);
                }
                "O" => {
                    kept.have = Some(OutputAt { starter_inc: number(1), offset: number(2) });
                    kept.lasts += u32::from(words[4] == "1");
                    if words[5] == "0" {
                        let bytes = words[6].as_bytes().chunks(2);
                        let bytes =
                            bytes.map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 16).unwrap());
                        kept.texts.entry(number(3) as u32).or_default().extend(bytes);
                    }
                }
                _ => panic!("{line}"),
            }
        }
        kept
    }
}

struct Leader {
    dir: PathBuf,
    log: File,
    kept: Kept,
    next: u32,
    live: usize,
}

fn place() -> PathBuf {
    std::env::var_os("LEAD_DIR").expect("run by another test").into()
}

/// One life of a leader, shot at any moment: finds the starter or starts it, and goes on from its log.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_leads() {
    let top = place();
    let dir = std::fs::read_dir(top.join("jobs")).unwrap().next().unwrap().unwrap().path();
    let uuid = JobUuid::parse(dir.file_name().unwrap().to_str().unwrap()).unwrap();
    let log = top.join("log");
    let text = std::fs::read(&log).unwrap_or_default();
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let file = File::options().create(true).append(true).open(&log).unwrap();
    file.set_len(whole as u64).unwrap();
    let found = starters::find(&top.join("jobs")).unwrap();
    let kept = Kept::read(&log);
    if found[0].life == Life::Absent && kept.is_whole() {
        return; // The one before was shot behind its last word.
    }
    if found[0].life == Life::Absent {
        starters::start(Path::new(EXE), uuid, &dir, LONG).unwrap().wait().unwrap();
    }
    assert_ne!(found[0].life, Life::Dead, "nobody shoots the starter");
    Leader { dir, log: file, kept, next: 0, live: 0 }.lead(uuid);
}

impl Leader {
    fn lead(mut self, uuid: JobUuid) {
        let mut control = connected(|| Control::connect(&self.dir, self.kept.told));
        let mut reader = connected(|| OutputReader::connect(&self.dir, self.kept.have));
        control.send(&ToStarter::Hello(Box::new(hello(uuid, &self.dir))));
        let until = Instant::now() + DEADLINE * 3;
        while !self.kept.is_whole() {
            assert!(Instant::now() < until, "the end before the deadline");
            self.fill(&mut control);
            let mut fds = [
                PollFd::new(control.as_fd(), PollFlags::POLLIN),
                PollFd::new(reader.as_fd(), PollFlags::POLLIN),
            ];
            poll(&mut fds, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
            let [says, writes] = fds.map(|fd| fd.any().unwrap());
            if says {
                control.on_readable();
            }
            if writes {
                reader.on_readable();
            }
            while let Some(event) = control.next_event().unwrap() {
                self.on_event(&mut control, event);
            }
            while let Some(event) = reader.next_event().unwrap() {
                self.on_output(&mut reader, event);
            }
        }
        // Whatever was kept and not acknowledged when another was shot.
        if let (Some(told), Some(have)) = (self.kept.told, self.kept.have) {
            control.ack(told.seq);
            reader.ack(have.offset);
        }
        control.send(&ToStarter::Bye);
        loop {
            let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
            control.on_readable();
            match control.next_event() {
                Ok(Some(Event::Report { seq, .. })) => control.ack(seq),
                Ok(_) => {}
                Err(lost) => return assert_eq!(lost, Lost::Ended),
            }
        }
    }

    /// Some at a time; those that are known already are launched once more, which changes nothing.
    fn fill(&mut self, control: &mut Control) {
        while self.live < LANES && self.next < SUBTASKS {
            let subtask = self.next;
            self.next += 1;
            if self.kept.ended.contains_key(&subtask) {
                continue;
            }
            let mut launch = shell(subtask, SCRIPT);
            launch.rank = dc_model::Rank(subtask % 64);
            launch.args.extend([b"sh".to_vec(), subtask.to_string().into_bytes()]);
            control.send(&ToStarter::Launch(Box::new(launch)));
            self.live += 1;
        }
    }

    fn on_event(&mut self, control: &mut Control, event: Event) {
        let Some(Told { starter_inc, .. }) = control.told() else { return };
        let Event::Report { seq, report } = event else { return };
        match report {
            FromStarter::Ended { subtask, outcome, stopped, .. } => {
                assert!(!stopped);
                let Outcome::Exited(status) = outcome else { panic!("{outcome:?}") };
                writeln!(self.log, "E {starter_inc} {seq} {} {status}", subtask.0).unwrap();
                self.kept.ended.entry(subtask.0).or_default().push(u32::from(status));
                self.live = self.live.saturating_sub(1);
            }
            _ => writeln!(self.log, "T {starter_inc} {seq}").unwrap(),
        }
        self.kept.told = Some(Told { starter_inc, seq });
        if seq % 3 == 0 {
            control.ack(seq);
        }
    }

    fn on_output(&mut self, reader: &mut OutputReader, event: OutputEvent) {
        match event {
            OutputEvent::From(at) => {
                assert!(self.kept.have.is_none_or(|have| have == at), "exactly from there on");
                self.kept.have = Some(at);
            }
            OutputEvent::Frame { frame: Output { subtask, stderr, last, bytes, .. }, end } => {
                let have = self.kept.have.as_mut().unwrap();
                have.offset = end;
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let (inc, last, stderr) = (have.starter_inc, u8::from(last), u8::from(stderr));
                let line = format!("O {inc} {end} {} {last} {stderr} {hex}\n", subtask.0);
                self.log.write_all(line.as_bytes()).unwrap();
                self.kept.lasts += u32::from(last);
                reader.ack(end);
            }
        }
    }
}

fn connected<T>(mut connect: impl FnMut() -> Result<T, starters::ConnectError>) -> T {
    let mut made = None;
    proc::until("a connection", || {
        made = connect().ok();
        made.is_some()
    });
    made.unwrap()
}

#[test]
fn kill_9_of_who_leads_changes_nothing() {
    let mut random = Random::new();
    let top = tempfile::tempdir().unwrap();
    let (dir, uuid, _) = job_dir(top.path());
    let _ends = Ends(dir.clone());
    let mut shot = 0;
    let until = Instant::now() + DEADLINE * 5;
    loop {
        assert!(Instant::now() < until, "the job's end before the deadline");
        let mut leader = Command::new(std::env::current_exe().unwrap());
        leader.args(["--exact", "part_leads", "--ignored", "--nocapture"]).env("LEAD_DIR", top.path());
        let mut leader = leader.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // The last ones are left to come to the end.
        let lives =
            if shot < 25 { Duration::from_micros(10_000 + random.below(110_000)) } else { DEADLINE * 2 };
        let pidfd = dcd::process::calls::PidFd::open(nix::unistd::Pid::from_raw(leader.id() as i32)).unwrap();
        pidfd.wait_end(lives.as_millis() as u16);
        if let Some(status) = leader.try_wait().unwrap() {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut leader.stderr.take().unwrap(), &mut said).unwrap();
            assert!(status.success(), "{said}");
            break;
        }
        leader.kill().unwrap();
        leader.wait().unwrap();
        shot += 1;
    }
    println!("{shot} were shot");
    assert!(shot >= 3, "the job lasts longer than a leader");
    let kept = Kept::read(&top.path().join("log"));
    for subtask in 0..SUBTASKS {
        assert_eq!(kept.ended[&subtask], [subtask % 7], "subtask {subtask} ends once, and as it did");
        assert_eq!(String::from_utf8_lossy(&kept.texts[&subtask]), expected(subtask), "subtask {subtask}");
    }
    proc::until("the starter's end", || starters::life(&dir).unwrap() == Life::Absent);
    assert_eq!(starters::bury(uuid, &dir).unwrap(), 0, "nothing was left");
}
