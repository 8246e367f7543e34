//! Job records, headers of record files, and cost files: bytes in memory.

use crate::seal;
use dc_model::{Attempt, CostSums, JobUuid, SubtaskId};
use dc_spool::cost::{self, CostEntry, CostKey, KernelCost};
use dc_spool::hash::ContentHash;
use dc_spool::header::{FileKind, Header};
use dc_spool::job;

/// A job record; with the first byte odd, right checksums are put over whatever it says.
pub fn job(data: &[u8]) {
    let Some((how, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if how % 2 == 1 {
        seal::record_file(&mut file);
    }
    let Ok(record) = job::decode(&file) else { return };
    let again = job::encode(&record);
    assert_eq!(job::decode(&again), Ok(record), "encoded and decoded again");
}

/// Its seeds are the kept ones.
pub fn nothing() -> Vec<Vec<u8>> {
    vec![vec![0]]
}

/// The header of a record file of any kind.
pub fn header(data: &[u8]) {
    let Some((how, file)) = data.split_first() else { return };
    let kind = FileKind::ALL[usize::from(how / 2) % FileKind::ALL.len()];
    let mut file = file.to_vec();
    if how % 2 == 1 {
        seal::record_file(&mut file);
    }
    let Ok((header, more, payload)) = Header::decode(kind, &file) else { return };
    let _ = header.check(payload);
    let mut again = header.encode(kind, more);
    again.extend_from_slice(payload);
    assert_eq!(Header::decode(kind, &again), Ok((header, more, payload)), "encoded and decoded again");
}

pub fn headers() -> Vec<Vec<u8>> {
    let kinds = FileKind::ALL.iter().enumerate();
    kinds
        .map(|(index, kind)| {
            let header = Header {
                job: JobUuid([7; 16]),
                subtask: SubtaskId(3),
                attempt: Attempt(2),
                step: 120,
                payload_bytes: 4,
                payload_crc: crc32c::crc32c(b"data"),
            };
            [&[index as u8 * 2], &header.encode(*kind, &[1; 8])[..], b"data"].concat()
        })
        .collect()
}

const KERNEL: ContentHash = ContentHash(0x0102_0304_0506_0708);

/// What was learned of a kernel.
pub fn cost(data: &[u8]) {
    let Some((how, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if how % 2 == 1 {
        seal::tail(&mut file);
    }
    let Ok(cost) = cost::decode(KERNEL, &file) else { return };
    assert_eq!(cost::encode(&cost), file, "one content has one spelling");
    for entry in &cost.entries {
        // What a file says is added to, whatever it is: no sum may overflow.
        let mut more = cost.clone();
        more.add(entry.key, entry.sums, entry.last_s);
        more.add(CostKey { node: !entry.key.node, ..entry.key }, entry.sums, 0);
        assert!(more.entries.len() <= cost::ENTRIES_MAX);
        assert!(more.entries.iter().all(|entry| entry.sums.is_possible()), "{more:?}");
    }
}

pub fn costs() -> Vec<Vec<u8>> {
    let entry = |node, x: u128| CostEntry {
        key: CostKey { node, arguments: 9 },
        last_s: 1_700_000_000,
        sums: CostSums { shift: 0, weight: 1, x, y: x, xx: x * x, xy: x * x },
    };
    let with = |entries| cost::encode(&KernelCost { kernel: KERNEL, entries });
    [with(Vec::new()), with(vec![entry(1, 5), entry(2, 1 << 40)])]
        .into_iter()
        .flat_map(|file| [0u8, 1].map(|how| [&[how], &file[..]].concat()))
        .collect()
}
