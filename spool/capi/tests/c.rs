//! The C interface from C and from C++, against the static and the shared library; and the header against both.
#![allow(clippy::unwrap_used)]

mod build;

use build::{good, library, source};
use dc_spool::result::{Dtype, Layout};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles api.c; `shared`: against the shared library, found by its soname next to the program.
fn compile(dir: &Path, compiler: &[&str], shared: bool) -> PathBuf {
    let program = dir.join("api");
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-o"]).arg(&program);
    command.arg("-I").arg(source().join("include")).arg(source().join("tests/api.c"));
    // What follows is a library, not C++.
    command.args(["-x", "none"]);
    if shared {
        std::fs::copy(library().join("libdcspool.so"), dir.join("libdcspool.so.0")).unwrap();
        command.arg(dir.join("libdcspool.so.0")).arg(format!("-Wl,-rpath,{}", dir.display()));
    } else {
        command.arg(library().join("libdcspool.a"));
    }
    good(command.args(["-lm", "-lpthread", "-ldl"]));
    program
}

/// The program with none of the variables that a dcrun around this test may have set.
fn by_hand(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DC_") {
            command.env_remove(name);
        }
    }
    command.env("DC_SPOOL", dir.join("spool"));
    command
}

fn through_the_interface(compiler: &[&str], shared: bool) {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), compiler, shared);
    let mask = dir.path().join("mask.pbm");
    std::fs::write(&mask, "P1\n4 3\n0 1 1 0\n1 1 1 1\n0 0 1 0\n").unwrap();
    for step in ["0", "10", "20"] {
        good(by_hand(&program, dir.path()).arg(step).arg(&mask));
    }
}

#[test]
fn c_with_the_static_library() {
    through_the_interface(&["gcc", "-std=c99"], false);
}

#[test]
fn c_with_the_shared_library() {
    through_the_interface(&["gcc", "-std=c99"], true);
}

#[test]
fn cpp_with_the_static_library() {
    through_the_interface(&["g++", "-std=c++11", "-x", "c++"], false);
}

#[test]
fn errors_are_told_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), &["gcc", "-std=c99"], false);
    let bad = |name: &str, value: &str| {
        good(by_hand(&program, dir.path()).env(name, value).args(["bad-environment", name]));
    };
    bad("DC_SUBTASK", "x");
    bad("DC_CHECKPOINT_INTERVAL", "-1");
    good(
        by_hand(&program, dir.path())
            .env("DC_JOB_UUID", "00010203-0405-0607-0809-0a0b0c0d0eff")
            .args(["bad-environment", "DC_SUBTASK is not set"]),
    );

    let mask = dir.path().join("mask.pbm");
    std::fs::write(&mask, "P1\n4 3\n0 1 1 0\n1 1 1 1\n0 0 1 0\n").unwrap();
    good(by_hand(&program, dir.path()).arg("0").arg(&mask));
    let fails = |status: &str| {
        good(by_hand(&program, dir.path()).args(["restore-fails", status]));
    };
    fails("-5"); // It has two regions, not one.
    let file = dir.path().join("spool/ckpt/00000000/a000001-s00000000000000000010.ckpt");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    fails("-4");
}

fn header() -> String {
    std::fs::read_to_string(source().join("include/dcspool.h")).unwrap()
}

#[test]
fn the_header_declares_exactly_what_the_library_has() {
    let text = header();
    let code: String = text.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, c)| c)).collect();
    let mut declared: Vec<_> = code
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(')
        .filter_map(|word| word.split_once('(').map(|(name, _)| name))
        .filter(|name| name.starts_with("dc_"))
        .map(str::to_owned)
        .collect();
    declared.sort();
    let nm = good(Command::new("nm").args(["-D", "--defined-only"]).arg(library().join("libdcspool.so")));
    let text = String::from_utf8(nm.stdout).unwrap();
    let mut exported: Vec<_> =
        text.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect();
    exported.sort();
    assert_eq!(exported, declared);
}

#[test]
fn the_numbers_of_the_header_are_the_formats() {
    let text = header();
    for dtype in Dtype::ALL {
        let line = format!("DC_{} = {}", dtype.code().to_uppercase(), dtype as u8);
        assert!(text.contains(&line), "{line}");
    }
    for layout in Layout::ALL {
        let line = format!("DC_{} = {}", layout.name().to_uppercase(), layout as u8);
        assert!(text.contains(&line), "{line}");
    }
}

#[test]
fn the_shared_library_says_its_version() {
    let out = good(Command::new("readelf").arg("-d").arg(library().join("libdcspool.so")));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("soname: [libdcspool.so.0]"), "{text}");
}
