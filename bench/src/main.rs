//! dc-bench: dc's figures, each beside a floor or a peer measured in the same run. `make bench` builds and runs it.
//! The kernels it needs are in the same program.

mod clock;
mod coast;
mod disk;
mod error;
mod figures;
mod floor;
mod kernels;
mod machine;
mod random;
mod runner;
mod statistics;
mod submitter;
mod table;
mod target;
mod usage;

use clap::{Parser, Subcommand, ValueEnum};
use error::BenchError;
use kernels::print::Way;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measure dc beside a floor and its peers.
#[derive(Parser, Debug)]
#[command(name = "dc-bench", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    kernel: Option<Kernel>,
    /// Only these figures [default: all]
    #[arg(value_enum, value_name = "FIGURE")]
    only: Vec<Figure>,
    /// Fewer repeats, for a first look: not for quoting
    #[arg(long)]
    quick: bool,
    /// Write the figures as one JSON object too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where jobs keep their files; on a disk [default: beside this program]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where dcrun is [default: beside this program]
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// The 0.25 degree mask
    #[arg(long, value_name = "FILE", default_value = "examples/ocean/sea-mask.pbm")]
    mask: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Kernel {
    /// As a kernel: sleep NS nanoseconds for each cell of DC_CELLS, or of CELLS
    Sleep {
        /// Nanoseconds a cell
        ns: u64,
        /// Cells, where dc does not say
        cells: Option<u64>,
    },
    /// As a kernel: count steps, with checkpoints
    Step {
        /// Steps of a subtask
        steps: u64,
        /// Steps between two checkpoints
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        interval: u64,
        /// Directory of the counts
        counts: PathBuf,
    },
    /// As a kernel: note in a named pipe when main began, and wait to be killed
    Note {
        /// The named pipe
        pipe: PathBuf,
    },
    /// As a kernel: print lines as fast as they go, spin, or do nothing
    Print {
        /// What it does
        way: Way,
        /// Seconds, at most
        seconds: u64,
        /// Bytes, at most
        bytes: u64,
    },
    /// Read and split a mask, and tell how long that took
    Cut {
        /// The mask
        mask: PathBuf,
        /// Blocks
        parts: u32,
    },
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Figure {
    /// Launches a second, beside a bare posix_spawn and wait loop
    Launch,
    /// 100,000 subtasks: time, CPU time and memory of each
    Many,
    /// From start to exit, beside xargs, GNU parallel and mpiexec
    Start,
    /// Balance of the split of the mask, and its time
    Split,
    /// A mask of 933 million cells in 4,096 blocks: time and memory
    Mask,
    /// 64 lanes, 512 tiles of the mask, beside file order
    Tiles,
    /// A run with 20 random SIGKILLs beside an undisturbed one
    Kills,
    /// From a rank's SIGKILL to its restart, beside kill, wait and posix_spawn
    Restart,
    /// A rank that prints as fast as it can: memory, and what others suffer
    Flood,
    /// Submissions to a scheduler, beside a write and a sync; and its start with 100,000 of them
    Submit,
}

/// What every figure needs to know.
pub struct Setting {
    /// Where the commands are.
    pub bin: PathBuf,
    /// A directory for this run, on a disk.
    pub dir: PathBuf,
    /// The 0.25 degree mask.
    pub mask: PathBuf,
    /// A first look.
    pub quick: bool,
}

impl Setting {
    /// `full` repeats, or the few of a first look.
    pub fn repeats(&self, full: usize) -> usize {
        if self.quick { 2 } else { full }
    }

    /// dcrun itself, if it is built.
    pub fn dcrun(&self) -> Result<PathBuf, BenchError> {
        let path = self.bin.join("dcrun");
        if path.is_file() { Ok(path) } else { Err(BenchError::NotBuilt(path)) }
    }
}

fn beside_this_program() -> Result<PathBuf, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("find", Path::new("this program")))?;
    Ok(this.parent().unwrap_or(Path::new(".")).to_owned())
}

fn run(cli: Cli) -> Result<(), BenchError> {
    let here = beside_this_program()?;
    let parent = cli.dir.unwrap_or_else(|| here.clone());
    let (disk, durable) = disk::kind(&parent)?;
    let dir = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&parent)
        .map_err(BenchError::io("make a directory in", &parent))?;
    let setting = Setting {
        bin: cli.bin.unwrap_or(here),
        dir: dir.path().to_owned(),
        mask: cli.mask,
        quick: cli.quick,
    };

    let machine = machine::describe();
    println!("{machine}");
    println!("spool on {disk}{}", if durable { "" } else { ": NOT A DISK, so that rates do not count" });
    let mut all = Map::new();
    all.insert("machine".to_owned(), json!(machine));
    all.insert("spool".to_owned(), json!({ "file_system": disk, "on_disk": durable }));
    all.insert("quick".to_owned(), json!(setting.quick));
    for figure in Figure::value_variants() {
        if !cli.only.is_empty() && !cli.only.contains(figure) {
            continue;
        }
        println!();
        let (name, value): (&str, Value) = match figure {
            Figure::Launch => ("launch", figures::launch::measure(&setting)?),
            Figure::Many => ("many", figures::many::measure(&setting)?),
            Figure::Start => ("start", figures::start::measure(&setting)?),
            Figure::Split => ("split", figures::split::measure(&setting)?),
            Figure::Mask => ("mask", figures::mask::measure(&setting)?),
            Figure::Tiles => ("tiles", figures::tiles::measure(&setting)?),
            Figure::Kills => ("kills", figures::kills::measure(&setting)?),
            Figure::Restart => ("restart", figures::restart::measure(&setting)?),
            Figure::Flood => ("flood", figures::flood::measure(&setting)?),
            Figure::Submit => ("submit", figures::submit::measure(&setting)?),
        };
        all.insert(name.to_owned(), value);
    }
    if let Some(path) = cli.json {
        let text = format!("{:#}\n", Value::Object(all));
        std::fs::write(&path, text).map_err(BenchError::io("write", &path))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let main_ns = clock::monotonic_ns();
    let cli = Cli::parse();
    match cli.kernel {
        Some(Kernel::Sleep { ns, cells }) => return kernels::sleep::run(ns, cells),
        Some(Kernel::Step { steps, interval, counts }) => {
            return kernels::step::run(steps, interval, &counts);
        }
        Some(Kernel::Note { pipe }) => return kernels::note::run(main_ns, &pipe),
        Some(Kernel::Print { way, seconds, bytes }) => {
            return kernels::print::run(way, Duration::from_secs(seconds), bytes);
        }
        Some(Kernel::Cut { mask, parts }) => return kernels::cut::run(&mask, parts),
        None => {}
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dc-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
