//! A journal and a snapshot, damaged in every way at every byte: what is read is an exact beginning of what was written,
//! or an error; what was acknowledged is never silently lost; nothing panics.

use super::*;

/// Three segments of two runs, the last with a last batch of three; its bytes, a little of the zeros behind included.
struct Journal {
    tmp: tempfile::TempDir,
    dir: PathBuf,
    name: PathBuf,
    bytes: Vec<u8>,
    used: usize,
    last_batch: usize,
    last_seq: u64,
    acknowledged_before: u64,
}

fn journal() -> Journal {
    let tmp = scratch();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (mut store, _) = open_small(&dir);
    append(&mut store, 40, 5);
    snapshot_now(&mut store).unwrap();
    append(&mut store, 4, 2);
    drop(store);
    let (mut store, _) = open_small(&dir);
    let acknowledged_before = append(&mut store, 12, 4);
    let last_batch = read_dir(&dir).before.bytes as usize;
    let last_seq = append(&mut store, 3, 3);
    let found = read_dir(&dir);
    let used = found.before.bytes as usize;
    let name = dir.join(crate::layout::segment(found.last_segment()));
    let mut bytes = std::fs::read(&name).unwrap();
    bytes.truncate(used + 160);
    Journal { tmp, dir, name, bytes, used, last_batch, last_seq, acknowledged_before }
}

impl Journal {
    /// Reads with the last segment replaced.
    fn read_with(&self, bytes: &[u8], what: &str) -> Result<(u64, Tail), StoreError> {
        put(&self.name, bytes);
        let found = read_dir(&self.dir);
        let last = check_found(&found, what);
        assert!(last <= self.last_seq, "{what}: more than was written");
        found.error.map_or(Ok((last, found.tail)), Err)
    }
}

#[test]
fn every_flipped_bit_of_a_segment_is_seen() {
    let journal = journal();
    let mut refused = 0;
    for bit in 0..journal.bytes.len() * 8 {
        let mut bytes = journal.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match journal.read_with(&bytes, &format!("bit {bit}")) {
            Ok((last, tail)) => {
                assert_ne!(tail, Tail::Clean, "bit {bit}");
                assert!(bit / 8 >= journal.last_batch, "bit {bit}: acknowledged records were cut away");
                assert!(last >= journal.acknowledged_before, "bit {bit}");
                assert!(last < journal.last_seq || bit / 8 >= journal.used, "bit {bit}");
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, journal.last_batch * 8, "all that a later record vouches for, and no more");
}

#[test]
fn every_cut_and_fill_gives_a_beginning() {
    let journal = journal();
    // What an older block may hold: this journal's own first segment, and another cluster's.
    let other = self::journal();
    let first = files(&journal.dir).into_iter().find(|(name, _)| name.starts_with("journal.")).unwrap().1;
    for at in 0..=journal.bytes.len() {
        let (kept, lost) = journal.bytes.split_at(at);
        let garbage: Vec<u8> = (0..lost.len()).map(|i| (i * 151 + at * 7 + 13) as u8).collect();
        let fills = [
            Vec::new(),
            vec![0; lost.len()],
            vec![0xff; lost.len()],
            garbage,
            first.get(at..).unwrap_or_default().to_vec(),
            other.bytes.get(at..).unwrap_or_default().to_vec(),
        ];
        for (nth, fill) in fills.iter().enumerate() {
            let what = format!("fill {nth} from byte {at} on");
            // A tail that is lost as a whole takes its proof with it; never more than that.
            match journal.read_with(&[kept, fill].concat(), &what) {
                Ok((last, _)) if at >= journal.used => assert_eq!(last, journal.last_seq, "{what}"),
                Ok((last, _)) if at >= journal.last_batch => {
                    assert!(last >= journal.acknowledged_before, "{what}");
                }
                Ok(_) => {}
                Err(error) => assert!(at < SEGMENT_HEADER_BYTES, "{what}: {error}"),
            }
        }
    }
    assert!(journal.tmp.path().exists());
}

#[test]
fn every_zeroed_stretch_before_the_last_batch_is_refused() {
    let journal = journal();
    for at in 0..journal.bytes.len() {
        for len in [1, 8, 32, 64, 512] {
            let end = (at + len).min(journal.bytes.len());
            let mut bytes = journal.bytes.clone();
            bytes[at..end].fill(0);
            let what = format!("{len} zeros at {at}");
            let untouched = bytes == journal.bytes;
            match journal.read_with(&bytes, &what) {
                Ok((last, _)) => {
                    assert!(untouched || end > journal.last_batch, "{what}");
                    assert!(!untouched || last == journal.last_seq, "{what}");
                }
                Err(_) => assert!(at < journal.last_batch, "{what}"),
            }
        }
    }
}

#[test]
fn an_earlier_segment_is_as_well_guarded() {
    let journal = journal();
    put(&journal.name, &journal.bytes);
    let needed = read_dir(&journal.dir).records.segments;
    assert!(needed.len() > 1);
    let (name, used) = (crate::layout::segment(needed[0].header.number), needed[0].valid_bytes as usize);
    let path = journal.dir.join(name);
    let whole = std::fs::read(&path).unwrap();
    let mut overtaken = 0;
    for at in 0..used {
        for damaged in [
            whole[..at].to_vec(),
            [&whole[..at], &[whole[at] ^ 0x10], &whole[at + 1..]].concat(),
            [&whole[..at], &vec![0; whole.len() - at][..]].concat(),
        ] {
            put(&path, &damaged);
            let found = read_dir(&journal.dir);
            let last = check_found(&found, &format!("byte {at}"));
            overtaken += usize::from(found.overtaken.is_some());
            if found.error.is_none() {
                assert_eq!(last, journal.last_seq, "byte {at}");
            }
        }
    }
    assert!(overtaken > 0, "damage that the snapshot makes good does not stop anybody");
}

#[test]
fn every_flipped_bit_and_cut_of_a_snapshot_falls_back() {
    let journal = journal();
    put(&journal.name, &journal.bytes);
    let path = journal.dir.join("snapshot.000002");
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        put(&path, bytes);
        let found = read_dir(&journal.dir);
        if found.error.is_none() {
            assert_eq!(found.passed_over.len(), 1, "{what}");
            assert_eq!(check_found(&found, what), journal.last_seq, "{what}");
        }
        found.error
    };
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = check(&bytes, &format!("bit {bit}"));
        // One that says it is a newer dc's is not damage.
        assert!(error.is_none() || (64..80).contains(&bit), "bit {bit}: {error:?}");
    }
    for at in 0..whole.len() {
        assert_eq!(check(&whole[..at], &format!("cut at {at}")), None);
    }
    check(&[&whole[..], b"\0"].concat(), "one byte more");
}

#[test]
fn the_check_says_what_would_be_lost_and_the_repair_touches_nothing_then() {
    let journal = journal();
    let mut bytes = journal.bytes.clone();
    bytes[SEGMENT_HEADER_BYTES + 5] ^= 1;
    put(&journal.name, &bytes);
    let before = files(&journal.dir);
    let report = check(&journal.dir).unwrap();
    let damage = report.damage.clone().unwrap();
    assert_eq!(damage.proven_seq, journal.last_seq);
    assert!(damage.readable_seq < journal.acknowledged_before);
    let text = report.to_string();
    assert!(text.contains("DAMAGED: ") && text.contains("at least would be lost"), "{text}");
    assert!(repair(&journal.dir).is_err());
    assert_eq!(files(&journal.dir), before, "nothing was changed");

    // A torn tail: what is cut is kept aside, and what is left opens.
    let torn = &journal.bytes[..journal.used - 5];
    put(&journal.name, torn);
    assert!(
        check(&journal.dir).unwrap().to_string().contains("never")
            || check(&journal.dir).unwrap().damage.is_none()
    );
    let done = repair(&journal.dir).unwrap();
    assert_eq!(done.len(), 1, "{done:?}");
    let aside = files(&journal.dir).into_iter().find(|(name, _)| name.starts_with("cut.")).unwrap();
    let left = std::fs::read(&journal.name).unwrap();
    let whole = [&left[..], &aside.1[..]].concat();
    assert_eq!(whole[..], torn[..whole.len()]);
    assert!(torn[whole.len()..].iter().all(|b| *b == 0));
    let found = read_dir(&journal.dir);
    assert_eq!((found.tail, found.error.is_none()), (Tail::Clean, true));
}
