//! Exit statuses are API: each, and the line that tells why.

use dc_integration::{Scratch, built, fixture};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn all_well() {
    Scratch::new().dcrun("-n 3 true").run().ends_with(0);
}

#[test]
fn a_ranks_own_status() {
    let place = Scratch::new();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let done = place.dcrun("-n 1 -q").script("exit 3").run().ends_with(3);
    // One line: rank, subtask, host, status, and why it does not go on.
    let done = done.says_in_a_line(&["dcrun: ", "rank 0", "subtask 0", &host, "status 3"]);
    assert_eq!(done.err().lines().filter(|line| line.contains("rank 0")).count(), 1, "{done}");
    place.nothing_runs();
}

#[test]
fn the_highest_of_all() {
    let place = Scratch::new();
    let done = place.dcrun("-n 5 --keep-going").script("exit $((7 - DC_SUBTASK))").run().ends_with(7);
    assert_eq!(done.err().lines().filter(|line| line.contains("status")).count(), 5, "a line each: {done}");
}

#[test]
fn killed_ones_count_as_a_shell_counts() {
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("ABRT", 134)] {
        let place = Scratch::new();
        let done = place.dcrun("-n 1 --restarts 0").script(&format!("ulimit -c 0; kill -{signal} $$")).run();
        done.ends_with(status).says_in_a_line(&["rank 0", "subtask 0", &format!("signal {}", status - 128)]);
    }
}

/// The rank that failed says 3; those that dc then stopped died of TERM or KILL, and do not count.
#[test]
fn stopped_ranks_do_not_count() {
    let place = Scratch::new();
    let script = r#"echo "start $DC_SUBTASK" >>"$NOTES"
        if [ "$DC_SUBTASK" = 1 ]; then
            while [ "$(grep -c ^start "$NOTES")" -lt 4 ]; do sleep 0.01; done; exit 3
        fi
        exec "$STUBBORN""#;
    let ask = place.dcrun("-n 4 --oversubscribe").env("DC_GRACE", "0.2").env("STUBBORN", fixture("stubborn"));
    ask.script(script).run().ends_with(3);
    place.nothing_runs();
}

/// An attempt that failed does not count where a later one of the subtask ended well.
#[test]
fn only_final_attempts_count() {
    let place = Scratch::new();
    place.dcrun("-n 2").script("[ $DC_ATTEMPT -gt 1 ] || kill -9 $$").run().ends_with(0);
}

#[test]
fn not_found() {
    let place = Scratch::new();
    for kernel in ["./nowhere", "no-such-command-anywhere", "/nowhere/k"] {
        place.dcrun("-n 2").arg(kernel).run().ends_with(127).says_in_a_line(&["dcrun: ", kernel]);
    }
    // A directory of PATH that may not be searched (but by root) is no reason for 126.
    let closed = place.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let path = format!("{}:/usr/bin:/bin", closed.display());
    place.dcrun("-n 2 no-such-command").env("PATH", path).run().ends_with(127);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap(); // To be removed.
    place.nothing_is_left();
}

#[test]
fn cannot_be_executed() {
    let place = Scratch::new();
    place.write("data", "no program");
    place.dcrun("-n 2 ./data").run().ends_with(126).says_in_a_line(&["dcrun: ", "data", "ermission"]);
    fs::create_dir(place.path("dir")).unwrap();
    place.dcrun("-n 2 ./dir").run().ends_with(126).says_in_a_line(&["dcrun: ", "dir"]);
    place.nothing_is_left();
    // One that only exec can refuse: an interpreter that is not there, a format that is none.
    let odd = place.write("odd", "#!/no/such/interpreter\n");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
    let done = place.dcrun("-n 2 ./odd").run().says_in_a_line(&["dcrun: ", "odd"]);
    assert!([126, 127].contains(&done.code()), "{done}");
    let odd = place.write("binary", b"\x7fELF but not really\0\0\0\0");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
    place.dcrun("-n 2 ./binary").run().ends_with(126).says_in_a_line(&["dcrun: ", "binary"]);
    place.nothing_runs();
}

/// The program goes away between the first launch and a later one.
#[test]
fn not_found_any_more() {
    let place = Scratch::new();
    place.script("k", r#"rm "$0"; kill -9 $$"#);
    let done = place.dcrun("-n 1 ./k").run();
    assert!([127, 137].contains(&done.code()), "{done}");
    place.nothing_runs();
}

/// A kernel's own 124 to 127 pass; the message tells whose they were.
#[test]
fn a_kernels_own_high_statuses() {
    for status in [124, 125, 126, 127, 130, 141, 255] {
        let place = Scratch::new();
        let done = place.dcrun("-n 1").script(&format!("exit {status}")).run().ends_with(status);
        done.says_in_a_line(&["rank 0", "subtask 0", &format!("exit status {status}")]);
    }
}

#[test]
fn the_time_limit() {
    let place = Scratch::new();
    let done = place.dcrun("-n 2 -t 1s").arg(fixture("hang")).run().ends_with(124);
    done.says_in_a_line(&["dcrun: ", "time limit"]);
    place.nothing_runs();
}

#[test]
fn the_time_limit_and_ranks_that_ignore_it() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 2 -t 0:01 --oversubscribe").env("DC_GRACE", "0.5").arg(fixture("stubborn"));
    ask.run().ends_with(124);
    // TERM first, then KILL.
    assert_eq!(place.noted("got").iter().map(|line| line[4].as_str()).collect::<Vec<_>>(), ["15", "15"]);
    place.nothing_runs();
}

#[test]
fn forms_of_the_time_limit() {
    let place = Scratch::new();
    for good in ["0", "1", "1:30", "1:2:3", "1-2", "1-2:3", "1-2:3:4", "30s", "5m", "2h", "1d"] {
        place.dcrun(&format!("-t {good} true")).run().ends_with(0);
    }
    for bad in ["-1", "x", "1:2:3:4", "1-", "", "99999999999999999999", "1:60:00:00", "1.5"] {
        let done = place.dcrun("-n 1 -t").arg(bad).words("true").run().ends_with(125);
        assert!(done.err().starts_with("dcrun: "), "{done}");
    }
}

/// clap's own status is 2; dc's is 125.
#[test]
fn usage_errors() {
    let place = Scratch::new();
    for line in ["--no-such-option true", "", "--bind moon true", "-n", "--keep=3 true", "-q -v true"] {
        let done = place.dcrun(line).run().ends_with(125);
        assert!(done.err().starts_with("dcrun: "), "{line}: {done}");
        assert!(done.stdout.is_empty(), "{line}: {done}");
    }
    place.nothing_is_left();
}

#[test]
fn help_and_version() {
    let place = Scratch::new();
    for option in ["-h", "--help"] {
        let done = place.dcrun(option).run().ends_with(0);
        assert!(done.out().contains("--keep-going") && done.stderr.is_empty(), "{done}");
    }
    let done = place.dcrun("-V").run().ends_with(0);
    assert!(done.out().starts_with("dcrun "), "{done}");
}

#[test]
fn nobody_reads() {
    let place = Scratch::new();
    let script = r#"while echo "line of $DC_SUBTASK"; do :; done; sleep 60"#;
    // The reader takes one line and goes.
    let pipe = format!("dcrun -n 2 sh -c '{script}' | head -n 1; exit ${{PIPESTATUS[0]}}");
    let done = place.ask("bash").arg("-c").arg(pipe).run().ends_with(141);
    assert_eq!(done.out().lines().count(), 1);
    place.nothing_runs();
}

/// Standard output that is closed from the start is nobody's fault where nothing is printed.
#[test]
fn closed_descriptors() {
    let place = Scratch::new();
    place.ask("sh").arg("-c").arg("exec dcrun -n 2 true >&-").run().ends_with(0);
    place.ask("sh").arg("-c").arg("exec dcrun -n 2 true <&- 2>&-").run().ends_with(0);
    place.nothing_runs();
}

#[test]
fn standard_output_on_a_full_disk() {
    let place = Scratch::new();
    let mut ask = place.dcrun("-n 2 echo text");
    ask.command.stdout(Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap()));
    ask.run().ends_with(125).says(&["dcrun: ", "No space left"]);
    place.nothing_runs();
}

#[test]
fn told_to_end() {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let place = Scratch::new();
        let run = place.dcrun("-n 2 --oversubscribe").arg(fixture("hang")).start();
        let _ = place.notes("start", 2);
        run.signal(signal);
        let done = run.finish().ends_with(status);
        assert!(done.err().contains("--resume"), "how to go on is told: {done}");
        place.nothing_runs();
        assert_eq!(place.jobs().len(), 1, "the job can be resumed");
    }
}

/// A starter that is not there is dc's own error, and said.
#[test]
fn without_a_starter() {
    let place = Scratch::new();
    fs::copy(built("dcrun"), place.path("dcrun")).unwrap();
    let done = place.ask(place.path("dcrun")).words("-n 2 true").env("PATH", "/usr/bin:/bin").run();
    done.ends_with(125).says_in_a_line(&["dcrun: ", "dc-starter"]);
    place.nothing_is_left();
}
