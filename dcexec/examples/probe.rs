//! Stands for the starter in the tests: tells what it was started with in the file `seen` of its job's directory,
//! listens there, greets who connects, and ends after as many milliseconds as its lease has (30 s).

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let words: Vec<_> = std::env::args().collect();
    let dir = Path::new(&words[2]);
    let lifetime_ms = words.get(4).and_then(|word| word.parse().ok()).unwrap_or(30_000);
    let mut seen = String::new();
    for word in &words {
        let _ = writeln!(seen, "arg {word}");
    }
    for entry in fs::read("/proc/self/environ")?.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let _ = writeln!(seen, "env {}", String::from_utf8_lossy(entry));
    }
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let _ = writeln!(seen, "fd {} {}", entry.file_name().display(), target.display());
    }
    let _ = writeln!(seen, "cwd {}", std::env::current_dir()?.display());
    for name in ["status", "limits", "oom_score_adj", "cgroup", "stat"] {
        for line in fs::read_to_string(Path::new("/proc/self").join(name))?.lines() {
            let _ = writeln!(seen, "{name} {line}");
        }
    }
    let _ = fs::remove_file(dir.join("starter.sock"));
    let listener = UnixListener::bind(dir.join("starter.sock"))?;
    fs::write(dir.join("seen.new"), seen)?;
    fs::rename(dir.join("seen.new"), dir.join("seen"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(b"hello");
            let _ = stream.read(&mut [0]);
        }
    });
    std::thread::sleep(Duration::from_millis(lifetime_ms));
    Ok(())
}
