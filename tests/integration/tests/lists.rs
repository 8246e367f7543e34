//! dcinfo, dcqueue, dccancel, dcctl against a dcsched and two dcds of one user on this host; and dc.toml read again
//! in the middle of a job.

#![allow(clippy::unwrap_used)] // A test: what cannot be unwrapped fails it.

use dc_integration::{built, root, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A cluster of one user, without a network.
struct Small {
    dir: TempDir,
    daemons: Vec<Child>,
}

impl Small {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("dc-test-").tempdir().unwrap();
        let mut small = Self { dir, daemons: Vec::new() };
        small.configure("lease = \"6s\"");
        small.spawn("dcsched", &[]);
        until("dcsched's answer", || small.run("dcctl", &["ping"]).status.success().then_some(()));
        for name in ["n1", "n2"] {
            small.spawn("dcd", &["--name", name]);
        }
        until("two nodes", || (small.rows("dcinfo", &["-t", "up"], "nodes").len() == 2).then_some(()));
        small
    }

    fn configure(&self, scheduler: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "[scheduler]\nstate = \"{dir}/scheduler\"\nsocket = \"{dir}/socket\"\n{scheduler}\n\
             [node]\nstate = \"{dir}/node-%n\"\ntopology = \"synthetic:package:1 core:2 pu:1\"\n"
        );
        fs::write(self.path("dc.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(built(name));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DC_")) {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("DC_CONFIG", self.path("dc.toml")).env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn spawn(&mut self, name: &str, args: &[&str]) {
        let log = fs::File::create(self.path(&format!("{name}{}.log", args.concat()))).unwrap();
        self.daemons.push(self.command(name, args).stderr(log).spawn().unwrap());
    }

    fn run(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap()
    }

    /// Its status, and what it said on both ways.
    fn said(&self, name: &str, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.run(name, args);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn rows(&self, name: &str, args: &[&str], what: &str) -> Vec<Value> {
        let (status, out, err) = self.said(name, &[args, &["--json"]].concat());
        assert_eq!((status, err.as_str()), (0, ""), "{name} {args:?}: {out}");
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["v"], 1);
        document[what].as_array().unwrap().clone()
    }

    /// A job of `count` subtasks, as its command and its number; it ends when there is a file `go`.
    fn job(&self, name: &str, count: u32) -> (Child, String) {
        let list: String = (1..=count).map(|n| format!("s{n} {}\n", n * 100)).collect();
        fs::write(self.path("subtasks"), list).unwrap();
        let kernel = "while [ ! -e go ]; do sleep 0.05; done";
        let args = ["-n", "2", "-J", name, "--subtasks", "subtasks", "--", "sh", "-c", kernel];
        let log = fs::File::create(self.path(name)).unwrap();
        let child = self.command("dcrun", &args).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let id = until("the job", || {
            let rows = self.rows("dcqueue", &["-a", "-n", name], "jobs");
            rows.first().map(|row| row["id"].to_string())
        });
        (child, id)
    }

    /// Waits until two ranks of a job compute; their subtasks.
    fn two_compute(&self, id: &str) -> Vec<Value> {
        until("two ranks", || {
            let rows = self.rows("dcqueue", &["-s", id, "-t", "computing"], "subtasks");
            (rows.len() == 2).then_some(rows)
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("dcsched.log")).unwrap()
    }

    fn pids(&self) -> Vec<Pid> {
        self.daemons.iter().map(|daemon| Pid::from_raw(daemon.id() as i32)).collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What runs ends with its job.
        let _ = fs::write(self.path("go"), "");
        let _ = self.run("dccancel", &["--me"]);
        let is_idle = || {
            let nodes = self.run("dcinfo", &["-h", "-o", "ranks"]).stdout;
            String::from_utf8_lossy(&nodes).split_whitespace().all(|ranks| ranks == "0").then_some(())
        };
        dc_integration::wait::within(dc_integration::DEADLINE, is_idle);
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The words after `Cm` in the section JSON of a page that are not in `others`.
fn names_in_page(page: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("man").join(page)).unwrap();
    let lines = text.lines().skip_while(|line| *line != ".Sh JSON").skip(1);
    let lines = lines.take_while(|line| !line.starts_with(".Sh "));
    let macros = lines.filter_map(|line| line.strip_prefix(".Cm "));
    macros.flat_map(str::split_whitespace).filter(|word| word.len() > 1).map(str::to_owned).collect()
}

fn keys(rows: &[Value]) -> BTreeSet<String> {
    rows[0].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn nodes_jobs_and_subtasks_as_they_are() {
    let small = Small::start();
    let (mut job, _) = small.job("first", 6);
    let running = small.two_compute("1");
    for row in &running {
        assert!(row["node"].as_str().unwrap().starts_with('n') && row["rank"].is_u64(), "{row}");
        assert!(row["started"].as_str().unwrap().ends_with('Z') && row["cells_done"] == 0, "{row}");
    }
    // The longest go first.
    let cells: BTreeSet<u64> = running.iter().map(|row| row["cells"].as_u64().unwrap()).collect();
    assert_eq!(cells, BTreeSet::from([500, 600]));

    let jobs = small.rows("dcqueue", &["--me"], "jobs");
    assert_eq!(
        (&jobs[0]["name"], &jobs[0]["state"], &jobs[0]["cells"]),
        (&"first".into(), &"running".into(), &2100.into())
    );
    let (status, out, err) = small.said("dcqueue", &["-h", "-o", "id,name,state,ranks,cells,subtasks"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "1  first  running  2  0/2100  0/6\n", ""));
    // Ranks are told with heartbeats.
    let nodes = until("ranks of nodes", || {
        let nodes = small.rows("dcinfo", &[], "nodes");
        let sum = |key: &str| nodes.iter().map(|node| node[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("cores"), sum("cores_used")), (4, 2));
        (sum("ranks") == 2).then_some(nodes)
    });
    let (_, out, _) = small.said("dcinfo", &[]);
    assert!(out.starts_with("NAME  STATE  ADDRESS"), "{out}");
    assert!(out.ends_with("2 nodes: 2 up; 2 of 4 cores used, 2 ranks run\n"), "{out}");

    let (status, out, err) = small.said("dcqueue", &["-s", "77"]);
    assert!(status == 1 && out.ends_with("0 subtasks\n") && err.contains("77"), "{out}{err}");

    // The pages name what the documents have, and nothing else.
    assert_eq!(names_in_page("dcinfo.1"), &keys(&nodes) | &BTreeSet::from(["nodes".to_owned()]));
    let lists = BTreeSet::from(["jobs".to_owned(), "subtasks".to_owned()]);
    assert_eq!(names_in_page("dcqueue.1"), &(&keys(&jobs) | &keys(&running)) | &lists);

    fs::write(small.path("go"), "").unwrap();
    assert!(job.wait().unwrap().success());
    assert!(small.rows("dcqueue", &[], "jobs").is_empty());
    let ended = small.rows("dcqueue", &["-t", "all"], "jobs");
    assert_eq!((&ended[0]["state"], &ended[0]["status"]), (&"completed".into(), &0.into()));
    assert!(
        ended == small.rows("dcqueue", &["-j", "1"], "jobs") && ended[0]["cells_done"] == 2100,
        "{ended:?}"
    );
    let done: u64 =
        small.rows("dcinfo", &[], "nodes").iter().map(|node| node["subtasks_done"].as_u64().unwrap()).sum();
    assert_eq!(done, 6);
    assert!(small.rows("dcqueue", &["-u", "4294967294", "-a"], "jobs").is_empty());
}

#[test]
fn jobs_are_cancelled_and_signalled() {
    let small = Small::start();
    let (mut one, first) = small.job("one", 2);
    let (mut two, second) = small.job("two", 2);
    assert_eq!((first.as_str(), second.as_str()), ("1", "2"));
    small.two_compute("1");
    small.two_compute("2");
    let (status, out, err) = small.said("dccancel", &["99", "1"]);
    assert_eq!((status, out.as_str()), (1, "job 1 is being stopped\n"));
    assert_eq!(err, "dccancel: there is no job 99\n");
    assert_eq!(one.wait().unwrap().code(), Some(143));
    let (status, out, err) = small.said("dccancel", &["1"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert_eq!(err, "dccancel: job 1 has ended already, with status 143\n");
    assert_eq!(small.rows("dcqueue", &["-t", "cancelled"], "jobs").len(), 1);

    // A signal lets the job go on: this one is ignored by nobody, and what it ends is tried again.
    let (status, out, err) = small.said("dccancel", &["-s", "USR1", "2"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("signal 10 is sent to job 2 on "), "{out}");
    until("second attempts", || {
        let rows = small.rows("dcqueue", &["-s", "2", "-t", "computing"], "subtasks");
        (rows.len() == 2 && rows.iter().all(|row| row["attempt"] == 2)).then_some(())
    });
    assert_eq!(small.said("dccancel", &["-s", "NONE", "2"]).0, 125);
    assert_eq!(small.said("dccancel", &[]).0, 125);
    let (status, _, err) = small.said("dccancel", &["-n", "three"]);
    assert_eq!((status, err.as_str()), (1, "dccancel: no job is such: nothing was done\n"));
    assert_eq!(small.said("dccancel", &["--me"]), (0, "job 2 is being stopped\n".into(), String::new()));
    assert_eq!(two.wait().unwrap().code(), Some(143));
}

#[test]
fn nodes_are_drained_and_explained() {
    let small = Small::start();
    assert_eq!(small.said("dcctl", &["drain", "n[1-2],n9"]).0, 1);
    assert_eq!(small.rows("dcinfo", &["-t", "up"], "nodes").len(), 2, "nothing was changed");
    let drained = small.said("dcctl", &["drain", "n[1-2]", "--reason", "a new\u{1b}[2J disk"]);
    assert_eq!(drained, (0, "nothing new starts on n1 n2\n".into(), String::new()));
    let nodes = small.rows("dcinfo", &["-t", "drained"], "nodes");
    assert_eq!((nodes.len(), &nodes[0]["reason"]), (2, &"a new [2J disk".into()));
    let (mut job, _) = small.job("waits", 2);
    until("a job that waits", || {
        small.rows("dcqueue", &["-t", "waiting"], "jobs").iter().any(|job| job["reason"] != "").then_some(())
    });
    let (status, out, _) = small.said("dcctl", &["explain", "1"]);
    assert!(status == 0 && out.contains("no node is up"), "{out}");
    let (status, out, err) = small.said("dcctl", &["explain", "n1", "n9"]);
    assert!(status == 1 && out.contains("n1 is drained") && err.contains("n9 is neither"), "{out}{err}");
    assert_eq!(small.said("dcctl", &["resume", "n1"]).0, 0);
    fs::write(small.path("go"), "").unwrap();
    assert!(job.wait().unwrap().success());
    let (status, out, err) = small.said("dcinfo", &["-n", "n2,n3", "-h", "-o", "name,state"]);
    assert_eq!((status, out.as_str(), err.as_str()), (1, "n2  drained\n", "dcinfo: no node is called n3\n"));
}

#[test]
fn dc_toml_is_read_again_in_the_middle_of_a_job() {
    let small = Small::start();
    let (mut job, _) = small.job("long", 4);
    small.two_compute("1");

    assert_eq!(small.said("dcctl", &["reload"]), (0, "nothing has changed\n".into(), String::new()));
    // A mistake changes nothing, and has line and column: for who asks, whose dc.toml it is too, and in the log.
    small.configure("lease = \"7s\"\nleese = 3");
    let (status, _, err) = small.said("dcctl", &["reload"]);
    assert!(status == 125 && err.contains("dc.toml:5:1: "), "{err}");
    kill(small.pids()[0], Signal::SIGHUP).unwrap();
    until("the log of it", || {
        (small.log().contains("dc.toml:5:1: ") && small.log().contains("stays as it is")).then_some(())
    });
    // Another lease: nodes register anew, and nothing that runs hears of it. The cluster's state stays where it is.
    let elsewhere = small.path("elsewhere").display().to_string();
    small.configure(&format!("lease = \"8s\"\ntokens = \"{elsewhere}\""));
    let changed =
        "changed: scheduler.lease\nchanges when dcsched is started again: scheduler.tokens\n".to_owned();
    assert_eq!(small.said("dcctl", &["reload"]), (0, changed, String::new()));
    until("both nodes again", || {
        (small.log().matches("scheduler.lease").count() == 1
            && small.rows("dcinfo", &["-t", "up"], "nodes").len() == 2)
            .then_some(())
    });
    // By signal too, of all daemons; what waits for a restart is told again.
    small.pids().into_iter().for_each(|pid| kill(pid, Signal::SIGHUP).unwrap());
    until("the signal's work", || {
        (small.log().matches("changes when dcsched is started again: scheduler.tokens").count() == 2)
            .then_some(())
    });
    let rows = small.two_compute("1");
    assert!(rows.iter().all(|row| row["attempt"] == 1), "{rows:?}");
    fs::write(small.path("go"), "").unwrap();
    assert!(job.wait().unwrap().success());
    let all = small.rows("dcqueue", &["-s", "1"], "subtasks");
    // Those that ran during the reload are still the first. With a shorter lease nodes register anew: an order that is on its
    // way to one just then is given up, and given again under the next number.
    let is_right = |row: &Value| row["state"] == "completed" && row["attempt"].as_u64() <= Some(2);
    let of_before = rows.iter().map(|row| &row["subtask"]);
    let is_first = |subtask: &Value| all.iter().any(|row| row["subtask"] == *subtask && row["attempt"] == 1);
    assert!(all.len() == 4 && all.iter().all(is_right), "{all:?}");
    assert!(of_before.into_iter().all(is_first), "{all:?}");
}

#[test]
fn without_a_scheduler_it_is_said_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dcinfo", "dcqueue"] {
        let mut command = Command::new(built(name));
        command.current_dir(dir.path()).env_clear().env("HOME", dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{text}");
        // A machine may have a dc.toml of its own; none has a scheduler there.
        assert!(text.starts_with(&format!("{name}: ")) && text.lines().count() == 1, "{text}");
        let output = command.env("DC_SCHED", dir.path().join("socket")).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{text}");
        assert!(text.contains("socket") && text.lines().count() == 1, "{text}");
    }
}
