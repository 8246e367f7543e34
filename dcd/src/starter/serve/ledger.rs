//! The reports that matter, numbered from 1, and kept until somebody says that they are safe elsewhere. What is kept is
//! bounded: when so many wait nothing is launched any more, and lines for the user are dropped and counted.

use dc_model::wire::{FromStarter, Known};
use dc_model::{Attempt, SubtaskId};
use std::collections::{HashMap, VecDeque};

/// So many reports wait at most before nothing more is launched. What runs by then adds a few each.
pub const REPORTS_MAX: usize = 32 << 10;

#[derive(Debug)]
struct Kept {
    /// The whole frame.
    frame: Vec<u8>,
    ended: Option<Known>,
}

/// What is kept.
#[derive(Default, Debug)]
pub struct Ledger {
    kept: VecDeque<Kept>,
    /// Where an attempt's end is.
    ends: HashMap<(SubtaskId, Attempt), u64>,
    acked_seq: u64,
    lines_lost: u64,
}

/// It was said that reports are safe that nobody has made yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeverTold;

impl Ledger {
    /// Whether a message is one that is kept.
    #[must_use]
    pub fn keeps(message: &FromStarter) -> bool {
        matches!(
            message,
            FromStarter::Started { .. }
                | FromStarter::Ended { .. }
                | FromStarter::Rebound { .. }
                | FromStarter::Grouped { .. }
                | FromStarter::Notice { .. }
        )
    }

    /// Keeps a report, and gives its frame; `ended`: it is the end of this attempt. Nothing comes of a line for the user when
    /// too much waits.
    pub fn keep(&mut self, report: &FromStarter, ended: Option<Known>) -> Option<&[u8]> {
        if matches!(report, FromStarter::Notice { .. }) && self.is_full() {
            self.lines_lost += 1;
            return None;
        }
        let seq = self.next_seq();
        let mut frame = Vec::new();
        FromStarter::Numbered { seq, report: Box::new(report.clone()) }.encode(&mut frame);
        if let Some(known) = &ended {
            self.ends.insert((known.subtask, known.attempt), seq);
        }
        self.kept.push_back(Kept { frame, ended });
        self.kept.back().map(|kept| &kept.frame[..])
    }

    /// Whether nothing more is to be launched.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.kept.len() >= REPORTS_MAX
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The number of the next report.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.acked_seq + self.kept.len() as u64 + 1
    }

    /// All up to this number need not be kept.
    #[must_use]
    pub fn acked_seq(&self) -> u64 {
        self.acked_seq
    }

    /// All up to this number are safe elsewhere. Gives the lines that were lost meanwhile, when there is room to say so.
    ///
    /// # Errors
    /// [`NeverTold`].
    pub fn ack(&mut self, seq: u64) -> Result<Option<u64>, NeverTold> {
        if seq >= self.next_seq() {
            return Err(NeverTold);
        }
        while self.acked_seq < seq {
            self.acked_seq += 1;
            if let Some(known) = self.kept.pop_front().and_then(|kept| kept.ended) {
                self.ends.remove(&(known.subtask, known.attempt));
            }
        }
        let can_say = self.lines_lost > 0 && !self.is_full();
        Ok(can_say.then(|| std::mem::take(&mut self.lines_lost)))
    }

    /// All frames that are kept, in order.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().map(|kept| &kept.frame[..])
    }

    /// The attempts whose ends are kept.
    pub fn ended(&self) -> impl Iterator<Item = &Known> {
        self.kept.iter().filter_map(|kept| kept.ended.as_ref())
    }

    /// The frame of an attempt's end.
    #[must_use]
    pub fn end_of(&self, subtask: SubtaskId, attempt: Attempt) -> Option<&[u8]> {
        let seq = *self.ends.get(&(subtask, attempt))?;
        let at = usize::try_from(seq - self.acked_seq - 1).ok()?;
        self.kept.get(at).map(|kept| &kept.frame[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::wire::{FrameBuffer, KnownPhase};
    use dc_model::{CpuSet, Rank};

    fn notice(n: usize) -> FromStarter {
        FromStarter::Notice { text: n.to_string() }
    }

    fn known(subtask: u32) -> Known {
        let (subtask, attempt) = (SubtaskId(subtask), Attempt(1));
        Known { subtask, attempt, rank: Rank(0), cpus: CpuSet::new(), phase: KnownPhase::Ended, from: None }
    }

    fn numbers<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
        let mut buffer = FrameBuffer::default();
        frames.for_each(|frame| buffer.push(frame));
        let mut seqs = Vec::new();
        while let Some((kind, body)) = buffer.next_frame().unwrap() {
            match FromStarter::decode(kind, body).unwrap() {
                FromStarter::Numbered { seq, .. } => seqs.push(seq),
                other => panic!("{other:?}"),
            }
        }
        seqs
    }

    #[test]
    fn what_is_not_acknowledged_stays_in_order() {
        let mut ledger = Ledger::default();
        assert_eq!((ledger.acked_seq(), ledger.next_seq()), (0, 1));
        for n in 1..=5 {
            ledger.keep(&notice(n), (n == 4).then(|| known(7))).unwrap();
        }
        assert_eq!(ledger.ack(6), Err(NeverTold));
        assert_eq!(ledger.ack(2), Ok(None));
        assert_eq!(ledger.ack(1), Ok(None), "an older word changes nothing");
        assert_eq!(numbers(ledger.frames()), [3, 4, 5]);
        assert_eq!(ledger.ended().collect::<Vec<_>>(), [&known(7)]);
        assert_eq!(numbers(ledger.end_of(SubtaskId(7), Attempt(1)).into_iter()), [4]);
        assert_eq!(ledger.ack(5), Ok(None));
        assert!(ledger.is_empty() && ledger.end_of(SubtaskId(7), Attempt(1)).is_none());
        assert_eq!(ledger.next_seq(), 6);
    }

    #[test]
    fn when_too_much_waits_lines_are_counted_and_ends_kept() {
        let mut ledger = Ledger::default();
        for n in 0..REPORTS_MAX {
            assert!(ledger.keep(&notice(n), None).is_some());
        }
        assert!(ledger.is_full());
        assert!(ledger.keep(&notice(0), None).is_none() && ledger.keep(&notice(0), None).is_none());
        assert!(ledger.keep(&FromStarter::Grouped { dir: Vec::new() }, Some(known(1))).is_some());
        assert_eq!(ledger.ack(1), Ok(None), "still full");
        assert_eq!(ledger.ack(2), Ok(Some(2)));
        assert_eq!(ledger.ack(3), Ok(None));
    }
}
