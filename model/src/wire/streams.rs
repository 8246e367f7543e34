//! Where the ranks' standard streams go and come from, as the starter is told.

use super::{get_option, put_option};
use crate::SubtaskId;
use crate::codec::{DecodeError, Reader, Writer};

/// Where a stream of the ranks' goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Sink {
    /// To dcrun, which shows it.
    #[default]
    Dcrun,
    /// Nowhere.
    Null,
    /// Into the file of this pattern ([`crate::pattern::Pattern`]), relative to the ranks' directory.
    File(Vec<u8>),
    /// It becomes the subtask's result.
    Result,
}

/// Where the ranks' standard input comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// It is empty.
    #[default]
    Null,
    /// The file of this pattern, opened for each attempt.
    File(Vec<u8>),
    /// This file from an offset on, opened for each attempt.
    At {
        /// The file, absolute.
        path: Vec<u8>,
        /// Where it begins, in bytes.
        offset: u64,
        /// Whose alone it is; none: everybody's.
        only: Option<SubtaskId>,
    },
    /// dcrun sends it, when it is asked to.
    Relay {
        /// Whose alone it is; none: everybody's.
        only: Option<SubtaskId>,
    },
}

/// All three, and what goes with them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamPlan {
    /// Standard output.
    pub stdout: Sink,
    /// Standard error. Where it names the same file as standard output, both are one open file.
    pub stderr: Sink,
    /// Standard input.
    pub stdin: Source,
    /// Whether pieces are passed on as they are read, not line by line.
    pub unbuffered: bool,
    /// Whether lines in files begin with their rank.
    pub label: bool,
    /// Whether lane i runs subtask i and nothing else.
    pub lanes_are_subtasks: bool,
    /// Whether this is the job's first starter in its first run: no file was opened before.
    pub fresh: bool,
    /// The job's name, for patterns.
    pub name: Vec<u8>,
    /// The user's name, for patterns.
    pub user: Vec<u8>,
}

fn put_sink(w: &mut Writer, sink: &Sink) {
    match sink {
        Sink::Dcrun => w.u8(0),
        Sink::Null => w.u8(1),
        Sink::File(pattern) => {
            w.u8(2);
            w.bytes(pattern);
        }
        Sink::Result => w.u8(3),
    }
}

fn get_sink(r: &mut Reader<'_>) -> Result<Sink, DecodeError> {
    Ok(match r.u8()? {
        0 => Sink::Dcrun,
        1 => Sink::Null,
        2 => Sink::File(r.bytes()?.to_vec()),
        3 => Sink::Result,
        _ => return Err(DecodeError::Unknown("sink")),
    })
}

fn put_source(w: &mut Writer, source: &Source) {
    let put_only = |w: &mut Writer, only: &Option<SubtaskId>| put_option(w, *only, |w, only| w.u32(only.0));
    match source {
        Source::Null => w.u8(0),
        Source::File(pattern) => {
            w.u8(1);
            w.bytes(pattern);
        }
        Source::At { path, offset, only } => {
            w.u8(2);
            w.bytes(path);
            w.u64(*offset);
            put_only(w, only);
        }
        Source::Relay { only } => {
            w.u8(3);
            put_only(w, only);
        }
    }
}

fn get_source(r: &mut Reader<'_>) -> Result<Source, DecodeError> {
    let get_only = |r: &mut Reader<'_>| get_option(r, |r| Ok(SubtaskId(r.u32()?)));
    Ok(match r.u8()? {
        0 => Source::Null,
        1 => Source::File(r.bytes()?.to_vec()),
        2 => Source::At { path: r.bytes()?.to_vec(), offset: r.u64()?, only: get_only(r)? },
        3 => Source::Relay { only: get_only(r)? },
        _ => return Err(DecodeError::Unknown("source")),
    })
}

impl Source {
    /// Appends it.
    pub fn encode(&self, w: &mut Writer) {
        put_source(w, self);
    }

    /// Takes one.
    ///
    /// # Errors
    /// When there is none.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        get_source(r)
    }

    /// Whether dcrun sends this subtask's.
    #[must_use]
    pub fn relays(&self, subtask: SubtaskId) -> bool {
        matches!(self, Self::Relay { only } if only.is_none_or(|only| only == subtask))
    }
}

impl StreamPlan {
    pub(super) fn encode(&self, w: &mut Writer) {
        put_sink(w, &self.stdout);
        put_sink(w, &self.stderr);
        put_source(w, &self.stdin);
        w.u8(u8::from(self.unbuffered));
        w.u8(u8::from(self.label));
        w.u8(u8::from(self.lanes_are_subtasks));
        w.u8(u8::from(self.fresh));
        w.bytes(&self.name);
        w.bytes(&self.user);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            stdout: get_sink(r)?,
            stderr: get_sink(r)?,
            stdin: get_source(r)?,
            unbuffered: r.bool()?,
            label: r.bool()?,
            lanes_are_subtasks: r.bool()?,
            fresh: r.bool()?,
            name: r.bytes()?.to_vec(),
            user: r.bytes()?.to_vec(),
        })
    }
}

/// What follows a piece of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum InputThen {
    /// More, when it is asked for.
    More = 0,
    /// Its end.
    End = 1,
    /// Nothing that can be given any more, though there was something: the attempt cannot be right.
    Lost = 2,
}

impl InputThen {
    pub(super) fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::More),
            1 => Ok(Self::End),
            2 => Ok(Self::Lost),
            _ => Err(DecodeError::Unknown("end of input")),
        }
    }
}
