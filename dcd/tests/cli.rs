//! What an operator asks of a node, as it is typed: its topology, what its host can do, its configuration.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dcd"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(home: &Path, args: &[&str]) -> (Value, Option<i32>) {
    let output = run(home, args);
    let value = serde_json::from_slice(&output.stdout);
    (value.unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output.stderr))), output.status.code())
}

#[test]
fn a_described_machine_is_drawn() {
    let tmp = tempfile::tempdir().unwrap();
    let args = ["--print-topology", "--topology", "synthetic:pack:2 numa:2 l3:1 core:2 pu:2"];
    let output = run(tmp.path(), &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let drawn = text(&output.stdout);
    assert!(drawn.contains("2 packages, 4 NUMA domains, 4 L3, 8 cores, 16 hardware threads"), "{drawn}");
    assert!(drawn.contains("core 7: CPUs 14,15") && drawn.contains("┌─ package 1: 4 cores"), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");

    let (machine, _) = json(tmp.path(), &[&args[..], &["--json"]].concat());
    assert_eq!(machine["cores"].as_array().unwrap().len(), 8);
    assert_eq!(machine["cores"][7]["cpus"], serde_json::json!([14, 15]));
    assert_eq!((&machine["cores"][7]["package"], &machine["cores"][7]["numa"]), (&1.into(), &3.into()));
    // The same from dc.toml, with some of its CPUs.
    let toml = "[node]\ntopology = \"synthetic:pack:2 numa:2 l3:1 core:2 pu:2\"\ncpus = \"0-3,14\"\n";
    fs::write(tmp.path().join("dc.toml"), toml).unwrap();
    let (part, _) = json(tmp.path(), &["--print-topology", "--json"]);
    assert_eq!(part["allowed"], serde_json::json!([0, 1, 2, 3, 14]));
    assert_eq!(part["described_by"], "topology of dc.toml");
}

#[test]
fn the_page_lists_the_fields_of_the_topology() {
    let tmp = tempfile::tempdir().unwrap();
    let (machine, _) = json(tmp.path(), &["--print-topology", "--json"]);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/dcd.8")).unwrap();
    let section = page.split(".Ss JSON of the topology").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let mut listed: Vec<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .flat_map(|names| names.split(" , ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    listed.sort();
    let mut found: Vec<String> = machine.as_object().unwrap().keys().cloned().collect();
    found.sort();
    assert_eq!(listed, found);
    for field in machine["cores"][0]
        .as_object()
        .unwrap()
        .keys()
        .chain(machine["domains"][0].as_object().unwrap().keys())
    {
        assert!(section.contains(&format!(".Cm {field}")), "dcd(8) lacks {field}");
    }
}

#[test]
fn no_machine_is_no_picture() {
    let tmp = tempfile::tempdir().unwrap();
    for (topology, wanted) in [
        ("synthetic:pack:2 core:x", "hwloc cannot make a machine of it"),
        ("synthetic:", "wanted \"auto\""),
        ("pack:2", "wanted \"auto\""),
        ("synthetic:pack:999 core:999 pu:999", "more than 65536 CPUs"),
    ] {
        let output = run(tmp.path(), &["--print-topology", "--topology", topology]);
        assert_eq!(output.status.code(), Some(125));
        assert!(text(&output.stderr).contains(wanted), "{topology}: {}", text(&output.stderr));
    }
}

#[test]
fn the_doctor_says_whether_a_host_is_fit() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    fs::write(home.join("dc.toml"), "[node]\nstate = \"node\"\n").unwrap();
    let (found, status) = json(home, &["doctor", "--json"]);
    let checks = found["checks"].as_array().unwrap();
    let bad: Vec<_> = checks.iter().filter(|check| check["level"] == "bad").collect();
    assert_eq!(
        (found["fit"].as_bool(), status),
        (Some(bad.is_empty()), Some(i32::from(!bad.is_empty()))),
        "{bad:?}"
    );
    assert!(checks.iter().all(|check| check["remedy"].is_null() == (check["level"] == "good")), "{checks:?}");
    let people = text(&run(home, &["doctor"]).stdout);
    for check in checks {
        assert!(people.contains(check["check"].as_str().unwrap()), "{people}");
    }
    assert!(!home.join("node").exists(), "nothing is made");

    // A key that others may read is needed, and missing.
    assert!(run(home, &["keygen"]).status.success());
    fs::set_permissions(home.join("node/key"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(home, &["doctor"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().position(|line| line.starts_with("bad   key ")).unwrap();
    assert!(said.lines().nth(line).unwrap().contains("chmod 600"), "{said}");
    assert!(said.lines().nth(line + 1).unwrap().contains("-> "), "{said}");
}

#[test]
fn a_configuration_is_checked_for_this_node() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    fs::write(home.join("c.toml"), "[node]\nspool = \"/s/%n\"\n[[nodes]]\nname = \"n[1-9]\"\nspeed = 2\n")
        .unwrap();
    let output = run(home, &["--check-config", "c.toml", "--name", "n7"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        said.contains("name = \"n7\"\n")
            && said.contains("spool = \"/s/n7\"\n")
            && said.contains("speed = 2\n"),
        "{said}"
    );
    // A kill mode that cannot be had keeps the daemon from starting; one that is no kill mode does too.
    fs::write(home.join("c.toml"), "[node]\nkill = \"cgroup3\"\n").unwrap();
    let output = run(home, &["run", "--config", "c.toml"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("c.toml:2:8: node.kill"), "{}", text(&output.stderr));
}
