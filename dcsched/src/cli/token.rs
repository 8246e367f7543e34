//! `dcsched token`: a join token, good once and for a time.

use super::place::PlaceArgs;
use super::{Failed, say, trust};
use dc_link::{KeyPair, PeersFile, TokensFile, UnixSeconds};
use dc_model::{exit, timespec};
use std::io::Write;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// What the joiner becomes: node or client
    #[arg(long, value_name = "ROLE", default_value = "node")]
    role: String,
    /// Whose jobs alone a node that joins by it may run
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// How long it can be used, such as 30m, 1h or 2d
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: String,
    /// How long the joiner's key is trusted [default: for ever]
    #[arg(long, value_name = "TIME")]
    key_for: Option<String>,
}

/// Prints the token, alone, to standard output; what it is to standard error.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = args.place.place()?;
    let (role, owner) = (trust::role(&args.role)?, args.owner.as_deref().map(trust::name).transpose()?);
    let now = UnixSeconds::now();
    let expires = now.plus_s(seconds("--for", &args.lasts)?);
    let not_after = args.key_for.as_deref().map(|text| seconds("--key-for", text)).transpose()?;
    let not_after = not_after.map(|seconds| now.plus_s(seconds));
    let scheduler = KeyPair::read(&place.key)?.fingerprint();
    let peers = PeersFile::open(&place.peers)?;
    let tokens = TokensFile::open(&place.tokens, &peers)?;
    let token = tokens.try_make(scheduler, role, owner, expires, not_after, now)?;
    out.write_all(token.reveal().as_bytes())?;
    writeln!(out)?;
    out.flush()?;
    let client = if role == dc_link::Role::Client { " --client" } else { "" };
    say(&format!("good once, until {expires}; whoever has it first is in: hand it over as a secret"));
    say(&format!("on the {role}'s host: dcd join{client} TOKEN --scheduler HOST:PORT"));
    Ok(exit::OK)
}

fn seconds(option: &str, text: &str) -> Result<u64, Failed> {
    let read = timespec::parse(text).ok().flatten().map(|time| time.ms / 1000).filter(|seconds| *seconds > 0);
    read.ok_or_else(|| {
        Failed::Own(format!("{option} {}: wanted a time such as 30m, 1h or 2d", dc_spool::files::shown(text)))
    })
}
