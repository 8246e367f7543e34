//! The payload of a job record: one section a subject. The tags and layouts are the format.

use super::binding::{self, BIND, DISTRIBUTION};
use super::failure::{LIMITS, RESTART_ON, WARNING, get_restart_on, get_warning, put_warning};
use super::memory;
use super::options::{FailurePolicy, JobOptions, MergeKind, MergeTarget};
use super::record::{DomainIdentity, DomainKind, JobRecord};
use super::section;
use super::streams::StreamOptions;
use super::subtasks::Subtasks;
use crate::hash::{ContentHash, FileIdentity};
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Binding, Block, Distribution, JobUuid, Limits, MpiFamily, RestartOn, Subtask};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The tags of sections and their names, as `docs/spool-format.md` lists them.
pub const SECTIONS: &[(u16, &str)] = &[
    (NAME, "name"),
    (KERNEL, "kernel"),
    (ARGV, "argv"),
    (CWD, "cwd"),
    (ENV, "env"),
    (OPTIONS, "options"),
    (MERGES, "merges"),
    (DOMAIN, "domain"),
    (SUBTASKS, "subtasks"),
    (STREAMS, "streams"),
    (RESTART_ON, "restart-on"),
    (WARNING, "warning"),
    (LIMITS, "limits"),
    (MEMORY, "memory"),
    (BIND, "bind"),
    (DISTRIBUTION, "distribution"),
    (OUTPUTS, "outputs"),
    (MPI, "mpi"),
];

const NAME: u16 = 1;
const KERNEL: u16 = 2;
const ARGV: u16 = 3;
const CWD: u16 = 4;
const ENV: u16 = 5;
const OPTIONS: u16 = 6;
const MERGES: u16 = 7;
const DOMAIN: u16 = 8;
const SUBTASKS: u16 = 9;
const STREAMS: u16 = 0x10;
const MPI: u16 = 0x70;
const MEMORY: u16 = 0x30;
const OUTPUTS: u16 = 0x60;

/// Bits of a run of subtasks: what it has besides cost and cores.
const HAS_NAME: u8 = 1;
const HAS_BLOCK: u8 = 2;
const HAS_ARGS: u8 = 4;

pub(super) fn encode(job: &JobRecord) -> Vec<u8> {
    let w = &mut Writer { bytes: Vec::with_capacity(4096) };
    section::put(w, NAME, |w| w.raw(job.name.as_bytes()));
    section::put(w, KERNEL, |w| put_file(w, &job.kernel));
    section::put(w, ARGV, |w| put_list(w, &job.argv));
    section::put(w, CWD, |w| w.raw(job.cwd.as_os_str().as_bytes()));
    section::put(w, ENV, |w| put_list(w, &job.env));
    section::put(w, OPTIONS, |w| put_options(w, &job.options));
    let merges = &job.options.merges;
    let has_later = merges.iter().any(|merge| !merge.kind.is_first());
    section::put(w, MERGES, |w| put_merges(w, if has_later { &[] } else { merges }));
    if let Some(domain) = &job.domain {
        section::put(w, DOMAIN, |w| {
            put_file(w, &domain.file);
            w.u32(domain.nx);
            w.u32(domain.ny);
            w.u8(domain.kind as u8);
        });
    }
    section::put(w, SUBTASKS, |w| put_subtasks(w, &job.subtasks));
    if job.options.streams != StreamOptions::default() {
        section::put(w, STREAMS, |w| job.options.streams.encode(w));
    }
    let FailurePolicy { restart_on, warning } = job.options.failure;
    if restart_on != RestartOn::default() {
        section::put(w, RESTART_ON, |w| w.u8(restart_on.bits()));
    }
    if let Some(warning) = warning {
        section::put(w, WARNING, |w| put_warning(w, warning));
    }
    if let Some(limits) = &job.limits {
        section::put(w, LIMITS, |w| limits.encode(w));
    }
    if memory::is_needed(&job.subtasks) {
        section::put(w, MEMORY, |w| memory::put(w, &job.subtasks));
    }
    binding::put(w, &job.options);
    if has_later {
        section::put(w, OUTPUTS, |w| put_merges(w, merges));
    }
    if let Some(family) = job.options.mpi {
        section::put(w, MPI, |w| w.u8(family as u8));
    }
    std::mem::take(&mut w.bytes)
}

#[derive(Default)]
struct Parts {
    name: Option<String>,
    kernel: Option<FileIdentity>,
    argv: Option<Vec<Vec<u8>>>,
    cwd: Option<PathBuf>,
    env: Option<Vec<Vec<u8>>>,
    options: Option<JobOptions>,
    merges: Option<Vec<MergeTarget>>,
    domain: Option<DomainIdentity>,
    subtasks: Option<Subtasks>,
    streams: StreamOptions,
    failure: FailurePolicy,
    limits: Option<Limits>,
    mpi: Option<MpiFamily>,
    memory: Option<Vec<(u32, u64)>>,
    bind: Option<Binding>,
    distribution: Distribution,
}

pub(super) fn decode(uuid: JobUuid, payload: &[u8]) -> Result<JobRecord, DecodeError> {
    let mut parts = Parts::default();
    section::each(payload, |tag, r| {
        match tag {
            NAME => parts.name = Some(text(rest(r)?, "name")?),
            KERNEL => parts.kernel = Some(get_file(r)?),
            ARGV => parts.argv = Some(get_list(r)?),
            CWD => parts.cwd = Some(path(rest(r)?)),
            ENV => parts.env = Some(get_list(r)?),
            OPTIONS => parts.options = Some(get_options(r)?),
            MERGES => parts.merges = Some(get_merges(r, MergeKind::is_first)?),
            DOMAIN => parts.domain = Some(get_domain(r)?),
            MPI => parts.mpi = Some(MpiFamily::from_number(r.u8()?).ok_or(DecodeError::Unknown("MPI"))?),
            SUBTASKS => parts.subtasks = Some(get_subtasks(r)?),
            STREAMS => parts.streams = StreamOptions::decode(r)?,
            RESTART_ON => parts.failure.restart_on = get_restart_on(r)?,
            WARNING => parts.failure.warning = Some(get_warning(r)?),
            LIMITS => parts.limits = Some(Limits::decode(r)?),
            MEMORY => parts.memory = Some(memory::get(r)?),
            BIND => parts.bind = Some(binding::get_bind(r)?),
            DISTRIBUTION => parts.distribution = binding::get_distribution(r)?,
            OUTPUTS => {
                let outputs = get_merges(r, |_| true)?;
                let no_earlier = parts.merges.as_ref().is_some_and(Vec::is_empty);
                if !no_earlier || outputs.iter().all(|merge| merge.kind.is_first()) {
                    return Err(DecodeError::Impossible("list of merges"));
                }
                parts.merges = Some(outputs);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if let (Some(subtasks), Some(memory)) = (&mut parts.subtasks, &parts.memory) {
        *subtasks = memory::apply(subtasks, memory)?;
    }
    if let Some(options) = &mut parts.options {
        binding::apply(options, parts.bind.take())?;
        options.distribution = parts.distribution;
    }
    let missing = DecodeError::Impossible("set of sections: one is missing");
    Ok(JobRecord {
        uuid,
        name: parts.name.ok_or(missing)?,
        kernel: parts.kernel.ok_or(missing)?,
        argv: parts.argv.ok_or(missing)?,
        cwd: parts.cwd.ok_or(missing)?,
        env: parts.env.ok_or(missing)?,
        limits: parts.limits,
        options: JobOptions {
            merges: parts.merges.ok_or(missing)?,
            streams: parts.streams,
            failure: parts.failure,
            mpi: parts.mpi,
            ..parts.options.ok_or(missing)?
        },
        domain: parts.domain,
        subtasks: parts.subtasks.ok_or(missing)?,
    })
}

fn put_options(w: &mut Writer, options: &JobOptions) {
    w.u32(options.ranks);
    w.u32(options.cores);
    w.u32(options.restarts);
    w.u8(binding::word_of_options(options.bind.as_ref()));
    w.u8(u8::from(options.keep_going));
    w.u8(u8::from(options.oversubscribe));
    w.u8(u8::from(options.label));
    w.u8(u8::from(options.keep));
    w.u8(u8::from(options.time_limit_ms.is_some()));
    w.u64(options.time_limit_ms.unwrap_or(0));
    w.u64(options.grace_ms);
}

fn get_options(r: &mut Reader<'_>) -> Result<JobOptions, DecodeError> {
    let (ranks, cores, restarts) = (r.u32()?, r.u32()?, r.u32()?);
    let bind = binding::bind_of_options(r.u8()?)?;
    let (keep_going, oversubscribe) = (r.bool()?, r.bool()?);
    let (label, keep) = (r.bool()?, r.bool()?);
    let time_limit_ms = match (r.bool()?, r.u64()?) {
        (false, 0) => None,
        (true, ms) => Some(ms),
        (false, _) => return Err(DecodeError::Impossible("time limit")),
    };
    if ranks == 0 || cores == 0 {
        return Err(DecodeError::Impossible("number of ranks or cores"));
    }
    Ok(JobOptions {
        ranks,
        cores,
        restarts,
        keep_going,
        bind,
        bind_verbose: false,
        distribution: Distribution::Cost,
        oversubscribe,
        label,
        keep,
        time_limit_ms,
        grace_ms: r.u64()?,
        mpi: None,
        merges: Vec::new(),
        streams: StreamOptions::default(),
        failure: FailurePolicy::default(),
    })
}

fn put_merges(w: &mut Writer, merges: &[MergeTarget]) {
    w.u32(merges.len() as u32);
    for merge in merges {
        w.u8(merge.kind as u8);
        w.bytes(merge.path.as_os_str().as_bytes());
        w.u8(u8::from(merge.fill.is_some()));
        if let Some(fill) = &merge.fill {
            w.bytes(fill.as_bytes());
        }
    }
}

fn get_merges(
    r: &mut Reader<'_>,
    may_be: impl Fn(MergeKind) -> bool,
) -> Result<Vec<MergeTarget>, DecodeError> {
    (0..r.count(6)?)
        .map(|_| {
            let kind = MergeKind::from_number(r.u8()?).filter(|kind| may_be(*kind));
            let kind = kind.ok_or(DecodeError::Unknown("kind of merge"))?;
            let path = path(r.bytes()?);
            let fill = if r.bool()? { Some(text(r.bytes()?, "fill value")?) } else { None };
            Ok(MergeTarget { kind, path, fill })
        })
        .collect()
}

fn get_domain(r: &mut Reader<'_>) -> Result<DomainIdentity, DecodeError> {
    Ok(DomainIdentity {
        file: get_file(r)?,
        nx: r.u32()?,
        ny: r.u32()?,
        kind: match r.u8()? {
            1 => DomainKind::Mask,
            2 => DomainKind::Weights,
            _ => return Err(DecodeError::Unknown("kind of domain")),
        },
    })
}

fn put_subtasks(w: &mut Writer, subtasks: &Subtasks) {
    w.u32(subtasks.len());
    w.u32(subtasks.runs().len() as u32);
    for run in subtasks.runs() {
        let Subtask { name, cells, cores, block, args, mem_bytes: _ } = &run.subtask;
        w.u32(run.count);
        w.u64(*cells);
        w.u32(*cores);
        let has = |there: bool, bit| if there { bit } else { 0 };
        w.u8(has(name.is_some(), HAS_NAME)
            | has(block.is_some(), HAS_BLOCK)
            | has(!args.is_empty(), HAS_ARGS));
        if let Some(name) = name {
            w.bytes(name.as_bytes());
        }
        if let Some(b) = block {
            [b.x0, b.y0, b.x1, b.y1].into_iter().for_each(|v| w.u32(v));
        }
        if !args.is_empty() {
            put_list(w, args);
        }
    }
}

fn get_subtasks(r: &mut Reader<'_>) -> Result<Subtasks, DecodeError> {
    const RUN_BYTES_MIN: usize = 17;
    let total = r.u32()?;
    let mut subtasks = Subtasks::new();
    for _ in 0..r.count(RUN_BYTES_MIN)? {
        let (count, cells, cores, has) = (r.u32()?, r.u64()?, r.u32()?, r.u8()?);
        if count == 0 || cores == 0 || has & !(HAS_NAME | HAS_BLOCK | HAS_ARGS) != 0 {
            return Err(DecodeError::Impossible("subtask"));
        }
        let name = if has & HAS_NAME != 0 { Some(text(r.bytes()?, "name")?.into()) } else { None };
        let block = if has & HAS_BLOCK != 0 { Some(get_block(r)?) } else { None };
        let args = if has & HAS_ARGS != 0 { get_list(r)? } else { Vec::new() };
        if has & HAS_ARGS != 0 && args.is_empty() {
            return Err(DecodeError::Impossible("list of arguments"));
        }
        if !subtasks.push(count, Subtask { name, cells, cores, mem_bytes: 0, block, args }) {
            return Err(DecodeError::Impossible("number of subtasks"));
        }
    }
    if subtasks.len() != total {
        return Err(DecodeError::Impossible("number of subtasks"));
    }
    Ok(subtasks)
}

fn get_block(r: &mut Reader<'_>) -> Result<Block, DecodeError> {
    let block = Block { x0: r.u32()?, y0: r.u32()?, x1: r.u32()?, y1: r.u32()? };
    let proper = block.x0 <= block.x1 && block.y0 <= block.y1;
    proper.then_some(block).ok_or(DecodeError::Impossible("block"))
}

fn put_file(w: &mut Writer, file: &FileIdentity) {
    w.bytes(file.path.as_os_str().as_bytes());
    w.u64(file.len_bytes);
    w.raw(&file.hash.0.to_be_bytes());
}

fn get_file(r: &mut Reader<'_>) -> Result<FileIdentity, DecodeError> {
    Ok(FileIdentity {
        path: path(r.bytes()?),
        len_bytes: r.u64()?,
        hash: ContentHash(u128::from_be_bytes(r.array()?)),
    })
}

fn put_list(w: &mut Writer, list: &[Vec<u8>]) {
    w.u32(list.len() as u32);
    list.iter().for_each(|item| w.bytes(item));
}

fn get_list(r: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    (0..r.count(4)?).map(|_| r.bytes().map(<[u8]>::to_vec)).collect()
}

fn rest<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    r.raw(r.rest().len())
}

fn text(bytes: &[u8], what: &'static str) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::Impossible(what))
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(&OsString::from_vec(bytes.to_vec())).to_owned()
}
