//! From the kill of a rank to the main of its next attempt, beside a bare loop of kill, wait and posix_spawn with the
//! same program. A restart is durable before the rank starts again, so a write and sync of the disk stand there too.

use crate::error::BenchError;
use crate::floor::{Spawner, wait_for};
use crate::kernels::note::{self, NOTE_BYTES};
use crate::random::Random;
use crate::runner::Running;
use crate::statistics::Sample;
use crate::target::Target;
use crate::{Setting, clock, machine, table};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 400;
/// Between a start and the kill, at most: neither side is to be met in its first moment.
const PAUSE_MAX_US: u64 = 6_000;
const SYNCS: usize = 200;
const NOTE_MS_MAX: u16 = 20_000;
/// Between the first rank's start and that of another one, at most.
const BEGIN_MS_MAX: u16 = 1000;
const DEADLINE: Duration = Duration::from_secs(120);
const TARGET: Target = Target::at_most("from kill to restart, ms (p99)", 1000.0);

/// The named pipe to which ranks write when their main began.
struct Notes {
    path: PathBuf,
    pipe: File,
}

impl Notes {
    fn new(path: PathBuf) -> Result<Self, BenchError> {
        mkfifo(&path, Mode::S_IRWXU).map_err(BenchError::os("cannot make a named pipe"))?;
        // Also for writing: so it has no end, and is open at once.
        let pipe =
            OpenOptions::new().read(true).write(true).open(&path).map_err(BenchError::io("open", &path))?;
        Ok(Self { path, pipe })
    }

    /// The next note, which has to come: when a main began, and the process.
    fn next(&mut self) -> Result<(u64, i32), BenchError> {
        self.next_within(NOTE_MS_MAX)?.ok_or_else(|| {
            let how = format!("has not started again in {} s", NOTE_MS_MAX / 1000);
            BenchError::Failed { program: "a rank".into(), how, words: "none".into() }
        })
    }

    fn next_within(&mut self, ms_max: u16) -> Result<Option<(u64, i32)>, BenchError> {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(ms_max)) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(BenchError::os("poll")(errno)),
            }
        }
        let mut bytes = [0; NOTE_BYTES];
        self.pipe.read_exact(&mut bytes).map_err(BenchError::io("read", &self.path))?;
        Ok(Some(note::read(bytes)))
    }
}

/// Kills after a moment, and returns when that was.
fn kill_later(pid: i32, random: &mut Random) -> Result<u64, BenchError> {
    std::thread::sleep(Duration::from_micros(random.below(PAUSE_MAX_US)));
    let now = clock::monotonic_ns();
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(BenchError::os("kill"))?;
    Ok(now)
}

fn ms(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

fn bare(kills: usize, notes: &mut Notes, random: &mut Random, this: &Path) -> Result<Vec<f64>, BenchError> {
    let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let arguments = vec![c"dc-bench".to_owned(), c"note".to_owned(), text(notes.path.as_os_str().as_bytes())];
    let spawner = Spawner::new(&text(this.as_os_str().as_bytes()), arguments)?;
    let mut times = Vec::new();
    let mut child = spawner.spawn()?;
    notes.next()?;
    for _ in 0..kills {
        let killed_ns = kill_later(child.as_raw(), random)?;
        wait_for(child)?;
        child = spawner.spawn()?;
        times.push(ms(killed_ns, notes.next()?.0));
    }
    kill_later(child.as_raw(), random)?;
    wait_for(child)?;
    Ok(times)
}

/// As many ranks as CPUs, all waiting; each in turn is killed.
fn dcrun(
    kills: usize,
    notes: &mut Notes,
    random: &mut Random,
    setting: &Setting,
    this: &Path,
) -> Result<Vec<f64>, BenchError> {
    let mut command = Command::new(setting.dcrun()?);
    command
        .args(["-q", "--restarts", &kills.to_string()])
        .args(["-n", &machine::allowed_cpus().to_string()])
        .arg(this)
        .arg("note")
        .arg(&notes.path)
        .env("XDG_STATE_HOME", &setting.dir)
        .stdout(Stdio::null())
        .stdin(Stdio::null());
    let running = Running::start(&mut command)?;
    let mut try_kills = || {
        let mut ranks = vec![notes.next()?.1];
        // Where the CPUs are threads of fewer cores, fewer run.
        while ranks.len() < machine::allowed_cpus() {
            let Some((_, pid)) = notes.next_within(BEGIN_MS_MAX)? else { break };
            ranks.push(pid);
        }
        let mut times = Vec::new();
        for rank in (0..ranks.len()).cycle().take(kills) {
            let killed_ns = kill_later(ranks[rank], random)?;
            let (main_ns, pid) = notes.next()?;
            ranks[rank] = pid;
            times.push(ms(killed_ns, main_ns));
        }
        Ok(times)
    };
    let times = try_kills();
    running.stop(DEADLINE)?;
    times
}

/// A small write and its sync, as a journal does it.
fn syncs(count: usize, dir: &Path) -> Result<Vec<f64>, BenchError> {
    let path = dir.join("syncs");
    let failed = || BenchError::io("write", &path);
    let mut file = File::create(&path).map_err(failed())?;
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&[0; 64]).and_then(|()| file.sync_data()).map_err(failed())?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let kills = if setting.quick { KILLS / 4 } else { KILLS };
    let seed = Random::fresh_seed();
    println!(
        "{kills} ranks killed with SIGKILL (seed {seed}): from the kill to the main of the next attempt, ms:"
    );
    let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
    let mut random = Random::new(seed);
    let mut bare_notes = Notes::new(setting.dir.join("notes-bare"))?;
    let mut dcrun_notes = Notes::new(setting.dir.join("notes-dcrun"))?;

    let mut bare_times = bare(kills / 2, &mut bare_notes, &mut random, &this)?;
    let dcrun_times = dcrun(kills, &mut dcrun_notes, &mut random, setting, &this)?;
    bare_times.extend(bare(kills - kills / 2, &mut bare_notes, &mut random, &this)?);
    let (bare, dcrun, sync) =
        (Sample::new(bare_times), Sample::new(dcrun_times), Sample::new(syncs(SYNCS, &setting.dir)?));
    let row = |name: &str, sample: &Sample| {
        let mut row = vec![name.to_owned()];
        row.extend([50.0, 99.0, 100.0].map(|p| format!("{:.2}", sample.percentile(p))));
        row
    };
    table::print(
        &["", "p50", "p99", "most"],
        &[
            row("kill, wait, posix_spawn, main", &bare),
            row("dcrun", &dcrun),
            row("a write and sync of the disk", &sync),
        ],
    );
    let to_json = |sample: &Sample| {
        json!({
            "p50_ms": sample.percentile(50.0), "p99_ms": sample.percentile(99.0), "max_ms": sample.max(),
        })
    };
    Ok(json!({
        "targets": [TARGET.judge(dcrun.percentile(99.0), 2)],
        "seed": seed,
        "kills": kills,
        "bare": to_json(&bare),
        "dcrun": to_json(&dcrun),
        "sync": to_json(&sync),
    }))
}
