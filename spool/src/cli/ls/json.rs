//! The listing as JSON, one object a line: the job, the journal's segments, the subtasks that began or have files.

use super::super::Failed;
use super::super::holdings::Held;
use super::super::states::{JobState, State, States};
use super::{Listing, state_word};
use dc_model::{Attempt, SubtaskId};
use dc_spool::job::JobRecord;
use dc_spool::layout;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

pub(super) fn print(listing: &Listing, out: &mut dyn Write) -> Result<(), Failed> {
    let job = listing.job()?;
    writeln!(out, "{}", head(listing, job.as_ref()))?;
    for segment in &listing.found.segments {
        let line = json!({
            "v": 1, "event": "segment", "epoch": segment.epoch, "file": layout::journal(segment.epoch),
            "bytes": segment.file_bytes, "valid_bytes": segment.valid_bytes, "records": segment.records,
        });
        writeln!(out, "{line}")?;
    }
    subtasks(listing, job.as_ref(), out)?;
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn head(listing: &Listing, job: Option<&(&JobRecord, States)>) -> Value {
    let Some((record, states)) = job else {
        return json!({ "v": 1, "event": "by-hand", "uuid": listing.place.uuid.to_string() });
    };
    let counts: Map<_, _> =
        State::ALL.map(|state| (state.word().to_owned(), json!(states.count(state)))).into_iter().collect();
    let status = match states.job {
        JobState::Ended(status) => Some(status),
        _ => None,
    };
    json!({
        "v": 1,
        "event": "job",
        "uuid": record.uuid.to_string(),
        "number": record.uuid.number(),
        "name": record.name,
        "kernel": record.kernel.path.display().to_string(),
        "argv": record.argv.iter().map(|arg| text(arg)).collect::<Vec<_>>(),
        "cwd": record.cwd.display().to_string(),
        "ranks": record.options.ranks,
        "subtasks": record.subtasks.len(),
        "states": counts,
        "state": state_word(states, listing.held),
        "status": status,
        "epochs": listing.found.replay.epoch,
        "records": listing.found.replay.records.len(),
        "whole": listing.found.error.is_none(),
    })
}

fn subtasks(listing: &Listing, job: Option<&(&JobRecord, States)>, out: &mut dyn Write) -> io::Result<()> {
    let files = &listing.holdings.subtasks;
    let nothing = Held::default();
    let mut known = 0;
    if let Some((record, states)) = job {
        known = record.subtasks.len();
        for ((id, state), subtask) in (0..).map(SubtaskId).zip(&states.subtasks).zip(record.subtasks.iter()) {
            let held = files.get(&id);
            if state.attempt.0 == 0 && held.is_none() {
                continue;
            }
            let mut line = held_of(id, held.unwrap_or(&nothing), state.done.map(|(attempt, _)| attempt));
            line["name"] = json!(subtask.name);
            line["state"] = json!(state.state.word());
            line["attempt"] = json!(state.attempt.0);
            line["failures"] = json!(state.failures);
            line["from"] = json!(state.from.map(|at| json!({ "attempt": at.attempt.0, "step": at.step })));
            writeln!(out, "{line}")?;
        }
    }
    for (id, held) in files.range(SubtaskId(known)..) {
        writeln!(out, "{}", held_of(*id, held, None))?;
    }
    Ok(())
}

fn held_of(id: SubtaskId, held: &Held, done: Option<Attempt>) -> Value {
    let checkpoints: Vec<_> = held
        .checkpoints
        .iter()
        .map(|(at, bytes)| json!({ "attempt": at.attempt.0, "step": at.step, "bytes": bytes }))
        .collect();
    let results: Vec<_> = held
        .results
        .iter()
        .map(|(of, bytes)| json!({ "attempt": of.0, "bytes": bytes, "committed": Some(*of) == done }))
        .collect();
    json!({ "v": 1, "event": "subtask", "id": id.0, "checkpoints": checkpoints, "results": results })
}
