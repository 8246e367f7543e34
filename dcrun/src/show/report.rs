//! A report, as lines and as an object.

use super::amount::{count, measured, plural};
use crate::events::{Event, SlowestObject};
use crate::report::{Report, Slowest, Why};
use dc_spool::job::Subtasks;

/// The lines.
#[must_use]
pub fn lines(subtasks: &Subtasks, report: &Report) -> Vec<String> {
    let mut lines = vec![first(report), second(report)];
    lines.extend(report.slowest.as_ref().map(|slowest| of_slowest(subtasks, slowest)));
    lines
}

/// Times, and how well the cores were used.
fn first(report: &Report) -> String {
    let mut line = format!("took {}", measured(report.wall_ns));
    if report.runs > 1 {
        line.push_str(&format!(" in {} runs", report.runs));
    }
    line.push_str(&match report.predicted_ns {
        Some(ns) => {
            format!(", predicted {} ({})", measured(ns), off(report.wall_ns, ns))
        }
        None => ", nothing was predicted".to_owned(),
    });
    line.push_str(&format!(
        "; balance {:.3} in cells, {:.3} in time; efficiency {:.1} % of {} {}",
        report.balance,
        report.balance_time,
        report.efficiency * 100.0,
        report.usable,
        plural(u64::from(report.usable), "core", "cores"),
    ));
    if report.usable < report.cores {
        line.push_str(&format!(" (of {})", report.cores));
    }
    line
}

fn off(found: u64, predicted: u64) -> String {
    if predicted == 0 {
        return "-".to_owned();
    }
    format!("{:+.0} %", (found as f64 / predicted as f64 - 1.0) * 100.0)
}

/// What it cost, and what of that was for nothing.
fn second(report: &Report) -> String {
    let mut line = format!("{} core-hours", core_hours(report.core_ns));
    if report.attempts_lost == 0 {
        line.push_str(", nothing lost");
        return line;
    }
    line.push_str(&format!(
        "; work lost: {} of {} {} ({} {})",
        measured(report.lost_ns),
        count(report.attempts_lost),
        plural(report.attempts_lost, "attempt", "attempts"),
        count(report.restarts),
        plural(report.restarts, "restart", "restarts"),
    ));
    if report.unmeasured > 0 {
        line.push_str(&format!(", {} of them not measured", count(report.unmeasured)));
    }
    line
}

/// Three digits that say something.
fn core_hours(core_ns: u64) -> String {
    let hours = core_ns as f64 / 3.6e12;
    match hours {
        hours if hours >= 100.0 => format!("{hours:.0}"),
        hours if hours >= 1.0 => format!("{hours:.2}"),
        hours => format!("{hours:.5}"),
    }
}

fn of_slowest(subtasks: &Subtasks, slowest: &Slowest) -> String {
    let name = subtasks.get(slowest.subtask).and_then(|subtask| subtask.name.clone());
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let ratio = |per_mille: u64| format!("{}.{:02}", per_mille / 1000, per_mille / 10 % 100);
    let own = slowest.expected_ns.map(|ns| {
        let per_mille = (u128::from(slowest.ran_ns) * 1000).checked_div(u128::from(ns)).unwrap_or(0);
        ratio(u64::try_from(per_mille).unwrap_or(u64::MAX))
    });
    let why = match (slowest.why, own, slowest.core_per_mille) {
        (Why::Cells, Some(own), _) => format!("{own} times what its cells take elsewhere: as it should be"),
        (Why::Core, Some(own), Some(core)) => format!(
            "{own} times what its cells take elsewhere: its core was slow, others there took {} times theirs",
            ratio(core)
        ),
        (Why::Subtask, Some(own), Some(core)) => format!(
            "{own} times what its cells take elsewhere: it is dear itself, others on its core took {} times theirs",
            ratio(core)
        ),
        (Why::Alone, Some(own), _) => {
            format!("{own} times what its cells take elsewhere; it or its core: no other ran there")
        }
        _ => "too few others to tell why".to_owned(),
    };
    format!(
        "slowest: subtask {}{name}, {} on {place}: {why}",
        slowest.subtask,
        measured(slowest.ran_ns),
        place = slowest.place
    )
}

/// The object.
#[must_use]
pub fn event<'a>(subtasks: &Subtasks, report: &'a Report) -> Event<'a> {
    Event::Report {
        host: &report.host,
        runs: report.runs,
        subtasks_total: report.subtasks_total,
        done: report.done,
        wall_ns: report.wall_ns,
        predicted_ns: report.predicted_ns,
        balance: report.balance,
        balance_time: report.balance_time,
        efficiency: report.efficiency,
        cores: report.cores,
        usable: report.usable,
        core_ns: report.core_ns,
        core_hours: report.core_ns as f64 / 3.6e12,
        lost_ns: report.lost_ns,
        attempts_lost: report.attempts_lost,
        unmeasured: report.unmeasured,
        restarts: report.restarts,
        slowest: report.slowest.map(|slowest| SlowestObject {
            subtask: slowest.subtask.0,
            name: subtasks.get(slowest.subtask).map(|subtask| subtask.shown(slowest.subtask)),
            ran_ns: slowest.ran_ns,
            expected_ns: slowest.expected_ns,
            core_ratio: slowest.core_per_mille.map(|per_mille| per_mille as f64 / 1000.0),
            why: slowest.why.word(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Place;
    use dc_model::{Subtask, SubtaskId};

    fn report() -> Report {
        Report {
            runs: 1,
            host: "n1".to_owned(),
            subtasks_total: 64,
            done: 64,
            restarts: 0,
            attempts_lost: 0,
            unmeasured: 0,
            wall_ns: 12_300_000_000,
            predicted_ns: Some(12_000_000_000),
            balance: 1.0071,
            balance_time: 1.031,
            cores: 48,
            usable: 48,
            efficiency: 0.9712,
            core_ns: 573_000_000_000,
            lost_ns: 0,
            slowest: None,
        }
    }

    #[test]
    fn three_lines_at_most() {
        let mut named = Subtask::plain(9, 1);
        named.name = Some("tile".into());
        let subtasks = Subtasks::from_list([named]).unwrap();
        let mut report = report();
        assert_eq!(
            lines(&subtasks, &report),
            [
                "took 12.300 s, predicted 12.000 s (+2 %); balance 1.007 in cells, 1.031 in time; efficiency 97.1 % of 48 cores",
                "0.15917 core-hours, nothing lost",
            ]
        );
        report = Report {
            runs: 2,
            predicted_ns: None,
            usable: 1,
            restarts: 1,
            attempts_lost: 2,
            unmeasured: 1,
            lost_ns: 3_000_000_000,
            slowest: Some(Slowest {
                subtask: SubtaskId(0),
                ran_ns: 4_000_000_000,
                expected_ns: Some(2_000_000_000),
                place: Place::Cpu { node: 0, cpu: 3 },
                core_per_mille: Some(1900),
                why: Why::Core,
            }),
            ..report
        };
        assert_eq!(
            lines(&subtasks, &report),
            [
                "took 12.300 s in 2 runs, nothing was predicted; balance 1.007 in cells, 1.031 in time; efficiency 97.1 % of 1 core (of 48)",
                "0.15917 core-hours; work lost: 3.000 s of 2 attempts (1 restart), 1 of them not measured",
                "slowest: subtask 0 tile, 4.000 s on CPU 3: 2.00 times what its cells take elsewhere: its core was slow, others there took 1.90 times theirs",
            ]
        );
        let why = |why| of_slowest(&subtasks, &Slowest { why, ..report.slowest.unwrap() });
        assert!(why(Why::Subtask).ends_with("it is dear itself, others on its core took 1.90 times theirs"));
        assert!(why(Why::Alone).ends_with("it or its core: no other ran there"));
        assert!(why(Why::Cells).ends_with("as it should be"));
        assert!(why(Why::Unknown).ends_with("too few others to tell why"));
    }
}
