//! Not a test of right or wrong: how many launches a second, beside posix_spawn in the same run.
//! `cargo test --release -p dcd --test rate -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, Launch, ToStarter};
use dc_model::{Outcome, SubtaskId};
use harness::{Job, shell};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use std::time::Instant;

const LAUNCHES: u32 = 6000;
const IN_FLIGHT: u32 = 16;

#[test]
#[ignore = "measures, and judges nothing"]
fn launches_a_second() {
    for _ in 0..3 {
        let floor = bare();
        let starter = through_the_starter();
        println!("posix_spawn {floor:.0}/s, starter {starter:.0}/s, ratio {:.2}", starter / floor);
    }
}

#[test]
#[ignore = "measures, and judges nothing"]
fn one_launch_from_nothing_to_nothing() {
    let mut best = [std::time::Duration::MAX; 3];
    for _ in 0..200 {
        let start = Instant::now();
        let mut job = Job::with(|hello| {
            hello.program = b"/bin/true".to_vec();
            hello.argv = vec![b"true".to_vec()];
        });
        let ready = start.elapsed();
        job.launch(Launch { args: Vec::new(), ..shell(0, "") });
        job.ended(0);
        let ended = start.elapsed();
        // The last frames of both streams.
        assert!(job.frame().is_some() && job.frame().is_some());
        job.bye();
        for (best, now) in best.iter_mut().zip([ready, ended, start.elapsed()]) {
            *best = now.min(*best);
        }
    }
    println!("best of 200: ready {:?}, rank ended {:?}, starter ended {:?}", best[0], best[1], best[2]);
}

fn bare() -> f64 {
    let start = Instant::now();
    let (mut begun, mut ended) = (0, 0);
    let env = [c"PATH=/bin"; 1];
    while ended < LAUNCHES {
        while begun < LAUNCHES && begun - ended < IN_FLIGHT {
            let actions = PosixSpawnFileActions::init().unwrap();
            let attributes = PosixSpawnAttr::init().unwrap();
            posix_spawn(c"/bin/true", &actions, &attributes, &[c"true"], &env).unwrap();
            begun += 1;
        }
        nix::sys::wait::wait().unwrap();
        ended += 1;
    }
    f64::from(LAUNCHES) / start.elapsed().as_secs_f64()
}

fn through_the_starter() -> f64 {
    let mut job = Job::with(|hello| {
        hello.program = b"/bin/true".to_vec();
        hello.argv = vec![b"true".to_vec()];
    });
    let mut output = job.starter.output.try_clone().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let launch = |i: u32| {
        let launch = Launch { subtask: SubtaskId(i), args: Vec::new(), ..shell(i % IN_FLIGHT, "") };
        ToStarter::Launch(Box::new(launch))
    };
    let start = Instant::now();
    (0..IN_FLIGHT).for_each(|i| job.send(&launch(i)));
    let (mut begun, mut ended) = (IN_FLIGHT, 0);
    while ended < LAUNCHES {
        if let FromStarter::Ended { outcome, .. } = job.message() {
            assert_eq!(outcome, Outcome::Exited(0));
            ended += 1;
            if begun < LAUNCHES {
                job.send(&launch(begun));
                begun += 1;
            }
        }
    }
    let rate = f64::from(LAUNCHES) / start.elapsed().as_secs_f64();
    drop(job);
    reader.join().unwrap().unwrap();
    rate
}
