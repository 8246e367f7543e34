//! The hosts of the tests themselves: that they are apart, that a cut net is silent, that what is off is off, and that
//! nothing is left of them. With plain tools only.

use dc_integration::hosts::{Inside, Net, Options, cpus_of, overlap};
use dc_integration::process;
use dc_integration::wait::{until, within};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

fn dc_host() -> PathBuf {
    env!("CARGO_BIN_EXE_dc-host").into()
}

/// A connection from the first host to the second, that counts.
fn talk(net: &Net) -> (Inside, Inside) {
    let listener = net.host(1).ask(dc_host()).words("listen 7000").start();
    listener.prints("listening");
    net.host(1).listens(7000);
    let talker = net.host(0).ask(dc_host()).words("talk n2:7000").start();
    talker.prints("20");
    (listener, talker)
}

fn count(talker: &Inside) -> u64 {
    talker.out().lines().last().and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// It counts on, from where it is now.
fn goes_on(talker: &Inside) {
    let now = count(talker);
    until("the connection to go on", || (count(talker) > now + 5).then_some(()));
}

/// It does not: what was on its way arrives, and then there is nothing, and no error.
fn stands_still(talker: &Inside) {
    let mut last = count(talker);
    until("the connection to stand still", || {
        let moved = within(Duration::from_millis(400), || (count(talker) != last).then_some(()));
        last = count(talker);
        moved.is_none().then_some(())
    });
    assert_eq!(talker.status(), None, "{}", talker.said());
}

#[test]
fn hosts_are_apart() {
    let Some(net) = Net::of_hosts("hosts are apart from each other", 2) else { return };
    let (a, b) = (net.host(0), net.host(1));
    for host in [a, b] {
        assert_eq!(host.ask("hostname").run().ends_with(0).out.trim(), host.name());
        assert!(host.sh("echo $$").run().out.trim().parse::<i32>().unwrap() < 100);
        let seen = host.sh("ls -d /proc/[0-9]* | wc -l").run().out.trim().parse::<usize>().unwrap();
        assert!(seen < 10, "{seen} processes are seen inside");
    }
    let namespaces = |pid: &str| -> Vec<PathBuf> {
        let of = |name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        ["net", "uts", "mnt", "pid", "ipc", "cgroup"].map(of).to_vec()
    };
    let (of_a, of_b) = (namespaces(&a.init().to_string()), namespaces(&b.init().to_string()));
    for ((a, b), own) in of_a.iter().zip(&of_b).zip(namespaces("self")) {
        assert!(*a != *b && *a != own && *b != own, "{a:?} {b:?} {own:?}");
    }
    // Shared memory, the disk, /run, names of links: each its own; `shared` is everybody's.
    for path in ["/dev/shm/mark", "/run/mark", "mark"] {
        a.sh(&format!("echo a > {path}")).run().ends_with(0);
        b.sh(&format!("test ! -e {path}")).run().ends_with(0);
        assert!(path.starts_with("mark") || !PathBuf::from(path).exists());
    }
    a.sh(&format!("echo a > {}", a.shared().join("mark").display())).run().ends_with(0);
    assert_eq!(b.ask("cat").arg(b.shared().join("mark")).run().ends_with(0).out, "a\n");
    let boot_id = |host: &dc_integration::hosts::Host| {
        host.ask("cat").arg("/proc/sys/kernel/random/boot_id").run().ends_with(0).out
    };
    assert_eq!(boot_id(a), boot_id(a));
    assert_ne!(boot_id(a), boot_id(b));
    assert_eq!(boot_id(a).trim().len(), 36);
    // A segment of System V's shared memory.
    a.ask("ipcmk").words("-M 4096").run().ends_with(0);
    assert_eq!(b.ask("ipcs").words("-m").run().out.matches("0x").count(), 0);
    assert_eq!(a.ask("ipcs").words("-m").run().out.matches("0x").count(), 1);
}

#[test]
fn a_cut_net_is_silent_and_heals() {
    let Some(mut net) = Net::of_hosts("a connection over a net that is cut", 3) else { return };
    let (_listener, talker) = talk(&net);
    let other = net.host(2).ask(dc_host()).words("talk n2:7000").start();
    other.prints("20");
    type Cut = fn(&mut Net);
    let cuts: [(&str, Cut); 4] = [
        ("both ways", |net| net.cut(0)),
        ("from the host", |net| net.cut_from(0)),
        ("to the host", |net| net.cut_to(0)),
        ("from one to another", |net| net.cut_between(1, 0)),
    ];
    for (what, cut) in cuts {
        goes_on(&talker);
        cut(&mut net);
        stands_still(&talker);
        goes_on(&other);
        net.heal(0);
        goes_on(&talker);
        eprintln!("{what}: stood still and went on");
    }
}

#[test]
fn what_is_cut_one_way_arrives_the_other() {
    let Some(mut net) = Net::of_hosts("datagrams over a net that is cut one way", 2) else { return };
    // Who asks hears nothing in both cases; whether the question arrived tells them apart.
    let heard = |net: &Net, name: &str| {
        let path = net.shared().join(name);
        let listen = format!(
            "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7001)); \
             open({:?}, 'w').write('ready'); print(s.recv(9), flush=True)",
            path.display()
        );
        let listener = net.host(1).ask("/usr/bin/python3").arg("-c").arg(listen).start();
        until("the listener", || fs::read_to_string(&path).ok().filter(|text| text == "ready"));
        let send =
            "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('n2', 7001))";
        net.host(0).ask("/usr/bin/python3").arg("-c").arg(send).run().ends_with(0);
        let heard = listener.ends_within(Duration::from_millis(700)).is_some();
        if !heard {
            listener.kill();
        }
        heard
    };
    if !PathBuf::from("/usr/bin/python3").exists() {
        eprintln!("skipped: needs python3");
        return;
    }
    assert!(heard(&net, "whole"));
    net.cut_from(0);
    assert!(!heard(&net, "from"));
    net.heal(0);
    net.cut_to(0);
    assert!(heard(&net, "to"));
    net.heal(0);
    net.cut_between(0, 1);
    assert!(!heard(&net, "between"));
    net.heal(1);
    assert!(heard(&net, "healed"));
}

#[test]
fn a_delay_where_the_kernel_has_it() {
    let Some(net) = Net::of_hosts("a delayed wire", 2) else { return };
    if let Err(why) = net.try_delay(0, 30, 0) {
        eprintln!("skipped: a delayed wire: this kernel has no netem: {why}");
        return;
    }
    let (_listener, talker) = talk(&net);
    let start = std::time::Instant::now();
    goes_on(&talker);
    assert!(start.elapsed() > Duration::from_millis(5 * 30));
    net.undelay(0);
    goes_on(&talker);
}

#[test]
fn a_paused_host_does_nothing() {
    let Some(net) = Net::of_hosts("a host that is paused", 2) else { return };
    let (_listener, talker) = talk(&net);
    // One of them has left its session and its parent.
    let script = "setsid sh -c 'while :; do echo x; sleep 0.01; done' > ticks & exit 0";
    net.host(0).sh(script).run().ends_with(0);
    let ticks =
        || fs::metadata(net.host(0).outside(net.host(0).own().join("ticks"))).map_or(0, |meta| meta.len());
    type Pause = fn(&dc_integration::hosts::Host);
    let ways: [Pause; 2] =
        [dc_integration::hosts::Host::pause, dc_integration::hosts::Host::pause_by_signals];
    for pause in ways {
        goes_on(&talker);
        let before = ticks();
        until("a tick", || (ticks() > before).then_some(()));
        pause(net.host(0));
        let (counted, ticked) = (count(&talker), ticks());
        let moved = within(Duration::from_millis(400), || {
            (count(&talker) != counted || ticks() != ticked).then_some(())
        });
        assert_eq!(moved, None);
        net.host(0).resume();
        goes_on(&talker);
        until("a tick", || (ticks() > ticked).then_some(()));
    }
    // A plug can be pulled of a host that is paused.
    net.host(0).pause();
    net.host(0).power_off();
    net.host(1).pause_by_signals();
    net.host(1).power_off();
}

#[test]
fn power_off_ends_all_at_once_and_on_again_is_another_boot() {
    let Some(mut net) = Net::of_hosts("a host that is switched off", 2) else { return };
    let (_listener, talker) = talk(&net);
    let script =
        "trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; echo up > up; while :; do sleep 1; done' & wait";
    let stubborn = net.host(1).sh(script).start();
    let up = net.host(1).outside(net.host(1).own().join("up"));
    until("the one that left its session", || fs::read_to_string(&up).ok().filter(|text| text == "up\n"));
    let boot_id = |net: &Net| net.host(1).ask("cat").arg("/proc/sys/kernel/random/boot_id").run().out;
    let before = boot_id(&net);
    let all = net.host(1).processes();
    assert!(all.len() >= 4, "{all:?}");
    net.host(1).power_off();
    assert!(!all.iter().any(process::Process::lives));
    assert_eq!(stubborn.finish().code, 137);
    // Nobody tells the other side.
    stands_still(&talker);
    assert!(net.host(0).ask("cat").arg("/etc/hosts").run().out.contains("10.77.0.2\tn2"));
    net.power_on(1);
    assert_ne!(boot_id(&net), before);
    assert!(net.host(1).processes().is_empty());
    assert_eq!(net.host(1).ask("cat").arg("up").run().ends_with(0).out, "up\n", "the disk stays");
    // The new one knows nothing of the old connection, and says so.
    assert_eq!(talker.finish().code, 3);
    let (_listener, _talker) = talk(&net);
}

#[test]
fn a_small_disk_gets_full_and_its_host_alone() {
    let options = [Options { disk_bytes: Some(1 << 20), ..Options::default() }, Options::default()];
    let Some(net) = Net::of("a host whose disk is full", &options) else { return };
    let fill = "head -c 4000000 /dev/zero > big";
    let ended = net.host(0).sh(fill).run();
    assert!(ended.code != 0 && ended.err.contains("No space left"), "{ended:?}");
    net.host(0).sh("rm big; head -c 500000 /dev/zero > small").run().ends_with(0);
    net.host(1).sh(fill).run().ends_with(0);
}

#[test]
fn what_init_is_asked_and_how_it_ends() {
    let Some(net) = Net::of_hosts("commands in a host", 1) else { return };
    let host = net.host(0);
    assert_eq!(host.sh("echo out; echo err >&2; exit 7").run().code, 7);
    assert_eq!(host.sh("kill -9 $$").run().code, 137);
    assert!(host.ask("/nonexistent/program").try_start().is_err());
    let cat = host.ask("cat").stdin("/proc/sys/kernel/hostname").run().ends_with(0);
    assert_eq!(cat.out, "n1\n");
    let sleeper = host.sh("echo here; exec sleep 1000").env("NAME", "value").dir("/").start();
    sleeper.prints("here");
    let pid = sleeper.pid().unwrap();
    until("the exec", || (process::Process::of(pid)?.name == "sleep").then_some(()));
    until("its environment", || {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
        environ.split(|byte| *byte == 0).any(|variable| variable == b"NAME=value").then_some(())
    });
    assert_eq!(host.called("sleep").len(), 1);
    sleeper.signal(Signal::SIGTERM);
    assert_eq!(sleeper.finish().code, 143);
    // Orphans fall to init, which reaps them: no zombies are left.
    host.sh("for i in 1 2 3 4 5; do (sh -c 'exit 3' & exit 0) & done; exit 0").run().ends_with(0);
    until("no zombies", || {
        let init = host.init();
        process::all().iter().all(|process| process.parent != init).then_some(())
    });
    host.nothing_runs(&[]);
}

#[test]
fn two_hosts_on_cpus_of_their_own() {
    let allowed = dc_integration::shown::allowed();
    let [first, second, ..] = allowed[..] else {
        eprintln!("skipped: two hosts on CPUs of their own: there is one CPU");
        return;
    };
    let one = |cpu: u32| Options { cpus: vec![cpu], ..Options::default() };
    let Some(net) = Net::of("two hosts on CPUs of their own", &[one(first), one(second)]) else { return };
    let ask = |host: &dc_integration::hosts::Host| host.sh("sleep 1000 & echo up; wait").start();
    let both = [ask(net.host(0)), ask(net.host(1))];
    both.iter().for_each(|inside| drop(inside.prints("up")));
    for (host, cpu) in net.hosts().iter().zip([first, second]) {
        let found = host.processes();
        assert!(!found.is_empty());
        for process in found {
            assert_eq!(cpus_of(process.pid), Some(BTreeSet::from([cpu])));
        }
    }
    let of = |host: usize| net.host(host).one_called("sleep").pid;
    assert_eq!(overlap(&[of(0), of(1)]), None);
    assert!(overlap(&[of(0), of(0)]).is_some());
}

/// What a killed run of tests could leave: processes, links, mounts, control groups, directories.
#[derive(PartialEq, Eq, Debug)]
struct Left {
    links: usize,
    mounts: BTreeSet<String>,
    names: usize,
}

fn left() -> Left {
    let lines = |path: &str| fs::read_to_string(path).unwrap();
    let of_hosts = |line: &&str| line.contains("dc-net-") || line.contains("dc-host-");
    Left {
        links: lines("/proc/net/dev").lines().count(),
        mounts: lines("/proc/self/mounts").lines().filter(of_hosts).map(str::to_owned).collect(),
        names: fs::read_dir("/run/netns").map_or(0, |entries| entries.count()),
    }
}

/// Not a test of its own: what the next one kills. Two hosts, and a process that left its session; then it stays.
#[test]
fn stays_until_it_is_killed() {
    if std::env::var_os("DC_HOSTS_STAY").is_none() {
        return;
    }
    let Some(net) = Net::of_hosts("", 2) else { return };
    let (_listener, _talker) = talk(&net);
    net.host(0).sh("setsid sleep 1000 & exit 0").run().ends_with(0);
    net.host(1).pause();
    let pids: Vec<String> = net.hosts().iter().map(|host| host.init().to_string()).collect();
    println!("pids {} {}", pids.join(" "), net.path().display());
    match std::env::var("DC_HOSTS_STAY").unwrap().as_str() {
        "panic" => panic!("as it was told"),
        _ => loop {
            std::thread::park();
        },
    }
}

#[test]
fn nothing_is_left_of_a_test_that_was_killed_or_panicked() {
    if let Some(why) = dc_integration::hosts::what_is_missing() {
        eprintln!("skipped: what a killed test leaves: {why}");
        return;
    }
    let before = left();
    for way in ["killed", "panic"] {
        let mut stays = Command::new(std::env::current_exe().unwrap());
        stays.args(["--exact", "stays_until_it_is_killed", "--nocapture"]);
        stays.env("DC_HOSTS_STAY", way).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut stays = stays.spawn().unwrap();
        let said = dc_integration::stream::Stream::collect(stays.stdout.take().unwrap());
        let errors = dc_integration::stream::Stream::collect(stays.stderr.take().unwrap());
        let line = said.line("pids ").unwrap_or_else(|| panic!("{} {}", said.text(), errors.text()));
        let words: Vec<_> = line.split_whitespace().skip_while(|word| *word != "pids").skip(1).collect();
        let inits: Vec<i32> = words[..2].iter().map(|word| word.parse().unwrap()).collect();
        let base = PathBuf::from(words[2]);
        // All that belongs to it: the holders, which are its children, and all below them.
        let mut family = process::all();
        let pid = stays.id() as i32;
        let mut ours = BTreeSet::from([pid]);
        for _ in 0..8 {
            ours.extend(
                family.iter().filter(|p| ours.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>(),
            );
        }
        family.retain(|process| process.pid != pid && ours.contains(&process.pid));
        if way == "killed" {
            assert!(inits.iter().all(|init| ours.contains(init)), "{inits:?} {ours:?}");
            assert!(family.len() >= 8, "{family:?}");
            stays.kill().unwrap();
        }
        stays.wait().unwrap();
        until("the end of all processes", || (!family.iter().any(process::Process::lives)).then_some(()));
        until("the end of the directory", || (!base.exists()).then_some(()));
        assert_eq!(left(), before);
    }
    let groups = |top: &str| {
        let entries = fs::read_dir(top).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("dc-host-"))
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let pid = name.split('-').nth(2).and_then(|pid| pid.parse().ok());
                !pid.is_some_and(process::lives)
            })
            .count()
    };
    for top in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/pids"] {
        let groups = || (groups(top) == 0).then_some(());
        until("the end of the control groups", groups);
    }
}
