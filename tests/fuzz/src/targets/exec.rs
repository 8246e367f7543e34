//! What dc-exec reads as root: requests, and its configuration. And what dcd reads of it: replies.

use dc_exec::{Config, REPLY_BYTES, Refused, Reply, Request, Said, Stage, Verb};

/// One meaning has one spelling, and a name never leads out of its directory.
pub fn request(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(request.encode(), data);
        let bad = |part: &str| part.is_empty() || part.starts_with('.');
        assert!(request.name.is_empty() || !request.name.split('/').any(bad));
        assert_eq!(request.name.is_empty(), request.verb != Verb::Open);
        assert_eq!(request.job_text().len(), 36);
    }
    if let Ok(reply) = Reply::decode(data) {
        assert_eq!(reply.encode(), data);
    }
}

/// One of each verb, and replies.
pub fn requests() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = Verb::ALL
        .into_iter()
        .map(|verb| {
            let mut request = Request::new(verb, 1234, [7; 16]);
            match verb {
                Verb::Start => (request.digest, request.first_lease_ms) = ([9; 32], 60_000),
                Verb::Kill | Verb::Sweep => request.signal = 9,
                Verb::Open => request.name = "ckpt/00000001/a000001-s00000000000000000002.ckpt".into(),
                Verb::Remove | Verb::Connect => {}
            }
            request.encode()
        })
        .collect();
    seeds.push(Reply::of(Said::Going).encode().to_vec());
    seeds.push(Reply::from(&Refused::rule(Stage::Account, "user 0 runs no jobs")).encode().to_vec());
    assert!(seeds.iter().all(|seed| seed.len() <= REPLY_BYTES));
    seeds
}

/// Whatever is accepted can be said again, and never lets root in.
pub fn config(data: &[u8]) {
    match Config::parse(data) {
        Ok(config) => {
            assert!(config.uid_min > 0 && config.starter.is_absolute() && config.jobs.is_absolute());
            let up = |path: &std::path::Path| path.components().any(|part| part.as_os_str() == "..");
            assert!(!up(&config.starter) && !up(&config.jobs));
            // A line more that is unknown is never passed over.
            let more = [data, b"nosuchkey = 1\n"].concat();
            assert!(Config::parse(&more).is_err());
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}

/// One of every key.
pub fn configs() -> Vec<Vec<u8>> {
    let least = "caller = dc\nstarter = /a/s\njobs = /a/jobs\n";
    let more = "# x\n\nuid_min = 5000\nallow_users = ann 7001\nallow_groups = hpc\ndeny_users = bob\ndeny_groups = g 9\n\
        no_new_privs = no\ncgroup = /sys/fs/cgroup/dc\nlimit.memlock = unlimited\nlimit.nofile = 4096\n";
    vec![
        least.into(),
        format!("{least}{more}").into(),
        format!("{least}cgroup = none\nlimit.cpu = 0\n").into(),
    ]
}
