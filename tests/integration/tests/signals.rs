//! Signals to dcrun without a terminal; ranks that do not want to end, or cannot.

use dc_integration::run::Running;
use dc_integration::terminal::in_own_session;
use dc_integration::{Scratch, fixture, process, until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Two ranks that note every signal and stay.
fn stubborn(place: &Scratch, grace_s: &str) -> Running {
    let ask = place.dcrun("-n 2 --oversubscribe").env("DC_GRACE", grace_s).arg(fixture("stubborn"));
    let run = in_own_session(&ask, "").start();
    let _ = place.notes("start", 2);
    run
}

fn got(place: &Scratch) -> Vec<String> {
    place.noted("got").into_iter().map(|line| line[4].clone()).collect()
}

/// Nobody presses a key twice where there are no keys.
#[test]
fn without_a_terminal_one_sigint_stops() {
    let place = Scratch::new();
    let run = stubborn(&place, "0.6");
    run.signal(Signal::SIGINT);
    let done = run.finish().ends_with(130);
    let mut got = got(&place);
    got.sort();
    assert_eq!(got, ["15", "15", "2", "2"], "INT, TERM after half of the grace, then KILL: {done}");
    assert!(done.err().contains("--resume"), "how to go on is told: {done}");
    place.nothing_runs();
    let place = Scratch::new();
    let run = stubborn(&place, "600");
    run.signal(Signal::SIGINT);
    let _ = place.notes("got", 2);
    run.signal(Signal::SIGINT);
    run.finish().ends_with(130);
    place.nothing_runs();
}

/// Neither dcrun nor the job takes them for itself.
#[test]
fn signals_that_mean_something_to_kernels_are_passed_on() {
    let place = Scratch::new();
    let script = r#"for s in USR1 USR2 ALRM; do trap "echo got $DC_SUBTASK $DC_ATTEMPT $$ $s >>"$NOTES"" $s; done
        echo "start" >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;
    let run = place.dcrun("-n 2 --oversubscribe --json").script(script).start();
    let _ = place.notes("start", 2);
    let signals = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGCONT];
    for (nth, signal) in signals.into_iter().enumerate() {
        run.signal(signal);
        let _ = place.notes("got", (2 * (nth + 1)).min(6));
    }
    place.write("go", "");
    let done = run.finish().ends_with(0).says_in_a_line(&["\"event\":\"signal\"", "\"signal\":12"]);
    let mut got = got(&place);
    got.sort();
    assert_eq!(got, ["ALRM", "ALRM", "USR1", "USR1", "USR2", "USR2"], "{done}");
}

/// Every process of a rank's group gets it; with B: its first one alone.
#[test]
fn a_warning_comes_before_the_time_limit() {
    for (signal, wanted) in [("USR1@4", 2), ("B:10@4", 1)] {
        let place = Scratch::new();
        let child = r#"trap "echo got 0 1 $$ child >>\"$NOTES\"" USR1; echo child >>"$NOTES"
            until [ -e go ]; do sleep 0.01; done"#;
        let script = format!(
            r#"trap "echo got 0 1 $$ first >>\"$NOTES\"" USR1; sh -c '{child}' & echo start >>"$NOTES"
            until [ -e go ]; do sleep 0.01; done; wait"#
        );
        let run = place.dcrun("-n 1 -t 6s --signal").arg(signal).script(&script).start();
        let _ = place.notes("child", 1);
        let _ = place.notes("got", wanted);
        place.write("go", "");
        run.finish().ends_with(0).says(&["the time limit is reached in 4", "SIGUSR1"]);
        assert_eq!(place.noted("got").len(), wanted, "{:?}", place.log());
    }
}

/// Without a limit there is nothing to warn of; a resume brings its own.
#[test]
fn a_warning_needs_a_limit() {
    let place = Scratch::new();
    place.dcrun("-n 1 --signal USR1 true").run().ends_with(125).says(&["-t"]);
    place.dcrun("-n 1 --spool job --restart-on none --keep-going").script("exit 3").run().ends_with(3);
    place.dcrun("--resume job --signal USR1@1").run().ends_with(125).says(&["-t"]);
    place.dcrun("--resume job --signal USR1@1 -t 1").run().ends_with(3);
}

#[test]
fn signals_that_end_the_job_reach_the_ranks() {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGQUIT, 131)] {
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
