//! The journal, read from files as a resume reads it. Two targets: any bytes as segments, with right checksums over
//! them if the input says so; and a journal that dc wrote, damaged as the input says.

use crate::scratch;
use crate::seal;
use dc_model::{JobUuid, Record};
use dc_spool::files::Dir;
use dc_spool::journal::{Before, JournalError, Writer, read_all, read_found, samples};
use dc_spool::layout;
use std::path::Path;
use std::sync::OnceLock;

const JOB: JobUuid = JobUuid([7; 16]);
const SEGMENTS_MAX: usize = 4;

/// Bytes: how; then for each segment a length of two bytes and its bytes, the rest to the last.
pub fn run(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let dir = scratch::directory();
    let mut crc = 0;
    for (epoch, segment) in (1..).zip(segments(rest)) {
        let mut segment = segment.to_vec();
        if how % 2 == 1 {
            crc = seal::segment(&mut segment, crc);
        }
        std::fs::write(dir.path().join(layout::journal(epoch)), segment).expect("a file can be written");
    }
    let found = read_found(&scratch::open(dir.path()), JOB);
    let records = &found.replay.records;
    let numbers = records.iter().map(|(seq, _)| *seq);
    assert!(numbers.eq(1..=records.len() as u64), "records are numbered from 1 on, without a gap");
    let counted: usize = found.segments.iter().map(|segment| segment.records).sum();
    assert_eq!(counted, records.len());
    assert!(found.segments.iter().all(|segment| segment.valid_bytes <= segment.file_bytes));
    if found.error.is_none() && !records.is_empty() {
        let again = scratch::directory();
        let dir = scratch::open(again.path());
        let mut writer = Writer::create(&dir, JOB, 1, Before::default()).expect("a segment can be made");
        writer.append(records).expect("what was read can be written");
        writer.sync().expect("what was read can be written");
        let replay = read_all(&dir, JOB).expect("what was written can be read");
        assert_eq!(replay.records, *records, "written and read again");
    }
}

fn segments(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let is_last = all.len() + 1 == SEGMENTS_MAX;
        let (segment, after) = after.split_at(if is_last { after.len() } else { length });
        all.push(segment);
        rest = after;
        if is_last {
            break;
        }
    }
    all
}

/// A journal that dc wrote, as it was after a sync.
struct State {
    segments: Vec<Vec<u8>>,
    /// How much of each segment counts.
    valid_bytes: Vec<usize>,
    /// How many records were acknowledged.
    acknowledged: usize,
}

/// All its states, and what was written in the end.
struct Written {
    states: Vec<State>,
    records: Vec<(u64, Record)>,
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let scratch = scratch::directory();
        let dir = scratch::open(scratch.path());
        let records: Vec<_> = (1..).zip(samples::records()).collect();
        let mut states = Vec::new();
        for (index, some) in records.chunks(records.len().div_ceil(3)).enumerate() {
            let epoch = index as u32 + 1;
            let before = read_all(&dir, JOB).expect("it is whole").before;
            let mut writer = Writer::create(&dir, JOB, epoch, before).expect("a segment can be made");
            for batch in some.chunks(3) {
                writer.append(batch).expect("records can be written");
                writer.sync().expect("records can be written");
                let found = read_found(&dir, JOB);
                states.push(State {
                    segments: read(scratch.path(), epoch),
                    valid_bytes: found.segments.iter().map(|segment| segment.valid_bytes as usize).collect(),
                    acknowledged: writer.durable_seq() as usize,
                });
            }
        }
        Written { states, records }
    })
}

/// All segments, without the zeros that are reserved behind the last record but for a few.
fn read(dir: &Path, last: u32) -> Vec<Vec<u8>> {
    let segment = |epoch| {
        let mut bytes = std::fs::read(dir.join(layout::journal(epoch))).expect("a segment can be read");
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        bytes.truncate(end.next_multiple_of(8) + 64);
        bytes
    };
    (1..=last).map(segment).collect()
}

/// Bytes: which state; then changes of four bytes and more, each at a place of the last or of any segment. Whatever
/// they are, the records are a beginning of those that were written, or an error is told. Where they touch nothing
/// that was acknowledged, all that was is there.
pub fn damage(data: &[u8]) {
    let Some((state, mut changes)) = data.split_first() else { return };
    let written = written();
    let index = usize::from(*state) % written.states.len();
    let mut segments = written.states[index].segments.clone();
    // The last batch was not acknowledged: what was is the state before it.
    let before = index.checked_sub(1).map(|before| &written.states[before]);
    let acknowledged = before.map_or(0, |before| before.acknowledged);
    let durable = |number: usize| -> Option<&[u8]> {
        let before = before?;
        before.segments.get(number)?.get(..*before.valid_bytes.get(number)?)
    };
    let (mut is_touched, mut is_misplaced) = (false, false);
    while let Some(([which, kind, low, high], after)) = changes.split_first_chunk::<4>() {
        changes = after;
        let number = usize::from(*which) % segments.len();
        let segment = &mut segments[number];
        let at = usize::from(u16::from_le_bytes([*low, *high])) % (segment.len() + 1);
        let span = 1 + usize::from(kind / 5);
        let end = (at + span).min(segment.len());
        match kind % 5 {
            0 => segment[at..end].iter_mut().for_each(|byte| *byte ^= 1 << (kind % 8)),
            1 => segment[at..end].fill(0),
            2 => segment.truncate(at),
            3 => {
                let (garbage, after) = changes.split_at(changes.len().min(end - at));
                segment[at..at + garbage.len()].copy_from_slice(garbage);
                changes = after;
            }
            _ => {
                // Bytes of another place, as a misdirected write leaves them.
                is_misplaced = true;
                let from = usize::from(*high) * 8 % (segment.len() + 1);
                let stale: Vec<u8> = segment[from..].iter().take(end - at).copied().collect();
                segment[at..at + stale.len()].copy_from_slice(&stale);
            }
        }
        is_touched |= durable(number).is_some_and(|kept| !segment.starts_with(kept));
    }
    let scratch = scratch::directory();
    for (epoch, segment) in (1..).zip(&segments) {
        std::fs::write(scratch.path().join(layout::journal(epoch)), segment).expect("a file can be written");
    }
    let dir: Dir = scratch::open(scratch.path());
    let found = read_found(&dir, JOB);
    let records = &found.replay.records;
    assert!(written.records.starts_with(records), "never other data: {found:?}");
    // The header of a segment that was begun just now, changed to say that it is a newer dc's or another job's: a torn
    // write does not do that, and to refuse it loses nothing.
    let is_foreign = matches!(&found.error, Some(JournalError::Header { segment, .. }) if durable(*segment as usize - 1).is_none());
    // A whole record at another's place: no torn write does that either.
    let is_stray = is_misplaced && matches!(&found.error, Some(JournalError::Corrupt { .. }));
    if !is_touched && !is_foreign && !is_stray {
        assert_eq!(found.error, None, "a torn tail is no damage");
        assert!(records.len() >= acknowledged, "{acknowledged} were acknowledged: {found:?}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let states = &written().states;
    let last = states.last().map(|state| state.segments.clone()).unwrap_or_default();
    let file = |how: u8, segments: &[Vec<u8>]| {
        let mut out = vec![how];
        for segment in segments {
            out.extend((segment.len() as u16).to_le_bytes());
            out.extend(segment);
        }
        out
    };
    vec![file(0, &last), file(1, &last), file(1, &states[0].segments), vec![0], vec![1, 0, 0]]
}

pub fn damages() -> Vec<Vec<u8>> {
    let states = written().states.len() as u8;
    let one = |state: u8| [vec![state], vec![state, 0, 2, 100, 0], vec![state, 2, 13, 90, 1, 255, 255, 255]];
    (0..states).flat_map(one).collect()
}
