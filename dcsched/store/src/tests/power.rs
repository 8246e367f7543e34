//! Power cuts at every instant of a scheduler's life, with any part of what was not synced lost: what was acknowledged is
//! there, what is there was written, and no epoch comes twice.

use super::model_disk::{Event, ModelDisk, after_power_cut};
use super::*;
use std::sync::Arc;

/// SplitMix64: the states are the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Three runs with rotations and snapshots; what the directory began with, and all that happened.
fn lives(tmp: &Path) -> (Vec<(String, Vec<u8>)>, Vec<Event>) {
    let dir = tmp.join("state");
    init(&dir).unwrap();
    let base = files(&dir);
    let disk = Arc::new(ModelDisk::default());
    for _ in 0..3 {
        let (mut store, recovered) = Store::open_on(disk.clone(), &dir, small()).unwrap();
        let epoch = recovered.epoch;
        let mut last = store.progress().durable_seq;
        disk.note(Event::Told { seq: last, epoch });
        for n in 0..45u64 {
            last = store.append(KIND, &payload(last + 1), Room::Normal).unwrap();
            if n % 9 == 3 || n % 9 == 8 {
                store.wait_durable(last).unwrap();
                disk.note(Event::Told { seq: last, epoch });
            }
            if n % 20 == 8 {
                snapshot_now(&mut store).unwrap();
            }
        }
        store.close().unwrap();
        disk.note(Event::Told { seq: last, epoch });
    }
    (base, disk.events())
}

#[test]
fn a_power_cut_at_any_instant_loses_nothing_acknowledged() {
    let seed = std::env::var("DC_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(4);
    let rounds = std::env::var("DC_TEST_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(12);
    eprintln!("seed {seed}, {rounds} rounds (DC_TEST_SEED, DC_TEST_ROUNDS)");
    let tmp = scratch();
    let (base, events) = lives(tmp.path());
    assert!(events.len() > 150, "{} events", events.len());
    let mut random = Random(seed);
    let (mut states, mut torn) = (0, 0);
    for cut in 0..=events.len() {
        let told = |event: &Event| match event {
            Event::Told { seq, epoch } => Some((*seq, *epoch)),
            _ => None,
        };
        let (told_seq, told_epoch) = events[..cut].iter().rev().find_map(told).unwrap_or((0, 0));
        for round in 0..rounds {
            // All, none, and parts of every size.
            let percent = match round {
                0 => 0,
                1 => 100,
                _ => random.next() % 100,
            };
            let left = after_power_cut(&base, &events[..cut], &mut || random.next() % 100 < percent);
            let path = directory(tmp.path(), &left);
            let found = read_dir(&path);
            let what = format!("seed {seed}, cut after event {cut}, round {round} ({percent} %)");
            assert_eq!(found.error, None, "{what}");
            let last = check_found(&found, &what);
            assert!(last >= told_seq, "{what}: {last} of {told_seq} acknowledged records");
            assert!(found.epoch >= told_epoch, "{what}: epoch {} after {told_epoch}", found.epoch);
            states += 1;
            torn += usize::from(found.tail != Tail::Clean);
            if round == 2 {
                // It goes on from there, and what it says then is read again.
                let (mut store, _) = open_small(&path);
                let last = append(&mut store, 5, 2);
                store.close().unwrap();
                let found = read_dir(&path);
                assert_eq!(found.error, None, "{what}: taken up");
                assert_eq!(check_found(&found, &what), last, "{what}: taken up");
            }
        }
    }
    eprintln!("{states} states, {torn} with a torn tail");
    assert!(torn > 20, "the model tears");
}

/// The checker sees what it is for: a journal that told before it synced.
#[test]
fn telling_too_early_is_seen() {
    let tmp = scratch();
    let (base, events) = lives(tmp.path());
    let early = events.iter().position(|e| matches!(e, Event::Told { seq, .. } if *seq > 5)).unwrap();
    let sync = events[..early].iter().rposition(|e| matches!(e, Event::Sync { .. })).unwrap();
    let left = after_power_cut(&base, &events[..sync], &mut || false);
    let found = read_dir(&directory(tmp.path(), &left));
    let Event::Told { seq, .. } = events[early] else { unreachable!() };
    assert!(check_found(&found, "early") < seq);
}
