//! At random moments a random one of ranks, starter and dcrun is killed, until the job is done: its digest is that of an
//! undisturbed run, and no more was computed twice than the checkpoints ask for. Prints its seed.

use dc_integration::random::Random;
use dc_integration::run::Running;
use dc_integration::{Scratch, linked_fixture, process, wait};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const SUBTASKS: u64 = 8;
const KILLS: usize = 20;

fn sum(subtask: u64) -> u64 {
    (1..=20).map(|step| step * step * (subtask + 1)).sum()
}

enum Victim {
    Rank,
    Starter,
    Dcrun,
}

fn kill_one(place: &Scratch, run: Running, random: &mut Random) -> Option<Running> {
    let victim = match random.below(6) {
        0 => Victim::Dcrun,
        1 => Victim::Starter,
        _ => Victim::Rank,
    };
    let starter = process::children(run.pid()).into_iter().find(|child| child.name == "dc-starter");
    let Some(starter) = starter else { return Some(run) };
    match victim {
        Victim::Rank => {
            let ranks: Vec<_> =
                process::children(starter.pid).into_iter().filter(|rank| rank.name == "counter").collect();
            if let Some(rank) = ranks.get(random.below(ranks.len().max(1) as u64) as usize) {
                eprintln!("killing rank {}", rank.pid);
                process::signal(rank.pid, Signal::SIGKILL);
            }
            Some(run)
        }
        Victim::Starter => {
            eprintln!("killing the starter {}", starter.pid);
            process::signal(starter.pid, Signal::SIGKILL);
            Some(run)
        }
        Victim::Dcrun => {
            eprintln!("killing dcrun {}", run.pid());
            run.kill();
            place.nothing_runs();
            None
        }
    }
}

#[test]
fn the_digest_is_that_of_an_undisturbed_run() {
    let mut random = Random::of_this_run("random_kills");
    let place = Scratch::new();
    place.write("list", (0..SUBTASKS).map(|i| format!("s{i} {}\n", 50 + i)).collect::<String>());
    let first = || {
        let options = "-n 2 --oversubscribe --restarts 100 --subtasks list --spool job --merge concat:out";
        place.dcrun(options).env("STEP_US", "10000").arg(linked_fixture("counter")).start()
    };
    let mut run = first();
    let mut kills = 0;
    while kills < KILLS {
        // The next moment: when some more steps are done; or never, when the job is done before.
        let steps = place.noted("step").len() + 1 + random.below(8) as usize;
        let more = wait::within(Duration::from_secs(20), || {
            let ended = !process::lives(run.pid());
            (ended || place.noted("step").len() >= steps).then_some(!ended)
        });
        match more {
            Some(true) => {}
            Some(false) => break,
            None => panic!("no step for long\n{}", run.said()),
        }
        kills += 1;
        run = match kill_one(&place, run, &mut random) {
            Some(run) => run,
            None if place.path("job/job").exists() => place.dcrun("--resume job").start(),
            None => first(),
        };
    }
    let done = run.finish().ends_with(0);
    let expected: Vec<u8> = (0..SUBTASKS).flat_map(|i| sum(i).to_le_bytes()).collect();
    assert_eq!(fs::read(place.path("out")).unwrap(), expected, "{done}");
    assert!(!place.path("job").exists());
    place.nothing_runs();
    println!("trust: killed at a random moment, the digest equal: {kills} kills, seed {}", random.seed());
    // A checkpoint after every second step: a kill costs at most two steps a rank that it hits, and there are two.
    let mut counts = BTreeMap::<String, usize>::new();
    for line in place.noted("step") {
        *counts.entry(line[1].clone()).or_default() += 1;
    }
    let twice = place.noted("step").len() - 20 * SUBTASKS as usize;
    assert!(twice <= kills * 2 * 2 + 20, "{twice} steps were computed again after {kills} kills: {counts:?}");
}
