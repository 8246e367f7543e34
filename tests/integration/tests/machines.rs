//! Machines that are only described: drawn by a plan, never run on. `DC_REWRITE=1` writes the pictures anew; look at
//! what differs.

use dc_integration::events::parse;
use dc_integration::shown::allowed;
use dc_integration::{Scratch, only, root};
use serde_json::Value;
use std::path::PathBuf;

fn machine(name: &str) -> PathBuf {
    root().join(format!("dcd/tests/machines/{name}.xml"))
}

/// Compares with the file of that name, and with what every picture keeps to.
fn check(name: &str, picture: &str) {
    assert!(picture.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{picture}");
    let path = root().join(format!("tests/integration/tests/pictures/{name}.txt"));
    if std::env::var_os("DC_REWRITE").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(picture == expected, "{name} is another picture now:\n{picture}\nand was\n{expected}");
}

/// What is between the first empty line and the second: the picture.
fn picture(page: &str) -> String {
    let lines = page.lines().skip_while(|line| !line.is_empty()).skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Seven blocks of 90 to 110 cells in a list, two of them with two cores, and one without cells.
const LIST: &str = "a 100\nb 90 2\nc 110\nd 105\nnone 0\ne 95\nf 98 2\ng 97\n";

#[test]
fn described_machines_are_drawn() {
    let place = Scratch::new();
    place.write("list", LIST);
    for name in
        ["memory-only", "no-cores", "offline", "asymmetric", "hybrid", "hidden", "packages", "first-format"]
    {
        let ask = place.dcrun("--subtasks list -n 8 --plan").env("LC_ALL", "C.UTF-8");
        let done = ask.env("HWLOC_XMLFILE", machine(name)).run().ends_with(0);
        assert_eq!(done.err(), "");
        check(name, &picture(&done.out()));
    }
    place.nothing_is_left();
}

#[test]
fn made_up_machines_are_drawn() {
    let place = Scratch::new();
    place.write("list", (0..150).map(|i| format!("s{i} {}\n", 1000 + i * 7 % 90)).collect::<String>());
    for (name, line, words) in [
        ("synthetic-64", "pack:2 numa:4 l3:2 core:4 pu:2", "-n 150"),
        ("synthetic-128", "pack:2 l3:8 core:8 pu:1", "-n 150"),
        ("synthetic-128-threads", "pack:2 numa:1 l3:8 core:8 pu:2", "-n 150"),
        ("synthetic-128-idle", "pack:2 numa:1 l3:8 core:8 pu:2", "-n 9"),
        ("synthetic-256", "pack:2 numa:2 l3:8 core:8 pu:2", "-n 150"),
        ("synthetic-4096", "pack:32 numa:2 l3:8 core:8 pu:2", "-n 150"),
        ("synthetic-wide", "pack:250 core:2 pu:2", "-n 150"),
    ] {
        let ask = place.dcrun(&format!("--subtasks list {words} --plan")).env("LC_ALL", "C.UTF-8");
        let done = ask.env("HWLOC_SYNTHETIC", line).run().ends_with(0);
        let picture = picture(&done.out());
        assert!(picture.lines().count() <= 210, "{} lines", picture.lines().count());
        check(name, &picture);
    }
}

#[test]
fn without_utf_8_it_is_ascii() {
    let place = Scratch::new();
    place.write("list", LIST);
    for (variable, value) in [("LC_ALL", "C"), ("LC_ALL", "POSIX"), ("LC_ALL", "de_DE.ISO-8859-1")] {
        let ask = place.dcrun("--subtasks list -n 8 --bind none --plan").env(variable, value);
        let done = ask.env("HWLOC_XMLFILE", machine("memory-only")).run().ends_with(0);
        assert!(done.out().is_ascii(), "{done}");
        check("ascii", &picture(&done.out()));
    }
}

fn numbers(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// The object of the machine adds up to the job, on every level.
#[test]
fn the_machine_as_json() {
    let place = Scratch::new();
    place.write("list", LIST);
    let ask = place.dcrun("--subtasks list -n 8 --plan --json").env("HWLOC_XMLFILE", machine("memory-only"));
    let events = parse(&ask.run().ends_with(0).out());
    assert_eq!((&events[0]["event"], &events[1]["event"]), (&"plan".into(), &"machine".into()));
    let machine = only(&events, "machine");
    assert_eq!((&machine["host"], &machine["described_by"]), (&"amber".into(), &"HWLOC_XMLFILE".into()));
    let mut cores = 0;
    let mut total = 0;
    for package in machine["packages"].as_array().unwrap() {
        let domains = package["domains"].as_array().unwrap();
        assert_eq!(
            domains.iter().map(|d| numbers(d, "cells_total")).sum::<u64>(),
            numbers(package, "cells_total")
        );
        for domain in domains {
            let inner = domain["cores"].as_array().unwrap();
            assert_eq!(
                inner.iter().map(|c| numbers(c, "cells_total")).sum::<u64>(),
                numbers(domain, "cells_total")
            );
            assert_eq!(numbers(domain, "memory_bytes"), 96 << 30);
            cores += inner.len() as u64;
            total += numbers(domain, "cells_total");
        }
    }
    let plan = only(&events, "plan");
    assert_eq!((cores, total), (numbers(plan, "cores"), numbers(plan, "cells_total")));
    let far = machine["memory_only"].as_array().unwrap();
    let far: Vec<_> =
        far.iter().map(|node| (numbers(node, "numa"), node["kind"].as_str().unwrap())).collect();
    assert_eq!(far, [(0, "CXL-DRAM"), (1, "HBM"), (3, "HBM")]);
}

/// This machine, cut to what may be used: the rest is told and not drawn.
#[test]
fn this_machine_is_drawn_as_far_as_it_may_be_used() {
    let place = Scratch::new();
    let last = allowed().pop().unwrap();
    let ask = place.ask("taskset").words(&format!("-c {last} dcrun -n 3 --plan")).env("LC_ALL", "C");
    let done = ask.run().ends_with(0);
    let drawn = picture(&done.out());
    assert!(drawn.contains(&format!("cpu {last}")) && drawn.contains("rank 0 +2"), "{drawn}");
    for other in allowed().into_iter().filter(|cpu| *cpu != last) {
        assert!(!drawn.contains(&format!("cpu {other} ")), "{drawn}");
    }
    if allowed().len() > 1 {
        assert!(drawn.contains("not used: CPUs "), "{drawn}");
    }
}

#[test]
fn nothing_runs_on_another_machine() {
    let place = Scratch::new();
    let script = r#"echo ran >>"$NOTES""#;
    let refused = |variable: &str, value: &str, word: &str| {
        let done = place.dcrun("-n 2").script(script).env(variable, value).run().ends_with(125);
        let lines: Vec<_> = done.err().lines().map(str::to_owned).collect();
        assert!(lines.len() == 1 && lines[0].contains(word) && lines[0].contains("--plan"), "{done}");
    };
    refused("HWLOC_SYNTHETIC", "core:2 pu:1", "HWLOC_SYNTHETIC");
    refused("HWLOC_XMLFILE", machine("packages").to_str().unwrap(), "HWLOC_XMLFILE");
    refused("HWLOC_XMLFILE", "/nonexistent", "HWLOC_XMLFILE");
    refused("HWLOC_THISSYSTEM", "0", "HWLOC_THISSYSTEM");
    assert!(place.log().is_empty());
    place.nothing_is_left();
    // Nor does a job that began here go on there.
    let failing = place.dcrun("-n 1 --spool job").script("dcspool save --step 1 </dev/null; exit 3").run();
    failing.ends_with(3);
    let ask = place.dcrun("--resume job").env("HWLOC_SYNTHETIC", "pu:4");
    assert!(ask.run().ends_with(125).err().contains("HWLOC_SYNTHETIC"));
    // A description of this very machine, by the user's word.
    let cpus = allowed().pop().unwrap() + 1;
    let ask = place.dcrun("-n 1").script(script).env("HWLOC_THISSYSTEM", "1");
    ask.env("HWLOC_SYNTHETIC", format!("core:{cpus} pu:1")).run().ends_with(0);
    assert_eq!(place.log().len(), 1);
}

#[test]
fn bad_descriptions_are_one_line() {
    let place = Scratch::new();
    place.write("cut.xml", "<?xml version=\"1.0\"?>\n<topology version=\"2.0\">\n  <object");
    place.write("other.xml", "<?xml version=\"1.0\"?>\n<topology version=\"2.0\">\n  <obj/>\n</topology>\n");
    for (variable, value) in [
        ("HWLOC_XMLFILE", "cut.xml"),
        ("HWLOC_XMLFILE", "other.xml"),
        ("HWLOC_XMLFILE", "none.xml"),
        ("HWLOC_XMLFILE", "/dev/zero"),
        ("HWLOC_SYNTHETIC", "no such machine"),
        ("HWLOC_SYNTHETIC", "pu:9999999"),
    ] {
        let done = place.dcrun("-n 2 --plan").env(variable, value).run().ends_with(125);
        assert!(done.out().is_empty(), "never this machine instead: {done}");
        let lines: Vec<_> = done.err().lines().map(str::to_owned).collect();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("dcrun: {variable}={value}: ")), "{done}");
    }
}
