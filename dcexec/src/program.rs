//! The program: the order in which everything is checked. Nothing of a request is read before it is known who asks.

use crate::account;
use crate::calls;
use crate::config::{CONFIG_BYTES_MAX, CONFIG_PATH, Config};
use crate::directory::Jobs;
use crate::group::Groups;
use crate::hand;
use crate::kill::{PIDFD, kill};
use crate::remove::remove;
use crate::reply::{Reply, Said};
use crate::request::{NAME_BYTES_MAX, REQUEST_BYTES, Request, Verb};
use crate::stage::{Refused, Stage};
use crate::start::{open_starter, start, sweep};
use crate::trusted::{self, Kind, Owners};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, alarm, chdir, geteuid, getuid, setresgid, setresuid, write};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: dc-exec check | start | kill | remove | open | connect | sweep\n\
    All but check take a request from standard input, as dcd writes it, and answer on standard\n\
    output. What is allowed stands in /etc/dc/exec.conf. See dc-exec(8).\n";
/// dc's own errors.
const FAILED: u8 = 125;
/// Longer than this nothing may take but the removal of files.
const SECONDS_MAX: u32 = 30;

/// Where the answer goes: standard output as it was at the start, which the starter never sees.
#[derive(Debug)]
pub struct Answer(OwnedFd);

impl Answer {
    /// Sends a reply.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, reply: &Reply) -> nix::Result<()> {
        let bytes = reply.encode();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match write(&self.0, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Sends "done" with a descriptor.
    fn hand(&self, fd: BorrowedFd<'_>) -> nix::Result<()> {
        let bytes = Reply::of(Said::Done).encode();
        let (fds, slices) = ([fd.as_raw_fd()], [IoSlice::new(&bytes)]);
        let rights = [ControlMessage::ScmRights(&fds)];
        match sendmsg::<()>(self.0.as_raw_fd(), &slices, &rights, MsgFlags::MSG_NOSIGNAL, None)? {
            count if count == bytes.len() => Ok(()),
            _ => Err(Errno::EMSGSIZE),
        }
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).take(2).collect();
    let word = match &words[..] {
        [word] => word.to_str().unwrap_or_default(),
        _ => "",
    };
    match (word, Verb::ALL.into_iter().find(|verb| verb.word() == word)) {
        (_, Some(verb)) => serve(verb),
        ("check", _) => check(),
        ("-h" | "--help", _) => say(USAGE, ExitCode::SUCCESS),
        ("-V" | "--version", _) => {
            say(concat!("dc-exec ", env!("CARGO_PKG_VERSION"), "\n"), ExitCode::SUCCESS)
        }
        _ => {
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            ExitCode::from(FAILED)
        }
    }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::from(FAILED),
    }
}

/// What a verb came to.
enum End {
    Done,
    Handed(OwnedFd),
    /// The process that removes has said why not.
    Answered,
}

fn serve(verb: Verb) -> ExitCode {
    // Before anything is opened: what is there is the caller's.
    let (first, pidfd) =
        if verb == Verb::Kill { (PIDFD as u32 + 1, calls::handed(PIDFD)) } else { (PIDFD as u32, None) };
    let closed = calls::close_from(first, false);
    let Ok(answer) = std::io::stdout().as_fd().try_clone_to_owned().map(Answer) else {
        return ExitCode::from(FAILED);
    };
    let end = closed
        .map_err(Refused::by(Stage::Descriptors, "cannot be closed"))
        .and_then(|()| try_serve(verb, &answer, pidfd));
    let sent = match &end {
        Ok(End::Done) => answer.send(&Reply::of(Said::Done)),
        Ok(End::Handed(fd)) => answer.hand(fd.as_fd()),
        Ok(End::Answered) => return ExitCode::from(FAILED),
        Err(refused) => {
            let _ = answer.send(&Reply::from(refused));
            tell(refused);
            return ExitCode::from(FAILED);
        }
    };
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn tell(refused: &Refused) {
    let line = format!("dc-exec: {}\n", refused.line());
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn try_serve(verb: Verb, answer: &Answer, pidfd: Option<BorrowedFd<'_>>) -> Result<End, Refused> {
    let uid = getuid();
    become_root()?;
    let config = read_config()?;
    let caller = account::check_caller(&config, uid)?;
    let request = read_request(verb)?;
    let user = account::find(&config, request.uid, caller)?;
    match verb {
        Verb::Start => start(&config, &request, &user, caller, answer).map(|()| End::Done),
        Verb::Sweep => sweep(&config, &request, &user, caller, answer).map(|()| End::Done),
        Verb::Kill => kill(&config, &request, &user, caller, pidfd).map(|()| End::Done),
        Verb::Remove => {
            let answered = remove(&config, &request, &user, caller, answer)?;
            Ok(if answered { End::Answered } else { End::Done })
        }
        Verb::Open => hand::open(&config, &request, &user, caller).map(End::Handed),
        Verb::Connect => hand::connect(&config, &request, &user, caller).map(End::Handed),
    }
}

/// Root in every respect, so that the caller can neither signal nor limit this process; and nothing of what the
/// caller could prepare: variables, signals, directory, umask.
fn become_root() -> Result<(), Refused> {
    let by = |what: &str| Refused::by(Stage::Root, what.to_owned());
    calls::clear_environment().map_err(by("environment"))?;
    if geteuid().as_raw() != 0 {
        return Err(Refused::rule(
            Stage::Root,
            "not installed setuid root: chown root:dc, chmod 4750, not on nosuid",
        ));
    }
    let (root, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setresuid(root, root, root).map_err(by("setresuid"))?;
    setresgid(group, group, group).map_err(by("setresgid"))?;
    calls::reset_signals().map_err(by("signals"))?;
    umask(Mode::from_bits_truncate(0o077));
    chdir("/").map_err(by("/"))?;
    alarm::set(SECONDS_MAX);
    Ok(())
}

fn read_config() -> Result<Config, Refused> {
    let file = trusted::open(Path::new(CONFIG_PATH), Kind::File, Owners::ROOT, Stage::Config)?;
    let bytes = read_all(File::from(file), CONFIG_BYTES_MAX, Stage::Config)?;
    Config::parse(&bytes).map_err(|error| Refused::rule(Stage::Config, error.to_string()))
}

fn read_request(verb: Verb) -> Result<Request, Refused> {
    let refuse = |why: &str| Refused::rule(Stage::Request, why);
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|_| refuse("no standard input"))?;
    let bytes = read_all(File::from(input), REQUEST_BYTES + NAME_BYTES_MAX, Stage::Request)?;
    let request = Request::decode(&bytes).map_err(|error| refuse(&error.to_string()))?;
    if request.verb == verb { Ok(request) } else { Err(refuse("of another verb than the command line")) }
}

/// All of it, and one byte more than there may be at most.
fn read_all(file: File, bytes_max: usize, stage: Stage) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::with_capacity(bytes_max + 1);
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        Refused::by(stage, "read")(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    })?;
    Ok(bytes)
}

/// For who installs it: whether all that can be looked at without a request is as it must be.
fn check() -> ExitCode {
    match try_check() {
        Ok(text) => say(&text, ExitCode::SUCCESS),
        Err(refused) => {
            tell(&refused);
            ExitCode::from(FAILED)
        }
    }
}

fn try_check() -> Result<String, Refused> {
    let uid = getuid();
    calls::close_from(3, false).map_err(Refused::by(Stage::Descriptors, "cannot be closed"))?;
    become_root()?;
    let config = read_config()?;
    // Root may ask for a check alone, and learns whether the caller's name is known.
    let caller = match account::check_caller(&config, uid) {
        Err(_) if uid.is_root() => account::caller(&config)?,
        other => other?,
    };
    open_starter(&config)?;
    Jobs::open(&config, caller)?;
    let groups = match Groups::open(&config, caller)? {
        Some(_) => "a control group each",
        None => "no control groups",
    };
    let rights = if config.no_new_privs { "set" } else { "not set" };
    Ok(format!("dc-exec: well: for user {caller}, {groups}, no_new_privs {rights}\n"))
}
