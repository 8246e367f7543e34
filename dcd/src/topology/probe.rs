//! Reads a described machine in a process of its own first: hwloc trusts descriptions, and some that are damaged make
//! it crash or never end. Only where a machine is described; this one is not probed.
//!
//! Unsafe for fork, which is called while there is one thread, and for leaving the child without handlers at exit.
#![allow(unsafe_code)]

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};
use std::os::fd::AsRawFd;

/// How long hwloc may think about a machine, in seconds: the largest take a few.
const SECONDS_MAX: u32 = 30;

/// What is wrong with the description that the environment names, if reading it does not end well. To be called while
/// there is one thread.
pub(super) fn fault() -> Option<&'static str> {
    // SAFETY: by contract there is one thread, so that the child finds every lock open.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            hush();
            let _ = super::hwloc::load(true);
            // SAFETY: always; what stands in buffers is the parent's to write.
            unsafe { nix::libc::_exit(0) }
        }
        Ok(ForkResult::Parent { child }) => loop {
            match waitpid(child, None) {
                Err(nix::errno::Errno::EINTR) => {}
                Ok(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGALRM, _)) => {
                    return Some("hwloc does not come to an end with it; make a smaller one");
                }
                Ok(WaitStatus::Signaled(..)) => {
                    return Some(
                        "hwloc crashes when it reads it: it is damaged, `lstopo FILE.xml` makes it anew",
                    );
                }
                _ => return None,
            }
        },
        // Without a process to spare it is read all the same.
        Err(_) => None,
    }
}

/// In the child: no word, no core file, an end.
fn hush() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        for fd in [1, 2] {
            // SAFETY: numbers of descriptors, in a process that is about to end.
            unsafe { nix::libc::dup2(null.as_raw_fd(), fd) };
        }
    }
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0); // Else there is a core file, no more.
    alarm::set(SECONDS_MAX);
}
