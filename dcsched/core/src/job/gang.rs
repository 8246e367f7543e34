//! A gang: the ranks of an MPI job. All of them are granted, launched and ended together: either every subtask of an
//! attempt is committed, or none is. Each rank has a fixed list of subtasks. What one rank does to the others is
//! decided here; plain jobs never come here.

use super::durable::JobPhase;
use super::event::{Action, Member};
use super::live::Running;
use super::on::End;
use super::spec::{JobSpec, Need};
use super::{Job, restart};
use crate::cost::order;
use crate::place::Placement;
use crate::seats::{Seats, Work};
use dc_model::{Attempt, GiveUp, Outcome, Rank, Record, Restart, StopReason, SubtaskId};
use std::collections::BTreeMap;

const SIGKILL: u8 = 9;
const SIGTERM: u8 = 15;

/// The ranks of a gang and, while they run, what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Gang {
    /// Each rank's subtasks.
    lists: Vec<Vec<SubtaskId>>,
    /// Each rank's needs.
    needs: Vec<Need>,
    /// The node, with a lane for each rank.
    node: Seats,
    /// The attempt that runs.
    flight: Option<Flight>,
}

/// An attempt of the whole gang.
#[derive(Clone, Debug)]
struct Flight {
    attempt: Attempt,
    /// Each rank's cores.
    seats: Vec<Placement>,
    /// How subtasks ended so far.
    ends: BTreeMap<SubtaskId, End>,
    /// The first that failed by itself.
    culprit: Option<SubtaskId>,
    /// The first that somebody else stopped, though the core had not asked for it.
    lost: Option<SubtaskId>,
    /// Whether a subtask got further than ever before.
    further: bool,
}

/// Which subtasks each of so many ranks computes: subtask i where there are as many, else longest first, each to the
/// rank that has the fewest cells so far. Subtasks without cells are nobody's.
#[must_use]
pub fn lists(needs: &[Need], ranks: u32) -> Vec<Vec<SubtaskId>> {
    let live = |id: &SubtaskId| needs[id.index()].cells > 0;
    if ranks as usize == needs.len() && needs.iter().all(|need| need.cells > 0) {
        return (0..ranks).map(|rank| vec![SubtaskId(rank)]).collect();
    }
    let mut lists = vec![Vec::new(); ranks as usize];
    let mut loads: std::collections::BTreeSet<(u128, u32)> = (0..ranks).map(|rank| (0, rank)).collect();
    for subtask in order(needs.iter().map(|need| (need.cells, need.cores))).into_iter().filter(live) {
        let Some((load, rank)) = loads.pop_first() else { break };
        lists[rank as usize].push(subtask);
        loads.insert((load + u128::from(needs[subtask.index()].cells), rank));
    }
    lists
}

/// Whether all ranks of a gang find cores and memory beside each other on the idle node, each with something to do.
#[must_use]
pub fn gang_fits(spec: &JobSpec) -> bool {
    let mut gang = Gang::new(spec);
    gang.lists.iter().all(|list| !list.is_empty()) && gang.try_seats().is_some()
}

impl Gang {
    pub(super) fn new(spec: &JobSpec) -> Self {
        let lists = lists(&spec.needs, spec.ranks);
        let of_rank = |list: &Vec<SubtaskId>| {
            list.iter().map(|id| spec.needs[id.index()]).fold(
                Need { cells: 0, cores: 1, mem_bytes: 0 },
                |sum, need| Need {
                    cells: sum.cells.saturating_add(need.cells),
                    cores: sum.cores.max(need.cores),
                    mem_bytes: sum.mem_bytes.saturating_add(need.mem_bytes),
                },
            )
        };
        let needs: Vec<Need> = lists.iter().map(of_rank).collect();
        let node = Seats::new(&JobSpec { needs: needs.clone(), ..spec.clone() });
        Self { lists, needs, node, flight: None }
    }

    fn subtasks(&self) -> usize {
        self.lists.iter().map(Vec::len).sum()
    }

    /// Cores for every rank, those with the most cells first; or none for any.
    fn try_seats(&mut self) -> Option<Vec<Placement>> {
        let order = order(self.needs.iter().map(|need| (need.cells, need.cores)));
        let work = Work { order: &order, needs: &self.needs };
        let mut ready = self.node.ready();
        let class = |rank: &SubtaskId| self.node.class(*rank, self.needs[rank.index()]);
        let classes: Vec<u32> = order.iter().map(class).collect();
        (0..).zip(&classes).for_each(|(place, class)| ready.insert(place, *class));
        let mut seats: Vec<Option<Placement>> = vec![None; self.needs.len()];
        while let Some(seat) = self.node.try_seat(&ready, work) {
            ready.remove(seat.place, classes[seat.place as usize]);
            seats[seat.subtask.index()] = Some(seat.placement);
        }
        if seats.iter().any(Option::is_none) {
            let some: Vec<_> = (0..).map(Rank).zip(seats).collect();
            for (rank, seat) in some {
                seat.iter().for_each(|seat| self.node.give_back(rank, seat));
            }
            return None;
        }
        Some(seats.into_iter().flatten().collect())
    }
}

impl Job {
    /// What of the time of a running subtask's rank is its own: all of it, but in a gang, where a rank computes several
    /// at once, by its cells.
    #[must_use]
    pub fn share_ns(&self, subtask: SubtaskId, ran_ns: u64) -> u64 {
        let rank = self.live.running(subtask).map(|running| running.rank);
        let of_rank = self.gang.as_ref().zip(rank).and_then(|(gang, rank)| gang.needs.get(rank.0 as usize));
        let Some(of_rank) = of_rank else { return ran_ns };
        let cells = self.spec.needs[subtask.index()].cells.min(of_rank.cells);
        let share = u128::from(ran_ns) * u128::from(cells) / u128::from(of_rank.cells.max(1));
        u64::try_from(share).unwrap_or(ran_ns)
    }

    /// All subtasks of a gang wait at the beginning, with one number for all of their last attempts: what an earlier
    /// epoch granted to some of them only costs the others a number too.
    pub(super) fn level_gang(&mut self, out: &mut Vec<Action>) {
        let Some(gang) = &self.gang else { return };
        let mut subtasks: Vec<SubtaskId> = gang.lists.iter().flatten().copied().collect();
        subtasks.sort_unstable();
        let is_waiting = |id: &SubtaskId| self.durable.entries[id.index()].phase == super::Phase::Waiting;
        subtasks.retain(is_waiting);
        let last = subtasks.iter().map(|id| self.durable.entries[id.index()].attempt).max();
        for subtask in subtasks {
            self.live.wait(subtask);
            while Some(self.durable.entries[subtask.index()].attempt) < last {
                let attempt = self.durable.entries[subtask.index()].attempt.next();
                self.commit(Record::Granted { subtask, attempt }, out);
                self.commit(Record::GivenUp { subtask, attempt, why: GiveUp::RunLost }, out);
            }
        }
    }

    /// Grants all subtasks at once, and launches them when all of that is on disk.
    pub(super) fn want_gang(&mut self, out: &mut Vec<Action>) {
        let Some(gang) = self.gang.as_ref().filter(|gang| gang.flight.is_none()) else { return };
        let count = gang.subtasks();
        if count > 0 && self.live.queue().waiting_count() == count {
            while let Some(subtask) = self.live.queue().first_waiting() {
                let attempt = self.durable.entries[subtask.index()].attempt.next();
                self.commit(Record::Granted { subtask, attempt }, out);
                self.live.on_granted(subtask, self.durable.seq);
            }
        }
        if count > 0 && self.live.queue().ready_count() == count {
            self.launch_gang(out);
        }
    }

    fn launch_gang(&mut self, out: &mut Vec<Action>) {
        let Some(gang) = &mut self.gang else { return };
        let Some(seats) = gang.try_seats() else {
            // Nothing else runs: what does not fit now never will, and nobody would ever say so.
            return self.on_stop(StopReason::Error, out);
        };
        let lists = gang.lists.clone();
        while let Some(subtask) = self.live.queue().first_ready() {
            self.live.queue().on_seated(subtask);
        }
        let mut attempt = Attempt(0);
        let mut members = Vec::with_capacity(lists.len());
        for ((rank, list), placement) in (0..).map(Rank).zip(lists).zip(&seats) {
            for subtask in &list {
                attempt = self.durable.entries[subtask.index()].attempt;
                let (subtask, cpus, node) = (*subtask, placement.cpus.clone(), placement.node);
                self.commit(Record::Launched { subtask, attempt, rank, cpus, node }, out);
                let (number, placement) = (self.durable.seq, placement.clone());
                let running =
                    Running { subtask, attempt, rank, placement, number, behind: None, follower: None };
                self.live.on_launched(running);
            }
            members.push(Member { rank, placement: placement.clone(), subtasks: list });
        }
        let before = self.durable.gang.as_ref().and_then(|shared| shared.before);
        let flight =
            Flight { attempt, seats, ends: BTreeMap::new(), culprit: None, lost: None, further: false };
        if let Some(gang) = &mut self.gang {
            gang.flight = Some(flight);
        }
        out.push(Action::LaunchGang { attempt, members, before });
    }

    /// One subtask of the gang has ended. With the first that did not end well the others are stopped; what becomes
    /// of all of them is decided when the last one has ended.
    pub(super) fn on_gang_ended(&mut self, subtask: SubtaskId, end: End, out: &mut Vec<Action>) {
        let reached = &mut self.live.cells_reached[subtask.index()];
        let further = end.progress_cells > *reached;
        *reached = end.progress_cells.max(*reached);
        let is_running = self.durable.phase == JobPhase::Running;
        let Some(gang) = &mut self.gang else { return };
        let count = gang.subtasks();
        let Some(flight) = gang.flight.as_mut().filter(|flight| !flight.ends.contains_key(&subtask)) else {
            return;
        };
        flight.further |= further;
        let was_well = flight.culprit.is_none() && flight.lost.is_none();
        if end.stopped {
            if was_well && is_running {
                flight.lost = Some(subtask);
            }
        } else if !end.outcome.success() {
            flight.culprit.get_or_insert(subtask);
        }
        flight.ends.insert(subtask, end);
        if flight.ends.len() == count {
            return self.on_gang_over(out);
        }
        if was_well && (flight.culprit.is_some() || flight.lost.is_some()) {
            let attempt = flight.attempt;
            let left: Vec<SubtaskId> = gang
                .lists
                .iter()
                .flatten()
                .copied()
                .filter(|id| gang.flight.as_ref().is_some_and(|flight| !flight.ends.contains_key(id)))
                .collect();
            for subtask in left {
                out.push(Action::Stop { subtask, attempt, signal: SIGTERM });
            }
        }
    }

    /// All have ended: all are done, or the one that failed counts and the others are given up.
    fn on_gang_over(&mut self, out: &mut Vec<Action>) {
        let Some(flight) = self.take_flight() else { return };
        let attempt = flight.attempt;
        if flight.ends.values().all(|end| end.outcome.success() && !end.stopped) {
            self.live.starter_losses = 0;
            for (subtask, end) in flight.ends {
                self.commit(Record::Done { subtask, attempt, result: end.result }, out);
                self.live.done_seq[subtask.index()] = self.durable.seq;
                self.live.last_done_seq = self.durable.seq;
            }
            return;
        }
        let is_stopping = self.durable.phase != JobPhase::Running;
        let why = if is_stopping { GiveUp::Stopped } else { GiveUp::Gang };
        let mut may_go_on = true;
        let culprit = flight.culprit.or(flight.lost);
        if let Some(failed) = culprit {
            let checkpoint = left_by_all(&flight);
            let advanced = checkpoint.is_some() || flight.further;
            let failures = self.durable.gang.as_ref().map_or(0, |shared| shared.failures).saturating_add(1);
            let outcome = match flight.ends[&failed].outcome {
                // It was stopped, and not by the core's word: whatever it made of that is no word of its own.
                Outcome::Exited(_) if flight.culprit.is_none() => Outcome::Signalled(SIGKILL),
                outcome => outcome,
            };
            let worthwhile = restart::is_worthwhile(outcome, advanced, self.spec.restart_on);
            let retry = worthwhile && failures <= self.spec.restarts;
            may_go_on = retry;
            let subtask = failed;
            self.commit(
                Record::AttemptFailed { subtask, attempt, outcome, checkpoint, advanced, retry },
                out,
            );
            if retry {
                self.live.wait(failed);
            }
        }
        for subtask in flight.ends.into_keys().filter(|subtask| Some(*subtask) != culprit) {
            self.commit(Record::GivenUp { subtask, attempt, why }, out);
            self.live.wait(subtask);
        }
        if !may_go_on {
            // Nothing of a gang can go on alone, with --keep-going or without.
            self.on_stop(StopReason::SubtaskFailed, out);
        }
    }

    /// The starter is gone, and the gang with it.
    pub(super) fn abandon_gang(&mut self, out: &mut Vec<Action>) {
        let Some(flight) = self.take_flight() else { return };
        let lists = self.gang.as_ref().map(|gang| gang.lists.clone()).unwrap_or_default();
        let mut subtasks: Vec<SubtaskId> = lists.into_iter().flatten().collect();
        subtasks.sort_unstable();
        for subtask in subtasks {
            let (attempt, why) = (flight.attempt, GiveUp::StarterLost);
            self.commit(Record::GivenUp { subtask, attempt, why }, out);
            self.live.wait(subtask);
        }
    }

    /// Nothing of it runs any more: its cores are free.
    fn take_flight(&mut self) -> Option<Flight> {
        let gang = self.gang.as_mut()?;
        let flight = gang.flight.take()?;
        gang.lists.iter().flatten().for_each(|subtask| self.live.forget(*subtask));
        for (rank, seat) in (0..).map(Rank).zip(&flight.seats) {
            gang.node.give_back(rank, seat);
        }
        Some(flight)
    }
}

/// A step that every subtask has left behind: each has a newer checkpoint or this one, of this attempt.
fn left_by_all(flight: &Flight) -> Option<Restart> {
    let of_attempt = |end: &End| end.checkpoint.filter(|left| left.attempt == flight.attempt);
    let steps: Option<Vec<u64>> =
        flight.ends.values().map(|end| of_attempt(end).map(|left| left.step)).collect();
    steps?.into_iter().min().map(|step| Restart { attempt: flight.attempt, step })
}

#[cfg(test)]
mod tests {
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
}
