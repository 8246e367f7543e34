//! The files that ranks' streams are: named by patterns, opened for an attempt, closed when it has ended. Opened anew
//! they are truncated once in a job's life; after that they are appended to, behind a line that says from where on.

use crate::label::Cursor;
use dc_model::SubtaskId;
use dc_model::pattern::{Names, Pattern};
use dc_model::wire::{Launch, Output, Sink, Source, StreamPlan};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Whence, lseek, write};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A file that was not opened, or not written: its name, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileTrouble {
    /// The line for the user.
    pub text: String,
    /// Why.
    pub errno: Errno,
}

impl FileTrouble {
    fn new(what: &str, name: &[u8], errno: Errno) -> Self {
        let shown = String::from_utf8_lossy(name).escape_debug().to_string();
        Self { text: format!("cannot {what} {shown}: {}", std::io::Error::from(errno)), errno }
    }
}

/// A file that several ranks write into, a whole line at a time.
#[derive(Debug)]
pub struct SharedFile {
    name: Vec<u8>,
    /// Columns of the rank before each line; none: no rank.
    label: Option<usize>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    cursor: Cursor,
    buffer: Vec<u8>,
}

impl SharedFile {
    /// Appends a piece of output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn piece(&self, piece: &Output) -> Result<(), FileTrouble> {
        self.write(|cursor, out| match self.label {
            Some(width) => cursor.labelled(out, piece, width),
            None => cursor.plain(out, piece),
        })
    }

    /// Writes a line of dc's own, behind the end of whatever line there is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark(&self, line: &str) -> Result<(), FileTrouble> {
        self.write(|cursor, out| {
            cursor.close(out);
            out.extend_from_slice(line.as_bytes());
        })
    }

    fn write(&self, add: impl FnOnce(&mut Cursor, &mut Vec<u8>)) -> Result<(), FileTrouble> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { fd, cursor, buffer } = &mut *inner;
        buffer.clear();
        add(cursor, buffer);
        write_all(fd, buffer).map_err(|errno| FileTrouble::new("write", &self.name, errno))
    }
}

/// A file that is a rank's own stream: no byte of it passes through here.
#[derive(Debug)]
pub struct OwnFile {
    fd: OwnedFd,
    name: Vec<u8>,
}

impl OwnFile {
    /// A descriptor of the same open file.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn share(&self) -> nix::Result<OwnedFd> {
        self.fd.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
    }

    /// Whether there is still room behind what was written: where there is none, the rank's last words were perhaps
    /// refused, and it may not have cared. The room is not given back: others may be writing there by now, and what
    /// they wrote would go with it.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_room(&self) -> Result<(), FileTrouble> {
        let Ok(stat) = fstat(&self.fd) else { return Ok(()) };
        if kind(stat.st_mode) != SFlag::S_IFREG {
            return Ok(());
        }
        let keep = FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(&self.fd, keep, stat.st_size, 1) {
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT)) => Err(FileTrouble::new("write", &self.name, errno)),
            _ => Ok(()), // Of the other errors: a file system that cannot say.
        }
    }
}

/// What an output stream became.
#[derive(Clone, Debug)]
pub enum Opened {
    /// The rank's own file.
    Own(Arc<OwnFile>),
    /// One that others write too; and the line to begin with, which may have to wait for whoever writes there.
    Shared(Arc<SharedFile>, Option<String>),
}

/// All files of a job's streams.
#[derive(Debug)]
pub struct Files {
    plan: StreamPlan,
    stdout: Option<Pattern>,
    stderr: Option<Pattern>,
    stdin: Option<Pattern>,
    names: Names,
    width: usize,
    /// Names without a subtask in them that this starter has opened: one, or one a lane.
    seen: HashSet<Vec<u8>>,
    shared: HashMap<Vec<u8>, Weak<SharedFile>>,
}

impl Files {
    /// Of a job. A pattern that cannot be read, which dcrun sees to, names no file.
    #[must_use]
    pub fn new(plan: &StreamPlan, job: u64, host: &str, ranks: u32) -> Self {
        let host = host.split('.').next().unwrap_or_default().as_bytes().to_vec();
        let names = Names { job, name: plan.name.clone(), user: plan.user.clone(), host, node: 0 };
        let pattern = |sink: &Sink| match sink {
            Sink::File(text) => Pattern::parse(text).ok(),
            _ => None,
        };
        let stdin = match &plan.stdin {
            Source::File(text) => Pattern::parse(text).ok(),
            _ => None,
        };
        Self {
            stdout: pattern(&plan.stdout),
            stderr: pattern(&plan.stderr),
            stdin,
            names,
            width: crate::label::width(ranks),
            seen: HashSet::new(),
            shared: HashMap::new(),
            plan: plan.clone(),
        }
    }

    /// What streams are to be.
    #[must_use]
    pub fn plan(&self) -> &StreamPlan {
        &self.plan
    }

    /// Whether this subtask reads nothing, and all that it writes goes to dcrun.
    #[must_use]
    pub fn are_none_for(&self, subtask: SubtaskId) -> bool {
        let reads = match &self.plan.stdin {
            Source::Null => false,
            Source::File(_) => true,
            Source::At { only, .. } | Source::Relay { only } => only.is_none_or(|only| only == subtask),
        };
        !reads && (&self.plan.stdout, &self.plan.stderr) == (&Sink::Dcrun, &Sink::Dcrun)
    }

    /// Whether both streams of this launch are one file.
    ///
    /// # Errors
    /// When a name cannot be made.
    pub fn is_one(&self, launch: &Launch) -> Result<bool, FileTrouble> {
        let (Some(stdout), Some(stderr)) = (&self.stdout, &self.stderr) else { return Ok(false) };
        Ok(self.name(stdout, launch)? == self.name(stderr, launch)?)
    }

    fn name(&self, pattern: &Pattern, launch: &Launch) -> Result<Vec<u8>, FileTrouble> {
        let filled = pattern.fill(&self.names, launch.rank, launch.subtask);
        filled.map_err(|unfit| FileTrouble { text: unfit.to_string(), errno: Errno::EINVAL })
    }

    /// Opens the file of an output stream for an attempt.
    ///
    /// # Errors
    /// When it cannot be opened, or its first line not be written.
    pub fn open(&mut self, stderr: bool, launch: &Launch) -> Result<Opened, FileTrouble> {
        let nameless = || FileTrouble::new("use the pattern", b"", Errno::EINVAL);
        let pattern = if stderr { &self.stderr } else { &self.stdout };
        let pattern = pattern.as_ref().ok_or_else(nameless)?;
        let name = self.name(pattern, launch)?;
        let (by_subtask, by_rank) = (pattern.has_subtask(), pattern.has_rank());
        let is_subtasks = by_subtask || (by_rank && self.plan.lanes_are_subtasks);
        let is_first_attempt = launch.attempt.0 <= 1;
        let is_new = !is_subtasks && !self.seen.contains(&name);
        let truncate = if is_subtasks { is_first_attempt } else { is_new && self.plan.fresh };
        let marks = !truncate && (!is_first_attempt || (is_new && !self.plan.fresh));
        // Lines of several ranks are kept whole here, and labels are put here; else the rank can write by itself.
        let own = (by_subtask || by_rank) && !self.plan.label;
        let mark =
            marks.then(|| format!("-- dcrun: subtask {}, attempt {} --\n", launch.subtask, launch.attempt));
        let opened = match own {
            true => Opened::Own(Arc::new(open_own(&name, truncate, mark.as_deref())?)),
            false => Opened::Shared(self.open_shared(&name, truncate)?, mark),
        };
        if !is_subtasks {
            self.seen.insert(name);
        }
        Ok(opened)
    }

    /// One that is open already is not opened anew, unless it is to begin anew.
    fn open_shared(&mut self, name: &[u8], truncate: bool) -> Result<Arc<SharedFile>, FileTrouble> {
        if let Some(file) = self.shared.get(name).and_then(Weak::upgrade).filter(|_| !truncate) {
            return Ok(file);
        }
        let fd = open_for_writing(name, truncate)?;
        waits(&fd, name)?;
        let cursor = cursor(&fd, name);
        let inner = Mutex::new(Inner { fd, cursor, buffer: Vec::new() });
        let label = self.plan.label.then_some(self.width);
        let file = Arc::new(SharedFile { name: name.to_vec(), label, inner });
        self.shared.retain(|_, file| file.strong_count() > 0);
        self.shared.insert(name.to_vec(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Opens the file that is an attempt's standard input; none: it has /dev/null.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_input(&self, launch: &Launch) -> Result<Option<OwnedFd>, FileTrouble> {
        match (&self.plan.stdin, &self.stdin) {
            (Source::File(_), Some(pattern)) => {
                let name = self.name(pattern, launch)?;
                open_for_reading(&name, 0).map(Some)
            }
            (Source::At { path, offset, only }, _) if only.is_none_or(|only| only == launch.subtask) => {
                open_for_reading(path, *offset).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether ranks read nothing, and all that they write goes to dcrun.
#[must_use]
pub fn shows_all(plan: &StreamPlan) -> bool {
    (&plan.stdin, &plan.stdout, &plan.stderr) == (&Source::Null, &Sink::Dcrun, &Sink::Dcrun)
}

fn kind(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// Without waiting for anybody at the other end of a named pipe.
const OPENS: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOCTTY).union(OFlag::O_NONBLOCK);

fn open_for_writing(name: &[u8], truncate: bool) -> Result<OwnedFd, FileTrouble> {
    let failed = |errno| FileTrouble::new("open", name, errno);
    let mut flags = OPENS | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
    flags.set(OFlag::O_TRUNC, truncate);
    let mode = Mode::from_bits_truncate(0o666);
    open(path(name), flags, mode).map_err(failed)
}

/// A program expects its writes to wait.
fn waits(fd: &OwnedFd, name: &[u8]) -> Result<(), FileTrouble> {
    let set = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_APPEND));
    set.map(drop).map_err(|errno| FileTrouble::new("open", name, errno))
}

/// Opens a file that a rank writes by itself, behind a line of dc's own. A named pipe that is full goes without that:
/// nobody waits for its reader here.
fn open_own(name: &[u8], truncate: bool, mark: Option<&str>) -> Result<OwnFile, FileTrouble> {
    let fd = open_for_writing(name, truncate)?;
    if let Some(mark) = mark {
        let mut line = Vec::new();
        cursor(&fd, name).close(&mut line);
        line.extend_from_slice(mark.as_bytes());
        match write_all(&fd, &line) {
            Ok(()) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(FileTrouble::new("write", name, errno)),
        }
    }
    waits(&fd, name)?;
    Ok(OwnFile { fd, name: name.to_vec() })
}

fn cursor(fd: &OwnedFd, name: &[u8]) -> Cursor {
    if ends_open(fd, name) { Cursor::Ended } else { Cursor::Start }
}

fn open_for_reading(name: &[u8], offset: u64) -> Result<OwnedFd, FileTrouble> {
    let failed = |errno| FileTrouble::new("open", name, errno);
    let fd = open(path(name), OPENS | OFlag::O_RDONLY, Mode::empty()).map_err(failed)?;
    match kind(fstat(&fd).map_err(failed)?.st_mode) {
        SFlag::S_IFREG | SFlag::S_IFCHR | SFlag::S_IFBLK => {}
        SFlag::S_IFDIR => return Err(failed(Errno::EISDIR)),
        // What another attempt has read of it is gone.
        _ => return Err(failed(Errno::ESPIPE)),
    }
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::empty())).map_err(failed)?;
    if offset > 0 {
        let offset = i64::try_from(offset).map_err(|_| failed(Errno::EINVAL))?;
        lseek(&fd, offset, Whence::SeekSet).map_err(failed)?;
    }
    Ok(fd)
}

/// Whether a file's last line has no end, as that of a rank that was killed. One that may not be read is taken to end
/// well.
fn ends_open(fd: &OwnedFd, name: &[u8]) -> bool {
    let Ok(stat) = fstat(fd) else { return false };
    if kind(stat.st_mode) != SFlag::S_IFREG || stat.st_size <= 0 {
        return false;
    }
    let mut last = [0];
    // Another file may have its name by now.
    let Ok(file) = open(path(name), OPENS | OFlag::O_RDONLY, Mode::empty()).map(std::fs::File::from) else {
        return false;
    };
    let read = file.read_at(&mut last, stat.st_size as u64 - 1);
    matches!(read, Ok(1)) && last != *b"\n"
}

fn write_all(fd: &impl AsFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
