//! What dcd asks for of a job that has begun: files, connections, signals, removal. And the user's tricks meanwhile:
//! names that are swapped while they are looked at.

#![allow(clippy::unwrap_used)]

mod common;

use common::{ANN, BOB, Host, host, request, start};
use dc_exec::{Request, Stage, Told, Verb};
use nix::libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

fn open(name: &str) -> Request {
    Request { name: name.into(), ..request(Verb::Open, ANN, 1) }
}

/// A host with a job of ann's.
fn with_job() -> Option<(Host, common::Came)> {
    let host = host()?;
    let (came, _) = host.start(&start(ANN));
    Some((host, came))
}

/// A script as ann in the directory of ann's job.
fn as_ann(host: &Host, script: &str) {
    let dir = format!("/opt/node/jobs/{}", start(ANN).job_text());
    host.sh(&format!("cd {dir}; setpriv --reuid {ANN} --regid {ANN} --clear-groups -- sh -euc '{script}'"));
}

#[test]
fn a_file_is_handed_over_opened() {
    let Some((host, _)) = with_job() else { return };
    as_ann(&host, "umask 077; mkdir -p result; echo 42 >result/a.result");
    let Told::Done(Some(file)) = host.ask(&open("result/a.result")).told else { panic!() };
    let mut text = String::new();
    File::from(file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "42\n");
}

#[test]
fn no_other_files_than_the_jobs_own_are_handed_over() {
    let Some((host, _)) = with_job() else { return };
    as_ann(
        &host,
        "mkdir d; ln -s /opt/victim/file link; ln -s /opt/victim dlink; mkfifo fifo; echo x >one; ln one two; \
         ln -s d/../one inner; chmod 000 d",
    );
    host.sh(&format!("echo x >/opt/node/jobs/{}/roots", start(ANN).job_text()));
    host.sh(&format!("chmod 644 /opt/node/jobs/{}/roots", start(ANN).job_text()));
    for name in
        ["link", "dlink/file", "fifo", "one", "two", "inner", "d", "d/x", "starter.sock", "nothing", "roots"]
    {
        assert_eq!(host.ask(&open(name)).stage(), Stage::Open, "{name}");
    }
    let another = Request { name: "seen".into(), ..request(Verb::Open, BOB, 1) };
    assert_eq!(host.ask(&another).stage(), Stage::Directory);
    let none = Request { name: "seen".into(), ..request(Verb::Open, ANN, 9) };
    assert_eq!(host.ask(&none).stage(), Stage::Directory);
}

#[test]
fn a_connection_is_handed_over() {
    let Some((host, came)) = with_job() else { return };
    let told = host.ask(&request(Verb::Connect, ANN, 1)).told;
    let Told::Done(Some(fd)) = told else { panic!("{told:?}") };
    let mut stream = UnixStream::from(fd);
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    let peer = getsockopt(&stream, PeerCredentials).unwrap();
    assert_eq!((peer.uid(), peer.pid()), (ANN, came.pid.as_raw()));
}

#[test]
fn no_connection_goes_elsewhere() {
    let Some((host, _)) = with_job() else { return };
    // Somebody else's socket, by a link; a file; one on which nobody listens.
    let python = "import socket,os\ns=socket.socket(socket.AF_UNIX); s.bind(\"/opt/victim/s\"); s.listen()\nos.fork() or os.execvp(\"sleep\",[\"sleep\",\"1\"])";
    host.sh(&format!("python3 -c '{python}' >/dev/null 2>&1; chmod 777 /opt/victim/s"));
    for script in [
        "rm starter.sock; ln -s /opt/victim/s starter.sock",
        "rm starter.sock; echo >starter.sock",
        "rm starter.sock",
    ] {
        as_ann(&host, script);
        assert_eq!(host.ask(&request(Verb::Connect, ANN, 1)).stage(), Stage::Connect, "{script}");
    }
}

fn pidfd(pid: i32) -> OwnedFd {
    #[allow(unsafe_code)]
    // SAFETY: the kernel makes a descriptor, which is nobody else's.
    unsafe {
        let fd = nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd as i32)
    }
}

fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn a_process_is_signalled_as_the_user() {
    let Some((host, came)) = with_job() else { return };
    let pid = came.pid.as_raw();
    let fd = pidfd(pid);
    let kill = |uid: u32, signal: i32| {
        let asked = Request { signal, ..request(Verb::Kill, uid, 1) };
        host.ask_by(&common::as_user(common::DC, common::DC), &asked, &[], Some(fd.as_fd()))
    };
    let refused = kill(BOB, SIGKILL);
    assert_eq!(refused.stage(), Stage::Kill);
    assert!(refused.text().contains("not permitted"), "{refused:?}");
    for (signal, wanted) in [(SIGSTOP, 'T'), (SIGCONT, 'S'), (SIGTERM, 'Z')] {
        let came = kill(ANN, signal);
        assert!(matches!(came.told, Told::Done(None)), "{came:?}");
        common::until("the signal to be seen", || (state(pid) == wanted).then_some(()));
    }
    // It has ended: killing it again is well.
    let again = kill(ANN, SIGKILL);
    assert!(matches!(again.told, Told::Done(None)), "{again:?}");
}

#[test]
fn a_kill_names_a_process_by_a_pidfd_alone() {
    let Some((host, _)) = with_job() else { return };
    let asked = Request { signal: SIGKILL, ..request(Verb::Kill, ANN, 1) };
    let nothing = host.ask(&asked);
    assert!(nothing.text().contains("no pidfd"), "{nothing:?}");
    let file = File::open("/dev/null").unwrap();
    let through = common::as_user(common::DC, common::DC);
    let other = host.ask_by(&through, &asked, &[], Some(file.as_fd()));
    assert_eq!(other.stage(), Stage::Kill);
    // Root's own process: the kernel refuses the user.
    let roots = pidfd(std::process::id() as i32);
    assert_eq!(host.ask_by(&through, &asked, &[], Some(roots.as_fd())).stage(), Stage::Kill);
}

#[test]
fn a_directory_is_removed_with_all_that_is_below() {
    let Some((host, _)) = with_job() else { return };
    as_ann(
        &host,
        "mkdir -p a/b/c; echo >a/b/f; ln -s /opt/victim v; ln -s . self; mkdir shut; touch shut/f; chmod 000 shut; \
         mkfifo p; python3 -c \"import os\nfor i in range(3000): os.mkdir(chr(100)); os.chdir(chr(100))\"",
    );
    as_ann(&host, "i=0; while [ $i -lt 300 ]; do : >a/$i; i=$((i+1)); done");
    for _ in 0..2 {
        let came = host.ask(&request(Verb::Remove, ANN, 1));
        assert!(matches!(came.told, Told::Done(None)), "{came:?}");
        assert!(!host.job_dir(&start(ANN)).exists());
        assert_eq!(fs::read_to_string(host.path("/opt/victim/file")).unwrap(), "precious\n");
    }
}

#[test]
fn another_users_directory_is_not_removed_nor_what_is_no_job() {
    let Some((host, _)) = with_job() else { return };
    assert_eq!(host.ask(&request(Verb::Remove, BOB, 1)).stage(), Stage::Directory);
    assert!(host.job_dir(&start(ANN)).join("seen").exists());
    // What the user cannot remove stays, and is told.
    host.sh(&format!(
        "mkdir -p /opt/node/jobs/{0}/r/x; touch /opt/node/jobs/{0}/r/x/y",
        start(ANN).job_text()
    ));
    assert_eq!(host.ask(&request(Verb::Remove, ANN, 1)).stage(), Stage::Remove);
    let job = request(Verb::Remove, ANN, 2).job_text();
    host.sh(&format!("ln -s /opt/victim /opt/node/jobs/{job}"));
    assert_eq!(host.ask(&request(Verb::Remove, ANN, 2)).stage(), Stage::Directory);
    assert!(host.path("/opt/victim/file").exists());
}

/// Swaps a directory that has a file for a link to the victim and back, until it is told to end; then says how often.
const RACER: &str = r#"
import os, signal
n = 0
def end(*_):
    print(n, flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
def maybe(call, *args):
    try: call(*args)
    except OSError: pass
def fill():
    os.mkdir("SWAPPED", 0o700)
    with open("SWAPPED/file", "w") as f: f.write("swapped\n")
while True:
    try:
        os.chdir("DIRECTORY")
        os.symlink("/opt/victim", "l")
        os.rename("SWAPPED", "d")
        os.rename("l", "SWAPPED")
        os.rename("SWAPPED", "l")
        os.rename("d", "SWAPPED")
        os.unlink("l")
        n += 2
    except OSError:
        maybe(os.unlink, "l")
        maybe(os.rename, "d", "SWAPPED")
        maybe(fill)
"#;

/// It, in a process.
struct Racer(Child);

impl Racer {
    fn begin(host: &Host, directory: &str, swapped: &str, user: Option<u32>) -> Self {
        let script = RACER.replace("DIRECTORY", directory).replace("SWAPPED", swapped);
        let script = format!("exec python3 -c '{script}'");
        Self(host.spawn_sh(&script, user))
    }
}

impl Racer {
    /// Ends it; how often it swapped.
    fn end(mut self) -> u64 {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        said.trim().parse().unwrap()
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_victim_is_whole(host: &Host) {
    use std::os::unix::fs::MetadataExt;
    let (dir, file) = (host.path("/opt/victim"), host.path("/opt/victim/file"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious\n");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    let (dir, file) = (fs::metadata(dir).unwrap(), fs::metadata(file).unwrap());
    assert_eq!([dir.uid(), dir.mode() & 0o777, file.uid(), file.mode() & 0o777], [0, 0o755, 0, 0o644]);
}

/// Rounds for a few seconds, or as many as `DC_ROUNDS` says.
fn rounds(mut round: impl FnMut()) -> u64 {
    let wanted = std::env::var("DC_ROUNDS").ok().and_then(|text| text.parse().ok());
    let (begin, mut count) = (Instant::now(), 0);
    while wanted.map_or(count < 20 || begin.elapsed() < Duration::from_secs(3), |wanted| count < wanted) {
        round();
        count += 1;
    }
    count
}

#[test]
fn a_user_who_swaps_names_meanwhile_gets_nothing_else_opened_or_removed() {
    let Some((host, _)) = with_job() else { return };
    let job = format!("/opt/node/jobs/{}", start(ANN).job_text());
    as_ann(&host, "mkdir result; echo swapped >result/file");
    let racer = Racer::begin(&host, &job, "result", Some(ANN));
    let (mut opened, mut removed) = (0, 0);
    let count = rounds(|| {
        if let Told::Done(Some(file)) = host.ask(&open("result/file")).told {
            let mut text = String::new();
            File::from(file).read_to_string(&mut text).unwrap();
            assert!(["swapped\n", ""].contains(&&text[..]), "{text}");
            opened += 1;
        }
        if matches!(host.ask(&request(Verb::Remove, ANN, 1)).told, Told::Done(_)) {
            removed += 1;
            let again = host.ask(&Request { first_lease_ms: 1, ..start(ANN) });
            assert!(matches!(again.told, Told::Started), "{again:?}");
        }
        assert_victim_is_whole(&host);
    });
    let swaps = racer.end();
    println!(
        "trust: dc-exec, swaps by a user: {swaps}, in {count} rounds, {opened} opened, {removed} removed"
    );
    assert!(swaps > 1000 && opened > 0 && removed > 0, "{swaps} swaps, {opened} opened, {removed} removed");
}

/// Even where somebody could swap the job's directory itself, which nobody but root can.
#[test]
fn who_swaps_the_jobs_directory_itself_leads_nothing_outside() {
    let Some((host, _)) = with_job() else { return };
    let job = start(ANN).job_text();
    let racer = Racer::begin(&host, "/opt/node/jobs", &job, None);
    let mut told = [0u32; 2];
    let count = rounds(|| {
        for verb in [Verb::Start, Verb::Open, Verb::Remove] {
            let name = if verb == Verb::Open { "file" } else { "" };
            let first_lease_ms = u32::from(verb == Verb::Start);
            let asked = Request { name: name.into(), first_lease_ms, ..request(verb, ANN, 1) };
            let refused = matches!(host.ask(&asked).told, Told::Refused { .. });
            told[usize::from(refused)] += 1;
        }
        assert_victim_is_whole(&host);
    });
    let swaps = racer.end();
    println!(
        "trust: dc-exec, swaps by root: {swaps}, in {count} rounds, {} done, {} refused",
        told[0], told[1]
    );
    assert!(told[1] > 0, "nothing was ever refused: was anything swapped?");
}
