//! Holds docs/job-states.md and the code together: every cell of its two tables is tried.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dc_model::{Attempt, CpuSet, GiveUp, Outcome, Rank, Record, StopReason, SubtaskId};
use dcsched_core::job::{Entry, JobPhase, Phase};

const DOCUMENT: &str = include_str!("../../../docs/job-states.md");

/// The rows of the table whose first heading cell is empty and whose second is `first_column`.
fn table(heading: &str) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let section = DOCUMENT.split(heading).nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let mut lines =
        section.lines().skip_while(|line| !line.starts_with("| | ")).take_while(|line| line.starts_with('|'));
    let columns = cells(lines.next().expect("a table")).split_off(1);
    let rows = lines
        .skip(1)
        .map(|line| {
            let mut row = cells(line);
            (row.remove(0), row)
        })
        .collect();
    (columns, rows)
}

fn record(column: &str, phase: Phase, entry: &Entry) -> Record {
    let (subtask, attempt) = (SubtaskId(0), entry.attempt);
    let failed = |retry| Record::AttemptFailed {
        subtask,
        attempt,
        outcome: Outcome::Signalled(9),
        checkpoint: None,
        advanced: false,
        retry,
    };
    match column {
        "epoch" => Record::Epoch { epoch: 2 },
        "granted" => Record::Granted { subtask, attempt: attempt.next() },
        "launched" => Record::Launched { subtask, attempt, rank: Rank(0), cpus: CpuSet::new(), node: 0 },
        "started" => Record::Started { subtask, attempt, from: None },
        "measured" => Record::Measured { subtask, attempt, ended_ns: 9, ran_ns: 8, kept_ns: 0 },
        "done" => Record::Done { subtask, attempt, result: None },
        "attempt-failed (retry)" => failed(true),
        "attempt-failed (final)" => failed(false),
        "given-up" => {
            let why = if phase == Phase::Granted { GiveUp::RunLost } else { GiveUp::Stopped };
            Record::GivenUp { subtask, attempt, why }
        }
        "merging" => Record::Merging,
        "merged" => Record::Merged,
        "result-lost" => Record::ResultLost { subtask, attempt },
        other => panic!("the document names a record {other:?} that the code does not have"),
    }
}

#[test]
fn a_subtask_moves_as_the_document_says() {
    let (columns, rows) = table("## A subtask");
    assert_eq!(columns.len(), 12);
    let documented: Vec<_> = rows.iter().map(|(phase, _)| phase.as_str()).collect();
    assert_eq!(documented, Phase::ALL.map(Phase::word));
    for ((_, row), phase) in rows.iter().zip(Phase::ALL) {
        for (column, expected) in columns.iter().zip(row) {
            let mut entry = Entry { phase, attempt: Attempt(3), ..Entry::new(1) };
            let before = entry.clone();
            let record = record(column, phase, &entry);
            let got = match entry.update(&record) {
                Ok(()) => entry.phase.word(),
                Err(_) => {
                    assert_eq!(entry, before, "a refused record changes nothing");
                    "-"
                }
            };
            assert_eq!(got, expected, "{} on {column}", phase.word());
        }
    }
}

#[test]
fn only_the_current_attempt_is_heard() {
    for phase in [Phase::Granted, Phase::Computing] {
        for attempt in [Attempt(2), Attempt(4)] {
            let mut entry = Entry { phase, attempt: Attempt(3), ..Entry::new(1) };
            let other = Entry { attempt, ..entry.clone() };
            for column in ["launched", "started", "measured", "done", "attempt-failed (retry)", "given-up"] {
                let record = record(column, phase, &other);
                assert!(entry.update(&record).is_err(), "{column} of attempt {attempt} while 3 is current");
            }
        }
    }
    let mut waiting = Entry { attempt: Attempt(3), ..Entry::new(1) };
    for attempt in [Attempt(3), Attempt(5)] {
        assert!(waiting.update(&Record::Granted { subtask: SubtaskId(0), attempt }).is_err());
    }
}

#[test]
fn a_job_moves_as_the_document_says() {
    let (columns, rows) = table("## The job");
    let phases = [
        JobPhase::New,
        JobPhase::Running,
        JobPhase::Stopping(StopReason::TimeLimit),
        JobPhase::Merging,
        JobPhase::Merged,
        JobPhase::Ended(0),
    ];
    let documented: Vec<_> = rows.iter().map(|(phase, _)| phase.as_str()).collect();
    assert_eq!(documented, phases.map(JobPhase::word));
    for ((_, row), phase) in rows.iter().zip(phases) {
        for (column, expected) in columns.iter().zip(row) {
            let record = match column.as_str() {
                "epoch" => Record::Epoch { epoch: 2 },
                "stopping" => Record::Stopping { reason: StopReason::Interrupted },
                "merging" => Record::Merging,
                "merged" => Record::Merged,
                "result-lost" => Record::ResultLost { subtask: SubtaskId(0), attempt: Attempt(1) },
                "ended" => Record::Ended { status: 3 },
                other => panic!("the document names a record {other:?} that the code does not have"),
            };
            let got = phase.after(&record).map_or("-", JobPhase::word);
            assert_eq!(got, expected, "{} on {column}", phase.word());
        }
    }
}
