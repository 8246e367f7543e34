//! A host for dc-exec: a mount namespace of its own with accounts, configuration, an installed dc-exec and a stand-in
//! for the starter. Nothing of it is seen outside, and all of it ends with the test. Only root can make one.

#![allow(dead_code)] // Each test file uses some of it.
#![allow(clippy::unwrap_used)] // A test: what cannot be unwrapped fails it.

use dc_exec::{Asked, Request, Stage, Told, Verb};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const DC: u32 = 4100;
pub const ANN: u32 = 4201;
pub const BOB: u32 = 4202;
/// Whose first group is root's.
pub const ZED: u32 = 4203;

const SET_UP: &str = r#"
umask 022
work=$1 program=$2 probe=$3
cp /etc/ld.so.cache "$work/" 2>/dev/null || :
mount -t tmpfs -o mode=755 none /etc
cp "$work/ld.so.cache" /etc/ 2>/dev/null || :
mkdir /etc/dc
cat >/etc/passwd <<'X'
root:x:0:0:root:/root:/bin/sh
low:x:500:500::/:/bin/sh
dc:x:4100:4100::/:/usr/sbin/nologin
ann:x:4201:4201::/home/ann:/bin/dash
bob:x:4202:4202::/home/bob:/bin/sh
zed:x:4203:0::/:/bin/sh
nobody:x:65534:65534::/:/bin/sh
X
cat >/etc/group <<'X'
root:x:0:
dc:x:4100:
ann:x:4201:
bob:x:4202:
hpc:x:4300:ann,bob
guests:x:4301:bob
extra:x:4302:ann
X
printf 'passwd: files\ngroup: files\n' >/etc/nsswitch.conf
mount -t tmpfs -o mode=755 none /opt
mkdir -p /opt/bin /opt/node/jobs /opt/victim
cp "$program" /opt/bin/dc-exec
cp "$probe" /opt/bin/dc-starter
chown 0:4100 /opt/bin/dc-exec /opt/node/jobs
chown 4100:4100 /opt/node
chmod 4750 /opt/bin/dc-exec
chmod 755 /opt/bin/dc-starter
chmod 711 /opt/node
chmod 751 /opt/node/jobs
echo precious >/opt/victim/file
printf 'caller = dc\nstarter = /opt/bin/dc-starter\njobs = /opt/node/jobs\n' >/etc/dc/exec.conf
echo ready
exec sleep 600
"#;

/// One.
pub struct Host {
    keeper: Child,
    started: std::cell::RefCell<Vec<nix::unistd::Pid>>,
    _work: tempfile::TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        for pid in self.started.borrow().iter() {
            let _ = nix::sys::signal::kill(*pid, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(*pid, None);
        }
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// None without root, and then it says so.
pub fn host() -> Option<Host> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tested: only root can make a host with accounts of its own and a setuid program");
        return None;
    }
    let work = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_dc-exec"));
    let probe = probe(program.parent().unwrap());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", SET_UP, "sh"]);
    command.arg(work.path()).args([program, &probe]).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut keeper = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "the host could not be made");
    Some(Host { keeper, started: Default::default(), _work: work })
}

/// The stand-in for the starter. cargo builds it with the tests where all of them are built, else it is built here.
fn probe(directory: &Path) -> PathBuf {
    let probe = directory.join("examples/probe");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probe.rs");
    let made = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if made(&probe) < made(&source) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let profile = if directory.ends_with("debug") { "dev" } else { "release" };
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "-p", "dc-exec", "--example", "probe", "--profile", profile]);
        command.arg("--target-dir").arg(directory.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(command.status().unwrap().success(), "{command:?}");
    }
    probe
}

/// What came of an asking.
#[derive(Debug)]
pub struct Came {
    pub told: Told,
    /// The process; it is not reaped when it became the starter.
    pub pid: nix::unistd::Pid,
}

impl Came {
    /// The step that refused.
    pub fn stage(&self) -> Stage {
        match &self.told {
            Told::Refused { stage, .. } => *stage,
            other => panic!("it was not refused: {other:?}"),
        }
    }

    pub fn text(&self) -> &str {
        match &self.told {
            Told::Refused { text, .. } => text,
            other => panic!("it was not refused: {other:?}"),
        }
    }
}

impl Host {
    /// A path of the host's as this process sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper.id()))
    }

    pub fn job_dir(&self, request: &Request) -> PathBuf {
        self.path("/opt/node/jobs").join(request.job_text())
    }

    /// The words that run something in the host.
    pub fn inside(&self) -> Vec<String> {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.keeper.id());
        ["/usr/bin/nsenter".to_owned(), namespace, "--".into()].to_vec()
    }

    /// Runs a script as root.
    pub fn sh(&self, script: &str) {
        let words = self.inside();
        let output = Command::new(&words[0]).args(&words[1..]).args(["sh", "-euc", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A process that runs a script as root.
    pub fn spawn_sh(&self, script: &str, user: Option<u32>) -> Child {
        let words = self.inside();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if let Some(user) = user {
            command.args(as_user(user, user));
        }
        command.args(["sh", "-uc", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Adds lines to the configuration.
    pub fn configure(&self, lines: &str) {
        let path = self.path("/etc/dc/exec.conf");
        let text = fs::read_to_string(&path).unwrap() + lines;
        fs::write(path, text).unwrap();
    }

    /// Asks as dcd's user.
    pub fn ask(&self, request: &Request) -> Came {
        self.ask_as(request, DC)
    }

    /// Asks as another one, who is allowed to execute the file.
    pub fn ask_as(&self, request: &Request, user: u32) -> Came {
        self.ask_by(&as_user(user, DC), request, &[], None)
    }

    /// Asks through these words, with variables and a pidfd.
    pub fn ask_by(
        &self,
        through: &[String],
        request: &Request,
        variables: &[String],
        pidfd: Option<BorrowedFd<'_>>,
    ) -> Came {
        let program = ["/opt/bin/dc-exec".to_owned(), request.verb.word().to_owned()];
        let words = [&self.inside()[..], through, &program].concat();
        let words: Vec<_> = words.into_iter().map(|word| CString::new(word).unwrap()).collect();
        let mut variables: Vec<_> =
            variables.iter().map(|word| CString::new(word.as_str()).unwrap()).collect();
        variables.push(c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        let stderr = File::options().write(true).open("/dev/null").unwrap();
        let asked = Asked::spawn(&words, &variables, request, stderr.as_fd(), pidfd).unwrap();
        let pid = asked.pid;
        let told = asked.wait().unwrap();
        if matches!(told, Told::Started) {
            self.started.borrow_mut().push(pid);
        } else {
            nix::sys::wait::waitpid(pid, None).unwrap();
        }
        Came { told, pid }
    }

    /// Starts a job and waits until its starter has told what it sees.
    pub fn start(&self, request: &Request) -> (Came, Seen) {
        let came = self.ask(request);
        assert!(matches!(came.told, Told::Started), "{came:?}");
        (came, self.seen(request))
    }

    pub fn seen(&self, request: &Request) -> Seen {
        let path = self.job_dir(request).join("seen");
        let text = until("the starter to tell", || fs::read_to_string(&path).ok());
        Seen(text.lines().map(str::to_owned).collect())
    }

    /// That no starter ever came so far as to tell.
    pub fn assert_nothing_started(&self, request: &Request) {
        assert!(!self.job_dir(request).join("seen").exists());
    }
}

/// What a starter saw.
pub struct Seen(pub Vec<String>);

impl Seen {
    /// The lines that begin so, without their beginning.
    pub fn all(&self, begin: &str) -> Vec<&str> {
        let lines = self.0.iter();
        lines.filter_map(|line| line.strip_prefix(begin)).map(str::trim).collect()
    }

    pub fn one(&self, begin: &str) -> &str {
        let all = self.all(begin);
        assert_eq!(all.len(), 1, "{begin}: {all:?}");
        all[0]
    }
}

/// The words that become a user of no other groups.
pub fn as_user(user: u32, group: u32) -> Vec<String> {
    let words = format!("/usr/bin/setpriv --reuid {user} --regid {group} --clear-groups --");
    words.split(' ').map(str::to_owned).collect()
}

/// A start for a user; its starter ends by itself after a while.
pub fn start(uid: u32) -> Request {
    Request { first_lease_ms: 20_000, ..request(Verb::Start, uid, 1) }
}

pub fn request(verb: Verb, uid: u32, job: u8) -> Request {
    Request::new(verb, uid, [job; 16])
}

pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
