//! The example kernel: its climate against the closed form, its coordinates against the grid, and the bits after kills.
#![allow(clippy::unwrap_used)]

mod build;

use build::{good, library, source};
use dc_model::{Attempt, JobUuid, SubtaskId};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::Dir;
use dc_spool::header::FileKind;
use dc_spool::record_file::RecordFile;
use dc_spool::result::{Dtype, Layout, Results};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);
const JOB: JobUuid = JobUuid([9; 16]);
const NX: usize = 36;
const NY: usize = 18;

fn is_sea(x: usize, y: usize) -> bool {
    !(x * 7 + y * 5).is_multiple_of(3)
}

/// The kernel, a small mask of every latitude, and a place for its files.
struct Ocean {
    dir: tempfile::TempDir,
    kernel: PathBuf,
    mask: PathBuf,
}

impl Ocean {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kernel = dir.path().join("kernel");
        let sources = source().join("../../examples/ocean");
        let mut cc = Command::new("gcc");
        cc.args(["-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off", "-o"]);
        cc.arg(&kernel).arg("-I").arg(source().join("include"));
        cc.args(["ocean.c", "climate.c", "options.c"].map(|name| sources.join(name)));
        good(cc.arg(library().join("libdcspool.a")).args(["-lm", "-lpthread", "-ldl"]));
        let mask = dir.path().join("mask.pbm");
        let rows =
            (0..NY).map(|y| (0..NX).map(|x| if is_sea(x, y) { "1 " } else { "0 " }).collect::<String>());
        let text = format!("P1\n{NX} {NY}\n{}\n", rows.collect::<Vec<_>>().join("\n"));
        std::fs::write(&mask, text).unwrap();
        Self { dir, kernel, mask }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kernel);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DC_") {
                command.env_remove(name);
            }
        }
        command.args(args);
        command
    }

    fn by_hand(&self, spool: &str, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.env("DC_SPOOL", self.dir.path().join(spool)).arg("--domain").arg(&self.mask);
        command
    }

    /// The payload of the only result that a run by hand left, as doubles.
    fn result_by_hand(&self, spool: &str) -> Vec<f64> {
        let results = self.dir.path().join(spool).join("result");
        let mut names = std::fs::read_dir(results).unwrap();
        let path = names.next().unwrap().unwrap().path();
        assert!(names.next().is_none(), "one result");
        let file = RecordFile::open_path(&path, FileKind::Result).unwrap();
        file.verify().unwrap();
        let mut bytes = vec![0; usize::try_from(file.header().payload_bytes).unwrap()];
        file.read(0, &mut bytes).unwrap();
        doubles(&bytes)
    }

    /// A job's spool, and a rank's command in it for a block, as dcrun's starter sets it up.
    fn job(&self, spool: &str) -> PathBuf {
        let dir = self.dir.path().join(spool);
        for name in ["ckpt", "result"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        dir
    }

    fn rank(&self, spool: &Path, subtask: u32, attempt: u32, block: &str, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command
            .env("DC_JOB_UUID", JOB.to_string())
            .env("DC_SPOOL", spool)
            .env("DC_SUBTASK", subtask.to_string())
            .env("DC_ATTEMPT", attempt.to_string())
            .env("DC_BLOCK", block)
            .env("DC_GRID", format!("{NX} {NY}"))
            .env("DC_DOMAIN", &self.mask);
        let checkpoints = Checkpoints::open(&Dir::open(spool).unwrap(), JOB).unwrap();
        let choice = checkpoints.newest_valid(SubtaskId(subtask), None, Attempt(attempt)).unwrap();
        if let Some(from) = choice.from {
            command.env("DC_RESTART_FROM", from.path);
        }
        command
    }
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn result(spool: &Path, subtask: u32, attempt: u32) -> Vec<u8> {
    let results = Results::open(&Dir::open(spool).unwrap(), JOB).unwrap();
    let reader = results.open_verified(SubtaskId(subtask), Attempt(attempt)).unwrap();
    assert_eq!((reader.head().layout, reader.head().values_per_cell), (Layout::Effective, 1));
    let mut bytes = vec![0; usize::try_from(reader.meta().len).unwrap()];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Annual mean insolation by latitude, from the formula and not from the kernel's code, integrated over the hours of
/// each day instead of by the hour angle of sunset.
fn insolation(latitude: f64) -> f64 {
    const MINUTES: u32 = 1440;
    let phi = latitude.to_radians();
    let mut sum = 0.0;
    for day in 1..=365 {
        let angle = f64::from(day) / 365.0 * std::f64::consts::TAU;
        let declination = 23.45_f64.to_radians() * (angle + 284.0 / 365.0 * std::f64::consts::TAU).sin();
        let distance = 1.0 + 0.033 * angle.cos();
        let hours = (0..MINUTES).map(|minute| {
            let hour = (f64::from(minute) + 0.5) / f64::from(MINUTES) * std::f64::consts::TAU;
            (phi.sin() * declination.sin() + phi.cos() * declination.cos() * hour.cos()).max(0.0)
        });
        sum += 1361.0 * distance * hours.sum::<f64>() / f64::from(MINUTES);
    }
    sum / 365.0
}

#[test]
fn with_constant_albedo_the_annual_mean_is_the_closed_form() {
    let ocean = Ocean::new();
    let args = ["--albedo", "0.3", "--verify", "--years", "150"];
    good(&mut ocean.by_hand("spool", &args));
    let found = ocean.result_by_hand("spool");
    let mut found = found.iter();
    for y in 0..NY {
        let latitude = 90.0 - (y as f64 + 0.5) * 180.0 / NY as f64;
        let expected = (0.7 * insolation(latitude) - 203.3) / 2.09;
        for _ in (0..NX).filter(|x| is_sea(*x, y)) {
            let mean = found.next().unwrap();
            // What is left is the error of the hours' sum above, not the kernel's.
            assert!((mean - expected).abs() < 1e-3, "at {latitude}: {mean} instead of {expected}");
        }
    }
    assert!(found.next().is_none());
}

#[test]
fn too_few_years_are_not_verified() {
    let ocean = Ocean::new();
    let few = ocean.by_hand("few", &["--albedo", "0.3", "--verify", "--years", "3"]).output().unwrap();
    assert_eq!(few.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&few.stderr).contains("so few years"));
}

#[test]
fn the_index_of_each_cell_whatever_the_split() {
    let ocean = Ocean::new();
    for (dtype, code) in [(Dtype::F8, "f8"), (Dtype::I8, "i8"), (Dtype::U4, "u4")] {
        let spool = ocean.job(code);
        for (subtask, [x0, y0, x1, y1]) in
            [[0, 0, 20, 10], [20, 0, NX, 10], [0, 10, NX, NY]].into_iter().enumerate()
        {
            let block = format!("{x0} {y0} {x1} {y1}");
            let args = ["--check", "index", "--dtype", code];
            good(&mut ocean.rank(&spool, subtask as u32, 1, &block, &args));
            let mut bytes = &result(&spool, subtask as u32, 1)[..];
            for (x, y) in (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y))).filter(|(x, y)| is_sea(*x, *y))
            {
                let (value, rest) = bytes.split_at(dtype.bytes());
                let index = match dtype {
                    Dtype::F8 => f64::from_le_bytes(value.try_into().unwrap()) as usize,
                    Dtype::I8 => i64::from_le_bytes(value.try_into().unwrap()) as usize,
                    _ => u32::from_le_bytes(value.try_into().unwrap()) as usize,
                };
                assert_eq!(index, y * NX + x);
                bytes = rest;
            }
            assert!(bytes.is_empty());
        }
    }
}

#[test]
fn a_cell_has_the_same_bits_in_any_block() {
    let ocean = Ocean::new();
    let args = ["--years", "5"];
    good(&mut ocean.by_hand("whole", &args));
    let whole = ocean.result_by_hand("whole");
    let spool = ocean.job("cut");
    let halves = ["0 0 36 7", "0 7 36 18"];
    let mut parts = Vec::new();
    for (subtask, block) in halves.into_iter().enumerate() {
        good(&mut ocean.rank(&spool, subtask as u32, 1, block, &args));
        parts.extend(doubles(&result(&spool, subtask as u32, 1)));
    }
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&parts), bits(&whole));
    assert!(whole.iter().all(|t| t.is_finite()));
}

/// Ends the child whatever happens to the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the child when there are `count` checkpoints, in any state that it is in then.
fn kill_at(command: &mut Command, ckpt: &Path, count: usize) {
    let mut child = Running(command.stderr(Stdio::inherit()).spawn().unwrap());
    let begins = Instant::now();
    loop {
        let there = std::fs::read_dir(ckpt).map_or(0, |entries| {
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".ckpt")).count()
        });
        if there >= count {
            break;
        }
        assert!(child.0.try_wait().unwrap().is_none(), "ended with {there} checkpoints");
        assert!(begins.elapsed() < DEADLINE, "{there} checkpoints in {DEADLINE:?}");
        std::thread::yield_now();
    }
    child.0.kill().unwrap();
    let status = child.0.wait().unwrap();
    assert!(!status.success(), "it ended before the kill");
}

#[test]
fn kills_leave_no_trace_in_the_bits_by_hand() {
    let ocean = Ocean::new();
    // Enough steps that no attempt ends before it is killed; the kills fall anywhere, in the last year too.
    let args = ["--years", "40", "--checkpoint-every", "500"];
    good(&mut ocean.by_hand("calm", &args));
    let ckpt = ocean.dir.path().join("rough/ckpt/00000000");
    for kill in [1, 4, 9, 30, 55] {
        kill_at(&mut ocean.by_hand("rough", &args), &ckpt, kill);
    }
    good(&mut ocean.by_hand("rough", &args));
    let bits = |spool| ocean.result_by_hand(spool).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(bits("calm") == bits("rough"));

    let other = ocean.by_hand("rough", &["--years", "41"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("written with other arguments"));
}

#[test]
fn kills_leave_no_trace_in_the_bits_of_a_job() {
    let ocean = Ocean::new();
    let spool = ocean.job("job");
    let (block, args) = ("3 2 30 16", ["--years", "40", "--checkpoint-every", "500", "--albedo", "0.25"]);
    good(&mut ocean.rank(&spool, 0, 1, block, &args));
    let ckpt = spool.join("ckpt/00000001");
    for (attempt, kill) in [(1, 2), (2, 10), (3, 50)] {
        kill_at(&mut ocean.rank(&spool, 1, attempt, block, &args), &ckpt, kill);
    }
    good(&mut ocean.rank(&spool, 1, 4, block, &args));
    assert!(result(&spool, 0, 1) == result(&spool, 1, 4));
}

#[test]
fn mistakes_are_told() {
    let ocean = Ocean::new();
    let run = |args: &[&str]| {
        let output = ocean.command(args).env("DC_SPOOL", ocean.dir.path().join("none")).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("").to_owned(),
        )
    };
    assert_eq!(
        run(&[]),
        (
            Some(1),
            "kernel: domain: there is no mask; use dcrun --domain MASK, or by hand --domain MASK".into()
        )
    );
    assert_eq!(
        run(&["--years", "-1"]),
        (Some(2), "kernel: --years takes a whole number in its range".into())
    );
    assert_eq!(run(&["--years", "0"]).0, Some(2));
    assert_eq!(run(&["--albedo", "2"]).0, Some(2));
    assert_eq!(run(&["--albedo", "nan"]).0, Some(2));
    assert_eq!(run(&["--verify"]).0, Some(2));
    assert_eq!(run(&["--dtype", "u4"]).0, Some(2));
    assert_eq!(run(&["--check", "index", "--dtype", "f4"]).0, Some(2));
    assert_eq!(run(&["--what"]).0, Some(2));
    assert_eq!(run(&["x"]).0, Some(2));
    assert_eq!(run(&["--domain", "/nowhere"]).0, Some(1));
    assert_eq!(run(&["--help"]), (Some(0), String::new()));
    assert!(!ocean.dir.path().join("none").exists(), "nothing is left");
}
