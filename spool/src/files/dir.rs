//! An opened directory. What happens in it happens relative to its descriptor, so that a path that is moved or
//! replaced meanwhile leads nowhere else.

use super::{Disk, FileError, Linux, NewFile, Op, ReadFile, Reason, TMP_PREFIX};
use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a name in a directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else; a symbolic link too.
    Other,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The name, never `.` or `..`.
    pub name: OsString,
}

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

/// An opened directory; a clone is the same one.
#[derive(Clone, Debug)]
pub struct Dir(Arc<Inner>);

impl Dir {
    /// Opens a directory by a path of the user's, links followed.
    ///
    /// # Errors
    /// When it is not there, is no directory, or may not be read.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_on(Arc::new(Linux), path)
    }

    /// As [`Dir::open`], with the disk to use for it and all that is opened through it.
    ///
    /// # Errors
    /// As [`Dir::open`].
    pub fn open_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, FileError> {
        let fd = disk.open_dir(path).map_err(|errno| FileError::os(Op::Open, path, errno))?;
        Ok(Self(Arc::new(Inner { fd, path: path.to_owned(), disk })))
    }

    /// Makes a directory that is not there yet, and makes its entry durable: the parent is synced.
    ///
    /// # Errors
    /// When the name is taken, the parent is missing, or any step fails.
    pub fn create_new(path: &Path, mode: u32) -> Result<Self, FileError> {
        Self::create_new_on(Arc::new(Linux), path, mode)
    }

    /// As [`Dir::create_new`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Dir::create_new`].
    pub fn create_new_on(disk: Arc<dyn Disk>, path: &Path, mode: u32) -> Result<Self, FileError> {
        let (parent, name) = Self::parent_on(disk, path)?;
        let dir = parent.make_subdir(&name, mode)?;
        parent.sync()?;
        Ok(dir)
    }

    /// Opens the directory that `path` is in, and gives the last name of `path` with it.
    ///
    /// # Errors
    /// When `path` has no last name (`/`, `..`), or the directory cannot be opened.
    pub fn parent_on(disk: Arc<dyn Disk>, path: &Path) -> Result<(Self, OsString), FileError> {
        let Some(name) = path.file_name() else {
            return Err(FileError { op: Op::Open, path: path.to_owned(), reason: Reason::BadName });
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok((Self::open_on(disk, parent)?, name.to_owned()))
    }

    /// Where it was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The disk it is on.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.0.disk
    }

    /// The disk it is on, to open another directory with.
    #[must_use]
    pub fn shared_disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.0.disk)
    }

    /// Path of a name in it, for messages and for other processes.
    #[must_use]
    pub fn path_of(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.0.path.join(name.as_ref())
    }

    /// Opens a directory in it; a symbolic link is not followed.
    ///
    /// # Errors
    /// When it is not there, or is not a directory.
    pub fn subdir(&self, name: impl AsRef<OsStr>) -> Result<Self, FileError> {
        let name = self.component(Op::Open, name.as_ref())?;
        let path = self.path_of(name);
        let opened = self.disk().open_subdir(self.as_fd(), name);
        let fd = opened.map_err(|errno| FileError::os(Op::Open, &path, errno))?;
        Ok(Self(Arc::new(Inner { fd, path, disk: Arc::clone(&self.0.disk) })))
    }

    /// Makes a directory in it and opens it. Its entry is durable only after [`Dir::sync`] of this one, which is the
    /// caller's to call: one sync covers several entries.
    ///
    /// # Errors
    /// When the name is taken, or the disk says no.
    pub fn make_subdir(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<Self, FileError> {
        let name = self.component(Op::MakeDir, name.as_ref())?;
        self.disk()
            .make_dir(self.as_fd(), name, mode)
            .map_err(|errno| FileError::os(Op::MakeDir, &self.path_of(name), errno))?;
        self.subdir(name)
    }

    /// Opens a directory in it, making it first, durably, where it is missing. Two who do it at once both succeed.
    ///
    /// # Errors
    /// When it is neither there nor can be made.
    pub fn subdir_or_make(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<Self, FileError> {
        let name = name.as_ref();
        match self.subdir(name) {
            Err(error) if error.is_not_found() => {}
            other => return other,
        }
        match self.make_subdir(name, mode) {
            // The other one's entry is perhaps not durable yet, so this one is synced here all the same.
            Err(error) if error.is_exists() => {}
            other => {
                let dir = other?;
                self.sync()?;
                return Ok(dir);
            }
        }
        self.sync()?;
        self.subdir(name)
    }

    /// Makes the directory's entries durable.
    ///
    /// # Errors
    /// Any; the state on disk is unknown then.
    pub fn sync(&self) -> Result<(), FileError> {
        self.disk().sync_dir(self.as_fd()).map_err(|errno| FileError::os(Op::SyncDir, self.path(), errno))
    }

    /// The names in it, in byte order.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self) -> Result<Vec<Entry>, FileError> {
        let names = self.disk().list(self.as_fd());
        let names = names.map_err(|errno| FileError::os(Op::List, self.path(), errno))?;
        let mut entries: Vec<_> = names.into_iter().map(|name| Entry { name }).collect();
        entries.sort();
        Ok(entries)
    }

    /// What a name stands for; `None` when there is none. Links are not followed.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> Result<Option<Kind>, FileError> {
        Ok(self.stat(name.as_ref())?.map(|stat| kind_of(&stat)))
    }

    /// Length of what a name stands for; `None` when there is none.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn len_bytes(&self, name: impl AsRef<OsStr>) -> Result<Option<u64>, FileError> {
        Ok(self.stat(name.as_ref())?.map(|stat| stat.st_size.unsigned_abs()))
    }

    /// What stat(2) says of a name; `None` when there is none. Links are not followed.
    pub(crate) fn stat(&self, name: &OsStr) -> Result<Option<FileStat>, FileError> {
        let name = self.component(Op::Open, name)?;
        match self.disk().stat_at(self.as_fd(), name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(FileError::os(Op::Stat, &self.path_of(name), errno)),
        }
    }

    /// Opens a regular file for reading; a symbolic link is not followed, and a pipe does not block.
    ///
    /// # Errors
    /// When it is not there, is not a regular file, or may not be read.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> Result<ReadFile, FileError> {
        let name = self.component(Op::Open, name.as_ref())?;
        ReadFile::open(self, name)
    }

    /// Cuts a regular file that is there, or makes it longer by zeros; a symbolic link is not followed. Not durable before
    /// a sync of it.
    ///
    /// # Errors
    /// When it is not there, is not a regular file, or may not be written.
    pub fn set_len(&self, name: impl AsRef<OsStr>, len_bytes: u64) -> Result<(), FileError> {
        let name = self.component(Op::SetLen, name.as_ref())?;
        let path = self.path_of(name);
        let failed = |errno| FileError::os(Op::SetLen, &path, errno);
        let fd = self.disk().open_to_write(self.as_fd(), name).map_err(failed)?;
        if kind_of(&self.disk().stat(fd.as_fd()).map_err(failed)?) != Kind::File {
            return Err(FileError { op: Op::SetLen, path, reason: Reason::NotRegular });
        }
        self.disk().set_len(fd.as_fd(), len_bytes).map_err(failed)
    }

    /// Reads a whole regular file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Dir::open_file`]; [`Reason::TooLarge`] for a larger one, of which nothing is read; [`Reason::Shorter`] for
    /// one that ends before the length it had when it was opened.
    pub fn read(&self, name: impl AsRef<OsStr>, bytes_max: u64) -> Result<Vec<u8>, FileError> {
        let file = self.open_file(name)?;
        let bytes = file.len_bytes();
        if bytes > bytes_max {
            let reason = Reason::TooLarge { bytes, bytes_max };
            return Err(FileError { op: Op::Read, path: file.path().to_owned(), reason });
        }
        file.read_front(bytes)
    }

    /// Begins a new file under a temporary name; see [`NewFile`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_file(&self, mode: u32) -> Result<NewFile, FileError> {
        NewFile::begin(self.clone(), mode)
    }

    /// Writes a new file of mode 0600 and puts it in the place of `name`, durably, or fails and leaves the old one.
    ///
    /// # Errors
    /// Any of a step, or what `write` failed with.
    pub fn replace(
        &self,
        name: impl AsRef<OsStr>,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), FileError> {
        let mut file = self.new_file(0o600)?;
        let mut buffered = std::io::BufWriter::with_capacity(1 << 16, &mut file);
        write(&mut buffered)
            .and_then(|()| buffered.flush())
            .map_err(|error| FileError::io(Op::Write, &self.path_of(name.as_ref()), error))?;
        drop(buffered);
        file.commit(name)
    }

    /// Makes an empty file that must not exist yet, under its final name. Its entry is durable only after
    /// [`Dir::sync`], which is the caller's to call.
    ///
    /// # Errors
    /// When the name is taken, or the disk says no.
    pub fn create_file(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<File, FileError> {
        let name = self.component(Op::Create, name.as_ref())?;
        self.disk()
            .create(self.as_fd(), name, mode)
            .map(File::from)
            .map_err(|errno| FileError::os(Op::Create, &self.path_of(name), errno))
    }

    /// Removes a file; `false` when there is none. Not durable before [`Dir::sync`].
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<bool, FileError> {
        let name = self.component(Op::Remove, name.as_ref())?;
        match self.disk().remove(self.as_fd(), name) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(FileError::os(Op::Remove, &self.path_of(name), errno)),
        }
    }

    /// Removes an empty directory; `false` when there is none. Not durable before [`Dir::sync`].
    ///
    /// # Errors
    /// When it is not empty, or cannot be removed.
    pub fn remove_subdir(&self, name: impl AsRef<OsStr>) -> Result<bool, FileError> {
        let name = self.component(Op::RemoveDir, name.as_ref())?;
        match self.disk().remove_dir(self.as_fd(), name) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(FileError::os(Op::RemoveDir, &self.path_of(name), errno)),
        }
    }

    /// Removes what interrupted writers left: regular files whose name begins with [`TMP_PREFIX`]. Only for one who
    /// knows that nobody writes here. Gives back how many there were.
    ///
    /// # Errors
    /// When the directory cannot be listed, or a name cannot be removed.
    pub fn sweep_tmp(&self) -> Result<usize, FileError> {
        let mut swept = 0;
        for entry in self.list()? {
            let ours = entry.name.as_bytes().starts_with(TMP_PREFIX.as_bytes());
            if ours && self.kind(&entry.name)? == Some(Kind::File) && self.remove(&entry.name)? {
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// `name`, when it is one component.
    pub(crate) fn component<'a>(&self, op: Op, name: &'a OsStr) -> Result<&'a OsStr, FileError> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.contains(&b'/') || bytes == b"." || bytes == b".." {
            return Err(FileError { op, path: self.path_of(name), reason: Reason::BadName });
        }
        Ok(name)
    }
}

pub(super) fn kind_of(stat: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Dir,
        _ => Kind::Other,
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
