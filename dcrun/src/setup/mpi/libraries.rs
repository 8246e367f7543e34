//! Where the libraries are that a program needs: as its loader would look for them, in so far as names tell an MPI.
//! Bounded in files and levels; what is not found is passed over, as it may come by ways that no file tells.

use super::elf::{Facts, facts};
use object::ReadCache;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Libraries below libraries.
const LEVELS_MAX: u32 = 4;
/// Files that are opened.
const FILES_MAX: usize = 64;
const CACHE: &str = "/etc/ld.so.cache";
const CACHE_BYTES_MAX: u64 = 64 << 20;
const CACHE_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const CACHE_HEADER_BYTES: usize = 48;
const CACHE_ENTRY_BYTES: usize = 24;
/// Where every loader looks at last.
const DEFAULT: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Libraries that need no MPI, on any system: not opened.
const PLAIN: &[&str] = &[
    "ld-linux",
    "libc.so",
    "libm.so",
    "libdl.so",
    "librt.so",
    "libpthread.so",
    "libgcc_s.so",
    "libstdc++.so",
    "libgfortran.so",
    "libquadmath.so",
    "libgomp.so",
    "libselinux.so",
    "libz.so",
    "libcrypt.so",
    "linux-vdso",
];

/// Finds libraries, and looks into them.
#[derive(Debug)]
pub struct Libraries<'a> {
    library_path: Vec<&'a str>,
    /// The loader's list, by name; read when it is first needed.
    cache: Option<BTreeMap<String, PathBuf>>,
    seen: BTreeSet<String>,
    opened: usize,
}

impl<'a> Libraries<'a> {
    /// For a program that runs with this `LD_LIBRARY_PATH`.
    #[must_use]
    pub fn new(library_path: &'a str) -> Self {
        let library_path = library_path.split([':', ';']).filter(|path| !path.is_empty()).collect();
        Self { library_path, cache: None, seen: BTreeSet::new(), opened: 0 }
    }

    /// Goes through all that `program` needs, nearest first, and gives the first for which `wanted` has an answer.
    pub fn find<T>(
        &mut self,
        program: &Path,
        own: &Facts,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Option<(T, String)> {
        let mut queue = VecDeque::from([(program.to_owned(), own.clone(), 0)]);
        while let Some((path, facts, level)) = queue.pop_front() {
            for name in &facts.needed {
                if let Some(answer) = wanted(name) {
                    return Some((answer, name.clone()));
                }
            }
            if level >= LEVELS_MAX {
                continue;
            }
            for name in &facts.needed {
                if PLAIN.iter().any(|plain| name.starts_with(plain)) || !self.seen.insert(name.clone()) {
                    continue;
                }
                if let Some((path, facts)) = self.open(name, &path, &facts, own) {
                    queue.push_back((path, facts, level + 1));
                }
            }
        }
        None
    }

    /// The library's facts, if it can be found.
    pub fn facts_of(&mut self, name: &str, program: &Path, own: &Facts) -> Option<Facts> {
        self.open(name, program, own, own).map(|(_, facts)| facts)
    }

    fn open(&mut self, name: &str, by: &Path, facts: &Facts, own: &Facts) -> Option<(PathBuf, Facts)> {
        if name.contains('/') {
            return self.look(Path::new(name), own.is_64);
        }
        let expand = |path: &String| {
            let origin = by.parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
            path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)
        };
        let mut places: Vec<String> = Vec::new();
        if facts.runpath.is_empty() {
            places.extend(facts.rpath.iter().chain(&own.rpath).map(expand));
        }
        places.extend(self.library_path.iter().map(|path| (*path).to_owned()));
        places.extend(facts.runpath.iter().map(expand));
        for place in places {
            if let Some(found) = self.look(&Path::new(&place).join(name), own.is_64) {
                return Some(found);
            }
        }
        let cached = self.cache.get_or_insert_with(|| read_cache(Path::new(CACHE))).get(name).cloned();
        if let Some(found) = cached.and_then(|path| self.look(&path, own.is_64)) {
            return Some(found);
        }
        DEFAULT.iter().find_map(|place| self.look(&Path::new(place).join(name), own.is_64))
    }

    fn look(&mut self, path: &Path, is_64: bool) -> Option<(PathBuf, Facts)> {
        if self.opened >= FILES_MAX {
            return None;
        }
        let file = File::open(path).ok()?;
        self.opened += 1;
        file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let cache = ReadCache::new(file);
        let facts = facts(&cache).filter(|facts| facts.is_64 == is_64)?;
        Some((path.to_owned(), facts))
    }
}

/// The loader's list of libraries by name, as ldconfig(8) writes it; empty where there is none that can be read.
fn read_cache(path: &Path) -> BTreeMap<String, PathBuf> {
    let is_small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= CACHE_BYTES_MAX);
    let bytes = is_small.then(|| std::fs::read(path).ok()).flatten().unwrap_or_default();
    parse_cache(&bytes)
}

fn parse_cache(bytes: &[u8]) -> BTreeMap<String, PathBuf> {
    // An older list may stand before it.
    let begin = if bytes.starts_with(CACHE_MAGIC) {
        Some(0)
    } else {
        bytes.windows(CACHE_MAGIC.len()).position(|window| window == CACHE_MAGIC)
    };
    let Some(list) = begin.and_then(|at| bytes.get(at..)) else { return BTreeMap::new() };
    let number = |at: usize| {
        let bytes = list.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?) as usize)
    };
    let text = |at: usize| {
        let rest = list.get(at..)?;
        let len = rest.iter().take(4096).position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..len]).ok()
    };
    let count = number(CACHE_MAGIC.len()).unwrap_or(0).min(list.len() / CACHE_ENTRY_BYTES);
    let mut found = BTreeMap::new();
    for entry in (0..count).map(|i| CACHE_HEADER_BYTES + i * CACHE_ENTRY_BYTES) {
        let pair = number(entry + 4).and_then(text).zip(number(entry + 8).and_then(text));
        if let Some((name, path)) = pair {
            found.entry(name.to_owned()).or_insert_with(|| PathBuf::from(path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_is_read_and_what_is_damaged_says_nothing() {
        let mut list = CACHE_MAGIC.to_vec();
        list.extend(1_u32.to_ne_bytes());
        list.resize(CACHE_HEADER_BYTES, 0);
        let strings = (CACHE_HEADER_BYTES + CACHE_ENTRY_BYTES) as u32;
        for field in [0x303, strings, strings + 8, 0, 0, 0] {
            list.extend(u32::to_ne_bytes(field));
        }
        list.extend(b"libx.so\0/lib/libx.so\0");
        let wanted = BTreeMap::from([("libx.so".to_owned(), PathBuf::from("/lib/libx.so"))]);
        assert_eq!(parse_cache(&list), wanted);
        assert_eq!(parse_cache(&[b"ld.so-1.7.0 old ", &list[..]].concat()), wanted);
        for len in 0..list.len() {
            assert_eq!(parse_cache(&list[..len]), BTreeMap::new(), "cut at {len}");
        }
        for at in 0..list.len() {
            for bit in 0..8 {
                let mut damaged = list.clone();
                damaged[at] ^= 1 << bit;
                let _ = parse_cache(&damaged);
            }
        }
    }
}
