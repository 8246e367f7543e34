//! Weights, row-major: 2 bytes a cell, or 4 where one of them needs that.

use super::DomainError;
use std::ops::Range;

/// The largest weight of a cell.
pub const WEIGHT_MAX: u32 = u32::MAX;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Weights {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// The weights of one row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowWeights<'a> {
    /// None above 65535 in the whole field.
    Narrow(&'a [u16]),
    /// Any.
    Wide(&'a [u32]),
}

impl Weights {
    /// All 0; nothing when there is no memory for them.
    pub(super) fn zero(cells: usize) -> Result<Self, DomainError> {
        let mut all = Vec::new();
        let bytes = cells as u64 * 2;
        all.try_reserve_exact(cells).map_err(|_| DomainError::Memory { bytes })?;
        all.resize(cells, 0);
        Ok(Self::Narrow(all))
    }

    /// Sets a weight; makes all of them wide where that is needed.
    pub(super) fn try_set(&mut self, at: usize, weight: u32) -> Result<(), DomainError> {
        if let (Self::Narrow(all), Err(_)) = (&*self, u16::try_from(weight)) {
            let mut wide: Vec<u32> = Vec::new();
            let bytes = all.len() as u64 * 4;
            wide.try_reserve_exact(all.len()).map_err(|_| DomainError::Memory { bytes })?;
            wide.extend(all.iter().map(|w| u32::from(*w)));
            *self = Self::Wide(wide);
        }
        match self {
            Self::Narrow(all) => all.get_mut(at).into_iter().for_each(|cell| *cell = weight as u16),
            Self::Wide(all) => all.get_mut(at).into_iter().for_each(|cell| *cell = weight),
        }
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(all) => all.len(),
            Self::Wide(all) => all.len(),
        }
    }

    /// Those of `range`; empty where that is not within.
    pub(super) fn part(&self, range: Range<usize>) -> RowWeights<'_> {
        match self {
            Self::Narrow(all) => RowWeights::Narrow(all.get(range).unwrap_or_default()),
            Self::Wide(all) => RowWeights::Wide(all.get(range).unwrap_or_default()),
        }
    }

    /// How many are above 0, and their sum.
    pub(super) fn totals(&self) -> Result<(u64, u64), DomainError> {
        let all = self.part(0..self.len());
        let cost = match all {
            // 2^16 times what memory holds.
            RowWeights::Narrow(all) => Some(all.iter().map(|w| u64::from(*w)).sum()),
            RowWeights::Wide(all) => all.iter().try_fold(0u64, |sum, w| sum.checked_add(u64::from(*w))),
        };
        Ok((all.count(), cost.ok_or(DomainError::Cost)?))
    }
}

impl RowWeights<'_> {
    /// One of them; 0 where there is none.
    pub(super) fn get(&self, at: usize) -> u32 {
        match self {
            Self::Narrow(all) => all.get(at).copied().map_or(0, u32::from),
            Self::Wide(all) => all.get(at).copied().unwrap_or(0),
        }
    }

    /// How many are above 0.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Narrow(all) => all.iter().map(|w| u64::from(*w != 0)).sum(),
            Self::Wide(all) => all.iter().map(|w| u64::from(*w != 0)).sum(),
        }
    }

    /// The first that is above 0, or is not.
    pub(super) fn position(&self, effective: bool) -> Option<usize> {
        match self {
            Self::Narrow(all) => all.iter().position(|w| (*w != 0) == effective),
            Self::Wide(all) => all.iter().position(|w| (*w != 0) == effective),
        }
    }

    /// The sum of those of `columns`.
    #[must_use]
    pub fn sum(&self, columns: Range<usize>) -> u64 {
        match self {
            Self::Narrow(all) => all.get(columns).unwrap_or_default().iter().map(|w| u64::from(*w)).sum(),
            Self::Wide(all) => all.get(columns).unwrap_or_default().iter().map(|w| u64::from(*w)).sum(),
        }
    }

    /// Adds each to the sum of its column.
    pub fn add_to(&self, columns: &mut [u64]) {
        match self {
            Self::Narrow(all) => {
                columns.iter_mut().zip(*all).for_each(|(column, w)| *column += u64::from(*w));
            }
            Self::Wide(all) => columns.iter_mut().zip(*all).for_each(|(column, w)| *column += u64::from(*w)),
        }
    }
}
