//! The file rules with every call made to fail in turn: the new content is there, durable, or the old one is intact
//! and nothing else is left.

use super::*;
use crate::fakes::{FailingDisk, Fault};
use nix::errno::Errno;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs `act` with a fault at call 0, 1, 2 … until a run meets none; gives `check` each run's outcome.
fn with_every_fault<T>(
    set_up: impl Fn(&Path),
    act: impl Fn(&Dir) -> Result<T, FileError>,
    check: impl Fn(&Path, Option<(&FailingDisk, usize)>, Result<T, FileError>, Fault),
) {
    let faults =
        [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::DoneBut(Errno::EIO), Fault::Short];
    let mut met = 0;
    for fault in faults {
        for persistent in [false, true] {
            for n in 0.. {
                assert!(n < 100, "the calls end");
                let tmp = tempfile::tempdir().unwrap();
                set_up(tmp.path());
                let disk = Arc::new(FailingDisk::new(n, fault, persistent));
                let dir = Dir::open_on(disk.clone(), tmp.path()).unwrap();
                let result = act(&dir);
                drop(dir);
                if disk.calls().len() <= n {
                    check(tmp.path(), None, result, fault);
                    break;
                }
                met += 1;
                check(tmp.path(), Some((&disk, n)), result, fault);
            }
        }
    }
    assert!(met >= 4 * 2 * 4, "only {met} faults were met");
    println!("trust: changes of a disk made to fail, a file: {met} calls");
}

fn old(dir: &Path) {
    std::fs::write(dir.join("name"), "old").unwrap();
}

fn replace(dir: &Dir) -> Result<(), FileError> {
    dir.replace("name", |w| {
        w.write_all(b"new ")?;
        w.flush()?;
        w.write_all(b"content")
    })
}

#[test]
fn a_replace_is_whole_or_not_at_all() {
    with_every_fault(old, replace, |dir, met, result, fault| {
        assert_eq!(names(dir), ["name"], "no temporary name is left, {met:?}");
        let content = std::fs::read_to_string(dir.join("name")).unwrap();
        match (&result, met) {
            (Ok(()), None) => assert_eq!(content, "new content"),
            (Ok(()), Some(_)) => {
                assert_eq!(fault, Fault::Short, "an error that was not told");
                assert_eq!(content, "new content");
            }
            (Err(error), Some((disk, n))) => {
                assert_eq!(error.op, disk.calls()[n].op, "{error}");
                // Once renamed, the new content is what is there, though perhaps not durable.
                let done = matches!(fault, Fault::DoneBut(_)) && error.op == Op::Rename;
                assert_eq!(
                    content,
                    if done || error.op == Op::SyncDir { "new content" } else { "old" },
                    "{error}"
                );
            }
            (Err(error), None) => panic!("an error without a fault: {error}"),
        }
    });
}

#[test]
fn the_calls_come_in_the_order_of_the_rules() {
    let tmp = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::never());
    replace(&Dir::open_on(disk.clone(), tmp.path()).unwrap()).unwrap();
    let ops: Vec<_> = disk.calls().into_iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::Create, Op::Write, Op::Write, Op::SyncData, Op::Close, Op::Rename, Op::SyncDir]);
}

#[test]
fn nothing_is_synced_twice_after_a_failed_sync() {
    for op in [Op::SyncData, Op::SyncDir] {
        let tmp = tempfile::tempdir().unwrap();
        let probe = Arc::new(FailingDisk::never());
        replace(&Dir::open_on(probe.clone(), tmp.path()).unwrap()).unwrap();
        let n = probe.calls().iter().position(|call| call.op == op).unwrap();
        let disk = Arc::new(FailingDisk::new(n, Fault::Error(Errno::EIO), false));
        replace(&Dir::open_on(disk.clone(), tmp.path()).unwrap()).unwrap_err();
        assert_eq!(disk.calls().last().unwrap().op, op, "the failed call is the last that changes anything");
    }
}

#[test]
fn a_name_that_is_taken_is_never_written_over() {
    let act = |dir: &Dir| {
        let mut file = dir.new_file(0o600)?;
        file.append(b"new content")?;
        file.commit_noreplace("name")
    };
    with_every_fault(old, act, |dir, met, result, _| {
        let error = result.unwrap_err();
        assert!(met.is_some() || error.is_exists(), "{error}");
        assert_eq!(names(dir), ["name"]);
        assert_eq!(std::fs::read_to_string(dir.join("name")).unwrap(), "old");
    });
    with_every_fault(
        |_| {},
        act,
        |dir, met, result, fault| match result {
            Ok(()) => {
                assert!(met.is_none() || fault == Fault::Short);
                assert_eq!(std::fs::read_to_string(dir.join("name")).unwrap(), "new content");
            }
            Err(error) => {
                let renamed = error.op == Op::SyncDir
                    || (error.op == Op::RenameNew && fault != Fault::Error(Errno::EIO));
                assert!(names(dir).is_empty() || renamed, "{error}: {:?}", names(dir));
            }
        },
    );
}

#[test]
fn a_new_directory_is_made_durable_by_its_parent() {
    let tmp = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::never());
    let dir = Dir::create_new_on(disk.clone(), &tmp.path().join("sub"), 0o700).unwrap();
    let ops: Vec<_> = disk.calls().into_iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::MakeDir, Op::SyncDir]);
    assert!(Dir::create_new(dir.path(), 0o700).unwrap_err().is_exists());
    dir.subdir_or_make("a", 0o700).unwrap();
    let before = disk.calls().len();
    dir.subdir_or_make("a", 0o700).unwrap();
    assert_eq!(disk.calls().len(), before, "what is there costs nothing");
}

#[test]
fn a_dropped_file_leaves_nothing_and_a_header_can_come_last() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut file = dir.new_file(0o600).unwrap();
    file.append(b"....body").unwrap();
    assert!(names(tmp.path())[0].starts_with(TMP_PREFIX));
    drop(file);
    assert!(names(tmp.path()).is_empty());

    let mut file = dir.new_file(0o600).unwrap();
    file.allocate(8).unwrap();
    file.append(b"....body").unwrap();
    file.put(b"head", 0).unwrap();
    assert_eq!(file.len_bytes(), 8);
    file.commit("whole").unwrap();
    assert_eq!(dir.read("whole", 8).unwrap(), b"headbody");
    assert_eq!(std::fs::metadata(tmp.path().join("whole")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(dir.read("whole", 7).unwrap_err().reason, Reason::TooLarge { bytes: 8, bytes_max: 7 });
}

#[test]
fn a_target_of_the_users_keeps_its_mode_and_its_link() {
    let tmp = tempfile::tempdir().unwrap();
    let (real, link) = (tmp.path().join("real"), tmp.path().join("link"));
    std::fs::write(&real, "old").unwrap();
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    symlink("real", &link).unwrap();
    let mut file = NewFile::at_target(&link).unwrap();
    file.write_all(b"new").unwrap();
    file.commit_target().unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);

    let fresh = tmp.path().join("fresh");
    let long = tmp.path().join("n".repeat(255));
    for path in [&fresh, &long] {
        NewFile::at_target(path).unwrap().commit_target().unwrap();
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let plain = tmp.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        assert_eq!(
            mode,
            std::fs::metadata(&plain).unwrap().permissions().mode() & 0o777,
            "as the umask says"
        );
    }
}

#[test]
fn a_device_a_pipe_or_a_directory_is_never_replaced() {
    let tmp = tempfile::tempdir().unwrap();
    let pipe = tmp.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [Path::new("/dev/null"), &pipe, tmp.path()] {
        let error = NewFile::at_target(path).unwrap_err();
        assert_eq!(error.reason, Reason::NotRegular, "{error}");
    }
    assert_eq!(names(tmp.path()), ["pipe"]);
    assert!(NewFile::at_target(&tmp.path().join("missing/x")).unwrap_err().is_not_found());
    assert_eq!(NewFile::at_target(Path::new("..")).unwrap_err().reason, Reason::NotRegular);
}

#[test]
fn names_are_one_component_and_links_are_not_followed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    for name in ["", ".", "..", "a/b", "/etc/passwd", "../x"] {
        assert_eq!(dir.open_file(name).unwrap_err().reason, Reason::BadName, "{name:?}");
        assert_eq!(dir.new_file(0o600).unwrap().commit(name).unwrap_err().reason, Reason::BadName);
    }
    symlink("/etc/passwd", tmp.path().join("link")).unwrap();
    symlink("/etc", tmp.path().join("dirlink")).unwrap();
    assert_eq!(dir.open_file("link").unwrap_err().errno(), Some(Errno::ELOOP));
    assert!(dir.subdir("dirlink").is_err());
    nix::unistd::mkfifo(&tmp.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(dir.open_file("pipe").unwrap_err().reason, Reason::NotRegular);
    assert_eq!(dir.kind("pipe").unwrap(), Some(Kind::Other));
    assert_eq!(dir.kind("nothing").unwrap(), None);
}

#[test]
fn only_temporary_files_are_swept() {
    let tmp = tempfile::tempdir().unwrap();
    for name in [".tmp-1", ".tmp-2", "tmp-3", ".other"] {
        std::fs::write(tmp.path().join(name), "").unwrap();
    }
    std::fs::create_dir(tmp.path().join(".tmp-dir")).unwrap();
    assert_eq!(Dir::open(tmp.path()).unwrap().sweep_tmp().unwrap(), 2);
    assert_eq!(names(tmp.path()), [".other", ".tmp-dir", "tmp-3"]);
}
