//! How far a job is, in numbers and in words.

use super::amount::{count, duration, percent, plural};

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Whether subtasks are ranks: as many of the one as of the other.
    pub one_each: bool,
    /// Subtasks done.
    pub done: u64,
    /// All subtasks.
    pub total: u64,
    /// Subtasks that run now.
    pub running: u64,
    /// Subtasks that failed for good.
    pub failed: u64,
    /// Cells done, those of running subtasks as far as their ranks tell.
    pub cells_done: u64,
    /// All cells.
    pub cells_total: u64,
    /// Predicted time to the end, in ns, where something is known.
    pub left_ns: Option<u64>,
    /// Failed attempts that were started again.
    pub restarts: u64,
    /// Time since the start of this run, in ns.
    pub elapsed_ns: u64,
}

impl Progress {
    /// What people count: ranks, or subtasks where a rank takes several.
    fn unit(&self) -> &'static str {
        if self.one_each {
            plural(self.total, "rank", "ranks")
        } else {
            plural(self.total, "subtask", "subtasks")
        }
    }

    /// Whether cells say more than the count of subtasks does.
    fn has_cells(&self) -> bool {
        self.cells_total != self.total
    }

    fn tail(&self, out: &mut String) {
        if let Some(left) = self.left_ns.filter(|_| self.done < self.total) {
            out.push_str(&format!(", about {} left", duration(left)));
        }
        if self.restarts > 0 {
            out.push_str(&format!(", {} {}", self.restarts, plural(self.restarts, "restart", "restarts")));
        }
        if self.failed > 0 {
            out.push_str(&format!(", {} failed", self.failed));
        }
    }

    /// One line of words.
    #[must_use]
    pub fn line(&self) -> String {
        let mut out = format!("{} of {} {} done", self.done, self.total, self.unit());
        if self.has_cells() {
            let (done, total) = (self.cells_done, self.cells_total);
            out.push_str(&format!(
                ", {} of {} cells ({} %)",
                count(done),
                count(total),
                percent(done, total)
            ));
        }
        self.tail(&mut out);
        out
    }

    /// What stands beside the bar.
    #[must_use]
    pub fn beside_bar(&self) -> String {
        let mut out = format!(
            "{} %, {}/{} {}",
            percent(self.cells_done, self.cells_total),
            self.done,
            self.total,
            self.unit()
        );
        if self.has_cells() {
            out.push_str(&format!(", {}/{} cells", count(self.cells_done), count(self.cells_total)));
        }
        self.tail(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_known() {
        let mut p = Progress {
            done: 1,
            total: 4,
            cells_done: 1,
            cells_total: 4,
            one_each: true,
            ..Progress::default()
        };
        assert_eq!(p.line(), "1 of 4 ranks done");
        p = Progress {
            cells_done: 1_500,
            cells_total: 3_000,
            left_ns: Some(65_000_000_000),
            restarts: 1,
            ..p
        };
        assert_eq!(p.line(), "1 of 4 ranks done, 1,500 of 3,000 cells (50 %), about 1:05 left, 1 restart");
        assert_eq!(p.beside_bar(), "50 %, 1/4 ranks, 1,500/3,000 cells, about 1:05 left, 1 restart");
        p = Progress { one_each: false, failed: 2, restarts: 0, done: 4, ..p };
        assert_eq!(p.line(), "4 of 4 subtasks done, 1,500 of 3,000 cells (50 %), 2 failed");
    }
}
