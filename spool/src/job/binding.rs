//! What ranks are bound to and how they are spread: a word of the options where it always was one, and sections of
//! their own for what came later, each written only where it says something.

use super::JobOptions;
use super::section;
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Bind, Binding, CpuSet, Distribution};

pub(super) const BIND: u16 = 0x31;
pub(super) const DISTRIBUTION: u16 = 0x32;

const CORE: u8 = 1;
const NUMA: u8 = 2;
const NONE: u8 = 3;
const SOCKET: u8 = 4;
const THREAD: u8 = 5;
const FIXED: u8 = 6;

/// The byte among the options; 0: nothing was said, or the section says it.
pub(super) fn word_of_options(bind: Option<&Bind>) -> u8 {
    match bind {
        Some(Bind::Core) => CORE,
        Some(Bind::Numa) => NUMA,
        Some(Bind::None) => NONE,
        None | Some(Bind::Socket | Bind::Thread | Bind::Fixed(_)) => 0,
    }
}

pub(super) fn bind_of_options(word: u8) -> Result<Option<Bind>, DecodeError> {
    Ok(match word {
        0 => None,
        CORE => Some(Bind::Core),
        NUMA => Some(Bind::Numa),
        NONE => Some(Bind::None),
        _ => return Err(DecodeError::Unknown("binding")),
    })
}

/// The sections, those that are needed.
pub(super) fn put(w: &mut Writer, options: &JobOptions) {
    let word = match &options.bind {
        Some(Bind::Socket) => SOCKET,
        Some(Bind::Thread) => THREAD,
        Some(Bind::Fixed(_)) => FIXED,
        Some(Bind::Core | Bind::Numa | Bind::None) | None => 0,
    };
    if word != 0 || options.bind_verbose {
        section::put(w, BIND, |w| {
            w.u8(word);
            w.u8(u8::from(options.bind_verbose));
            if let Some(Bind::Fixed(entries)) = &options.bind {
                w.u32(entries.len() as u32);
                for cpus in entries {
                    w.u32(cpus.words().len() as u32);
                    cpus.words().iter().for_each(|word| w.u64(*word));
                }
            }
        });
    }
    if options.distribution != Distribution::Cost {
        section::put(w, DISTRIBUTION, |w| w.u8(options.distribution as u8));
    }
}

/// The section of the binding. `Core` stands for the word among the options.
pub(super) fn get_bind(r: &mut Reader<'_>) -> Result<Binding, DecodeError> {
    let (word, verbose) = (r.u8()?, r.bool()?);
    let bind = match word {
        0 if verbose => Bind::Core,
        SOCKET => Bind::Socket,
        THREAD => Bind::Thread,
        FIXED => Bind::Fixed(get_entries(r)?),
        _ => return Err(DecodeError::Unknown("binding")),
    };
    Ok(Binding { bind, verbose })
}

fn get_entries(r: &mut Reader<'_>) -> Result<Vec<CpuSet>, DecodeError> {
    const ENTRY_BYTES_MIN: usize = 12;
    let wrong = DecodeError::Impossible("set of CPUs");
    let count = r.count(ENTRY_BYTES_MIN)?;
    let entries: Vec<CpuSet> = (0..count)
        .map(|_| {
            let words: Vec<u64> = (0..r.count(8)?).map(|_| r.u64()).collect::<Result<_, _>>()?;
            let is_one_way = words.last().is_some_and(|word| *word != 0);
            is_one_way.then(|| CpuSet::from_words(words)).ok_or(wrong)
        })
        .collect::<Result<_, _>>()?;
    if entries.is_empty() { Err(wrong) } else { Ok(entries) }
}

pub(super) fn get_distribution(r: &mut Reader<'_>) -> Result<Distribution, DecodeError> {
    match r.u8()? {
        1 => Ok(Distribution::Block),
        2 => Ok(Distribution::Cyclic),
        _ => Err(DecodeError::Unknown("distribution")),
    }
}

/// Joins what the options and the section say.
pub(super) fn apply(options: &mut JobOptions, section: Option<Binding>) -> Result<(), DecodeError> {
    let Some(Binding { bind, verbose }) = section else { return Ok(()) };
    options.bind_verbose = verbose;
    match (&options.bind, bind) {
        (_, Bind::Core) => {}
        (None, bind) => options.bind = Some(bind),
        (Some(_), _) => return Err(DecodeError::Impossible("binding: it is said twice")),
    }
    Ok(())
}
