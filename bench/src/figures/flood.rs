//! A rank that prints as fast as it can: how fast that is, what memory it takes, and what the short subtasks beside it
//! suffer, with a reader who discards, a file, and a slow reader. A core that copies is a core that computes nothing
//! else, so the same is done to the bare loop: beside it a process that spins, then one that prints through a `cat`.

use crate::error::BenchError;
use crate::kernels::print::Way;
use crate::runner::Running;
use crate::statistics::Sample;
use crate::target::Target;
use crate::usage::Watched;
use crate::{Setting, floor, machine, runner, table};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long is printed.
const TIME: Duration = Duration::from_secs(3);
/// A file gets no more.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// Short subtasks beside it.
const SHORT: usize = 3000;
/// The slow reader takes so much, and waits so long.
const SLOW_BYTES: usize = 64 << 10;
const SLOW_PAUSE: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_secs(120);
const MEMORY: Target = Target::at_most("most memory of dcrun and starter together, MiB", 64.0);
const BESIDE: Target =
    Target::at_least("rate of short subtasks beside the flood, of the bare loop's share (discarded)", 0.8);
const BESIDE_SLOW: Target =
    Target::at_least("rate of short subtasks beside the flood, of that beside a core that spins (slow)", 0.9);

/// Where the flood goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Discards,
    File,
    Slow,
}

/// One run.
struct Seen {
    /// Bytes a second of the flood.
    rate: f64,
    /// Short subtasks that ended while it ran, a second.
    short_rate: f64,
    /// Between one's end and the next one's, in ms.
    short_ms: Sample,
    watched: Watched,
}

/// A job of one rank that goes its `way`, and of so many short ones.
fn job(way: &str, reader: Reader, short: usize, setting: &Setting) -> Result<Seen, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
    let (list, events, file) =
        (setting.dir.join("flood-list"), setting.dir.join("flood-events"), setting.dir.join("flood-file"));
    let bytes_max = if reader == Reader::File { FILE_BYTES_MAX } else { u64::MAX };
    let mut text = format!("{way} {SHORT} {way} {} {bytes_max}\n", TIME.as_secs());
    for i in 0..short {
        let _ = writeln!(text, "short{i} 1 nothing 0 0");
    }
    fs::write(&list, text).map_err(BenchError::io("write", &list))?;
    let mut json = std::ffi::OsString::from("--json=");
    json.push(&events);
    let mut command = Command::new(setting.dcrun()?);
    command.args(["-q", "-n", "2"]).arg(json).arg("--subtasks").arg(&list);
    if machine::allowed_cpus() < 2 {
        command.arg("--oversubscribe");
    }
    if reader == Reader::File {
        command.arg("-o").arg(&file);
    }
    command.arg(this).arg("print").env("XDG_STATE_HOME", &setting.dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(&mut command)?;
    let pipe = running.stdout();
    let reading = std::thread::spawn(move || pipe.map_or(0, |pipe| read_all(pipe, reader == Reader::Slow)));
    let (_, watched) = running.watched(DEADLINE)?;
    let mut bytes = reading.join().unwrap_or(0);
    if reader == Reader::File {
        bytes = fs::metadata(&file).map_err(BenchError::io("look at", &file))?.len();
        fs::remove_file(&file).map_err(BenchError::io("remove", &file))?;
    }
    let text = fs::read_to_string(&events).map_err(BenchError::io("read", &events))?;
    Ok(seen(&text, bytes, watched))
}

/// Takes all there is: as fast as it comes, or slowly for as long as the flood would take.
fn read_all(mut pipe: impl Read, slowly: bool) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let (start, mut total) = (Instant::now(), 0);
    loop {
        let is_slow = slowly && start.elapsed() < TIME;
        let room = if is_slow { SLOW_BYTES } else { buffer.len() };
        match pipe.read(&mut buffer[..room]) {
            Ok(0) | Err(_) => return total,
            Ok(bytes) => total += bytes as u64,
        }
        if is_slow {
            std::thread::sleep(SLOW_PAUSE);
        }
    }
}

/// What a run's events tell: subtask 0 is the one that prints.
fn seen(events: &str, bytes: u64, watched: Watched) -> Seen {
    let (mut flood, mut ends) = ((f64::NAN, f64::NAN), Vec::new());
    for event in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let (Some(subtask), Some(t_ns)) = (event["subtask"].as_u64(), event["t_ns"].as_f64()) else {
            continue;
        };
        match (event["event"].as_str(), subtask) {
            (Some("started"), 0) => flood.0 = t_ns,
            (Some("ended"), 0) => flood.1 = t_ns,
            (Some("ended"), _) => ends.push(t_ns),
            _ => {}
        }
    }
    ends.retain(|end| *end >= flood.0 && *end <= flood.1);
    let (from, to) = (ends.first().copied().unwrap_or(f64::NAN), ends.last().copied().unwrap_or(f64::NAN));
    Seen {
        rate: bytes as f64 * 1e9 / (flood.1 - flood.0),
        short_rate: ends.len().saturating_sub(1) as f64 * 1e9 / (to - from),
        short_ms: Sample::new(ends.windows(2).map(|pair| (pair[1] - pair[0]) / 1e6).collect()),
        watched,
    }
}

/// Bytes a second from one that prints through a `cat`, with nothing beside it.
fn bare_alone(this: &Path) -> Result<f64, BenchError> {
    bare(Way::Lines, this, false).map(|(rate, ..)| rate)
}

/// The bare loop beside a process that spins, or that prints through a `cat` into a reader who discards.
fn bare(way: Way, this: &Path, with_loop: bool) -> Result<(f64, f64, Sample), BenchError> {
    let word = if way == Way::Lines { "lines" } else { "spin" };
    let mut print = Command::new(this);
    print.args(["print", word, &TIME.as_secs().to_string(), &u64::MAX.to_string()]);
    let mut running = Running::start(print.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdin = running.stdout().map_or_else(Stdio::null, Stdio::from);
    let mut cat = Running::start(Command::new("cat").stdin(stdin).stdout(Stdio::piped()))?;
    let pipe = cat.stdout();
    let reading = std::thread::spawn(move || pipe.map_or(0, |pipe| read_all(pipe, false)));
    // Both have begun after a moment, and go on for a moment after the last.
    let margin = TIME / 10;
    std::thread::sleep(margin);
    let times = if with_loop { floor::run_for(TIME - 2 * margin) } else { Ok(Vec::new()) };
    let took = running.took(DEADLINE)?;
    cat.took(DEADLINE)?;
    let bytes = reading.join().unwrap_or(0);
    let times = times?;
    let rate = times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
    let ms = Sample::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect());
    Ok((bytes as f64 / took.as_secs_f64(), rate, ms))
}

fn row(name: &str, rate: f64, short_rate: f64, ms: &Sample, watched: Option<&Watched>) -> Vec<String> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let gigabytes = if rate > 0.0 { format!("{:.3}", rate / 1e9) } else { String::new() };
    let mut row = vec![name.to_owned(), gigabytes, format!("{short_rate:.0}")];
    row.extend([99.0, 100.0].map(|p| format!("{:.2}", ms.percentile(p))));
    row.extend(watched.iter().flat_map(|w| [mib(w.dcrun.peak_bytes), mib(w.starter.peak_bytes)]));
    row
}

fn to_json(seen: &Seen) -> Value {
    json!({
        "bytes_per_s": seen.rate,
        "short_per_s": seen.short_rate,
        "short_gap_p99_ms": seen.short_ms.percentile(99.0),
        "short_gap_max_ms": seen.short_ms.max(),
        "dcrun_peak_bytes": seen.watched.dcrun.peak_bytes,
        "starter_peak_bytes": seen.watched.starter.peak_bytes,
    })
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
    println!(
        "one rank prints as fast as it can for {} s, another lane takes short subtasks (ms from one's end to the next's):",
        TIME.as_secs()
    );
    // The page cache, and the programs.
    runner::took(Command::new(&this).args(["print", "nothing", "0", "0"]), DEADLINE)?;
    let alone = job("lines", Reader::Discards, 0, setting)?;
    let bare_alone = bare_alone(&this)?;
    let (_, bare_spin, bare_spin_ms) = bare(Way::Spin, &this, true)?;
    let spin = job("spin", Reader::Discards, SHORT, setting)?;
    let discards = job("lines", Reader::Discards, SHORT, setting)?;
    let (bare_bytes, bare_flood, bare_flood_ms) = bare(Way::Lines, &this, true)?;
    let file = job("lines", Reader::File, SHORT, setting)?;
    let slow = job("lines", Reader::Slow, SHORT, setting)?;

    let of = |name, seen: &Seen| row(name, seen.rate, seen.short_rate, &seen.short_ms, Some(&seen.watched));
    println!(
        "  printed with nothing beside it: {:.2} GB/s through dcrun, {:.2} GB/s through cat",
        alone.rate / 1e9,
        bare_alone / 1e9
    );
    table::print(
        &["", "GB/s", "short/s", "p99 ms", "most ms", "dcrun MiB", "starter MiB"],
        &[
            row("bare loop beside one that spins", 0.0, bare_spin, &bare_spin_ms, None),
            row("bare loop beside one that prints | cat", bare_bytes, bare_flood, &bare_flood_ms, None),
            of("dcrun, one rank spins", &spin),
            of("one prints, the reader discards", &discards),
            of("one prints, -o FILE", &file),
            of("one prints, a slow reader", &slow),
        ],
    );
    let peak = [&alone, &discards, &file, &slow]
        .map(|seen| seen.watched.peak_bytes())
        .into_iter()
        .max()
        .unwrap_or(0);
    let share = (discards.short_rate / spin.short_rate) / (bare_flood / bare_spin);
    let targets = [
        MEMORY.judge(peak as f64 / f64::from(1 << 20), 1),
        BESIDE.judge(share, 2),
        BESIDE_SLOW.judge(slow.short_rate / spin.short_rate, 2),
    ];
    Ok(json!({
        "targets": targets,
        "alone": { "bytes_per_s": alone.rate, "bare_bytes_per_s": bare_alone },
        "bare_spin": { "short_per_s": bare_spin, "short_gap_p99_ms": bare_spin_ms.percentile(99.0) },
        "bare_flood": {
            "bytes_per_s": bare_bytes, "short_per_s": bare_flood, "short_gap_p99_ms": bare_flood_ms.percentile(99.0),
        },
        "spin": to_json(&spin),
        "discards": to_json(&discards),
        "file": to_json(&file),
        "slow": to_json(&slow),
    }))
}
