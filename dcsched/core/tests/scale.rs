//! How the core of a job bears a million subtasks on a thousand nodes of 128 cores: bytes a subtask, time of a step.
//! Run by hand, built for release: `cargo test --release -p dcsched-core --test scale -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used)]
// It measures, and tells.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use dc_model::{Attempt, Outcome, SubtaskId, Topology};
use dcsched_core::job::{Action, Event, Job, JobSpec, Need, PartSpec};
use std::collections::VecDeque;
use std::time::Instant;

const NODES: u32 = 1000;
const CORES: u32 = 128;
const SUBTASKS: u64 = 1_000_000;
const WINDOW: u32 = 1024;

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn part(number: u32) -> PartSpec {
    PartSpec {
        part: number,
        node: number,
        topology: Topology::uniform(CORES, 16, 64),
        memory_max_bytes: None,
        speed_permille: 900 + number % 7 * 30,
        ranks_max: None,
    }
}

fn of_cluster(needs: Vec<Need>, ranks: u32) -> JobSpec {
    let none = Topology { host: String::new(), cores: Vec::new(), numa: Vec::new() };
    JobSpec { topology: none, releases: true, ..JobSpec::plain(needs, ranks) }
}

fn run(name: &str, need: impl Fn(u64) -> Need) {
    let before = resident_bytes();
    let needs: Vec<Need> = (0..SUBTASKS).map(need).collect();
    let begun = Instant::now();
    let mut job = Job::new(of_cluster(needs, NODES * CORES));
    println!("{name}: made in {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let queued = resident_bytes() - before;
    println!("{name}: {} bytes a queued subtask, needs included", queued / SUBTASKS);

    let mut times_ns: Vec<u64> = Vec::new();
    let mut running: VecDeque<(SubtaskId, Attempt)> = VecDeque::new();
    let (mut done, mut out) = (0u64, Vec::new());
    let begun = Instant::now();
    let mut events: VecDeque<Event> = VecDeque::from([Event::Begin, Event::Window { grants: WINDOW }]);
    events.extend((1..=NODES).map(|number| Event::PartJoined(Box::new(part(number)))));
    while done < SUBTASKS {
        let event = match events.pop_front() {
            Some(event) => event,
            None => {
                // One somewhere in the middle, so that nodes are freed in no order.
                let at = (done as usize).wrapping_mul(7919) % running.len();
                let (subtask, attempt) = running.swap_remove_back(at).unwrap();
                done += 1;
                Event::Ended {
                    subtask,
                    attempt,
                    outcome: Outcome::Exited(0),
                    ran_ns: 1_000_000_000,
                    stopped: false,
                    checkpoint: None,
                    progress_cells: 0,
                    result: None,
                }
            }
        };
        let start = Instant::now();
        job.step(0, event, &mut out);
        let _ = std::hint::black_box(job.appetite());
        times_ns.push(start.elapsed().as_nanos() as u64);
        for action in out.drain(..) {
            match action {
                Action::Sync => events.push_back(Event::Durable { seq: job.durable().seq }),
                Action::Launch { subtask, attempt, .. } => running.push_back((subtask, attempt)),
                _ => {}
            }
        }
    }
    times_ns.sort_unstable();
    let at = |permille: usize| times_ns[times_ns.len() * permille / 1000] as f64 / 1000.0;
    let max = *times_ns.last().unwrap() as f64 / 1000.0;
    let all_ns: u64 = times_ns.iter().sum();
    println!(
        "{name}: {:.2} us a subtask; a step: p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, most {max:.1} us; in all {:.1} s",
        all_ns as f64 / SUBTASKS as f64 / 1000.0,
        at(500),
        at(990),
        at(999),
        begun.elapsed().as_secs_f64(),
    );
    assert!(at(990) < 10_000.0, "a step takes 10 ms");
    assert!(queued / SUBTASKS < 150, "200 MiB are to be enough for the whole scheduler");
}

#[test]
#[ignore = "takes a minute, and a machine of its own"]
fn a_million_subtasks() {
    let sizes = |n: u64| 1000 + n.wrapping_mul(2_654_435_761) % 9000;
    run("one core each", |n| Need { cells: sizes(n), cores: 1, mem_bytes: 0 });
    run("1 to 8 cores", |n| Need { cells: sizes(n), cores: 1 << (n % 4), mem_bytes: 0 });
    run("with memory", |n| Need { cells: sizes(n), cores: 1, mem_bytes: (n % 8) << 27 });
}

#[test]
#[ignore = "a figure, and no promise"]
fn ten_thousand_jobs() {
    let before = resident_bytes();
    let need = |n: u64| Need { cells: 1000 + n, cores: 1, mem_bytes: 0 };
    let job = |_| Job::new(of_cluster((0..100).map(need).collect(), 100));
    let jobs: Vec<Job> = (0..10_000).map(job).collect();
    println!("{} bytes a job of a hundred subtasks", (resident_bytes() - before) / jobs.len() as u64);
}
