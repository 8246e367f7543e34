//! A long list of sums: in 4 bytes each where the largest fits, else in 8.

/// The list. It grows to the length that was said, and no further.
#[derive(Debug)]
pub(super) enum Numbers {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Numbers {
    /// An empty list for `len` numbers, none above `most`.
    pub(super) fn new(most: u64, len: usize) -> Self {
        match u32::try_from(most) {
            Ok(_) => Self::Narrow(Vec::with_capacity(len)),
            Err(_) => Self::Wide(Vec::with_capacity(len)),
        }
    }

    /// Puts one at the end.
    pub(super) fn push(&mut self, number: u64) {
        match self {
            // `new` has seen to it that it fits.
            Self::Narrow(list) => list.push(number as u32),
            Self::Wide(list) => list.push(number),
        }
    }

    pub(super) fn get(&self, i: usize) -> u64 {
        match self {
            Self::Narrow(list) => u64::from(list[i]),
            Self::Wide(list) => list[i],
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(list) => list.len(),
            Self::Wide(list) => list.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_comes_back_on_either_side_of_32_bits() {
        for most in [u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
            let mut numbers = Numbers::new(most, 2);
            numbers.push(1);
            numbers.push(most);
            assert_eq!((numbers.get(0), numbers.get(1), numbers.len()), (1, most, 2));
        }
    }
}
