//! Where the built commands are. They are built here, once for each run of the tests, because cargo builds the
//! programs of other packages for a test only when it is asked to.

use crate::process;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages whose programs and libraries the tests use.
const PACKAGES: [&str; 5] = ["dcrun", "dcd", "dcsched", "dc-spool", "dcspool-capi"];

/// The project's directory.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The path of a built command or library, such as `dcrun` or `libdcspool.a`.
///
/// # Panics
/// When the build fails or does not make it.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(path.is_file(), "the build has made no {}", path.display());
    path
}

/// The directory of the built commands; the first call of a run builds them.
#[must_use]
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = beside_this_test();
        let _lock = lock(&directory);
        let stamp = directory.join(".dc-integration-built");
        let run = run_of_tests();
        if run.is_none() || fs::read_to_string(&stamp).ok() != run {
            build(&directory);
            fs::write(&stamp, run.unwrap_or_default()).unwrap();
        }
        directory
    })
}

/// Held while something is built; other tests of the run wait.
pub(crate) fn lock(directory: &Path) -> Flock<File> {
    let file =
        File::options().create(true).append(true).open(directory.join(".dc-integration-lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap()
}

/// `target/debug` for `target/debug/deps/launch-0123`.
pub(crate) fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let directory = if deps.ends_with("deps") { deps.parent().unwrap() } else { deps };
    directory.to_owned()
}

/// What tells this run of the tests from others; none where it cannot be known, as for a test started by hand.
fn run_of_tests() -> Option<String> {
    if let Ok(id) = std::env::var("NEXTEST_RUN_ID") {
        return Some(id);
    }
    let parent = process::Process::of(std::os::unix::process::parent_id() as i32)?;
    (parent.name == "cargo").then(|| format!("{}-{}", parent.pid, parent.start_ticks))
}

fn build(directory: &Path) {
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--profile", profile, "--target-dir"]);
    command.arg(directory.parent().unwrap()).args(PACKAGES.iter().flat_map(|name| ["-p", name]));
    let output = command.current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}
