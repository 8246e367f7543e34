//! The configuration: what it says, and that anything else is refused.

use super::*;

const LEAST: &str = "caller = dc\nstarter = /usr/libexec/dc/dc-starter\njobs = /var/lib/dc/node/jobs\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text.as_bytes())
}

#[test]
fn the_least_and_all_of_it() {
    let least = parse(LEAST).unwrap();
    assert_eq!((least.uid_min, least.no_new_privs, least.cgroup.clone()), (1000, true, None));
    assert_eq!((&least.allow_users, &least.deny_groups), (&None, &vec![]));
    let all = parse(&format!(
        "# dc\n\n  {LEAST}uid_min = 5000\nallow_users= ann  7001\nallow_groups =hpc\ndeny_users = bob\n\
         deny_groups = guests 900\nno_new_privs = no\ncgroup = /sys/fs/cgroup/dc\n\
         limit.memlock = unlimited\nlimit.nofile = 4096\n"
    ))
    .unwrap();
    assert_eq!(all.allow_users, Some(vec![Who::Name("ann".into()), Who::Id(7001)]));
    assert_eq!(all.deny_groups, [Who::Name("guests".into()), Who::Id(900)]);
    assert_eq!(all.cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup/dc")));
    assert_eq!((all.uid_min, all.no_new_privs), (5000, false));
    let limits: Vec<_> = all.limits.iter().map(|limit| (limit.resource, limit.max)).collect();
    assert_eq!(limits, [(Resource::RLIMIT_MEMLOCK, u64::MAX), (Resource::RLIMIT_NOFILE, 4096)]);
    assert_eq!(parse(&format!("{LEAST}cgroup = none\n")).unwrap(), least);
}

#[test]
fn what_is_missing_is_named() {
    for key in ["caller", "starter", "jobs"] {
        let without: String =
            LEAST.lines().filter(|line| !line.starts_with(key)).flat_map(|l| [l, "\n"]).collect();
        let error = parse(&without).unwrap_err();
        assert_eq!((error.line, error.why), (0, format!("{key} is missing")));
    }
}

#[test]
fn whatever_else_is_refused_with_its_line() {
    let bad = [
        "color = red",
        "caller = dc",
        "Uid_min = 1000",
        "uid_min",
        "uid_min = 0",
        "uid_min = -1",
        "uid_min = 01000",
        "uid_min = 4294967296",
        "uid_min = 1000 # users",
        "no_new_privs = true",
        "no_new_privs =",
        "deny_users =",
        "deny_users = -x",
        "deny_users = a,b",
        "deny_users = a:b",
        "allow_groups = 0x10",
        "cgroup = sys/fs/cgroup",
        "cgroup = /sys/../etc",
        "cgroup = /sys/./fs",
        "cgroup = /sys//fs",
        "cgroup = /sys/fs/",
        "cgroup = /",
        "limit.nofile = many",
        "limit.nofile = 18446744073709551616",
        "limit.nice = 1",
        "deny_users = b\u{f6}b",
        "deny_users = a\tb",
    ];
    for line in bad {
        let error = parse(&format!("{LEAST}{line}\n")).expect_err(line);
        assert_eq!(error.line, 4, "{line}: {error}");
    }
    for bytes in [&b"caller = dc"[..], b"\xff\n", &vec![b'\n'; CONFIG_BYTES_MAX + 1]] {
        assert_eq!(Config::parse(bytes).unwrap_err().line, 0);
    }
}
