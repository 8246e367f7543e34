//! How balanced a job is, in one or two lines.

use super::amount::{count, counted};
use crate::setup::plan::Plan;

/// For a job with costs: balance, predicted efficiency, and a better number of blocks if there is one.
#[must_use]
pub fn lines(plan: &Plan, subtasks: u32) -> Vec<String> {
    let runs = plan.seats.iter().flatten().count() as u64;
    let mut head = counted(u64::from(subtasks), "subtask", "subtasks");
    if runs < u64::from(subtasks) {
        head.push_str(&format!(" ({} without cells, never run)", count(u64::from(subtasks) - runs)));
    }
    let mut lines = vec![format!(
        "{head}, {}, balance {:.3} (max/mean), predicted efficiency {:.1} % at {} at a time",
        counted(plan.cells_total, "cell", "cells"),
        plan.balance,
        plan.efficiency * 100.0,
        plan.slots.min(u32::try_from(runs).unwrap_or(u32::MAX)),
    )];
    if let Some(parts) = plan.better_split {
        lines.push(format!("{parts} blocks would end sooner: --split {parts}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_at_most() {
        let mut plan = Plan {
            cores: 48,
            lanes: 64,
            slots: 48,
            cells_total: 660_000,
            balance: 1.0071,
            makespan: 20_000,
            efficiency: 0.6666,
            better_split: Some(96),
            forecast: None,
            seats: vec![Some((0, dc_model::CpuSet::new())); 64],
            starts: Vec::new(),
        };
        assert_eq!(
            lines(&plan, 64),
            [
                "64 subtasks, 660,000 cells, balance 1.007 (max/mean), predicted efficiency 66.7 % at 48 at a time",
                "96 blocks would end sooner: --split 96",
            ]
        );
        plan.better_split = None;
        plan.seats[0] = None;
        assert!(lines(&plan, 64)[0].starts_with("64 subtasks (1 without cells, never run), "));
        assert_eq!(lines(&plan, 64).len(), 1);
    }
}
