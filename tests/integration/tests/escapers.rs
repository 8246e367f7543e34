//! Kernels whose processes leave their group, session, parents and environment: how many of them outlive the rank, the
//! starter, dcrun, or both. With a control group none may; without one, those that had cleared their environment may
//! when dcrun and starter are killed at once, and are counted. `DC_ROUNDS` says how many rounds there are.

use dc_integration::process::{self, Process};
use dc_integration::{Running, Scratch, fixture, until, wait};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KINDS: &str = "setsid double nohup fork subreaper clear clearfork";

/// What ends the escapers' rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    RankEnds,
    Stopped,
    StarterKilled,
    DcrunKilled,
    BothKilled,
}

const ENDS: [End; 5] = [End::RankEnds, End::Stopped, End::StarterKilled, End::DcrunKilled, End::BothKilled];

/// All that runs this very file, whatever it did to its environment; the dead among them do not count.
fn of_file(file: &Path) -> Vec<Process> {
    let is_it = |process: &Process| {
        process.state != 'Z'
            && fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|exe| exe == file)
    };
    process::all().into_iter().filter(is_it).collect()
}

/// Those that are left once nothing changes any more for the better, within a bound.
fn left(file: &Path) -> Vec<Process> {
    wait::within(Duration::from_secs(5), || of_file(file).is_empty().then_some(()));
    of_file(file)
}

/// Ends what is left, those that fork meanwhile too.
fn clean(file: &Path) {
    until("the escapers to end", || {
        let left = of_file(file);
        for process in &left {
            process::signal(process.pid, Signal::SIGKILL);
        }
        left.is_empty().then_some(())
    });
}

struct Round {
    place: Scratch,
    file: PathBuf,
    run: Running,
    started: usize,
}

fn begin(end: End, group: &str) -> Round {
    let place = Scratch::new();
    // A copy of its own names the processes of this round.
    let file = place.path("escape");
    fs::copy(fixture("escape"), &file).unwrap();
    let file = file.canonicalize().unwrap();
    let how = if end == End::RankEnds { "end" } else { "hang" };
    let ranks = KINDS.split(' ').count();
    let ask = place.dcrun(&format!("-n {ranks} --oversubscribe --spool job --"));
    let ask = ask.env("DC_CGROUP", group).env("DC_GRACE", "0.2").arg(&file).words(how).words(KINDS);
    let run = ask.start();
    let _ = place.notes("escaped", ranks);
    let _ = place.notes("start", ranks);
    let started = of_file(&file).len().saturating_sub(ranks);
    Round { place, file, run, started }
}

/// One round; how many had escaped, and how many were left at once and after a resume.
fn round(end: End, group: &str) -> (usize, usize, usize) {
    let Round { place, file, run, started } = begin(end, group);
    let starter = run.child_called("dc-starter").pid;
    match end {
        End::RankEnds => {
            place.write("go", "");
            run.finish().ends_with(0);
        }
        End::Stopped => {
            run.signal(Signal::SIGTERM);
            run.finish().ends_with(143);
        }
        End::StarterKilled => {
            process::signal(starter, Signal::SIGKILL);
            run.finish().ends_with(0);
        }
        End::DcrunKilled => {
            run.kill();
            until("the starter to end", || (!process::lives(starter)).then_some(()));
        }
        End::BothKilled => {
            // Neither can do anything about the other's end.
            process::signal(run.pid(), Signal::SIGSTOP);
            process::signal(starter, Signal::SIGSTOP);
            process::signal(starter, Signal::SIGKILL);
            run.kill();
        }
    }
    // Who is left after that is left for good: nobody is there to end them.
    let at_once = if end == End::BothKilled { of_file(&file).len() } else { left(&file).len() };
    let mut after_resume = at_once;
    if matches!(end, End::BothKilled | End::DcrunKilled) {
        place.dcrun("--resume job").env("DC_CGROUP", group).run().ends_with(0);
        after_resume = left(&file).len();
    }
    clean(&file);
    (started, at_once, after_resume)
}

fn rounds() -> usize {
    std::env::var("DC_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs all rounds and prints the counts; those left, by end.
fn count(group: &str) -> Vec<(End, usize)> {
    let mut all = Vec::new();
    for end in ENDS {
        let mut sums = (0, 0, 0);
        for _ in 0..rounds() {
            let (started, at_once, after_resume) = round(end, group);
            sums = (sums.0 + started, sums.1 + at_once, sums.2 + after_resume);
        }
        let (started, at_once, after_resume) = sums;
        println!(
            "control group {group}, {end:?}: {started} escaped in {} rounds, {at_once} left, {after_resume} after a resume",
            rounds()
        );
        println!("trust: escapers, control group {group}, {end:?}: {started} processes, {at_once} left");
        all.push((end, if end == End::BothKilled { after_resume } else { at_once }));
    }
    all
}

#[test]
fn without_a_control_group_only_the_death_of_both_lets_any_live() {
    for (end, left) in count("0") {
        // Two kinds have no environment by which a resume could know them.
        let most = if end == End::BothKilled { 2 * rounds() } else { 0 };
        assert!(left <= most, "{end:?}: {left} are left");
    }
}

#[test]
fn in_a_control_group_none_is_left() {
    let place = Scratch::new();
    let probe =
        place.dcrun("-n 1 --").env("DC_CGROUP", "1").words("cat /proc/self/cgroup").run().ends_with(0);
    if !probe.out().lines().any(|line| line.contains("/dc-")) {
        println!("skipped: no control group can be made here: {probe}");
        return;
    }
    let before = groups();
    for (end, left) in count("1") {
        assert_eq!(left, 0, "{end:?}");
    }
    // Others' tests may have theirs for a moment; none stays.
    until("the groups to be removed", || groups().is_subset(&before).then_some(()));
}

/// The control groups of jobs that are there now.
fn groups() -> BTreeSet<PathBuf> {
    let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"];
    let all = tops.into_iter().flat_map(|top| fs::read_dir(top).into_iter().flatten().flatten());
    let is_ours =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dc-"));
    all.map(|entry| entry.path()).filter(is_ours).collect()
}

/// A job that lasts gets its group by itself, with all that runs already.
#[test]
fn a_job_that_lasts_is_put_into_a_control_group() {
    let place = Scratch::new();
    let script = r#"echo "start $$" >>"$NOTES"; (setsid sh -c 'echo "other $$" >>"$NOTES"; sleep 50' &) 
        until [ -e go ]; do sleep 0.01; done; cat /proc/self/cgroup"#;
    let run = place.dcrun("-n 1").script(script).start();
    let pids = ["start", "other"].map(|word| place.notes(word, 1)[0][1].clone());
    let is_in = |pid: &String| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.lines().any(|line| line.contains("/dc-")).then_some(())
    };
    let all = wait::within(Duration::from_secs(10), || pids.iter().try_for_each(is_in));
    place.write("go", "");
    let done = run.finish().ends_with(0);
    if all.is_none() {
        let probe = place.dcrun("-n 1 --").env("DC_CGROUP", "1").words("cat /proc/self/cgroup").run();
        assert!(!probe.out().contains("/dc-"), "a group can be made here, and was not: {done}");
        println!("skipped: no control group can be made here");
    }
    place.nothing_runs();
}
