//! Jobs of the first version of the job record and the journal, as that version's dcrun left them: one that failed, one
//! whose dcrun was killed. They are read, replayed, and gone on with. The files end where their zeros began.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dc_model::{Attempt, Bind, RestartOn};
use dc_spool::files::Dir;
use dc_spool::job::{JobRecord, MergeKind};
use dc_spool::journal::{Tail, read_all};
use dcsched_core::job::{Action, Event, Job, JobPhase, JobSpec, Need};

fn old(job: &[u8], journal: &[u8]) -> (JobRecord, Job) {
    let scratch = tempfile::tempdir().unwrap();
    let segment = scratch.path().join("journal.000001");
    std::fs::write(&segment, journal).unwrap();
    // Room was made ahead.
    std::fs::File::options().write(true).open(&segment).unwrap().set_len(1 << 16).unwrap();
    let record = dc_spool::job::decode(job).unwrap();
    assert_eq!(dc_spool::job::encode(&record), job, "today's bytes of it are the same");
    let replay = read_all(&Dir::open(scratch.path()).unwrap(), record.uuid).unwrap();
    assert_eq!((replay.epoch, replay.tail), (1, Tail::Clean));
    let needs =
        record.subtasks.iter().map(|s| Need { cells: s.cells, cores: s.cores, mem_bytes: s.mem_bytes });
    let spec = JobSpec {
        restarts: record.options.restarts,
        restart_on: record.options.failure.restart_on,
        keep_going: record.options.keep_going,
        merge: !record.options.merges.is_empty(),
        ..JobSpec::plain(needs.collect(), record.options.ranks)
    };
    let job = Job::replay(spec, replay.records.iter().map(|(_, record)| record)).unwrap();
    (record, job)
}

fn words(job: &Job) -> Vec<(&'static str, Attempt)> {
    job.durable().entries.iter().map(|entry| (entry.phase.word(), entry.attempt)).collect()
}

/// The attempts that are launched when it is gone on with.
fn launched_again(job: &mut Job) -> Vec<(u32, Attempt)> {
    let mut out = Vec::new();
    job.step(0, Event::Begin, &mut out);
    let seq = job.durable().seq;
    job.step(1, Event::Durable { seq }, &mut out);
    let launch = |action: &Action| match action {
        Action::Launch { subtask, attempt, .. } => Some((subtask.0, *attempt)),
        _ => None,
    };
    out.iter().filter_map(launch).collect()
}

#[test]
fn one_that_failed() {
    let (record, mut job) = old(include_bytes!("old/failed.job"), include_bytes!("old/failed.journal"));
    assert_eq!((record.name.as_str(), record.options.restarts, record.options.keep_going), ("sh", 1, true));
    assert_eq!(record.options.bind, Some(Bind::Core));
    assert_eq!(record.options.time_limit_ms, Some(600_000));
    assert_eq!(record.options.merges.iter().map(|merge| merge.kind).collect::<Vec<_>>(), [MergeKind::Concat]);
    assert_eq!(record.options.failure.restart_on, RestartOn::default(), "what was not there is the default");
    assert!(record.limits.is_none() && record.options.mpi.is_none());
    assert_eq!(job.durable().phase, JobPhase::Ended(137));
    let (one, two) = (Attempt(1), Attempt(2));
    assert_eq!(words(&job), [("computed", one), ("failed", two), ("failed", one), ("computed", one)]);
    assert_eq!(launched_again(&mut job), [(1, Attempt(3)), (2, two)]);
}

#[test]
fn one_whose_dcrun_was_killed() {
    let (record, mut job) = old(include_bytes!("old/killed.job"), include_bytes!("old/killed.journal"));
    assert!(record.options.keep && record.options.bind.is_none());
    assert_eq!(job.durable().phase, JobPhase::Running);
    let one = Attempt(1);
    assert_eq!(words(&job), [("computed", one), ("computing", one), ("computed", one), ("computing", one)]);
    assert_eq!(launched_again(&mut job), [(1, Attempt(2)), (3, Attempt(2))]);
}
