//! `dcd keygen`: this node's key.

use super::node::NodeArgs;
use super::{Failed, say};
use dc_link::{KeyPair, key_or_make};
use dc_model::exit;
use dc_spool::files::shown;
use std::io::Write;
use std::path::PathBuf;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// The file [default: as dc.toml says for this node]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Makes it, or reads the one that is there; prints its fingerprint alone.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let (path, name) = match &args.key {
        Some(path) => (path.clone(), None),
        None => {
            let node = args.node.of(&args.node.load()?)?;
            (node.key, Some(node.name))
        }
    };
    let is_there = path.exists();
    let key = if is_there { KeyPair::read(&path)? } else { key_or_make(&path)? };
    writeln!(out, "{}", key.fingerprint())?;
    out.flush()?;
    let what = if is_there { "is there already, and is left as it is" } else { "is made" };
    say(&format!("the key {} {what}", shown(&path)));
    let name = name.map_or_else(|| "NAME".to_owned(), |name| name.to_string());
    say(&format!("on the scheduler's host: dcsched trust node {name} {}", key.fingerprint()));
    Ok(exit::OK)
}
