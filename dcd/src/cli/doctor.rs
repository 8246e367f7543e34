//! `dcd doctor`: what this host can and cannot do.

use super::Failed;
use super::node::NodeArgs;
use super::topology::source;
use dc_model::cluster::node::KillMode;
use dc_model::exit;
use dcd::abilities::Abilities;
use dcd::doctor::{self, Facts, Finding};
use serde_json::json;
use std::io::Write;

/// Something that is needed is missing.
const UNFIT: u8 = 1;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, and says. To be called while there is one thread.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let node = args.node.of(&args.node.load()?)?;
    let source = source(&node.topology);
    let path = std::env::var_os("PATH");
    let facts = doctor::probe(&node, &source, path.as_deref());
    let findings = doctor::all(&facts);
    let is_fit = doctor::is_fit(&findings);
    if args.json {
        writeln!(out, "{}", object(node.name.as_str(), &facts, &findings, is_fit))?;
    } else {
        let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        for finding in &findings {
            writeln!(out, "{:<4}  {:<width$}  {}", finding.level.text(), finding.check, finding.says)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(out, "      {:<width$}  -> {remedy}", "")?;
            }
        }
        let verdict = if is_fit { "all that is needed is here" } else { "what is marked bad is needed" };
        writeln!(out, "node {}: {verdict}", node.name)?;
    }
    Ok(if is_fit { exit::OK } else { UNFIT })
}

/// As JSON; dcd(8) lists the fields.
fn object(name: &str, facts: &Facts, findings: &[Finding], is_fit: bool) -> serde_json::Value {
    let abilities = Abilities::of(&facts.groups);
    let kill = match abilities.kill {
        KillMode::Subreaper => "subreaper",
        KillMode::Cgroup1 => "cgroup1",
        KillMode::Cgroup2 => "cgroup2",
    };
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check,
                "level": finding.level.text(),
                "says": finding.says,
                "remedy": finding.remedy,
            })
        })
        .collect();
    json!({
        "node": name,
        "fit": is_fit,
        "kill": kill,
        "limits": {
            "memory": abilities.limits.memory,
            "pids": abilities.limits.pids,
            "cpuset": abilities.limits.cpuset,
        },
        "checks": checks,
    })
}
