//! The progress bar on a terminal; the one file that names indicatif.

use crate::show::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, which must be a terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Draws the first one.
    #[must_use]
    pub fn new(progress: &Progress) -> Self {
        let bar = ProgressBar::with_draw_target(Some(progress.cells_total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let bar = Self(bar);
        bar.show(progress);
        bar
    }

    /// Draws how far the job is now.
    pub fn show(&self, progress: &Progress) {
        self.0.set_message(progress.beside_bar());
        self.0.set_position(progress.cells_done);
        self.0.tick();
    }

    /// Takes the bar away while something else is written to its terminal.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the bar away for good.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
