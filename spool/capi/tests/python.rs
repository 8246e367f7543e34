//! The Python module, by Python's own tests in `test_dcspool.py`; and its names against the C header.
#![allow(clippy::unwrap_used)]

mod build;

use build::{good, library, source};
use std::process::Command;

fn python() -> Command {
    let mut command = Command::new("python3");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DC_") {
            command.env_remove(name);
        }
    }
    command.env("DC_LIB", library().join("libdcspool.so")).env("PYTHONPATH", source().join("python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn its_own_tests() {
    let done = good(python().args(["-W", "error"]).arg(source().join("tests/test_dcspool.py")));
    let said = String::from_utf8_lossy(&done.stderr);
    if said.contains("skipped") {
        eprintln!("not tested: numpy's arrays, for want of numpy");
    }
    assert!(said.contains("OK"), "{said}");
}

/// Every function of the header has a call, and every number of the header is the module's.
#[test]
fn it_has_what_the_header_has() {
    let header = std::fs::read_to_string(source().join("include/dcspool.h")).unwrap();
    let module = std::fs::read_to_string(source().join("python/dcspool.py")).unwrap();
    for word in header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(') {
        if let Some((name, _)) = word.split_once('(').filter(|(name, _)| name.starts_with("dc_")) {
            assert!(module.contains(&format!("\"{name}\"")), "{name} is not in dcspool.py");
        }
    }
    let script = "import dcspool as d; print(*(f'DC_{n.upper()}={v}' for t in (d._DTYPES, d._LAYOUTS) \
                  for n, v in t.items())); print(*(f'={k}' for k in d._ERRORS))";
    let said = String::from_utf8(good(python().args(["-c", script])).stdout).unwrap();
    let compact: String = header.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(said.split_whitespace().count(), 10 + 3 + 7);
    for word in said.split_whitespace() {
        assert!(compact.contains(word), "{word} is not in dcspool.h");
    }
}
