//! A mask of 933 million cells in 4,096 blocks: how long, and in how much memory. The real one where DC_BENCH_MASK
//! names it (bench/get-mask makes it), else one of the same size with a made-up coast.

use crate::error::BenchError;
use crate::target::Target;
use crate::usage::Clock;
use crate::{Setting, coast, runner, table};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Columns and rows of the real one: 30 seconds of arc.
const SIDES: (u32, u32) = (43_200, 21_600);
const SEED: u64 = 20;
const PARTS: u32 = 4096;
const VARIABLE: &str = "DC_BENCH_MASK";
const DEADLINE: Duration = Duration::from_secs(120);
const TIME: Target = Target::at_most("dcrun --plan, CPU s", 5.0);
const MEMORY: Target = Target::at_most("its most memory, of the packed mask's size", 1.5);

/// The file, and in words which it is.
fn mask(setting: &Setting) -> Result<(PathBuf, String), BenchError> {
    if let Some(file) = std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) {
        let path = PathBuf::from(file);
        let name = format!("{VARIABLE}: {}", path.display());
        return Ok((path, name));
    }
    let path = setting.dir.join("coast.pbm");
    let (nx, ny) = SIDES;
    let start = Instant::now();
    let raster = coast::raster(nx, ny, SEED);
    let header = format!("P4\n{nx} {ny}\n");
    File::create(&path)
        .and_then(|mut file| file.write_all(header.as_bytes()).and_then(|()| file.write_all(&raster)))
        .map_err(BenchError::io("write", &path))?;
    let s = start.elapsed().as_secs_f64();
    Ok((path, format!("a made-up coast (seed {SEED}, {s:.1} s; {VARIABLE} would name a real mask)")))
}

/// How the split itself went, in a process of its own.
fn cut(mask: &Path) -> Result<Value, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
    let output = Command::new(&this)
        .arg("cut")
        .arg(mask)
        .arg(PARTS.to_string())
        .output()
        .map_err(BenchError::io("start", &this))?;
    let failed = |how: String| BenchError::Failed {
        program: "dc-bench cut".into(),
        how,
        words: String::from_utf8_lossy(&output.stderr).trim().escape_debug().to_string(),
    };
    let told: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("ended with {} and told nothing: {error}", output.status)))?;
    if told["in_blocks"] != told["effective"] {
        let found = format!("{} of {} cells are in blocks", told["in_blocks"], told["effective"]);
        return Err(BenchError::Split(found));
    }
    Ok(told)
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let (path, name) = mask(setting)?;
    let told = cut(&path)?;
    let bytes = fs::metadata(&path).map_err(BenchError::io("look at", &path))?.len();
    let number = |key: &str| told[key].as_f64().unwrap_or(f64::NAN);
    println!(
        "split of {:.0} x {:.0} cells, {:.0} effective, in {PARTS} blocks; {name}:",
        number("nx"),
        number("ny"),
        number("effective")
    );
    let clock = Clock::now()?;
    let cat = runner::took(Command::new("cat").arg(&path), DEADLINE)?;
    let (_, cat_cpu) = clock.elapsed()?;
    let mut command = Command::new(setting.dcrun()?);
    command.args(["--plan", "--domain"]).arg(&path).args(["--split", &PARTS.to_string()]).arg("/bin/true");
    command.env("XDG_STATE_HOME", &setting.dir);
    let clock = Clock::now()?;
    let (plan, watched) = runner::watched(&mut command, DEADLINE)?;
    let (_, plan_cpu) = clock.elapsed()?;

    let mib = |bytes: f64| format!("{:.0}", bytes / f64::from(1 << 20));
    let row = |name: &str, s: f64, cpu_s: Option<f64>, peak: Option<f64>| {
        vec![
            name.to_owned(),
            format!("{s:.2}"),
            cpu_s.map(|s| format!("{s:.2}")).unwrap_or_default(),
            peak.map(mib).unwrap_or_default(),
        ]
    };
    let peak = watched.dcrun.peak_bytes as f64;
    table::print(
        &["", "s", "CPU s", "MiB"],
        &[
            row("cat, which only reads it", cat.as_secs_f64(), Some(cat_cpu.as_secs_f64()), None),
            row("read", number("read_s"), None, None),
            row("summed up", number("sums_s"), None, None),
            row("split", number("split_s"), None, Some(number("peak_bytes"))),
            row("dcrun --plan, all", plan.as_secs_f64(), Some(plan_cpu.as_secs_f64()), Some(peak)),
        ],
    );
    println!(
        "  {:.0} blocks, max/mean {:.4}; the packed mask has {} MiB",
        number("blocks"),
        number("balance"),
        mib(bytes as f64)
    );
    let targets = [TIME.judge(plan_cpu.as_secs_f64(), 2), MEMORY.judge(peak / bytes as f64, 2)];
    Ok(json!({
        "targets": targets,
        "mask": name,
        "packed_bytes": bytes,
        "split": told,
        "cat": { "s": cat.as_secs_f64(), "cpu_s": cat_cpu.as_secs_f64() },
        "plan": { "s": plan.as_secs_f64(), "cpu_s": plan_cpu.as_secs_f64(), "peak_bytes": peak },
    }))
}
