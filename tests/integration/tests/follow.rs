//! dcrun against a scheduler that says what the test wants: what is submitted, and what is shown of what comes back.
#![allow(missing_docs)]

use dc_integration::fake_scheduler::{Answer, FakeScheduler, accepted, attached, node, records, submitted};
use dc_integration::{Ask, Scratch};
use dc_model::cluster::client::{FromClient, ToClient};
use dc_model::wire::FromStarter;
use dc_model::{Attempt, CpuSet, JobUuid, Outcome, Rank, Record, StopReason, SubtaskId};
use dcsched_brief::Manner;
use nix::sys::signal::Signal;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ask(scratch: &Scratch, scheduler: &FakeScheduler) -> Ask {
    scratch.dcrun("").env("DC_SCHED", scheduler.address())
}

fn granted(subtask: u32, attempt: u32) -> Record {
    Record::Granted { subtask: SubtaskId(subtask), attempt: Attempt(attempt) }
}

fn launched(subtask: u32, attempt: u32, node: u32) -> Record {
    Record::Launched {
        subtask: SubtaskId(subtask),
        attempt: Attempt(attempt),
        rank: Rank(subtask),
        cpus: CpuSet::from_iter([subtask]),
        node,
    }
}

fn done(subtask: u32, attempt: u32) -> Record {
    Record::Done { subtask: SubtaskId(subtask), attempt: Attempt(attempt), result: None }
}

fn failed(subtask: u32, attempt: u32, status: u8) -> Record {
    Record::AttemptFailed {
        subtask: SubtaskId(subtask),
        attempt: Attempt(attempt),
        outcome: Outcome::Exited(status),
        checkpoint: None,
        advanced: false,
        retry: false,
    }
}

fn report(job: JobUuid, node: u32, message: &FromStarter) -> ToClient {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    ToClient::Report { job, node, frame }
}

/// One rank on n2, from its grant to the job's end with this status.
fn one_rank(end: Record, status: u8) -> Vec<Record> {
    let mut all = vec![Record::Epoch { epoch: 1 }, granted(0, 1), launched(0, 1, 2), end];
    if status != 0 {
        all.push(Record::Stopping { reason: StopReason::SubtaskFailed });
    }
    all.push(Record::Ended { status });
    all
}

/// Takes the job, and tells all of it at once.
fn runs(all: Vec<Record>) -> impl FnMut(usize, &FromClient, &mut Answer) + Send + 'static {
    move |_, message, answer| match message {
        FromClient::Submit { .. } => answer.say(accepted(message)),
        FromClient::Attach { .. } => {
            let (attached, job, after) = attached(message);
            answer.say(attached);
            answer.say(ToClient::Nodes { request: 0, nodes: vec![node(1), node(2)] });
            let first = after + 1;
            answer.say(records(job, first, &all[after as usize..], all.len() as u64));
        }
        _ => {}
    }
}

#[test]
fn the_record_is_the_one_of_one_machine() {
    let scratch = Scratch::new();
    let (sender, seen) = channel();
    let mut script = runs(one_rank(done(0, 1), 0));
    let scheduler = FakeScheduler::start(&scratch.path(""), move |connection, message, answer| {
        if matches!(message, FromClient::Submit { .. }) {
            sender.send(submitted(message)).unwrap();
        }
        script(connection, message, answer);
    });
    let line = "-n 1 -N 1-2 --ntasks-per-node 3 -w n[1-2] --exclusive -t 90s -l -J name --mem 5 -- true a";
    let _ = ask(&scratch, &scheduler).env("GIVEN", "on").words(line).run().ends_with(0);
    let job = seen.recv_timeout(Duration::from_secs(1)).unwrap();
    let record = &job.record;
    assert_eq!((record.name.as_str(), record.options.ranks, record.subtasks.len()), ("name", 1, 1));
    assert_eq!(record.argv, [b"true".to_vec(), b"a".to_vec()]);
    assert!(record.kernel.path.is_absolute() && record.kernel.path.ends_with("true"));
    assert_eq!(record.cwd, scratch.path("").canonicalize().unwrap());
    assert!(record.env.contains(&b"GIVEN=on".to_vec()));
    assert!(record.limits.is_some());
    assert_eq!(record.subtasks.get(SubtaskId(0)).unwrap().mem_bytes, 5 << 20);
    let nodes = &job.wants.nodes;
    assert_eq!((nodes.nodes_min, nodes.nodes_max, nodes.ranks_per_node), (1, 2, 3));
    assert_eq!((nodes.only.as_slice(), nodes.exclusive), (&["n1".to_owned(), "n2".to_owned()][..], true));
    assert_eq!((job.wants.time_limit_ns, job.wants.detached), (Some(90_000_000_000), false));
    let manner = Manner::decode(&job.wants.brief).unwrap();
    assert!(manner.label && manner.openmp);
}

#[test]
fn ranks_are_as_many_as_the_cluster_has_cores() {
    let scratch = Scratch::new();
    let (sender, seen) = channel();
    let scheduler = FakeScheduler::start(&scratch.path(""), move |_, message, answer| {
        if let FromClient::Submit { request, .. } = message {
            sender.send(submitted(message)).unwrap();
            answer.say(ToClient::Refused { request: *request, status: 125, text: "seen enough".to_owned() });
        }
    });
    std::fs::write(scratch.path("mask.pbm"), "P1 8 8\n".to_owned() + &"1 ".repeat(64)).unwrap();
    let asks = |line: &str| {
        let finished = ask(&scratch, &scheduler).words(line).run();
        let finished = finished.ends_with(125);
        assert!(finished.err().contains("dcrun: seen enough\n"), "{}", finished.err());
        seen.recv_timeout(Duration::from_secs(1)).unwrap()
    };
    let job = asks("--domain mask.pbm -- true");
    assert_eq!((job.record.options.ranks, job.record.subtasks.len() % 8), (8, 0));
    assert_eq!(asks("-c 2 --domain mask.pbm -- true").record.options.ranks, 4);
    assert_eq!(asks("-N 2 -- true").record.options.ranks, 2, "as srun: one on each node");
    assert_eq!(asks("-N 2 --ppn 3 -- true").record.options.ranks, 6);
    assert_eq!(asks("-- true").record.options.ranks, 1);
}

#[test]
fn what_no_node_can_run_is_refused_before_it_is_submitted() {
    let scratch = Scratch::new();
    let scheduler = FakeScheduler::start(&scratch.path(""), |_, message, _| panic!("submitted: {message:?}"));
    for (line, says) in [
        ("-c 5 -- true", "subtask 0 needs 5 cores, and no node for this job has more than 4"),
        ("--mem 2G -- true", "no node for this job has more than 1G"),
        ("-N 3 -- true", "-N 3: there are 2 nodes for this job; ranks a node are --ntasks-per-node"),
        ("-w n9 -- true", "-w: there is no node n9"),
        ("-x n1,n2 -- true", "no node may run this job"),
        ("-- ./not-there", "not-there"),
    ] {
        let finished = ask(&scratch, &scheduler).words(line).run();
        assert!(finished.err().contains(says), "{line}: {}", finished.err());
        assert_eq!(finished.err().lines().count(), 1, "{}", finished.err());
    }
}

#[test]
fn a_failure_names_its_node_and_the_status_is_the_ranks() {
    let scratch = Scratch::new();
    let scheduler = FakeScheduler::start(&scratch.path(""), runs(one_rank(failed(0, 1, 3), 3)));
    let finished = ask(&scratch, &scheduler).words("-- true").run();
    let finished = finished.ends_with(3);
    let line = "dcrun: rank 0 (subtask 0, attempt 1) on n2: exit status 3; not started again: it left no new checkpoint \
                and no progress\n";
    assert_eq!(finished.err(), line);
}

#[test]
fn events_name_the_node() {
    let scratch = Scratch::new();
    let scheduler = FakeScheduler::start(&scratch.path(""), |_, message, answer| match message {
        FromClient::Submit { .. } => answer.say(accepted(message)),
        FromClient::Attach { .. } => {
            let (attached, job, _) = attached(message);
            answer.say(attached);
            let all = one_rank(done(0, 1), 0);
            answer.say(records(job, 1, &all[..3], 3));
            let (subtask, attempt) = (SubtaskId(0), Attempt(1));
            answer.say(report(job, 2, &FromStarter::Started { subtask, attempt, pid: 4711, from: None }));
            answer.say(records(job, 4, &all[3..], 5));
        }
        _ => {}
    });
    let finished = ask(&scratch, &scheduler).words("--json -- true").run();
    let finished = finished.ends_with(0);
    let events: Vec<serde_json::Value> =
        finished.err().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["job", "started", "ended", "end"]);
    assert_eq!(events[0]["id"], 7);
    assert_eq!((&events[1]["pid"], &events[1]["node"]), (&4711.into(), &"n2".into()));
    assert_eq!((&events[2]["status"], &events[2]["node"]), (&0.into(), &"n2".into()));
}

#[test]
fn nothing_is_shown_before_it_is_on_disk() {
    let scratch = Scratch::new();
    let scheduler = FakeScheduler::start(&scratch.path(""), |connection, message, answer| match message {
        FromClient::Submit { .. } => answer.say(accepted(message)),
        FromClient::Attach { .. } => {
            let (attached, job, after) = attached(message);
            answer.say(attached);
            if connection == 0 {
                // The failure is decided, and not on disk: this scheduler dies, and the next one knows nothing of it.
                answer.say(records(job, 1, &one_rank(failed(0, 1, 9), 9), 3));
            } else {
                assert_eq!(after, 3);
                answer.say(records(job, 4, &one_rank(done(0, 1), 0)[3..], 5));
            }
        }
        FromClient::Window { seq: 3, .. } => answer.hang_up(),
        _ => {}
    });
    let finished = ask(&scratch, &scheduler).words("-- true").run();
    let finished = finished.ends_with(0);
    assert_eq!(finished.err(), "");
}

#[test]
fn a_lost_connection_is_taken_up_again_and_nothing_is_shown_twice() {
    let scratch = Scratch::new();
    let afters = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&afters);
    let all = [
        Record::Epoch { epoch: 1 },
        granted(0, 1),
        granted(1, 1),
        launched(0, 1, 1),
        launched(1, 1, 2),
        failed(0, 1, 5),
        done(1, 1),
        Record::Ended { status: 5 },
    ];
    let scheduler =
        FakeScheduler::start(&scratch.path(""), move |connection, message, answer| match message {
            FromClient::Submit { .. } => answer.say(accepted(message)),
            FromClient::Attach { .. } => {
                let (attached, job, after) = attached(message);
                seen.lock().unwrap().push(after);
                answer.say(attached);
                let rest = &all[after as usize..];
                let rest = if connection < 3 { &rest[..2] } else { rest };
                let last = after + rest.len() as u64;
                answer.say(records(job, after + 1, rest, last));
            }
            // It has taken them in: now the connection is lost.
            FromClient::Window { seq, .. } if *seq < 8 => answer.hang_up(),
            _ => {}
        });
    let finished = ask(&scratch, &scheduler).words("-n 2 --keep-going -- true").run();
    let finished = finished.ends_with(5);
    assert_eq!(*afters.lock().unwrap(), [0, 2, 4, 6]);
    assert_eq!(finished.err().matches("rank 0 (subtask 0").count(), 1, "{}", finished.err());
}

#[test]
fn a_submission_whose_answer_is_lost_is_the_same_job() {
    let scratch = Scratch::new();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let mut script = runs(one_rank(done(0, 1), 0));
    let scheduler = FakeScheduler::start(&scratch.path(""), move |connection, message, answer| {
        if matches!(message, FromClient::Submit { .. }) {
            seen.lock().unwrap().push(submitted(message).key);
            if connection == 0 {
                return answer.hang_up();
            }
        }
        script(connection, message, answer);
    });
    let _ = ask(&scratch, &scheduler).words("-- true").run().ends_with(0);
    let keys = keys.lock().unwrap();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn ctrl_c_stops_the_job_by_message() {
    let scratch = Scratch::new();
    let all = one_rank(done(0, 1), 0);
    let scheduler = FakeScheduler::start(&scratch.path(""), move |_, message, answer| match message {
        FromClient::Submit { .. } => answer.say(accepted(message)),
        FromClient::Attach { .. } => {
            let (attached, job, _) = attached(message);
            answer.say(attached);
            answer.say(records(job, 1, &all[..3], 3));
        }
        FromClient::Stop { job: dc_model::cluster::client::WhichJob::Uuid(job), reason, signal, .. } => {
            assert_eq!((*reason, *signal), (3, 15));
            let ends = [
                Record::Stopping { reason: StopReason::Signal(15) },
                Record::GivenUp {
                    subtask: SubtaskId(0),
                    attempt: Attempt(1),
                    why: dc_model::GiveUp::Stopped,
                },
                Record::Ended { status: 143 },
            ];
            answer.say(records(*job, 4, &ends, 6));
        }
        _ => {}
    });
    let running = ask(&scratch, &scheduler).words("-v -- true").start();
    let _ = running.says("of the scheduler at");
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    let finished = finished.ends_with(143);
    assert!(finished.err().contains("signal 15 (SIGTERM): the job is stopped"), "{}", finished.err());
}

#[test]
fn what_a_job_waits_for_is_told() {
    let scratch = Scratch::new();
    let all = one_rank(done(0, 1), 0);
    let job = Arc::new(Mutex::new(None));
    let scheduler = FakeScheduler::start(&scratch.path(""), move |_, message, answer| match message {
        FromClient::Submit { .. } => answer.say(accepted(message)),
        FromClient::Attach { .. } => {
            let (attached, uuid, _) = attached(message);
            *job.lock().unwrap() = Some(uuid);
            answer.say(attached);
        }
        FromClient::ListJobs { request, ids, .. } => {
            assert_eq!(ids, &[7]);
            let uuid = job.lock().unwrap().unwrap();
            let row = dc_model::cluster::JobRow {
                id: 7,
                uuid,
                name: "true".to_owned(),
                uid: 0,
                state: "waiting".to_owned(),
                reason: "8 cores are in use".to_owned(),
                status: None,
                ranks: 1,
                cores: 0,
                nodes: 0,
                subtasks: 1,
                subtasks_done: 0,
                cells: 1,
                cells_done: 0,
                ran_ms: None,
                left_ms: None,
            };
            answer.say(ToClient::Jobs { request: *request, jobs: vec![row], last: true });
            answer.say(records(uuid, 1, &all, all.len() as u64));
        }
        _ => {}
    });
    let finished = ask(&scratch, &scheduler).words("-- true").run();
    let finished = finished.ends_with(0);
    assert_eq!(finished.err(), "dcrun: job 7 waits: 8 cores are in use\n");
}

#[test]
fn detached_it_says_the_number_and_leaves() {
    let scratch = Scratch::new();
    let scheduler = FakeScheduler::start(&scratch.path(""), |_, message, answer| {
        assert!(submitted(message).wants.detached);
        answer.say(accepted(message));
    });
    let finished = ask(&scratch, &scheduler).words("--detach -- true").run();
    let finished = finished.ends_with(0);
    assert_eq!(finished.out(), "7\n");
    assert!(finished.err().contains("dcrun --attach 7 follows it"), "{}", finished.err());
}

#[test]
fn without_a_scheduler_there_it_says_so_and_local_runs_here() {
    let scratch = Scratch::new();
    let nobody = scratch.path("nobody");
    let finished = scratch.dcrun("").env("DC_SCHED", &nobody).words("-- true").run();
    let finished = finished.ends_with(125);
    assert!(finished.err().contains("is the daemon running?"), "{}", finished.err());
    let _ = scratch.dcrun("").env("DC_SCHED", &nobody).words("--local -- true").run().ends_with(0);
    let finished = scratch.dcrun("").env("DC_SCHED", "nonsense").words("-- true").run();
    let finished = finished.ends_with(125);
    assert!(finished.err().contains("DC_SCHED nonsense: not an address"), "{}", finished.err());
    let finished = scratch.dcrun("").words("--sched nonsense -- true").run();
    assert!(finished.err().contains("--sched nonsense: not an address"), "{}", finished.err());
}

#[test]
fn a_rank_does_not_submit() {
    let scratch = Scratch::new();
    let inner = format!("DC_SCHED=/nowhere {} -n 2 -- echo inner", dc_integration::built("dcrun").display());
    let finished = scratch.dcrun("").script(&inner).run();
    let finished = finished.ends_with(0);
    assert_eq!(finished.out(), "inner\ninner\n");
}

#[test]
fn options_of_nodes_on_one_machine() {
    let scratch = Scratch::new();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    for line in ["-N 1", "-N 1-4", "--ntasks-per-node 2", "-x other", "--exclusive", "-w localhost"] {
        let finished = scratch.dcrun("").words(line).words("-- true").run();
        assert_eq!((finished.code(), finished.err()), (0, String::new()), "{line}");
    }
    let _ = scratch.dcrun("").arg("-w").arg(&host).words("-- true").run().ends_with(0);
    for (line, says) in [
        ("-N 4", "-N 4: there is one node here, this machine; ranks are -n, ranks a node --ntasks-per-node"),
        ("-w other", "which the list leaves out"),
        ("-x localhost", "which the list leaves out"),
        ("-n 3 --ppn 2", "--ntasks-per-node 2: 3 ranks (-n) do not go on one node then"),
        ("--detach", "--detach needs a scheduler, and none is named: set DC_SCHED"),
        ("-x A=b", "ranks get the whole environment"),
    ] {
        let finished = scratch.dcrun("").words(line).words("-- true").run();
        let finished = finished.ends_with(125);
        assert!(finished.err().contains(says), "{line}: {}", finished.err());
    }
    let finished = scratch.dcrun("").words("--attach 3").run();
    let finished = finished.ends_with(125);
    assert!(finished.err().contains("--attach needs a scheduler"), "{}", finished.err());
}
