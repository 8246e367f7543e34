//! A run whose ranks are killed at random beside an undisturbed one: the same bytes at the end, and how many steps were
//! computed twice. The kernel counts its steps itself.

use crate::error::BenchError;
use crate::random::Random;
use crate::runner;
use crate::target::Target;
use crate::{Setting, table};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KILLS: u64 = 20;
const SUBTASKS: u64 = 32;
const STEPS: u64 = 500;
/// Steps between two checkpoints.
const INTERVAL: u64 = 50;
const TARGET: Target = Target::at_most("steps computed twice a kill", INTERVAL as f64);
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two kills, at most; half of that on average.
const PAUSE_MAX_MS: u64 = 500;

/// One run's files.
struct Files {
    events: PathBuf,
    merged: PathBuf,
    counts: PathBuf,
}

impl Files {
    fn new(setting: &Setting, name: &str) -> Result<Self, BenchError> {
        let dir = setting.dir.join(name);
        let counts = dir.join("counts");
        fs::create_dir_all(&counts).map_err(BenchError::io("make", &counts))?;
        Ok(Self { events: dir.join("events.jsonl"), merged: dir.join("merged"), counts })
    }

    fn command(&self, setting: &Setting) -> Result<Command, BenchError> {
        let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
        let mut json = std::ffi::OsString::from("--json=");
        json.push(&self.events);
        let mut merge = std::ffi::OsString::from("concat:");
        merge.push(&self.merged);
        let mut command = Command::new(setting.dcrun()?);
        command
            .args(["-q", "-n", &SUBTASKS.to_string(), "--restarts", &KILLS.to_string()])
            .arg(json)
            .arg("--merge")
            .arg(merge)
            .arg(this)
            .args(["step", &STEPS.to_string(), &INTERVAL.to_string()])
            .arg(&self.counts)
            .env("XDG_STATE_HOME", &setting.dir);
        Ok(command)
    }

    fn steps_computed(&self) -> Result<u64, BenchError> {
        let failed = || BenchError::io("read", &self.counts);
        fs::read_dir(&self.counts)
            .map_err(failed())?
            .map(|entry| entry.and_then(|entry| entry.metadata()).map(|meta| meta.len()))
            .sum::<Result<u64, _>>()
            .map_err(failed())
    }
}

/// Processes of the attempts that run, by what the events tell.
fn running(events: &Path) -> Vec<i32> {
    let text = fs::read_to_string(events).unwrap_or_default();
    let mut running = BTreeMap::new();
    // A line that is not whole yet is no JSON.
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let key = (event["subtask"].as_u64(), event["attempt"].as_u64());
        match event["event"].as_str() {
            Some("started") => drop(running.insert(key, event["pid"].as_i64())),
            Some("ended") => drop(running.remove(&key)),
            _ => {}
        }
    }
    running.into_values().flatten().filter_map(|pid| i32::try_from(pid).ok()).collect()
}

/// Whether a process is one of this run's kernels: its number may be another's by now.
fn is_kernel(pid: i32, counts: &Path) -> bool {
    let Ok(words) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    words.split(|b| *b == 0).any(|word| word == counts.as_os_str().as_encoded_bytes())
}

/// Kills ranks at random until there were enough, or the run is over.
fn kill_ranks(files: &Files, mut random: Random, over: &AtomicBool) -> u64 {
    let mut kills = 0;
    while kills < KILLS {
        std::thread::sleep(Duration::from_millis(random.below(PAUSE_MAX_MS)));
        if over.load(Ordering::Relaxed) {
            break;
        }
        let pids = running(&files.events);
        let pid = pids.get(random.below(pids.len() as u64) as usize);
        let Some(pid) = pid.filter(|pid| is_kernel(**pid, &files.counts)) else { continue };
        kills += u64::from(kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok());
    }
    kills
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let seed = Random::fresh_seed();
    println!(
        "{KILLS} random SIGKILLs (seed {seed}) in {SUBTASKS} subtasks of {STEPS} steps, a checkpoint every {INTERVAL}:"
    );
    let (calm, killed) = (Files::new(setting, "undisturbed")?, Files::new(setting, "killed")?);
    let calm_s = runner::took(&mut calm.command(setting)?, DEADLINE)?.as_secs_f64();
    let over = AtomicBool::new(false);
    let (took, kills) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_ranks(&killed, Random::new(seed), &over));
        let took = killed.command(setting).and_then(|mut command| runner::took(&mut command, DEADLINE));
        over.store(true, Ordering::Relaxed);
        (took, killer.join().unwrap_or(0))
    });
    let killed_s = took?.as_secs_f64();

    let read = |path: &Path| fs::read(path).map_err(BenchError::io("read", path));
    let same = read(&calm.merged)? == read(&killed.merged)?;
    let twice = killed.steps_computed()?.saturating_sub(SUBTASKS * STEPS);
    let calm_twice = calm.steps_computed()?.saturating_sub(SUBTASKS * STEPS);
    let per_kill = twice as f64 / kills.max(1) as f64;
    let row = |name: &str, s: f64, kills: u64, twice: u64, bytes: &str| {
        vec![name.to_owned(), format!("{s:.2}"), kills.to_string(), twice.to_string(), bytes.to_owned()]
    };
    table::print(
        &["", "s", "kills", "steps computed twice", "merged bytes"],
        &[
            row("undisturbed", calm_s, 0, calm_twice, ""),
            row("killed", killed_s, kills, twice, if same { "the same" } else { "DIFFERENT" }),
        ],
    );
    let target = TARGET.judge(per_kill, 1);
    Ok(json!({
        "targets": [target],
        "seed": seed,
        "kills": kills,
        "same_bytes": same,
        "steps_twice": twice,
        "steps_twice_a_kill": per_kill,
        "checkpoint_interval_steps": INTERVAL,
        "undisturbed_s": calm_s,
        "killed_s": killed_s,
    }))
}
