//! Where a job's streams go and come from, as it was asked for: a section of the job record, absent where nothing was.

use dc_model::codec::{DecodeError, Reader, Writer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What was asked for of the ranks' streams.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamOptions {
    /// Where standard output goes; none: to dcrun's own.
    pub stdout: Option<OutputTo>,
    /// Where standard error goes; none: to dcrun's own.
    pub stderr: Option<OutputTo>,
    /// Where standard input comes from.
    pub stdin: InputFrom,
    /// What dcrun's own standard input was when the job began.
    pub found: Found,
    /// Whether pieces are passed on as they are read.
    pub unbuffered: bool,
    /// Whether standard output becomes the result.
    pub result_stdout: bool,
}

/// Where an output stream goes, when it does not go to dcrun's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutputTo {
    /// Nowhere.
    Nowhere,
    /// The file of this pattern.
    File(Vec<u8>),
}

/// Where standard input comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum InputFrom {
    /// It was not said.
    #[default]
    Default,
    /// It is empty.
    Nowhere,
    /// dcrun's own, for this subtask.
    Own(u32),
    /// dcrun's own, for all subtasks, each from the beginning.
    OwnForAll,
    /// The file of this pattern.
    File(Vec<u8>),
}

/// What dcrun's own standard input was when the job began, where ranks read it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Found {
    /// Nothing that is read.
    #[default]
    Nothing,
    /// A pipe, or something else that is read once.
    Stream,
    /// A regular file.
    File {
        /// Where it was.
        path: PathBuf,
        /// Where the reading began, in bytes.
        offset: u64,
    },
}

fn put_output(w: &mut Writer, to: Option<&OutputTo>) {
    match to {
        None => w.u8(0),
        Some(OutputTo::Nowhere) => w.u8(1),
        Some(OutputTo::File(pattern)) => {
            w.u8(2);
            w.bytes(pattern);
        }
    }
}

fn get_output(r: &mut Reader<'_>) -> Result<Option<OutputTo>, DecodeError> {
    Ok(match r.u8()? {
        0 => None,
        1 => Some(OutputTo::Nowhere),
        2 => Some(OutputTo::File(r.bytes()?.to_vec())),
        _ => return Err(DecodeError::Unknown("output")),
    })
}

impl StreamOptions {
    pub(super) fn encode(&self, w: &mut Writer) {
        put_output(w, self.stdout.as_ref());
        put_output(w, self.stderr.as_ref());
        match &self.stdin {
            InputFrom::Default => w.u8(0),
            InputFrom::Nowhere => w.u8(1),
            InputFrom::Own(subtask) => {
                w.u8(2);
                w.u32(*subtask);
            }
            InputFrom::OwnForAll => w.u8(3),
            InputFrom::File(pattern) => {
                w.u8(4);
                w.bytes(pattern);
            }
        }
        match &self.found {
            Found::Nothing => w.u8(0),
            Found::Stream => w.u8(1),
            Found::File { path, offset } => {
                w.u8(2);
                w.bytes(path.as_os_str().as_bytes());
                w.u64(*offset);
            }
        }
        w.u8(u8::from(self.unbuffered));
        w.u8(u8::from(self.result_stdout));
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (stdout, stderr) = (get_output(r)?, get_output(r)?);
        let stdin = match r.u8()? {
            0 => InputFrom::Default,
            1 => InputFrom::Nowhere,
            2 => InputFrom::Own(r.u32()?),
            3 => InputFrom::OwnForAll,
            4 => InputFrom::File(r.bytes()?.to_vec()),
            _ => return Err(DecodeError::Unknown("input")),
        };
        let found = match r.u8()? {
            0 => Found::Nothing,
            1 => Found::Stream,
            2 => Found::File { path: OsString::from_vec(r.bytes()?.to_vec()).into(), offset: r.u64()? },
            _ => return Err(DecodeError::Unknown("kind of input")),
        };
        let options = Self { stdout, stderr, stdin, found, unbuffered: r.bool()?, result_stdout: r.bool()? };
        // One way of writing it: that of nothing is no section.
        (options != Self::default()).then_some(options).ok_or(DecodeError::Impossible("section"))
    }
}
