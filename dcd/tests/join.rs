//! dcd's commands for who is who, as they are typed: a key, and a join against a scheduler's side of it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

use dc_link::{
    Acceptor, Admission, Caps, ClusterId, Conn, Endpoint, Event, Gate, KeyPair, Name, PeersFile, Role, Rules,
    Settings, TokensFile, UnixSeconds, found,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A scheduler as far as joining goes.
struct Scheduler {
    tmp: tempfile::TempDir,
}

impl Scheduler {
    fn new() -> Self {
        let this = Self { tmp: tempfile::tempdir().unwrap() };
        found(ClusterId([5; 16]), &Name::parse("s").unwrap(), &this.at("s/key"), &this.at("s/peers"))
            .unwrap();
        this
    }

    fn at(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn peers(&self) -> PeersFile {
        PeersFile::open(&self.at("s/peers")).unwrap()
    }

    fn tokens(&self) -> TokensFile {
        TokensFile::open(&self.at("s/tokens"), &self.peers()).unwrap()
    }

    fn key(&self) -> KeyPair {
        KeyPair::read(&self.at("s/key")).unwrap()
    }

    fn token(&self, role: Role) -> String {
        let now = UnixSeconds::now();
        let token = self.tokens().try_make(self.key().fingerprint(), role, None, now.plus_s(600), None, now);
        token.unwrap().reveal().to_string()
    }

    /// Takes so many connections; with `is_mute` it records what it is asked, and hangs up before it answers.
    fn serve(&self, connections: usize, is_mute: bool) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (endpoint, mut peers, tokens) =
            (Endpoint::new(&self.key()).unwrap(), self.peers(), self.tokens());
        let mut acceptor = Acceptor::new(listener, Gate::new(Caps::default())).unwrap();
        let thread = std::thread::spawn(move || {
            let settings = Settings::new(dc_model::cluster::VERSION, Arc::new(Rules::new(&[]).unwrap()));
            let begun = Instant::now();
            for _ in 0..connections {
                let admission = Admission::of(peers.peers(), &[Role::Node, Role::Client]).or_joiners(true);
                wait(acceptor.as_fd(), PollFlags::POLLIN, begun);
                let (mut conn, _) = acceptor
                    .accept(&endpoint, &admission, &settings, 0, UnixSeconds::now())
                    .unwrap()
                    .unwrap();
                let _ = serve(&mut conn, &mut peers, &tokens, is_mute, begun);
            }
        });
        (address, thread)
    }
}

fn wait(fd: std::os::fd::BorrowedFd<'_>, flags: PollFlags, begun: Instant) {
    let left = DEADLINE.saturating_sub(begun.elapsed());
    let mut fds = [PollFd::new(fd, flags)];
    let ready = poll(&mut fds, PollTimeout::try_from(left.as_millis() as i32).unwrap()).unwrap();
    assert!(ready > 0, "nothing came in {DEADLINE:?}");
}

fn serve(
    conn: &mut Conn,
    peers: &mut PeersFile,
    tokens: &TokensFile,
    is_mute: bool,
    begun: Instant,
) -> Result<(), dc_link::LinkError> {
    let mut request = None;
    loop {
        while let Some(event) = conn.next_event()? {
            match event {
                Event::Join(asked) => request = Some(asked),
                Event::Ended { .. } => return Ok(()),
                _ => {}
            }
        }
        if let Some(request) = request.take() {
            let answer = tokens.try_join(&request, peers, UnixSeconds::now());
            if is_mute {
                return Ok(());
            }
            let answer = answer.map_err(|error| error.to_tell());
            conn.session().answer_join(answer.as_ref().map_err(|code| *code));
        }
        if conn.is_finished() {
            return Ok(());
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, conn.want_read());
        flags.set(PollFlags::POLLOUT, conn.want_write());
        wait(conn.as_fd(), flags, begun);
        if conn.want_write() {
            conn.on_writable(0)?;
        }
        conn.on_readable(0)?;
    }
}

fn dcd(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcd"));
    command.args(args).env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    dcd(home, args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_key_is_made_once() {
    let tmp = tempfile::tempdir().unwrap();
    let first = run(tmp.path(), &["keygen", "--name", "n1"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let again = run(tmp.path(), &["keygen", "--name", "n1"]);
    assert_eq!(text(&first.stdout), text(&again.stdout));
    assert!(text(&first.stdout).starts_with("dc:"), "{}", text(&first.stdout));
    assert!(text(&first.stderr).contains("is made") && text(&again.stderr).contains("is there already"));
    let key = tmp.path().join(".local/state/dc/node-n1/key");
    assert_eq!(KeyPair::read(&key).unwrap().fingerprint().to_string(), text(&first.stdout).trim());
    let other = run(tmp.path(), &["keygen", "--key", "k/other"]);
    assert!(other.status.success() && other.stdout != first.stdout);
    // What others may read is no key.
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = run(tmp.path(), &["keygen", "--name", "n1"]);
    assert_eq!((open.status.code(), text(&open.stderr).contains("chmod 600")), (Some(125), true));
}

#[test]
fn a_node_joins_by_a_token() {
    let scheduler = Scheduler::new();
    let home = tempfile::tempdir().unwrap();
    let token = scheduler.token(Role::Node);
    let (address, thread) = scheduler.serve(1, false);
    let joined = run(home.path(), &["join", "--name", "n1", "--scheduler", &address.to_string(), &token]);
    thread.join().unwrap();
    assert!(joined.status.success(), "{}", text(&joined.stderr));
    assert!(text(&joined.stdout).ends_with("as node n1\n"), "{}", text(&joined.stdout));
    let state = home.path().join(".local/state/dc/node-n1");
    let key = KeyPair::read(&state.join("key")).unwrap().fingerprint();
    assert_eq!(scheduler.peers().peers().get(key).map(|peer| peer.name.to_string()).as_deref(), Some("n1"));
    let peers = PeersFile::open(&state.join("peers")).unwrap().peers();
    assert_eq!(peers.get(scheduler.key().fingerprint()).map(|peer| peer.role), Some(Role::Scheduler));

    // Another key with the same token is told so; the same key again finds that it is in.
    let (address, thread) = scheduler.serve(2, false);
    let thief = run(home.path(), &["join", "--name", "n2", "--scheduler", &address.to_string(), &token]);
    assert_eq!(thief.status.code(), Some(125));
    assert!(text(&thief.stderr).contains("has been used"), "{}", text(&thief.stderr));
    let again = run(home.path(), &["join", "--name", "n1", "--scheduler", &address.to_string(), &token]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("already"), "{}", text(&again.stdout));
    thread.join().unwrap();
}

#[test]
fn a_lost_answer_is_no_failure_and_the_token_may_come_by_standard_input() {
    let scheduler = Scheduler::new();
    let home = tempfile::tempdir().unwrap();
    let config = format!("[scheduler]\nlisten = \"{}\"\n", "127.0.0.1:9");
    std::fs::write(home.path().join("dc.toml"), config).unwrap();
    let (address, thread) = scheduler.serve(2, true);
    let at = address.to_string();
    let mut child = dcd(home.path(), &["join", "--client", "--name", "ann", "--scheduler", &at, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let token = scheduler.token(Role::Client) + "\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    thread.join().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("already"), "{}", text(&output.stdout));
    let key = KeyPair::read(&home.path().join(".local/state/dc/client/key")).unwrap().fingerprint();
    assert_eq!(scheduler.peers().peers().get(key).map(|peer| peer.role), Some(Role::Client));
}

#[test]
fn mistakes_are_told_before_anything_is_dialled() {
    let home = tempfile::tempdir().unwrap();
    let token = Scheduler::new().token(Role::Node);
    for (args, wanted) in [
        (&["join", "dcjoin1.x"][..], "not a join token"),
        (&["join", &token], "say --scheduler HOST:PORT"),
        (&["join", "--scheduler", "head", &token], "wanted HOST:PORT"),
        (&["join", "--name=.n", &token], "--name .n is not a name"),
        (&["--print-topology", "--check-config"], "cannot be used with"),
        (&["--json"], "--print-topology"),
    ] {
        let output = run(home.path(), args);
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        assert!(text(&output.stderr).contains(wanted), "{args:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains(&token[40..]), "a token is a secret");
    }
}
