//! The starter in a storm: launches, followers in chains, stops, signals, freezes, kills from outside, input and files,
//! in a random order, held against a model that knows nothing of how it is done. Each attempt ends exactly once, as it
//! was to; what it wrote is there, whole and in order; after the end nothing is left.
//!
//! `STORM_SEED` repeats one storm, `STORM_STEPS` makes it longer.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, InputThen, Launch, Output, Sink, Source, StreamPlan, ToStarter};
use dc_model::{Attempt, LaunchStage, Outcome, Rank, SubtaskId};
use dcd::process::{calls::signal_process, children};
use harness::{Came, DEADLINE, Job, proc, shell};
use nix::libc::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant};

const STEPS: u64 = 300;
const LIVE_MAX: usize = 20;
const SUBTASKS: u32 = 60;
const SHELL_HELD_US: &str = "OVERLAP";

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

type Key = (u32, u32);

#[derive(Debug, Default)]
struct Attempted {
    /// How it ends when nobody does anything to it; none: not by itself.
    expected: Option<Outcome>,
    /// What it then writes.
    stdout: String,
    /// Whether its standard input is its output.
    echoes: bool,
    stopped_by_us: bool,
    /// It was signalled in another way.
    disturbed: bool,
    started: bool,
    ended: Option<(Outcome, bool)>,
    result_len: Option<u64>,
    seen: [String; 2],
    lasts: [u32; 2],
    given: String,
    input_over: bool,
}

struct Storm {
    job: Job,
    random: Random,
    plan: StreamPlan,
    all: BTreeMap<Key, Attempted>,
    live: Vec<Key>,
    newest: HashMap<u32, u32>,
    notices: Vec<String>,
    frozen: bool,
    ending: bool,
}

/// Where standard output goes and input comes from, by the seed.
fn plan(seed: u64) -> StreamPlan {
    let file = |name: &str| Sink::File(name.as_bytes().to_vec());
    let mut plan = StreamPlan { fresh: true, ..StreamPlan::default() };
    match seed % 6 {
        0 | 1 => {}
        2 => plan.stdin = Source::Relay { only: None },
        3 => plan.stdout = file("all"),
        4 => plan.stdout = file("out.%T"),
        _ => plan.stdout = Sink::Result,
    }
    plan
}

impl Storm {
    fn new(seed: u64) -> Self {
        let plan = plan(seed);
        let job = Job::with(|hello| {
            hello.streams = plan.clone();
            hello.ranks = SUBTASKS;
            hello.grace_ms = 1000;
        });
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (all, live) = (BTreeMap::new(), Vec::new());
        Self {
            job,
            random,
            plan,
            all,
            live,
            newest: HashMap::new(),
            notices: Vec::new(),
            frozen: false,
            ending: false,
        }
    }

    fn any_live(&mut self) -> Option<Key> {
        let count = self.live.len() as u64;
        (count > 0).then(|| self.live[self.random.below(count) as usize])
    }

    fn launch(&mut self) {
        let subtask = self.random.below(u64::from(SUBTASKS)) as u32;
        if self.live.len() >= LIVE_MAX || self.live.iter().any(|(live, _)| *live == subtask) {
            return;
        }
        let attempt = self.newest.get(&subtask).map_or(1, |newest| newest + 1);
        let (key, tag) = ((subtask, attempt), format!("{subtask}.{attempt}"));
        let after = if self.random.below(100) < 60 { self.any_live() } else { None };
        let mut script = format!("echo $$ > pid.{tag}\n");
        if let Some((subtask, attempt)) = after {
            // Whom it follows has ended: gone, or not reaped yet. Who never ran has no number.
            let ahead = format!("pid.{subtask}.{attempt}");
            writeln!(script, "if [ -s {ahead} ]; then read p < {ahead}; read s 2>/dev/null < /proc/$p/stat")
                .unwrap();
            writeln!(script, "case $s in ''|*') Z '*|*') X '*) ;; *) echo {SHELL_HELD_US} $s;; esac; fi")
                .unwrap();
        }
        let mut it = Attempted { expected: Some(Outcome::Exited(0)), ..Attempted::default() };
        let mut args = None;
        let relays = self.plan.stdin != Source::Null;
        match self.random.below(if relays { 10 } else { 8 }) {
            0 | 1 => {
                let (lines, status) = (self.random.below(40), self.random.below(4) as u8);
                writeln!(
                    script,
                    "i=0; while [ $i -lt {lines} ]; do echo {tag} $i; i=$((i+1)); done; exit {status}"
                )
                .unwrap();
                (0..lines).for_each(|i| writeln!(it.stdout, "{tag} {i}").unwrap());
                it.expected = Some(Outcome::Exited(status));
            }
            2 => {
                writeln!(script, "echo {tag} here; exec sleep 600").unwrap();
                (it.stdout, it.expected) = (format!("{tag} here\n"), None);
            }
            3 => {
                writeln!(script, "trap 'exit 5' TERM; echo {tag} here; while :; do sleep 0.01; done")
                    .unwrap();
                (it.stdout, it.expected) = (format!("{tag} here\n"), None);
            }
            4 => {
                writeln!(script, "(setsid sleep 600 &); echo {tag} away").unwrap();
                it.stdout = format!("{tag} away\n");
            }
            5 => {
                writeln!(script, "echo {tag} dies; kill -KILL $$").unwrap();
                (it.stdout, it.expected) = (format!("{tag} dies\n"), Some(Outcome::Signalled(9)));
            }
            6 => {
                writeln!(
                    script,
                    "i=0; while [ $i -lt 30 ]; do printf '{tag} %01000d\\n' $i; i=$((i+1)); done"
                )
                .unwrap();
                (0..30).for_each(|i| writeln!(it.stdout, "{tag} {i:01000}").unwrap());
            }
            7 => {
                args = Some(vec![b"-c".to_vec(), b"a\0b".to_vec()]);
                it.expected = Some(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 22 });
            }
            _ => {
                writeln!(script, "exec cat").unwrap();
                it.echoes = true;
            }
        }
        let mut launch = Launch {
            attempt: Attempt(attempt),
            rank: Rank(subtask),
            after: after.map(|(subtask, attempt)| (SubtaskId(subtask), Attempt(attempt))),
            ..shell(subtask, &script)
        };
        launch.args = args.unwrap_or(launch.args);
        self.job.launch(launch);
        self.newest.insert(subtask, attempt);
        self.all.insert(key, it);
        self.live.push(key);
    }

    fn stop(&mut self, (subtask, attempt): Key, signal: i32) {
        self.all.get_mut(&(subtask, attempt)).unwrap().stopped_by_us = true;
        self.job.stop(subtask, attempt, signal);
    }

    fn signal(&mut self, signal: i32) {
        let leaders_only = self.random.below(2) == 0;
        self.job.send(&ToStarter::Signal { signal: signal as u8, leaders_only, wants_checkpoint: false });
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..50 => self.launch(),
            50..62 => {
                if let Some(key) = self.any_live() {
                    let signal = [SIGTERM, SIGINT, SIGKILL][self.random.below(3) as usize];
                    self.stop(key, signal);
                }
            }
            62..64 => {
                // Also one that is not there, or another attempt.
                let subtask = self.random.below(u64::from(SUBTASKS)) as u32;
                self.job.stop(subtask, 999, SIGKILL);
            }
            64..67 => {
                self.live.iter().for_each(|key| self.all.get_mut(key).unwrap().disturbed = true);
                self.signal(SIGUSR1);
            }
            67..72 => {
                // Groups may have stopped members of their own: all are continued.
                self.frozen = !self.frozen;
                let signal = if self.frozen { SIGSTOP } else { SIGCONT };
                self.job.send(&ToStarter::Signal {
                    signal: signal as u8,
                    leaders_only: false,
                    wants_checkpoint: false,
                });
            }
            72..76 => {
                let found = children::of(self.job.starter.pid).unwrap();
                if !found.is_empty() {
                    self.live.iter().for_each(|key| self.all.get_mut(key).unwrap().disturbed = true);
                    let victim = found[self.random.below(found.len() as u64) as usize];
                    let _ = signal_process(victim, SIGKILL as u8);
                }
            }
            _ => {
                let wait = Duration::from_millis(self.random.below(8));
                self.take(wait);
            }
        }
        while self.take(Duration::ZERO) {}
    }

    /// Takes what comes within this time; false when that is nothing, or the end.
    fn take(&mut self, limit: Duration) -> bool {
        match self.job.next(limit) {
            None | Some(Came::End) => false,
            Some(Came::Frame(frame)) => {
                self.on_frame(frame);
                true
            }
            Some(Came::Message(message)) => {
                self.on_message(message);
                true
            }
        }
    }

    fn on_frame(&mut self, frame: Output) {
        let key = (frame.subtask.0, frame.attempt.0);
        let it = self.all.get_mut(&key).expect("a launched attempt's output");
        let which = usize::from(frame.stderr);
        assert_eq!(it.lasts[which], 0, "{key:?}: nothing comes after the last");
        it.seen[which].push_str(&String::from_utf8(frame.bytes).unwrap());
        it.lasts[which] += u32::from(frame.last);
    }

    fn on_message(&mut self, message: FromStarter) {
        match message {
            FromStarter::Started { subtask, attempt, .. } => {
                let key = (subtask.0, attempt.0);
                let it = self.all.get_mut(&key).expect("a launched attempt's start");
                assert!(!it.started && it.ended.is_none(), "{key:?} starts once, before its end");
                it.started = true;
            }
            FromStarter::Ended { subtask, attempt, outcome, stopped, result, .. } => {
                let key = (subtask.0, attempt.0);
                let it = self.all.get_mut(&key).expect("a launched attempt's end");
                assert!(it.ended.is_none(), "{key:?} ends once");
                it.ended = Some((outcome, stopped));
                it.result_len = result.map(|result| result.len);
                self.live.retain(|live| *live != key);
            }
            FromStarter::WantInput { subtask, attempt, at, .. } => self.feed((subtask.0, attempt.0), at),
            FromStarter::Notice { text } => self.notices.push(text),
            _ => {}
        }
    }

    fn feed(&mut self, key: Key, at: u64) {
        let it = self.all.get_mut(&key).unwrap();
        assert!(it.input_over || at == it.given.len() as u64, "{key:?} asks from {at} on");
        if it.input_over || self.ending {
            return;
        }
        let then = if self.random.below(3) == 0 { InputThen::End } else { InputThen::More };
        let piece = format!("{} {}\n", key.0, "x".repeat(1 + self.random.below(3000) as usize));
        it.given.push_str(&piece);
        it.input_over = then == InputThen::End;
        let (subtask, attempt) = (SubtaskId(key.0), Attempt(key.1));
        self.job.send(&ToStarter::Input { subtask, attempt, at, bytes: piece.into_bytes(), then });
    }

    /// Waits for the ends of all, which are stopped where they do not end by themselves.
    fn calm(&mut self) {
        self.job.send(&ToStarter::Signal {
            signal: SIGCONT as u8,
            leaders_only: false,
            wants_checkpoint: false,
        });
        for key in self.live.clone() {
            if self.all[&key].expected.is_none() {
                self.stop(key, SIGKILL);
            }
        }
        let end = Instant::now() + 3 * DEADLINE;
        while !self.live.is_empty() {
            let left: Vec<_> = self.live.iter().map(|key| (key, &self.all[key])).collect();
            assert!(Instant::now() < end, "these do not end: {left:?}");
            self.take(Duration::from_millis(100));
        }
    }

    fn finish(mut self, seed: u64) {
        let uuid = format!("DC_JOB_UUID={}", self.job.uuid);
        match seed / 6 % 3 {
            0 | 1 => {
                self.calm();
                self.job.send(&ToStarter::Bye);
            }
            _ => {
                self.job.send(&ToStarter::KillAll);
                self.ending = true;
            }
        }
        let end = Instant::now() + DEADLINE;
        while self.job.starter.peek().is_none() {
            assert!(Instant::now() < end, "the starter's end");
            self.take(Duration::from_millis(10));
        }
        while self.take(Duration::from_millis(10)) {}
        self.job.wait_end();
        let left = proc::with_entry(&uuid);
        assert_eq!(left, [0; 0], "the job's processes are gone before their starter");
        self.check(seed / 6 % 3 < 2);
    }

    /// Whether all is as the model has it.
    fn check(&mut self, is_served: bool) {
        let own = self.read_files();
        let shown = self.plan.stdout == Sink::Dcrun;
        for (key, it) in &self.all {
            let Some((outcome, stopped)) = it.ended else { panic!("{key:?} never ended: {it:?}") };
            let is_alone = !it.stopped_by_us && !it.disturbed && is_served;
            assert!(!stopped || !is_alone, "{key:?} was stopped by nobody: {it:?}");
            let expected = if it.echoes { &it.given } else { &it.stdout };
            if is_alone {
                assert_eq!(Some(outcome), it.expected, "{key:?}: {it:?}; {:?}", self.notices);
            }
            let ran = !matches!(outcome, Outcome::NotLaunched { .. });
            let is_whole = is_alone && ran;
            let stdout = if shown { Some(&it.seen[0]) } else { own.get(key) };
            if let Some(seen) = stdout {
                assert!(!seen.contains(SHELL_HELD_US), "{key:?} began too early: {seen}");
                assert!(expected.starts_with(&seen[..]), "{key:?}: {seen:?} of {expected:?}");
            }
            if is_whole && self.plan.stdout != Sink::Result {
                assert_eq!(stdout.map_or("", |seen| seen), expected, "{key:?}");
            }
            if is_whole && self.plan.stdout == Sink::Result {
                let len = (outcome == Outcome::Exited(0)).then_some(expected.len() as u64);
                assert_eq!(it.result_len, len, "{key:?}");
            }
            if is_served && it.started {
                assert_eq!(it.lasts, [u32::from(shown), 1], "{key:?}: each stream ends once");
            }
            assert!(it.lasts.iter().all(|lasts| *lasts < 2), "{key:?}");
            if ran && is_alone {
                assert!(it.started, "{key:?} ran, and was told");
            }
        }
        for entry in std::fs::read_dir(self.job.dir.path().join("result")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.') && !name.contains("tmp"), "{name} was left");
        }
    }

    /// What attempts wrote into files, without the lines that are dc's. A line that was cut is closed there.
    fn read_files(&self) -> HashMap<Key, String> {
        let mut found: HashMap<Key, String> = HashMap::new();
        if !matches!(self.plan.stdout, Sink::File(_)) {
            return found;
        }
        for entry in std::fs::read_dir(self.job.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name != "all" && !name.starts_with("out.") {
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                assert!(!line.contains(SHELL_HELD_US), "{line}");
                let tag = line.split(' ').next().unwrap().split_once('.');
                let key = tag.and_then(|(s, a)| Some((s.parse().ok()?, a.parse().ok()?)));
                let Some(it) = key.and_then(|key| self.all.get(&key)) else { continue };
                if it.stdout.lines().any(|whole| whole == line) {
                    writeln!(found.entry(key.unwrap()).or_default(), "{line}").unwrap();
                }
            }
        }
        found
    }
}

fn storm(seed: u64, steps: u64) {
    println!("STORM_SEED={seed} STORM_STEPS={steps}");
    let mut storm = Storm::new(seed);
    (0..steps).for_each(|_| storm.step());
    println!("{} attempts", storm.all.len());
    storm.finish(seed);
}

/// A number of this test's, from its environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn storm_of(kind: u64) {
    let steps = number("STORM_STEPS").unwrap_or(STEPS);
    let drawn = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    storm(number("STORM_SEED").unwrap_or(u64::from(drawn) / 6 * 6 + kind), steps);
}

#[test]
fn shown() {
    storm_of(0);
}

#[test]
fn fed() {
    storm_of(2);
}

#[test]
fn into_one_file() {
    storm_of(3);
}

#[test]
fn into_files_of_their_own() {
    storm_of(4);
}

#[test]
fn into_results() {
    storm_of(5);
}
