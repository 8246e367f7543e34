//! Several dcruns on one host: each claims the CPUs it uses, prefers those that nobody claims, and tells whose it
//! shares. And one inside of another.

use dc_integration::shown::{allowed, cpu_list};
use dc_integration::{Ask, Running, Scratch, Terminal, until};
use std::path::{Path, PathBuf};

/// A place for claims of its own.
fn place_of_claims(place: &Scratch) -> PathBuf {
    let shared = place.path("shared");
    std::fs::create_dir(&shared).unwrap();
    shared
}

fn count(shared: &Path) -> usize {
    std::fs::read_dir(shared.join("dc-claims")).map_or(0, Iterator::count)
}

/// A kernel that says on which CPUs it is, and waits.
fn waits(place: &Scratch) -> PathBuf {
    place.script("waits", "echo \"up $DC_CPUS\"\nwhile ! test -e go; do sleep 0.02; done\n")
}

/// The CPUs that the first of its ranks says it has.
fn cpus(running: &Running) -> Vec<u32> {
    let line = running.prints("up ");
    cpu_list(line.trim_end().strip_prefix("up ").unwrap())
}

/// Whether there are two cores; says what is skipped where there are not.
fn has_two_cores(what: &str) -> bool {
    let enough = allowed().len() >= 2;
    if !enough {
        eprintln!("skipped, for want of a second CPU: {what}");
    }
    enough
}

fn with_claims(ask: Ask, shared: &Path) -> Ask {
    ask.env("DC_CLAIMS", shared)
}

const TOLD: &str = "used by another dcrun as well: process";

#[test]
fn the_second_prefers_the_cores_that_the_first_does_not_use() {
    if !has_two_cores("two dcruns beside each other") {
        return;
    }
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = waits(&place);
    let first = with_claims(place.dcrun("-n 1 -J wave").arg(&kernel), &shared).start();
    let of_first = cpus(&first);
    let free = allowed().len() - 1;
    let plan = with_claims(place.dcrun("-n 1 --plan --json"), &shared).run().ends_with(0);
    let second = with_claims(place.dcrun(&format!("-l -n {free}")).arg(&kernel), &shared).start();
    let second = {
        second.prints("up ");
        place.write("go", "");
        second.finish().ends_with(0)
    };
    assert_eq!(second.err(), "", "there is room beside the first");
    for line in second.out().lines() {
        let own = cpu_list(line.rsplit(' ').next().unwrap());
        assert!(own.iter().all(|cpu| !of_first.contains(cpu)), "{of_first:?} are taken: {second}");
    }
    let planned = format!("\"cpus\":\"{}\"", of_first[0]);
    assert!(!plan.out().contains(&planned), "a plan is for the host as it is: {plan}");
    first.finish().ends_with(0);
    assert_eq!(count(&shared), 0, "nothing is left");
}

#[test]
fn what_has_to_be_shared_is_told_in_one_line() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = waits(&place);
    let all = allowed().len();
    let first = with_claims(place.dcrun("-n 1 -J wave").arg(&kernel), &shared).start();
    let of_first = cpus(&first);
    let wide = |options: &str| place.dcrun(&format!("{options} -n {all} true"));
    let second = with_claims(wide(""), &shared).run().ends_with(0);
    let who = format!("{TOLD} {} of user ", first.pid());
    assert_eq!(second.err().lines().count(), 1, "{second}");
    let second = second.says_in_a_line(&[&who, "(job wave)", &format!("CPU {} is", of_first[0])]);
    assert_eq!(second.stdout, b"");
    with_claims(wide("--bind none"), &shared).run().ends_with(0).says(&[&who]);
    assert_eq!(with_claims(wide("-q"), &shared).run().ends_with(0).err(), "");
    if all > 1 {
        let beside = with_claims(place.dcrun("-n 1 --bind none true"), &shared).run().ends_with(0);
        assert_eq!(beside.err(), "", "an unbound one finds room");
    }
    assert_eq!(count(&shared), 1, "the first one's alone");
    place.write("go", "");
    first.finish().ends_with(0);
    assert_eq!(count(&shared), 0);
}

#[test]
fn nothing_is_claimed_where_nothing_is_bound() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = waits(&place);
    let first = with_claims(place.dcrun("-n 1 --bind none").arg(&kernel), &shared).start();
    first.prints("up ");
    assert_eq!(count(&shared), 0);
    let all = allowed().len();
    let second = with_claims(place.dcrun(&format!("-n {all} true")), &shared).run().ends_with(0);
    assert_eq!(second.err(), "");
    place.write("go", "");
    first.finish().ends_with(0);
}

#[test]
fn a_claim_dies_with_its_dcrun() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = waits(&place);
    let first = with_claims(place.dcrun("-n 1").arg(&kernel), &shared).start();
    first.prints("up ");
    first.kill();
    assert_eq!(count(&shared), 1, "nobody was there to remove it");
    let all = allowed().len();
    let second = with_claims(place.dcrun(&format!("-n {all} true")), &shared).run().ends_with(0);
    assert_eq!(second.err(), "", "the dead one's cores are free");
    assert_eq!(count(&shared), 0, "the next one cleans up");
    place.nothing_runs();
}

#[test]
fn two_that_start_together_choose_different_cores() {
    if !has_two_cores("two dcruns that start together") {
        return;
    }
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = waits(&place);
    let go = place.path("go");
    for round in 0..12 {
        let pair = [(); 2].map(|()| with_claims(place.dcrun("-n 1").arg(&kernel), &shared).start());
        let [one, other] = [cpus(&pair[0]), cpus(&pair[1])];
        assert_ne!(one, other, "round {round}");
        place.write("go", "");
        for running in pair {
            assert_eq!(running.finish().ends_with(0).err(), "");
        }
        std::fs::remove_file(&go).unwrap();
    }
}

#[test]
fn a_hostile_directory_stops_nobody() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let claims = shared.join("dc-claims");
    with_claims(place.dcrun("-n 1 true"), &shared).run().ends_with(0);
    nix::unistd::mkfifo(&claims.join("pipe.claim"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(claims.join("dir.claim")).unwrap();
    std::os::unix::fs::symlink(place.path("none"), claims.join("link.claim")).unwrap();
    let text = "dc-claim 2\npid 1\njob 0\nname x\u{1b}[31m\n".repeat(9999);
    std::fs::write(claims.join("long.claim"), text).unwrap();
    let held = std::fs::File::open(claims.join("long.claim")).unwrap();
    let _held = nix::fcntl::Flock::lock(held, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    let turn = std::fs::File::open(&claims).unwrap();
    let _turn = nix::fcntl::Flock::lock(turn, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    let quiet = with_claims(place.dcrun("-n 1 echo done"), &shared).run().ends_with(0);
    assert_eq!((quiet.out(), quiet.err()), ("done\n".to_owned(), String::new()));
    let told = with_claims(place.dcrun("-v -n 1 true"), &shared).run().ends_with(0);
    told.says(&["long.claim is no claim; it is ignored", "is locked by somebody"]);
    assert_eq!(count(&shared), 4, "nothing of theirs is touched, nothing of dcrun's is left");
    assert!(!place.path("none").exists());
}

#[test]
fn a_directory_that_cannot_be_had_is_told_to_those_who_ask() {
    let place = Scratch::new();
    std::os::unix::fs::symlink("/", place.path("dc-claims")).unwrap();
    let here = place.path("");
    let quiet = with_claims(place.dcrun("-n 1 true"), &here).run().ends_with(0);
    assert_eq!(quiet.err(), "");
    with_claims(place.dcrun("-v -n 1 true"), &here)
        .run()
        .ends_with(0)
        .says(&["other dcruns of this host are not seen"]);
}

#[test]
fn an_inner_one_shares_with_its_outer_one_on_purpose() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    for bind in ["core", "none"] {
        let line = format!("-n 1 dcrun --bind {bind} -n 1 dcrun -n 1 true");
        let outer = with_claims(place.dcrun(&line), &shared).run().ends_with(0);
        assert_eq!(outer.err(), "", "{bind}");
    }
    // A neighbour sees the family once.
    let kernel = waits(&place);
    let family = with_claims(place.dcrun("-n 1 -J outer dcrun -J inner -n 1").arg(&kernel), &shared).start();
    family.prints("up ");
    let all = allowed().len();
    let other = with_claims(place.dcrun(&format!("-n {all} true")), &shared).run().ends_with(0);
    let other = other.says(&[TOLD, "(job outer)"]);
    assert!(!other.err().contains("inner"), "{other}");
    place.write("go", "");
    family.finish().ends_with(0);
    assert_eq!(count(&shared), 0, "nothing is left");
}

#[test]
fn inner_jobs_keep_to_their_ranks_cores_and_have_variables_of_their_own() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let all = allowed().len();
    let kernel =
        place.script("tells", "echo $OUTER $DC_RANK $DC_NTASKS $DC_SUBTASKS_TOTAL $DC_CPUS $DC_SPOOL\n");
    let middle = place.script(
        "middle",
        &format!(
            "echo outer $DC_RANK $DC_CPUS $DC_SPOOL\nOUTER=$DC_RANK exec dcrun -n 2 {}\n",
            kernel.display()
        ),
    );
    let outer = with_claims(place.dcrun("-n 4").arg(&middle), &shared).run().ends_with(0);
    assert_eq!(outer.err(), "");
    let lines: Vec<Vec<String>> =
        outer.out().lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    let of_rank = |rank: &str| lines.iter().find(|line| line[0] == "outer" && line[1] == rank).unwrap();
    let inner: Vec<_> = lines.iter().filter(|line| line[0] != "outer").collect();
    assert_eq!(inner.len(), 8, "{outer}");
    for line in &inner {
        let [rank, _, ranks, total, cpus, spool] = &line[..] else { panic!("{line:?}") };
        let around = of_rank(rank);
        assert_eq!((&**ranks, &**total), ("2", "2"));
        assert_eq!(cpus, &around[2], "the cores of the rank around it");
        assert_ne!(spool, &around[3], "a directory of its own");
    }
    assert!(all == 1 || of_rank("0")[2] != of_rank("1")[2] || of_rank("0")[2] != of_rank("2")[2]);
    place.nothing_is_left();
}

#[test]
fn a_killed_outer_one_leaves_nothing_of_the_inner_ones() {
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    let kernel = place.script("waits", "echo up >> ups\nsleep 1000 & wait\n");
    let all = allowed().len().min(4);
    let middle = place.script("middle", &format!("exec dcrun -n 1 {}\n", kernel.display()));
    let outer = with_claims(place.dcrun(&format!("-n {all}")).arg(&middle), &shared).start();
    let ups = || std::fs::read_to_string(place.path("ups")).unwrap_or_default().lines().count();
    until("all inner ranks", || (ups() == all).then_some(()));
    outer.kill();
    place.nothing_runs();
}

#[test]
fn ctrl_c_once_is_reported_once_and_by_the_outer_one() {
    let place = Scratch::new();
    let kernel =
        place.script("waits", "echo up > ups\nwhile ! test -e go; do sleep 0.02; done\necho passed\n");
    let mut terminal = Terminal::start(&place.dcrun("-n 1 -J outer dcrun -n 1").arg(&kernel));
    until("the inner rank", || place.path("ups").exists().then_some(()));
    terminal.types("\x03");
    terminal.shows("Ctrl-C");
    place.write("go", "");
    terminal.shows("passed");
    assert_eq!(terminal.status(), 0, "the inner one has not heard of it");
    let screen = terminal.screen.text();
    assert_eq!(screen.matches("Ctrl-C").count(), 1, "{screen}");
}

/// A dcrun that `before` starts in other surroundings is told of one of this user's, and tells of itself.
fn is_seen_from(before: &str, what: &str) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped, for want of root: {what}");
        return;
    }
    let place = Scratch::new();
    let shared = place_of_claims(&place);
    for dir in [place.path(""), shared.clone(), place.state(), place.path("home")] {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    }
    let tried = place.ask("sh").words("-c").arg(format!("exec {before} \"$@\"")).arg("sh");
    let tried = tried.arg(dc_integration::built("dcrun")).arg("--version").run();
    if tried.code() != 0 {
        eprintln!("skipped, {what}: {}", tried.err());
        return;
    }
    let kernel = waits(&place);
    let all = allowed().len();
    let there = place.ask("sh").words("-c").arg(format!("exec {before} \"$@\"")).arg("sh");
    let there = there.arg(dc_integration::built("dcrun")).words(&format!("-n {all} -J there")).arg(&kernel);
    let there = with_claims(there, &shared).start();
    there.prints("up ");
    let here = with_claims(place.dcrun(&format!("-n {all} true")), &shared).run().ends_with(0);
    here.says_in_a_line(&["used by another dcrun as well", "(job there)"]);
    place.write("go", "");
    there.finish().ends_with(0);
    assert_eq!(count(&shared), 0, "nothing is left");
}

#[test]
fn another_users_dcrun_is_seen() {
    is_seen_from("setpriv --reuid 65534 --regid 65534 --clear-groups", "another user's dcrun");
}

#[test]
fn a_containers_dcrun_is_seen_where_the_directory_is_shared() {
    is_seen_from("unshare --pid --fork --mount-proc --ipc --uts", "a dcrun in other namespaces");
}
