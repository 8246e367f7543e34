//! What is tried again, what stops the others, what a rank is given besides its environment.

use dc_integration::{Ask, Scratch};

fn attempts(place: &Scratch) -> usize {
    place.noted("start").len()
}

/// Fails in the way of its first argument, after a checkpoint if there is a second one.
const FAILING: &str = r#"echo start >>"$NOTES"; [ -z "$2" ] || echo x | dcspool save --step "$DC_ATTEMPT" || exit 9
    case $1 in exit) exit 3 ;; signal) kill -SEGV $$ ;; esac"#;

#[test]
fn the_words_of_restart_on() {
    for (words, kernel, wanted) in [
        ("", "exit", 1),
        ("", "exit checkpoint", 3),
        ("", "signal", 3),
        ("--restart-on exit", "exit", 3),
        ("--restart-on exit", "signal", 1),
        ("--restart-on signal", "exit checkpoint", 1),
        ("--restart-on progress", "signal checkpoint", 3),
        ("--restart-on progress", "signal", 1),
        ("--restart-on none", "signal checkpoint", 1),
        ("--restart-on signal,exit", "exit", 3),
    ] {
        let place = Scratch::new();
        let ask = place.dcrun("-n 1 --restarts 2").words(words).script(FAILING).words(kernel);
        let done = ask.run().ends_with(if kernel.starts_with("exit") { 3 } else { 139 });
        assert_eq!(attempts(&place), wanted, "{words} {kernel}: {done}");
    }
    let place = Scratch::new();
    let done = place.dcrun("-n 1 --restart-on exit").script("kill -SEGV $$").run().ends_with(139);
    done.says(&["not started again (--restart-on exit)"]);
    place.dcrun("-n 1 --restart-on signal,oom true").run().ends_with(125).says(&["oom", "none"]);
}

/// It is part of the job: a resume goes on with it.
#[test]
fn restart_on_is_kept() {
    let place = Scratch::new();
    let ask = || place.dcrun("-n 1 --spool job --restarts 1 --restart-on exit").script(FAILING).arg("exit");
    ask().run().ends_with(3);
    assert_eq!(attempts(&place), 2);
    place.dcrun("--resume job").run().ends_with(3);
    assert_eq!(attempts(&place), 4);
    place
        .dcrun("--resume job --restart-on none")
        .run()
        .ends_with(125)
        .says(&["cannot be given with --resume"]);
}

#[test]
fn a_bad_exit_as_srun_has_it() {
    let place = Scratch::new();
    let script = r#"[ "$DC_SUBTASK" = 0 ] && exit 3; echo start >>"$NOTES""#;
    place.dcrun("-n 9 -c 1 -K0").script(script).run().ends_with(3);
    assert_eq!(attempts(&place), 8, "the others go on");
    place.dcrun("-K 1 true").run().ends_with(125).says(&["-K1"]);
}

#[test]
fn the_status_of_our_own_errors_is_the_users_to_choose() {
    let place = Scratch::new();
    let with = |ask: Ask| ask.env("DC_EXIT_ERROR", "99").run();
    with(place.dcrun("--no-such-option true")).ends_with(99);
    with(place.dcrun("-n 0 true")).ends_with(99);
    with(place.dcrun("--resume nothing")).ends_with(99);
    with(place.dcrun("-n 1 ./missing")).ends_with(127);
    with(place.dcrun("-n 1").script("exit 125")).ends_with(125).says(&["the kernel's own"]);
    place.dcrun("-n 1 true").env("DC_EXIT_ERROR", "0").run().ends_with(125).says(&["DC_EXIT_ERROR"]);
}

/// Prints umask and limits: core in blocks of half the size that bash counts in, files, stack.
const SHOW: &str = "umask; ulimit -S -c; ulimit -S -n; ulimit -S -s; ulimit -H -s";

fn shell(place: &Scratch, set: &str, words: &str) -> Ask {
    place.ask("bash").arg("-c").arg(format!("{set}; exec dcrun {words}"))
}

#[test]
fn umask_and_limits_travel() {
    let place = Scratch::new();
    place.script("kernel", &format!("if [ -e fail ]; then exit 3; fi; {SHOW}"));
    let set = "umask 0137; ulimit -S -c 1000; ulimit -S -n 200; ulimit -S -s 4096; ulimit -H -s 10240";
    let wanted = "0137\n2000\n200\n4096\n10240\n";
    let done = shell(&place, set, "-n 1 ./kernel").run().ends_with(0);
    assert_eq!(done.out(), wanted, "{done}");
    // The starter needs more files than that for its pipes: its ranks have what dcrun had.
    let done = shell(&place, set, "-n 150 --oversubscribe ./kernel").run().ends_with(0);
    assert_eq!(done.out(), wanted.repeat(150), "{done}");
}

#[test]
fn a_resume_from_another_shell_has_those_of_the_start() {
    let place = Scratch::new();
    place.script("kernel", &format!("if [ -e fail ]; then exit 3; fi; {SHOW}"));
    place.write("fail", "");
    let set = "umask 0137; ulimit -S -c 1000; ulimit -S -n 200; ulimit -S -s 4096; ulimit -H -s 10240";
    shell(&place, set, "-n 1 --spool job ./kernel").run().ends_with(3);
    std::fs::remove_file(place.path("fail")).unwrap();
    let others = "umask 022; ulimit -S -c 0; ulimit -S -n 300";
    let done = shell(&place, others, "--keep --resume job").run().ends_with(0);
    assert_eq!(done.out(), "0137\n2000\n200\n4096\n10240\n", "{done}");
}

/// A limit that was lowered for good: only root could raise it again.
#[test]
fn a_limit_that_cannot_be_had_is_told() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root, to become another user");
        return;
    }
    let place = Scratch::new();
    place.script("kernel", "if [ -e fail ]; then exit 3; fi; ulimit -S -n");
    place.write("fail", "");
    let run = |set: &str, words: &str| {
        let whole = format!(
            "chmod -R a+rwX {0}; chmod a+rx {0}/..; {set}; exec setpriv --reuid 65534 --regid 65534 \
            --clear-groups dcrun {words}",
            place.path("").display()
        );
        place.ask("bash").arg("-c").arg(whole)
    };
    std::fs::set_permissions(place.state(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let probe = run("true", "--version").run();
    if probe.code() != 0 {
        eprintln!("skipped: another user cannot run the built dcrun: {probe}");
        return;
    }
    run("ulimit -n 500", "-n 1 --spool job ./kernel").run().ends_with(3);
    std::fs::remove_file(place.path("fail")).unwrap();
    let chown = place.ask("chown").words("-R 65534:65534 job").run();
    chown.ends_with(0);
    let whole =
        "ulimit -n 400; exec setpriv --reuid 65534 --regid 65534 --clear-groups dcrun --keep --resume job";
    let done = place.ask("bash").arg("-c").arg(whole).run().ends_with(0);
    assert_eq!(done.out(), "400\n", "{done}");
    done.says(&["the job began with a limit of 500 on open files; here only 400 can be had"]);
}
