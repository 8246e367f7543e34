//! The core's transcripts: what comes in above the line, what it asks for below. `DC_REWRITE=1` writes the answers
//! anew; the difference is then reviewed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // Reads and writes the transcripts.

use dc_model::{
    Attempt, GiveUp, LaunchStage, Outcome, Rank, Record, Restart, RestartOn, ResultMeta, StopReason,
    SubtaskId, Topology,
};
use dcsched_core::job::{Action, Event, Job, JobSpec, Member, Need, PartSpec};
use dcsched_core::place::{Bind, Distribution, Placement};
use std::fmt::Write as _;
use std::path::Path;

/// A job, the records it appended, and how many of them are on disk.
struct Stage {
    job: Job,
    log: Vec<Record>,
    durable: usize,
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn number(words: &[&str], key: &str, default: u64) -> u64 {
    value(words, key).map_or(default, |text| text.parse().expect("a number"))
}

/// `cells=10,20:2,30:1:60`: costs, with the cores and the memory (in bytes) a subtask needs behind colons. `memory=100`:
/// each domain's. `map=0,1`: each lane's CPU; `to-numa`: bound to
/// domains. `numa=2`: cores of a domain. `cluster`: without a machine, parts join.
fn spec(words: &[&str]) -> JobSpec {
    let needs: Vec<Need> = value(words, "cells")
        .expect("cells=")
        .split(',')
        .map(|item| {
            let mut parts = item.split(':').map(|part| part.parse::<u64>().unwrap());
            Need {
                cells: parts.next().unwrap(),
                cores: parts.next().unwrap_or(1) as u32,
                mem_bytes: parts.next().unwrap_or(0),
            }
        })
        .collect();
    let is_cluster = words.contains(&"cluster");
    let mut topology = machine(words);
    if is_cluster {
        topology.cores.clear();
    }
    let map = value(words, "map").map(|map| dc_model::bind::parse(&format!("map_cpu:{map}")).unwrap().bind);
    JobSpec {
        ranks: number(words, "ranks", needs.len() as u64) as u32,
        needs,
        restarts: number(words, "restarts", 3) as u32,
        restart_on: value(words, "restart-on")
            .map_or(RestartOn::default(), |on| RestartOn::parse(on).unwrap()),
        keep_going: words.contains(&"keep-going"),
        gang: words.contains(&"gang"),
        merge: words.contains(&"merge"),
        topology,
        bind: map.unwrap_or(if words.contains(&"to-numa") { Bind::Numa } else { Bind::Core }),
        distribution: match value(words, "spread") {
            None => Distribution::Cost,
            Some("block") => Distribution::Block,
            Some("cyclic") => Distribution::Cyclic,
            Some(other) => panic!("spread={other}"),
        },
        memory_max_bytes: None,
        ranks_per_core: number(words, "share", 1) as u32,
        crowd: Vec::new(),
        releases: is_cluster,
    }
}

fn machine(words: &[&str]) -> Topology {
    let mut topology = Topology::uniform(
        number(words, "cores", 2) as u32,
        number(words, "numa", 8) as u32,
        number(words, "numa", 8) as u32,
    );
    let memory = number(words, "memory", 0);
    topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = memory);
    topology
}

/// `join 7 node=2 cores=4`: part 7.
fn part(words: &[&str]) -> PartSpec {
    PartSpec {
        part: words[1].parse().unwrap(),
        node: number(words, "node", 1) as u32,
        topology: machine(words),
        memory_max_bytes: None,
        speed_permille: number(words, "speed", 1000) as u32,
        ranks_max: value(words, "ranks-max").map(|most| most.parse().unwrap()),
    }
}

/// `3.2`: subtask 3, attempt 2.
fn attempt(word: &str) -> (SubtaskId, Attempt) {
    let (subtask, attempt) = word.split_once('.').expect("subtask.attempt");
    (SubtaskId(subtask.parse().unwrap()), Attempt(attempt.parse().unwrap()))
}

/// `2@40`: step 40 of attempt 2.
fn restart(word: &str) -> Restart {
    let (attempt, step) = word.split_once('@').expect("attempt@step");
    Restart { attempt: Attempt(attempt.parse().unwrap()), step: step.parse().unwrap() }
}

fn outcome(words: &[&str]) -> Outcome {
    if let Some(status) = value(words, "exit") {
        Outcome::Exited(status.parse().unwrap())
    } else if let Some(signal) = value(words, "signal") {
        Outcome::Signalled(signal.parse().unwrap())
    } else if words.contains(&"out-of-memory") {
        Outcome::OutOfMemory
    } else {
        let errno = value(words, "exec").expect("exit=, signal= or exec=").parse().unwrap();
        Outcome::NotLaunched { stage: LaunchStage::Exec, errno }
    }
}

impl Stage {
    /// A line is an event; several with ` + ` between them come at once.
    fn run(&mut self, line: &str) -> String {
        let mut events = Vec::new();
        for line in line.split(" + ") {
            match self.event(&words(line)) {
                Ok(event) => events.push(event),
                Err(answer) => return answer,
            }
        }
        let mut out = Vec::new();
        self.job.step_all(0, events, &mut out);
        let mut text = String::new();
        for action in out {
            if let Action::Append { record, .. } = &action {
                self.log.push(record.clone());
            }
            show(&action, &mut text);
        }
        let replayed = Job::replay(self.job.spec().clone(), &self.log).expect("its own journal");
        assert_eq!(replayed.durable().projection(), self.job.durable().projection(), "{line}");
        if text.is_empty() { "nothing\n".to_owned() } else { text }
    }

    /// What a line says; or the answer, where it is no event.
    fn event(&mut self, words: &[&str]) -> Result<Event, String> {
        Ok(match words[0] {
            "begin" => Event::Begin,
            "take-up" => Event::TakeUp,
            "join" => Event::PartJoined(Box::new(part(words))),
            "lost" => {
                let why = if words.contains(&"starter") { GiveUp::StarterLost } else { GiveUp::NodeLost };
                Event::PartLost { part: words[1].parse().unwrap(), why }
            }
            "adopted" => {
                let (subtask, attempt) = attempt(words[1]);
                let cores = value(words, "cores").expect("cores=").split(',');
                Event::Adopted {
                    subtask,
                    attempt,
                    rank: Rank(number(words, "lane", u64::from(subtask.0)) as u32),
                    part: number(words, "part", 1) as u32,
                    cores: cores.map(|core| core.parse().unwrap()).collect(),
                }
            }
            "give-up-unknown" => {
                Event::GiveUpUnknown { node: value(words, "node").map(|node| node.parse().unwrap()) }
            }
            "appetite" => return Err(format!("{:?}\n", self.job.appetite())),
            "durable" => {
                self.durable = words.get(1).map_or(self.log.len(), |n| n.parse().unwrap());
                Event::Durable { seq: self.durable as u64 }
            }
            "window" => Event::Window { grants: words[1].parse().unwrap() },
            "started" => {
                let (subtask, attempt) = attempt(words[1]);
                Event::Started { subtask, attempt, from: value(words, "from").map(restart) }
            }
            "ended" => {
                let (subtask, attempt) = attempt(words[1]);
                Event::Ended {
                    subtask,
                    attempt,
                    outcome: outcome(words),
                    // Long, so that nobody follows, unless the transcript says otherwise.
                    ran_ns: number(words, "ran_ns", 1_000_000_000),
                    stopped: words.contains(&"stopped"),
                    checkpoint: value(words, "checkpoint").map(restart),
                    progress_cells: number(words, "progress", 0),
                    result: value(words, "result")
                        .map(|len| ResultMeta { len: len.parse().unwrap(), crc: 0 }),
                }
            }
            "starter-lost" => Event::StarterLost,
            "stop" => Event::Stop {
                reason: match words[1] {
                    "time-limit" => StopReason::TimeLimit,
                    "interrupted" => StopReason::Interrupted,
                    "broken-pipe" => StopReason::BrokenPipe,
                    "signal" => StopReason::Signal(15),
                    other => panic!("stop {other}"),
                },
            },
            "merge-ended" => Event::MergeEnded { status: if words[1] == "ok" { 0 } else { 125 } },
            "states" => {
                let ids = 0..self.job.durable().entries.len() as u32;
                let states = ids.map(|id| format!("{id} {}\n", self.job.shown(SubtaskId(id))));
                return Err(states.collect());
            }
            "crash" => {
                self.log.truncate(self.durable);
                let spec = self.job.spec().clone();
                self.job = Job::replay(spec, &self.log).expect("its own journal");
                return Err(format!("replayed {} records\n", self.log.len()));
            }
            other => panic!("unknown command {other:?}"),
        })
    }
}

/// Part 0 of one machine goes without saying.
fn part_of(placement: &Placement) -> String {
    match (placement.part, placement.node) {
        (0, 0) => String::new(),
        (part, node) => format!(" of part {part} on node {node}"),
    }
}

fn show(action: &Action, text: &mut String) {
    let shown = match action {
        Action::Append { seq, record } => {
            // One machine is node 0, which goes without saying.
            format!("append {seq} {record:?}").replace(", node: 0 }", " }")
        }
        Action::Launch { subtask, attempt, rank, placement, before, after } => {
            let before = before.map_or(String::new(), |before| format!(", before {before}"));
            let after =
                after.map_or(String::new(), |(subtask, attempt)| format!(", after {subtask}.{attempt}"));
            let on = part_of(placement);
            format!("launch {subtask}.{attempt} on lane {rank}{on}, cpus {}{before}{after}", placement.cpus)
        }
        Action::LaunchGang { attempt, members, before } => {
            let seat = |member: &Member| {
                let subtasks: Vec<String> = member.subtasks.iter().map(ToString::to_string).collect();
                let on = part_of(&member.placement);
                format!("{} of {}{on} on cpus {}", member.rank, subtasks.join("+"), member.placement.cpus)
            };
            let seats: Vec<String> = members.iter().map(seat).collect();
            let before = before.map_or(String::new(), |before| format!(", before {before}"));
            format!("launch a gang, attempt {attempt}: ranks {}{before}", seats.join("; "))
        }
        Action::Stop { subtask, attempt, part, signal } => {
            let on = if *part == 0 { String::new() } else { format!(" on part {part}") };
            format!("stop {subtask}.{attempt}{on} with {signal}")
        }
        Action::Released { part, cores } => format!("released of part {part}: cores {cores:?}"),
        Action::Sync => "sync".to_owned(),
        Action::StartStarter => "start a starter".to_owned(),
        Action::Merge => "merge".to_owned(),
        Action::Finish { status } => format!("finish with {status}"),
    };
    let _ = writeln!(text, "{shown}");
}

/// The transcript with its answers as the code gives them.
fn replay(script: &str) -> String {
    let mut stage: Option<Stage> = None;
    let mut text = String::new();
    let mut answering = false;
    let mut commands: Vec<&str> = Vec::new();
    for line in script.lines() {
        if line == "----" {
            text.push_str("----\n");
            for command in commands.drain(..) {
                let words = words(command);
                if words[0] == "job" {
                    stage = Some(Stage { job: Job::new(spec(&words)), log: Vec::new(), durable: 0 });
                } else {
                    text.push_str(&stage.as_mut().expect("a job first").run(command));
                }
            }
            answering = true;
        } else if line.is_empty() {
            text.push('\n');
            answering = false;
        } else if !answering {
            let _ = writeln!(text, "{line}");
            if !line.starts_with('#') {
                commands.push(line);
            }
        }
    }
    assert!(commands.is_empty(), "the transcript ends within a question: {commands:?}");
    text
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "the transcripts are there");
    let mut differing = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let got = replay(&script);
        if got != script {
            if std::env::var_os("DC_REWRITE").is_some() {
                std::fs::write(&path, got).unwrap();
            } else {
                let at = got.lines().zip(script.lines()).position(|(a, b)| a != b);
                differing.push(format!("{} from line {:?} on", path.display(), at.map(|n| n + 1)));
            }
        }
    }
    assert!(differing.is_empty(), "DC_REWRITE=1 rewrites; review what changes:\n{}", differing.join("\n"));
}
