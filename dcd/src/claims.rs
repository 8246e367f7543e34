//! Who uses which CPUs of this host: one small file a dcrun in a directory that all may write to, locked as long as
//! its owner lives. A hint between neighbours, never a permission: whoever cannot read or write it runs all the same.

use dc_model::{CpuSet, JobUuid};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The variable that names the directory in which the claims' own is.
pub const PLACE_VARIABLE: &str = "DC_CLAIMS";
/// The version in the first line of a claim.
const HEADING: &str = "dc-claim 1";
/// A longer file is none of ours.
const BYTES_MAX: u64 = 16 << 10;
/// More files than this are not looked at: what anybody may fill must not hold a start up.
const FILES_MAX: usize = 4096;

/// What a dcrun says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Says {
    /// Its process, by its own namespace's number.
    pub pid: u32,
    /// Its job.
    pub job: JobUuid,
    /// The jobs it runs inside of, outermost first: those share their CPUs with it on purpose.
    pub within: Vec<JobUuid>,
    /// The CPUs it uses.
    pub cpus: CpuSet,
}

/// Another dcrun that lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its user.
    pub uid: u32,
    /// What it says.
    pub says: Says,
}

/// The directory of all claims.
#[derive(Debug)]
pub struct Claims {
    dir: OwnedFd,
}

/// A claim of one's own: taken back when dropped, or unlocked by the kernel when its owner is killed.
#[derive(Debug)]
pub struct Claim {
    dir: OwnedFd,
    name: String,
    _file: Flock<File>,
}

impl Claims {
    /// Those of this host: below the directory that [`PLACE_VARIABLE`] names, else in memory where it can be, so that
    /// a reboot forgets them.
    ///
    /// # Errors
    /// When there is no such directory and none can be made.
    pub fn of_host() -> io::Result<Self> {
        match std::env::var_os(PLACE_VARIABLE).filter(|named| !named.is_empty()) {
            Some(named) => Self::open_in(Path::new(&named)),
            None => Self::open_in(Path::new("/dev/shm")).or_else(|_| Self::open_in(Path::new("/tmp"))),
        }
    }

    /// Those below `parent`.
    ///
    /// # Errors
    /// When `parent` is no directory, or has something else under that name.
    pub fn open_in(parent: &Path) -> io::Result<Self> {
        let directory = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let parent = nix::fcntl::open(parent, directory.difference(OFlag::O_NOFOLLOW), Mode::empty())?;
        let made = match mkdirat(&parent, NAME, Mode::from_bits_truncate(0o777)) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        let dir = openat(&parent, NAME, directory, Mode::empty())?;
        if made {
            // All may add, none may take away another's; whatever the umask says.
            fchmod(&dir, Mode::from_bits_truncate(0o1777))?;
        }
        Ok(Self { dir })
    }

    /// The others that live, in the order of their names. What a dead one of the same user left is removed.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn neighbours(&self) -> io::Result<Vec<Neighbour>> {
        let mut names = Vec::new();
        let mut list =
            nix::dir::Dir::openat(&self.dir, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        for entry in list.iter().take(FILES_MAX) {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            // Those that begin with a dot are not locked yet.
            if let Some(name) = name.filter(|name| name.ends_with(SUFFIX) && !name.starts_with('.')) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names.iter().filter_map(|name| self.neighbour(name)).collect())
    }

    fn neighbour(&self, name: &str) -> Option<Neighbour> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.dir, name, flags, Mode::empty()).ok()?);
        let stat = fstat(&file).ok()?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return None;
        }
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            // Nobody holds it: its owner is dead. Only the owner's user can remove it, so that it does no harm to try.
            Ok(_stale) => {
                if Uid::effective().as_raw() == stat.st_uid {
                    let _ = unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir);
                }
                None
            }
            Err((file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
                Some(Neighbour { uid: stat.st_uid, says: parse(&text)? })
            }
            Err(_) => None,
        }
    }

    /// Says what this dcrun uses. It is seen by others complete and locked, or not at all.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn claim(&self, says: &Says) -> io::Result<Claim> {
        let name = format!("{}-{}{SUFFIX}", says.job, says.pid);
        let hidden = format!(".{name}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.dir, &*hidden, flags, Mode::from_bits_truncate(0o644))?);
        let published = (|| {
            fchmod(&file, Mode::from_bits_truncate(0o644))?;
            (&file).write_all(show(says).as_bytes())?;
            let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
            nix::fcntl::renameat(&self.dir, &*hidden, &self.dir, &*name)?;
            Ok(file)
        })();
        match published {
            Ok(file) => Ok(Claim { dir: self.dir.try_clone()?, name, _file: file }),
            Err(error) => {
                let _ = unlinkat(&self.dir, &*hidden, UnlinkatFlags::NoRemoveDir);
                Err(error)
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked: nobody takes it for a dead one's.
        let _ = unlinkat(self.dir.as_fd(), &*self.name, UnlinkatFlags::NoRemoveDir);
    }
}

/// Those of the neighbours that use some of these CPUs, and are neither around nor inside of this job.
#[must_use]
pub fn overlapping<'a>(neighbours: &'a [Neighbour], says: &Says) -> Vec<(&'a Neighbour, CpuSet)> {
    neighbours
        .iter()
        .filter(|other| other.says.job != says.job)
        .filter(|other| !says.within.contains(&other.says.job) && !other.says.within.contains(&says.job))
        .map(|other| (other, other.says.cpus.and(&says.cpus)))
        .filter(|(_, shared)| !shared.is_empty())
        .collect()
}

const NAME: &str = "dc-claims";
const SUFFIX: &str = ".claim";

fn show(says: &Says) -> String {
    let within: Vec<String> = says.within.iter().map(JobUuid::to_string).collect();
    let Says { pid, job, cpus, .. } = says;
    format!("{HEADING}\npid {pid}\njob {job}\nwithin {}\ncpus {cpus}\n", within.join(","))
}

/// Reads what [`show`] writes; anything else is nobody's claim.
fn parse(text: &str) -> Option<Says> {
    let mut lines = text.strip_suffix('\n')?.lines();
    if lines.next() != Some(HEADING) {
        return None;
    }
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let pid = field("pid")?.parse().ok()?;
    let job = JobUuid::parse(field("job")?)?;
    let within = field("within")?;
    let within = within.split(',').filter(|uuid| !uuid.is_empty());
    let within = within.map(JobUuid::parse).collect::<Option<Vec<_>>>()?;
    let cpus = CpuSet::parse(field("cpus")?)?;
    lines.next().is_none().then_some(Says { pid, job, within, cpus })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(job: u8, cpus: &[u32]) -> Says {
        Says {
            pid: u32::from(job),
            job: JobUuid([job; 16]),
            within: Vec::new(),
            cpus: cpus.iter().copied().collect(),
        }
    }

    #[test]
    fn neighbours_see_each_other_while_they_live() {
        let scratch = tempfile::tempdir().unwrap();
        let claims = Claims::open_in(scratch.path()).unwrap();
        assert_eq!(claims.neighbours().unwrap(), []);
        let first = claims.claim(&says(1, &[0, 1])).unwrap();
        let _second = Claims::open_in(scratch.path()).unwrap().claim(&says(2, &[1, 2])).unwrap();
        let seen = claims.neighbours().unwrap();
        assert_eq!(
            seen.iter().map(|n| n.says.clone()).collect::<Vec<_>>(),
            [says(1, &[0, 1]), says(2, &[1, 2])]
        );
        let shared = overlapping(&seen, &says(1, &[0, 1]));
        assert_eq!(shared.len(), 1);
        assert_eq!(shared[0].1, CpuSet::from_iter([1]));
        drop(first);
        assert_eq!(claims.neighbours().unwrap().len(), 1);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(scratch.path().join(NAME)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o7777, 0o1777);
    }

    #[test]
    fn what_a_dead_one_left_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let claims = Claims::open_in(scratch.path()).unwrap();
        let left = scratch.path().join(NAME).join(format!("x{SUFFIX}"));
        std::fs::write(&left, show(&says(3, &[0]))).unwrap();
        assert_eq!(claims.neighbours().unwrap(), []);
        assert!(!left.exists());
    }

    #[test]
    fn jobs_within_each_other_share_on_purpose() {
        let outer = says(1, &[0, 1]);
        let inner = Says { within: vec![outer.job], ..says(2, &[1]) };
        let other = says(3, &[1]);
        let list = |says: &[&Says]| -> Vec<Neighbour> {
            says.iter().map(|says| Neighbour { uid: 0, says: (*says).clone() }).collect()
        };
        let found = |neighbours: &[Neighbour], says: &Says| overlapping(neighbours, says).len();
        assert_eq!(found(&list(&[&outer]), &inner), 0);
        assert_eq!(found(&list(&[&inner]), &outer), 0);
        assert_eq!(found(&list(&[&outer, &other]), &inner), 1);
    }

    #[test]
    fn only_claims_are_read() {
        let whole = Says { within: vec![JobUuid([9; 16]), JobUuid([8; 16])], ..says(1, &[0, 5]) };
        let text = show(&whole);
        assert_eq!(parse(&text), Some(whole));
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), None, "cut at {cut}");
        }
        assert_eq!(parse(&text.replace("claim 1", "claim 2")), None);
        assert_eq!(parse(&format!("{text}more\n")), None);
        assert_eq!(parse(&text.replace("0,5", "0-99999999")), None);
    }

    #[test]
    fn strange_files_do_no_harm() {
        let scratch = tempfile::tempdir().unwrap();
        let claims = Claims::open_in(scratch.path()).unwrap();
        let dir = scratch.path().join(NAME);
        std::fs::create_dir(dir.join(format!("d{SUFFIX}"))).unwrap();
        nix::unistd::mkfifo(&dir.join(format!("p{SUFFIX}")), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.join(format!("l{SUFFIX}"))).unwrap();
        assert_eq!(claims.neighbours().unwrap(), []);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3, "nothing of others is touched");
    }
}
