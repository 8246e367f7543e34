//! A plan as a page of text.

use super::amount::{count, counted, measured, plural};
use super::canvas::Canvas;
use super::{balance, map};
use crate::events::{self, Event, Predicted};
use crate::setup::learned::Source;
use crate::setup::plan::{Forecast, Plan};
use dc_model::{CpuSet, SubtaskId};
use dc_spool::job::{Bind, JobRecord};
use dcd::topology::Found;
use std::fmt::Write as _;

/// The whole page: the head, the machine, then one line a subtask.
#[must_use]
pub fn page(record: &JobRecord, plan: &Plan, found: &Found, canvas: Canvas) -> String {
    let topology = &found.topology;
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "job {} on {}: {} allowed (CPUs {}), {}, {} at a time",
        record.name,
        topology.host.escape_debug(),
        counted(u64::from(plan.cores), "core", "cores"),
        topology.cpus(),
        counted(u64::from(plan.lanes), "rank", "ranks"),
        plan.slots
    );
    if let Some(family) = record.options.mpi {
        let _ = writeln!(out, "an MPI job, {}: all ranks run at once", family.name());
    }
    for line in balance::lines(plan, record.subtasks.len()) {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "predicted makespan {} a core", counted(plan.makespan, "cell", "cells"));
    if let Some(forecast) = &plan.forecast {
        let _ = writeln!(out, "{}", in_time(forecast));
    }
    let is_bound = record.options.bind != Some(Bind::None);
    for line in std::iter::once(String::new()).chain(map::draw(
        found,
        &packages(record, plan, found),
        is_bound,
        canvas,
    )) {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(
        out,
        "\n{:>8}  {:>12}{}  {:>5}  {:>7}  {:<23} name",
        "subtask",
        "cells",
        plan.forecast.as_ref().map_or(String::new(), |_| format!("  {:>9}", "seconds")),
        "rank",
        "cpus",
        "block"
    );
    for (id, (subtask, seat)) in record.subtasks.iter().zip(&plan.seats).enumerate() {
        let (rank, cpus) = match seat {
            Some((rank, cpus)) => (rank.to_string(), shown_cpus(cpus)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let block = subtask.block.map_or_else(|| "-".to_owned(), |block| block.to_string());
        let name = subtask.shown(SubtaskId(id as u32));
        let seconds = predicted_ns(plan, id).map_or(String::new(), |ns| format!("  {:>9}", seconds(ns)));
        let _ = writeln!(
            out,
            "{id:>8}  {:>12}{seconds}  {rank:>5}  {cpus:>7}  {block:<23} {name}",
            subtask.cells
        );
    }
    out
}

/// The same as objects: the plan, then one a subtask.
#[must_use]
pub fn all_events<'a>(record: &'a JobRecord, plan: &Plan, host: &'a str) -> Vec<Event<'a>> {
    let head = Event::Plan {
        name: &record.name,
        host,
        cores: plan.cores,
        lanes: plan.lanes,
        slots: plan.slots,
        subtasks_total: record.subtasks.len(),
        cells_total: plan.cells_total,
        balance: plan.balance,
        makespan: plan.makespan,
        efficiency: plan.efficiency,
        better_split: plan.better_split,
        predicted: plan.forecast.as_ref().map(|forecast| Predicted {
            makespan_ns: forecast.makespan_ns,
            core_ns: forecast.core_ns,
            source: forecast.known.source.word(),
            observations: forecast.known.observations,
            last_unix_s: forecast.known.last_s,
        }),
    };
    let subtasks = record.subtasks.iter().zip(&plan.seats).enumerate().map(|(id, (subtask, seat))| {
        let (rank, cpus) =
            seat.as_ref().map_or((None, Vec::new()), |(rank, cpus)| (Some(*rank), events::cpus(cpus)));
        Event::Subtask {
            id: id as u32,
            name: subtask.shown(SubtaskId(id as u32)),
            cells: subtask.cells,
            block: subtask.block.map(events::block),
            rank,
            cpus,
            predicted_ns: predicted_ns(plan, id),
        }
    });
    std::iter::once(head).chain(subtasks).collect()
}

/// The page as lines without times: the machine stands behind the plan.
#[must_use]
pub fn events(record: &JobRecord, plan: &Plan, found: &Found) -> Vec<Vec<u8>> {
    let mut all = all_events(record, plan, &found.topology.host);
    all.insert(1, map::event(found, &packages(record, plan, found)));
    all.iter().map(|event| events::line(event, None)).collect()
}

fn packages<'a>(record: &JobRecord, plan: &Plan, found: &'a Found) -> Vec<map::Package<'a>> {
    map::packages(found, plan, |subtask| record.subtasks.get(subtask).map_or(0, |subtask| subtask.cells))
}

/// What runs before predict, and on what that rests.
fn in_time(forecast: &Forecast) -> String {
    let known = &forecast.known;
    let whose = match known.source {
        Source::Same => "",
        Source::OtherArguments => ", which had other arguments",
        Source::OtherNode => ", which ran on another node",
    };
    let dearest = forecast.subtask_ns.iter().copied().max().unwrap_or(0);
    format!(
        "predicted {}, {:.5} core-hours, the dearest subtask {}: from {} {} of this kernel{whose}, the last {}",
        measured(forecast.makespan_ns),
        forecast.core_ns as f64 / 3.6e12,
        measured(dearest),
        count(known.observations),
        plural(known.observations, "subtask", "subtasks"),
        ago(known.last_s),
    )
}

/// How long ago that was.
fn ago(then_s: u64) -> String {
    let now_s =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    match now_s.saturating_sub(then_s) {
        s @ 0..120 => format!("{s} s ago"),
        s @ 120..7200 => format!("{} minutes ago", s / 60),
        s @ 7200..172_800 => format!("{} hours ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

fn predicted_ns(plan: &Plan, id: usize) -> Option<u64> {
    plan.forecast.as_ref()?.subtask_ns.get(id).copied()
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

fn shown_cpus(cpus: &CpuSet) -> String {
    if cpus.is_empty() { "any".to_owned() } else { cpus.to_string() }
}
