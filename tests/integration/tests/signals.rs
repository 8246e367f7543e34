//! Ctrl-C once, twice, thrice; signals to dcrun; ranks that do not want to end, or cannot.

use dc_integration::run::Running;
use dc_integration::{Scratch, fixture, process, until};
use nix::sys::signal::Signal;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Two ranks that note every signal and stay.
fn stubborn(place: &Scratch, grace_s: &str) -> Running {
    let ask = place.dcrun("-n 2 --oversubscribe").env("DC_GRACE", grace_s).arg(fixture("stubborn"));
    let run = ask.start();
    let _ = place.notes("start", 2);
    run
}

fn got(place: &Scratch) -> Vec<String> {
    place.noted("got").into_iter().map(|line| line[4].clone()).collect()
}

#[test]
fn the_first_ctrl_c_tells_the_state() {
    let place = Scratch::new();
    let script = r#"echo start >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;
    let run = place.dcrun("-n 2 --oversubscribe").script(script).start();
    let _ = place.notes("start", 2);
    run.signal(Signal::SIGINT);
    run.says("2 running");
    run.says("Ctrl-C");
    place.write("go", "");
    run.finish().ends_with(0);
    place.nothing_is_left();
}

#[test]
fn the_second_within_a_second_stops() {
    let place = Scratch::new();
    let run = stubborn(&place, "0.3");
    run.signal(Signal::SIGINT);
    run.says("Ctrl-C");
    run.signal(Signal::SIGINT);
    let done = run.finish().ends_with(130);
    assert_eq!(got(&place), ["2", "2"], "SIGINT, then KILL after the grace: {done}");
    assert!(done.err().contains("--resume"), "how to go on is told: {done}");
    place.nothing_runs();
    assert_eq!(place.jobs().len(), 1);
}

#[test]
fn the_second_after_more_than_a_second_is_a_first_one() {
    let place = Scratch::new();
    let script = r#"echo start >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;
    let run = place.dcrun("-n 1").script(script).start();
    let _ = place.notes("start", 1);
    for count in 1..=2 {
        run.signal(Signal::SIGINT);
        let told = || run.stderr.text().matches("1 running").count() >= count;
        until("the state to be told", || told().then_some(()));
        // More than a second, as another process tells it.
        place.ask("sleep").words("1.2").run().ends_with(0);
    }
    place.write("go", "");
    run.finish().ends_with(0);
}

#[test]
fn the_third_kills_at_once() {
    let place = Scratch::new();
    let run = stubborn(&place, "600");
    run.signal(Signal::SIGINT);
    run.says("Ctrl-C");
    run.signal(Signal::SIGINT);
    until("SIGINT at the ranks", || (got(&place).len() == 2).then_some(()));
    run.signal(Signal::SIGINT);
    run.finish().ends_with(130);
    place.nothing_runs();
}

/// As a user does it: the keys of a terminal. The ranks are not of its foreground group and get nothing by themselves.
#[test]
fn the_keys_of_a_terminal() {
    let place = Scratch::new();
    let dcrun = format!("exec dcrun -n 2 --oversubscribe {}", fixture("stubborn").display());
    let mut ask = place.ask("script").words("-qec").arg(dcrun).arg("/dev/null").env("DC_GRACE", "0.2");
    let (reader, mut keys) = std::io::pipe().unwrap();
    ask.command.stdin(Stdio::from(reader));
    let run = ask.start();
    let _ = place.notes("start", 2);
    keys.write_all(b"\x03").unwrap();
    run.prints("Ctrl-C");
    assert_eq!(got(&place), Vec::<String>::new(), "the first one does not reach the ranks");
    keys.write_all(b"\x03").unwrap();
    run.finish().ends_with(130);
    place.nothing_runs();
}

#[test]
fn other_signals_are_passed_on() {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGUSR1, 138)] {
        let place = Scratch::new();
        let run = stubborn(&place, "0.2");
        run.signal(signal);
        run.finish().ends_with(status);
        let number = (signal as i32).to_string();
        assert_eq!(got(&place), [number.as_str(), number.as_str()]);
        place.nothing_runs();
    }
}

/// nohup, or a shell that starts it in the background, has signals ignored: the job goes on.
#[test]
fn what_the_caller_ignores_is_ignored() {
    let place = Scratch::new();
    let script = r#"trap '' HUP INT; exec dcrun -n 1 sh -c 'echo start >>"$NOTES"; until [ -e go ]; do sleep 0.01; done'"#;
    let run = place.ask("sh").arg("-c").arg(script).start();
    let _ = place.notes("start", 1);
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGINT] {
        run.signal(signal);
    }
    place.write("go", "");
    run.finish().ends_with(0);
}

/// A stopped process takes TERM only when it goes on: it is told to.
#[test]
fn a_stopped_rank_is_ended_within_the_grace() {
    let place = Scratch::new();
    let run = place.dcrun("-n 1").env("DC_GRACE", "600").arg(fixture("hang")).start();
    let pid: i32 = place.notes("start", 1)[0][3].parse().unwrap();
    process::signal(pid, Signal::SIGSTOP);
    until("it to stop", || (process::Process::of(pid)?.state == 'T').then_some(()));
    let start = Instant::now();
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143);
    assert!(start.elapsed() < Duration::from_secs(60));
    place.nothing_runs();
}

/// A kernel that ends well when it is told to has not completed: dc had signalled it.
#[test]
fn a_rank_that_dc_stopped_is_not_done() {
    let place = Scratch::new();
    let script = r#"trap 'exit 0' TERM; echo "start $DC_SUBTASK" >>"$NOTES"; while :; do sleep 0.02; done"#;
    let run = place.dcrun("-n 1").script(script).start();
    let _ = place.notes("start", 1);
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143);
    let job = place.job();
    let run = place.dcrun("--resume").arg(&job).start();
    let _ = place.notes("start", 2);
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143);
}

/// What stays when a rank has ended: its group and its detached ones are killed, and do not hold the job up.
#[test]
fn what_a_rank_leaves_behind_is_killed() {
    for how in ["end", "end hold", "end move"] {
        let place = Scratch::new();
        place.dcrun("-n 3").arg(fixture("detach")).words(how).run().ends_with(0);
        place.nothing_runs();
        assert!(place.noted("detached").len() >= 3);
    }
    let place = Scratch::new();
    place.dcrun("-n 2").script(r#"sleep 1000 & trap "" TERM; (sleep 1000) & exit 0"#).run().ends_with(0);
    place.nothing_runs();
}

/// While others still run, what a rank that ended had left is gone already.
#[test]
fn what_a_rank_leaves_behind_is_killed_when_it_ends() {
    let place = Scratch::new();
    let script = r#"if [ "$DC_SUBTASK" = 0 ]; then exec "$DETACH" end; fi
        until [ -e go ]; do sleep 0.01; done"#;
    let ask = place.dcrun("-n 2 --oversubscribe").env("DETACH", fixture("detach"));
    let run = ask.script(script).start();
    let pid: i32 = place.notes("detached", 1)[0][3].parse().unwrap();
    until("the detached one to be killed", || (!process::lives(pid)).then_some(()));
    place.write("go", "");
    run.finish().ends_with(0);
}
