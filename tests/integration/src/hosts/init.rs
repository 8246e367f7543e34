//! Process 1 of a host: makes the other namespaces, starts what the test asks for, and reaps all that ends. Orders come
//! and reports go as JSON lines over standard output, which is a socket.

use super::kit::Kit;
use super::{groups, mounts};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// What runs, by process id, with the number of its order.
type Table = Arc<Mutex<BTreeMap<i32, u64>>>;

/// `dc-host init KIT`.
///
/// # Panics
/// When the test's socket is no socket.
pub fn init(text: &str) {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
    let mut go = [0];
    if std::io::stdin().read(&mut go).unwrap_or(0) == 0 {
        return; // The holder is gone already.
    }
    let socket = File::from(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let kit = Kit::from_text(text);
    if let Err(why) = enter(kit) {
        say(&socket, &json!({"failed": why}));
        return;
    }
    // What init starts gets other streams; and nobody must find the socket as an input.
    say(&socket, &json!({"ready": true}));
    let table = Table::default();
    let (started, starts) = channel();
    let (reaper_table, reaper_socket) = (table.clone(), socket.try_clone().unwrap());
    std::thread::spawn(move || reap(&reaper_table, &starts, &reaper_socket));
    for line in BufReader::new(socket.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return };
        let order: Value = serde_json::from_str(&line).unwrap();
        if order["run"].is_u64() {
            run(&order, &table, &started, &socket);
        } else if let Some(number) = order["signal"].as_u64() {
            let table = table.lock().unwrap();
            let signal = Signal::try_from(order["number"].as_i64().unwrap() as i32).unwrap();
            if let Some((pid, _)) = table.iter().find(|(_, order)| **order == number) {
                kill(Pid::from_raw(*pid), signal).ok();
            }
        }
    }
}

fn enter(mut kit: Kit) -> Result<(), String> {
    kit.groups = groups::enter(&kit.groups);
    if !kit.cpus.is_empty() {
        let mut set = CpuSet::new();
        for cpu in &kit.cpus {
            set.set(*cpu as usize).map_err(|e| format!("CPU {cpu}: {e}"))?;
        }
        sched_setaffinity(Pid::from_raw(0), &set).map_err(|e| format!("CPUs {:?}: {e}", kit.cpus))?;
    }
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    if !kit.is_switch {
        flags |= CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    }
    unshare(flags).map_err(|e| format!("namespaces: {e}"))?;
    mounts::make(&kit)?;
    if !kit.is_switch {
        nix::unistd::sethostname(&kit.name).map_err(|e| format!("the host's name: {e}"))?;
    }
    Ok(())
}

fn run(order: &Value, table: &Table, started: &Sender<()>, socket: &File) {
    let number = order["run"].as_u64().unwrap();
    // Held until the number is noted: it may end before.
    let mut table = table.lock().unwrap();
    match spawn(order) {
        Ok(pid) => {
            table.insert(pid, number);
            say(socket, &json!({"run": number, "pid": pid}));
        }
        Err(why) => say(socket, &json!({"run": number, "error": why})),
    }
    drop(table);
    started.send(()).ok();
}

fn spawn(order: &Value) -> Result<i32, String> {
    let words: Vec<&str> = order["words"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().process_group(0);
    for pair in order["env"].as_array().unwrap() {
        command.env(pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    }
    command.current_dir(order["dir"].as_str().unwrap());
    let output = |path: &Value| -> Result<Stdio, String> {
        let path = Path::new(path.as_str().unwrap());
        let file = File::options().create(true).append(true).open(path);
        Ok(file.map_err(|e| format!("{}: {e}", path.display()))?.into())
    };
    command.stdin(match order["stdin"].as_str() {
        Some(path) => File::open(path).map_err(|e| format!("{path}: {e}"))?.into(),
        None => Stdio::null(),
    });
    command.stdout(output(&order["stdout"])?).stderr(output(&order["stderr"])?);
    let child = command.spawn().map_err(|e| format!("{}: {e}", words[0]))?;
    Ok(child.id() as i32)
}

/// Reaps what init started and what fell to it.
fn reap(table: &Table, starts: &Receiver<()>, socket: &File) {
    loop {
        let (pid, code) = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Err(nix::Error::ECHILD) => {
                // Without a child none can fall to it either.
                if starts.recv().is_err() {
                    return;
                }
                continue;
            }
            _ => continue,
        };
        let number = table.lock().unwrap().remove(&pid.as_raw());
        if let Some(number) = number {
            say(socket, &json!({"ended": number, "code": code}));
        }
    }
}

fn say(mut socket: &File, value: &Value) {
    socket.write_all(format!("{value}\n").as_bytes()).ok();
}
