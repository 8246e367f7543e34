//! dcspool as a shell kernel uses it: by hand, and as a rank of a job.
#![allow(clippy::unwrap_used)]

use dc_model::{Attempt, JobUuid, Rank, SubtaskId};
use dc_spool::checkpoint::{Checkpoints, Region};
use dc_spool::files::Dir;
use dc_spool::progress::Slots;
use dc_spool::result::{Dtype, Layout, Results};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const JOB: JobUuid = JobUuid([5; 16]);

struct Shell {
    dir: tempfile::TempDir,
    vars: Vec<(&'static str, String)>,
}

impl Shell {
    /// With nothing set, in a directory of its own.
    fn by_hand() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), vars: Vec::new() }
    }

    /// As attempt 2 of subtask 4 of a job.
    fn rank() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ckpt", "result"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let spool = dir.path().to_str().unwrap().to_owned();
        let vars = vec![
            ("DC_JOB_UUID", JOB.to_string()),
            ("DC_SPOOL", spool),
            ("DC_SUBTASK", "4".into()),
            ("DC_ATTEMPT", "2".into()),
        ];
        Self { dir, vars }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcspool"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DC_") {
                command.env_remove(name);
            }
        }
        command.args(args).envs(self.vars.iter().cloned()).current_dir(self.path());
        command
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn good(&self, args: &[&str], input: &[u8]) -> Output {
        let output = self.run(args, input);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        output
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Of length beyond a pipe's and a piece's.
fn long() -> Vec<u8> {
    (0..1_000_003u32).map(|i| (i % 241) as u8).collect()
}

#[test]
fn by_hand_it_saves_and_restores() {
    let shell = Shell::by_hand();
    let none = shell.run(&["restore", "-v"], b"");
    assert_eq!((none.status.code(), &none.stdout[..], &none.stderr[..]), (Some(1), &b""[..], &b""[..]));
    assert!(!shell.path().join("dc-spool").exists());
    shell.good(&["save", "--step", "10"], b"ten");
    shell.good(&["save", "--step", "20"], &long());
    let back = shell.good(&["restore"], b"");
    assert!(back.stdout == long() && back.stderr.is_empty());
    let back = shell.good(&["restore", "-v"], b"");
    assert_eq!(text(&back.stderr), "20\n");
    shell.good(&["progress", "5"], b"");
    shell.good(&["result"], b"done");
    shell.good(&["save", "--step", "30"], b"");
    let back = shell.good(&["restore", "-v"], b"");
    assert_eq!((&back.stdout[..], &back.stderr[..]), (&b""[..], &b"30\n"[..]), "an empty one is one");
}

#[test]
fn dc_spool_says_where() {
    let mut shell = Shell::by_hand();
    shell.vars.push(("DC_SPOOL", "elsewhere".into()));
    shell.good(&["save", "--step", "1"], b"x");
    assert!(shell.path().join("elsewhere/ckpt/00000000").exists());
}

#[test]
fn nothing_partial_is_ever_written() {
    let shell = Shell::by_hand();
    shell.good(&["save", "--step", "1"], &long());
    let dir = shell.path().join("dc-spool/ckpt/00000000");
    let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = shell.run(&["restore"], b"");
    assert_eq!((damaged.status.code(), damaged.stdout.len()), (Some(125), 0));
    assert!(text(&damaged.stderr).starts_with("dcspool: no checkpoint can be used: "));
}

#[test]
fn a_rank_goes_on_from_what_it_is_told() {
    let mut shell = Shell::rank();
    assert_eq!(shell.run(&["restore"], b"").status.code(), Some(1));
    shell.vars[3].1 = "1".into();
    shell.good(&["save", "--step", "7"], b"seven");
    shell.good(&["save", "--step", "8"], b"eight");
    shell.vars[3].1 = "2".into();
    let spool = Dir::open(shell.path()).unwrap();
    let checkpoints = Checkpoints::open(&spool, JOB).unwrap();
    let choice = checkpoints.newest_valid(SubtaskId(4), None, Attempt(2)).unwrap();
    let (from, older) = (choice.from.unwrap(), choice.older.unwrap());
    shell.vars.push(("DC_RESTART_FROM", from.path.to_str().unwrap().to_owned()));
    shell.vars.push(("DC_RESTART_FROM_OLDER", older.path.to_str().unwrap().to_owned()));
    assert_eq!(shell.good(&["restore"], b"").stdout, b"eight");
    std::fs::write(&from.path, b"torn").unwrap();
    let back = shell.good(&["restore", "-v"], b"");
    assert_eq!(back.stdout, b"seven");
    let lines = text(&back.stderr);
    assert!(lines.starts_with("dc: checkpoint ") && lines.ends_with(" instead\n7\n"), "{lines}");
    std::fs::remove_file(&older.path).unwrap();
    assert_eq!(shell.run(&["restore"], b"").status.code(), Some(125));
}

#[test]
fn a_rank_hands_over_its_result() {
    let shell = Shell::rank();
    let results = Results::open(&Dir::open(shell.path()).unwrap(), JOB).unwrap();
    let head = || results.open_verified(SubtaskId(4), Attempt(2)).unwrap().head();
    shell.good(&["result"], b"any");
    assert_eq!((head().dtype, head().layout, head().values), (Dtype::U1, Layout::Bytes, 3));
    shell.good(&["result", "--dtype", "f4"], &[0; 12]);
    assert_eq!((head().dtype, head().layout, head().values), (Dtype::F4, Layout::Effective, 3));
    shell.good(&["result", "--dtype", "i2", "--layout", "block", "--values", "2"], &[0; 12]);
    assert_eq!((head().layout, head().cells()), (Layout::Block, 3));
    let odd = shell.run(&["result", "--dtype", "f8"], &[0; 12]);
    assert_eq!(odd.status.code(), Some(125));
    assert_eq!(text(&odd.stderr), "dcspool: 12 bytes are not a whole number of f8 values\n");
    assert_eq!(head().layout, Layout::Block, "the one before stays");
    assert_eq!(std::fs::read_dir(shell.path().join("result")).unwrap().count(), 1);
}

#[test]
fn a_rank_shows_its_progress() {
    let mut shell = Shell::rank();
    let slots = Slots::create(2).unwrap();
    let path: PathBuf = format!("/proc/{}/fd/{}", std::process::id(), slots.as_fd().as_raw_fd()).into();
    shell.vars.push(("DC_PROGRESS", path.to_str().unwrap().to_owned()));
    shell.vars.push(("DC_RANK", "1".into()));
    shell.good(&["progress", "12"], b"");
    shell.good(&["save", "--step", "3"], b"x");
    let heard = slots.read(Rank(1)).unwrap();
    assert_eq!((heard.subtask, heard.attempt), (SubtaskId(4), Attempt(2)));
    assert_eq!((heard.cells, heard.step, heard.checkpoints), (12, 3, 1), "each word is a process of its own");
}

#[test]
fn a_programs_checkpoint_is_not_a_file() {
    let mut shell = Shell::rank();
    let checkpoints = Checkpoints::open(&Dir::open(shell.path()).unwrap(), JOB).unwrap();
    let at = dc_model::Restart { attempt: Attempt(1), step: 1 };
    checkpoints.write(SubtaskId(4), at, &[Region { id: 1, data: b"memory" }]).unwrap();
    let from = checkpoints.newest_valid(SubtaskId(4), None, Attempt(2)).unwrap().from.unwrap();
    shell.vars.push(("DC_RESTART_FROM", from.path.to_str().unwrap().to_owned()));
    let output = shell.run(&["restore"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0));
    assert!(text(&output.stderr).contains("regions of a program's memory"));
}

#[test]
fn mistakes_end_with_dcs_own_status() {
    let mut shell = Shell::by_hand();
    for args in [
        &["save"][..],
        &["save", "--step", "-1"],
        &["save", "--step", "18446744073709551616"],
        &["progress"],
        &["progress", "many"],
        &["result", "--dtype", "f16"],
        &["result", "--layout", "rows"],
        &["result", "--values", "0"],
        &["result", "--dtype", "f8", "--layout", "bytes"],
        &["restore", "file"],
    ] {
        let output = shell.run(args, b"12345678");
        assert_eq!(output.status.code(), Some(125), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    shell.vars.push(("DC_SUBTASK", "four".into()));
    let output = shell.run(&["save", "--step", "1"], b"x");
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stderr), "dcspool: DC_SUBTASK=\"four\": not a subtask's number\n");
}

#[test]
fn a_reader_that_goes_away_ends_restore_quietly() {
    let shell = Shell::by_hand();
    shell.good(&["save", "--step", "1"], &long());
    let mut command = shell.command(&["restore"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()));
}

#[test]
fn a_full_standard_output_is_an_error() {
    let shell = Shell::by_hand();
    shell.good(&["save", "--step", "1"], &long());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = shell.command(&["restore"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).starts_with("dcspool: cannot write standard output: No space left"));
}
