//! The journal of a simulated job: a list in memory, and on request the real one in a directory, torn at every crash
//! as a power cut would tear it. What was synced must come back, and nothing that was never written.

use super::random::Random;
use dc_model::{JobUuid, Record};
use dc_spool::files::Dir;
use dc_spool::journal::{Before, Writer, read_all};
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const JOB: JobUuid = JobUuid(*b"a simulated job!");

/// Records written, of which the first `durable` are on disk for certain.
#[derive(Debug)]
pub struct Journal {
    log: Vec<Record>,
    durable: usize,
    real: Option<Real>,
}

/// The real journal.
#[derive(Debug)]
struct Real {
    path: PathBuf,
    dir: Dir,
    epoch: u32,
    writer: Writer,
}

/// What a disk writes at once.
const SECTOR_BYTES: u64 = 512;

type Failed = Box<dyn std::error::Error>;

impl Journal {
    /// An empty one; in `directory` as well, which must be empty too.
    ///
    /// # Errors
    /// What the directory's file system says.
    pub fn new(directory: Option<&Path>) -> Result<Self, Failed> {
        let real = match directory {
            Some(path) => {
                let dir = Dir::open(path)?;
                let writer = Writer::create(&dir, JOB, 1, Before::default())?;
                Some(Real { path: path.to_owned(), dir, epoch: 1, writer })
            }
            None => None,
        };
        Ok(Self { log: Vec::new(), durable: 0, real })
    }

    /// All that was written.
    #[must_use]
    pub fn log(&self) -> &[Record] {
        &self.log
    }

    /// How much of it is on disk.
    #[must_use]
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// A record is written.
    pub fn append(&mut self, record: Record) {
        self.log.push(record);
    }

    /// A sync has ended: what is on disk now that was not.
    ///
    /// # Errors
    /// What the real journal says.
    pub fn on_synced(&mut self, upto: usize) -> Result<&[Record], Failed> {
        let from = self.durable;
        if let Some(real) = &mut self.real {
            real.sync(from, &self.log[from..upto])?;
        }
        self.durable = upto;
        Ok(&self.log[from..upto])
    }

    /// What came back after a crash is synced before anything is built on it.
    pub fn on_read_back(&mut self) -> &[Record] {
        let from = std::mem::replace(&mut self.durable, self.log.len());
        &self.log[from..]
    }

    /// The writer is killed: what was synced stays, of what was only written any prefix may. `lost` records that were
    /// synced are lost all the same: a bug planted on purpose.
    ///
    /// # Errors
    /// When the real journal does not come back as a prefix that holds all that was synced.
    pub fn on_crash(&mut self, random: &mut Random, lost: usize) -> Result<(), Failed> {
        let unsynced = (self.log.len() - self.durable) as u64;
        let mut kept = self.durable + random.below(unsynced + 1) as usize;
        if let Some(real) = &mut self.real {
            let written = self.log[self.durable..].to_vec();
            let found = real.tear_and_read(random, self.durable, &written)?;
            if found.len() < self.durable || found[..] != self.log[..found.len()] {
                return Err(format!("{} records came back of {} synced", found.len(), self.durable).into());
            }
            kept = found.len();
        }
        if lost > 0 {
            kept = self.durable.saturating_sub(lost);
        }
        self.log.truncate(kept);
        self.durable = self.durable.min(kept);
        Ok(())
    }
}

impl Real {
    fn sync(&mut self, from: usize, records: &[Record]) -> Result<(), Failed> {
        let numbered: Vec<_> = (from as u64 + 1..).zip(records.iter().cloned()).collect();
        self.writer.append(&numbered)?;
        self.writer.sync()?;
        Ok(())
    }

    /// Writes what was under way, tears exactly those bytes, reads all back, and opens the next epoch.
    fn tear_and_read(
        &mut self,
        random: &mut Random,
        durable: usize,
        written: &[Record],
    ) -> Result<Vec<Record>, Failed> {
        let path = self.path.join(format!("journal.{:06}", self.epoch));
        let before = std::fs::read(&path)?;
        self.sync(durable, written)?;
        let after = std::fs::read(&path)?;
        let differs = |at: &usize| before.get(*at) != after.get(*at);
        if let (Some(start), Some(end)) =
            ((0..after.len()).find(differs), (0..after.len()).rfind(|at| differs(at)))
        {
            tear(random, &path, start as u64, end as u64 + 1)?;
        }
        let replay = read_all(&self.dir, JOB)?;
        self.epoch = replay.epoch + 1;
        self.writer = Writer::create(&self.dir, JOB, self.epoch, replay.before)?;
        Ok(replay.records.into_iter().map(|(_, record)| record).collect())
    }
}

/// Damages the bytes from `start` to `end`, as an interrupted write may leave them.
fn tear(random: &mut Random, path: &Path, start: u64, end: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let (at, how) = (random.between(start, end), random.below(5));
    // Disks write whole sectors: what they had there before comes back from the beginning of one. So no header is half
    // its own and half garbage, which might say of itself that it is a newer dc's.
    let at = if how == 3 { start.max(at - at % SECTOR_BYTES) } else { at };
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    Read::by_ref(&mut file).take(end - at).read_to_end(&mut rest)?;
    match how {
        0 => return Ok(()), // It all reached the disk.
        1 => return file.set_len(at),
        2 => rest.fill(0),
        3 => rest.iter_mut().for_each(|byte| *byte = random.next() as u8),
        _ => {
            // One sector of the write did not arrive, though later ones did.
            let hole = rest.len().min(SECTOR_BYTES as usize);
            rest[..hole].fill(0);
        }
    }
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&rest)
}
