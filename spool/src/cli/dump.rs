//! `dcspool dump`: the journal, one record a line, as far as it can be read.

use super::place::Place;
use super::{CliError, Failed};
use dc_model::{Attempt, GiveUp, Outcome, Record, Restart, StopReason, SubtaskId, exit};
use dc_spool::journal::Tail;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `dump`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// The job's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Prints; status 125 when the journal could be read in part only.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let found = Place::open(&args.dir)?.journal();
    for (seq, record) in &found.replay.records {
        if args.json {
            writeln!(out, "{}", object(*seq, record))?;
        } else {
            writeln!(out, "{seq:>8}  {}", words(record))?;
        }
    }
    match (found.error, found.replay.tail) {
        (Some(error), _) => Err(CliError::from(error).into()),
        (None, Tail::Clean) => Ok(exit::OK),
        (None, tail) => {
            out.flush()?;
            super::say(&tail.to_string());
            Ok(exit::OK)
        }
    }
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

fn who(subtask: SubtaskId, attempt: Attempt) -> String {
    format!("subtask {subtask} attempt {attempt}")
}

fn from_words(from: Option<Restart>) -> String {
    from.map_or("the beginning".to_owned(), |at| at.to_string())
}

fn give_up(why: GiveUp) -> &'static str {
    match why {
        GiveUp::Stopped => "stopped by dc",
        GiveUp::StarterLost => "its starter died",
        GiveUp::RunLost => "its dcrun died",
        GiveUp::Gang => "another rank of its gang failed",
        GiveUp::NodeLost => "its node is lost",
    }
}

fn stop_reason(reason: StopReason) -> String {
    match reason {
        StopReason::SubtaskFailed => "a subtask failed for good".to_owned(),
        StopReason::TimeLimit => "the time limit".to_owned(),
        StopReason::Interrupted => "interrupted".to_owned(),
        StopReason::Signal(signal) => format!("signal {signal}"),
        StopReason::BrokenPipe => "nobody reads the output".to_owned(),
        StopReason::Error => "an error of the surroundings".to_owned(),
    }
}

fn words(record: &Record) -> String {
    match record {
        Record::Epoch { epoch } => format!("epoch {epoch}"),
        Record::Granted { subtask, attempt } => format!("granted    {}", who(*subtask, *attempt)),
        Record::Launched { subtask, attempt, rank, cpus, node } => {
            let cpus = if cpus.is_empty() { "not bound".to_owned() } else { format!("CPUs {cpus}") };
            let node = if *node == 0 { String::new() } else { format!(" on node {node}") };
            format!("launched   {}{node} on rank {rank}, {cpus}", who(*subtask, *attempt))
        }
        Record::Started { subtask, attempt, from } => {
            format!("started    {} from {}", who(*subtask, *attempt), from_words(*from))
        }
        Record::Done { subtask, attempt, result } => {
            let result = result.map_or("no result".to_owned(), |meta| {
                format!("a result of {} bytes, CRC {:08x}", meta.len, meta.crc)
            });
            format!("done       {} with {result}", who(*subtask, *attempt))
        }
        Record::AttemptFailed { subtask, attempt, outcome, checkpoint, advanced, retry } => format!(
            "failed     {}: {outcome}; {}; {}{}",
            who(*subtask, *attempt),
            checkpoint.map_or("no checkpoint".to_owned(), |at| format!("checkpoint at {at}")),
            if *advanced { "it got further; " } else { "" },
            if *retry { "it is tried again" } else { "for good" },
        ),
        Record::GivenUp { subtask, attempt, why } => {
            format!("given up   {}: {}", who(*subtask, *attempt), give_up(*why))
        }
        Record::ResultLost { subtask, attempt } => {
            format!("lost       the result of {}", who(*subtask, *attempt))
        }
        Record::Stopping { reason } => format!("stopping: {}", stop_reason(*reason)),
        Record::Merging => "merging".to_owned(),
        Record::Merged => "merged".to_owned(),
        Record::Ended { status } => format!("ended, status {status}"),
        Record::Node { host, cores, usable, predicted_ns } => {
            let predicted = predicted_ns.map_or(String::new(), |ns| format!(", predicted {} s", seconds(ns)));
            format!("on {}: {cores} cores, {usable} at once{predicted}", host.escape_debug())
        }
        Record::Measured { subtask, attempt, ran_ns, kept_ns, .. } => {
            let who = who(*subtask, *attempt);
            format!(
                "measured   {who}: {} s, {} s of them in a checkpoint",
                seconds(*ran_ns),
                seconds(*kept_ns)
            )
        }
    }
}

fn restart(at: Option<Restart>) -> Value {
    at.map_or(Value::Null, |at| json!({ "attempt": at.attempt.0, "step": at.step }))
}

fn outcome_object(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Exited(status) => json!({ "exited": status }),
        Outcome::Signalled(signal) => json!({ "signal": signal }),
        Outcome::OutOfMemory => json!({ "out_of_memory": true }),
        Outcome::NotLaunched { stage, errno } => json!({ "stage": stage as u8, "errno": errno }),
    }
}

fn object(seq: u64, record: &Record) -> Value {
    let (name, mut line) = match record {
        Record::Epoch { epoch } => ("epoch", json!({ "epoch": epoch })),
        Record::Granted { .. } => ("granted", json!({})),
        Record::Launched { rank, cpus, node, .. } => {
            let mut object = json!({ "rank": rank.0, "cpus": cpus.iter().collect::<Vec<_>>() });
            if *node != 0 {
                object["node"] = json!(node);
            }
            ("launched", object)
        }
        Record::Started { from, .. } => ("started", json!({ "from": restart(*from) })),
        Record::Done { result, .. } => {
            let result = result.map(|meta| json!({ "bytes": meta.len, "crc": meta.crc }));
            ("done", json!({ "result": result }))
        }
        Record::AttemptFailed { outcome, checkpoint, advanced, retry, .. } => (
            "attempt-failed",
            json!({
                "outcome": outcome_object(*outcome), "checkpoint": restart(*checkpoint),
                "advanced": advanced, "retry": retry,
            }),
        ),
        Record::GivenUp { why, .. } => ("given-up", json!({ "why": give_up(*why) })),
        Record::ResultLost { .. } => ("result-lost", json!({})),
        Record::Stopping { reason } => ("stopping", json!({ "reason": stop_reason(*reason) })),
        Record::Merging => ("merging", json!({})),
        Record::Merged => ("merged", json!({})),
        Record::Ended { status } => ("ended", json!({ "status": status })),
        Record::Node { host, cores, usable, predicted_ns } => {
            ("node", json!({ "host": host, "cores": cores, "usable": usable, "predicted_ns": predicted_ns }))
        }
        Record::Measured { ended_ns, ran_ns, kept_ns, .. } => {
            ("measured", json!({ "ended_ns": ended_ns, "ran_ns": ran_ns, "kept_ns": kept_ns }))
        }
    };
    line["v"] = json!(1);
    line["event"] = json!("record");
    line["seq"] = json!(seq);
    line["record"] = json!(name);
    if let Some((subtask, attempt)) = attempt_of(record) {
        line["subtask"] = json!(subtask.0);
        line["attempt"] = json!(attempt.0);
    }
    line
}

fn attempt_of(record: &Record) -> Option<(SubtaskId, Attempt)> {
    match *record {
        Record::Granted { subtask, attempt }
        | Record::Launched { subtask, attempt, .. }
        | Record::Started { subtask, attempt, .. }
        | Record::Done { subtask, attempt, .. }
        | Record::AttemptFailed { subtask, attempt, .. }
        | Record::Measured { subtask, attempt, .. }
        | Record::ResultLost { subtask, attempt }
        | Record::GivenUp { subtask, attempt, .. } => Some((subtask, attempt)),
        _ => None,
    }
}
