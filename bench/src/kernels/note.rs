//! The kernel that notes when its main began, and waits to be killed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Bytes of a note: when, in nanoseconds, and the process's number.
pub const NOTE_BYTES: usize = 16;

/// Writes the note to a named pipe that is there, and waits for ever.
pub fn run(main_ns: u64, pipe: &Path) -> ExitCode {
    let mut note = [0; NOTE_BYTES];
    note[..8].copy_from_slice(&main_ns.to_le_bytes());
    note[8..].copy_from_slice(&u64::from(std::process::id()).to_le_bytes());
    let written = OpenOptions::new().write(true).open(pipe).and_then(|mut pipe| pipe.write_all(&note));
    if let Err(error) = written {
        eprintln!("dc-bench note: cannot write {}: {error}", pipe.display());
        return ExitCode::FAILURE;
    }
    loop {
        nix::unistd::pause();
    }
}

/// When, and whose it is.
pub fn read(note: [u8; NOTE_BYTES]) -> (u64, i32) {
    let number = |at: usize| note[at..at + 8].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    (number(0), number(8) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut note = [0; NOTE_BYTES];
        let now = clock::monotonic_ns();
        note[..8].copy_from_slice(&now.to_le_bytes());
        note[8..].copy_from_slice(&77u64.to_le_bytes());
        assert_eq!(read(note), (now, 77));
        assert_eq!(run(0, &dir.path().join("none").join("pipe")), ExitCode::FAILURE);
    }
}
