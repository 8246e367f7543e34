//! The choice among free cores: by cost, or in the order of domains that a rank prefers.

use super::units::{Level, Unit};
use super::{Chosen, CorePool, Lack, Share, Wish, share};
use crate::job::Need;
use dc_model::Bind;
use std::cmp::Ordering;

impl Share {
    /// Compares running cells a core, as they would be with `more` of them.
    fn cmp_load(&self, other: &Self, more: u128) -> Ordering {
        let crossed =
            |a: &Self, b: &Self| a.load.saturating_add(more).saturating_mul(u128::from(b.units.max(1)));
        crossed(self, other).cmp(&crossed(other, self))
    }
}

impl CorePool {
    /// Units for a need, and the memory beside them.
    pub(super) fn choose(&self, need: Need, wish: &Wish<'_>) -> Result<Chosen, Lack> {
        if self.free < u64::from(need.cores.max(1)) {
            return Err(Lack::Cores);
        }
        let is_open = |unit: &Unit| {
            self.is_open(unit) && wish.except.is_none_or(|domain| domain as usize != unit.domain)
        };
        let anywhere = || self.choose_among(need, wish, &is_open).ok_or(Lack::Cores);
        if need.mem_bytes == 0 {
            return Ok((anywhere()?, Vec::new()));
        }
        if self.spills(need) {
            let units = anywhere()?;
            let memory = self.memory_for(&units, need, true).ok_or(Lack::Memory)?;
            return Ok((units, memory));
        }
        // In one domain that has enough left; else over several, each of which has its share left.
        let units = match self.choose_domain(need, wish, &is_open) {
            Some(units) => units,
            // One core is in one domain: those that have the memory have no core.
            None if need.cores <= 1 => {
                let is_any = self.units.iter().any(is_open);
                return Err(if is_any { Lack::Memory } else { Lack::Cores });
            }
            None => anywhere()?,
        };
        let memory = self.memory_for(&units, need, false).ok_or(Lack::Memory)?;
        Ok((units, memory))
    }

    /// Units of one domain with enough memory left.
    fn choose_domain(
        &self,
        need: Need,
        wish: &Wish<'_>,
        is_open: &dyn Fn(&Unit) -> bool,
    ) -> Option<Vec<u32>> {
        let wanted = need.cores.max(1);
        let is_rich = |domain: &u32| self.memory.left_bytes(*domain) >= need.mem_bytes;
        let level = |domain: u32| self.level(wanted, &|unit| unit.domain == domain as usize && is_open(unit));
        let domain = if wish.domains.is_empty() {
            let by_load = |a: u32, b: u32| self.cmp_domains(a as usize, b as usize, need.cells);
            let all = (0..self.domains.len() as u32).filter(is_rich);
            let with_room = all.filter_map(|domain| Some((level(domain)?, domain)));
            with_room.min_by(|(la, a), (lb, b)| la.cmp(lb).then_with(|| by_load(*a, *b)))?.1
        } else {
            let rich = wish.domains.iter().copied().filter(is_rich);
            rich.into_iter().find(|domain| level(*domain).is_some())?
        };
        self.choose_among(need, wish, &|unit| unit.domain == domain as usize && is_open(unit))
    }

    /// Units among those that are open.
    fn choose_among(&self, need: Need, wish: &Wish<'_>, is_open: &dyn Fn(&Unit) -> bool) -> Option<Vec<u32>> {
        let wanted = need.cores.max(1);
        if !wish.domains.is_empty() {
            let within = |domain: &u32| {
                let domain = *domain as usize;
                self.lowest(wanted, &|unit| unit.domain == domain && is_open(unit))
            };
            return wish.domains.iter().find_map(within).or_else(|| self.lowest(wanted, is_open));
        }
        if self.bind == Bind::Thread {
            // Idle cores before the second threads of others.
            let is_idle = |unit: &Unit| is_open(unit) && self.ranks_of_cores[unit.core as usize] == 0;
            if let Some(level) = self.level(wanted, &is_idle) {
                return Some(self.cheapest(need.cells, wanted, level, &is_idle));
            }
        }
        if wanted == 1 {
            return self.cheapest_one(need.cells, is_open).map(|unit| vec![unit]);
        }
        let level = self.level(wanted, is_open)?;
        Some(self.cheapest(need.cells, wanted, level, is_open))
    }

    /// What [`CorePool::cheapest`] gives for one, in one pass.
    fn cheapest_one(&self, cells: u64, is_open: &dyn Fn(&Unit) -> bool) -> Option<u32> {
        let by_group = |a: &Unit, b: &Unit| {
            if a.group == b.group {
                return Ordering::Equal;
            }
            let groups =
                || self.groups[a.group].cmp_load(&self.groups[b.group], 0).then(a.group.cmp(&b.group));
            self.cmp_domains(a.domain, b.domain, cells).then_with(groups)
        };
        let within = |unit: &Unit| (self.ranks_of_cores[unit.core as usize], unit.core);
        let open = (0u32..).zip(&self.units).filter(|(_, unit)| is_open(unit));
        let best = open.min_by(|(_, a), (_, b)| {
            let level = a.level().cmp(&b.level());
            level.then_with(|| by_group(a, b)).then_with(|| within(a).cmp(&within(b)))
        });
        best.map(|(index, _)| index)
    }

    /// The lowest level such that `wanted` open units are no higher.
    fn level(&self, wanted: u32, is_open: &dyn Fn(&Unit) -> bool) -> Option<Level> {
        let mut levels: Vec<Level> =
            self.units.iter().filter(|unit| is_open(unit)).map(Unit::level).collect();
        let at = (wanted as usize).checked_sub(1).filter(|at| *at < levels.len())?;
        Some(*levels.select_nth_unstable(at).1)
    }

    /// The open units at the lowest levels, the lowest numbers first.
    fn lowest(&self, wanted: u32, is_open: &dyn Fn(&Unit) -> bool) -> Option<Vec<u32>> {
        let open = (0u32..).zip(&self.units).filter(|(_, unit)| is_open(unit));
        let mut open: Vec<(Level, u32)> = open.map(|(index, unit)| (unit.level(), index)).collect();
        if open.len() < wanted as usize {
            return None;
        }
        open.sort_unstable();
        let mut units: Vec<u32> = open.into_iter().take(wanted as usize).map(|(_, index)| index).collect();
        units.sort_unstable();
        Some(units)
    }

    /// `wanted` open units: all those below `level`, and the rest of those at it.
    fn cheapest(&self, cells: u64, wanted: u32, level: Level, is_open: &dyn Fn(&Unit) -> bool) -> Vec<u32> {
        let open = || (0u32..).zip(&self.units).filter(|(_, unit)| is_open(unit));
        let mut chosen: Vec<u32> =
            open().filter(|(_, unit)| unit.level() < level).map(|(index, _)| index).collect();
        let more = wanted.saturating_sub(chosen.len() as u32);
        for group in self.choose_groups(cells, more, &|unit| unit.level() == level && is_open(unit)) {
            let left = (wanted as usize).saturating_sub(chosen.len());
            let here = open().filter(|(_, unit)| unit.group == group && unit.level() == level);
            // The threads of one core together, those of the core with the fewest ranks first.
            let key =
                |(index, unit): (u32, &Unit)| (self.ranks_of_cores[unit.core as usize], unit.core, index);
            let mut here: Vec<_> = here.map(key).collect();
            here.sort_unstable();
            chosen.extend(here.into_iter().take(left).map(|(_, _, index)| index));
        }
        chosen.sort_unstable();
        chosen
    }

    /// The groups from which to take `wanted` open units, the first ones first.
    fn choose_groups(&self, cells: u64, wanted: u32, is_open: &dyn Fn(&Unit) -> bool) -> Vec<usize> {
        let mut in_group = vec![0u32; self.groups.len()];
        let mut in_domain = vec![0u32; self.domains.len()];
        let mut domain_of = vec![0usize; self.groups.len()];
        for unit in self.units.iter().filter(|unit| is_open(unit)) {
            in_group[unit.group] += 1;
            in_domain[unit.domain] += 1;
            domain_of[unit.group] = unit.domain;
        }
        let by_domain = |a: usize, b: usize| self.cmp_domains(a, b, cells);
        let by_group = |a: usize, b: usize| self.groups[a].cmp_load(&self.groups[b], 0).then(a.cmp(&b));

        let one_group = (0..self.groups.len())
            .filter(|g| in_group[*g] >= wanted)
            .min_by(|a, b| by_domain(domain_of[*a], domain_of[*b]).then_with(|| by_group(*a, *b)));
        if let Some(group) = one_group {
            return vec![group];
        }
        // No L3 has room: as few of them as possible, in one domain if one has room.
        let one_domain =
            (0..self.domains.len()).filter(|d| in_domain[*d] >= wanted).min_by(|a, b| by_domain(*a, *b));
        let mut groups: Vec<usize> = (0..self.groups.len())
            .filter(|g| in_group[*g] > 0 && one_domain.is_none_or(|domain| domain_of[*g] == domain))
            .collect();
        groups.sort_by(|a, b| {
            let (da, db) = (domain_of[*a], domain_of[*b]);
            (in_domain[db].cmp(&in_domain[da]))
                .then_with(|| by_domain(da, db))
                .then_with(|| in_group[*b].cmp(&in_group[*a]))
                .then_with(|| by_group(*a, *b))
        });
        groups
    }

    /// Compares domains by the cells a core that they would run with one more of `cells`; ties by their order.
    fn cmp_domains(&self, a: usize, b: usize, cells: u64) -> Ordering {
        self.domains[a].share.cmp_load(&self.domains[b].share, share(cells, 1)).then(a.cmp(&b))
    }
}
