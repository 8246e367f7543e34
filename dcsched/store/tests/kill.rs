//! A process that appends in a loop is killed at any moment, again and again: all that it was told is durable is there.

#![allow(clippy::unwrap_used)] // A test: what cannot be unwrapped fails it.

use dcsched_store::{AppendError, Options, Room, Store, TYPE_EPOCH, TYPE_FIRST, check, init};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const DIR: &str = "DC_TEST_STORE_DIR";

fn options() -> Options {
    // Rotations and snapshots often, so that kills meet them.
    Options {
        segment_bytes: 32 << 10,
        reserve_bytes: 8 << 10,
        pending_bytes: 64 << 10,
        chunk_bytes: 8 << 10,
        ..Options::default()
    }
}

fn payload(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(1 + (seq % 40) as usize)
}

/// What the other test starts and kills; does nothing by itself.
#[test]
fn appender() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (mut store, recovered) = open(Path::new(&dir));
    let mut last = store.progress().durable_seq;
    let mut out = std::io::stdout();
    writeln!(out, "durable {last} epoch {}", recovered.epoch).unwrap();
    loop {
        for _ in 0..1 + last % 23 {
            match store.append(TYPE_FIRST, &payload(last + 1), Room::Normal) {
                Ok(seq) => last = seq,
                Err(AppendError::Busy { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        store.sync();
        let progress = store.progress();
        assert_eq!((progress.failed, progress.full), (None, None));
        writeln!(out, "durable {} epoch {}", progress.durable_seq, recovered.epoch).unwrap();
        if progress.tail_bytes > 100 << 10 {
            let _ = store.snapshot(last.to_le_bytes().repeat(3000), last);
        }
    }
}

fn open(dir: &Path) -> (Store, dcsched_store::Recovered) {
    Store::open_on(Arc::new(dc_spool::files::Linux), dir, options()).unwrap()
}

#[test]
fn what_a_killed_process_was_told_is_there() {
    let rounds: u64 = std::env::var("DC_TEST_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(40);
    eprintln!("{rounds} rounds (DC_TEST_ROUNDS)");
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("state");
    init(&dir).unwrap();
    let (mut told, mut epoch) = (0, 0);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "appender", "--nocapture", "--test-threads=1"])
            .env(DIR, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        // After so many lines it is killed, wherever it is; what it still had in the pipe it was told as well.
        let until = 1 + (round * round * 7) % 97;
        let mut killed = false;
        for line in lines.map_while(Result::ok) {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            // The last line may be cut.
            let Some(at) = words.iter().position(|w| *w == "durable").filter(|at| words.len() == at + 4)
            else {
                continue;
            };
            told = words[at + 1].parse::<u64>().unwrap();
            epoch = words[at + 3].parse::<u32>().unwrap();
            seen += 1;
            if seen == until {
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "round {round}: it ended by itself");
        child.wait().unwrap();
        let report = check(&dir).unwrap();
        assert_eq!(report.damage, None, "round {round}");
        let (store, recovered) = open(&dir);
        // A segment that was just begun may have been another run's, for all that its emptiness says: one is passed over.
        assert!(recovered.epoch > epoch && recovered.epoch <= epoch + 2, "round {round}");
        let mut last = recovered.state_seq;
        assert_eq!(
            recovered.state,
            last.to_le_bytes().repeat(if last > 0 { 3000 } else { 0 }),
            "round {round}"
        );
        for record in recovered.records.iter() {
            assert_eq!(record.seq, last + 1, "round {round}");
            last = record.seq;
            assert!(
                record.kind == TYPE_EPOCH || record.payload == payload(last),
                "round {round}: record {last}"
            );
        }
        assert!(last >= told, "round {round}: {last} of {told}");
        store.close().unwrap();
    }
    assert!(told > 1000, "it got somewhere: {told}");
}
