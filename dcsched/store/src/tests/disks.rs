//! Disks that fail: every call in turn, once or from then on; and a disk that is full and is freed again.

use super::*;
use dc_spool::fakes::{FailingDisk, Fault};
use dc_spool::files::{Disk, Linux};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A life of a scheduler; gives the last record that it was told is durable, and the epoch if it had begun.
fn life(disk: Arc<dyn Disk>, dir: &Path) -> (u64, Option<u32>, Option<StoreError>) {
    let (mut store, recovered) = match Store::open_on(disk, dir, small()) {
        Ok(opened) => opened,
        Err(error) => return (0, None, Some(error)),
    };
    let mut last = store.progress().durable_seq;
    for n in 0..60 {
        match store.append(KIND, &payload(last + 1), Room::Normal) {
            Ok(seq) => last = seq,
            Err(AppendError::Full(_)) => match store.append(KIND, &payload(last + 1), Room::Reserved) {
                Ok(seq) => last = seq,
                Err(AppendError::Exhausted { .. }) => break,
                Err(AppendError::Stopped(_)) => break,
                Err(error) => panic!("{error}"),
            },
            Err(AppendError::Stopped(_)) => break,
            Err(error) => panic!("{error}"),
        }
        if n % 6 == 5 && store.wait_durable(last).is_err() {
            break;
        }
        if n % 24 == 23 && store.progress().failed.is_none() {
            // That it fails harms nothing.
            let _ = snapshot_now(&mut store);
        }
    }
    let durable = {
        let _ = store.wait_durable(last);
        store.progress().durable_seq
    };
    (durable, Some(recovered.epoch), store.close().err())
}

#[test]
fn every_call_fails_in_turn_and_nothing_acknowledged_is_lost() {
    let faults =
        [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::DoneBut(Errno::EIO), Fault::Short];
    let mut met = 0;
    for fault in faults {
        for persistent in [false, true] {
            for n in 0.. {
                assert!(n < 500, "the calls end");
                let tmp = scratch();
                let dir = tmp.path().join("state");
                init(&dir).unwrap();
                let disk = Arc::new(FailingDisk::new(n, fault, persistent));
                let (durable, epoch, error) = life(disk.clone(), &dir);
                let what = format!("call {n}, {fault:?}, persistent {persistent}, {error:?}");
                let found = read_dir(&dir);
                assert_eq!(found.error, None, "{what}");
                assert!(check_found(&found, &what) >= durable, "{what}: lost");
                assert!(found.epoch >= epoch.unwrap_or(0), "{what}");
                // And it goes on from there.
                let (store, recovered) = open_small(&dir);
                assert!(recovered.epoch > epoch.unwrap_or(0), "{what}");
                store.close().unwrap();
                if disk.calls().len() <= n {
                    assert_eq!(error, None, "{what}");
                    break;
                }
                met += 1;
            }
        }
    }
    assert!(met > 200, "only {met} faults were met");
}

#[test]
fn every_call_of_init_fails_in_turn_and_it_can_be_said_again() {
    for fault in
        [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::DoneBut(Errno::EIO), Fault::Short]
    {
        for n in 0.. {
            assert!(n < 100, "the calls end");
            let tmp = scratch();
            let dir = tmp.path().join("state");
            let disk = Arc::new(FailingDisk::new(n, fault, true));
            let made = init_on(disk.clone(), &dir);
            match init(&dir) {
                Ok(_) => assert!(made.is_err()),
                Err(StoreError::Made { .. }) => {}
                Err(error) => panic!("call {n}, {fault:?}: {error}"),
            }
            open_small(&dir).0.close().unwrap();
            if disk.calls().len() <= n {
                assert!(made.is_ok());
                break;
            }
        }
    }
}

#[test]
fn nothing_is_tried_again_after_a_failed_sync() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let disk = Arc::new(FailingDisk::never());
    let (store, _) = Store::open_on(disk.clone(), &dir, small()).unwrap();
    let calls = disk.calls().len();
    store.close().unwrap();
    let disk = Arc::new(FailingDisk::new(calls + 2, Fault::Error(Errno::EIO), false));
    let (mut store, _) = Store::open_on(disk.clone(), &dir, small()).unwrap();
    while disk.calls().len() <= calls + 2 {
        let Ok(seq) = store.append(KIND, b"x", Room::Normal) else { break };
        let _ = store.wait_durable(seq);
    }
    let durable = store.progress().durable_seq;
    let error = store.progress().failed.unwrap();
    let after = disk.calls().len();
    for room in [Room::Normal, Room::Reserved] {
        assert_eq!(store.append(KIND, b"y", room), Err(AppendError::Stopped(error.clone())));
    }
    assert_eq!(store.snapshot(Vec::new(), 1), Err(SnapshotError::Stopped(error.clone())));
    assert_eq!(store.progress().durable_seq, durable);
    assert_eq!(store.close(), Err(error));
    assert_eq!(disk.calls().len(), after, "no call came after the one that failed");
}

/// A disk that takes no reservation while it is said to be full.
#[derive(Debug, Default)]
struct Fullable(AtomicBool);

impl Disk for Fullable {
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(Errno::ENOSPC) } else { Linux.allocate(file, offset, len) }
    }
}

#[test]
fn on_a_full_disk_ends_are_still_recorded_and_it_goes_on_when_there_is_space() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let disk = Arc::new(Fullable::default());
    let (mut store, _) = Store::open_on(disk.clone(), &dir, small()).unwrap();
    for _round in 0..3 {
        disk.0.store(true, Ordering::SeqCst);
        let mut last = store.progress().durable_seq;
        let full = loop {
            match store.append(KIND, &payload(last + 1), Room::Normal) {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
            store.wait_durable(last).unwrap();
        };
        assert!(matches!(&full, AppendError::Full(error) if error.is_full()), "{full}");
        assert!(full.to_string().contains("free some space"), "{full}");
        assert!(store.progress().full.is_some());
        // The reserve is there to its last byte, and its end is told, not run into.
        let mut reserved = 0;
        let end = loop {
            match store.append(KIND, &payload(last + 1), Room::Reserved) {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
            reserved += payload(last).len() as u64 + 32;
            store.wait_durable(last).unwrap();
        };
        assert!(matches!(end, AppendError::Exhausted { .. }), "{end}");
        assert!(reserved >= small().reserve_bytes / 2, "only {reserved} bytes were reserved");
        assert_eq!(store.progress().failed, None);
        assert_eq!(store.progress().durable_seq, last);

        disk.0.store(false, Ordering::SeqCst);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while store.progress().full.is_some() {
            assert!(std::time::Instant::now() < deadline, "it is asked again");
            let mut fds = [nix::poll::PollFd::new(store.ready_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut fds, 1000u16).unwrap();
        }
        last = append(&mut store, 50, 5);
        assert_eq!(check_found(&read_dir(&dir), "freed"), last);
    }
    store.close().unwrap();
}

#[test]
fn more_than_may_wait_is_refused_for_the_moment_only() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (mut store, _) = open_small(&dir);
    // Records of a third of what may wait: the journal's thread is woken, but cannot always be in time.
    let (mut taken, mut busy) = (0, 0);
    for _ in 0..2000 {
        match store.append(KIND, &[7; 1200], Room::Normal) {
            Ok(seq) => taken = seq,
            Err(AppendError::Busy { pending_bytes }) => {
                assert!(pending_bytes <= small().pending_bytes);
                busy += 1;
                store.wait_durable(taken).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(busy > 0);
    store.close().unwrap();
    assert_eq!(read_dir(&dir).before.seq, taken);
}

/// A file system of a few hundred KiB; needs the right to make one.
#[test]
fn a_real_full_file_system() {
    let tmp = scratch();
    let flags = nix::mount::MsFlags::empty();
    let mounted = nix::mount::mount(Some("tmpfs"), tmp.path(), Some("tmpfs"), flags, Some("size=256k"));
    if let Err(errno) = mounted {
        eprintln!("skipped: no file system can be mounted here ({errno})");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let dir = tmp.path().join("state");
        init(&dir).unwrap();
        let (mut store, _) = open_small(&dir);
        std::fs::write(tmp.path().join("ballast"), vec![1; 64 << 10]).unwrap();
        let mut last = store.progress().durable_seq;
        while let Ok(seq) = store.append(KIND, &payload(last + 1), Room::Normal) {
            last = seq;
            store.wait_durable(last).unwrap();
        }
        last = store.append(KIND, &payload(last + 1), Room::Reserved).unwrap();
        store.close().unwrap();
        assert_eq!(check_found(&read_dir(&dir), "full"), last);
        // Taken up again on the full disk: ends can be recorded.
        let (mut store, recovered) = open_small(&dir);
        last = store.append(KIND, &payload(last + 2), Room::Reserved).unwrap();
        store.wait_durable(last).unwrap();
        store.close().unwrap();
        assert_eq!(check_found(&read_dir(&dir), "full again"), last, "{:?}", recovered.notes);
        std::fs::remove_file(tmp.path().join("ballast")).unwrap();
        let (mut store, _) = open_small(&dir);
        append(&mut store, 50, 5);
    });
    nix::mount::umount2(tmp.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    outcome.unwrap();
}
