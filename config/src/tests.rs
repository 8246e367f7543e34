//! The whole of a file: what it means, and its mistakes word by word (`tests/mistakes.txt`, rewritten by DC_REWRITE=1).

use crate::*;
use dc_link::Name;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn surroundings() -> Surroundings {
    Surroundings::of(|name| (name == "HOME").then(|| "/home/ann".into()))
}

fn parse_at(path: &str, text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new(path), text.as_bytes(), &surroundings())
}

fn parse(text: &str) -> Config {
    parse_at("/p/dc.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Cases of a title, a file, and what is said of it: `=== title`, the file, `---`, the messages.
#[test]
fn mistakes_are_told_word_by_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes.txt");
    let golden = std::fs::read_to_string(&path).unwrap();
    let (head, cases) = golden.split_once("=== ").unwrap();
    let mut out = head.to_owned();
    for case in cases.split("\n=== ") {
        let (title, rest) = case.split_once('\n').unwrap();
        let (file, _) = rest.split_once("---\n").unwrap_or((rest, ""));
        let said = match parse_at("dc.toml", file) {
            Ok(_) => "nothing is wrong".to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = write!(out, "=== {title}\n{file}---\n{said}\n\n");
    }
    let out = out.trim_end().to_owned() + "\n";
    if std::env::var_os("DC_REWRITE").is_some() {
        std::fs::write(&path, out).unwrap();
    } else {
        assert!(out == golden, "{}: DC_REWRITE=1 writes what is said now:\n{out}", path.display());
    }
}

#[test]
fn without_a_file_all_has_a_default() {
    let config = Config::default_for(&surroundings());
    assert!(!config.has_scheduler && config.file.is_none());
    assert_eq!(config.scheduler.state, Path::new("/home/ann/.local/state/dc/scheduler"));
    assert_eq!(config.scheduler.socket, Path::new("/home/ann/.local/state/dc/scheduler/socket"));
    assert_eq!(config.scheduler.lease, Duration::from_secs(60));
    assert_eq!(config.client.key, Path::new("/home/ann/.local/state/dc/client/key"));
    assert_eq!(config.client.schedulers, [Place::Unix(config.scheduler.socket.clone())]);
    let node = config.node(&name("n1"), "host").unwrap();
    assert_eq!(node.state, Path::new("/home/ann/.local/state/dc/node-n1"));
    assert_eq!(node.spool, Path::new("/home/ann/.local/state/dc/node-n1/jobs"));
    assert_eq!((node.scheduler, node.told_host), (config.client.schedulers[0].clone(), "host".to_owned()));
    assert!(config.entries.iter().all(|entry| entry.line.is_none()));
    // Nothing is left to guess for a process without a home.
    let homeless = Config::default_for(&Surroundings::default());
    assert_eq!(homeless.scheduler.socket, Path::new("/run/dc/socket"));
}

#[test]
fn the_systems_file_has_the_systems_directories() {
    let config = parse_at(SYSTEM_FILE, "[scheduler]\n").unwrap();
    assert_eq!(config.scheduler.state, Path::new("/var/lib/dc/scheduler"));
    assert_eq!(config.scheduler.socket, Path::new("/run/dc/socket"));
    assert_eq!(config.node(&name("n1"), "h").unwrap().state, Path::new("/var/lib/dc/node"));
    assert_eq!(config.client.key, Path::new("/home/ann/.local/state/dc/client/key"), "each user's own");
}

const FULL: &str = r#"
[cluster]
name = "ocean"
[scheduler]
listen = "*:7700"
address = "head:7700"
state = "sched"
lease = "1500ms"
jobs_max = 1_000
submit_bytes_max = "1M"
ended_jobs_keep = "0s"
users = "everyone"
[node]
listen = "*:7701"
address = "%n.cluster"
state = "/scratch/dc/%n"
cpus = "0-3"
memory = "8G"
[[nodes]]
name = "n[1-2]"
speed = 2.5
memory = "all"
partner = "n3"
[[nodes]]
name = "n3"
topology = "synthetic: pack:2 core:4 pu:1"
kill = "cgroup2"
address = "[fd00::3]:9"
scheduler = "./s"
[checkpoints]
keep = "shared"
shared_dir = "/shared/ck"
[streams]
buffer = "1M"
relay = "head:7702"
[client]
connect_timeout = "3s"
"#;

#[test]
fn a_full_file() {
    let config = parse(FULL);
    assert!(config.has_scheduler);
    assert_eq!(config.scheduler.state, Path::new("/p/sched"));
    assert_eq!(config.scheduler.peers, Path::new("/p/sched/peers"));
    assert_eq!(config.scheduler.lease, Duration::from_millis(1500));
    assert_eq!((config.scheduler.jobs_max, config.scheduler.submit_bytes_max), (1000, 1 << 20));
    assert_eq!(config.scheduler.users, Users::Everyone);
    assert_eq!(config.client.schedulers.len(), 2);
    assert_eq!(config.checkpoints.shared_dir, Some(PathBuf::from("/shared/ck")));
    let n1 = config.node(&name("n1"), "host1").unwrap();
    assert_eq!((n1.speed_permille, n1.memory_bytes, &n1.partner), (2500, None, &Partner::Named(name("n3"))));
    assert_eq!((n1.told_host.as_str(), n1.told_port), ("n1.cluster", None));
    assert_eq!(n1.state, Path::new("/scratch/dc/n1"));
    assert_eq!(n1.key, Path::new("/scratch/dc/n1/key"));
    assert_eq!(n1.cpus.as_ref().map(ToString::to_string).as_deref(), Some("0-3"));
    assert_eq!(n1.scheduler.to_string(), "head:7700");
    let n3 = config.node(&name("n3"), "host3").unwrap();
    assert_eq!(n3.topology, Topology::Synthetic("pack:2 core:4 pu:1".to_owned()));
    assert_eq!((n3.told_host.as_str(), n3.told_port), ("fd00::3", Some(9)));
    assert_eq!(n3.scheduler, Place::Unix("/p/s".into()));
    assert_eq!((n3.kill, n3.memory_bytes), (Kill::Cgroup2, Some(8 << 30)));
    // A node that the file does not name has the defaults.
    let other = config.node(&name("x"), "hx").unwrap();
    assert_eq!((other.speed_permille, other.told_host.as_str()), (0, "x.cluster"));
    assert_eq!(config.node_names().map(Name::as_str).collect::<Vec<_>>(), ["n1", "n2", "n3"]);
}

/// What is shown of a file is a file that means the same.
#[test]
fn what_is_shown_can_be_read() {
    let config = parse(FULL);
    let text = config.written(None);
    let again = parse(&text);
    assert_eq!(again.entries, config.entries);
    assert_eq!((&again.scheduler, &again.streams), (&config.scheduler, &config.streams));
    assert_eq!(again.checkpoints, config.checkpoints);
    assert!(
        text.contains("lease = \"1500ms\" # line 8\n") && text.contains("# [[nodes]]: 3 named: n1, n2, n3\n"),
        "{text}"
    );
    assert!(text.contains("client_lost = \"1m\" # default\n"), "{text}");
    // Of a node: what it does, wherever that is said.
    let node = config.node(&name("n1"), "h").unwrap();
    let text = config.written(Some(&node));
    assert!(text.contains("[[nodes]]\nname = \"n1\"\n") && text.contains("speed = 2.5\n"), "{text}");
    assert_eq!(parse(&text).node(&name("n1"), "h").unwrap().entries, node.entries);
}

#[test]
fn every_key_is_read_and_its_default_accepted() {
    for key in keys::ALL {
        let default = key.default();
        let (table, name) = (key.table(), key.name());
        // A default in words: some value of its kind.
        let value = match name {
            _ if default.starts_with('"') || default.parse::<f64>().is_ok() => {
                default.split(';').next().unwrap()
            }
            "listen" => "\"*:1\"",
            _ => "\"h:1\"",
        };
        let more = if (table, name) == ("scheduler", "listen") { "address = \"h:1\"\n" } else { "" };
        let text = format!("[{table}]\n{more}{name} = {value}\n");
        let config = parse(&text);
        let entry = config.entries.iter().find(|entry| entry.name() == format!("{table}.{name}"));
        assert!(entry.is_some(), "{table}.{name} is in the list and is not read");
        let wrong = format!("[{table}]\n{more}{name} = [1]\n");
        assert!(
            parse_at("/p", &wrong).unwrap_err().to_string().contains(&format!("{table}.{name}: wanted")),
            "{wrong}"
        );
        if table == "node" {
            parse(&text.replace("[node]", "[[nodes]]\nname = \"a\""));
        }
    }
}

#[test]
fn a_reload_says_what_it_may_change() {
    let old = parse(FULL);
    assert!(diff(&old, &parse(FULL)).is_empty());
    let new = FULL
        .replace("lease = \"1500ms\"", "lease = \"2s\"\nclient_lost=\"60s\"")
        .replace("users = \"everyone\"", "users = \"own\"")
        .replace("speed = 2.5", "speed = 2.0")
        .replace("cpus = \"0-3\"", "cpus = \"0-7\"")
        .replace("kill = \"cgroup2\"", "memory = \"1G\"");
    let new = parse(&new);
    let changed = diff(&old, &new);
    assert_eq!(changed.live, ["scheduler.lease", "nodes.n1.speed", "nodes.n2.speed", "nodes.n3.memory"]);
    assert_eq!(changed.restart, ["node.cpus", "scheduler.users", "nodes.n3.kill"]);
    // What a node itself sees of it.
    let node = |config: &Config| config.node(&name("n3"), "h").unwrap().entries;
    let seen = Diff::of(&node(&old), &node(&new));
    assert_eq!(
        (seen.live, seen.restart),
        (vec!["node.memory".to_owned()], vec!["node.cpus".into(), "node.kill".into()])
    );
}

#[test]
fn the_file_is_looked_for_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let of = |named: Option<&Path>| Surroundings {
        config_home: Some(home.clone()),
        state_home: None,
        named: named.map(Path::to_owned),
    };
    let file = home.join("dc/dc.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let none = find(&of(None)).unwrap();
    assert!(none.is_none() || none.as_deref() == Some(Path::new(SYSTEM_FILE)), "{none:?}");
    std::fs::write(&file, "[scheduler]\nlease = \"9s\"\n").unwrap();
    assert_eq!(find(&of(None)).unwrap(), Some(file.clone()));
    assert_eq!(load(&of(None)).unwrap().scheduler.lease, Duration::from_secs(9));
    // One that was named is used or missed, and no other.
    let missing = dir.path().join("missing");
    let error = load(&of(Some(&missing))).unwrap_err().to_string();
    assert!(error.contains("missing: ") && error.contains("No such file"), "{error}");
    assert!(load(&of(Some(dir.path()))).unwrap_err().to_string().contains("no regular file"));
    // One that anybody could have written is not believed.
    let mut mode = std::fs::metadata(&file).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o666);
    std::fs::set_permissions(&file, mode).unwrap();
    assert!(find(&of(None)).unwrap_err().to_string().contains("chmod o-w"));
}

#[test]
fn long_files_are_not_read() {
    let long = vec![b'#'; FILE_BYTES_MAX as usize + 1];
    let error = Config::parse(Path::new("/p"), &long, &surroundings()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }));
    // Of many mistakes the first are told, and how many more there are.
    let many = parse_at(
        "/p",
        &format!("[scheduler]\n{}", (0..1000).map(|i| format!("x{i} = 1\n")).collect::<String>()),
    );
    let told = many.unwrap_err().to_string();
    assert_eq!(told.lines().count(), 21);
    assert!(told.contains("and 180 more"), "{told}");
}
