//! A gang and the parts that join and go, and a gang that a scheduler takes up when it was started again. All ranks are
//! in one part.

use super::durable::JobPhase;
use super::event::Action;
use super::gang::{Flight, Gang};
use super::on::{End, stop_signal};
use super::spec::JobSpec;
use super::take_up::Adopted;
use super::{Appetite, Job, Phase, Running};
use crate::seats::{PartSpec, Seats};
use dc_model::{GiveUp, Outcome, Rank, Record, SubtaskId, Topology};

const SIGKILL: u8 = 9;
const SIGTERM: u8 = 15;

impl Gang {
    pub fn join(&mut self, spec: &JobSpec, part: &PartSpec) {
        let none = Topology { host: String::new(), cores: Vec::new(), numa: Vec::new() };
        let needs = self.needs.clone();
        let mut seats = Seats::new(&JobSpec { needs, topology: none, ..spec.clone() });
        seats.join(part);
        if seats.has_parts() {
            self.parts.entry(part.part).or_insert(seats);
            self.is_homeless = false;
        }
    }

    /// A part is gone; whether the gang ran there.
    pub fn lose(&mut self, part: u32) -> bool {
        self.parts.remove(&part);
        self.flight.as_ref().is_some_and(|flight| flight.part == Some(part))
    }

    /// All cores that it does not run on, when it runs; all, when no part holds it, or none is needed any more.
    pub fn release(&mut self, is_over: bool) -> Vec<(u32, Vec<u32>)> {
        let is_known = self.flight.as_ref().is_none_or(|flight| flight.seats.iter().all(Option::is_some));
        let is_due = is_over || self.flight.is_some() || self.is_homeless;
        if !is_due || !is_known {
            return Vec::new();
        }
        let released = self.parts.values_mut().flat_map(|seats| seats.release(false)).collect();
        self.parts.retain(|_, seats| seats.has_parts());
        released
    }

    pub fn appetite(&self) -> Appetite {
        if self.flight.is_some() || !self.parts.is_empty() {
            return Appetite::default();
        }
        let cores: u64 = self.needs.iter().map(|need| u64::from(need.cores.max(1))).sum();
        let memory = self.needs.iter().fold(0u64, |sum, need| sum.saturating_add(need.mem_bytes));
        Appetite { cores, piece: u32::try_from(cores).unwrap_or(u32::MAX), piece_mem_bytes: memory }
    }

    pub fn node_of(&self, part: u32) -> Option<u32> {
        self.parts.get(&part).and_then(|seats| seats.node_of(part))
    }

    pub fn rank_of(&self, subtask: SubtaskId) -> Option<Rank> {
        let mut lists = (0..).zip(&self.lists);
        lists.find(|(_, list)| list.contains(&subtask)).map(|(rank, _)| Rank(rank))
    }
}

impl Job {
    /// Takes a gang up, if it is one. Where all of it is granted or launched it may run, and nodes will say so.
    /// Where only some is nothing of it does: a gang is launched when all its grants are on disk, and records of its
    /// ends come when all have ended. Then it begins anew.
    pub(super) fn take_up_gang(&mut self, out: &mut Vec<Action>) -> bool {
        let Some(gang) = &mut self.gang else { return false };
        let subtasks: Vec<SubtaskId> = gang.lists.iter().flatten().copied().collect();
        let entry = |subtask: &SubtaskId| &self.durable.entries[subtask.index()];
        let is_open =
            |subtask: &&SubtaskId| matches!(entry(subtask).phase, Phase::Granted | Phase::Computing);
        let open = subtasks.iter().filter(is_open).count();
        if open == 0 {
            self.level_gang(out);
        } else if open == subtasks.len() {
            let attempt = entry(&subtasks[0]).attempt;
            gang.flight = Some(Flight::new(attempt, None, vec![None; gang.lists.len()]));
            for subtask in subtasks {
                let entry = &self.durable.entries[subtask.index()];
                let node = (entry.phase == Phase::Computing).then_some(entry.node);
                self.live.unknown.insert(subtask, node, None);
            }
        } else {
            let phase = self.durable.phase;
            self.on_begin(out);
            if let JobPhase::Stopping(reason) = phase {
                self.on_stop(reason, out);
            }
        }
        true
    }

    /// A node says that it runs this subtask of the gang; what that rank has it has for all of its subtasks.
    pub(super) fn try_adopt_in_gang(&mut self, adopted: Adopted<'_>, out: &mut Vec<Action>) -> bool {
        let Adopted { subtask, attempt, rank, part, cores } = adopted;
        let Some(gang) = &mut self.gang else { return false };
        let is_its = gang.rank_of(subtask) == Some(rank);
        let (Some(flight), Some(seats)) = (&mut gang.flight, gang.parts.get_mut(&part)) else { return false };
        let at = rank.0 as usize;
        if !is_its || flight.part.is_some_and(|known| known != part) {
            return false;
        }
        let placement = match &flight.seats[at] {
            Some(seat) if seat.cores == cores => seat.clone(),
            Some(_) => return false,
            None => match seats.adopt(part, cores, gang.needs[at]) {
                Some(placement) => placement,
                None => return false,
            },
        };
        flight.part = Some(part);
        flight.seats[at] = Some(placement.clone());
        let is_stopped = flight.is_stopped();
        self.live.unknown.remove(subtask);
        if self.durable.entries[subtask.index()].phase == Phase::Granted {
            let (cpus, node) = (placement.cpus.clone(), placement.node);
            self.commit(Record::Launched { subtask, attempt, rank, cpus, node }, out);
        }
        let (number, behind, follower) = (self.durable.seq, None, None);
        self.live.on_launched(Running { subtask, attempt, rank, placement, number, behind, follower });
        let signal = match self.durable.phase {
            JobPhase::Stopping(reason) => Some(stop_signal(reason)),
            _ => is_stopped.then_some(SIGTERM),
        };
        if let Some(signal) = signal {
            out.push(Action::Stop { subtask, attempt, part, signal });
        }
        true
    }

    /// Of these subtasks of the gang no node has spoken: it goes down, and that is nobody's failure. It waits again when
    /// all that was found of it has ended.
    pub(super) fn give_up_gang(&mut self, unknown: Vec<SubtaskId>, out: &mut Vec<Action>) {
        let Some(gang) = &mut self.gang else { return };
        let count = gang.lists.iter().map(Vec::len).sum::<usize>();
        let Some(flight) = &mut gang.flight else { return };
        flight.given_up = Some(GiveUp::NodeLost);
        for subtask in unknown {
            self.live.unknown.remove(subtask);
            flight.ends.insert(subtask, End::lost());
        }
        if flight.ends.len() == count {
            self.on_gang_over(out);
        } else {
            self.stop_gang(SIGKILL, out);
        }
    }
}

impl End {
    fn lost() -> Self {
        let outcome = Outcome::Signalled(SIGKILL);
        Self { outcome, stopped: true, checkpoint: None, progress_cells: 0, result: None }
    }
}
