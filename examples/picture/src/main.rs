//! dc-picture: draws a merged .npy grid as a PNG, describes it, or checks a grid of indices against its mask.
//! Grids of any size: rows are streamed, twice for a picture.

mod check;
mod colours;
mod draw;
mod error;
mod font;
mod legend;
mod survey;

use clap::Parser;
use error::PictureError;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draw a merged .npy field as a PNG, describe it, or check it.
#[derive(Parser, Debug)]
#[command(name = "dc-picture", version)]
struct Cli {
    /// The grid, as `dcrun --merge grid:FIELD.npy` leaves it
    field: PathBuf,
    /// The picture to write: cells from cold to warm, grey where there is no value
    out: Option<PathBuf>,
    /// Pixels of a cell's side
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    scale: u32,
    /// Print least, mean and greatest value, and how many cells have none
    #[arg(long)]
    report: bool,
    /// Check that every effective cell of MASK holds its own index, row * columns + column, and no other cell does
    #[arg(long, value_name = "MASK")]
    check_index: Option<PathBuf>,
    /// With --check-index: what the other cells hold [default: NaN]
    #[arg(long, value_name = "VALUE", requires = "check_index", allow_hyphen_values = true)]
    fill: Option<String>,
}

fn run(cli: &Cli) -> Result<(), PictureError> {
    if let Some(mask) = &cli.check_index {
        println!("{}", check::try_check(&cli.field, mask, cli.fill.as_deref())?);
    }
    if cli.out.is_none() && !cli.report {
        return if cli.check_index.is_some() { Ok(()) } else { Err(PictureError::NothingToDo) };
    }
    let survey = survey::Survey::try_of(&cli.field)?;
    if cli.report {
        println!("{survey}");
    }
    match &cli.out {
        Some(out) => draw::try_draw(&cli.field, &survey, cli.scale, out),
        None => Ok(()),
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dc-picture: {error}");
            ExitCode::FAILURE
        }
    }
}
