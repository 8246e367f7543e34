//! Hosts made up, one thing wrong with each; and this one.

use super::*;
use crate::abilities::{CPUSET, FREEZER, GroupFacts, MEMORY, PIDS, V1, V2};
use dc_config::Kill;
use dc_model::CpuSet;
use std::path::PathBuf;

/// A host on which all is good.
fn host() -> Facts {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let v2 = V2 {
        dir: PathBuf::from("/sys/fs/cgroup/dc"),
        can_make: true,
        has_kill: true,
        controllers: words(&[MEMORY, PIDS, CPUSET]),
        handed_on: words(&[]),
        can_hand_on: true,
    };
    let space = Space { total_bytes: 1 << 40, free_bytes: 1 << 39 };
    Facts {
        uid: 1000,
        kernel: "6.1.0".to_owned(),
        groups: GroupFacts { v2: Some(v2), v1: Vec::new() },
        kill: Kill::Auto,
        namespaces: Namespaces::Allowed,
        has_pidfd: true,
        has_clone3: true,
        has_boottime: true,
        files_max: 4096,
        processes_max: Some(4096),
        processes: 10,
        shm: Ok(space),
        overcommit: Some(0),
        spool: Disk {
            path: PathBuf::from("/scratch/dc"),
            found: PathBuf::from("/scratch/dc"),
            kind: "xfs".to_owned(),
            is_network: false,
            is_memory: false,
            space: Some(space),
            rules: Ok(()),
        },
        state: Some(Owned { is_dir: true, uid: 1000, mode: 0o700 }),
        state_path: PathBuf::from("/var/lib/dc/node"),
        key: Ok(Some("dc:abcd".to_owned())),
        port: Port::Free("*:7701".to_owned()),
        launchers: vec![PathBuf::from("/usr/bin/mpirun")],
        cores: Ok(Cores {
            cores: 64,
            threads: 128,
            left_out: CpuSet::new(),
            is_hybrid: false,
            domains_without_memory: 0,
            is_described: false,
        }),
    }
}

fn v1(controller: &'static str, can_make: bool) -> V1 {
    V1 { controller, dir: PathBuf::from("/sys/fs/cgroup").join(controller), can_make }
}

#[test]
fn a_good_host_has_nothing_to_remedy() {
    let findings = all(&host());
    assert!(is_fit(&findings));
    for finding in &findings {
        assert_eq!((finding.level, &finding.remedy), (Level::Good, &None), "{finding:?}");
    }
    let mut names: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), findings.len(), "each check has a name of its own");
}

/// What a change of a good host makes of one check, and of no other.
fn changed(check: &str, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = host();
    change(&mut facts);
    let findings = all(&facts);
    for finding in findings.iter().filter(|finding| finding.check != check) {
        assert_eq!(finding.level, Level::Good, "a change for {check}: {finding:?}");
    }
    let found = findings.into_iter().find(|finding| finding.check == check).unwrap();
    assert_eq!(found.remedy.is_some(), found.level > Level::Good, "{found:?}");
    for line in [&found.says, found.remedy.as_ref().unwrap_or(&String::new())] {
        assert!(!line.contains('\n'), "{line}");
    }
    found
}

#[test]
fn what_is_needed_is_bad_and_the_rest_weak() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Level, &str, Change); 29] = [
        ("kill", Level::Bad, "only \"cgroup2\"", |f| f.kill = Kill::Cgroup1),
        ("kill", Level::Weak, "no cgroup.kill", |f| {
            f.kernel = "5.10.0".to_owned();
            f.groups.v2.as_mut().unwrap().has_kill = false;
        }),
        ("memory", Level::Weak, "not delegated", |f| {
            f.groups.v2.as_mut().unwrap().controllers.remove(MEMORY);
        }),
        ("pids", Level::Weak, "not delegated", |f| {
            f.groups.v2.as_mut().unwrap().controllers.remove(PIDS);
        }),
        ("cpuset", Level::Weak, "not delegated", |f| {
            f.groups.v2.as_mut().unwrap().controllers.remove(CPUSET);
        }),
        ("namespaces", Level::Weak, "user.max_user_namespaces", |f| {
            f.namespaces = Namespaces::Forbidden("user.max_user_namespaces");
        }),
        ("pidfd", Level::Bad, "pidfd_open", |f| f.has_pidfd = false),
        ("clone3", Level::Weak, "no clone3", |f| f.has_clone3 = false),
        ("clock", Level::Bad, "CLOCK_BOOTTIME", |f| f.has_boottime = false),
        // 64 for itself and 8 for each of 128 ranks: 1088.
        ("open files", Level::Bad, "1,087 descriptors are enough for 127 ranks, and 128 could run", |f| {
            f.files_max = 1087;
        }),
        ("open files", Level::Good, "enough for 128 ranks", |f| f.files_max = 1088),
        ("open files", Level::Good, "without a limit", |f| f.files_max = u64::MAX),
        ("processes", Level::Bad, "enough for 127 ranks", |f| f.processes_max = Some(10 + 32 + 127)),
        ("processes", Level::Good, "enough for 128 ranks", |f| f.processes_max = Some(10 + 32 + 128)),
        ("shared memory", Level::Weak, "2.0 GiB free", |f| {
            f.shm = Ok(Space { total_bytes: 2 << 30, free_bytes: (2 << 30) - 1 });
        }),
        ("shared memory", Level::Weak, "No such file", |f| f.shm = Err("No such file".to_owned())),
        ("overcommit", Level::Weak, "is 2", |f| f.overcommit = Some(2)),
        ("spool", Level::Bad, "cannot sync", |f| f.spool.rules = Err("cannot sync".to_owned())),
        ("spool", Level::Weak, "other hosts see it", |f| f.spool.is_network = true),
        ("spool", Level::Weak, "gone with the boot", |f| f.spool.is_memory = true),
        ("spool", Level::Weak, "1023 MiB free", |f| {
            f.spool.space = Some(Space { total_bytes: 1 << 40, free_bytes: 1023 << 20 });
        }),
        ("state", Level::Bad, "belongs to user 0", |f| f.state.as_mut().unwrap().uid = 0),
        ("state", Level::Bad, "mode 0770", |f| f.state.as_mut().unwrap().mode = 0o770),
        ("key", Level::Weak, "none yet", |f| f.key = Ok(None)),
        ("key", Level::Bad, "mode 0644", |f| f.key = Err("it has mode 0644".to_owned())),
        ("port", Level::Weak, "somebody listens", |f| f.port = Port::InUse("*:1".to_owned())),
        ("port", Level::Bad, "Permission denied", |f| {
            f.port = Port::Not("*:1".to_owned(), "Permission denied".to_owned());
        }),
        ("topology", Level::Weak, "CPUs 7 are offline", |f| {
            f.cores.as_mut().unwrap().left_out = CpuSet::from_iter([7]);
        }),
        ("MPI", Level::Weak, "no launcher", |f| f.launchers.clear()),
    ];
    for (check, level, says, change) in cases {
        let finding = changed(check, change);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.says.contains(says), "{says}: {finding:?}");
    }
    let odd: [(&str, Change); 3] = [
        ("of two kinds", |f| f.cores.as_mut().unwrap().is_hybrid = true),
        ("described machine", |f| f.cores.as_mut().unwrap().is_described = true),
        ("memory of 1 domain", |f| f.cores.as_mut().unwrap().domains_without_memory = 1),
    ];
    for (says, change) in odd {
        let finding = changed("topology", change);
        assert!(finding.says.contains(says) && finding.level == Level::Weak, "{finding:?}");
    }
}

#[test]
fn hosts_without_the_second_version() {
    let of = |v2: Option<V2>, v1: Vec<V1>| {
        let facts = Facts { groups: GroupFacts { v2, v1 }, ..host() };
        let findings = all(&facts);
        assert!(is_fit(&findings), "a host without control groups runs ranks all the same");
        findings
            .into_iter()
            .take(4)
            .map(|f| (f.level, f.says, f.remedy.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    // Version 1 as root has it.
    let first = of(None, [MEMORY, PIDS, CPUSET, FREEZER].map(|name| v1(name, true)).to_vec());
    assert!(first[0].1.starts_with("cgroup1") && first[0].2.contains("version 2"), "{first:?}");
    assert!(first[1..].iter().all(|(level, says, _)| *level == Level::Good && says.contains("version 1")));
    // As a user.
    let user = of(None, [MEMORY, PIDS, CPUSET, FREEZER].map(|name| v1(name, false)).to_vec());
    assert!(
        user[0].1.contains("no group in the freezer") && user[1].2.contains("group of memory"),
        "{user:?}"
    );
    // Hybrid: killed by the second, limited by the first.
    let empty = V2 { controllers: Default::default(), ..host().groups.v2.unwrap() };
    let hybrid = of(Some(empty), vec![v1(MEMORY, true)]);
    assert!(hybrid[0].1.starts_with("cgroup2") && hybrid[1].1.contains("version 1"), "{hybrid:?}");
    assert!(hybrid[2].1.contains("pids is not delegated"), "{hybrid:?}");
    // A user's session whose group is root's.
    let foreign = V2 { can_make: false, can_hand_on: false, ..host().groups.v2.unwrap() };
    let foreign = of(Some(foreign), Vec::new());
    assert!(
        foreign.iter().all(|(level, _, remedy)| *level == Level::Weak && remedy.contains("Delegate")),
        "{foreign:?}"
    );
    // Nothing at all.
    let none = of(None, Vec::new());
    assert!(none.iter().all(|(_, says, _)| says.contains("no control groups are mounted")), "{none:?}");
}

#[test]
fn this_host_is_looked_at_without_a_trace() {
    let tmp = tempfile::tempdir().unwrap();
    let surroundings =
        dc_config::Surroundings { state_home: Some(tmp.path().to_owned()), ..Default::default() };
    let config = dc_config::Config::default_for(&surroundings);
    let node = config.node(&dc_link::Name::parse("n1").unwrap(), "localhost").unwrap();
    let facts = probe(&node, &crate::topology::Source::of_environment(), None);
    assert_eq!((facts.spool.rules.clone(), facts.key.clone()), (Ok(()), Ok(None)));
    assert!(facts.launchers.is_empty() && facts.processes > 0 && facts.spool.space.is_some());
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0, "nothing is left behind");
    assert!(all(&facts).len() > 10);
}
