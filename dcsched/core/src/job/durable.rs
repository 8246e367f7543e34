//! The job's durable state: what replaying the journal rebuilds, and nothing else.

use super::entry::{Entry, Phase, Refused};
use super::spec::{JobSpec, Need};
use dc_model::{Record, StopReason, SubtaskId};
use std::fmt::Write as _;

/// Where the job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobPhase {
    /// Before its first epoch.
    New,
    /// Grants and launches go on.
    Running,
    /// Nothing new starts.
    Stopping(StopReason),
    /// Results are being merged.
    Merging,
    /// The merged file is in place.
    Merged,
    /// With this exit status.
    Ended(u8),
}

impl JobPhase {
    /// The document's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Stopping(_) => "stopping",
            Self::Merging => "merging",
            Self::Merged => "merged",
            Self::Ended(_) => "ended",
        }
    }

    /// What a record about the whole job makes of it; records about one subtask leave it as it is.
    ///
    /// # Errors
    /// [`Refused`] when the record cannot stand here.
    pub fn after(self, record: &Record) -> Result<Self, Refused> {
        Ok(match (self, record) {
            (_, Record::Epoch { .. }) => Self::Running,
            (Self::New | Self::Ended(_), _) => return Err(Refused),
            (Self::Running | Self::Merging, Record::Stopping { reason }) => Self::Stopping(*reason),
            (Self::Running, Record::Merging) => Self::Merging,
            (Self::Running | Self::Merging, Record::ResultLost { .. }) => Self::Running,
            (Self::Merging, Record::Merged) => Self::Merged,
            (_, Record::Ended { status }) => Self::Ended(*status),
            (_, Record::Stopping { .. } | Record::Merging | Record::Merged | Record::ResultLost { .. }) => {
                return Err(Refused);
            }
            (phase, _) => phase,
        })
    }
}

/// Which subtask a record is about; none: about the whole job.
#[must_use]
pub fn subject(record: &Record) -> Option<SubtaskId> {
    match record {
        Record::Granted { subtask, .. }
        | Record::Launched { subtask, .. }
        | Record::Started { subtask, .. }
        | Record::Done { subtask, .. }
        | Record::AttemptFailed { subtask, .. }
        | Record::Measured { subtask, .. }
        | Record::ResultLost { subtask, .. }
        | Record::GivenUp { subtask, .. } => Some(*subtask),
        Record::Epoch { .. }
        | Record::Node { .. }
        | Record::Stopping { .. }
        | Record::Merging
        | Record::Merged
        | Record::Ended { .. } => None,
    }
}

/// The durable state of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durable {
    /// Where the job stands.
    pub phase: JobPhase,
    /// Its run: 1, 2 …
    pub epoch: u64,
    /// The last record taken in.
    pub seq: u64,
    /// Its subtasks, by id.
    pub entries: Vec<Entry>,
    /// What the ranks of a gang share: its failures, and the set of checkpoints it went on from. Where it stands is in
    /// `entries`.
    pub gang: Option<Entry>,
}

impl Durable {
    /// Before the first record.
    #[must_use]
    pub fn new(needs: &[Need]) -> Self {
        Self {
            phase: JobPhase::New,
            epoch: 0,
            seq: 0,
            entries: needs.iter().map(|need| Entry::new(need.cells)).collect(),
            gang: None,
        }
    }

    /// Before the first record of this job.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        Self { gang: spec.gang.then(|| Entry::new(1)), ..Self::new(&spec.needs) }
    }

    /// Takes one record in.
    ///
    /// # Errors
    /// [`Refused`] when it cannot stand here; nothing is changed then.
    pub fn update(&mut self, record: &Record) -> Result<(), Refused> {
        let phase = self.phase.after(record)?;
        match (subject(record), record) {
            (Some(subtask), _) => {
                if self.gang.is_some() && matches!(record, Record::ResultLost { .. }) {
                    return Err(Refused);
                }
                self.entries.get_mut(subtask.index()).ok_or(Refused)?.update(record)?;
                if self.phase == JobPhase::Merging && phase == JobPhase::Running {
                    // The others' results are where they were.
                    let merging = self.entries.iter_mut().filter(|entry| entry.phase == Phase::Merging);
                    merging.for_each(|entry| entry.phase = Phase::Computed);
                }
            }
            (None, Record::Epoch { epoch }) => {
                if *epoch <= self.epoch {
                    return Err(Refused);
                }
                self.epoch = *epoch;
                for entry in &mut self.entries {
                    entry.update(record)?;
                }
                if self.gang.is_some() {
                    self.uncommit_parts();
                }
            }
            (None, Record::Merging) => {
                if self.entries.iter().any(|e| !matches!(e.phase, Phase::Computed | Phase::Completed)) {
                    return Err(Refused);
                }
                for entry in &mut self.entries {
                    entry.update(record)?;
                }
            }
            (None, Record::Merged) => {
                for entry in &mut self.entries {
                    entry.update(record)?;
                }
            }
            (None, _) => {}
        }
        if let Some(shared) = &mut self.gang {
            shared.share(record);
        }
        self.phase = phase;
        self.seq += 1;
        Ok(())
    }

    /// A gang is committed as a whole: where the record of one of its subtasks is missing, the others do not count.
    fn uncommit_parts(&mut self) {
        if self.entries.iter().all(|e| matches!(e.phase, Phase::Computed | Phase::Completed)) {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.phase == Phase::Computed) {
            entry.phase = Phase::Waiting;
            entry.result = None;
        }
    }

    /// The state as text, in id order: what tests compare.
    #[must_use]
    pub fn projection(&self) -> String {
        let mut text = format!("job {:?} epoch {} seq {}\n", self.phase, self.epoch, self.seq);
        for (id, entry) in self.entries.iter().enumerate() {
            let _ = writeln!(text, "{id} {entry:?}");
        }
        if let Some(shared) = &self.gang {
            let _ = writeln!(text, "gang {shared:?}");
        }
        text
    }
}
