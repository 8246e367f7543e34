//! A starter's first message.

use crate::{Manner, OPENMP};
use dc_model::pattern::Pattern;
use dc_model::wire::{Hello, OpenMp, Sink, Source, StreamPlan};
use dc_spool::job::{DomainKind, JobRecord, OutputTo, StreamOptions};
use dcsched_core::place::Bind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The first message to a starter of this job, whose directory there is `spool`. It is neither the job's first starter
/// (`streams.fresh`), nor does it have limits to set that it has not itself (`limits`): the caller says where that is
/// otherwise.
#[must_use]
pub fn hello(record: &JobRecord, spool: &Path, manner: &Manner) -> Hello {
    let mut env = record.env.clone();
    let mut set = |name: &str, value: &[u8]| env.push([name.as_bytes(), b"=", value].concat());
    set("DC_JOB_NAME", record.name.as_bytes());
    set("DC_SUBTASKS_TOTAL", record.subtasks.len().to_string().as_bytes());
    if let Some(domain) = &record.domain {
        set("DC_DOMAIN", domain.file.path.as_os_str().as_bytes());
        let kind = if domain.kind == DomainKind::Mask { "mask" } else { "weights" };
        set("DC_DOMAIN_KIND", kind.as_bytes());
        set("DC_GRID", format!("{} {}", domain.nx, domain.ny).as_bytes());
    }
    let (stdout, stderr) = sinks(&record.options.streams);
    Hello {
        job: record.uuid,
        spool: spool.as_os_str().as_bytes().to_vec(),
        cwd: record.cwd.as_os_str().as_bytes().to_vec(),
        program: record.kernel.path.as_os_str().as_bytes().to_vec(),
        argv: record.argv.clone(),
        env,
        ranks: record.options.ranks,
        grace_ms: manner.grace_ms,
        openmp: match &record.options.bind {
            _ if !manner.openmp => OpenMp::Untold,
            Some(Bind::Numa | Bind::Socket) => OpenMp::OnePlace,
            _ => OpenMp::Places,
        },
        streams: StreamPlan {
            stdout,
            stderr,
            stdin: manner.stdin.clone(),
            unbuffered: manner.unbuffered,
            label: manner.label,
            lanes_are_subtasks: record.options.ranks == record.subtasks.len(),
            fresh: false,
            name: record.name.as_bytes().to_vec(),
            user: manner.user.clone(),
        },
        limits: None,
    }
}

/// Where standard output and standard error go.
fn sinks(asked: &StreamOptions) -> (Sink, Sink) {
    let sink = |to: &Option<OutputTo>| match to {
        None => Sink::Dcrun,
        Some(OutputTo::Nowhere) => Sink::Null,
        Some(OutputTo::File(pattern)) => Sink::File(pattern.clone()),
    };
    let stdout = if asked.result_stdout { Sink::Result } else { sink(&asked.stdout) };
    (stdout, sink(&asked.stderr))
}

/// Whether a file's pattern asks for the user's name, which may have to come from afar.
#[must_use]
pub fn wants_user(record: &JobRecord, stdin: &Source) -> bool {
    let (stdout, stderr) = sinks(&record.options.streams);
    let outputs = [&stdout, &stderr].into_iter().filter_map(|sink| match sink {
        Sink::File(pattern) => Some(pattern),
        _ => None,
    });
    let input = match stdin {
        Source::File(pattern) => Some(pattern),
        _ => None,
    };
    outputs.chain(input).filter_map(|text| Pattern::parse(text).ok()).any(|pattern| pattern.has_user())
}

/// Whether the environment a job was started with leaves OpenMP to dc.
#[must_use]
pub fn leaves_openmp(record: &JobRecord) -> bool {
    let sets = |var: &[u8]| OPENMP.iter().any(|name| var.starts_with(&[name.as_bytes(), b"="].concat()));
    !record.env.iter().any(|var| sets(var))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::record;

    #[test]
    fn all_that_a_starter_wants_to_know() {
        let job = record();
        let manner = Manner { grace_ms: 7, openmp: true, label: true, ..Manner::default() };
        let hello = hello(&job, Path::new("/s"), &manner);
        assert_eq!((hello.spool.as_slice(), hello.cwd.as_slice()), (&b"/s"[..], &b"/w"[..]));
        assert_eq!((hello.grace_ms, hello.openmp, hello.ranks), (7, OpenMp::Places, 2));
        assert!(hello.env.contains(&b"A=b".to_vec()) && hello.env.contains(&b"DC_SUBTASKS_TOTAL=3".to_vec()));
        assert!(hello.streams.label && !hello.streams.fresh && !hello.streams.lanes_are_subtasks);
        assert_eq!(hello.limits, None);
    }

    #[test]
    fn openmp_is_the_users_where_one_variable_is_set() {
        let mut job = record();
        assert!(leaves_openmp(&job));
        job.env.push(b"OMP_PLACES=threads".to_vec());
        assert!(!leaves_openmp(&job));
    }

    #[test]
    fn the_user_is_asked_for_only_by_a_pattern() {
        let mut job = record();
        assert!(!wants_user(&job, &Source::Null));
        assert!(wants_user(&job, &Source::File(b"in-%u".to_vec())));
        job.options.streams.stdout = Some(OutputTo::File(b"out-%u".to_vec()));
        assert!(wants_user(&job, &Source::Null));
        // Not a file's any more.
        job.options.streams.result_stdout = true;
        assert!(!wants_user(&job, &Source::Null));
    }
}
