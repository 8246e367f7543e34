//! Hosts on one machine: each has network, names, mounts, processes, shared memory and control groups of its own, and
//! hangs on a net that can be cut. As root on a plain Debian; the machine's own namespaces are left as they are.
//!
//! A host is a tree of three: the *holder*, a child of the test outside of all namespaces; *init*, process 1 inside; and what the
//! test runs there, started by init. The holder ends the host when the test is gone, in whatever way it went.

mod groups;
mod hold;
mod host;
mod init;
mod inside;
mod kit;
mod look;
mod mounts;
mod net;
mod reports;
pub mod talk;

pub use hold::hold;
pub use host::{Host, Options};
pub use init::init;
pub use inside::{Ended, Inside, Order};
pub use kit::Kit;
pub use look::{cpus_of, overlap};
pub use net::Net;

/// Why no hosts can be made here, if so: in words, for one line.
#[must_use]
pub fn what_is_missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, to make hosts in namespaces".to_owned());
    }
    let is_there = |name: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
    };
    for (name, package) in [("ip", "iproute2"), ("nsenter", "util-linux"), ("unshare", "util-linux")] {
        if !is_there(name) {
            return Some(format!("needs {name} (Debian package {package})"));
        }
    }
    let tried = std::process::Command::new("unshare").args(["-npmiuf", "--mount-proc", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Some(format!("may not make namespaces: {said}"))
        }
        Err(error) => Some(format!("unshare: {error}")),
    }
}
