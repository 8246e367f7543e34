//! Builds the libraries as a user would have them, and compiles C programs against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The directory with `libdcspool.a` and `libdcspool.so`, of the profile that this test has. Cargo makes no C library
/// for a test by itself.
pub fn library() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let exe = std::env::current_exe().unwrap();
        let dir = exe.parent().and_then(Path::parent).unwrap().to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "-p", env!("CARGO_PKG_NAME")]);
        cargo.arg("--manifest-path").arg(source().join("Cargo.toml"));
        cargo.arg("--target-dir").arg(dir.parent().unwrap());
        if dir.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        good(&mut cargo);
        dir
    })
}

/// This package's directory.
pub fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs it; it must succeed.
pub fn good(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    output
}
