//! Kernels in C that misbehave, or use dc's library, compiled when they are first needed.

use crate::commands::{built, directory, lock, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// A kernel of `fixtures/` that knows nothing of dc.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    compile(name, &[])
}

/// A kernel of `fixtures/` on dc's C library.
#[must_use]
pub fn linked_fixture(name: &str) -> PathBuf {
    compile(name, &[built("libdcspool.a")])
}

/// Where the header of dc's C library is.
#[must_use]
pub fn include() -> PathBuf {
    root().join("spool/capi/include")
}

/// A kernel of `fixtures/` that is an MPI program on dc's C library, compiled by this `mpicc`; nothing where that is not
/// installed.
#[must_use]
pub fn mpi_fixture(name: &str, mpicc: &str) -> Option<PathBuf> {
    let is_there = Command::new(mpicc).arg("-show").output().is_ok_and(|output| output.status.success());
    is_there.then(|| compile_by(mpicc, name, &format!("{name}-{mpicc}"), &[built("libdcspool.a")]))
}

fn compile(name: &str, libraries: &[PathBuf]) -> PathBuf {
    compile_by("gcc", name, name, libraries)
}

fn compile_by(compiler: &str, name: &str, made_name: &str, libraries: &[PathBuf]) -> PathBuf {
    let made = directory().join("dc-fixtures");
    let _lock = lock(directory());
    fs::create_dir_all(&made).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (source, program) = (sources.join(format!("{name}.c")), made.join(made_name));
    let newest = [&source, &sources.join("fixture.h"), &include().join("dcspool.h")];
    let newest = newest.into_iter().chain(libraries).map(|path| changed(path)).max().unwrap();
    if program.exists() && changed(&program) > newest {
        return program;
    }
    let mut gcc = Command::new(compiler);
    gcc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]).arg(include());
    // Under another name first: a program that runs already is never written to.
    let unfinished = made.join(format!("{made_name}.unfinished"));
    gcc.arg("-o").arg(&unfinished).arg(&source).args(libraries).args(["-lm", "-ldl"]);
    let output = gcc.output().unwrap_or_else(|e| panic!("gcc (Debian package gcc) is needed: {e}"));
    assert!(output.status.success(), "{gcc:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&unfinished, &program).unwrap();
    program
}

fn changed(path: &Path) -> SystemTime {
    let meta = fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    meta.modified().unwrap()
}
