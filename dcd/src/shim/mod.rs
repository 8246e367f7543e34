//! A rank's shim: what an MPI's launcher starts in the kernel's place. It tells the starter its rank, is told what to
//! run, binds and starts the kernel, and reports its end. The starter is the one who stops and kills; when it is gone,
//! so is the kernel.

pub mod words;

use crate::launch::{Launcher, Plan, Refused};
use crate::process::calls::{PidFd, Whose, peek, reap, signal_group};
use dc_model::LaunchStage;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::SIGKILL;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, recvmsg, send,
    socket,
};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{IoSliceMut, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use words::{FromShim, GANG_VARIABLE, GO, Orders, REAP, TOKEN_BYTES};

/// Ranks and sizes as the launchers tell them.
const RANK_VARIABLES: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("PMIX_RANK", ""),
];

/// The program, where its first argument is [`words::SHIM_WORD`].
#[must_use]
pub fn main() -> ExitCode {
    // What a launcher makes of a status is not wanted: the starter knows it.
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            // Into the launcher's output, which the starter shows where ranks are missing.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!(
                    "a rank cannot reach its starter: {errno}; it is meant to be started by dcrun\n"
                ),
            );
            ExitCode::from(dc_model::exit::DC_ERROR)
        }
    }
}

fn serve() -> nix::Result<()> {
    // A launcher's signals are for the kernel, which the starter signals itself.
    let mask = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    let (name, token) = place().ok_or(Errno::EINVAL)?;
    let (rank, size) = rank().ok_or(Errno::ENOMSG)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let starter = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(starter.as_raw_fd(), &UnixAddr::new_abstract(&name)?)?;
    tell(&starter, &FromShim::Hello { token, rank, size })?;
    let Some((orders, streams)) = receive(&starter)? else { return Ok(()) };
    let launched = match launch(&orders, streams, &mask) {
        Ok(launched) => launched,
        Err(refused) => {
            tell(&starter, &FromShim::Refused(refused))?;
            // Until the starter has heard it: its launcher may end the others when one is gone.
            let _ = recv(starter.as_raw_fd(), &mut [0; 1], MsgFlags::empty());
            return Ok(());
        }
    };
    let pid = launched.pid;
    let watched = PidFd::open(pid);
    let told = tell(&starter, &FromShim::Started(launched));
    if told.is_ok()
        && let Ok(watched) = &watched
    {
        watch(&starter, watched, pid);
    }
    let _ = signal_group(pid, SIGKILL as u8);
    let _ = crate::process::calls::reap_blocking(pid);
    Ok(())
}

/// Until the kernel has ended and the starter says that it may be reaped, or until the starter is gone.
fn watch(starter: &OwnedFd, kernel: &PidFd, pid: nix::unistd::Pid) {
    let mut is_told = false;
    loop {
        let mut fds = [
            PollFd::new(starter.as_fd(), PollFlags::POLLIN),
            PollFd::new(kernel.as_fd(), if is_told { PollFlags::empty() } else { PollFlags::POLLIN }),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR | Errno::EAGAIN) => continue,
            Err(_) => return,
        }
        let [from_starter, from_kernel] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if !is_told && from_kernel.contains(PollFlags::POLLIN) {
            match peek(Whose::Pid(pid)) {
                Ok(Some((_, end))) => is_told = tell(starter, &FromShim::Ended(end)).is_ok(),
                _ => return,
            }
            if !is_told {
                return;
            }
        }
        if !from_starter.is_empty() {
            let mut word = [0; 1];
            match recv(starter.as_raw_fd(), &mut word, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return,
                Ok(_) if word[0] == REAP => {
                    let _ = reap(Whose::Pid(pid));
                    return;
                }
                Err(errno) if errno != Errno::EAGAIN && errno != Errno::EINTR => return,
                _ => {}
            }
        }
    }
}

fn tell(starter: &OwnedFd, word: &FromShim) -> nix::Result<()> {
    send(starter.as_raw_fd(), &word.encode(), MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// The starter's name and the token.
fn place() -> Option<(Vec<u8>, [u8; TOKEN_BYTES])> {
    let text = std::env::var(GANG_VARIABLE).ok()?;
    let (name, token) = text.split_once(':')?;
    let token: Vec<u8> = (0..token.len() / 2)
        .map(|at| u8::from_str_radix(token.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    Some((name.as_bytes().to_vec(), token.try_into().ok()?))
}

/// This process's rank, and how many there are; 0 where that is not told.
fn rank() -> Option<(u32, u32)> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    RANK_VARIABLES.iter().find_map(|(rank, size)| Some((number(rank)?, number(size).unwrap_or(0))))
}

/// The orders and the streams: output, error, and input where there is one. Nothing: the starter needs no rank.
fn receive(starter: &OwnedFd) -> nix::Result<Option<(Orders, Vec<OwnedFd>)>> {
    let mut word = [0; 1];
    let mut space = cmsg_space!([RawFd; 4]);
    let mut slices = [IoSliceMut::new(&mut word)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<UnixAddr>(starter.as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let (bytes, mut fds) = (message.bytes, Vec::new());
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            fds.extend(received.into_iter().map(crate::process::calls::own));
        }
    }
    if bytes == 0 || word[0] != GO || fds.len() < 3 {
        return Ok(None);
    }
    let mut file = File::from(fds.remove(0));
    let mut held = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut held));
    read.map_err(|_| Errno::EIO)?;
    Ok(Orders::decode(&held).ok().map(|orders| (orders, fds)))
}

fn launch(orders: &Orders, streams: Vec<OwnedFd>, mask: &SigSet) -> Result<crate::launch::Launched, Refused> {
    let no_string = |_| Refused { stage: LaunchStage::Exec, errno: Errno::EINVAL as i32 };
    let strings = |list: &[Vec<u8>]| -> Result<Vec<CString>, Refused> {
        list.iter().map(|item| CString::new(&item[..]).map_err(no_string)).collect()
    };
    let program = CString::new(&orders.program[..]).map_err(no_string)?;
    let cwd = orders.cwd.as_ref().map(|cwd| CString::new(&cwd[..])).transpose().map_err(no_string)?;
    let (argv, own) = (strings(&orders.argv)?, strings(&orders.env)?);
    let inherited = inherited(&orders.env);
    let null = File::open("/dev/null");
    let no_file =
        |e: std::io::Error| Refused { stage: LaunchStage::Streams, errno: e.raw_os_error().unwrap_or(0) };
    let null = OwnedFd::from(null.map_err(no_file)?);
    let mut launcher =
        Launcher::new().map_err(|errno| Refused { stage: LaunchStage::Clone, errno: errno as i32 })?;
    let plan = Plan {
        program: &program,
        argv: [&argv, &[]],
        env: [&inherited, &own],
        cwd: cwd.as_deref(),
        cpus: &orders.cpus,
        numa: orders.numa,
        stdin: Some(streams.get(2).unwrap_or(&null).as_fd()),
        stdout: streams[0].as_fd(),
        stderr: streams[1].as_fd(),
        mask,
        files_max: orders.files_max,
    };
    launcher.launch(&plan)
}

/// What the launcher has given this process, less what the starter says itself.
fn inherited(own: &[Vec<u8>]) -> Vec<CString> {
    let name = |var: &[u8]| var.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
    let own: std::collections::HashSet<Vec<u8>> = own.iter().map(|var| name(var)).collect();
    let is_wanted =
        |(name, _): &(OsString, OsString)| name != GANG_VARIABLE && !own.contains(name.as_bytes());
    std::env::vars_os()
        .filter(is_wanted)
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}
