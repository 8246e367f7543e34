//! 100,000 subtasks: what each costs in time, in CPU time of dcrun and its starter, and in their memory, beside the
//! bare loop. A tenth as many first, so that what grows faster than the job is seen.

use crate::error::BenchError;
use crate::target::Target;
use crate::usage::{Clock, Watched};
use crate::{Setting, floor, machine, runner, table};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const FEW: usize = 10_000;
const MANY: usize = 100_000;
/// The many of a first look.
const QUICK: usize = 30_000;
const DEADLINE: Duration = Duration::from_secs(300);
const GROWTH: Target = Target::at_most("CPU time a subtask, of what it is in the smaller job", 1.1);
const MEMORY: Target =
    Target::at_most("memory of dcrun and starter that a subtask more takes, bytes", 1024.0);

/// What a subtask took, in microseconds.
struct Cost {
    wall_us: f64,
    /// Of those who launch.
    cpu_us: f64,
    /// Of what was launched.
    ranks_us: f64,
}

fn bare(count: usize, lanes: usize) -> Result<Cost, BenchError> {
    let clock = Clock::now()?;
    let took = floor::run(count, lanes)?;
    let (own, children) = clock.elapsed()?;
    Ok(Cost { wall_us: each(took, count), cpu_us: each(own, count), ranks_us: each(children, count) })
}

fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn launch(count: usize, setting: &Setting) -> Result<(Cost, Watched), BenchError> {
    let mut command = Command::new(setting.dcrun()?);
    command.args(["-q", "-n", &count.to_string(), "/bin/true"]).env("XDG_STATE_HOME", &setting.dir);
    let clock = Clock::now()?;
    let (took, watched) = runner::watched(&mut command, DEADLINE)?;
    let (_, all) = clock.elapsed()?;
    let ranks = watched.starter.children_cpu;
    // What was not seen of the last moment is in the whole.
    let cpu = all.saturating_sub(ranks);
    let cost = Cost { wall_us: each(took, count), cpu_us: each(cpu, count), ranks_us: each(ranks, count) };
    Ok((cost, watched))
}

fn row(name: String, cost: &Cost, watched: Option<&Watched>) -> Vec<String> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let mut row = vec![name];
    row.extend([cost.wall_us, cost.cpu_us, cost.ranks_us].map(|us| format!("{us:.1}")));
    row.extend(watched.iter().flat_map(|w| [mib(w.dcrun.peak_bytes), mib(w.starter.peak_bytes)]));
    row
}

fn to_json(count: usize, cost: &Cost, watched: &Watched) -> Value {
    json!({
        "count": count,
        "wall_us": cost.wall_us,
        "cpu_us": cost.cpu_us,
        "dcrun_cpu_us": each(watched.dcrun.cpu, count),
        "starter_cpu_us": each(watched.starter.cpu, count),
        "ranks_cpu_us": cost.ranks_us,
        "dcrun_peak_bytes": watched.dcrun.peak_bytes,
        "starter_peak_bytes": watched.starter.peak_bytes,
    })
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let lanes = machine::allowed_cpus();
    let count = if setting.quick { QUICK } else { MANY };
    println!("dcrun -n {count} /bin/true beside posix_spawn and wait, {lanes} in flight; a subtask:");
    let before = bare(FEW, lanes)?;
    let (few, few_watched) = launch(FEW, setting)?;
    let (many, many_watched) = launch(count, setting)?;
    let after = bare(FEW, lanes)?;

    let bare_row = |when| format!("bare loop, {FEW}, {when}");
    table::print(
        &["", "us", "CPU us", "its own CPU us", "dcrun MiB", "starter MiB"],
        &[
            row(bare_row("before"), &before, None),
            row(format!("dcrun, {FEW}"), &few, Some(&few_watched)),
            row(format!("dcrun, {count}"), &many, Some(&many_watched)),
            row(bare_row("after"), &after, None),
        ],
    );
    let bare_cpu_us = (before.cpu_us + after.cpu_us) / 2.0;
    let ratio = many.cpu_us / bare_cpu_us;
    println!("  CPU time of dcrun and starter a subtask, of the bare loop's: {ratio:.2}");
    let grown = many_watched.peak_bytes().saturating_sub(few_watched.peak_bytes());
    let memory = grown as f64 / (count - FEW) as f64;
    let targets = [GROWTH.judge(many.cpu_us / few.cpu_us, 3), MEMORY.judge(memory, 0)];
    let bare = [before, after].map(|cost| {
        json!({ "count": FEW, "wall_us": cost.wall_us, "cpu_us": cost.cpu_us, "children_cpu_us": cost.ranks_us })
    });
    Ok(json!({
        "targets": targets,
        "in_flight": lanes,
        "bare": bare,
        "few": to_json(FEW, &few, &few_watched),
        "many": to_json(count, &many, &many_watched),
        "cpu_ratio": ratio,
        "bytes_a_subtask": memory,
    }))
}
