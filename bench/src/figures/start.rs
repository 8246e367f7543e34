//! From start to exit of a few `/bin/true`, beside the launchers that people have. Repeats are interleaved.

use crate::error::BenchError;
use crate::runner::{self, Run};
use crate::statistics::Sample;
use crate::{Setting, machine, table};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const COUNTS: [usize; 3] = [1, 16, 64];
const DCRUN: &str = "dcrun -n N";
/// Some launchers hang now and then; such a run is killed, counted and shown, but in no median.
const DEADLINE: Duration = Duration::from_secs(5);
/// After so many of them a launcher is left alone.
const LATE_MAX: usize = 3;

/// A launcher: how it is called for n times `/bin/true`.
struct Peer {
    name: &'static str,
    /// What finds it; none for dcrun.
    found: Option<PathBuf>,
    command: fn(&Path, usize, &Setting) -> Result<Command, BenchError>,
}

fn peers(setting: &Setting) -> Result<Vec<Peer>, BenchError> {
    Ok(vec![
        Peer { name: DCRUN, found: Some(setting.dcrun()?), command: dcrun },
        Peer { name: "xargs -P CPUS", found: find("xargs"), command: xargs },
        Peer { name: "parallel -j CPUS", found: find("parallel"), command: parallel },
        Peer { name: "mpiexec.hydra -n N", found: find("mpiexec.hydra"), command: hydra },
        Peer {
            name: "mpirun -n N (Open MPI)",
            found: find("mpirun.openmpi").or_else(|| find("mpirun")),
            command: mpirun,
        },
    ])
}

fn dcrun(path: &Path, n: usize, setting: &Setting) -> Result<Command, BenchError> {
    let mut command = Command::new(path);
    command.args(["-q", "-n", &n.to_string(), "/bin/true"]).env("XDG_STATE_HOME", &setting.dir);
    Ok(command)
}

/// One line a child on its standard input.
fn xargs(path: &Path, n: usize, setting: &Setting) -> Result<Command, BenchError> {
    let lines = setting.dir.join(format!("lines-{n}"));
    fs::write(&lines, "x\n".repeat(n)).map_err(BenchError::io("write", &lines))?;
    let mut command = Command::new(path);
    command
        .args(["-P", &machine::allowed_cpus().to_string(), "-n", "1", "/bin/true"])
        .stdin(File::open(&lines).map_err(BenchError::io("open", &lines))?);
    Ok(command)
}

fn parallel(path: &Path, n: usize, setting: &Setting) -> Result<Command, BenchError> {
    let mut command = Command::new(path);
    command
        .args(["-j", &machine::allowed_cpus().to_string(), "/bin/true", ":::"])
        .args((0..n).map(|i| i.to_string()))
        .env("PARALLEL_HOME", &setting.dir)
        .stdin(Stdio::null());
    Ok(command)
}

fn hydra(path: &Path, n: usize, _: &Setting) -> Result<Command, BenchError> {
    let mut command = Command::new(path);
    command.args(["-n", &n.to_string(), "/bin/true"]).stdin(Stdio::null());
    Ok(command)
}

fn mpirun(path: &Path, n: usize, _: &Setting) -> Result<Command, BenchError> {
    let mut command = Command::new(path);
    command
        .args(["--oversubscribe", "-n", &n.to_string(), "/bin/true"])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .stdin(Stdio::null());
    Ok(command)
}

fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What a peer's runs gave, for one count.
#[derive(Default)]
struct Runs {
    times_ms: Vec<f64>,
    late: usize,
    /// Why there are no more.
    stopped: Option<String>,
}

impl Runs {
    fn shown(&self) -> String {
        let late = match self.late {
            0 => String::new(),
            n => format!(", {n} beyond {} s", DEADLINE.as_secs()),
        };
        match &self.stopped {
            Some(words) => words.clone(),
            None => Sample::new(self.times_ms.clone()).shown(1) + &late,
        }
    }

    fn to_json(&self) -> Value {
        match &self.stopped {
            Some(words) => json!({ "stopped": words, "late": self.late }),
            None => json!({ "ms": Sample::new(self.times_ms.clone()).to_json(), "late": self.late }),
        }
    }
}

fn measure_count(peers: &[Peer], n: usize, setting: &Setting) -> Result<Vec<Runs>, BenchError> {
    let mut all: Vec<Runs> = peers.iter().map(|_| Runs::default()).collect();
    // The first round warms up, and is not counted.
    for round in 0..=setting.repeats(15) {
        for (peer, runs) in peers.iter().zip(&mut all) {
            let Some(path) = &peer.found else {
                runs.stopped = Some("not installed".to_owned());
                continue;
            };
            if runs.stopped.is_some() {
                continue;
            }
            match runner::run(&mut (peer.command)(path, n, setting)?, DEADLINE) {
                Ok(Run::Took(_)) if round == 0 => {}
                Ok(Run::Took(took)) => runs.times_ms.push(took.as_secs_f64() * 1e3),
                Ok(Run::Late) => {
                    runs.late += 1;
                    if runs.late == LATE_MAX && runs.times_ms.len() < LATE_MAX {
                        runs.stopped = Some(format!("hangs: {LATE_MAX} beyond {} s", DEADLINE.as_secs()));
                    }
                }
                // A peer that does not work here is told of; dcrun has to.
                Err(error) if peer.name == DCRUN => return Err(error),
                Err(error) => runs.stopped = Some(error.to_string()),
            }
        }
    }
    Ok(all)
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let peers = peers(setting)?;
    println!(
        "start to exit of N times /bin/true, ms, median (range) of {} interleaved runs:",
        setting.repeats(15)
    );
    let mut columns = Vec::new();
    for n in COUNTS {
        columns.push(measure_count(&peers, n, setting)?);
    }
    let heading = ["".to_owned()].into_iter().chain(COUNTS.map(|n| format!("N = {n}"))).collect::<Vec<_>>();
    let row = |i: usize| columns.iter().filter_map(move |column| column.get(i));
    let rows: Vec<Vec<String>> = (0..peers.len())
        .map(|i| [peers[i].name.to_owned()].into_iter().chain(row(i).map(Runs::shown)).collect())
        .collect();
    table::print(&heading.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    let values: serde_json::Map<String, Value> = (0..peers.len())
        .map(|i| {
            let by_count = COUNTS.iter().zip(row(i)).map(|(n, column)| (n.to_string(), column.to_json()));
            (peers[i].name.to_owned(), Value::Object(by_count.collect()))
        })
        .collect();
    Ok(json!({ "unit": "ms", "peers": values }))
}
