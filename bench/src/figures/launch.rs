//! Launches a second: `dcrun -n 10000 /bin/true`, journal and all, beside the bare loop. Runs alternate, so that a
//! machine that slows down slows both, and each ratio is of two neighbours.

use crate::error::BenchError;
use crate::runner;
use crate::statistics::Sample;
use crate::target::Target;
use crate::{Setting, floor, machine, table};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const COUNT: usize = 10_000;
const TARGET: Target = Target::at_least("launches a second, of the floor's (median of pairs)", 0.80);
const DEADLINE: Duration = Duration::from_secs(300);

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let lanes = machine::allowed_cpus();
    let repeats = setting.repeats(7);
    println!("dcrun -n {COUNT} /bin/true beside posix_spawn and wait, {lanes} in flight, {repeats} pairs:");
    let mut command = Command::new(setting.dcrun()?);
    command.args(["-q", "-n", &COUNT.to_string(), "/bin/true"]).env("XDG_STATE_HOME", &setting.dir);

    // Both are warm before the first pair.
    floor::run(COUNT / 10, lanes)?;
    runner::run(&mut command, DEADLINE)?;
    let (mut floor_rates, mut rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        let floor_rate = COUNT as f64 / floor::run(COUNT, lanes)?.as_secs_f64();
        let rate = COUNT as f64 / runner::took(&mut command, DEADLINE)?.as_secs_f64();
        floor_rates.push(floor_rate);
        rates.push(rate);
        ratios.push(rate / floor_rate);
    }
    let (floor, dcrun, ratio) = (Sample::new(floor_rates), Sample::new(rates), Sample::new(ratios));
    table::print(
        &["", "median (range)"],
        &[
            vec!["posix_spawn + wait, launches/s".into(), floor.shown(0)],
            vec!["dcrun, launches/s".into(), dcrun.shown(0)],
            vec!["ratio".into(), ratio.shown(3)],
        ],
    );
    let target = TARGET.judge(ratio.median(), 3);
    Ok(json!({
        "targets": [target],
        "count": COUNT,
        "in_flight": lanes,
        "floor_per_s": floor.to_json(),
        "dcrun_per_s": dcrun.to_json(),
        "ratio": ratio.to_json(),
    }))
}
