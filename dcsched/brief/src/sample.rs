//! A job for the tests.

use dc_model::{Distribution, JobUuid};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, JobRecord, StreamOptions, Subtasks};
use std::path::{Path, PathBuf};

/// Three subtasks of equal cost on two lanes.
pub fn record() -> JobRecord {
    JobRecord {
        uuid: JobUuid([7; 16]),
        name: "sample".to_owned(),
        kernel: FileIdentity::of_bytes(Path::new("/k"), b"kernel"),
        argv: vec![b"k".to_vec()],
        cwd: PathBuf::from("/w"),
        env: vec![b"A=b".to_vec()],
        limits: None,
        options: JobOptions {
            ranks: 2,
            cores: 1,
            restarts: 3,
            keep_going: false,
            bind: None,
            bind_verbose: false,
            distribution: Distribution::Cost,
            oversubscribe: false,
            label: false,
            keep: false,
            time_limit_ms: None,
            grace_ms: 30_000,
            mpi: None,
            merges: Vec::new(),
            streams: StreamOptions::default(),
            failure: FailurePolicy::default(),
        },
        domain: None,
        subtasks: Subtasks::plain(3, 1, 1).unwrap(),
    }
}
