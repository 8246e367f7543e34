//! What is refused, at which step, and that nothing is started or changed by it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{ANN, BOB, DC, Host, ZED, as_user, host, request, start};
use dc_exec::{Request, Stage, Told, Verb};
use std::fs;
use std::io::{Read, Seek, Write};
use std::process::{Command, Stdio};

fn refused(host: &Host, uid: u32) -> (Stage, String) {
    let came = host.ask(&start(uid));
    assert!(!host.job_dir(&start(uid)).exists(), "{came:?}");
    (came.stage(), came.text().to_owned())
}

#[test]
fn other_callers() {
    let Some(host) = host() else { return };
    for caller in [ANN, BOB, 0, 65534] {
        for verb in Verb::ALL {
            // What is asked does not matter: it is not read.
            let came = host.ask_as(&request(verb, ANN, 1), caller);
            assert_eq!(came.stage(), Stage::Caller, "{caller}: {came:?}");
        }
    }
    // Who has not dcd's group cannot even execute it.
    // setpriv(1) itself executes with capabilities that a shell behind it has not.
    let mut words = as_user(ANN, ANN);
    words.extend(["/bin/sh", "-c", "exec \"$@\" 2>/dev/null", "sh"].map(str::to_owned));
    let came = host.ask_by(&words, &start(ANN), &[], None);
    assert!(matches!(came.told, Told::Nothing), "{came:?}");
    assert!(!host.job_dir(&start(ANN)).exists());
}

#[test]
fn other_users() {
    let Some(host) = host() else { return };
    let cases = [
        (0, "uid_min"),
        (1, "uid_min"),
        (500, "uid_min"),
        (999, "uid_min"),
        (DC, "dcd's own"),
        (65534, "nobody's"),
        (65535, "nobody's"),
        (u32::MAX, "nobody's"),
        (4999, "no account"),
        (ZED, "root's group"),
    ];
    for (uid, why) in cases {
        let (stage, text) = refused(&host, uid);
        assert_eq!(stage, Stage::Account, "{uid}: {text}");
        assert!(text.contains(why), "{uid}: {text}");
    }
    host.configure("uid_min = 4202\n");
    assert_eq!(refused(&host, ANN).0, Stage::Account);
    assert!(matches!(host.ask(&start(BOB)).told, Told::Started));
}

#[test]
fn users_whom_the_configuration_denies() {
    let Some(host) = host() else { return };
    let least = fs::read_to_string(host.path("/etc/dc/exec.conf")).unwrap();
    let with = |lines: &str, uid: u32| {
        fs::write(host.path("/etc/dc/exec.conf"), format!("{least}{lines}\n")).unwrap();
        host.ask(&Request { first_lease_ms: 1, ..start(uid) }).told
    };
    let is = |told: &Told, wanted: Stage| matches!(told, Told::Refused { stage, .. } if *stage == wanted);
    for line in ["deny_users = bob", "deny_users = 4202 low", "deny_groups = guests", "deny_groups = 4301"] {
        assert!(is(&with(line, BOB), Stage::Account), "{line}");
        assert!(matches!(with(line, ANN), Told::Started), "{line}");
    }
    for line in ["allow_users = ann", "allow_groups = extra", "allow_users = low\nallow_groups = 4302"] {
        assert!(is(&with(line, BOB), Stage::Account), "{line}");
        assert!(matches!(with(line, ANN), Told::Started), "{line}");
    }
    assert!(is(&with("allow_groups = hpc\ndeny_users = bob", BOB), Stage::Account));
    // A name that nobody has would deny nobody: it refuses everybody.
    for line in
        ["deny_users = bbo", "deny_groups = gusets", "deny_users = bob nosuch", "allow_users = ann nosuch"]
    {
        assert!(is(&with(line, ANN), Stage::Config), "{line}");
    }
}

#[test]
fn configurations_that_others_could_have_written() {
    let cases = [
        "chmod 664 /etc/dc/exec.conf",
        "chmod 646 /etc/dc/exec.conf",
        "chown dc /etc/dc/exec.conf",
        "chmod 775 /etc/dc",
        "chown dc /etc/dc",
        "chmod 777 /etc",
        "mv /etc/dc/exec.conf /etc/dc/other; ln -s other /etc/dc/exec.conf",
        "mv /etc/dc /etc/dcx; ln -s dcx /etc/dc",
        "rm /etc/dc/exec.conf",
        "rm /etc/dc/exec.conf; mkdir /etc/dc/exec.conf",
        "rm /etc/dc/exec.conf; mkfifo -m 600 /etc/dc/exec.conf",
        "echo colour = red >>/etc/dc/exec.conf",
        "echo caller = ann >>/etc/dc/exec.conf",
        "printf x >>/etc/dc/exec.conf",
        ": >/etc/dc/exec.conf",
        "head -c 70000 /dev/zero >/etc/dc/exec.conf",
    ];
    each(&cases, Stage::Config);
}

#[test]
fn starters_that_others_could_have_written() {
    let cases = [
        "chmod 775 /opt/bin/dc-starter",
        "chmod 757 /opt/bin/dc-starter",
        "chown dc /opt/bin/dc-starter",
        "chown ann /opt/bin/dc-starter",
        "chmod 4755 /opt/bin/dc-starter",
        "chmod 2755 /opt/bin/dc-starter",
        "chmod 700 /opt/bin/dc-starter",
        "chmod 777 /opt/bin",
        "chown dc /opt/bin",
        "mv /opt/bin/dc-starter /opt/bin/x; ln -s x /opt/bin/dc-starter",
        "rm /opt/bin/dc-starter",
        "rm /opt/bin/dc-starter; mkdir /opt/bin/dc-starter",
    ];
    each(&cases, Stage::Starter);
}

#[test]
fn directories_that_are_not_as_they_must_be() {
    let job = start(ANN).job_text();
    let job = format!("/opt/node/jobs/{job}");
    let made = [
        "chown dc /opt/node/jobs".to_owned(),
        "chmod 775 /opt/node/jobs".into(),
        "chmod 777 /opt/node/jobs".into(),
        "chmod 777 /opt/node".into(),
        "chown ann /opt/node".into(),
        "mv /opt/node/jobs /opt/node/x; ln -s x /opt/node/jobs".into(),
        "rmdir /opt/node/jobs".into(),
        format!("ln -s /opt/victim {job}"),
        format!("touch {job}"),
        format!("mkfifo {job}"),
        format!("mkdir -m 700 {job}; chown bob {job}"),
        format!("mkdir -m 750 {job}; chown ann {job}"),
        format!("mkdir -m 707 {job}; chown ann {job}"),
        format!("mkdir {job}; mount -t tmpfs -o uid=4201,mode=700 none {job}"),
    ];
    each(&made.each_ref().map(String::as_str), Stage::Directory);
}

/// Each on a host of its own, where nothing may start.
fn each(scripts: &[&str], stage: Stage) {
    for script in scripts {
        let Some(host) = host() else { return };
        let before = host.job_dir(&start(ANN)).exists();
        host.sh(script);
        let there = host.job_dir(&start(ANN)).exists();
        let came = host.ask(&start(ANN));
        assert_eq!(came.stage(), stage, "{script}: {came:?}");
        host.assert_nothing_started(&start(ANN));
        assert_eq!((before, host.job_dir(&start(ANN)).exists()), (false, there), "{script}");
        assert_eq!(fs::read_to_string(host.path("/opt/victim/file")).unwrap(), "precious\n");
    }
}

/// Bytes on its standard input, as dcd's user; what it says on standard error.
fn raw(host: &Host, words: &[&str], bytes: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let all = [&host.inside()[..], &as_user(DC, DC), &["/opt/bin/dc-exec".to_owned()]].concat();
    let mut told = tempfile::tempfile().unwrap();
    let mut command = Command::new(&all[0]);
    command.args(&all[1..]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(told.try_clone().unwrap()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    if out.get(6) == Some(&2) {
        // It is a starter now, whose lease may be any.
        child.kill().unwrap();
    }
    let code = child.wait().unwrap().code();
    let mut said = String::new();
    told.rewind().unwrap();
    told.read_to_string(&mut said).unwrap();
    (code, out, said)
}

#[test]
fn requests_that_are_none() {
    let Some(host) = host() else { return };
    let good = start(ANN).encode();
    let mut bad: Vec<Vec<u8>> =
        vec![vec![], good[..71].to_vec(), [&good[..], b"x"].concat(), vec![0; 1 << 16]];
    for (at, value) in [(0, b'X'), (4, 2), (6, 0), (6, 9), (7, 1), (12, 9), (64, 1)] {
        let mut other = good.clone();
        other[at] = value;
        bad.push(other);
    }
    // Each other verb's, where a start is on the command line.
    bad.extend(Verb::ALL[2..].iter().map(|verb| request(*verb, ANN, 1).encode()));
    for bytes in bad {
        let (code, out, said) = raw(&host, &["start"], &bytes);
        assert_eq!((code, out.len(), out[7]), (Some(125), 256, Stage::Request as u8), "{said}");
        assert!(said.starts_with("dc-exec: request: ") && said.lines().count() == 1, "{said}");
    }
    assert!(!host.job_dir(&start(ANN)).exists());
}

/// Mutations of a start by the kept generator's numbers: whatever is accepted is another user's start, and none is root's.
#[test]
fn requests_with_random_changes() {
    let Some(host) = host() else { return };
    let seed = std::env::var("DC_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    println!("seed {seed}");
    let mut state = seed | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..300 {
        let mut bytes = Request { first_lease_ms: 1, ..start(BOB) }.encode();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if random(4) == 0 {
            bytes.truncate(random(bytes.len()));
        }
        let (code, out, said) = raw(&host, &["start"], &bytes);
        let read = Request::decode(&bytes).ok().filter(|read| [ANN, BOB].contains(&read.uid));
        assert_eq!(read.is_some(), out.get(6) == Some(&2), "{bytes:?}: {code:?} {said}");
    }
    for entry in fs::read_dir(host.path("/opt/node/jobs")).unwrap() {
        use std::os::unix::fs::MetadataExt;
        assert!([ANN, BOB].contains(&entry.unwrap().metadata().unwrap().uid()));
    }
}

#[test]
fn it_needs_its_rights_and_says_so() {
    let Some(host) = host() else { return };
    host.sh("chmod 750 /opt/bin/dc-exec");
    assert_eq!(host.ask(&start(ANN)).stage(), Stage::Root);
}

#[test]
fn a_check_tells_what_is_wrong() {
    let Some(host) = host() else { return };
    let (code, out, said) = raw(&host, &["check"], b"");
    assert_eq!((code, &said[..]), (Some(0), ""));
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "dc-exec: well: for user 4100, no control groups, no_new_privs set\n");
    host.sh("/opt/bin/dc-exec check");
    host.configure("cgroup = /opt\n");
    let (code, _, said) = raw(&host, &["check"], b"");
    assert_eq!(code, Some(125));
    assert_eq!(said, "dc-exec: control group: /opt is no control group of version 2\n");
    for words in [&[][..], &["start", "check"], &["serve"], &["-x"]] {
        let (code, _, said) = raw(&host, words, b"");
        assert!(code == Some(125) && said.starts_with("usage: "), "{words:?}");
    }
    assert_eq!(raw(&host, &["--version"], b"").0, Some(0));
}
