//! The memory that subtasks need: a section beside theirs, written only where one of them needs any.

use super::subtasks::Subtasks;
use dc_model::Subtask;
use dc_model::codec::{DecodeError, Reader, Writer};

/// Whether there is anything to write.
pub(super) fn is_needed(subtasks: &Subtasks) -> bool {
    subtasks.runs().iter().any(|run| run.subtask.mem_bytes > 0)
}

/// Count of runs, then for each how many subtasks follow each other with so many bytes.
pub(super) fn put(w: &mut Writer, subtasks: &Subtasks) {
    let mut runs: Vec<(u32, u64)> = Vec::new();
    for run in subtasks.runs() {
        match runs.last_mut().filter(|(_, bytes)| *bytes == run.subtask.mem_bytes) {
            Some((count, _)) => *count += run.count,
            None => runs.push((run.count, run.subtask.mem_bytes)),
        }
    }
    w.u32(runs.len() as u32);
    for (count, bytes) in runs {
        w.u32(count);
        w.u64(bytes);
    }
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Vec<(u32, u64)>, DecodeError> {
    const RUN_BYTES: usize = 12;
    let runs: Vec<(u32, u64)> =
        (0..r.count(RUN_BYTES)?).map(|_| Ok((r.u32()?, r.u64()?))).collect::<Result<_, _>>()?;
    let is_one_way = runs.windows(2).all(|pair| pair[0].1 != pair[1].1) && runs.iter().any(|run| run.1 > 0);
    is_one_way.then_some(runs).ok_or(DecodeError::Impossible("memory of the subtasks"))
}

/// The subtasks, each with its memory. The counts must be theirs.
pub(super) fn apply(subtasks: &Subtasks, memory: &[(u32, u64)]) -> Result<Subtasks, DecodeError> {
    let wrong = DecodeError::Impossible("memory of the subtasks");
    let mut with = Subtasks::new();
    let mut memory = memory.iter().copied();
    let mut left = (0, 0);
    for run in subtasks.runs() {
        let mut count = run.count;
        while count > 0 {
            if left.0 == 0 {
                left = memory.next().filter(|(count, _)| *count > 0).ok_or(wrong)?;
            }
            let now = count.min(left.0);
            let subtask = Subtask { mem_bytes: left.1, ..run.subtask.clone() };
            if !with.push(now, subtask) {
                return Err(wrong);
            }
            (count, left.0) = (count - now, left.0 - now);
        }
    }
    if left.0 > 0 || memory.next().is_some() { Err(wrong) } else { Ok(with) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_must_be_those_of_the_subtasks() {
        let subtasks = Subtasks::plain(5, 1, 1).unwrap();
        let needs = |subtasks: Subtasks| subtasks.iter().map(|s| s.mem_bytes).collect::<Vec<_>>();
        assert_eq!(needs(apply(&subtasks, &[(2, 7), (3, 0)]).unwrap()), [7, 7, 0, 0, 0]);
        for wrong in [&[(4, 7)][..], &[(6, 7)], &[(5, 7), (1, 7)], &[(0, 7), (5, 7)], &[(u32::MAX, 1)], &[]] {
            assert!(apply(&subtasks, wrong).is_err(), "{wrong:?}");
        }
    }
}
