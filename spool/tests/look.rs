//! dcspool as one looks into a job's directory: ls, verify, dump, on whole and on damaged ones.
#![allow(clippy::unwrap_used)]

use dc_model::{Attempt, CpuSet, JobUuid, Outcome, Rank, Record, Restart, Subtask, SubtaskId};
use dc_spool::Spool;
use dc_spool::checkpoint::{Checkpoints, Region};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{JobOptions, JobRecord, Subtasks};
use dc_spool::journal::Writer;
use dc_spool::result::{Dtype, Layout, Results};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const JOB: JobUuid = JobUuid([7; 16]);
const AT: Restart = Restart { attempt: Attempt(1), step: 120 };

/// A job of four subtasks: one completed, one that failed and has a checkpoint, one computing, one of no cost.
struct Job {
    _tmp: tempfile::TempDir,
    path: PathBuf,
    /// `Some` while the job is held.
    owner: Option<(Spool, Writer)>,
}

fn record() -> JobRecord {
    let named = Subtask { name: Some("no\u{1b}rth".into()), ..Subtask::plain(5, 1) };
    JobRecord {
        uuid: JOB,
        name: "ocean".to_owned(),
        kernel: FileIdentity::of_bytes(Path::new("/bin/k"), b"k"),
        argv: vec![b"./k".to_vec(), b"a\nb".to_vec()],
        cwd: "/".into(),
        env: Vec::new(),
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
            keep: true,
            time_limit_ms: None,
            grace_ms: 30_000,
            mpi: None,
            merges: Vec::new(),
            streams: Default::default(),
            failure: Default::default(),
        },
        domain: None,
        subtasks: Subtasks::from_list([
            Subtask::plain(5, 1),
            named,
            Subtask::plain(5, 1),
            Subtask::plain(0, 1),
        ])
        .unwrap(),
    }
}

impl Job {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        let (spool, mut writer) = Spool::create(&path, &record()).unwrap();
        let results = Results::open(spool.dir(), JOB).unwrap();
        let mut result = results.writer(SubtaskId(0), Attempt(1), Dtype::F8, Layout::Effective, 1).unwrap();
        result.append(&[1; 40]).unwrap();
        result.finish().unwrap();
        let meta = results.meta(SubtaskId(0), Attempt(1)).unwrap();
        let checkpoints = Checkpoints::open(spool.dir(), JOB).unwrap();
        checkpoints.write(SubtaskId(1), AT, &[Region { id: 1, data: b"state" }]).unwrap();

        let mut records = vec![Record::Epoch { epoch: 1 }];
        for id in 0..3 {
            let (subtask, attempt) = (SubtaskId(id), Attempt(1));
            records.push(Record::Granted { subtask, attempt });
            records.push(Record::Launched {
                subtask,
                attempt,
                rank: Rank(0),
                cpus: CpuSet::from_iter([id]),
                node: 0,
            });
            records.push(Record::Started { subtask, attempt, from: None });
        }
        records.push(Record::Done { subtask: SubtaskId(0), attempt: Attempt(1), result: meta });
        records.push(Record::AttemptFailed {
            subtask: SubtaskId(1),
            attempt: Attempt(1),
            outcome: Outcome::Signalled(9),
            checkpoint: Some(AT),
            advanced: true,
            retry: true,
        });
        for record in records {
            writer.append(&[(writer.next_seq(), record)]).unwrap();
            writer.sync().unwrap();
        }
        Self { _tmp: tmp, path, owner: Some((spool, writer)) }
    }

    /// The job after its dcrun was killed.
    fn interrupted() -> Self {
        let mut job = Self::new();
        job.owner = None;
        job
    }

    fn dcspool(&self, args: &[&str]) -> (i32, String, String) {
        let out = dcspool(args, &self.path);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    }

    fn flip(&self, name: &str, at: usize) {
        let path = self.path.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 4;
        std::fs::write(path, bytes).unwrap();
    }
}

fn dcspool(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dcspool")).args(args).arg(dir).output().unwrap()
}

const CKPT: &str = "ckpt/00000001/a000001-s00000000000000000120.ckpt";
const RESULT: &str = "result/00000000-a000001.result";

#[test]
fn ls_shows_the_job_its_states_and_its_files() {
    let job = Job::interrupted();
    let (status, out, err) = job.dcspool(&["ls"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    let lines: Vec<_> =
        out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let size = std::fs::metadata(job.path.join(CKPT)).unwrap().len();
    let expected = [
        "job ocean 07070707-0707-0707-0707-070707070707".to_owned(),
        "kernel /bin/k".to_owned(),
        "command ./k a\\nb".to_owned(),
        "directory /".to_owned(),
        format!("state interrupted; dcrun --resume {} goes on", job.path.display()),
        "subtasks 4: 1 split, 1 computing, 2 completed".to_owned(),
    ];
    assert_eq!(lines[..6], expected);
    assert!(lines[6].starts_with("journal 12 records in 1 epochs, "), "{}", lines[6]);
    let rows = [
        "SUBTASK NAME STATE ATTEMPT RESULT CHECKPOINTS".to_owned(),
        "0 - completed 1 attempt 1 (120 B) -".to_owned(),
        format!("1 no\\u{{1b}}rth split 1 - step 120 of attempt 1 ({size} B)"),
        "2 - computing 1 - -".to_owned(),
    ];
    assert_eq!(lines[8..], rows, "{out}");

    let (_, out, _) = Job::new().dcspool(&["ls"]);
    assert!(out.contains("state       running\n"), "a held job runs: {out}");
}

#[test]
fn ls_as_json_is_one_object_a_line() {
    let job = Job::interrupted();
    let (status, out, _) = job.dcspool(&["ls", "--json"]);
    assert_eq!(status, 0);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["v"] == 1));
    let head = &lines[0];
    assert_eq!(head["event"], "job");
    assert_eq!((&head["uuid"], &head["name"]), (&JOB.to_string().into(), &"ocean".into()));
    assert_eq!(head["argv"], serde_json::json!(["./k", "a\nb"]));
    assert_eq!(head["states"]["completed"], 2);
    assert_eq!((&head["epochs"], &head["state"]), (&1.into(), &"interrupted".into()));
    assert_eq!(lines[1]["file"], "journal.000001");
    let subtasks: Vec<_> = lines.iter().filter(|line| line["event"] == "subtask").collect();
    assert_eq!(subtasks.len(), 3);
    assert_eq!(subtasks[0]["results"][0]["committed"], true);
    let checkpoint = &subtasks[1]["checkpoints"][0];
    assert_eq!((&checkpoint["step"], &checkpoint["attempt"]), (&120.into(), &1.into()));
    assert_eq!(checkpoint["bytes"], std::fs::metadata(job.path.join(CKPT)).unwrap().len());
    assert_eq!(subtasks[1]["failures"], 1);
}

#[test]
fn verify_reads_everything_and_names_what_is_damaged() {
    let job = Job::interrupted();
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!((status, out.as_str()), (0, "4 good, 0 bad\n"));
    std::fs::write(job.path.join("result/.tmp-1"), "").unwrap();
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!((status, out.lines().count()), (0, 2), "{out}");
    assert!(out.starts_with("note: result/.tmp-1: not a finished file of dc; passed over\n"));

    for (name, at, words) in [
        ("job", 70, "its content is damaged"),
        ("job", 8, "a newer dc wrote it"),
        ("journal.000001", 100, "journal.000001 is damaged at byte 88"),
        ("journal.000001", 9, "a newer dc wrote it"),
        (CKPT, 64, "cannot be used"),
        (RESULT, 119, "its content is damaged"),
    ] {
        let job = Job::interrupted();
        job.flip(name, at);
        let (status, out, _) = job.dcspool(&["verify"]);
        assert_eq!(status, 1, "{name}: {out}");
        let bad: Vec<_> = out.lines().filter(|line| line.starts_with("bad: ")).collect();
        assert!(bad.len() == 1 && bad[0].contains(words), "{name}: {out}");
        assert!(bad[0].contains(name.rsplit('/').next().unwrap()), "{name}: {out}");
        assert!(out.ends_with("3 good, 1 bad\n"), "{name}: {out}");
    }
}

#[test]
fn verify_misses_what_was_committed_and_is_gone_or_another() {
    let job = Job::interrupted();
    std::fs::remove_file(job.path.join(RESULT)).unwrap();
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!(status, 1);
    assert!(
        out.contains("bad: result/00000000-a000001.result is missing, though it was committed\n"),
        "{out}"
    );
    let dir = dc_spool::files::Dir::open(&job.path).unwrap();
    let results = Results::open(&dir, JOB).unwrap();
    let mut result = results.writer(SubtaskId(0), Attempt(1), Dtype::F8, Layout::Effective, 1).unwrap();
    result.append(&[2; 40]).unwrap();
    result.finish().unwrap();
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!(status, 1);
    assert!(out.contains("is whole, but not the one that was committed"), "{out}");
}

#[test]
fn a_torn_tail_is_told_and_what_a_running_job_writes_is_not() {
    let job = Job::interrupted();
    let end = {
        let (_, out, _) = job.dcspool(&["ls", "--json"]);
        let segment: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
        segment["valid_bytes"].as_u64().unwrap() as usize
    };
    job.flip("journal.000001", end + 4);
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!(status, 1);
    assert!(out.contains("are an unfinished write of which nothing was acknowledged"), "{out}");
    let (status, out, err) = job.dcspool(&["dump"]);
    assert_eq!((status, out.lines().count()), (0, 12));
    assert!(err.starts_with("dcspool: journal.000001: the last 5 bytes"), "{err}");

    let job = Job::new();
    job.flip("journal.000001", end + 4);
    let (status, out, _) = job.dcspool(&["verify"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.contains("note: a dcrun has this job now"), "{out}");
}

#[test]
fn dump_prints_each_record_and_stops_at_damage() {
    let job = Job::interrupted();
    let (status, out, _) = job.dcspool(&["dump"]);
    assert_eq!(status, 0);
    let lines: Vec<_> = out.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[0], "1  epoch 1");
    assert_eq!(lines[2], "3  launched   subtask 0 attempt 1 on rank 0, CPUs 0");
    assert_eq!(
        lines[11],
        "12  failed     subtask 1 attempt 1: signal 9; checkpoint at step 120 of attempt 1; it got further; it is tried again"
    );
    let (_, out, _) = job.dcspool(&["dump", "--json"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["record"], &last["outcome"]["signal"]), (&"attempt-failed".into(), &9.into()));

    job.flip("journal.000001", 200);
    let (status, out, err) = job.dcspool(&["dump"]);
    assert_eq!((status, out.lines().count()), (125, 2), "{out}");
    assert!(err.contains("journal.000001 is damaged at byte"), "{err}");
}

#[test]
fn what_is_no_spool_is_an_error_of_usage() {
    let tmp = tempfile::tempdir().unwrap();
    for subcommand in ["ls", "verify", "dump"] {
        for dir in [tmp.path().to_owned(), tmp.path().join("none")] {
            let out = dcspool(&[subcommand], &dir);
            assert_eq!(out.status.code(), Some(125));
            let err = String::from_utf8(out.stderr).unwrap();
            assert!(err.starts_with("dcspool: ") && err.lines().count() == 1, "{err}");
        }
    }
    for args in [&["frobnicate"][..], &["ls", "--frob"], &[]] {
        let out = Command::new(env!("CARGO_BIN_EXE_dcspool")).args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(125), "{args:?}");
    }
    let out = Command::new(env!("CARGO_BIN_EXE_dcspool")).arg("--help").output().unwrap();
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let job = Job::interrupted();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcspool"));
    let out = command.arg("dump").arg(&job.path).stdout(write).output().unwrap();
    assert_eq!((out.status.code(), out.stderr.len()), (Some(141), 0));
}

#[test]
fn a_spool_by_hand_is_looked_into_as_well() {
    let tmp = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcspool"));
    std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DC_")).for_each(
        |(name, _)| {
            command.env_remove(name);
        },
    );
    let input = std::fs::File::open("/dev/null").unwrap();
    let saved = command.args(["save", "--step", "3"]).current_dir(tmp.path()).stdin(input).status().unwrap();
    assert!(saved.success());
    let dir = tmp.path().join("dc-spool");
    let out = dcspool(&["verify"], &dir);
    assert_eq!(
        (out.status.code(), String::from_utf8(out.stdout).unwrap().as_str()),
        (Some(0), "2 good, 0 bad\n")
    );
    let out = String::from_utf8(dcspool(&["ls"], &dir).stdout).unwrap();
    assert!(out.starts_with("by hand ") && out.contains("step 3 of attempt 1"), "{out}");
}
