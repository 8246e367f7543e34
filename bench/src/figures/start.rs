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
const DEADLINE: Duration = Duration::from_secs(20);

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
enum Column {
    Times(Sample),
    Words(String),
}

impl Column {
    fn shown(&self) -> String {
        match self {
            Self::Times(times) => times.shown(1),
            Self::Words(words) => words.clone(),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Times(times) => times.to_json(),
            Self::Words(words) => json!(words),
        }
    }
}

fn measure_count(peers: &[Peer], n: usize, setting: &Setting) -> Result<Vec<Column>, BenchError> {
    let mut times: Vec<Result<Vec<f64>, String>> = peers
        .iter()
        .map(|peer| peer.found.as_ref().map(|_| Vec::new()).ok_or_else(|| "not installed".to_owned()))
        .collect();
    // The first round warms up, and is not counted.
    for round in 0..=setting.repeats(15) {
        for (peer, times) in peers.iter().zip(&mut times) {
            let (Some(path), Ok(list)) = (&peer.found, &mut *times) else { continue };
            match runner::run(&mut (peer.command)(path, n, setting)?, DEADLINE) {
                Ok(Run::Took(_)) if round == 0 => {}
                Ok(Run::Took(took)) => list.push(took.as_secs_f64() * 1e3),
                Ok(Run::Late) => *times = Err(format!("more than {} s", DEADLINE.as_secs())),
                // A peer that does not work here is told of; dcrun has to.
                Err(error) if peer.name == DCRUN => return Err(error),
                Err(error) => *times = Err(error.to_string()),
            }
        }
    }
    Ok(times.into_iter().map(|t| t.map_or_else(Column::Words, |t| Column::Times(Sample::new(t)))).collect())
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
        .map(|i| [peers[i].name.to_owned()].into_iter().chain(row(i).map(Column::shown)).collect())
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
