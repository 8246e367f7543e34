//! Submissions of the wrong kind: one line each, before anything is kept.

use super::*;
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, StreamOptions, Subtasks};

fn record() -> JobRecord {
    JobRecord {
        uuid: JobUuid([7; 16]),
        name: "sample".to_owned(),
        kernel: FileIdentity::of_bytes(Path::new("/k"), b"kernel"),
        argv: vec![b"k".to_vec()],
        cwd: "/w".into(),
        env: vec![b"A=b".to_vec()],
        limits: None,
        options: JobOptions {
            ranks: 2,
            cores: 1,
            restarts: 3,
            keep_going: false,
            bind: None,
            bind_verbose: false,
            distribution: dc_model::Distribution::Cost,
            oversubscribe: false,
            label: false,
            keep: false,
            time_limit_ms: None,
            grace_ms: 30_000,
            mpi: None,
            merges: Vec::new(),
            streams: StreamOptions::default(),
            failure: FailurePolicy::default(),
        },
        domain: None,
        subtasks: Subtasks::plain(3, 1, 1).unwrap(),
    }
}

fn wants() -> Box<Wants> {
    Box::new(Wants { brief: Manner::default().encode(), ..Wants::default() })
}

fn checked(record: &JobRecord, wants: Box<Wants>) -> Result<(Submission, String), String> {
    let limits = Limits { bytes_max: 1 << 20, subtasks_left: 10 };
    check(limits, 1000, [1; 16], wants, dc_spool::job::encode(record), |_| false)
}

#[test]
fn a_good_one_is_taken_as_it_is() {
    let (submission, name) = checked(&record(), wants()).unwrap();
    assert_eq!((submission.uid, submission.uuid, &*name), (1000, JobUuid([7; 16]), "sample"));
    assert_eq!(submission.spec.needs.len(), 3);
    assert!(submission.spec.topology.cores.is_empty());
    assert_eq!(&*submission.record, dc_spool::job::encode(&record()));
}

#[test]
fn bad_ones_are_refused_in_one_line() {
    let refused = |change: &dyn Fn(&mut JobRecord, &mut Wants), word: &str| {
        let (mut record, mut wants) = (record(), wants());
        change(&mut record, &mut wants);
        let why = checked(&record, wants).err().unwrap_or_default();
        assert!(why.contains(word) && !why.contains('\n'), "{word}: {why:?}");
    };
    refused(&|record, _| record.name = "n".repeat(1025), "name");
    refused(&|record, _| record.cwd = format!("/{}", "d".repeat(5000)).into(), "working directory");
    refused(&|record, _| record.subtasks = Subtasks::plain(11, 1, 1).unwrap(), "subtasks_max");
    refused(&|record, _| record.env = vec![vec![b'x'; 1 << 20]], "submit_bytes_max");
    refused(&|_, wants| wants.brief = vec![1], "treated");
    refused(&|record, _| record.options.mpi = Some(dc_model::MpiFamily::OpenMpi), "launcher");
    refused(&|_, wants| wants.nodes.only = vec!["n".into(); 70_000], "too long");
    let limits = Limits { bytes_max: 1 << 20, subtasks_left: 10 };
    let mut bytes = dc_spool::job::encode(&record());
    bytes[70] ^= 1;
    let why = check(limits, 1, [0; 16], wants(), bytes, |_| false).unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn one_that_was_taken_is_not_refused_for_want_of_room() {
    let limits = Limits { bytes_max: 1 << 20, subtasks_left: 0 };
    let bytes = dc_spool::job::encode(&record());
    assert!(check(limits, 1, [0; 16], wants(), bytes.clone(), |_| true).is_ok());
    assert!(check(limits, 1, [0; 16], wants(), bytes, |_| false).is_err());
}

#[test]
fn what_is_taken_can_be_opened() {
    // Record and Hello both hold the environment.
    let mut big = record();
    big.env = (0..80).map(|_| vec![b'x'; 100 << 10]).collect();
    let limits = Limits { bytes_max: 15 << 20, subtasks_left: 10 };
    let why = check(limits, 1, [0; 16], wants(), dc_spool::job::encode(&big), |_| false).unwrap_err();
    assert!(why.contains("sent to nodes"), "{why}");
    big.env.truncate(70);
    assert!(check(limits, 1, [0; 16], wants(), dc_spool::job::encode(&big), |_| false).is_ok());
}
