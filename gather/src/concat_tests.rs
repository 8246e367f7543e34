//! Strung-together results: in order, whole, or not at all.

use super::*;
use crate::test_spool::TestSpool;
use crate::{Dtype, Layout};
use dc_spool::fakes::{FailingDisk, Fault};
use nix::errno::Errno;
use std::fs;
use std::sync::Arc;

const BYTES: (Dtype, Layout, u32) = (Dtype::U1, Layout::Bytes, 1);

fn three() -> (TestSpool, Vec<Part>) {
    let spool = TestSpool::new();
    let texts = [&b"one\n"[..], b"", b"three, which is longer\n"];
    let parts = texts.iter().zip(0..).map(|(text, i)| spool.add(i, None, BYTES, text)).collect();
    (spool, parts)
}

#[test]
fn payloads_in_the_order_of_the_parts() {
    let (spool, mut parts) = three();
    assert_eq!(concat(&spool.target(), parts.clone(), &spool.results).unwrap(), 27);
    assert_eq!(fs::read(spool.target()).unwrap(), b"one\nthree, which is longer\n");
    assert_eq!(spool.names(), ["merged"]);
    parts.reverse();
    assert_eq!(concat(&spool.target(), parts, &spool.results).unwrap(), 27);
    assert_eq!(fs::read(spool.target()).unwrap(), b"three, which is longer\none\n");
    assert_eq!(concat(&spool.target(), [], &spool.results).unwrap(), 0, "no parts make an empty file");
    assert_eq!(fs::read(spool.target()).unwrap(), b"");
}

#[test]
fn what_is_wrong_names_its_subtask_and_the_target_stays() {
    let case = |change: fn(&TestSpool, &mut Part), words: &str| {
        let (spool, mut parts) = three();
        fs::write(spool.target(), "old").unwrap();
        change(&spool, &mut parts[2]);
        let error = concat(&spool.target(), parts, &spool.results).unwrap_err().to_string();
        assert!(error.contains("subtask 2") && error.contains(words), "{error:?} for {words:?}");
        assert!(!error.contains(char::is_control), "{error:?}");
        assert_eq!(fs::read(spool.target()).unwrap(), b"old");
        assert_eq!(spool.names(), ["merged"]);
    };
    case(|_, part| part.committed = None, "left no result");
    case(|spool, _| fs::remove_file(spool.result_path(2)).unwrap(), "left no result");
    case(|spool, _| spool.damage(2), "cannot be used");
    case(|spool, _| fs::write(spool.result_path(2), "short").unwrap(), "cannot be used");
    case(|spool, _| assert!(fs::copy(spool.result_path(0), spool.result_path(2)).is_ok()), "cannot be used");
    case(|spool, _| drop(spool.add(2, None, BYTES, b"another")), "not the one that was committed");
    case(
        |spool, part| {
            part.name = Some("a\u{1b}[2Jb".into());
            spool.damage(2);
        },
        "(a\\u{1b}[2Jb)",
    );
}

#[test]
fn a_disk_that_fails_at_any_call_leaves_the_old_file() {
    let calls = {
        let (spool, parts) = three();
        fs::write(spool.target(), "old").unwrap();
        let disk = Arc::new(FailingDisk::never());
        let file = NewFile::at_target_on(disk.clone(), &spool.target()).unwrap();
        concat_into(file, parts, &spool.results).unwrap();
        disk.calls().len()
    };
    assert!(calls > 4, "create, writes, sync, close, rename, sync: {calls}");
    // The last call is the directory's sync: by then the new file has the name.
    let faults = [(Errno::ENOSPC, "No space left"), (Errno::EIO, "I/O error")];
    let each = (0..calls - 1).flat_map(|first| faults.map(|fault| (first, fault)));
    for ((first, (errno, words)), persistent) in each.flat_map(|at| [(at, false), (at, true)]) {
        let (spool, parts) = three();
        fs::write(spool.target(), "old").unwrap();
        let disk = Arc::new(FailingDisk::new(first, Fault::Error(errno), persistent));
        let merged = NewFile::at_target_on(disk, &spool.target())
            .map_err(MergeError::from)
            .and_then(|file| concat_into(file, parts, &spool.results));
        let error = merged.unwrap_err().to_string();
        assert!(error.contains(words), "call {first}: {error}");
        assert_eq!(fs::read(spool.target()).unwrap(), b"old", "call {first}");
        assert_eq!(spool.names(), ["merged"], "call {first}");
    }
    println!("trust: changes of a disk made to fail, a merge: {} calls", (calls - 1) * faults.len() * 2);
}

/// Every read of a result: the merged file is the right one, or the old one is left and the error told.
#[test]
fn with_every_read_failing_a_merge_is_right_or_not_at_all() {
    let (mut met, mut told) = (0, 0);
    let eio = Fault::Error(Errno::EIO);
    for fault in [eio, Fault::Error(Errno::EMFILE), Fault::Short, Fault::End, Fault::Flipped] {
        for persistent in [false, true] {
            for n in 0.. {
                let (spool, parts) = three();
                let expected = {
                    concat_into(spool.begin(), parts.clone(), &spool.results).unwrap();
                    fs::read(spool.target()).unwrap()
                };
                fs::write(spool.target(), "old").unwrap();
                let disk = Arc::new(FailingDisk::reading(n, fault, persistent));
                let merged = spool.results_on(disk.clone()).map_err(MergeError::from);
                let merged = merged.and_then(|results| concat_into(spool.begin(), parts, &results));
                let left = fs::read(spool.target()).unwrap();
                assert_eq!(spool.names(), ["merged"], "call {n}, {fault:?}");
                match &merged {
                    Ok(_) => assert_eq!(left, expected, "call {n}, {fault:?}"),
                    Err(error) => assert_eq!(left, b"old", "call {n}, {fault:?}: {error}"),
                }
                if disk.calls().len() <= n {
                    assert!(merged.is_ok());
                    break;
                }
                met += 1;
                told += u32::from(merged.is_err());
            }
        }
    }
    assert!(told > met / 2, "{told} of {met} were told");
    println!("trust: reads made to fail, a merge: {met} calls");
}
