//! What stays when dcrun has ended, and what does not.

use dc_integration::{Scratch, fixture};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn nothing_after_a_success() {
    let place = Scratch::new();
    place.dcrun("-n 4 true").run().ends_with(0);
    place.nothing_is_left();
    place.dcrun("-n 4 --spool job true").run().ends_with(0);
    assert!(!place.path("job").exists());
    place.nothing_runs();
}

#[test]
fn all_of_it_with_keep() {
    let place = Scratch::new();
    place.dcrun("-n 2 --spool job --keep").script("echo x | dcspool result").run().ends_with(0);
    let names: BTreeSet<_> =
        fs::read_dir(place.path("job")).unwrap().map(|e| e.unwrap().file_name()).collect();
    for name in ["job", "journal.000001", "ckpt", "result", "lock"] {
        assert!(names.contains(std::ffi::OsStr::new(name)), "{name}: {names:?}");
    }
    // Only the owner may read it: the environment is in there.
    for name in ["", "ckpt", "result"] {
        assert_eq!(mode(&place.path("job").join(name)), 0o700, "{name}");
    }
    for name in ["job", "journal.000001"] {
        assert_eq!(mode(&place.path("job").join(name)), 0o600, "{name}");
    }
    for entry in fs::read_dir(place.path("job/result")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    place.dcspool("verify job").run().ends_with(0);
}

/// Whatever the caller's umask is.
#[test]
fn the_umask_opens_nothing() {
    let place = Scratch::new();
    let done = place.ask("sh").arg("-c").arg("umask 0; exec dcrun -n 1 --spool job --keep true").run();
    done.ends_with(0);
    assert_eq!((mode(&place.path("job")), mode(&place.path("job/job"))), (0o700, 0o600));
}

#[test]
fn the_job_after_a_failure_and_how_to_go_on() {
    let place = Scratch::new();
    let done = place.dcrun("-n 2 --keep-going").script("exit $((3 * DC_SUBTASK))").run().ends_with(3);
    let job = place.job();
    assert!(job.starts_with(place.state().join("dc")));
    done.says_in_a_line(&["dcrun: ", "--resume", job.to_str().unwrap()]);
    assert_eq!(mode(&job), 0o700);
    assert_eq!(mode(&place.state().join("dc")) & 0o077, 0);
}

/// A run that failed before anything was gained has nothing to go on from, and leaves nothing.
#[test]
fn nothing_after_a_failure_at_once() {
    let place = Scratch::new();
    let done = place.dcrun("-n 2").script("exit 3").run().ends_with(3);
    assert!(!done.err().contains("--resume"), "{done}");
    place.nothing_is_left();
    // But for a directory that the user named.
    place.dcrun("-n 2 --spool job").script("exit 3").run().ends_with(3).says(&["--resume"]);
    assert!(place.path("job/job").exists());
}

/// Without XDG_STATE_HOME, in the home.
#[test]
fn the_default_place() {
    let place = Scratch::new();
    let mut ask = place.dcrun("-n 1 --keep true");
    ask.command.env_remove("XDG_STATE_HOME");
    let home = place.path("../home/.local/state/dc");
    ask.run().ends_with(0);
    assert_eq!(fs::read_dir(home).unwrap().count(), 1);
}

/// Two jobs at one time and one place do not meet.
#[test]
fn two_jobs_at_once() {
    let place = Scratch::new();
    let script = r#"echo "start $DC_SPOOL $DC_JOB_UUID" >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;
    let runs = [place.dcrun("-n 1").script(script).start(), place.dcrun("-n 1").script(script).start()];
    let spools: BTreeSet<_> = place.notes("start", 2).into_iter().map(|line| line[1..].to_vec()).collect();
    assert_eq!(spools.len(), 2);
    place.write("go", "");
    for run in runs {
        run.finish().ends_with(0);
    }
    place.nothing_is_left();
}

/// No file of ours in the places that are everybody's.
#[test]
fn nothing_in_shared_places() {
    let list = || {
        let names = |dir: &str| {
            fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().path()).collect::<Vec<_>>()
        };
        let all = ["/dev/shm", "/tmp", "/var/tmp"].into_iter().flat_map(names);
        all.filter(|path| !path.to_string_lossy().contains("dc-test-")).collect::<BTreeSet<_>>()
    };
    let place = Scratch::new();
    place.script("slow", r#"ls -d /dev/shm/* /tmp/* /var/tmp/* 2>/dev/null; true"#);
    let before = list();
    let done = place.dcrun("-n 1 ./slow").run().ends_with(0);
    // Others work on this machine too: what is new must at least not bear our name.
    let during: BTreeSet<_> = done.out().lines().map(Into::into).collect();
    let new = during.union(&list()).filter(|path| !before.contains(*path)).cloned().collect::<Vec<_>>();
    let ours = new.iter().filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name.starts_with("dc") || name.contains("dcrun")) && !name.starts_with("dc-test-")
    });
    assert_eq!(ours.count(), 0, "{new:?}");
}

/// A kernel's own files are its own: dc removes nothing that it did not make.
#[test]
fn what_a_kernel_wrote_stays() {
    let place = Scratch::new();
    place.dcrun("-n 2").script("echo x > file.$DC_SUBTASK").run().ends_with(0);
    assert!(place.path("file.0").exists() && place.path("file.1").exists());
    // Something foreign in the spool: the rest is removed, that is not, and it is told.
    let done = place.dcrun("-n 1 --spool job").script(r#"echo x > "$DC_SPOOL/thesis""#).run();
    assert_eq!(fs::read_to_string(place.path("job/thesis")).unwrap(), "x\n", "{done}");
}

#[test]
fn no_processes_after_any_end() {
    for (options, kernel, status) in [
        ("-t 1s", "hang", 124),
        ("-t 1s", "detach hang", 124),
        ("", "detach end", 0),
        ("-t 1s", "stubborn", 124),
    ] {
        let place = Scratch::new();
        let mut words = kernel.split(' ');
        let program = fixture(words.next().unwrap());
        let ask = place.dcrun("-n 2 --oversubscribe").words(options).env("DC_GRACE", "0.2").arg(program);
        let ask = words.fold(ask, |ask, word| ask.arg(word));
        ask.run().ends_with(status);
        place.nothing_runs();
    }
}
