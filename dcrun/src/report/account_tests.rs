//! Accounts of jobs told as records.

use super::*;
use crate::report::Why;
use dc_model::{Attempt, CpuSet, GiveUp, Outcome, Rank, Restart, Subtask};

const S: u64 = 1_000_000_000;

fn job(cells: &[u64], cores: u32) -> Subtasks {
    Subtasks::from_list(cells.iter().map(|cells| Subtask::plain(*cells, cores))).unwrap()
}

fn launched(subtask: u32, attempt: u32, cpu: u32) -> [Record; 2] {
    let (subtask, attempt) = (SubtaskId(subtask), Attempt(attempt));
    let cpus = CpuSet::from_iter([cpu]);
    [
        Record::Granted { subtask, attempt },
        Record::Launched { subtask, attempt, rank: Rank(0), cpus, node: 0 },
    ]
}

fn measured(subtask: u32, attempt: u32, ended_ns: u64, ran_ns: u64, kept_ns: u64) -> Record {
    let (subtask, attempt) = (SubtaskId(subtask), Attempt(attempt));
    Record::Measured { subtask, attempt, ended_ns, ran_ns, kept_ns }
}

fn done(subtask: u32, attempt: u32) -> Record {
    Record::Done { subtask: SubtaskId(subtask), attempt: Attempt(attempt), result: None }
}

fn node(predicted_ns: Option<u64>) -> Record {
    Record::Node { host: "n1".to_owned(), cores: 8, usable: 4, predicted_ns }
}

fn account(job: &Subtasks, records: &[Record]) -> Account {
    let mut account = Account::new(job);
    records.iter().for_each(|record| account.on_record(record));
    account
}

#[test]
fn a_run_with_a_failure() {
    let mut records = vec![Record::Epoch { epoch: 1 }, node(Some(9 * S))];
    records.extend(launched(0, 1, 0));
    records.extend(launched(1, 1, 2));
    records.extend([measured(1, 1, 3 * S, 3 * S, S)]);
    records.push(Record::AttemptFailed {
        subtask: SubtaskId(1),
        attempt: Attempt(1),
        outcome: Outcome::Signalled(9),
        checkpoint: Some(Restart { attempt: Attempt(1), step: 4 }),
        advanced: true,
        retry: true,
    });
    records.extend(launched(1, 2, 2));
    let from = Some(Restart { attempt: Attempt(1), step: 4 });
    records.push(Record::Started { subtask: SubtaskId(1), attempt: Attempt(2), from });
    records.extend([measured(0, 1, 5 * S, 5 * S, 0), done(0, 1)]);
    records.extend([measured(1, 2, 10 * S, 7 * S, 0), done(1, 2)]);
    let report = account(&job(&[10, 30, 0], 2), &records).report().unwrap();
    assert_eq!((report.runs, report.done, report.subtasks_total, report.restarts), (1, 3, 3, 1));
    assert_eq!((report.wall_ns, report.predicted_ns), (10 * S, Some(9 * S)));
    assert_eq!(report.core_ns, 2 * 15 * S, "two cores each");
    assert_eq!((report.lost_ns, report.attempts_lost, report.unmeasured), (2 * 2 * S, 1, 0));
    assert!((report.efficiency - 30.0 / 40.0).abs() < 1e-9);
    assert!((report.balance - 1.5).abs() < 1e-9 && (report.balance_time - 10.0 / 7.5).abs() < 1e-9);
    let slowest = report.slowest.unwrap();
    assert_eq!((slowest.subtask, slowest.why), (SubtaskId(0), Why::Unknown), "the other is a part");
}

#[test]
fn runs_add_up_and_the_first_prediction_stands() {
    let mut records = vec![Record::Epoch { epoch: 1 }, node(Some(9 * S))];
    records.extend(launched(0, 1, 0));
    let (subtask, attempt) = (SubtaskId(0), Attempt(1));
    records.extend([measured(0, 1, 4 * S, 3 * S, 0)]);
    records.push(Record::GivenUp { subtask, attempt, why: GiveUp::Stopped });
    records.extend([Record::Epoch { epoch: 2 }, node(Some(S))]);
    records.extend(launched(0, 2, 0));
    // This dcrun died; the next one knows that it ran, and not how long.
    records.extend([Record::Epoch { epoch: 3 }]);
    records.push(Record::GivenUp { subtask, attempt: Attempt(2), why: GiveUp::RunLost });
    records.extend(launched(0, 3, 0));
    records.extend([measured(0, 3, 2 * S, 2 * S, 0), done(0, 3)]);
    let report = account(&job(&[10], 1), &records).report().unwrap();
    assert_eq!((report.runs, report.wall_ns, report.predicted_ns), (3, 6 * S, Some(9 * S)));
    assert_eq!((report.lost_ns, report.attempts_lost, report.unmeasured), (3 * S, 2, 1));
    assert!((report.efficiency - 5.0 / 24.0).abs() < 1e-9);
}

#[test]
fn nothing_ran_nothing_to_tell() {
    let job = job(&[1, 0], 1);
    assert_eq!(account(&job, &[]).report(), None);
    let mut records = vec![Record::Epoch { epoch: 1 }];
    records.push(Record::Granted { subtask: SubtaskId(0), attempt: Attempt(1) });
    // Granted ahead, never launched: it costs only its number.
    let why = GiveUp::RunLost;
    records.push(Record::Epoch { epoch: 2 });
    records.push(Record::GivenUp { subtask: SubtaskId(0), attempt: Attempt(1), why });
    assert_eq!(account(&job, &records).report(), None);
    // An old journal measured nothing.
    records.extend(launched(0, 2, 0));
    assert!(!account(&job, &records).is_of_old(), "nothing has ended");
    records.extend([done(0, 2), done(77, 1)]);
    assert_eq!(account(&job, &records).report(), None);
    assert!(account(&job, &records).is_of_old());
}

#[test]
fn what_an_old_run_did_not_measure_is_no_time() {
    let subtasks = job(&[10, 10, 10], 1);
    let mut records = vec![Record::Epoch { epoch: 1 }];
    records.extend(launched(0, 1, 0));
    records.extend(launched(1, 1, 2));
    records.push(done(0, 1));
    let (subtask, attempt) = (SubtaskId(1), Attempt(1));
    let why = GiveUp::Stopped;
    records.push(Record::GivenUp { subtask, attempt, why });
    assert_eq!(account(&subtasks, &records).report(), None, "not 0.000 s on 0 cores");
    assert!(account(&subtasks, &records).is_of_old());
    // Gone on with by one that measures.
    records.extend([Record::Epoch { epoch: 2 }, node(None)]);
    records.extend(launched(1, 2, 2));
    records.extend([measured(1, 2, S, S, 0), done(1, 2)]);
    records.extend(launched(2, 1, 2));
    records.extend([measured(2, 1, 2 * S, S, 0), done(2, 1)]);
    let report = account(&subtasks, &records).report().unwrap();
    assert!((report.balance_time - 1.0).abs() < 1e-9, "of the two that were measured: {report:?}");
    assert_eq!((report.done, report.unmeasured), (3, 1));
}
