//! dcrun alone, without a cluster, on a host that fails: power cut, and standing still.

use dc_integration::hosts::{Inside, Net};
use dc_integration::random::{Random, rounds};
use dc_integration::wait::{until, within};
use dc_integration::{Ledger, built, linked_fixture};
use std::fs;
use std::time::Duration;

const SUBTASKS: u32 = 8;
const STEPS: u64 = 60;

fn start(net: &Net, ledger: &Ledger, words: &str) -> Inside {
    let order = net.host(0).ask(built("dcrun")).words(words).env("LEDGER", ledger.dir());
    let order = order.env("STEPS", STEPS.to_string()).env("STEP_US", "3000").env("EVERY", "5");
    match words.starts_with("--resume") {
        true => order.start(),
        false => order.arg(linked_fixture("ledger")).start(),
    }
}

fn new_job(net: &Net, ledger: &Ledger) -> Inside {
    fs::write(net.shared().join("list"), Ledger::list(SUBTASKS)).unwrap();
    let (list, all) = (net.shared().join("list"), net.shared().join("all"));
    let words = format!(
        "-n 2 --oversubscribe --spool job --keep --subtasks {} --merge concat:{}",
        list.display(),
        all.display()
    );
    start(net, ledger, &words)
}

fn is_done(net: &Net, dcrun: Inside) {
    let _ = dcrun.finish().ends_with(0);
    let merged = fs::read_to_string(net.shared().join("all")).unwrap();
    assert_eq!(Ledger::wrongs_of_merged(&merged, SUBTASKS, |_| STEPS), Vec::<String>::new());
    net.host(0).nothing_runs(&[]);
}

/// At random moments, again and again until the job is done: the directory is what there is, and it is enough.
#[test]
fn a_job_goes_on_after_power_cuts() {
    let Some(mut net) = Net::of_hosts("a job on a host whose power is cut", 1) else { return };
    let mut random = Random::of_this_run("a_job_goes_on_after_power_cuts");
    let mut cuts = 0;
    for round in 0..rounds().min(5) {
        let ledger = Ledger::new(net.shared().join(format!("ledger-{round}")));
        let mut dcrun = new_job(&net, &ledger);
        until("the job", || net.host(0).outside(net.host(0).own().join("job/job")).exists().then_some(()));
        for _ in 0..3 {
            if dcrun.ends_within(Duration::from_millis(50 + random.below(400))).is_some() {
                break;
            }
            net.host(0).power_off();
            assert_eq!(dcrun.status(), Some(137));
            cuts += 1;
            net.power_on(0);
            assert!(net.host(0).processes().is_empty());
            dcrun = start(&net, &ledger, "--resume job");
        }
        is_done(&net, dcrun);
        ledger.is_right();
        net.host(0).sh("rm -r job").run().ends_with(0);
    }
    eprintln!("trust: power cuts of a host with a job: {cuts} cuts, each resumed");
}

/// The clocks go on while nobody does: nothing takes that for a failure.
#[test]
fn a_job_stands_still_with_its_host() {
    let Some(net) = Net::of_hosts("a job on a host that is paused", 1) else { return };
    let ledger = Ledger::new(net.shared().join("ledger"));
    let dcrun = new_job(&net, &ledger);
    until("work", || (ledger.entries().len() > 2).then_some(()));
    net.host(0).pause();
    let before = ledger.entries();
    let moved = within(Duration::from_millis(500), || (ledger.entries() != before).then_some(()));
    assert_eq!(moved, None);
    net.host(0).resume();
    net.host(0).pause_by_signals();
    net.host(0).resume();
    is_done(&net, dcrun);
    ledger.is_right();
    assert!(ledger.entries().iter().all(|entry| entry.attempt == 1 && entry.has_ended));
}
