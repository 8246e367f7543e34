//! What a started process has, and what it has not: identity, groups, capabilities, environment, descriptors, signals.

#![allow(clippy::unwrap_used)]

mod common;

use common::{ANN, DC, Host, as_user, host, start};
use dc_exec::{Request, Told};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn it_is_the_user_and_nothing_more() {
    let Some(host) = host() else { return };
    let (_, seen) = host.start(&start(ANN));
    assert_eq!(words(seen.one("status Uid:")), ["4201"; 4]);
    assert_eq!(words(seen.one("status Gid:")), ["4201"; 4]);
    let groups: BTreeSet<_> = words(seen.one("status Groups:")).into_iter().collect();
    assert_eq!(groups, BTreeSet::from(["4201", "4300", "4302"]));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(seen.one(&format!("status {set}:")), "0000000000000000");
    }
    assert_eq!(seen.one("status NoNewPrivs:"), "1");
    assert_eq!(seen.one("status Umask:"), "0077");
    assert_eq!(seen.one("cwd"), "/");
    let job = start(ANN).job_text();
    let directory = format!("/opt/node/jobs/{job}");
    assert_eq!(seen.all("arg "), ["dc-starter", "serve", &directory, "--first-lease-ms", "20000"]);
    let dir = fs::metadata(host.job_dir(&start(ANN))).unwrap();
    assert_eq!((dir.uid(), dir.gid(), dir.mode() & 0o7777), (ANN, ANN, 0o700));
    let stat = seen.one("stat ");
    let after = words(stat.rsplit_once(')').unwrap().1);
    let pid = stat.split(' ').next().unwrap();
    assert_eq!(after[3], pid, "it leads a session of its own: {stat}");
}

#[test]
fn setuid_programs_work_in_jobs_where_the_site_wants_it() {
    let Some(host) = host() else { return };
    host.configure("no_new_privs = no\nlimit.nofile = 777\nlimit.core = 0\n");
    let (_, seen) = host.start(&start(ANN));
    assert_eq!(seen.one("status NoNewPrivs:"), "0");
    assert_eq!(seen.one("status CapEff:"), "0000000000000000");
    assert_eq!(words(seen.one("limits Max open files"))[..2], ["777", "777"]);
    assert_eq!(words(seen.one("limits Max core file size"))[..2], ["0", "0"]);
}

/// Names by which others are led astray: of the loader, of C, of shells, interpreters, tools, and dc's own.
const DANGEROUS: &[&str] = &[
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "LD_DEBUG",
    "LD_DEBUG_OUTPUT",
    "LD_PROFILE",
    "LD_PROFILE_OUTPUT",
    "LD_ORIGIN_PATH",
    "LD_BIND_NOW",
    "LD_BIND_NOT",
    "LD_DYNAMIC_WEAK",
    "LD_HWCAP_MASK",
    "LD_SHOW_AUXV",
    "LD_USE_LOAD_BIAS",
    "LD_VERBOSE",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_TRACE",
    "MALLOC_CHECK_",
    "NIS_PATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TMPDIR",
    "TZDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "CHARSET",
    "BASH_ENV",
    "ENV",
    "IFS",
    "CDPATH",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "GLOBIGNORE",
    "BASH_FUNC_ls%%",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PERL5DB",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERMINFO",
    "TERMCAP",
    "TERMPATH",
    "EDITOR",
    "PAGER",
    "LESSOPEN",
    "MANPATH",
    "KRB5_CONFIG",
    "KRB5CCNAME",
    "OPENSSL_CONF",
    "SSL_CERT_FILE",
    "XDG_RUNTIME_DIR",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "DBUS_SESSION_BUS_ADDRESS",
    "OMPI_MCA_plm_rsh_agent",
    "HWLOC_XMLFILE",
    "HWLOC_PLUGINS_PATH",
    "DC_STARTER",
    "DC_CONFIG",
    "DC_CGROUP",
    "DC_JOB_UUID",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
];

#[test]
fn nothing_of_the_callers_environment_arrives() {
    let Some(host) = host() else { return };
    assert!(DANGEROUS.len() >= 60);
    // Through a program that sets them last: the words before it run in the test's hands.
    let mut through = as_user(DC, DC);
    through.push("/usr/bin/env".into());
    through.extend(DANGEROUS.iter().map(|name| format!("{name}=/evil")));
    let request = start(ANN);
    let came = host.ask_by(&through, &request, &[], None);
    assert!(matches!(came.told, Told::Started), "{came:?}");
    let seen = host.seen(&request);
    let job = format!("DC_JOB_UUID={}", request.job_text());
    let spool = format!("DC_SPOOL=/opt/node/jobs/{}", request.job_text());
    let built = [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/home/ann",
        "USER=ann",
        "LOGNAME=ann",
        "SHELL=/bin/dash",
        &job,
        &spool,
    ];
    assert_eq!(seen.all("env "), built);
}

/// The loader itself ends a setuid program that is asked to tell what it would load.
#[test]
fn a_start_that_the_loader_refuses_starts_nothing() {
    let Some(host) = host() else { return };
    let mut through = as_user(DC, DC);
    through.extend(["/usr/bin/env", "LD_TRACE_LOADED_OBJECTS=1"].map(str::to_owned));
    let came = host.ask_by(&through, &start(ANN), &[], None);
    assert!(matches!(came.told, Told::Nothing), "{came:?}");
    assert!(!host.job_dir(&start(ANN)).exists());
}

#[test]
fn nothing_else_of_the_callers_arrives() {
    let Some(host) = host() else { return };
    // Ignored and blocked signals, descriptors, a directory, a umask, protection from the want of memory.
    let script = "import os,signal,sys\n\
        for s in (1,2,3,10,12,13,14,15,17,20): signal.signal(s, signal.SIG_IGN) \n\
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1,65))\n\
        for n in (3,4,77): os.dup2(os.open('/etc/passwd', os.O_RDONLY), n)\n\
        os.umask(0); os.chdir('/opt'); os.setpriority(os.PRIO_PROCESS,0,0)\n\
        open('/proc/self/oom_score_adj','w').write('-900')\n\
        signal.setitimer(signal.ITIMER_REAL, 5000)\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let mut through: Vec<String> = ["/usr/bin/python3", "-c", script].map(str::to_owned).into();
    through.extend(as_user(DC, DC));
    let request = start(ANN);
    let came = host.ask_by(&through, &request, &[], None);
    assert!(matches!(came.told, Told::Started), "{came:?}");
    let seen = host.seen(&request);
    let ours = |line: &&str| !line.contains("/proc/") && !line.contains("/fd");
    let fds: Vec<_> = seen.all("fd ").into_iter().filter(ours).collect();
    assert_eq!(fds, ["0 /dev/null", "1 /dev/null", "2 /dev/null"]);
    assert_eq!(seen.one("status SigBlk:"), "0000000000000000");
    // The stand-in ignores SIGPIPE by itself, as Rust's programs do.
    assert_eq!(seen.one("status SigIgn:"), "0000000000001000");
    assert_eq!(seen.one("oom_score_adj"), "0");
    assert_eq!((seen.one("status Umask:"), seen.one("cwd")), ("0077", "/"));
}

#[test]
fn a_second_start_and_what_a_crash_left_are_no_obstacles() {
    let Some(host) = host() else { return };
    let request = start(ANN);
    let name = request.job_text();
    host.sh(&format!("mkdir -m 700 /opt/node/jobs/{name}"));
    host.start(&request);
    host.sh(&format!("rm /opt/node/jobs/{name}/seen"));
    host.start(&request);
    let other = Request { job: [2; 16], ..start(common::BOB) };
    let (_, seen) = host.start(&other);
    assert_eq!(words(seen.one("status Uid:")), ["4202"; 4]);
}

/// The version 2 hierarchy, where it is mounted.
fn cgroup2() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().map(words).find(|words| words[2] == "cgroup2" && words[3].starts_with("rw"));
    if mount.is_none() {
        eprintln!("not tested: no control groups of version 2 that can be written");
    }
    mount.map(|words| words[1].to_owned())
}

#[test]
fn it_lives_in_a_delegated_group_that_kills_all_and_is_removed() {
    let (Some(host), Some(top)) = (host(), cgroup2()) else { return };
    let parent = format!("{top}/dc-exec-test-{}", std::process::id());
    fs::create_dir(&parent).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| in_group(&host, &parent)));
    for kill in fs::read_dir(&parent).unwrap().flatten().map(|entry| entry.path().join("cgroup.kill")) {
        let _ = fs::write(kill, "1");
    }
    drop(host);
    common::until("the groups to be empty", || {
        for entry in fs::read_dir(&parent).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
            let _ = fs::remove_dir(entry.path().join("inner"));
            let _ = fs::remove_dir(entry.path());
        }
        fs::remove_dir(&parent).ok()
    });
    result.unwrap();
}

fn in_group(host: &Host, parent: &str) {
    use common::request;
    use dc_exec::{Stage, Verb};
    use nix::libc::{SIGKILL, SIGTERM};
    host.configure(&format!("cgroup = {parent}\n"));
    let (came, seen) = host.start(&start(ANN));
    let group = format!("{parent}/dc-{}", start(ANN).job_text());
    let inside = seen.one("cgroup 0::");
    assert!(group.ends_with(inside), "{inside} is not {group}");
    let owner = |file: &str| fs::metadata(format!("{group}/{file}")).unwrap().uid();
    assert_eq!([owner(""), owner("cgroup.procs"), owner("cgroup.subtree_control")], [ANN; 3]);
    assert_eq!([owner("cgroup.kill"), owner("cgroup.freeze")], [0; 2]);
    fs::create_dir(format!("{group}/inner")).unwrap();
    std::os::unix::fs::chown(format!("{group}/inner"), Some(ANN), Some(ANN)).unwrap();

    let busy = host.ask(&request(Verb::Remove, ANN, 1));
    assert_eq!(busy.stage(), Stage::Cgroup, "{busy:?}");
    assert!(host.job_dir(&start(ANN)).exists());
    // Of another user's: nothing is found, nothing is done.
    let kill = |uid, signal| host.ask(&dc_exec::Request { signal, ..request(Verb::Kill, uid, 1) });
    assert_eq!(kill(common::BOB, SIGKILL).stage(), Stage::Kill);
    assert_eq!(kill(ANN, SIGTERM).stage(), Stage::Kill);
    assert!(fs::read_to_string(format!("{group}/cgroup.procs")).unwrap().contains(&came.pid.to_string()));
    let killed = kill(ANN, SIGKILL);
    assert!(matches!(killed.told, Told::Done(None)), "{killed:?}");
    common::until("the group to be empty", || {
        nix::sys::wait::waitpid(came.pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG)).ok();
        fs::read_to_string(format!("{group}/cgroup.procs")).unwrap().is_empty().then_some(())
    });
    let removed = host.ask(&request(Verb::Remove, ANN, 1));
    assert!(matches!(removed.told, Told::Done(None)), "{removed:?}");
    assert!(!fs::exists(&group).unwrap() && !host.job_dir(&start(ANN)).exists());
}
