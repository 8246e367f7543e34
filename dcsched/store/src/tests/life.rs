//! Open, append, close, snapshot, rotate, race: the store as its caller uses it.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_was_appended_is_there_at_the_next_opening() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    let cluster = init(&dir).unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let mut expected = 0;
    for epoch in 1..=5 {
        let (mut store, recovered) = open_small(&dir);
        assert_eq!((store.cluster(), store.epoch(), recovered.epoch), (cluster, epoch, epoch));
        assert_eq!((recovered.tail, &recovered.notes), (Tail::Clean, &Vec::new()));
        assert_eq!(recovered.records.iter().last().map_or(0, |r| r.seq), expected);
        assert_eq!(store.progress().durable_seq, expected + 1, "the epoch is durable before anything else");
        expected = append(&mut store, 100, 7);
        store.close().unwrap();
        let found = read_dir(&dir);
        assert_eq!(found.error, None);
        assert_eq!(check_found(&found, "closed"), expected);
        let epochs: Vec<_> = found.records.iter().filter(|r| r.kind == TYPE_EPOCH).map(|r| r.epoch).collect();
        assert_eq!(epochs, (1..=epoch).collect::<Vec<_>>());
    }
    assert!(read_dir(&dir).segments.len() > 10, "segments are rotated");
}

#[test]
fn a_snapshot_makes_older_files_go_but_for_one_generation() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (mut store, _) = open_small(&dir);
    for round in 2..8 {
        append(&mut store, 60, 10);
        let done = snapshot_now(&mut store).unwrap();
        assert_eq!(done.number, round);
        let found = read_dir(&dir);
        assert_eq!(found.error, None);
        assert_eq!(found.snapshots, [round - 1, round]);
        assert!(found.segments.len() < 12, "{:?}", found.segments);
        assert_eq!(check_found(&found, "snapshot"), done.seq);
        assert!(store.progress().tail_bytes < 200, "{}", store.progress().tail_bytes);
    }
    let last = append(&mut store, 30, 3);
    store.close().unwrap();
    // The newest is damaged: the one before, with its longer tail, says the same.
    let newest = dir.join("snapshot.000007");
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes[200] ^= 4;
    put(&newest, &bytes);
    let (store, recovered) = open_small(&dir);
    assert!(recovered.notes[0].contains("snapshot.000007 is damaged"), "{:?}", recovered.notes);
    assert_eq!(recovered.records.iter().last().unwrap().seq, last);
    assert!(recovered.state_seq > 0 && recovered.state == state(recovered.state_seq));
    drop(store);
    assert_eq!(repair(&dir).unwrap().len(), 1);
    assert!(dir.join("bad.snapshot.000007").exists());
    assert_eq!(repair(&dir).unwrap(), [""; 0]);
    assert!(check(&dir).unwrap().damage.is_none());
}

#[test]
fn a_state_of_many_chunks_comes_back_whole() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    for len in [1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5] {
        let (mut store, _) = Store::open(&dir).unwrap();
        let big: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
        let seq = store.progress().durable_seq;
        store.snapshot(big.clone(), seq).unwrap();
        assert_eq!(store.snapshot(Vec::new(), seq), Err(SnapshotError::Busy));
        store.close().unwrap();
        let (_store, recovered) = Store::open(&dir).unwrap();
        assert_eq!((recovered.state_seq, recovered.state == big), (seq, true));
        assert_eq!(recovered.records.iter().count(), 0);
    }
}

#[test]
fn a_second_one_is_refused_in_one_line_and_of_many_one_wins() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (store, _) = open_small(&dir);
    let error = Store::open(&dir).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with(&format!("is in use by process {}: one dcsched at a time", std::process::id())),
        "{text}"
    );
    assert!(check(&dir).unwrap().held_by.is_some());
    assert!(matches!(repair(&dir), Err(StoreError::Held { .. })));
    drop(store);
    assert_eq!(check(&dir).unwrap().held_by, None);
    for round in 0..20 {
        let gate = std::sync::Barrier::new(4);
        let won: usize = std::thread::scope(|scope| {
            let opener = || {
                gate.wait();
                let opened = Store::open_on(std::sync::Arc::new(dc_spool::files::Linux), &dir, small());
                gate.wait();
                match opened {
                    Ok(_) => 1,
                    Err(StoreError::Held { .. }) => 0,
                    Err(error) => panic!("round {round}: {error}"),
                }
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(opener)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(open_small(&dir).1.epoch, 22);
}

#[test]
fn what_is_no_state_directory_is_told_apart() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    assert!(matches!(Store::open(&dir), Err(StoreError::NotMade { .. })));
    std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    assert!(matches!(Store::open(&dir), Err(StoreError::NotMade { .. })));
    std::fs::write(dir.join("x"), "").unwrap();
    assert!(matches!(init(&dir), Err(StoreError::NotEmpty { .. })));
    std::fs::remove_file(dir.join("x")).unwrap();
    init(&dir).unwrap();
    assert!(matches!(init(&dir), Err(StoreError::Made { .. })));
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o750)).unwrap();
    assert_eq!(Store::open(&dir).unwrap_err(), StoreError::Mode { dir: dir.clone(), mode: 0o750 });
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
    // Another cluster's segment; a newer version.
    let (store, _) = open_small(&dir);
    store.close().unwrap();
    let other = tmp.path().join("other");
    init(&other).unwrap();
    open_small(&other).0.close().unwrap();
    let segment = std::fs::read(dir.join("journal.000001")).unwrap();
    put(&dir.join("journal.000001"), &std::fs::read(other.join("journal.000001")).unwrap());
    assert!(matches!(Store::open(&dir), Err(StoreError::Foreign { .. })));
    let mut newer = segment.clone();
    newer[8] = 9;
    put(&dir.join("journal.000001"), &newer);
    assert!(Store::open(&dir).unwrap_err().to_string().contains("a newer dc wrote it"));
    put(&dir.join("journal.000001"), &segment);
    let cluster = std::fs::read(dir.join("cluster")).unwrap();
    for byte in 0..cluster.len() {
        let mut bytes = cluster.clone();
        bytes[byte] ^= 1;
        put(&dir.join("cluster"), &bytes);
        Store::open(&dir).unwrap_err();
    }
    put(&dir.join("cluster"), &cluster);
    std::fs::remove_file(dir.join("snapshot.000001")).unwrap();
    assert!(matches!(Store::open(&dir), Err(StoreError::NoSnapshot { .. })));
}

#[test]
fn a_missing_segment_is_never_passed_over() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    for snapshots in 0..3 {
        let (mut store, _) = open_small(&dir);
        if snapshots > 0 {
            snapshot_now(&mut store).unwrap();
        }
        append(&mut store, 100, 10);
        store.close().unwrap();
        let all = files(&dir);
        let found = read_dir(&dir);
        let needed: Vec<_> = found.records.segments.iter().map(|s| s.header.number).collect();
        for number in &found.segments[..found.segments.len() - 1] {
            let name = crate::layout::segment(*number);
            let left: Vec<_> = all.iter().filter(|(n, _)| *n != name).cloned().collect();
            let path = directory(tmp.path(), &left);
            let found = read_dir(&path);
            if needed.contains(number) {
                assert!(found.error.is_some(), "{name} of {needed:?}");
                assert!(check(&path).unwrap().damage.is_some());
            } else {
                assert_eq!(found.error, None);
            }
        }
    }
}

#[test]
fn limits_are_refusals_and_leave_no_trace() {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (mut store, _) = Store::open(&dir).unwrap();
    let long = vec![1; PAYLOAD_BYTES_MAX + 1];
    assert!(matches!(store.append(KIND, &long, Room::Normal), Err(AppendError::TooLong { .. })));
    assert_eq!(store.append(KIND, &long[1..], Room::Normal), Ok(2));
    assert_eq!(store.append(KIND, &[], Room::Normal), Ok(3));
    assert_eq!(store.snapshot(Vec::new(), 4), Err(SnapshotError::Ahead { at_seq: 4 }));
    store.close().unwrap();
    let found = read_dir(&dir);
    let lengths: Vec<_> = found.records.iter().skip(1).map(|r| r.payload.len()).collect();
    assert_eq!(lengths, [PAYLOAD_BYTES_MAX, 0]);
}
