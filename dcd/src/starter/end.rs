//! The end of everything: every rank and whatever came of it is killed, however it has hidden.

use super::Starter;
use crate::process::calls::{Whose, reap, signal_group, signal_process};
use crate::process::children::Own;
use nix::libc::SIGKILL;

impl Starter {
    pub(super) fn kill_all_and_tell(mut self) {
        self.kill_everything();
    }

    pub(super) fn kill_all(mut self) {
        self.kill_everything();
    }

    fn kill_everything(&mut self) {
        for (_, entry) in self.table.iter() {
            if let Some(process) = entry.process {
                let _ = signal_group(process.pid, SIGKILL as u8);
            }
        }
        let mut own = Own::open();
        loop {
            let Ok(children) = own.now() else { return };
            for child in children {
                let _ = signal_process(child, SIGKILL as u8);
            }
            while let Ok(Some(_)) = reap(Whose::Any) {}
            if reap(Whose::Any).is_err() {
                return;
            }
        }
    }
}
