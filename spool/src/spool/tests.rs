//! A job's directory: made with every call failing in turn, gone on with, removed.

use super::*;
use crate::fakes::{FailingDisk, Fault};
use crate::hash::{ContentHash, FileIdentity};
use crate::job::{JobOptions, Subtasks};
use crate::journal::Tail;
use dc_model::Record;
use std::os::unix::fs::PermissionsExt;

fn job() -> JobRecord {
    JobRecord {
        uuid: JobUuid([3; 16]),
        name: "true".to_owned(),
        kernel: FileIdentity { path: "/bin/true".into(), len_bytes: 1, hash: ContentHash(2) },
        argv: vec![b"true".to_vec()],
        cwd: "/".into(),
        env: vec![b"A=1".to_vec()],
        limits: None,
        options: JobOptions {
            ranks: 1,
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
            streams: Default::default(),
            failure: Default::default(),
        },
        domain: None,
        subtasks: Subtasks::plain(1, 1, 1).unwrap(),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_job_has_all_it_needs_by_as_few_waits_as_can_be() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    let disk = Arc::new(FailingDisk::never());
    let (spool, _writer) = Spool::create_on(disk.clone(), &path, &job()).unwrap();
    assert_eq!(names(&path), ["ckpt", "job", "journal.000001", "lock", "result"]);
    let ops: Vec<_> = disk.calls().into_iter().map(|call| format!("{:?}", call.op)).collect();
    let drawn: Vec<_> = crate::drawn_tests::table("making").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(ops, drawn);
    for name in names(&path) {
        let mode = std::fs::metadata(path.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name == "ckpt" || name == "result" { 0o700 } else { 0o600 }, "{name}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(spool.path(), std::fs::canonicalize(&path).unwrap());
    let error = Spool::create(&path, &job()).unwrap_err();
    assert_eq!(error, SpoolError::Taken(path.clone()));
    let error = Spool::resume(&path).unwrap_err();
    assert!(matches!(error, SpoolError::Lock(LockError::Held { .. })), "{error}");
}

#[test]
fn with_any_call_failing_nothing_is_left_behind() {
    let mut met = 0;
    for fault in [Fault::Error(Errno::ENOSPC), Fault::DoneBut(Errno::EIO)] {
        for persistent in [false, true] {
            for adopted in [false, true] {
                for n in 0.. {
                    let tmp = tempfile::tempdir().unwrap();
                    let path = tmp.path().join("s");
                    if adopted {
                        std::fs::create_dir(&path).unwrap();
                    }
                    let disk = Arc::new(FailingDisk::new(n, fault, persistent));
                    let result = Spool::create_on(disk.clone(), &path, &job());
                    if disk.calls().len() <= n {
                        result.unwrap();
                        break;
                    }
                    met += 1;
                    // A directory that was made by a call that then said no is taken for one that was there.
                    let unknown = fault == Fault::DoneBut(Errno::EIO) && disk.calls()[n].op == Op::MakeDir;
                    if adopted && unknown && n == 0 && !persistent {
                        // That the name is taken is what that call says in any case.
                        result.unwrap();
                        continue;
                    }
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains("cannot "), "{error}");
                    if adopted || unknown {
                        assert!(!path.exists() || names(&path).is_empty(), "{n}: {:?}", names(&path));
                    } else {
                        assert!(!path.exists(), "{n}: {error}");
                    }
                }
            }
        }
    }
    println!("trust: changes of a disk made to fail, a new job: {met} calls");
}

#[test]
fn an_empty_directory_of_ones_own_is_taken_and_closed_to_others() {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::set_permissions(tmp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (spool, _writer) = Spool::create(tmp.path(), &job()).unwrap();
    assert_eq!(std::fs::metadata(tmp.path()).unwrap().permissions().mode() & 0o777, 0o700);
    drop(spool);
    let tmp = tempfile::tempdir().unwrap();
    std::fs::write(tmp.path().join("x"), "").unwrap();
    let error = Spool::create(tmp.path(), &job()).unwrap_err();
    assert_eq!(error, SpoolError::Taken(tmp.path().to_owned()));
    let error = Spool::create(&tmp.path().join("x"), &job()).unwrap_err();
    assert_eq!(error, SpoolError::Taken(tmp.path().join("x")));
    assert_eq!(names(tmp.path()), ["x"]);
    let deep = tmp.path().join("a/b/c");
    assert!(matches!(Spool::create(&deep, &job()), Err(SpoolError::File(error)) if error.is_not_found()));
    Spool::make_parents(&deep).unwrap();
    Spool::create(&deep, &job()).unwrap();
}

#[test]
fn a_job_is_gone_on_with_from_what_was_acknowledged() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    let (spool, mut writer) = Spool::create(&path, &job()).unwrap();
    writer.append(&[(1, Record::Epoch { epoch: 1 })]).unwrap();
    writer.sync().unwrap();
    drop((spool, writer));
    std::fs::write(path.join(".tmp-0"), "").unwrap();
    std::fs::write(path.join("result/.tmp-1"), "").unwrap();
    std::fs::remove_dir(path.join("ckpt")).unwrap();
    for epoch in 2..5 {
        let Resumed { spool, job: found, replay } = Spool::resume(&path).unwrap();
        assert_eq!(found, job());
        assert_eq!(
            (replay.epoch, replay.tail, replay.records.len()),
            (epoch - 1, Tail::Clean, epoch as usize - 1)
        );
        let mut writer = spool.next_epoch(&replay).unwrap();
        writer.append(&[(writer.next_seq(), Record::Epoch { epoch: u64::from(epoch) })]).unwrap();
        writer.sync().unwrap();
        assert!(!path.join(".tmp-0").exists() && !path.join("result/.tmp-1").exists());
    }
    assert!(path.join("ckpt").exists());
}

#[test]
fn looking_at_a_job_changes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    drop(Spool::create(&path, &job()).unwrap());
    let before = names(&path);
    drop(Spool::resume(&path).unwrap());
    assert_eq!(names(&path), before);
    assert_eq!(
        Spool::resume(&tmp.path().join("none")).unwrap_err(),
        SpoolError::Nowhere(tmp.path().join("none"))
    );
    let error = Spool::resume(tmp.path()).unwrap_err();
    assert_eq!(error, SpoolError::Job(JobError::NoJob { dir: tmp.path().to_owned() }));
    assert_eq!(names(tmp.path()), ["s"], "no lock is left where no job is");
    std::fs::remove_file(path.join("journal.000001")).unwrap();
    let error = Spool::resume(&path).unwrap_err().to_string();
    assert!(error.contains("journal.000001 is missing"), "{error}");
}

#[test]
fn what_dc_did_not_make_is_left() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    let (spool, _writer) = Spool::create(&path, &job()).unwrap();
    let base = spool.path().to_owned();
    for dir in ["ckpt/00000000", "ckpt/other", "mine"] {
        std::fs::create_dir(path.join(dir)).unwrap();
    }
    std::os::unix::fs::symlink("/etc", path.join("ckpt/00000001")).unwrap();
    for file in [
        "ckpt/00000000/a000001-s00000000000000000120.ckpt",
        "ckpt/00000000/.tmp-1",
        "ckpt/00000000/notes",
        "result/00000000-a000001.result",
        "result/00000000-a1.result",
        "journal.000002",
        "journal.bak",
        ".tmp-2",
    ] {
        std::fs::write(path.join(file), "").unwrap();
    }
    let left = [
        "ckpt/00000000/notes",
        "ckpt/00000001",
        "ckpt/other",
        "journal.bak",
        "mine",
        "result/00000000-a1.result",
    ];
    let removed = spool.remove().unwrap();
    assert_eq!(removed.left, left.map(|name| base.join(name)));
    assert!(left.iter().all(|name| path.join(name).symlink_metadata().is_ok()));
    assert_eq!(names(&path), ["ckpt", "journal.bak", "mine", "result"]);

    let path = tmp.path().join("t");
    let (spool, _writer) = Spool::create(&path, &job()).unwrap();
    assert_eq!(spool.remove().unwrap(), Removed::default());
    assert!(!path.exists());
}

#[test]
fn killed_at_any_call_there_is_a_job_or_none() {
    let calls = crate::drawn_tests::table("making").len();
    let renamed = crate::drawn_tests::table("making").iter().position(|row| row[0] == "RenameNew").unwrap();
    for n in 0..=calls {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        let made = Spool::create_on(Arc::new(FailingDisk::stopping(n)), &path, &job());
        assert_eq!(made.is_ok(), n == calls, "call {n}");
        drop(made);
        match Spool::resume(&path) {
            Ok(Resumed { job: found, replay, spool }) => {
                assert!(n > renamed, "call {n}");
                assert_eq!((found, replay.records.len()), (job(), 0));
                spool.next_epoch(&replay).unwrap();
            }
            Err(SpoolError::Nowhere(_)) => assert_eq!(n, 0),
            Err(SpoolError::Job(JobError::NoJob { .. })) => assert!((1..=renamed).contains(&n), "call {n}"),
            Err(error) => panic!("call {n}: {error}"),
        }
    }
}

#[test]
fn killed_at_any_call_of_a_resume_nothing_is_lost() {
    for n in 0.. {
        assert!(n < 50, "the calls end");
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        let (spool, mut writer) = Spool::create(&path, &job()).unwrap();
        writer.append(&[(1, Record::Epoch { epoch: 1 })]).unwrap();
        writer.sync().unwrap();
        drop((spool, writer));
        std::fs::write(path.join(".tmp-0"), "").unwrap();
        std::fs::remove_dir(path.join("ckpt")).unwrap();
        let disk = Arc::new(FailingDisk::stopping(n));
        let Resumed { spool, replay, .. } = Spool::resume_on(disk.clone(), &path).unwrap();
        assert!(disk.calls().is_empty(), "looking changes nothing");
        let acknowledged = spool.next_epoch(&replay).map_err(drop).and_then(|mut writer| {
            writer.append(&[(2, Record::Epoch { epoch: 2 })]).map_err(drop)?;
            writer.sync().map_err(drop)
        });
        drop(spool);
        let again = Spool::resume(&path).unwrap();
        let found = again.replay.records.len();
        assert!(found == 2 || (found == 1 && acknowledged.is_err()), "call {n}: {found}");
        again.spool.next_epoch(&again.replay).unwrap();
        if disk.calls().len() <= n {
            assert_eq!(acknowledged, Ok(2));
            break;
        }
    }
}
