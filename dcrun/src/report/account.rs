//! Counts, record by record.

use super::Report;
use super::slowest::{Place, Times, slowest};
use dc_model::{Record, SubtaskId};
use dc_spool::job::Subtasks;

/// A subtask, as far as its records tell.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// How long its attempts ran, in ns.
    all_ns: u64,
    /// How long its newest measured attempt ran, in ns.
    ran_ns: u64,
    /// What of that a checkpoint keeps.
    kept_ns: u64,
    /// Where its newest attempt runs, or ran.
    place: Place,
    runs: bool,
    is_measured: bool,
    /// It went on from a checkpoint.
    is_partial: bool,
    is_done: bool,
}

/// What the records of a job add up to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Cells and cores, by subtask.
    needs: Vec<(u64, u32)>,
    seen: Vec<Seen>,
    host: String,
    cores: u32,
    usable: u32,
    runs: u64,
    predicted_ns: Option<u64>,
    /// Of the runs before this one.
    wall_before_ns: u64,
    /// Of this one, so far.
    wall_ns: u64,
    /// Core time that could have been used, of the runs before this one.
    capacity_before_ns: u128,
    core_ns: u64,
    lost_ns: u64,
    restarts: u64,
    attempts_lost: u64,
    unmeasured: u64,
}

impl Account {
    /// Of a job that has not begun.
    #[must_use]
    pub fn new(subtasks: &Subtasks) -> Self {
        let needs: Vec<_> = subtasks.iter().map(|subtask| (subtask.cells, subtask.cores.max(1))).collect();
        Self {
            seen: vec![Seen::default(); needs.len()],
            needs,
            host: String::new(),
            cores: 0,
            usable: 0,
            runs: 0,
            predicted_ns: None,
            wall_before_ns: 0,
            wall_ns: 0,
            capacity_before_ns: 0,
            core_ns: 0,
            lost_ns: 0,
            restarts: 0,
            attempts_lost: 0,
            unmeasured: 0,
        }
    }

    /// Takes one record in. One about a subtask that the job does not have is passed over.
    pub fn on_record(&mut self, record: &Record) {
        match record {
            Record::Epoch { .. } => {
                self.capacity_before_ns += self.capacity_ns();
                self.wall_before_ns = self.wall_before_ns.saturating_add(std::mem::take(&mut self.wall_ns));
                self.runs += 1;
            }
            Record::Node { host, cores, usable, predicted_ns } => {
                (self.host, self.cores, self.usable) = (host.clone(), *cores, *usable);
                if self.runs <= 1 {
                    self.predicted_ns = *predicted_ns;
                }
            }
            Record::Launched { subtask, rank, cpus, node, .. } => {
                let first = cpus.iter().next();
                let place = first.map_or(Place::Rank(rank.0), |cpu| Place::Cpu { node: *node, cpu });
                self.with(*subtask, |seen| {
                    *seen = Seen { all_ns: seen.all_ns, place, runs: true, ..Seen::default() };
                });
            }
            Record::Started { subtask, from, .. } => {
                self.with(*subtask, |seen| seen.is_partial = from.is_some());
            }
            Record::Measured { subtask, ended_ns, ran_ns, kept_ns, .. } => {
                self.wall_ns = self.wall_ns.max(*ended_ns);
                self.core_ns = self.core_ns.saturating_add(self.core_ns_of(*subtask, *ran_ns));
                self.with(*subtask, |seen| {
                    (seen.ran_ns, seen.kept_ns, seen.is_measured) = (*ran_ns, *kept_ns, true);
                    seen.all_ns = seen.all_ns.saturating_add(*ran_ns);
                });
            }
            Record::Done { subtask, .. } => self.with(*subtask, |seen| {
                (seen.is_done, seen.runs) = (true, false);
            }),
            Record::AttemptFailed { subtask, retry, .. } => {
                self.restarts += u64::from(*retry);
                self.lose(*subtask);
            }
            Record::GivenUp { subtask, .. } => self.lose(*subtask),
            Record::ResultLost { subtask, .. } => {
                self.with(*subtask, |seen| seen.is_done = false);
                self.lose(*subtask);
            }
            _ => {}
        }
    }

    /// Whether attempts have ended and nothing was measured: by a dc of before times were kept.
    #[must_use]
    pub fn is_of_old(&self) -> bool {
        let is_any = self.attempts_lost > 0 || self.seen.iter().any(|seen| seen.is_done);
        is_any && !self.is_measured()
    }

    /// Whether there are times, or were to be some: an epoch that keeps them says first what it runs on.
    fn is_measured(&self) -> bool {
        self.usable > 0 || self.seen.iter().any(|seen| seen.is_measured)
    }

    /// What there is to tell; nothing before the first attempt has ended.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let is_any = self.seen.iter().any(|seen| seen.is_measured) || self.attempts_lost > 0;
        if !is_any || !self.is_measured() {
            return None;
        }
        let wall_ns = self.wall_before_ns.saturating_add(self.wall_ns);
        let capacity_ns = self.capacity_before_ns + self.capacity_ns();
        let cells = self.needs.iter().map(|(cells, _)| *cells).filter(|cells| *cells > 0);
        let done = || self.seen.iter().filter(|seen| seen.is_done && seen.is_measured);
        Some(Report {
            runs: self.runs,
            host: self.host.clone(),
            subtasks_total: self.needs.len() as u32,
            done: self.needs.iter().zip(&self.seen).filter(|(need, seen)| need.0 == 0 || seen.is_done).count()
                as u64,
            restarts: self.restarts,
            attempts_lost: self.attempts_lost,
            unmeasured: self.unmeasured,
            wall_ns,
            predicted_ns: self.predicted_ns,
            balance: most_over_mean(cells),
            balance_time: most_over_mean(done().map(|seen| seen.all_ns)),
            cores: self.cores,
            usable: self.usable,
            efficiency: if capacity_ns == 0 { 0.0 } else { self.core_ns as f64 / capacity_ns as f64 },
            core_ns: self.core_ns,
            lost_ns: self.lost_ns,
            slowest: slowest(&self.times()),
        })
    }

    /// How long ranks ran in all, in ns, each core counted.
    #[must_use]
    pub fn core_ns(&self) -> u64 {
        self.core_ns
    }

    fn times(&self) -> Vec<Times> {
        let done = self.needs.iter().zip(&self.seen).enumerate().filter(|(_, (_, seen))| seen.is_done);
        let times =
            done.filter(|(_, (_, seen))| seen.is_measured).map(|(id, ((cells, cores), seen))| Times {
                subtask: SubtaskId(id as u32),
                cells: cells / u64::from(*cores),
                ran_ns: seen.ran_ns,
                place: seen.place,
                is_whole: !seen.is_partial,
            });
        times.collect()
    }

    fn capacity_ns(&self) -> u128 {
        u128::from(self.wall_ns) * u128::from(self.usable)
    }

    fn core_ns_of(&self, subtask: SubtaskId, ns: u64) -> u64 {
        let cores = self.needs.get(subtask.index()).map_or(1, |(_, cores)| *cores);
        ns.saturating_mul(u64::from(cores))
    }

    /// An attempt ended without success. One that was granted and never launched cost nothing.
    fn lose(&mut self, subtask: SubtaskId) {
        let Some(seen) = self.seen.get(subtask.index()).copied().filter(|seen| seen.runs) else { return };
        self.attempts_lost += 1;
        self.unmeasured += u64::from(!seen.is_measured);
        let lost_ns = self.core_ns_of(subtask, seen.ran_ns.saturating_sub(seen.kept_ns));
        self.lost_ns = self.lost_ns.saturating_add(lost_ns);
        self.with(subtask, |seen| seen.runs = false);
    }

    fn with(&mut self, subtask: SubtaskId, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.seen.get_mut(subtask.index()) {
            change(seen);
        }
    }
}

/// 1 where there is nothing.
fn most_over_mean(values: impl Iterator<Item = u64>) -> f64 {
    let (mut most, mut sum, mut count) = (0, 0u128, 0u32);
    for value in values {
        most = most.max(value);
        sum += u128::from(value);
        count += 1;
    }
    if sum == 0 { 1.0 } else { most as f64 * f64::from(count) / sum as f64 }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
