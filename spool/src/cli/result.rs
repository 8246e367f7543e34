//! `dcspool result`: the result of a shell kernel, from standard input.

use super::Ended;
use dc_model::exit;
use dc_spool::kernel::Kernel;
use dc_spool::result::{Dtype, Layout};
use std::io;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Type of the values: u1 i1 u2 i2 u4 i4 u8 i8 f4 f8, little-endian; without it the input is any bytes
    #[arg(long, value_name = "T", value_parser = dtype)]
    dtype: Option<Dtype>,
    /// Order of the values: effective or block, for --dtype; bytes is what it is without
    #[arg(long, value_name = "ORDER", value_parser = layout)]
    layout: Option<Layout>,
    /// Values that each cell has
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    values: u32,
}

fn dtype(code: &str) -> Result<Dtype, String> {
    Dtype::parse(code).ok_or_else(|| "one of u1 i1 u2 i2 u4 i4 u8 i8 f4 f8 is needed".to_owned())
}

fn layout(name: &str) -> Result<Layout, String> {
    Layout::parse(name).ok_or_else(|| "one of effective, block, bytes is needed".to_owned())
}

pub fn run(args: &Args) -> Ended {
    let usual = if args.dtype.is_some() { Layout::Effective } else { Layout::Bytes };
    let (dtype, layout) = (args.dtype.unwrap_or(Dtype::U1), args.layout.unwrap_or(usual));
    let mut input = io::stdin().lock();
    Kernel::from_env()?.result_stream(dtype, layout, args.values, &mut input, "standard input")?;
    Ok(exit::OK)
}
