//! Pieces that several messages have: lists, options, text, CPU sets, topologies.

use crate::codec::{DecodeError, Reader, Writer};
use crate::cpuset::CPUS_MAX;
use crate::{Attempt, Core, CpuSet, NumaDomain, Restart, Topology};

/// More cores than any node has.
const CORES_MAX: usize = 1 << 14;

pub(super) fn put_list<T>(w: &mut Writer, list: &[T], mut put: impl FnMut(&mut Writer, &T)) {
    w.u32(list.len() as u32);
    list.iter().for_each(|item| put(w, item));
}

pub(super) fn get_list<'a, T>(
    r: &mut Reader<'a>,
    item_bytes: usize,
    mut get: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    (0..r.count(item_bytes)?).map(|_| get(r)).collect()
}

pub(super) fn put_option<T>(w: &mut Writer, value: Option<T>, put: impl FnOnce(&mut Writer, T)) {
    w.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(w, value);
    }
}

pub(super) fn get_option<'a, T>(
    r: &mut Reader<'a>,
    get: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    Ok(if r.bool()? { Some(get(r)?) } else { None })
}

pub(super) fn put_text(w: &mut Writer, text: &str) {
    w.bytes(text.as_bytes());
}

/// Text of at most so many bytes.
pub(super) fn get_text(r: &mut Reader<'_>, bytes_max: usize) -> Result<String, DecodeError> {
    let bytes = r.bytes()?;
    if bytes.len() > bytes_max {
        return Err(DecodeError::Impossible("length of a text"));
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Impossible("text"))
}

pub(super) fn put_texts(w: &mut Writer, list: &[String]) {
    put_list(w, list, |w, text| put_text(w, text));
}

pub(super) fn get_texts(r: &mut Reader<'_>, bytes_max: usize) -> Result<Vec<String>, DecodeError> {
    get_list(r, 4, |r| get_text(r, bytes_max))
}

pub(super) fn put_cpus(w: &mut Writer, cpus: &CpuSet) {
    put_list(w, cpus.words(), |w, word| w.u64(*word));
}

pub(super) fn get_cpus(r: &mut Reader<'_>) -> Result<CpuSet, DecodeError> {
    let words = get_list(r, 8, Reader::u64)?;
    if words.len() > CPUS_MAX as usize / 64 {
        return Err(DecodeError::Impossible("CPU"));
    }
    Ok(CpuSet::from_words(words))
}

pub(super) fn put_restart(w: &mut Writer, from: Restart) {
    w.u32(from.attempt.0);
    w.u64(from.step);
}

pub(super) fn get_restart(r: &mut Reader<'_>) -> Result<Restart, DecodeError> {
    Ok(Restart { attempt: Attempt(r.u32()?), step: r.u64()? })
}

pub(super) fn put_topology(w: &mut Writer, topology: &Topology) {
    put_text(w, &topology.host);
    put_list(w, &topology.numa, |w, numa| {
        w.u32(numa.os_index);
        w.u64(numa.memory_bytes);
    });
    put_list(w, &topology.cores, |w, core| {
        [core.logical, core.l3, core.numa, core.package].into_iter().for_each(|v| w.u32(v));
        put_cpus(w, &core.cpus);
    });
}

pub(super) fn get_topology(r: &mut Reader<'_>) -> Result<Topology, DecodeError> {
    let host = get_text(r, 255)?;
    let numa = get_list(r, 12, |r| Ok(NumaDomain { os_index: r.u32()?, memory_bytes: r.u64()? }))?;
    let cores = get_list(r, 20, |r| {
        let [logical, l3, numa, package] = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        Ok(Core { logical, cpus: get_cpus(r)?, l3, numa, package })
    })?;
    let is_whole = cores.iter().all(|core| (core.numa as usize) < numa.len() && !core.cpus.is_empty());
    if cores.is_empty() || cores.len() > CORES_MAX || !is_whole {
        return Err(DecodeError::Impossible("topology"));
    }
    Ok(Topology { host, cores, numa })
}
