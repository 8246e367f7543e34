//! Which checkpoints and results a directory holds, by their names and lengths; none of them is opened.

use super::CliError;
use dc_model::{Attempt, Restart, SubtaskId};
use dc_spool::files::Dir;
use dc_spool::layout;
use std::collections::BTreeMap;

/// The files of one subtask, each with its length in bytes, from the oldest to the newest.
#[derive(Default, Debug)]
pub struct Held {
    pub checkpoints: Vec<(Restart, u64)>,
    pub results: Vec<(Attempt, u64)>,
}

/// The files of all subtasks.
#[derive(Default, Debug)]
pub struct Holdings {
    pub subtasks: BTreeMap<SubtaskId, Held>,
    /// Names that are not dc's, or left by an interrupted writer; relative to the directory.
    pub others: Vec<String>,
}

impl Holdings {
    /// Lists the directories.
    pub fn of(dir: &Dir) -> Result<Self, CliError> {
        let mut holdings = Self::default();
        if let Some(ckpt) = existing(dir, layout::CKPT)? {
            for entry in ckpt.list()? {
                let subtask = layout::parse_subtask_dir(&entry.name);
                match subtask.map(|id| (id, ckpt.subdir(&entry.name))) {
                    Some((id, Ok(sub))) => holdings.checkpoints(id, &sub)?,
                    _ => holdings.others.push(format!("{}/{}", layout::CKPT, entry.name.display())),
                }
            }
        }
        if let Some(results) = existing(dir, layout::RESULT)? {
            for entry in results.list()? {
                match layout::parse_result(&entry.name) {
                    Some((id, attempt)) => {
                        let len = results.len_bytes(&entry.name)?.unwrap_or(0);
                        holdings.subtasks.entry(id).or_default().results.push((attempt, len));
                    }
                    None => holdings.others.push(format!("{}/{}", layout::RESULT, entry.name.display())),
                }
            }
        }
        Ok(holdings)
    }

    fn checkpoints(&mut self, id: SubtaskId, sub: &Dir) -> Result<(), CliError> {
        for entry in sub.list()? {
            match layout::parse_checkpoint(&entry.name) {
                Some(at) => {
                    let len = sub.len_bytes(&entry.name)?.unwrap_or(0);
                    self.subtasks.entry(id).or_default().checkpoints.push((at, len));
                }
                None => {
                    let dir = layout::subtask_dir(id);
                    self.others.push(format!("{}/{dir}/{}", layout::CKPT, entry.name.display()));
                }
            }
        }
        if let Some(held) = self.subtasks.get_mut(&id) {
            held.checkpoints.sort_unstable();
        }
        Ok(())
    }
}

fn existing(dir: &Dir, name: &str) -> Result<Option<Dir>, CliError> {
    match dir.subdir(name) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}
