//! Where this job runs among the other dcruns of the host: their claims are looked at, the cores that nobody uses are
//! preferred, and those that the job may come to use are claimed; all in one turn, so that two that start together
//! choose different ones.

use super::Surroundings;
use dc_model::{CpuSet, JobUuid, SubtaskId};
use dc_spool::job::JobRecord;
use dcd::claims::{Claim, Claims, NAME_BYTES_MAX, Neighbour, Says, crowd};
use dcsched_core::job::{JobSpec, Need, gang_fits};
use dcsched_core::place::Bind;
use dcsched_core::seats::{Seat, Seats, Work};
use std::cmp::Reverse;

/// What came of it.
#[derive(Debug)]
pub struct Claimed {
    /// What this job says of itself; its CPUs are those of the whole node where it is not bound.
    pub says: Says,
    /// The others.
    pub neighbours: Vec<Neighbour>,
    /// How many of its cores are used by others, and the job needs them all the same.
    pub shared_cores: usize,
    /// For those who want to know more, a line each.
    pub details: Vec<String>,
    /// Held for as long as the run lives. A host without a place for claims is none of the user's errors.
    _claim: Option<Claim>,
}

/// Chooses and claims.
pub fn claim(spec: &mut JobSpec, record: &JobRecord, at: &Surroundings) -> Claimed {
    settle(spec, record, at, true)
}

/// Chooses as [`claim`] would, and claims nothing.
pub fn look(spec: &mut JobSpec, record: &JobRecord, at: &Surroundings) -> Claimed {
    settle(spec, record, at, false)
}

fn settle(spec: &mut JobSpec, record: &JobRecord, at: &Surroundings, keeps: bool) -> Claimed {
    let outer = at.var("DC_JOB_UUID").and_then(|uuid| JobUuid::parse(uuid.to_str()?));
    let mut claimed = Claimed {
        says: Says {
            pid: std::process::id(),
            job: record.uuid,
            name: record.name.chars().take(NAME_BYTES_MAX).collect(),
            within: outer.into_iter().collect(),
            cpus: CpuSet::new(),
        },
        neighbours: Vec::new(),
        shared_cores: 0,
        details: Vec::new(),
        _claim: None,
    };
    let is_bound = spec.bind != Bind::None;
    let claims = match Claims::of_host() {
        Ok(claims) => claims,
        Err(error) => {
            claimed.details.push(format!("other dcruns of this host are not seen: {error}"));
            return claimed;
        }
    };
    let place = claims.path().display();
    let turn = claims.turn();
    if !turn.is_had() {
        claimed.details.push(format!("{place} is locked by somebody; going on without a turn of one's own"));
    }
    match claims.look() {
        Ok(seen) => {
            claimed.neighbours = seen.neighbours;
            let foreign = seen.foreign.iter().take(3).map(|name| name.escape_debug().to_string());
            let foreign = foreign.map(|name| format!("{place}/{name} is no claim; it is ignored"));
            claimed.details.extend(foreign);
        }
        Err(error) => claimed.details.push(format!("{place} cannot be read: {error}")),
    }
    // The job around this one knows the jobs around it.
    if let Some(around) = claimed.neighbours.iter().find(|other| Some(other.says.job) == outer) {
        claimed.says.within.extend(&around.says.within);
    }
    claimed.choose(spec);
    // One that is not bound claims nothing, but those inside of it should find who is around them.
    if keeps && (is_bound || outer.is_some()) {
        let cpus = if is_bound { claimed.says.cpus.clone() } else { CpuSet::new() };
        match claims.claim(&Says { cpus, ..claimed.says.clone() }) {
            Ok(claim) => claimed._claim = Some(claim),
            Err(error) => claimed.details.push(format!("{place}: no claim could be made: {error}")),
        }
    }
    claimed
}

impl Claimed {
    /// Tells the core which cores are wanted less, and finds the CPUs that the job will use.
    fn choose(&mut self, spec: &mut JobSpec) {
        self.choose_cores(spec);
        if spec.gang && !gang_fits(spec) {
            // What is wanted less must not keep ranks from running beside each other.
            spec.crowd.clear();
        }
    }

    fn choose_cores(&mut self, spec: &mut JobSpec) {
        let users = crowd(&self.neighbours, &self.says, &spec.topology.cores);
        if users.iter().any(|count| *count > 0) {
            spec.crowd.clone_from(&users);
        }
        let (used, cpus) = used_cores(spec);
        let used_count = used.iter().filter(|is_used| **is_used).count();
        if spec.bind == Bind::None {
            // Anywhere; in the way of others only if there is no room beside them.
            let free = users.iter().filter(|count| **count == 0).count();
            self.shared_cores = used_count.saturating_sub(free);
            self.says.cpus = spec.topology.cpus();
            return;
        }
        self.shared_cores =
            used.iter().zip(&users).filter(|(is_used, count)| **is_used && **count > 0).count();
        self.says.cpus = cpus;
        // What was claimed goes before what was not, so that the claim stays true as ranks come and go.
        if used_count < used.len() {
            spec.crowd =
                users.iter().zip(&used).map(|(count, is_used)| count * 2 + u32::from(!is_used)).collect();
        }
    }
}

/// Which cores the job uses when its widest subtasks run at once, and the CPUs that these are bound to.
fn used_cores(spec: &JobSpec) -> (Vec<bool>, CpuSet) {
    let mut subtasks: Vec<SubtaskId> = (0..).map(SubtaskId).take(spec.needs.len()).collect();
    let need = |subtask: &SubtaskId| spec.needs[subtask.index()];
    subtasks.retain(|subtask| need(subtask).cells > 0);
    let lanes = spec.ranks as usize;
    if subtasks.len() > lanes && lanes > 0 {
        // Those that together need the most.
        subtasks.select_nth_unstable_by_key(lanes - 1, |subtask| {
            Reverse((need(subtask).cores, need(subtask).cells))
        });
        subtasks.truncate(lanes);
    }
    subtasks.sort_unstable_by_key(|subtask| Reverse((need(subtask).cells, need(subtask).cores)));
    // Whatever memory they wait for, these are the cores.
    let needs: Vec<Need> = spec.needs.iter().map(|need| Need { mem_bytes: 0, ..*need }).collect();
    let mut seats = Seats::new(&JobSpec { needs: needs.clone(), ..spec.clone() });
    let work = Work { order: &subtasks, needs: &needs };
    let mut ready = seats.ready();
    let part = |seats: &Seats, place: u32| {
        let subtask = subtasks[place as usize];
        seats.class(subtask, needs[subtask.index()])
    };
    for place in 0..subtasks.len() as u32 {
        ready.insert(place, part(&seats, place));
    }
    let mut used = vec![false; spec.topology.cores.len()];
    let mut cpus = CpuSet::new();
    while let Some(first) = ready.first() {
        let seat = seats.try_seat(&ready, work);
        // One that finds no room keeps nobody from it here.
        let place = seat.as_ref().map_or(first, |seat| seat.place);
        ready.remove(place, part(&seats, place));
        if let Some(Seat { placement, .. }) = seat {
            seats.cores_of(&placement).for_each(|core| used[core as usize] = true);
            cpus = cpus.or(&placement.cpus);
        }
        if used.iter().all(|is_used| *is_used) || !seats.any_free() {
            break;
        }
    }
    (used, cpus)
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
