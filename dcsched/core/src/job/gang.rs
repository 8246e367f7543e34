//! A gang: the ranks of an MPI job. All of them are granted, launched and ended together: either every subtask of an
//! attempt is committed, or none is. Each rank has a fixed list of subtasks. What one rank does to the others is
//! decided here; plain jobs never come here.

use super::durable::JobPhase;
use super::event::{Action, Member};
use super::on::End;
use super::spec::{JobSpec, Need};
use super::{Entry, Job, Running, restart};
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
    pub(super) lists: Vec<Vec<SubtaskId>>,
    /// Each rank's needs.
    pub(super) needs: Vec<Need>,
    /// Each part, with a lane for each rank: all ranks are in one of them.
    pub(super) parts: BTreeMap<u32, Seats>,
    /// Where parts come and go: none of those that are there holds all ranks.
    pub(super) is_homeless: bool,
    /// The attempt that runs.
    pub(super) flight: Option<Flight>,
}

/// An attempt of the whole gang.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub attempt: Attempt,
    /// The part it is in; nothing as long as no node has said so, after a restart of the scheduler.
    pub part: Option<u32>,
    /// Each rank's cores, as far as they are known.
    pub seats: Vec<Option<Placement>>,
    /// How subtasks ended so far.
    pub ends: BTreeMap<SubtaskId, End>,
    /// The first that failed by itself.
    culprit: Option<SubtaskId>,
    /// The first that somebody else stopped, though the core had not asked for it.
    lost: Option<SubtaskId>,
    /// Some of it is gone, and that is nobody's failure.
    pub given_up: Option<GiveUp>,
    /// Whether a subtask got further than ever before.
    further: bool,
}

impl Flight {
    pub fn new(attempt: Attempt, part: Option<u32>, seats: Vec<Option<Placement>>) -> Self {
        let (culprit, lost, given_up, further) = (None, None, None, false);
        Self { attempt, part, seats, ends: BTreeMap::new(), culprit, lost, given_up, further }
    }

    /// Whether its ranks are being stopped.
    pub fn is_stopped(&self) -> bool {
        self.culprit.is_some() || self.lost.is_some() || self.given_up.is_some()
    }
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
        let mut parts = BTreeMap::new();
        if !spec.topology.cores.is_empty() {
            parts.insert(0, Seats::new(&JobSpec { needs: needs.clone(), ..spec.clone() }));
        }
        Self { lists, needs, parts, is_homeless: false, flight: None }
    }

    fn subtasks(&self) -> usize {
        self.lists.iter().map(Vec::len).sum()
    }

    /// Cores for every rank in the first part that has them, those with the most cells first; or none for any.
    fn try_seats(&mut self) -> Option<(u32, Vec<Placement>)> {
        let order = order(self.needs.iter().map(|need| (need.cells, need.cores)));
        let work = Work { order: &order, needs: &self.needs };
        self.parts.iter_mut().find_map(|(part, seats)| Some((*part, try_seats_in(seats, work)?)))
    }
}

fn try_seats_in(part: &mut Seats, work: Work<'_>) -> Option<Vec<Placement>> {
    let mut ready = part.ready();
    let class = |rank: &SubtaskId| part.class(*rank, work.needs[rank.index()]);
    let classes: Vec<u32> = work.order.iter().map(class).collect();
    for (place, class) in (0..).zip(&classes) {
        ready.insert(place, *class);
    }
    let mut seats: Vec<Option<Placement>> = vec![None; work.needs.len()];
    while let Some(seat) = part.try_seat(&ready, work) {
        ready.remove(seat.place, classes[seat.place as usize]);
        seats[seat.subtask.index()] = Some(seat.placement);
    }
    if seats.iter().any(Option::is_none) {
        for (rank, seat) in (0..).map(Rank).zip(seats) {
            seat.iter().for_each(|seat| part.give_back(rank, seat));
        }
        return None;
    }
    Some(seats.into_iter().flatten().collect())
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
            self.live.wait(&self.spec, subtask);
            while Some(self.durable.entries[subtask.index()].attempt) < last {
                let attempt = self.durable.entries[subtask.index()].attempt.next();
                self.commit(Record::Granted { subtask, attempt }, out);
                self.commit(Record::GivenUp { subtask, attempt, why: GiveUp::RunLost }, out);
            }
        }
    }

    /// Grants all subtasks at once, and launches them when all of that is on disk.
    pub(super) fn want_gang(&mut self, out: &mut Vec<Action>) {
        let Some(gang) = self.gang.as_ref().filter(|gang| gang.flight.is_none() && !gang.parts.is_empty())
        else {
            return;
        };
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
        let Some((part, seats)) = gang.try_seats() else {
            gang.is_homeless = true;
            if !self.spec.releases {
                // Nothing else runs: what does not fit now never will, and nobody would ever say so.
                self.on_stop(StopReason::Error, out);
            }
            return;
        };
        let lists = gang.lists.clone();
        while let Some(subtask) = self.live.queue().first_ready() {
            self.live.seat_queued(&self.spec, subtask);
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
        let before = self.durable.gang.as_ref().and_then(Entry::before);
        let flight = Flight::new(attempt, Some(part), seats.into_iter().map(Some).collect());
        if let Some(gang) = &mut self.gang {
            gang.flight = Some(flight);
        }
        out.push(Action::LaunchGang { attempt, members, before });
    }

    /// One subtask of the gang has ended. With the first that did not end well the others are stopped; what becomes
    /// of all of them is decided when the last one has ended.
    pub(super) fn on_gang_ended(&mut self, subtask: SubtaskId, end: End, out: &mut Vec<Action>) {
        self.live.unknown.remove(subtask);
        let further = self.live.on_reached(subtask, end.progress_cells);
        let is_running = self.durable.phase == JobPhase::Running;
        let Some(gang) = &mut self.gang else { return };
        let count = gang.subtasks();
        let Some(flight) = gang.flight.as_mut().filter(|flight| !flight.ends.contains_key(&subtask)) else {
            return;
        };
        flight.further |= further;
        let was_well = !flight.is_stopped();
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
        if was_well && flight.is_stopped() {
            self.stop_gang(SIGTERM, out);
        }
    }

    /// Stops what still runs of the gang. What is only thought to run is stopped when a node speaks of it.
    pub(super) fn stop_gang(&self, signal: u8, out: &mut Vec<Action>) {
        let Some((gang, flight)) = self.gang.as_ref().and_then(|gang| Some((gang, gang.flight.as_ref()?)))
        else {
            return;
        };
        let attempt = flight.attempt;
        for subtask in gang.lists.iter().flatten().copied().filter(|id| !flight.ends.contains_key(id)) {
            if let Some(part) = self.live.running(subtask).map(|running| running.placement.part) {
                out.push(Action::Stop { subtask, attempt, part, signal });
            }
        }
    }

    /// All have ended: all are done, or the one that failed counts and the others are given up.
    pub(super) fn on_gang_over(&mut self, out: &mut Vec<Action>) {
        let Some(flight) = self.take_flight() else { return };
        let attempt = flight.attempt;
        if flight.ends.values().all(|end| end.outcome.success() && !end.stopped) {
            self.live.starter_losses = 0;
            for (subtask, end) in flight.ends {
                self.commit(Record::Done { subtask, attempt, result: end.result }, out);
                self.live.on_done(subtask, self.durable.seq);
            }
            return;
        }
        let is_stopping = self.durable.phase != JobPhase::Running;
        let why = flight.given_up.unwrap_or(if is_stopping { GiveUp::Stopped } else { GiveUp::Gang });
        let mut may_go_on = true;
        let culprit = flight.culprit.or(flight.lost).filter(|_| flight.given_up.is_none());
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
                self.live.wait(&self.spec, failed);
            }
        }
        for subtask in flight.ends.into_keys().filter(|subtask| Some(*subtask) != culprit) {
            self.commit(Record::GivenUp { subtask, attempt, why }, out);
            self.live.wait(&self.spec, subtask);
        }
        if !may_go_on {
            // Nothing of a gang can go on alone, with --keep-going or without.
            self.on_stop(StopReason::SubtaskFailed, out);
        }
    }

    /// The starter or the node is gone, and the gang with it.
    pub(super) fn lose_gang(&mut self, why: GiveUp, out: &mut Vec<Action>) {
        let Some(flight) = self.take_flight() else { return };
        let lists = self.gang.as_ref().map(|gang| gang.lists.clone()).unwrap_or_default();
        let mut subtasks: Vec<SubtaskId> = lists.into_iter().flatten().collect();
        subtasks.sort_unstable();
        for subtask in subtasks {
            let attempt = flight.attempt;
            // Of one whose launch is not in the journal nobody knows more than that.
            let is_granted = self.durable.entries[subtask.index()].phase == super::Phase::Granted;
            let why = if is_granted { GiveUp::NodeLost } else { why };
            self.commit(Record::GivenUp { subtask, attempt, why }, out);
            self.live.wait(&self.spec, subtask);
        }
    }

    /// Nothing of it runs any more: its cores are free.
    fn take_flight(&mut self) -> Option<Flight> {
        let gang = self.gang.as_mut()?;
        let flight = gang.flight.take()?;
        gang.lists.iter().flatten().for_each(|subtask| self.live.forget(*subtask));
        if let Some(part) = flight.part.and_then(|part| gang.parts.get_mut(&part)) {
            for (rank, seat) in (0..).map(Rank).zip(&flight.seats) {
                seat.iter().for_each(|seat| part.give_back(rank, seat));
            }
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
#[path = "gang_tests.rs"]
mod tests;
