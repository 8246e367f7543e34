//! Submissions to a scheduler, each on disk before it is acknowledged: how long one waits, beside a write and a sync of
//! the same bytes; how many a second go when many come at once; and how long a scheduler with all of them takes to start
//! again.

use crate::error::BenchError;
use crate::statistics::Sample;
use crate::submitter::{Submitter, record};
use crate::target::Target;
use crate::{Setting, table};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// One after another.
const ALONE: u64 = 2_000;
/// Connections, and what each has on its way, of the many.
const CONNECTIONS: u64 = 4;
const AT_ONCE: u64 = 256;
/// Jobs that wait when it is started again.
const QUEUED: u64 = 100_000;

const WAIT: Target = Target::at_most("a submission waits, p99, ms", 20.0);
const RATE: Target = Target::at_least("submissions a second, many at once", 5_000.0);
const START: Target = Target::at_most("started again with 100,000 queued jobs, s", 2.0);

/// A dcsched, killed when it is dropped.
struct Scheduler {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Scheduler {
    /// Starts it; gives it when it listens.
    fn start(program: &Path, config: &Path) -> Result<(Self, Duration), BenchError> {
        let began = Instant::now();
        let mut command = Command::new(program);
        command.arg("--config").arg(config).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(BenchError::io("start", program))?;
        let Some(stderr) = child.stderr.take() else {
            return Err(BenchError::NotBuilt(program.to_owned()));
        };
        let mut this = Self { child, lines: BufReader::new(stderr) };
        let mut said = String::new();
        loop {
            let before = said.len();
            let read =
                this.lines.read_line(&mut said).map_err(BenchError::io("read what is said by", program))?;
            if read == 0 {
                let (program, how) = (program.display().to_string(), "did not begin".to_owned());
                return Err(BenchError::Failed { program, how, words: said });
            }
            if said.get(before..).is_some_and(|line| line.contains("listens at")) {
                return Ok((this, began.elapsed()));
            }
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a write and a sync of as many bytes take.
fn floor(path: &Path, bytes: usize, count: u64) -> Result<Sample, BenchError> {
    let failed = BenchError::io("write", path);
    let measure = || {
        let mut file = File::create(path)?;
        // As a journal's: the space is there already.
        file.write_all(&vec![0; bytes * (count as usize + 1)])?;
        file.sync_all()?;
        let mut file = File::options().write(true).open(path)?;
        let mut took = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            file.write_all(&vec![1; bytes])?;
            file.sync_data()?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Sample::new(took))
    };
    measure().map_err(failed)
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let program: PathBuf = setting.bin.join("dcsched");
    if !program.is_file() {
        return Err(BenchError::NotBuilt(program));
    }
    let (dir, queued) = (setting.dir.join("submit"), if setting.quick { QUEUED / 10 } else { QUEUED });
    std::fs::create_dir(&dir).map_err(BenchError::io("make", &dir))?;
    // A socket's path is short.
    let short = tempfile::tempdir().map_err(BenchError::io("make a directory in", Path::new("/tmp")))?;
    let (config, socket) = (dir.join("dc.toml"), short.path().join("s"));
    let text = format!(
        "[scheduler]\nstate = \"{}\"\nsocket = \"{}\"\n",
        dir.join("state").display(),
        socket.display()
    );
    std::fs::write(&config, text).map_err(BenchError::io("write", &config))?;
    let bytes = dc_spool::job::encode(&record(0)).len();
    println!("submissions of {bytes} bytes each, durable before they are acknowledged:");

    let (scheduler, _) = Scheduler::start(&program, &config)?;
    let floor = floor(&dir.join("floor"), bytes, ALONE / 2)?;
    let mut one = Submitter::connect(&socket)?;
    one.submit(0..ALONE / 10, 1)?;
    let waits = one.submit(ALONE / 10..ALONE, 1)?;
    let waits = Sample::new(waits.iter().map(|took| took.as_secs_f64() * 1e3).collect());

    let each = (queued - ALONE) / CONNECTIONS;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|i| {
                let (from, socket) = (ALONE + i * each, &socket);
                scope.spawn(move || Submitter::connect(socket)?.submit(from..from + each, AT_ONCE))
            })
            .collect();
        let ends = all.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(Vec::new())));
        ends.collect::<Result<Vec<_>, BenchError>>()
    })?;
    let rate = (each * CONNECTIONS) as f64 / began.elapsed().as_secs_f64();
    drop(scheduler);
    let (scheduler, started) = Scheduler::start(&program, &config)?;
    drop(scheduler);

    let row = |name: &str, sample: &Sample| {
        let mut row = vec![name.to_owned()];
        row.extend([50.0, 99.0, 100.0].map(|percent| format!("{:.2}", sample.percentile(percent))));
        row
    };
    table::print(
        &["", "p50 ms", "p99 ms", "max ms"],
        &[row("write + fdatasync", &floor), row("submit, one after another", &waits)],
    );
    let targets =
        [WAIT.judge(waits.percentile(99.0), 2), RATE.judge(rate, 0), START.judge(started.as_secs_f64(), 2)];
    let of =
        |sample: &Sample| json!({ "p50_ms": sample.percentile(50.0), "p99_ms": sample.percentile(99.0) });
    Ok(json!({
        "targets": targets,
        "bytes": bytes,
        "floor": of(&floor),
        "submit": of(&waits),
        "submits_per_s": rate,
        "queued": queued,
        "started_s": started.as_secs_f64(),
    }))
}
