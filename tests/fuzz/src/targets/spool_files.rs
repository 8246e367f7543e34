//! Checkpoints and results, read from files as kernels and the merge read them. With the first byte odd, right
//! checksums are put over whatever the file says.

use crate::scratch;
use crate::seal;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::checkpoint::{Checkpoints, Region, RegionMut};
use dc_spool::layout;
use dc_spool::result::{Dtype, Layout, Results};
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const JOB: JobUuid = JobUuid([7; 16]);
const SUBTASK: SubtaskId = SubtaskId(3);
const AT: Restart = Restart { attempt: Attempt(2), step: 120 };
/// The last part of both files' headers, before the CRC that closes it.
const HEADER_BYTES_MIN: usize = 64;

struct Spool {
    dir: TempDir,
    checkpoint: PathBuf,
    result: PathBuf,
}

impl Spool {
    fn new() -> Self {
        let dir = scratch::directory();
        let subtask = dir.path().join(layout::CKPT).join(layout::subtask_dir(SUBTASK));
        std::fs::create_dir_all(&subtask).expect("a directory can be made");
        let results = dir.path().join(layout::RESULT);
        std::fs::create_dir(&results).expect("a directory can be made");
        let result = results.join(layout::result(SUBTASK, AT.attempt));
        Self { checkpoint: subtask.join(layout::checkpoint(AT)), result, dir }
    }

    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::open(&scratch::open(self.dir.path()), JOB).expect("it is there")
    }

    fn results(&self) -> Results {
        Results::open(&scratch::open(self.dir.path()), JOB).expect("it is there")
    }
}

thread_local! {
    static SPOOL: Spool = Spool::new();
}

fn put(path: &Path, data: &[u8]) -> Option<Vec<u8>> {
    let (how, file) = data.split_first()?;
    let mut file = file.to_vec();
    if how % 2 == 1 {
        seal::record_file(&mut file);
    }
    std::fs::write(path, &file).expect("a file can be written");
    Some(file)
}

/// Regions come back as they stand in the file, one after another, and fill it.
pub fn checkpoint(data: &[u8]) {
    SPOOL.with(|spool| {
        let Some(file) = put(&spool.checkpoint, data) else { return };
        let Ok(checkpoint) = spool.checkpoints().open_verified(SUBTASK, AT) else { return };
        let mut memory: Vec<(u32, Vec<u8>)> = checkpoint
            .regions()
            .iter()
            .map(|entry| (entry.id, vec![0; usize::try_from(entry.bytes).expect("within the file")]))
            .collect();
        let mut regions: Vec<_> = memory.iter_mut().map(|(id, data)| RegionMut { id: *id, data }).collect();
        checkpoint.restore(&mut regions).expect("what was verified can be restored");
        let all: Vec<u8> = memory.iter().flat_map(|(_, data)| data).copied().collect();
        assert!(file.len() >= HEADER_BYTES_MIN && file.ends_with(&all), "the regions are the file's bytes");
        let mut copied = Vec::new();
        checkpoint.copy_to(&mut copied, "memory").expect("what was verified can be copied");
        assert_eq!(copied, all);
    });
}

/// The payload is the file's, whole, and its type divides it.
pub fn result(data: &[u8]) {
    SPOOL.with(|spool| {
        let Some(file) = put(&spool.result, data) else { return };
        let results = spool.results();
        let Ok(reader) = results.reader(SUBTASK, AT.attempt) else { return };
        let meta = reader.meta();
        assert_eq!(results.meta(SUBTASK, AT.attempt), Ok(Some(meta)));
        let head = reader.head();
        let bytes = head.values.checked_mul(head.dtype.bytes() as u64);
        assert_eq!(bytes, Some(meta.len), "the values fill the payload");
        assert_eq!(head.cells() * u64::from(head.values_per_cell), head.values);
        let mut payload = Vec::new();
        let streamed = reader.payload().read_to_end(&mut payload);
        assert_eq!(streamed.is_ok(), reader.verify().is_ok(), "both ways to verify agree");
        if streamed.is_ok() {
            assert_eq!(crc32c::crc32c(&payload), meta.crc);
            assert!(payload.len() as u64 == meta.len && file.ends_with(&payload));
        }
    });
}

fn sealed_and_not(file: &[u8]) -> Vec<Vec<u8>> {
    [0u8, 1].map(|how| [&[how], file].concat()).to_vec()
}

pub fn checkpoints() -> Vec<Vec<u8>> {
    let spool = Spool::new();
    let lists: [&[(u32, &[u8])]; 3] = [&[(1, b"memory of a kernel"), (9, b"")], &[], &[(0, &[1; 200])]];
    lists
        .iter()
        .flat_map(|list| {
            let regions: Vec<_> = list.iter().map(|(id, data)| Region { id: *id, data }).collect();
            spool.checkpoints().write(SUBTASK, AT, &regions).expect("it can be written");
            sealed_and_not(&std::fs::read(&spool.checkpoint).expect("it can be read"))
        })
        .collect()
}

pub fn results() -> Vec<Vec<u8>> {
    let spool = Spool::new();
    [(Dtype::U1, Layout::Bytes, 1), (Dtype::F8, Layout::Effective, 2)]
        .iter()
        .flat_map(|(dtype, layout, values)| {
            let writer = spool.results().writer(SUBTASK, AT.attempt, *dtype, *layout, *values);
            let mut writer = writer.expect("it can be begun");
            writer.append(&[5; 32]).expect("it can be written");
            writer.finish().expect("it can be written");
            sealed_and_not(&std::fs::read(&spool.result).expect("it can be read"))
        })
        .collect()
}
