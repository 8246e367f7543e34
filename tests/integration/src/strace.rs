//! strace(1) as the outside proof: it kills a program at its N-th system call, or makes the call fail, without the
//! program's knowing. What the program executes is let go.

use crate::run::Ask;
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};

/// What happens at the N-th call of any thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inject {
    /// SIGKILL to the whole process.
    Kill,
    /// The call is not made, and gives this error, once.
    Fail(&'static str),
    /// As `Fail`, and so does every one after it.
    FailOn(&'static str),
}

/// Whether strace is there and may trace; says so where it may not.
#[must_use]
pub fn is_there(place: &Scratch) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("strace").exists()));
    let traces = found && place.ask("strace").words("-qq -e trace=none -o /dev/null true").run().code() == 0;
    if !traces {
        eprintln!("not tested: strace(1) is not there, or may not trace");
    }
    traces
}

/// The words that make strace do it at call `at` of `calls` (`all`, or names with commas).
#[must_use]
pub fn words(calls: &str, inject: &Inject, at: usize) -> Vec<String> {
    let what = match inject {
        Inject::Kill => format!("inject={calls}:signal=KILL:when={at}"),
        Inject::Fail(errno) => format!("inject={calls}:error={errno}:when={at}"),
        Inject::FailOn(errno) => format!("inject={calls}:error={errno}:when={at}+"),
    };
    // -D: the program keeps its parent; -b execve: what it starts is not traced.
    ["-D", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", &what].map(str::to_owned).to_vec()
}

/// `program` under strace.
#[must_use]
pub fn ask(place: &Scratch, words: &[String], program: &Path) -> Ask {
    let ask = place.ask("strace");
    words.iter().fold(ask, |ask, word| ask.arg(word)).arg(program)
}

/// A script that runs `program` under strace the first time, and as it is from then on.
#[must_use]
pub fn once(place: &Scratch, name: &str, words: &[String], program: &Path) -> PathBuf {
    let (words, program) = (words.join(" "), program.display());
    let first = place.path(format!("{name}.first"));
    let first = first.display();
    place.script(
        name,
        &format!("if mkdir {first} 2>/dev/null; then exec strace {words} {program}; fi\nexec {program}"),
    )
}
