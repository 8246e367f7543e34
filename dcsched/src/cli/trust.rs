//! `dcsched trust`, `untrust` and `peers`: who is who, by hand.

use super::place::PlaceArgs;
use super::{Failed, say};
use dc_link::{Fingerprint, Name, Peer, PeersFile, Role, UnixSeconds};
use dc_model::exit;
use std::io::Write;

/// Raw arguments of `trust`.
#[derive(clap::Args, Debug)]
pub struct TrustArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// From when on the key is refused, such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    not_after: Option<String>,
    /// Whose jobs alone a node may run
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// What the key is for: scheduler, node, client or submit
    #[arg(value_name = "ROLE")]
    role: String,
    /// Its name: of a node as dcd calls itself
    #[arg(value_name = "NAME")]
    name: String,
    /// The key's fingerprint, as dcd keygen prints it
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
}

/// Raw arguments of `untrust`.
#[derive(clap::Args, Debug)]
pub struct UntrustArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// A fingerprint, or a role and a name
    #[arg(value_name = "WHO", num_args = 1..=2, required = true)]
    who: Vec<String>,
}

/// Raw arguments of `peers`.
#[derive(clap::Args, Debug)]
pub struct PeersArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Writes a key's line.
pub fn trust(args: &TrustArgs, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = args.place.place()?;
    let at = |text: &String| {
        UnixSeconds::parse(text).ok_or_else(|| wrong(text, "not a time such as 2027-01-31T12:00:00Z"))
    };
    let peer = Peer {
        role: role(&args.role)?,
        name: name(&args.name)?,
        fingerprint: fingerprint(&args.fingerprint)?,
        not_after: args.not_after.as_ref().map(at).transpose()?,
        owner: args.owner.as_deref().map(name).transpose()?,
    };
    let line = peer.to_string();
    PeersFile::open(&place.peers)?.try_add(peer)?;
    writeln!(out, "trusted: {line}")?;
    Ok(exit::OK)
}

/// Removes one.
pub fn untrust(args: &UntrustArgs, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = args.place.place()?;
    let mut file = PeersFile::open(&place.peers)?;
    let key = match &args.who[..] {
        [key] => fingerprint(key)?,
        [role_text, name_text, ..] => {
            let (role, name) = (role(role_text)?, name(name_text)?);
            let peers = file.peers();
            let peer = peers.named(role, &name);
            peer.map(|peer| peer.fingerprint)
                .ok_or_else(|| Failed::Own(format!("no {role} {name} is trusted: dcsched peers lists all")))?
        }
        [] => return Err(Failed::Own("name a fingerprint, or a role and a name".to_owned())),
    };
    let peer = file.try_remove(key)?;
    writeln!(out, "no longer trusted: {peer}")?;
    if peer.role == Role::Scheduler {
        say("this was a scheduler's key: nodes and clients will refuse it from now on");
    }
    Ok(exit::OK)
}

/// Lists them, by role and name.
pub fn peers(args: &PeersArgs, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = args.place.place()?;
    let peers = PeersFile::open(&place.peers)?.peers();
    let mut rows: Vec<&Peer> = peers.iter().collect();
    rows.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    if args.json {
        for peer in rows {
            let text = |text: Option<String>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
            // Names, times and fingerprints have no letter that JSON escapes.
            writeln!(
                out,
                "{{\"role\":\"{}\",\"name\":\"{}\",\"fingerprint\":\"{}\",\"not_after\":{},\"owner\":{}}}",
                peer.role,
                peer.name,
                peer.fingerprint,
                text(peer.not_after.map(|at| at.to_string())),
                text(peer.owner.as_ref().map(ToString::to_string)),
            )?;
        }
        return Ok(exit::OK);
    }
    let now = UnixSeconds::now();
    let width = rows.iter().map(|peer| peer.name.as_str().len()).max().unwrap_or(0).max("NAME".len());
    writeln!(out, "{:<9}  {:<width$}  {:<67}  {:<20}  OWNER", "ROLE", "NAME", "FINGERPRINT", "NOT AFTER")?;
    for peer in rows {
        let end = peer.not_after.map_or("-".to_owned(), |at| at.to_string());
        let owner = peer.owner.as_ref().map_or("-", Name::as_str);
        let expired = if peer.not_after.is_some_and(|at| now >= at) { "  expired" } else { "" };
        writeln!(
            out,
            "{:<9}  {:<width$}  {:<67}  {end:<20}  {owner}{expired}",
            peer.role.text(),
            peer.name.as_str(),
            peer.fingerprint.to_string()
        )?;
    }
    Ok(exit::OK)
}

fn wrong(text: &str, why: impl std::fmt::Display) -> Failed {
    Failed::Own(format!("{} is {why}", dc_spool::files::shown(text)))
}

/// Reads a role.
pub fn role(text: &str) -> Result<Role, Failed> {
    Role::parse(text).ok_or_else(|| wrong(text, "not a role: scheduler, node, client or submit"))
}

/// Reads a name.
pub fn name(text: &str) -> Result<Name, Failed> {
    Name::parse(text).map_err(|error| wrong(text, error))
}

fn fingerprint(text: &str) -> Result<Fingerprint, Failed> {
    Fingerprint::parse(text).map_err(|error| wrong(text, error))
}
