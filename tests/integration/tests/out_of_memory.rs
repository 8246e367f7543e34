//! Ranks that the kernel kills for want of memory: told so, and not as a signal.

use dc_integration::{Ask, Events, MemoryGroup, Scratch, fixture};

const LIMIT_BYTES: u64 = 96 << 20;

fn group(name: &str) -> Option<MemoryGroup> {
    match MemoryGroup::new(name, LIMIT_BYTES) {
        Ok(group) => Some(group),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// dcrun, and all it starts, in that group.
fn within(place: &Scratch, group: &MemoryGroup, words: &str) -> Ask {
    let script = format!("echo $$ >{} && exec dcrun \"$@\"", group.processes().display());
    place.ask("sh").arg("-c").arg(script).arg("sh").words(words)
}

#[test]
fn a_rank_out_of_memory_is_told_so_and_tried_again() {
    let Some(group) = group("rank") else { return };
    let place = Scratch::new();
    let done =
        within(&place, &group, "-n 1 --restarts 1 --json=events --spool job --").arg(fixture("hog")).run();
    let done = done.ends_with(253).says(&["out of memory; starts again", "out of memory; not started again"]);
    assert!(!done.err().contains("signal 9"), "{done}");
    assert_eq!(place.noted("start").len(), 2);
    let events = Events::of(place.path("events")).all();
    let of_kind = |kind: &str| -> Vec<_> { events.iter().filter(|event| event["event"] == kind).collect() };
    let failed = of_kind("failed");
    assert!(
        failed.iter().all(|event| event["out_of_memory"] == true && event["status"] == 253),
        "{failed:?}"
    );
    assert!(of_kind("ended").iter().all(|event| event["signal"].is_null()));
    for (words, wanted) in [("dump job", "out of memory"), ("dump --json job", "out_of_memory")] {
        let dumped = place.dcspool(words).run().ends_with(0);
        assert!(dumped.out().contains(wanted), "{dumped}");
    }
    place.nothing_runs();
}

/// The rank is a shell; what it runs is killed, and it ends with 137.
#[test]
fn a_script_whose_command_is_out_of_memory_is_out_of_memory() {
    let Some(group) = group("script") else { return };
    let place = Scratch::new();
    let ask = within(&place, &group, "-n 1 --restarts 0").script("\"$HOG\"; exit $?");
    ask.env("HOG", fixture("hog")).run().ends_with(253).says(&["out of memory"]);
    let ask = within(&place, &group, "-n 1 --restart-on none").arg(fixture("hog"));
    ask.run().ends_with(253).says(&["out of memory; not started again (--restart-on none)"]);
}

#[test]
fn a_rank_that_is_killed_by_others_is_not_out_of_memory() {
    let place = Scratch::new();
    let done = place.dcrun("-n 1 --restarts 0").script("kill -9 $$").run().ends_with(137);
    assert!(!done.err().contains("memory"), "{done}");
    // Somebody else on the node is out of memory meanwhile, in a group that is not the ranks'.
    let Some(group) = group("other") else { return };
    let place = Scratch::new();
    let script = format!(r#"sh -c 'echo $$ >{} && exec "$HOG"'; kill -9 $$"#, group.processes().display());
    let done = place.dcrun("-n 1 --restarts 0").script(&script).env("HOG", fixture("hog")).run();
    let done = done.ends_with(137);
    assert_eq!((place.noted("start").len(), place.noted("ate").len()), (1, 0), "{done}");
    done.says(&["killed by signal 9 (SIGKILL) (the kernel killed something on this node for want of memory meanwhile)"]);
}
