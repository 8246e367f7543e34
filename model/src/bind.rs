//! What a rank is bound to, and the words people say it with: Slurm's, and a few of others.

use crate::CpuSet;
use crate::cpuset::CPUS_MAX;

/// The most entries a map or a list of masks may have, repetitions counted.
pub const ENTRIES_MAX: usize = 1 << 16;
/// The most memory that the entries' sets may take, in words of 64 bits: a short text can ask for much. So many are an
/// entry for each of 8,192 CPUs.
const WORDS_MAX: usize = 1 << 20;

/// What a rank is bound to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Bind {
    /// To its cores, with all their allowed hardware threads.
    #[default]
    Core,
    /// To all allowed CPUs of the NUMA domains of its cores.
    Numa,
    /// To all allowed CPUs of the packages of its cores.
    Socket,
    /// To hardware threads of its own: those of a core may go to several ranks.
    Thread,
    /// Not at all; cores are still counted.
    None,
    /// Rank r to entry r of these, and again from the first on where there are more ranks. None is empty.
    Fixed(Vec<CpuSet>),
}

/// What the text of an option says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Binding {
    /// To what.
    pub bind: Bind,
    /// Whether each rank's CPUs are told at its launch.
    pub verbose: bool,
}

/// What a word means, and how else it may be spelt.
const WORDS: [(&[&str], Bind); 5] = [
    (&["core", "cores"], Bind::Core),
    (&["numa", "ldom", "ldoms"], Bind::Numa),
    (&["socket", "sockets"], Bind::Socket),
    (&["thread", "threads", "hwthread"], Bind::Thread),
    (&["none", "no"], Bind::None),
];

/// Words of other launchers that have no meaning here, and what to say instead.
const ELSEWHERE: [(&[&str], &str); 5] = [
    (&["rank", "rank_ldom"], "say core or numa: -m block gives ranks their cores in order"),
    (&["map_ldom", "mask_ldom"], "say numa, with -m block or cyclic, or map_cpu and mask_cpu with the CPUs"),
    (&["board", "boards"], "say socket or numa"),
    (&["l1cache", "l2cache", "l3cache", "slot"], "say core, numa, socket, thread, or mask_cpu with the CPUs"),
    (
        &["help"],
        "the words are core, thread, socket, numa, none, map_cpu:LIST, mask_cpu:LIST, before them verbose,",
    ),
];

/// Why a text says no binding.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BindError {
    /// Another word.
    #[error(
        "give core, numa, socket, thread, none, map_cpu:LIST or mask_cpu:LIST, before it verbose, if wanted"
    )]
    Word,
    /// A word that others know.
    #[error("{0}")]
    Elsewhere(&'static str),
    /// No entries, or an empty one.
    #[error("{word} has an empty entry; wanted {form}")]
    Empty {
        /// Which word.
        word: &'static str,
        /// What its list looks like.
        form: &'static str,
    },
    /// An entry that is no number, or no mask.
    #[error("{}: no entry of {word}; wanted {form}", given.escape_debug())]
    Entry {
        /// The entry.
        given: String,
        /// Which word.
        word: &'static str,
        /// What its list looks like.
        form: &'static str,
    },
    /// Too many of them.
    #[error("too many entries: more than {ENTRIES_MAX}, or together more memory than {} MiB", WORDS_MAX >> 17)]
    TooMany,
}

const MAP: (&str, &str) = ("map_cpu", "CPU numbers such as 0,2,4, 0-3 or 0*4,1*4");
const MASK: (&str, &str) = ("mask_cpu", "masks in hexadecimal such as 0x3,0xc or 0x3*2,0xc*2");

/// Reads `[verbose,]WORD`.
///
/// # Errors
/// What is not understood, and what is.
pub fn parse(text: &str) -> Result<Binding, BindError> {
    let mut binding = Binding::default();
    let mut rest = text;
    // Words that say how much is told stand before the one that says to what.
    loop {
        let (word, after) = rest.split_once(',').map_or((rest, None), |(word, after)| (word, Some(after)));
        match word.to_ascii_lowercase().as_str() {
            "v" | "verbose" => binding.verbose = true,
            "q" | "quiet" => binding.verbose = false,
            _ => break,
        }
        match after {
            Some(after) => rest = after,
            None => return Ok(binding),
        }
    }
    binding.bind = match rest.split_once([':', '=']) {
        Some((word, list)) if word.eq_ignore_ascii_case(MAP.0) => Bind::Fixed(map(list)?),
        Some((word, list)) if word.eq_ignore_ascii_case(MASK.0) => Bind::Fixed(masks(list)?),
        Some((word, _)) => return Err(unknown(word)),
        None => word(rest)?,
    };
    Ok(binding)
}

fn word(given: &str) -> Result<Bind, BindError> {
    let is = |words: &&[&str]| words.iter().any(|word| given.eq_ignore_ascii_case(word));
    for (word, form) in [MAP, MASK] {
        if given.eq_ignore_ascii_case(word) {
            return Err(BindError::Empty { word, form });
        }
    }
    WORDS
        .iter()
        .find(|(words, _)| is(words))
        .map_or_else(|| Err(unknown(given)), |(_, bind)| Ok(bind.clone()))
}

fn unknown(given: &str) -> BindError {
    let is = |words: &&[&str]| words.iter().any(|word| given.eq_ignore_ascii_case(word));
    ELSEWHERE
        .iter()
        .find(|(words, _)| is(words))
        .map_or(BindError::Word, |(_, hint)| BindError::Elsewhere(hint))
}

/// The entries of a list, each as often as is said behind its `*`. None is made before it is known to be wanted.
fn entries<I: Iterator<Item = CpuSet>>(
    list: &str,
    (word, form): (&'static str, &'static str),
    read: impl Fn(&str) -> Option<I>,
) -> Result<Vec<CpuSet>, BindError> {
    let mut all = Vec::new();
    let mut words = 0;
    for item in list.split(',') {
        if item.is_empty() {
            return Err(BindError::Empty { word, form });
        }
        let bad = || BindError::Entry { given: item.to_owned(), word, form };
        let (entry, times) = match item.split_once('*') {
            Some((entry, times)) => (entry, number(times).filter(|n| *n > 0).ok_or_else(bad)?),
            None => (item, 1),
        };
        for _ in 0..times {
            for set in read(entry).ok_or_else(bad)? {
                words += set.words().len();
                if all.len() == ENTRIES_MAX || words > WORDS_MAX {
                    return Err(BindError::TooMany);
                }
                all.push(set);
            }
        }
    }
    Ok(all)
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Each number is the entry of one rank; `0-3` is short for `0,1,2,3`, as dc itself prints CPUs.
fn map(list: &str) -> Result<Vec<CpuSet>, BindError> {
    let cpu = |text: &str| {
        // As in Slurm a number may be hexadecimal.
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let cpu = match hexadecimal {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u32::from_str_radix(digits, 16).ok()
            }
            Some(_) => None,
            None => number(text),
        };
        cpu.filter(|cpu| *cpu < CPUS_MAX)
    };
    entries(list, MAP, |entry| {
        let (low, high) = match entry.split_once('-') {
            Some((low, high)) => (cpu(low)?, cpu(high)?),
            None => (cpu(entry)?, cpu(entry)?),
        };
        (low <= high).then(|| (low..=high).map(|cpu| CpuSet::from_iter([cpu])))
    })
}

/// Each mask is the entry of one rank.
fn masks(list: &str) -> Result<Vec<CpuSet>, BindError> {
    entries(list, MASK, |entry| {
        let digits = entry.strip_prefix("0x").or_else(|| entry.strip_prefix("0X")).unwrap_or(entry);
        let set = CpuSet::from_mask(digits)?;
        (!set.is_empty()).then(|| std::iter::once(set))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> Vec<String> {
        match parse(text).unwrap().bind {
            Bind::Fixed(entries) => entries.iter().map(ToString::to_string).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_of_slurm_and_ours() {
        for (text, bind, verbose) in [
            ("core", Bind::Core, false),
            ("cores", Bind::Core, false),
            ("verbose,cores", Bind::Core, true),
            ("v,threads", Bind::Thread, true),
            ("quiet,ldoms", Bind::Numa, false),
            ("numa", Bind::Numa, false),
            ("Sockets", Bind::Socket, false),
            ("no", Bind::None, false),
            ("verbose", Bind::Core, true),
        ] {
            assert_eq!(parse(text), Ok(Binding { bind, verbose }), "{text}");
        }
    }

    #[test]
    fn maps_and_masks() {
        assert_eq!(fixed("map_cpu:0,2,4"), ["0", "2", "4"]);
        assert_eq!(fixed("verbose,map_cpu:0*2,0x1f"), ["0", "0", "31"]);
        assert_eq!(fixed("map_cpu:4-6"), ["4", "5", "6"]);
        assert_eq!(fixed("mask_cpu:0x3,c"), ["0,1", "2,3"]);
        assert_eq!(fixed("mask_cpu:0xF*2"), ["0-3", "0-3"]);
        assert_eq!(fixed("mask_cpu:0x1,100000000000000000000000000000000"), ["0", "128"]);
        for bad in [
            "",
            "cor",
            "map_cpu",
            "map_cpu:",
            "map_cpu:1,",
            "map_cpu:x",
            "map_cpu:1*0",
            "map_cpu:1*",
            "map_cpu:-1",
            "map_cpu:65536",
            "map_cpu:3-1",
            "map_cpu:0x",
            "map_cpu:1*99999",
            "mask_cpu:0x0",
            "mask_cpu:0x",
            "mask_cpu:g",
            "mask_cpu:0*3",
            "verbose,",
            "core,verbose",
            "map:1",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("mask_cpu:{}", "f".repeat(1 << 20));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn what_others_say_is_answered_with_what_to_say() {
        let told = |text: &str| parse(text).unwrap_err().to_string();
        assert!(told("rank").contains("-m block"));
        assert!(told("map_ldom:0,1").contains("numa"));
        assert!(told("help").contains("map_cpu"));
        assert_eq!(
            told("map_cpu:1,a b"),
            "a b: no entry of map_cpu; wanted CPU numbers such as 0,2,4, 0-3 or 0*4,1*4"
        );
    }

    #[test]
    fn a_short_text_does_not_take_much_memory() {
        assert_eq!(parse("map_cpu:0-65535"), Err(BindError::TooMany));
        assert_eq!(parse("map_cpu:65535*65536"), Err(BindError::TooMany));
        assert_eq!(parse(&format!("mask_cpu:8{}*4096", "0".repeat(16_000))), Err(BindError::TooMany));
        assert_eq!(fixed("map_cpu:0-8191").len(), 8192);
    }
}
