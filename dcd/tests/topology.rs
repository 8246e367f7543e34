//! What is read off machines of several shapes: this one, some that hwloc makes up from a line, and those in
//! `machines/`. Each is read by a process of its own, because hwloc takes the description from the environment.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

use dcd::topology::{Source, discover, prepare_environment};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not a test of its own: what the others run.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn show() {
    tell(&Source::of_environment());
}

fn tell(source: &Source) {
    let mut out = "\n".to_owned(); // The runner leaves its line open.
    match discover(source) {
        Ok(found) => {
            let (topology, cache) = (&found.topology, found.cache.unwrap_or("none"));
            let _ = writeln!(out, "= host {}, cache {cache}, left out {:?}", topology.host, found.left_out);
            for core in &topology.cores {
                let numa = topology.numa[core.numa as usize].os_index;
                let _ = write!(out, "= core {} cpus {} cache {}", core.logical, core.cpus, core.l3);
                let _ = writeln!(out, " numa {numa} package {}", core.package);
            }
            for numa in &topology.numa {
                let _ = writeln!(out, "= numa {} {}", numa.os_index, numa.memory_bytes);
            }
            for node in &found.memory_only {
                let (os_index, bytes, kind) = (node.os_index, node.memory_bytes, node.kind.as_deref());
                let _ = writeln!(out, "= memory {os_index} {bytes} {kind:?} near {:?}", node.near);
            }
        }
        Err(e) => {
            let _ = writeln!(out, "= error {e}");
        }
    }
    print!("{out}");
}

/// What a process with these variables, and no other of hwloc's, sees.
fn seen(name: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HWLOC_")) {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text.lines().filter_map(|line| line.strip_prefix("= ")).map(str::to_owned).collect()
}

fn synthetic(line: &str) -> Vec<String> {
    seen("show", &[("HWLOC_SYNTHETIC", line)])
}

#[test]
fn made_up_machines() {
    let threads = synthetic("pack:1 numa:1(memory=1GB) l3:1 core:1 pu:2");
    let core = "core 0 cpus 0,1 cache 0 numa 0 package 0";
    assert_eq!(threads, ["host synthetic, cache L3, left out {}", core, "numa 0 1000000000"]);

    // All of it, whatever this process may use here.
    let larger = synthetic("pack:2 numa:2(memory=3GB) l3:2 core:4 pu:2");
    assert_eq!(larger.len(), 1 + 32 + 4);
    assert_eq!(larger[32], "core 31 cpus 62,63 cache 7 numa 3 package 1");
    assert_eq!(larger[36], "numa 3 3000000000");

    let flat = synthetic("pu:2");
    assert_eq!(flat[0], "host synthetic, cache none, left out {}");
    assert_eq!(
        flat[1..3],
        ["core 0 cpus 0 cache 0 numa 0 package 0", "core 1 cpus 1 cache 0 numa 0 package 0"]
    );

    let two_kinds = synthetic("pack:2 [numa(memory=1GB)] [numa(memory=2GB)] core:1 pu:1");
    assert_eq!(
        two_kinds[1..],
        [
            "core 0 cpus 0 cache 0 numa 0 package 0",
            "core 1 cpus 1 cache 1 numa 2 package 1",
            "numa 0 1000000000",
            "numa 2 1000000000",
            "memory 1 2000000000 None near [0]",
            "memory 3 2000000000 None near [1]",
        ]
    );
}

fn machines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines")
}

#[test]
fn described_machines() {
    let files = std::fs::read_dir(machines()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "xml")).collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        let lines = seen("show", &[("HWLOC_XMLFILE", file.to_str().unwrap())]);
        let (text, beside) = (lines.join("\n") + "\n", file.with_extension("txt"));
        if std::env::var_os("DC_REWRITE").is_some() {
            std::fs::write(&beside, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap();
        assert_eq!(text, expected, "{}", file.display());
    }
}

/// hwloc takes this machine where it cannot read a description; dc never does.
#[test]
fn descriptions_of_nothing() {
    let place = tempfile::tempdir().unwrap();
    let whole = std::fs::read(machines().join("packages.xml")).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let files: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "is empty"),
        ("half", whole[..whole.len() / 2].to_vec(), "cut off"),
        ("elf", b"\x7fELF\x02\x01\x01".to_vec(), "no description"),
        ("page", b"<html><body>not here</body></html>".to_vec(), "no description"),
        ("torn", text.replace("<object type=\"Package\"", "<object type=\"").into_bytes(), "cannot read it"),
        ("later", text.replace("version=\"2.0\"", "version=\"9.0\"").into_bytes(), "cannot read it"),
        (
            "bare",
            b"<?xml version=\"1.0\"?>\n<topology version=\"2.0\">\n</topology>\n".to_vec(),
            "cannot read it",
        ),
    ];
    let check = |variables: &[(&str, &str)], word: &str| {
        let lines = seen("show_prepared", variables).split_off(1);
        let one = lines.len() == 1 && lines[0].starts_with("error ") && lines[0].contains(word);
        assert!(one, "{variables:?}: {lines:#?}");
    };
    for (name, bytes, word) in files {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        check(&[("HWLOC_XMLFILE", path)], word);
        // Nor where the user says that it is this machine's.
        check(&[("HWLOC_XMLFILE", path), ("HWLOC_THISSYSTEM", "1")], word);
    }
    check(&[("HWLOC_XMLFILE", "/nonexistent/machine.xml")], "No such file");
    check(&[("HWLOC_XMLFILE", "/dev/zero")], "no regular file");
    for line in ["foo", "pack:2 numa:", "pack:0 pu:1", "core:2 pack:2", "[numa"] {
        check(&[("HWLOC_SYNTHETIC", line)], "cannot make a machine of it");
    }
    check(&[("HWLOC_SYNTHETIC", "pack:4000 core:4000 pu:4000")], "more than 65536 CPUs");
    check(&[("HWLOC_SYNTHETIC", "pu:2(indexes=1,70000)")], "");
    check(&[("HWLOC_FSROOT", "/nonexistent")], "cannot read a machine from it");
    check(&[("HWLOC_SYNTHETIC", "pu:2"), ("HWLOC_COMPONENTS", "linux")], "HWLOC_COMPONENTS");
}

/// hwloc 2.9 does not live to tell what is wrong with this one.
#[test]
fn a_description_that_crashes_hwloc() {
    let place = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(machines().join("no-cores.xml")).unwrap();
    let damaged =
        text.replace(r#"cpuset="0x00000002" complete_cpuset="0x00000002""#, r#"cpuset="0x00000002""#);
    assert_ne!(damaged, text);
    let path = place.path().join("damaged.xml");
    std::fs::write(&path, damaged).unwrap();
    let lines = seen("show_prepared", &[("HWLOC_XMLFILE", path.to_str().unwrap())]);
    // Another hwloc may read it; what it makes of it then is not looked at.
    assert!(lines.len() > 2 || lines[1].starts_with("error "), "{lines:?}");
}

/// A description of this machine, by the user's word: cut down to what this process may use.
#[test]
fn a_description_of_this_machine() {
    let allowed = discover(&Source::of_environment()).unwrap().topology.cpus();
    let cpus = (allowed.iter().max().unwrap() + 2).to_string();
    let line = format!("core:{cpus} pu:1");
    let variables = [("HWLOC_SYNTHETIC", line.as_str()), ("HWLOC_THISSYSTEM", "1")];
    let cores = seen("show_prepared", &variables).iter().filter(|line| line.starts_with("core ")).count();
    assert_eq!(cores, allowed.len());
}

#[test]
fn this_machine_has_cores_of_disjoint_cpus() {
    let found = discover(&Source::of_environment()).unwrap();
    let topology = found.topology;
    assert_eq!(found.described_by, None);
    assert!(!found.left_out.intersects(&topology.cpus()));
    assert!(!topology.cores.is_empty() && !topology.host.is_empty());
    let all: usize = topology.cores.iter().map(|core| core.cpus.len()).sum();
    assert_eq!(all, topology.cpus().len());
    for core in &topology.cores {
        assert!((core.numa as usize) < topology.numa.len());
    }
    assert!(topology.numa.iter().all(|domain| domain.memory_bytes > 0));
}

/// A line without how much memory a NUMA domain has.
fn without_bytes(line: &str) -> &str {
    let numa = line.strip_prefix("numa ").and_then(|rest| rest.split_once(' '));
    numa.map_or(line, |(number, _)| &line[.."numa ".len() + number.len()])
}

/// Not a test of its own: what the next one runs.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn show_prepared() {
    // One thread reads or writes the environment here: the runner's others wait for this one.
    let source = prepare_environment();
    println!("\n= plugins {:?}", std::env::var_os("HWLOC_PLUGINS_PATH").is_some());
    tell(&source);
}

#[test]
fn what_is_spared_changes_nothing_that_is_seen() {
    let plain = seen("show", &[]);
    let prepared = seen("show_prepared", &[]);
    assert_eq!(prepared[0], "plugins true");
    // How much memory there is may change between two readings, where a host gives its guests more and less.
    let steady = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| without_bytes(line).to_owned()).collect()
    };
    assert_eq!(steady(&plain), steady(&prepared[1..]));
    assert!(plain.len() > 2);
    assert_eq!(
        seen("show_prepared", &[("HWLOC_DEBUG_CHECK", "1")])[0],
        "plugins false",
        "the user's word holds"
    );
}
