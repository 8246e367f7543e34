//! What is read off machines of several shapes. hwloc makes them up from a line; each is read by a process of its
//! own, because hwloc takes the line from the environment. Only CPUs that this process may use are seen in them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

use dcd::topology::{discover, prepare_environment};
use std::process::Command;

/// Not a test of its own: what the others run.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn show() {
    println!(); // The runner leaves its line open.
    match discover() {
        Ok(topology) => {
            for core in &topology.cores {
                let (l3, numa, package) = (core.l3, core.numa, core.package);
                println!("core {} cpus {} l3 {l3} numa {numa} package {package}", core.logical, core.cpus);
            }
            for numa in &topology.numa {
                println!("numa {} {}", numa.os_index, numa.memory_bytes);
            }
        }
        Err(e) => println!("error {e}"),
    }
}

fn seen(synthetic: &str) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "show", "--ignored", "--nocapture"])
        .env("HWLOC_SYNTHETIC", synthetic)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let ours = |line: &&str| ["core ", "numa ", "error "].iter().any(|word| line.starts_with(word));
    text.lines().filter(ours).map(str::to_owned).collect()
}

/// CPUs 0 and 1 must be ours for these shapes to be seen whole.
fn both_allowed() -> bool {
    let cpus = discover().unwrap().cpus();
    let both = cpus.contains(0) && cpus.contains(1);
    if !both {
        println!("CPUs 0 and 1 are not allowed here ({cpus}): the shapes of machines are not looked at");
    }
    both
}

#[test]
fn shapes_of_machines() {
    if !both_allowed() {
        return;
    }
    let threads = seen("pack:1 numa:1(memory=1GB) l3:1 core:1 pu:2");
    assert_eq!(threads, ["core 0 cpus 0,1 l3 0 numa 0 package 0", "numa 0 1000000000"]);

    let domains = seen("pack:2 numa:1(memory=1GB) l3:1 core:1 pu:1");
    assert_eq!(domains[0], "core 0 cpus 0 l3 0 numa 0 package 0");
    assert_eq!(domains[1], "core 1 cpus 1 l3 1 numa 1 package 1");
    assert_eq!(domains[2..], ["numa 0 1000000000", "numa 1 1000000000"]);

    let flat = seen("pu:2");
    assert_eq!(flat[..2], ["core 0 cpus 0 l3 0 numa 0 package 0", "core 1 cpus 1 l3 0 numa 0 package 0"]);

    let larger = seen("pack:2 l3:2 core:2 pu:2");
    assert_eq!(larger[0], "core 0 cpus 0,1 l3 0 numa 0 package 0", "only what this process may use");
    assert!(larger[1].starts_with("core 1") || larger[1].starts_with("numa 0"), "{larger:?}");
}

#[test]
fn this_machine_has_cores_of_disjoint_cpus() {
    let topology = discover().unwrap();
    assert!(!topology.cores.is_empty() && !topology.host.is_empty());
    let all: usize = topology.cores.iter().map(|core| core.cpus.len()).sum();
    assert_eq!(all, topology.cpus().len());
    for core in &topology.cores {
        assert!((core.numa as usize) < topology.numa.len());
    }
    assert!(topology.numa.iter().all(|domain| domain.memory_bytes > 0));
}

/// Not a test of its own: what the next one runs.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn show_prepared() {
    // One thread reads or writes the environment here: the runner's others wait for this one.
    prepare_environment();
    println!("\nplugins {:?}", std::env::var_os("HWLOC_PLUGINS_PATH"));
    show();
}

#[test]
fn what_is_spared_changes_nothing_that_is_seen() {
    let run = |name: &str, variable: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
        for name in ["HWLOC_SYNTHETIC", "HWLOC_XMLFILE", "HWLOC_COMPONENTS", "HWLOC_PLUGINS_PATH"] {
            command.env_remove(name);
        }
        if let Some(variable) = variable {
            command.env(variable, "1");
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.starts_with("core ") || l.starts_with("numa ")).map(str::to_owned).collect()
    };
    let (plain, prepared) = (run("show", None), run("show_prepared", None));
    assert!(prepared.contains("plugins Some"), "{prepared}");
    assert_eq!(lines(&plain), lines(&prepared));
    assert!(!lines(&plain).is_empty());
    assert!(
        run("show_prepared", Some("HWLOC_DEBUG_CHECK")).contains("plugins None"),
        "the user's word holds"
    );
}
