//! What became of a job: predicted and actual time, balance, efficiency, what was lost, what was slow. Counted from
//! the records of its decisions, by the run as they are made, and by `--report` as the journal holds them.

mod account;
mod slowest;

pub use account::Account;
#[cfg(test)]
pub use slowest::Place;
pub use slowest::{Slowest, Why};

/// What is told of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Its runs so far.
    pub runs: u64,
    /// Where the last of them ran.
    pub host: String,
    /// Subtasks.
    pub subtasks_total: u32,
    /// Those done.
    pub done: u64,
    /// Attempts that were started again after a failure.
    pub restarts: u64,
    /// Attempts that failed or were given up.
    pub attempts_lost: u64,
    /// Those of them of which nobody knows how long they ran: their dcrun died.
    pub unmeasured: u64,
    /// From the start of each run to the end of its last rank, in ns.
    pub wall_ns: u64,
    /// What was predicted for that before the first run, in ns.
    pub predicted_ns: Option<u64>,
    /// The dearest subtask over the mean, in cells.
    pub balance: f64,
    /// The longest subtask over the mean, in time, of those done.
    pub balance_time: f64,
    /// Cores that could be used.
    pub cores: u32,
    /// Those of them that ranks could hold at once.
    pub usable: u32,
    /// The time that ranks held cores over the time that they could have held them.
    pub efficiency: f64,
    /// The time that ranks held cores, in ns, each core counted.
    pub core_ns: u64,
    /// What of that was for nothing: of attempts that are not done, and beyond their newest checkpoint.
    pub lost_ns: u64,
    /// The subtask that took longest.
    pub slowest: Option<Slowest>,
}
