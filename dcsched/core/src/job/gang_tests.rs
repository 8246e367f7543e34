//! Gangs: what fits, who has which subtasks, whose time is whose.

use super::super::Event;
use super::*;

fn needs(cells: &[u64]) -> Vec<Need> {
    cells.iter().map(|cells| Need { cells: *cells, cores: 1, mem_bytes: 0 }).collect()
}

fn ids(list: &[u32]) -> Vec<SubtaskId> {
    list.iter().copied().map(SubtaskId).collect()
}

#[test]
fn a_gang_that_does_not_fit_ends_and_does_not_wait() {
    let spec = JobSpec { gang: true, ..JobSpec::plain(needs(&[1, 1, 1]), 3) };
    assert!(!gang_fits(&spec), "three ranks on two cores");
    let mut job = Job::new(spec);
    let mut out = Vec::new();
    job.step(0, Event::Begin, &mut out);
    let seq = job.durable().seq;
    job.step(1, Event::Durable { seq }, &mut out);
    assert_eq!(job.durable().phase, JobPhase::Ended(dc_model::exit::DC_ERROR), "{out:?}");
}

#[test]
fn a_ranks_time_is_shared_by_its_subtasks() {
    let spec = JobSpec { gang: true, ..JobSpec::plain(needs(&[1, 9, 5, 4, 0]), 2) };
    let mut job = Job::new(spec);
    let mut out = Vec::new();
    job.step(0, Event::Begin, &mut out);
    let seq = job.durable().seq;
    job.step(1, Event::Durable { seq }, &mut out);
    let shares: Vec<u64> = (0..4).map(|id| job.share_ns(SubtaskId(id), 900)).collect();
    assert_eq!(shares, [90, 810, 500, 400], "ranks of 1 + 9 and 5 + 4 cells");
    let mut plain = Job::new(JobSpec::plain(needs(&[1, 9]), 2));
    plain.step(0, Event::Begin, &mut out);
    assert_eq!(plain.share_ns(SubtaskId(1), 900), 900);
}

#[test]
fn as_many_ranks_as_subtasks_have_their_own() {
    assert_eq!(lists(&needs(&[1, 9, 5]), 3), [ids(&[0]), ids(&[1]), ids(&[2])]);
}

#[test]
fn fewer_ranks_share_by_cells() {
    assert_eq!(lists(&needs(&[1, 9, 5, 4, 0]), 2), [ids(&[1, 0]), ids(&[2, 3])]);
    assert_eq!(lists(&needs(&[7, 0]), 2), [ids(&[0]), ids(&[])], "too few for two ranks");
}
