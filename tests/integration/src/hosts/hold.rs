//! The holder: makes the process-id namespace, starts init in it, and ends it when the test is gone. It stays outside of
//! what is frozen or stopped, so that nothing can keep a host alive.

use super::groups;
use super::kit::Kit;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{ChildStdin, Command, Stdio};

/// `dc-host hold KIT`: standard input is the pipe whose other end the test has; standard output is init's socket.
///
/// # Panics
/// When the kernel refuses; the test reads why.
pub fn hold(text: &str) {
    let mut kit = Kit::from_text(text);
    kit.groups = if kit.is_switch { Vec::new() } else { groups::make(&kit.name) };
    unshare(CloneFlags::CLONE_NEWPID).expect("a namespace of process ids");
    let own = std::env::current_exe().unwrap();
    // The child's input is a pipe of ours: it goes on only when it is sure to die with us, and what we hold of the pipe
    // says when it has ended. No threads here: the kernel makes none between the two namespaces.
    let mut init = Command::new(own);
    init.args(["init", &kit.to_text()]).stdin(Stdio::piped()).stdout(Stdio::inherit());
    let mut init = init.spawn().expect("init");
    let pid = Pid::from_raw(init.id() as i32);
    let groups: Vec<_> =
        kit.groups.iter().map(|group| json!([group.dir.to_str(), group.controllers])).collect();
    println!("{}", json!({"init": pid.as_raw(), "groups": groups}));
    let mut go = init.stdin.take().unwrap();
    go.write_all(b"g").ok();
    wait_for_either(&go);
    // Until it is reaped the number is its own.
    kill(pid, Signal::SIGKILL).ok();
    init.wait().ok();
    groups::remove(&kit.groups);
    // A test that was killed has removed nothing.
    if kit.is_switch {
        std::fs::remove_dir_all(&kit.base).ok();
    }
}

/// Waits until the test has closed its end of our input, or init its end of `go`.
fn wait_for_either(go: &ChildStdin) {
    let stdin = std::io::stdin();
    let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
    loop {
        let mut fds =
            [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(go.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) if fds.iter().any(|fd| fd.revents().is_some_and(|found| found.intersects(ended))) => return,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
