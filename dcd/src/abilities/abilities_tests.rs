//! Hosts of every kind, made up, and this one.

use super::*;
use std::path::PathBuf;

fn v2(controllers: &[&str]) -> V2 {
    V2 {
        dir: PathBuf::from("/sys/fs/cgroup/x"),
        can_make: true,
        has_kill: true,
        controllers: controllers.iter().map(|word| (*word).to_owned()).collect(),
        can_hand_on: true,
        ..V2::default()
    }
}

fn v1(controllers: &[&'static str]) -> Vec<V1> {
    let one = |controller: &&'static str| V1 { controller, dir: PathBuf::new(), can_make: true };
    controllers.iter().map(one).collect()
}

fn of(v2: Option<V2>, v1: Vec<V1>) -> (KillMode, [bool; 3]) {
    let found = Abilities::of(&GroupFacts { v2, v1 });
    (found.kill, [found.limits.memory, found.limits.pids, found.limits.cpuset])
}

#[test]
fn hosts_of_every_kind() {
    let all = [MEMORY, PIDS, CPUSET];
    // Pure version 2, delegated; delegated in part, as systemd does for users.
    assert_eq!(of(Some(v2(&all)), vec![]), (KillMode::Cgroup2, [true; 3]));
    assert_eq!(of(Some(v2(&[MEMORY, PIDS])), vec![]), (KillMode::Cgroup2, [true, true, false]));
    // Not delegated: the group is root's.
    let foreign = V2 { can_make: false, can_hand_on: false, ..v2(&all) };
    assert_eq!(of(Some(foreign), vec![]), (KillMode::Subreaper, [false; 3]));
    // Groups may be made, and nothing is handed on but pids.
    let some = V2 { can_hand_on: false, handed_on: [PIDS.to_owned()].into(), ..v2(&all) };
    assert_eq!(of(Some(some), vec![]), (KillMode::Cgroup2, [false, true, false]));
    // A kernel before 5.14.
    assert_eq!(of(Some(V2 { has_kill: false, ..v2(&[]) }), vec![]), (KillMode::Cgroup1, [false; 3]));
    // Hybrid: version 2 without controllers, which version 1 has.
    assert_eq!(of(Some(v2(&[])), v1(&[MEMORY, PIDS, FREEZER])), (KillMode::Cgroup2, [true, true, false]));
    // Version 1 alone, with and without the freezer; and nothing at all.
    assert_eq!(of(None, v1(&[MEMORY, FREEZER, CPUSET])), (KillMode::Cgroup1, [true, false, true]));
    assert_eq!(of(None, v1(&[MEMORY])), (KillMode::Subreaper, [true, false, false]));
    assert_eq!(of(None, vec![]), (KillMode::Subreaper, [false; 3]));
}

#[test]
fn what_is_named_must_be_there() {
    let best = Abilities { kill: KillMode::Cgroup2, limits: LimitModes::default() };
    assert_eq!(best.choose(Kill::Auto), Ok(KillMode::Cgroup2));
    assert_eq!(best.choose(Kill::Subreaper), Ok(KillMode::Subreaper));
    assert!(best.choose(Kill::Cgroup1).is_err());
    let least = Abilities::default();
    assert_eq!(least.choose(Kill::Auto), Ok(KillMode::Subreaper));
    let error = least.choose(Kill::Cgroup2).unwrap_err();
    assert!(error.contains("only \"subreaper\"") && error.contains("dcd doctor"), "{error}");
}

#[test]
fn this_host_is_looked_at_and_left_as_it_was() {
    let facts = probe();
    for dir in facts.v2.iter().map(|v2| &v2.dir).chain(facts.v1.iter().map(|v1| &v1.dir)) {
        assert!(!dir.join(format!("dc-probe-{}", std::process::id())).exists(), "{}", dir.display());
    }
    assert_eq!(Abilities::of(&facts), Abilities::of(&probe()));
}
