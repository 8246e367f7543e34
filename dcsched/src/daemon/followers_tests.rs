//! Followers: in order, none twice, bounded.

use super::*;
use crate::daemon::follower::{AHEAD_MAX, BACKLOG_BYTES_MAX};
use dc_model::{Attempt, SubtaskId};

const UUID: JobUuid = JobUuid([3; 16]);

fn record(n: u64) -> Record {
    Record::Granted { subtask: SubtaskId(n as u32), attempt: Attempt(1) }
}

fn follower() -> Follower {
    Follower::new(UUID, true, 0)
}

fn drain(followers: &mut Followers, link: LinkId) -> Vec<(u64, usize, u64)> {
    let mut got = Vec::new();
    while let Some(batch) = followers.get_mut(link, 1).unwrap().next_batch() {
        got.push((batch.first_seq, batch.records.len(), batch.durable_seq));
    }
    got
}

#[test]
fn a_follower_hears_each_decision_once_and_what_is_durable() {
    let mut all = Followers::default();
    assert_eq!(all.attach(100, 1, follower(), 0, 0), CatchUp::Records);
    (1..=3).for_each(|seq| all.on_record(1, seq, &record(seq)));
    assert_eq!(drain(&mut all, 100), [], "what is not on disk could be taken back");
    all.on_durable(1, 2);
    assert_eq!(drain(&mut all, 100), [(1, 2, 2)]);
    assert_eq!(drain(&mut all, 100), []);
    all.on_record(1, 4, &record(4));
    all.on_durable(1, 4);
    all.on_ended(1, 7);
    assert_eq!(all.get_mut(100, 1).unwrap().take_ended(), None, "not before what came before it");
    assert_eq!(drain(&mut all, 100), [(3, 2, 4)]);
    assert_eq!(all.get_mut(100, 1).unwrap().take_ended(), Some(7));
    all.forget(100, 1);
    assert_eq!(all.count(1), 0);
    assert!(all.jobs.is_empty() && all.by_link.is_empty(), "nothing is kept of it");
}

#[test]
fn who_comes_back_gets_what_it_lacks_or_the_state() {
    let mut all = Followers::default();
    (1..=10).for_each(|seq| all.on_record(1, seq, &record(seq)));
    all.on_durable(1, 10);
    assert_eq!(all.attach(100, 1, follower(), 10, 4), CatchUp::Records);
    assert_eq!(drain(&mut all, 100), [(5, 6, 10)]);
    assert_eq!(all.attach(101, 1, follower(), 10, 10), CatchUp::Records);
    assert_eq!(drain(&mut all, 101), [(11, 0, 10)]);
    assert_eq!(drain(&mut all, 101), []);
    // After a restart the decisions of before are not here.
    let mut all = Followers::default();
    assert_eq!(all.attach(100, 1, follower(), 10, 4), CatchUp::State);
    assert_eq!(drain(&mut all, 100), [(11, 0, 10)], "all of before is durable");
    all.on_record(1, 11, &record(11));
    assert_eq!(drain(&mut all, 100), []);
    all.on_durable(1, 11);
    assert_eq!(drain(&mut all, 100), [(11, 1, 11)]);
    assert_eq!(all.attach(101, 1, follower(), 11, 9), CatchUp::State);
    assert_eq!(all.attach(102, 1, follower(), 11, 10), CatchUp::Records);
}

#[test]
fn one_that_takes_nothing_costs_a_bounded_amount_and_is_told_the_state() {
    let mut all = Followers::default();
    all.attach(100, 1, follower(), 0, 0);
    let mut seq = 0;
    while !all.get_mut(100, 1).unwrap().wants_state {
        seq += 1;
        all.on_record(1, seq, &record(seq));
        assert!(all.get_mut(100, 1).unwrap().waiting_bytes <= BACKLOG_BYTES_MAX + 1000);
        assert!(seq < 1_000_000);
    }
    assert!(all.is_behind(100, 1));
    assert_eq!(drain(&mut all, 100), []);
    all.on_record(1, seq + 1, &record(1));
    assert!(all.get_mut(100, 1).unwrap().waiting.is_empty());
    all.get_mut(100, 1).unwrap().on_state(seq + 1, 0);
    all.on_record(1, seq + 2, &record(2));
    all.on_durable(1, seq + 2);
    assert_eq!(drain(&mut all, 100), [(seq + 2, 1, seq + 2)]);
    let history = &all.jobs[&1];
    assert!(history.history.len() <= HISTORY_MAX && history.history_bytes <= HISTORY_BYTES_MAX);
}

#[test]
fn credit_is_what_was_said_and_never_more_than_was_sent() {
    let mut all = Followers::default();
    all.attach(100, 1, follower(), 0, 0);
    let sent_of = |all: &mut Followers| -> u64 { drain(all, 100).iter().map(|(_, n, _)| *n as u64).sum() };
    let (mut seq, mut sent) = (0, 0);
    for _ in 0..AHEAD_MAX + 10 {
        seq += 1;
        all.on_record(1, seq, &record(seq));
        all.on_durable(1, seq);
        if seq % 1000 == 0 {
            sent += sent_of(&mut all);
        }
    }
    sent += sent_of(&mut all);
    assert_eq!(sent, AHEAD_MAX);
    all.on_window(100, 1, u64::MAX);
    assert_eq!(sent_of(&mut all), 10);
    assert!(all.get_mut(100, 1).unwrap().has_credit());
}

#[test]
fn one_that_may_is_asked_to_merge_and_another_when_it_is_gone() {
    let mut all = Followers::default();
    all.attach(99, 1, Follower::new(UUID, false, 0), 0, 0);
    all.want_merge(1);
    assert_eq!(all.take_merger(1), None, "the operator does not merge a user's results");
    all.attach(100, 1, follower(), 0, 0);
    all.attach(101, 1, follower(), 0, 0);
    assert_eq!(all.take_merger(1), Some((100, UUID)));
    assert_eq!(all.take_merger(1), None, "once");
    assert!(!all.take_merged(101, 1));
    assert_eq!(all.drop_link(100), [(1, true)]);
    assert_eq!(all.take_merger(1), Some((101, UUID)));
    assert!(all.take_merged(101, 1) && !all.take_merged(101, 1));
}
