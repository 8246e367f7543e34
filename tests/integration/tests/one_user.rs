//! A cluster of one user on one host: dcsched and two nodes at Unix sockets. The same command gives the same output and the
//! same exit status there as on this machine alone.
#![allow(missing_docs)]

use dc_integration::{Ask, Finished, Running, Scratch, built, until};
use nix::sys::signal::Signal;
use std::fs;

/// Daemons that run, and end with this.
struct Cluster {
    scratch: Scratch,
    daemons: Vec<Running>,
}

const CONFIG: &str = r#"
[cluster]
name = "test"
[scheduler]
lease = "10s"
[[nodes]]
name = "n[1-2]"
topology = "synthetic:numa:1 core:2 pu:1"
"#;

impl Cluster {
    fn start() -> Self {
        let scratch = Scratch::new();
        let config = scratch.write("dc.toml", CONFIG);
        let daemon =
            |program: &str, line: &str| scratch.ask(built(program)).env("DC_CONFIG", &config).words(line);
        let _ = daemon("dcsched", "init").run().ends_with(0);
        let mut daemons = vec![daemon("dcsched", "run").start()];
        let _ = daemons[0].says("listens at");
        daemons.extend(["n1", "n2"].map(|name| daemon("dcd", &format!("run --name {name}")).start()));
        let cluster = Self { scratch, daemons };
        until("both nodes are up", || {
            let says = cluster.dcrun("-N 2 -q -- true").run();
            (says.code() == 0).then_some(())
        });
        cluster
    }

    fn dcrun(&self, line: &str) -> Ask {
        self.scratch.dcrun("").env("DC_CONFIG", self.scratch.path("dc.toml")).words(line)
    }

    /// Runs it on the cluster and here.
    fn both(&self, line: &str, script: &str, input: Option<&[u8]>) -> [Finished; 2] {
        ["", "--local "].map(|local| {
            let ask = self.dcrun(&format!("{local}{line}")).script(script);
            match input {
                Some(input) => ask.run_with(input),
                None => ask.run(),
            }
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in self.daemons.drain(..).rev() {
            daemon.signal(Signal::SIGTERM);
            let _ = daemon.finish();
        }
    }
}

/// Lines in their order are a matter of chance; nodes have other names than this host.
fn said(finished: &Finished) -> (Vec<String>, Vec<String>) {
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let plain = |text: &str| text.replace(" on n1:", " on HOST:").replace(" on n2:", " on HOST:");
    let plain = |text: &str| plain(text).replace(&format!(" on {host}:"), " on HOST:");
    // Only this machine's job has a directory of its own here, to be gone on with.
    let is_both = |line: &&str| !line.contains("dcrun --resume");
    let mut lines: Vec<String> = finished.err().lines().filter(is_both).map(plain).collect();
    lines.sort();
    (finished.sorted(), lines)
}

#[test]
fn the_same_output_and_status_as_on_one_machine() {
    let cluster = Cluster::start();
    for (line, script, input) in [
        ("-n 4", "echo rank $DC_RANK of $DC_NTASKS; echo err $DC_RANK >&2", None),
        ("-l -n 6", "echo subtask $DC_SUBTASK attempt $DC_ATTEMPT of $DC_SUBTASKS_TOTAL", None),
        ("-n 3 --keep-going", "exit $DC_RANK", None),
        ("-n 1", "kill -9 $$", None),
        ("-n 1 --restarts 1", "test $DC_ATTEMPT = 2 || kill -9 $$; echo again", None),
        ("-n 2 -J name", "pwd; echo $DC_JOB_NAME $GIVEN; umask", None),
        ("-n 2", "cat", Some(b"one\ntwo\n".as_slice())),
        ("-n 2 -i all", "cat; echo end", Some(b"for all\n".as_slice())),
        ("-n 1 -u", "printf no-newline", None),
    ] {
        let [there, here] = cluster.both(line, script, input);
        assert_eq!(there.code(), here.code(), "{line} {script}: {}", there.err());
        assert_eq!(said(&there), said(&here), "{line} {script}");
    }
}

#[test]
fn a_flood_comes_whole() {
    let cluster = Cluster::start();
    let script = "i=0; while [ $i -lt 20000 ]; do echo \"$DC_RANK line $i of a flood\"; i=$((i+1)); done";
    let finished = cluster.dcrun("-n 4").script(script).run().ends_with(0);
    let out = finished.out();
    assert_eq!(out.lines().count(), 80_000);
    for rank in 0..4 {
        let own = out.lines().filter(|line| line.starts_with(&format!("{rank} ")));
        let wanted = (0..20_000).map(|i| format!("{rank} line {i} of a flood"));
        assert!(own.map(str::to_owned).eq(wanted), "rank {rank}: in order, nothing lost, nothing twice");
    }
}

#[test]
fn results_are_merged_as_on_one_machine() {
    let cluster = Cluster::start();
    let list: String = (0..40).map(|i| format!("s{i} {}\n", i % 7 + 1)).collect();
    cluster.scratch.write("list", list);
    let script = "echo \"subtask $DC_SUBTASK: $DC_CELLS cells\"";
    let merged = ["", "--local "].map(|local| {
        let line = format!("{local}-n 4 --subtasks list --result stdout --merge concat:merged");
        let finished = cluster.dcrun(&line).script(script).run().ends_with(0);
        assert!(finished.err().contains("results are merged into"), "{}", finished.err());
        let text = fs::read_to_string(cluster.scratch.path("merged")).unwrap();
        fs::remove_file(cluster.scratch.path("merged")).unwrap();
        text
    });
    assert_eq!(merged[0].lines().count(), 40);
    assert_eq!(merged[0], merged[1]);
    // To a command, in the order of subtasks.
    let line = "-n 4 --subtasks list --result stdout --merge exec:cksum";
    let sums = ["", "--local "]
        .map(|local| cluster.dcrun(&format!("{local}{line}")).script(script).run().ends_with(0).out());
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn files_of_output_are_written_on_the_nodes() {
    let cluster = Cluster::start();
    let _ = cluster.dcrun("-n 2 -o out-%t").script("echo $DC_RANK").run().ends_with(0);
    for rank in 0..2 {
        let text = fs::read_to_string(cluster.scratch.path(format!("out-{rank}"))).unwrap();
        assert_eq!(text, format!("{rank}\n"));
    }
}

#[test]
fn a_signal_stops_the_job_on_the_nodes() {
    let cluster = Cluster::start();
    let running = cluster.dcrun("-n 2").script("echo runs; exec sleep 1000").start();
    let _ = running.prints("runs");
    running.signal(Signal::SIGTERM);
    let finished = running.finish().ends_with(143);
    assert!(finished.err().contains("signal 15 (SIGTERM): the job is stopped"), "{}", finished.err());
}

#[test]
fn detached_and_followed_again() {
    let cluster = Cluster::start();
    let go = cluster.scratch.path("go");
    let script = format!("echo begins; while ! test -e {}; do sleep 0.05; done; echo ends", go.display());
    let id = cluster.dcrun("--detach -n 1").script(&script).run().ends_with(0).out();
    let following = cluster.dcrun("--attach").arg(id.trim()).start();
    let _ = following.prints("begins");
    fs::write(&go, "").unwrap();
    assert_eq!(following.finish().ends_with(0).out(), "begins\nends\n");
}

#[test]
fn a_scheduler_that_is_killed_harms_nobody() {
    let mut cluster = Cluster::start();
    let go = cluster.scratch.path("go");
    let script = format!("echo begins; while ! test -e {}; do sleep 0.05; done; echo ends", go.display());
    let running = cluster.dcrun("-n 3").script(&script).start();
    let _ = running.prints("begins");
    let _ = cluster.daemons.remove(0).kill();
    let config = cluster.scratch.path("dc.toml");
    let again = cluster.scratch.ask(built("dcsched")).env("DC_CONFIG", &config).words("run").start();
    let _ = again.says("listens at");
    cluster.daemons.insert(0, again);
    fs::write(&go, "").unwrap();
    let finished = running.finish().ends_with(0);
    assert_eq!(finished.sorted(), ["begins", "begins", "begins", "ends", "ends", "ends"]);
}
