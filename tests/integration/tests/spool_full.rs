//! A full disk under the spool: a small file system in memory, in a user and mount namespace of its own.

use dc_integration::run::Finished;
use dc_integration::{Scratch, linked_fixture};

/// Runs a script that finds a file system of so many bytes at `disk`. None, and said, where that cannot be had.
fn with_disk(place: &Scratch, bytes: &str, script: &str) -> Option<Finished> {
    std::fs::create_dir_all(place.path("disk")).unwrap();
    let probe = place.ask("unshare").words("-rm true").run();
    if probe.code() != 0 {
        eprintln!("not tested: no user namespaces here: {}", probe.err().trim());
        return None;
    }
    let mount = format!("mount -t tmpfs -o size={bytes},nr_inodes=5000 none disk || exit 99\n{script}");
    let done = place.ask("unshare").words("-rm sh -c").arg(mount);
    Some(done.env("COUNTER", linked_fixture("counter")).run())
}

/// The parts of the output between lines `== NAME`.
fn part<'a>(text: &'a str, name: &str) -> &'a str {
    let head = format!("== {name}\n");
    let start = text.find(&head).unwrap_or_else(|| panic!("no {head:?} in {text}")) + head.len();
    text[start..].split("== ").next().unwrap()
}

#[test]
fn no_room_for_the_job() {
    let place = Scratch::new();
    let script = r#"dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null
        dcrun -n 2 --spool disk/job sh -c 'echo ran >>"$NOTES"'; echo "status $?"
        echo "== left"; find disk -mindepth 1 ! -name filler"#;
    let Some(done) = with_disk(&place, "64k", script) else { return };
    let done = done.ends_with(0).says_in_a_line(&["dcrun: ", "disk/job", "No space left"]);
    assert!(done.out().contains("status 125\n"), "{done}");
    assert_eq!(part(&done.out(), "left"), "", "{done}");
    assert!(place.log().is_empty());
}

/// The journal cannot grow: no promise without a place for it. The ranks are stopped, all is kept, and goes on with room.
#[test]
fn full_in_the_midst() {
    let place = Scratch::new();
    let script = r#"dcrun -n 5000 --spool disk/job --keep sh -c '
            [ $DC_SUBTASK != 3 ] || dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null
            echo "end $DC_SUBTASK" >>"$NOTES"'
        echo "first $?"; rm disk/filler
        dcrun --resume disk/job --keep; echo "second $?"
        echo "== left"; find disk -name '.tmp*'"#;
    let Some(done) = with_disk(&place, "3m", script) else { return };
    let first = done.out().lines().find_map(|line| line.strip_prefix("first ")?.parse::<i32>().ok());
    // Room that was taken beforehand may do: then all went well at once.
    assert!([Some(0), Some(125)].contains(&first), "{done}");
    if first == Some(125) {
        assert!(done.err().contains("No space left"), "{done}");
    }
    assert!(done.out().contains("second 0\n"), "{done}");
    assert_eq!(part(&done.out(), "left"), "", "{done}");
    let mut ran: Vec<u32> = place.noted("end").iter().map(|line| line[1].parse().unwrap()).collect();
    ran.sort_unstable();
    ran.dedup();
    assert_eq!(ran, (0..5000).collect::<Vec<_>>(), "none is lost");
    place.nothing_runs();
}

/// A checkpoint that does not fit fails, the kernel is told, the ones before stay, and no part of it is left.
#[test]
fn no_room_for_a_checkpoint() {
    let place = Scratch::new();
    let script = r#"STATE_BYTES=300000 DIES=1:19:9 dcrun -n 1 --spool disk/job --keep "$COUNTER"; echo "status $?"
        echo "== left"; find disk -name '.tmp*'
        echo "== verify"; dcspool verify disk/job; echo "verified $?""#;
    let Some(done) = with_disk(&place, "900k", script) else { return };
    assert!(done.out().contains("status 0\n"), "{done}");
    assert!(done.out().contains("verified 0\n"), "{done}");
    assert_eq!(part(&done.out(), "left"), "", "{done}");
    let starts: Vec<u64> = place.noted("start").iter().map(|line| line[4].parse().unwrap()).collect();
    assert_eq!(starts.len(), 2, "{done}");
    assert!(starts[1] >= 2, "it goes on from a good one: {starts:?}");
    for line in place.noted("unsaved") {
        assert!(line.join(" ").contains("No space left"), "{line:?}");
    }
}

/// A result that does not fit is the kernel's failure, with its status.
#[test]
fn no_room_for_a_result() {
    let place = Scratch::new();
    let script = r#"dcrun -n 1 --spool disk/job --merge concat:out sh -c '
            head -c 3000000 /dev/zero | dcspool result || exit 17'; echo "status $?"
        echo "== left"; find disk -name '.tmp*'"#;
    let Some(done) = with_disk(&place, "2m", script) else { return };
    assert!(done.out().contains("status 17\n"), "{done}");
    assert_eq!(part(&done.out(), "left"), "", "{done}");
    assert!(!place.path("out").exists());
    done.says(&["No space left"]);
}

/// The merged file does not fit: an error, and no part of it is left.
#[test]
fn no_room_for_the_merged_file() {
    let place = Scratch::new();
    let script = r#"dcrun -n 4 --spool job --merge concat:disk/out sh -c '
            head -c 300000 /dev/zero | dcspool result'; echo "status $?"
        echo "== left"; find disk -mindepth 1"#;
    let Some(done) = with_disk(&place, "500k", script) else { return };
    assert!(done.out().contains("status 125\n"), "{done}");
    assert_eq!(part(&done.out(), "left"), "", "{done}");
    done.says(&["disk/out", "No space left"]);
}
