//! A file that is not there before it is whole: begun under a temporary name, committed by a rename.
//! Dropped without a commit, or failed on the way, it leaves nothing behind.

use super::{Dir, FileError, Kind, Linux, Op, ReadFile, Reason, TMP_PREFIX};
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names tried before one gives up: random ones of 64 bits do not collide, unless somebody takes them on purpose.
const TRIES_MAX: u32 = 16;

/// An unfinished file.
#[derive(Debug)]
pub struct NewFile {
    dir: Dir,
    tmp: OsString,
    /// `None` once it is closed.
    fd: Option<OwnedFd>,
    /// Where the next sequential write goes, in bytes.
    at: u64,
    /// Whether the temporary name is gone: renamed, or removed.
    gone: bool,
    /// The final name, for messages, when it is known from the start.
    target: Option<OsString>,
}

impl NewFile {
    /// Begins a file in `dir`. `mode` is cut by the umask.
    pub(super) fn begin(dir: Dir, mode: u32) -> Result<Self, FileError> {
        let failed = |errno| FileError::os(Op::Create, &dir.path_of(TMP_PREFIX), errno);
        let mut tries = 0;
        loop {
            let random = getrandom::u64().map_err(|_| failed(Errno::EIO))?;
            let tmp = OsString::from(format!("{TMP_PREFIX}{random:016x}"));
            match dir.disk().create(dir.as_fd(), &tmp, mode) {
                Ok(fd) => return Ok(Self { dir, tmp, fd: Some(fd), at: 0, gone: false, target: None }),
                Err(Errno::EEXIST) if tries < TRIES_MAX => tries += 1,
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    /// Begins the file that will be at `path`, a path of the user's outside any spool; end it with
    /// [`NewFile::commit_target`]. A symbolic link there is followed, so that what it names is replaced and not the
    /// link. The mode is that of the file it replaces, else 0666 cut by the umask.
    ///
    /// # Errors
    /// When the directory cannot be opened, or when something is there that is not a regular file: a device or a
    /// pipe must not be replaced by a file.
    pub fn at_target(path: &Path) -> Result<Self, FileError> {
        Self::at_target_on(Arc::new(Linux), path)
    }

    /// As [`NewFile::at_target`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`NewFile::at_target`].
    pub fn at_target_on(disk: Arc<dyn super::Disk>, path: &Path) -> Result<Self, FileError> {
        let real = match std::fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(FileError::io(Op::Open, path, error)),
        };
        let (dir, name) = Dir::parent_on(disk, &real)?;
        let old = dir.stat(&name)?;
        if old.is_some() && dir.kind(&name)? != Some(Kind::File) {
            return Err(FileError { op: Op::Create, path: path.to_owned(), reason: Reason::NotRegular });
        }
        let mut file = Self::begin(dir, 0o666)?;
        if let Some(old) = old {
            let mode = old.st_mode & 0o777;
            file.call(Op::Mode, |disk, fd| disk.set_mode(fd, mode))?;
        }
        file.target = Some(name);
        Ok(file)
    }

    /// The unfinished file for reading what was written, by one who knows how much that is.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn begun(&self) -> Result<ReadFile, FileError> {
        self.dir.open_file(&self.tmp)
    }

    /// How many bytes were written one after another.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.at
    }

    /// Reserves space for a file of `len_bytes`, so that a full disk shows before the writing.
    ///
    /// # Errors
    /// When there is not that much.
    pub fn allocate(&mut self, len_bytes: u64) -> Result<(), FileError> {
        if len_bytes == 0 {
            return Ok(());
        }
        self.call(Op::Allocate, |disk, fd| disk.allocate(fd, 0, len_bytes))
    }

    /// Writes all of `bytes` after what was written before.
    ///
    /// # Errors
    /// Any; the file should then be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.put(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes all of `bytes` at `offset`, for a header that is known only at the end.
    ///
    /// # Errors
    /// Any; the file should then be dropped.
    pub fn put(&mut self, bytes: &[u8], offset: u64) -> Result<(), FileError> {
        let (mut rest, mut offset) = (bytes, offset);
        while !rest.is_empty() {
            let n = match self.call(Op::Write, |disk, fd| disk.write(fd, rest, offset)) {
                Err(error) if error.errno() == Some(Errno::EINTR) => continue,
                other => other?,
            };
            // A write of nothing would go on for ever.
            let n = if n == 0 { return Err(self.failed(Op::Write, Errno::EIO)) } else { n.min(rest.len()) };
            rest = &rest[n..];
            offset += n as u64;
        }
        Ok(())
    }

    /// Makes it durable under `name`, in the place of what may be there.
    ///
    /// # Errors
    /// Any of sync, close, rename and the directory's sync. Until the rename the old one is untouched.
    pub fn commit(self, name: impl AsRef<OsStr>) -> Result<(), FileError> {
        self.finish(name.as_ref(), true, true)
    }

    /// As [`NewFile::commit`] under the name given to [`NewFile::at_target`].
    ///
    /// # Errors
    /// As [`NewFile::commit`].
    pub fn commit_target(mut self) -> Result<(), FileError> {
        match self.target.take() {
            Some(name) => self.finish(&name, true, true),
            None => {
                Err(FileError { op: Op::Rename, path: self.dir.path().to_owned(), reason: Reason::BadName })
            }
        }
    }

    /// Makes it durable under `name`, which must not be taken.
    ///
    /// # Errors
    /// As [`NewFile::commit`]; [`FileError::is_exists`] when the name is taken.
    pub fn commit_noreplace(self, name: impl AsRef<OsStr>) -> Result<(), FileError> {
        self.finish(name.as_ref(), false, true)
    }

    /// As [`NewFile::commit_noreplace`], without the directory's sync: the caller does that with [`Dir::sync`] before
    /// anybody is told, and covers several entries by one.
    ///
    /// # Errors
    /// As [`NewFile::commit_noreplace`].
    pub fn commit_noreplace_unsynced(self, name: impl AsRef<OsStr>) -> Result<(), FileError> {
        self.finish(name.as_ref(), false, false)
    }

    /// Puts it under `name`, in the place of what may be there, and syncs nothing: for what is only a hint, and whose
    /// reader holds it against a checksum. A crash of the machine may leave the old one, this one, or an empty file.
    ///
    /// # Errors
    /// Any of close and rename.
    pub fn commit_hint(mut self, name: impl AsRef<OsStr>) -> Result<(), FileError> {
        let dir = self.dir.clone();
        let name = dir.component(Op::Rename, name.as_ref())?;
        let failed = |op| move |errno| FileError::os(op, &dir.path_of(name), errno);
        let fd = self.fd.take().ok_or(Errno::EBADF).map_err(failed.clone()(Op::Close))?;
        self.dir.disk().close(fd).map_err(failed.clone()(Op::Close))?;
        self.dir.disk().rename(self.dir.as_fd(), &self.tmp, name).map_err(failed(Op::Rename))?;
        self.gone = true;
        Ok(())
    }

    fn finish(mut self, name: &OsStr, over: bool, sync_dir: bool) -> Result<(), FileError> {
        let op = if over { Op::Rename } else { Op::RenameNew };
        let dir = self.dir.clone();
        let name = dir.component(op, name)?;
        let path = dir.path_of(name);
        let failed = |op| move |errno| (op, errno);
        let steps = |file: &mut Self| {
            let Some(fd) = file.fd.take() else { return Err((Op::Close, Errno::EBADF)) };
            dir.disk().sync_data(fd.as_fd()).map_err(failed(Op::SyncData))?;
            dir.disk().close(fd).map_err(failed(Op::Close))?;
            let rename = if over {
                dir.disk().rename(dir.as_fd(), &file.tmp, name)
            } else {
                dir.disk().rename_new(dir.as_fd(), &file.tmp, name)
            };
            rename.map_err(failed(op))
        };
        steps(&mut self).map_err(|(op, errno)| FileError::os(op, &path, errno))?;
        self.gone = true;
        if sync_dir { dir.sync() } else { Ok(()) }
    }

    fn call<T>(
        &mut self,
        op: Op,
        call: impl FnOnce(&dyn super::Disk, std::os::fd::BorrowedFd<'_>) -> nix::Result<T>,
    ) -> Result<T, FileError> {
        let result = match &self.fd {
            Some(fd) => call(self.dir.disk(), fd.as_fd()),
            None => Err(Errno::EBADF),
        };
        result.map_err(|errno| self.failed(op, errno))
    }

    fn failed(&self, op: Op, errno: Errno) -> FileError {
        FileError::os(op, &self.shown_path(), errno)
    }

    fn shown_path(&self) -> PathBuf {
        self.dir.path_of(self.target.as_ref().unwrap_or(&self.tmp))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.gone {
            // Best effort: what stays is swept by the next one who owns the directory, and never read.
            let _ = self.dir.disk().remove(self.dir.as_fd(), &self.tmp);
        }
    }
}
