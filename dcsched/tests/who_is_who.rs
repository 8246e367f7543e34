//! dcsched's commands for who is who, as they are typed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

use dc_link::{ClusterId, KeyPair, PeersFile, Role, Token, TokenState, TokensFile};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dcsched"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its standard output, where it ends well.
fn out(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Its standard error, where it fails.
fn error(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert_eq!(output.status.code(), Some(125), "{args:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

const KEY: &str = "dc:4oym-iquy-7qob-jgx3-6tej-s35z-eqt2-4qpe-msnz-gtfe-swmr-w6cs-xbkq";

#[test]
fn a_new_cluster_has_its_key_and_its_peers() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    let said = out(home, &["init", "a/st"]);
    let peers = PeersFile::open(&home.join("a/st/peers")).unwrap().peers();
    let key = KeyPair::read(&home.join("a/st/key")).unwrap().fingerprint();
    assert_eq!(peers.get(key).map(|peer| peer.role), Some(Role::Scheduler));
    assert!(said.contains(&key.to_string()) && said.contains("dcsched token --state a/st"), "{said}");
    let uuid = peers.cluster().to_string();
    assert!(said.replace('-', "").contains(&uuid), "the store and the peers file are of one cluster: {said}");
    // The store does not mind them.
    assert!(out(home, &["fsck", "a/st"]).contains("good") || run(home, &["fsck", "a/st"]).status.success());
    assert!(error(home, &["init", "a/st"]).contains("already"));

    // What an init that was killed has not made is made by the next.
    fs::remove_file(home.join("a/st/peers")).unwrap();
    out(home, &["init", "a/st"]);
    let again = PeersFile::open(&home.join("a/st/peers")).unwrap().peers();
    assert_eq!(again, peers);
}

#[test]
fn a_cluster_of_one_user_is_made_in_one_go() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    let said = out(home, &["init", "--nodes", "n[1-3]", "--name", "head", "st"]);
    let peers = PeersFile::open(&home.join("st/peers")).unwrap().peers();
    assert_eq!(peers.iter().count(), 5);
    for name in ["n1", "n2", "n3"] {
        let path = home.join("st/nodes").join(name).join("key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let peer = peers.get(KeyPair::read(&path).unwrap().fingerprint()).cloned().unwrap();
        assert_eq!((peer.role, peer.name.as_str()), (Role::Node, name));
    }
    // What it says to write into dc.toml is a dc.toml, and finds the keys.
    let (_, toml) = said.split_once("in dc.toml:\n").unwrap();
    fs::write(home.join("dc.toml"), toml).unwrap();
    let in_force = out(home, &["--check-config"]);
    assert!(in_force.contains("/st/client/key\" # line"), "{in_force}");
    let surroundings = dc_config::Surroundings::default();
    let config = dc_config::read(&home.join("dc.toml"), &surroundings).unwrap();
    let node = config.node(&dc_link::Name::parse("n2").unwrap(), "h").unwrap();
    assert!(peers.get(KeyPair::read(&node.key).unwrap().fingerprint()).is_some());
    // And the other commands go by it.
    assert_eq!(out(home, &["peers", "--json"]).lines().count(), 5);
    for (list, wanted) in
        [("n[1", "not a list of hosts"), ("n[1-5000]", "more than 4096"), ("-n", "is not a name")]
    {
        let said = error(home, &["init", &format!("--nodes={list}"), "other"]);
        assert!(said.contains(wanted) && !home.join("other").exists(), "{said}");
    }
}

#[test]
fn keys_are_trusted_and_no_longer() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    out(home, &["init", "st"]);
    let with = |args: &[&'static str]| [args, &["--state", "st"]].concat();
    out(home, &with(&["trust", "node", "n1", KEY, "--not-after", "2027-01-31T12:00:00Z", "--owner", "ann"]));
    let line = format!("node       n1         {KEY}  2027-01-31T12:00:00Z  ann");
    let listed = out(home, &with(&["peers"]));
    assert!(listed.lines().any(|found| found.starts_with(&line)), "{listed}");
    for (args, wanted) in [
        (&["trust", "node", "n2", KEY][..], "a key has one line"),
        (&["trust", "nodes", "n2", KEY], "nodes is not a role"),
        (&["trust", "node", ".n", KEY], ".n is not a name"),
        (&["trust", "node", "n2", "dc:x"], "not a fingerprint"),
        (&["trust", "node", "n2", KEY, "--not-after", "tomorrow"], "not a time such as"),
        (&["untrust", "node", "n2"], "no node n2 is trusted"),
        (&["token", "--role", "scheduler"], "no token is made for the role scheduler"),
        (&["token", "--for", "0s"], "wanted a time"),
    ] {
        let said = error(home, &with(args));
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    out(home, &with(&["untrust", "node", "n1"]));
    assert_eq!(out(home, &with(&["peers", "--json"])).lines().count(), 1);
    out(home, &with(&["trust", "client", "ann", KEY]));
    out(home, &with(&["untrust", KEY]));
    // A file that others may write is not believed.
    fs::set_permissions(home.join("st/peers"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(error(home, &with(&["peers"])).contains("chmod"));
}

#[test]
fn a_token_is_printed_alone_and_kept_as_a_hash() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    out(home, &["init", "st"]);
    let output =
        run(home, &["token", "--state", "st", "--role", "client", "--for", "10m", "--key-for", "1d"]);
    let printed = text(&output.stdout);
    let token = Token::parse(printed.trim_end()).unwrap();
    assert!(text(&output.stderr).contains("good once") && text(&output.stderr).contains("dcd join --client"));
    assert!(!text(&output.stderr).contains(printed.trim_end()), "a secret is printed once");
    let peers = PeersFile::open(&home.join("st/peers")).unwrap();
    assert_eq!(token.cluster(), peers.peers().cluster());
    let ClusterId(_) = token.cluster();
    let kept = TokensFile::open(&home.join("st/tokens"), &peers).unwrap().list().unwrap();
    assert_eq!(
        (kept.len(), kept[0].id, kept[0].state, kept[0].role),
        (1, token.id(), TokenState::Fresh, Role::Client)
    );
    assert!(kept[0].not_after.is_some() && kept[0].not_after > Some(kept[0].expires));
    let file = fs::read_to_string(home.join("st/tokens")).unwrap();
    assert!(!file.contains(printed.trim_end().rsplit('.').next().unwrap()), "{file}");
}

#[test]
fn a_configuration_is_checked() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path();
    assert!(out(home, &["--check-config"]).starts_with("# there is no dc.toml"));
    fs::write(home.join("dc.toml"), "[scheduler]\nlease = \"30s\"\n").unwrap();
    let good = out(home, &["--check-config"]);
    assert!(good.contains("is good\n") && good.contains("lease = \"30s\" # line 2\n"), "{good}");
    fs::write(home.join("bad.toml"), "[scheduler]\nleese = 1\n[node]\nkill = 3\n").unwrap();
    let bad = error(home, &["--check-config", "bad.toml"]);
    let lines: Vec<_> = bad.lines().collect();
    assert_eq!(lines.len(), 2, "{bad}");
    assert!(lines[0].starts_with("dcsched: ") && lines[0].contains("bad.toml:2:1: "), "{bad}");
    assert!(lines[1].contains("bad.toml:4:8: node.kill: wanted"), "{bad}");
}
