//! What dcrun's user has before him of a job, whether it runs on this machine or in a cluster: what is said, shown and
//! counted of it. No decision is made here, and no process is known.

mod pulse;
mod sight;
mod tally;
mod tell;

pub use pulse::Pulse;
pub use sight::{Here, Lane, Sight};
pub use tally::Tally;
pub use tell::{Ending, Verdict, is_stopping};

use crate::console::{self, Console};
use crate::events::{self, Event};
use crate::report::Account;
use crate::request::{Verbosity, View};
use crate::signals::{Presses, Wish, has_terminal};
use dc_model::{Rank, StopReason};
use dc_spool::job::JobRecord;
use std::io::ErrorKind;
use std::time::Instant;

/// The user's side of a job.
#[derive(Debug)]
pub struct Front {
    /// All that is shown.
    pub console: Console,
    /// How dcrun behaves towards its user.
    pub view: View,
    /// What the job is.
    pub record: JobRecord,
    /// When dcrun began.
    pub began: Instant,
    /// What was done so far.
    pub tally: Tally,
    /// What the report will be of.
    pub account: Account,
    /// When progress is shown.
    pub pulse: Pulse,
    /// Presses of Ctrl-C.
    pub presses: Presses,
    /// Whether the report is told without being asked for.
    pub has_costs: bool,
    /// A failed rank with a status that dcrun uses too.
    pub own_status: Option<(u8, Rank)>,
    /// Why standard output cannot be written, once it cannot.
    pub stdout_failed: Option<StopReason>,
}

/// When ranks are warned, counted from the start of the run.
pub fn warning_ns(view: &View) -> Option<u64> {
    let limit_ns = u64::try_from(view.time_limit?.as_nanos()).unwrap_or(u64::MAX);
    Some(limit_ns.saturating_sub(view.warning?.before_ms.saturating_mul(1_000_000)))
}

/// What a front is made of.
#[derive(Debug)]
pub struct Parts {
    /// What the job is.
    pub record: JobRecord,
    /// How dcrun behaves towards its user.
    pub view: View,
    /// Where events go.
    pub events: console::Events,
    /// When dcrun began.
    pub began: Instant,
    /// What was done so far.
    pub tally: Tally,
    /// What earlier runs have left for the report.
    pub account: Account,
    /// Whether the report is told without being asked for.
    pub has_costs: bool,
}

impl Front {
    /// Starts the console; `told` is called from its thread.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(parts: Parts, told: impl Fn(console::Told) + Send + 'static) -> std::io::Result<Self> {
        let Parts { record, view, events, began, tally, account, has_costs } = parts;
        let has_events = !matches!(events, console::Events::None);
        let style = match view.verbosity {
            Verbosity::Quiet => console::Style::None,
            // A line without an end is shown at once, and a bar has no place below it.
            _ if console::can_draw() && view.unbuffered => console::Style::None,
            _ if console::can_draw() => console::Style::Bar,
            _ => console::Style::Lines,
        };
        let setup = console::Setup { label: view.label.then_some(record.options.ranks), style, events };
        Ok(Self {
            console: Console::start(setup, told)?,
            pulse: Pulse::new(style, has_events),
            view,
            record,
            began,
            tally,
            account,
            presses: Presses::default(),
            has_costs,
            own_status: None,
            stdout_failed: None,
        })
    }

    /// Nanoseconds since dcrun began.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes one event, where somebody wants it.
    pub fn event<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.console.has_events() {
            self.console.event(events::line(&event(), Some(self.now_ns())));
        }
    }

    /// Says a line, whatever was asked for.
    pub fn say(&self, text: impl Into<String>) {
        self.console.say(text);
    }

    /// Says a line, unless only errors are to be said.
    pub fn say_if_not_quiet(&self, text: impl Into<String>) {
        if self.view.verbosity > Verbosity::Quiet {
            self.console.say(text);
        }
    }

    /// Says a line to those who want to know more.
    pub fn tell_detail(&self, text: impl FnOnce() -> String) {
        if self.view.verbosity == Verbosity::Verbose {
            self.console.say(text());
        }
    }

    /// What a signal asks for.
    pub fn on_signal(&mut self, signal: u8) -> Wish {
        let now_ns = self.now_ns();
        self.presses.on_signal(signal, now_ns, has_terminal())
    }

    /// Standard output cannot be written: why the job is to be stopped.
    pub fn on_stdout_failed(&mut self, error: &std::io::Error) -> StopReason {
        let reason = match error.kind() {
            ErrorKind::BrokenPipe => StopReason::BrokenPipe,
            _ => {
                self.say(format!("cannot write standard output: {error}; the job is stopped"));
                StopReason::Error
            }
        };
        self.stdout_failed = Some(reason);
        reason
    }
}
