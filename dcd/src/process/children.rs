//! The children of a process, read from /proc. A process's own children cannot be reaped behind its back, so that
//! their numbers are safe to signal; those of others are not.

use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The children of all threads of a process, as they are now; none when it is gone.
///
/// # Errors
/// When /proc cannot be read.
pub fn of(pid: Pid) -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    let tasks = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(tasks) => tasks,
        Err(e) if e.kind() == io::ErrorKind::NotFound && Path::new("/proc/self/task").exists() => {
            return Ok(children);
        }
        Err(e) => return Err(e),
    };
    for task in tasks.flatten() {
        match std::fs::read(task.path().join("children")) {
            Ok(text) => children.extend(numbers(&text)),
            // A thread that has ended since has none; a kernel that keeps no such lists is asked in another way.
            Err(_) if Path::new("/proc/thread-self/children").exists() => {}
            Err(_) => return by_parent(pid),
        }
    }
    Ok(children)
}

/// The children of a process's first thread, to which orphans come: cheap to ask again and again. For a process that
/// has others too, [`of`] is the one to ask.
#[derive(Debug)]
pub struct Own {
    list: Option<File>,
    text: Vec<u8>,
}

impl Own {
    /// Opens the list; to be called by that thread.
    #[must_use]
    pub fn open() -> Self {
        let list = File::open("/proc/thread-self/children").ok();
        Self { list, text: Vec::new() }
    }

    /// The children as they are now, the dead and unreaped among them.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn now(&mut self) -> io::Result<Vec<Pid>> {
        let Some(list) = &self.list else { return by_parent(nix::unistd::getpid()) };
        let mut filled = 0;
        loop {
            if filled == self.text.len() {
                self.text.resize(filled + 4096, 0);
            }
            match list.read_at(&mut self.text[filled..], filled as u64)? {
                0 => return Ok(numbers(&self.text[..filled]).collect()),
                bytes => filled += bytes,
            }
        }
    }
}

/// The children found by asking every process for its parent: for kernels that keep no lists.
fn by_parent(parent: Pid) -> io::Result<Vec<Pid>> {
    Ok(all()?.into_iter().filter(|pid| parent_of(*pid) == Some(parent)).collect())
}

/// All processes that /proc shows.
///
/// # Errors
/// When /proc cannot be read.
pub fn all() -> io::Result<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect())
}

/// The parent of a process, while there is such a process.
#[must_use]
pub fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses and spaces too; what follows the last one is numbers.
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after..)?).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

fn numbers(text: &[u8]) -> impl Iterator<Item = Pid> {
    text.split(u8::is_ascii_whitespace)
        .filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
        .map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_listed_until_it_is_reaped() {
        let mut child = Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        let me = nix::unistd::getpid();
        assert!(of(me).unwrap().contains(&pid));
        assert!(Own::open().now().unwrap().contains(&pid));
        assert!(by_parent(me).unwrap().contains(&pid));
        assert_eq!(parent_of(pid), Some(me));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!of(me).unwrap().contains(&pid));
        assert_eq!(of(pid).unwrap(), []);
    }
}
