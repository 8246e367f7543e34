//! A set of CPUs by the operating system's numbers, as people write it: `0-3,8`.

use std::fmt;

/// The largest CPU number accepted from outside plus one; Linux itself stops at 8192.
pub const CPUS_MAX: u32 = 1 << 16;

/// A set of CPU numbers (the OS's).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuSet {
    /// Bits, 64 a word; never ends with a zero word, so that equal sets are equal values.
    words: Vec<u64>,
}

impl CpuSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From words of 64 bits, CPU 0 in the lowest bit of the first.
    #[must_use]
    pub fn from_words(mut words: Vec<u64>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    /// The words of 64 bits, CPU 0 in the lowest bit of the first; trailing zero words are left out.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds one CPU.
    pub fn insert(&mut self, cpu: u32) {
        let word = (cpu / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (cpu % 64);
    }

    /// Whether the CPU is in the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.words.get((cpu / 64) as usize).is_some_and(|w| w >> (cpu % 64) & 1 == 1)
    }

    /// How many CPUs it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The CPUs in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words
            .iter()
            .enumerate()
            .filter(|(_, w)| **w != 0)
            .flat_map(|(i, w)| (0..64).filter(move |b| w >> b & 1 == 1).map(move |b| i as u32 * 64 + b))
    }

    /// The lowest CPU.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// What both hold.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::from_words(self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect())
    }

    /// What either holds.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let (long, short) = if self.words.len() < other.words.len() { (other, self) } else { (self, other) };
        let mut all = long.clone();
        all.words.iter_mut().zip(&short.words).for_each(|(word, more)| *word |= more);
        all
    }

    /// Whether they share a CPU.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Whether all of this is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.and(other) == *self
    }

    /// Reads a mask in hexadecimal digits, CPU 0 in the lowest bit of the last; no number from [`CPUS_MAX`] on.
    #[must_use]
    pub fn from_mask(digits: &str) -> Option<Self> {
        let proper = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !proper || digits.len() > CPUS_MAX as usize / 4 {
            return None;
        }
        let words = digits.as_bytes().rchunks(16).map(|chunk| {
            let text = std::str::from_utf8(chunk).ok()?;
            u64::from_str_radix(text, 16).ok()
        });
        Some(Self::from_words(words.collect::<Option<_>>()?))
    }

    /// The set as a mask, such as `0x3`, that [`CpuSet::from_mask`] reads behind its `0x`.
    #[must_use]
    pub fn mask(&self) -> String {
        let mut words = self.words.iter().rev();
        let mut text = format!("{:#x}", words.next().copied().unwrap_or(0));
        words.for_each(|word| text.push_str(&format!("{word:016x}")));
        text
    }

    /// Reads `0-3,8`; nothing else is accepted, and no number from [`CPUS_MAX`] on.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |s: &str| {
            let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| s.parse::<u32>().ok()).flatten().filter(|n| *n < CPUS_MAX)
        };
        let mut set = Self::new();
        if text.is_empty() {
            return Some(set);
        }
        for part in text.split(',') {
            let (low, high) = match part.split_once('-') {
                Some((low, high)) => (number(low)?, number(high)?),
                None => (number(part)?, number(part)?),
            };
            if low > high {
                return None;
            }
            (low..=high).for_each(|cpu| set.insert(cpu));
        }
        Some(set)
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = Self::new();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(low) = cpus.next() {
            let mut high = low;
            while cpus.peek() == Some(&(high + 1)) {
                high += 1;
                cpus.next();
            }
            match high - low {
                0 => write!(f, "{comma}{low}")?,
                1 => write!(f, "{comma}{low},{high}")?,
                _ => write!(f, "{comma}{low}-{high}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_as_people_write_them() {
        let set = CpuSet::parse("0-3,8,70").unwrap();
        assert_eq!(set.len(), 6);
        assert!(set.contains(70) && !set.contains(4) && !set.contains(1000));
        assert_eq!(set.to_string(), "0-3,8,70");
        for bad in ["x", "3-1", "1,,2", "-1", "1-", "99999999999", "65536", " 1", "+1"] {
            assert_eq!(CpuSet::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(cpus in proptest::collection::btree_set(0u32..300, 0..60)) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), cpus.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(CpuSet::from_mask(&set.mask()[2..]), Some(set.clone()));
            prop_assert_eq!(CpuSet::parse(&set.to_string()), Some(set));
        }
    }
}
