//! Durable appends against the disk itself, in the same run: in groups, and one at a time, beside write + fdatasync on a
//! file that is preallocated in the same way. `append_rate DIR`, a new directory on the disk to measure.

#![allow(clippy::unwrap_used)] // A measurement: what cannot be unwrapped ends it.

use dcsched_store::{AppendError, Room, Store, TYPE_FIRST, init};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const RECORD_BYTES: usize = 400;
const SINGLES: usize = 2000;
const TIME: Duration = Duration::from_secs(5);

fn p99_us(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort_unstable();
    (times[times.len() / 2].as_micros(), times[times.len() * 99 / 100].as_micros())
}

fn main() {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: append_rate DIR");
        std::process::exit(125);
    };
    let dir = std::path::PathBuf::from(dir);
    init(&dir).unwrap();
    let (mut store, _) = Store::open(&dir).unwrap();
    let payload = [0x5a; RECORD_BYTES];

    let floor_path = dir.with_extension("floor");
    let file = std::fs::File::create(&floor_path).unwrap();
    nix::fcntl::posix_fallocate(&file, 0, 16 << 20).unwrap();
    file.sync_all().unwrap();
    // In turns, so that both meet the same disk.
    let (mut floor, mut single) = (Vec::new(), Vec::new());
    for n in 0..SINGLES {
        let begin = Instant::now();
        file.write_all_at(&payload, (n * 432) as u64).unwrap();
        file.sync_data().unwrap();
        floor.push(begin.elapsed());
        let begin = Instant::now();
        let seq = store.append(TYPE_FIRST, &payload, Room::Normal).unwrap();
        store.wait_durable(seq).unwrap();
        single.push(begin.elapsed());
    }
    std::fs::remove_file(&floor_path).unwrap();

    // Each of 64 submitters waits for its own record before its next, as clients do.
    let (begin, mut appended, mut durable, mut waits) = (Instant::now(), 0u64, 0, Vec::new());
    let first = store.progress().durable_seq;
    let mut waiting: std::collections::VecDeque<(u64, Instant)> = std::collections::VecDeque::new();
    while begin.elapsed() < TIME {
        while waiting.len() < 64 {
            match store.append(TYPE_FIRST, &payload, Room::Normal) {
                Ok(seq) => waiting.push_back((seq, Instant::now())),
                Err(AppendError::Busy { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            appended += 1;
        }
        store.sync();
        let mut fds = [nix::poll::PollFd::new(store.ready_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, 1000u16).unwrap();
        durable = store.progress().durable_seq;
        while let Some((_, since)) = waiting.front().filter(|(seq, _)| *seq <= durable) {
            waits.push(since.elapsed());
            waiting.pop_front();
        }
    }
    let rate = (durable - first) as f64 / begin.elapsed().as_secs_f64();
    let (floor, single, grouped) = (p99_us(floor), p99_us(single), p99_us(waits));
    println!("write + fdatasync        p50 {} us, p99 {} us", floor.0, floor.1);
    println!("one durable append       p50 {} us, p99 {} us", single.0, single.1);
    println!(
        "64 submitters in groups  {rate:.0} appends/s durable, p50 {} us, p99 {} us, {appended} appended",
        grouped.0, grouped.1
    );
    store.close().unwrap();
}
