//! The other side of a node's port, for commands: results are fetched into the command's own job directory. Several nodes
//! at once, with a bounded number of connections; what a lost connection had brought of a result is gone on with on the
//! next. A node that is away, or does not have a result any more, is an outcome of that result and no error of the whole.

use super::client::NodeAt;
use super::dial::{DialError, dial};
use super::line::{Line, LineError};
use dc_model::cluster::data::{FromData, RESULTS_MAX, ToData, WantedResult};
use dc_model::codec::DecodeError;
use dc_model::{Attempt, JobUuid, ResultMeta, SubtaskId};
use dc_spool::result::{Dtype, Layout, ResultError, Results, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 16;
/// What is asked for at once, in bytes of results: more than a round trip takes, little enough to be asked for again.
const BATCH_BYTES: u64 = 64 << 20;
/// The first pause before a node is dialled again, and the longest.
const AGAIN: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// How long an answer is waited for, in ns.
const ANSWER_NS: u64 = 60_000_000_000;
const UP_NS: u64 = 10_000_000_000;

/// A result to be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The number of the node that has it.
    pub node: u32,
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Which attempt is done.
    pub attempt: Attempt,
    /// What the journal says of it.
    pub meta: ResultMeta,
}

/// What came of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is in the job's directory, and is what the journal says.
    Fetched,
    /// It cannot be had: the node is away, or does not have it any more; for people.
    Lost(String),
}

/// Why fetching ended before all had an outcome.
#[derive(Debug, Error)]
pub enum FetchError {
    /// This side's disk.
    #[error(transparent)]
    Write(#[from] ResultError),
    /// No thread.
    #[error("cannot start a thread to fetch results: {0}")]
    Thread(std::io::Error),
}

/// How long a node is tried without any progress before its results are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience(pub Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

type Answer = (Wanted, Result<Outcome, ResultError>);

/// Fetches all of these into `into`, and tells each one's outcome, in no order. Files that are there with the right
/// length and checksum are not fetched again.
///
/// # Errors
/// [`FetchError`]; what was told till then holds.
pub fn fetch_results(
    job: JobUuid,
    wanted: &[Wanted],
    nodes: &BTreeMap<u32, NodeAt>,
    into: &Results,
    patience: Patience,
    mut on_outcome: impl FnMut(Wanted, Outcome),
) -> Result<(), FetchError> {
    let mut by_node: BTreeMap<u32, VecDeque<Wanted>> = BTreeMap::new();
    for one in wanted {
        by_node.entry(one.node).or_default().push_back(*one);
    }
    let threads = by_node.len().min(CONNECTIONS_MAX);
    let queue = Mutex::new(by_node.into_iter().collect::<VecDeque<_>>());
    let (answers, come) = channel::<Answer>();
    let mut failed = None;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (answers, queue) = (answers.clone(), &queue);
            let spawned =
                std::thread::Builder::new().name("fetch".to_owned()).spawn_scoped(scope, move || {
                    while let Some((node, wanted)) = {
                        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                        queue.pop_front()
                    } {
                        OfNode { job, node: nodes.get(&node), wanted, into, patience, answers: &answers }
                            .fetch();
                    }
                });
            if let Err(error) = spawned {
                failed = Some(FetchError::Thread(error));
                break;
            }
        }
        drop(answers);
        for (one, outcome) in come {
            match outcome {
                Ok(outcome) => on_outcome(one, outcome),
                Err(error) => {
                    // A full disk is full for the others too: nothing new is begun.
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    failed.get_or_insert(error.into());
                }
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

struct OfNode<'a> {
    job: JobUuid,
    node: Option<&'a NodeAt>,
    wanted: VecDeque<Wanted>,
    into: &'a Results,
    patience: Patience,
    answers: &'a Sender<Answer>,
}

/// Why a connection was given up.
enum Broken {
    Line(LineError),
    /// This side's: all is over.
    Own(Wanted, ResultError),
}

impl From<LineError> for Broken {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

impl From<DecodeError> for Broken {
    fn from(error: DecodeError) -> Self {
        Self::Line(error.into())
    }
}

impl OfNode<'_> {
    fn fetch(mut self) {
        self.drop_present();
        let Some(node) = self.node else { return self.lose("nobody knows where that node is") };
        let (mut since, mut pause) = (Instant::now(), AGAIN[0]);
        // What a lost connection has brought of the first one.
        let mut begun: Option<Writer> = None;
        let mut again: BTreeMap<(SubtaskId, Attempt), u32> = BTreeMap::new();
        while !self.wanted.is_empty() {
            let before = (self.wanted.len(), begun.as_ref().map_or(0, |writer| writer.meta().len));
            let broken = match self.session(node, &mut begun, &mut again) {
                Ok(()) => continue,
                Err(Broken::Own(one, error)) => return drop(self.answers.send((one, Err(error)))),
                Err(Broken::Line(error)) => error.to_string(),
            };
            if before != (self.wanted.len(), begun.as_ref().map_or(0, |writer| writer.meta().len)) {
                (since, pause) = (Instant::now(), AGAIN[0]);
            }
            if since.elapsed() + pause > self.patience.0 {
                return self.lose(&broken);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(AGAIN[1]);
        }
    }

    fn tell(&mut self, outcome: Outcome) {
        if let Some(one) = self.wanted.pop_front() {
            // Who does not listen any more has an error already.
            let _ = self.answers.send((one, Ok(outcome)));
        }
    }

    fn lose(mut self, why: &str) {
        while !self.wanted.is_empty() {
            self.tell(Outcome::Lost(why.to_owned()));
        }
    }

    /// Those that are here already.
    fn drop_present(&mut self) {
        let (into, answers) = (self.into, self.answers);
        self.wanted.retain(|one| {
            let is_here = into
                .reader(one.subtask, one.attempt)
                .is_ok_and(|found| found.meta() == one.meta && found.verify().is_ok());
            if is_here {
                let _ = answers.send((*one, Ok(Outcome::Fetched)));
            }
            !is_here
        });
    }

    /// One connection, as long as it goes well.
    fn session(
        &mut self,
        node: &NodeAt,
        begun: &mut Option<Writer>,
        again: &mut BTreeMap<(SubtaskId, Attempt), u32>,
    ) -> Result<(), Broken> {
        let mut conn = dial(node).map_err(|error| match error {
            DialError::Link(error) => LineError::Link(error),
            other => LineError::Ended(other.to_string()),
        })?;
        let mut line = Line::dialled(&mut conn, UP_NS)?;
        while !self.wanted.is_empty() {
            self.batch(&mut line, begun, again)?;
        }
        line.close();
        Ok(())
    }

    fn batch(
        &mut self,
        line: &mut Line<'_>,
        begun: &mut Option<Writer>,
        again: &mut BTreeMap<(SubtaskId, Attempt), u32>,
    ) -> Result<(), Broken> {
        let mut bytes = 0u64;
        let mut wanted = Vec::new();
        for one in &self.wanted {
            if wanted.len() == RESULTS_MAX || (bytes > 0 && bytes.saturating_add(one.meta.len) > BATCH_BYTES)
            {
                break;
            }
            bytes = bytes.saturating_add(one.meta.len);
            let at = begun.as_ref().filter(|_| wanted.is_empty()).map_or(0, |writer| writer.meta().len);
            let (subtask, attempt) = (one.subtask, one.attempt);
            wanted.push(WantedResult { subtask, attempt, at, meta: one.meta });
        }
        line.say(&FromData::FetchResults { job: self.job, wanted: wanted.clone() })?;
        for (index, one) in (0u32..).zip(&wanted) {
            match line.hear(ANSWER_NS)? {
                ToData::Result { index: at, dtype, layout, values_per_cell, bytes, piece } if at == index => {
                    if bytes != one.meta.len - one.at {
                        return Err(DecodeError::Impossible("length of a result").into());
                    }
                    let writer = match begun.take() {
                        Some(writer) if one.at > 0 => writer,
                        _ => self.writer(one, dtype, layout, values_per_cell)?,
                    };
                    let writer = begun.insert(writer);
                    self.fill(line, writer, one, piece)?;
                    let Some(writer) = begun.take() else { continue };
                    self.end(writer, one, again)?;
                }
                ToData::NoResult { index: at, why } if at == index => {
                    *begun = None;
                    self.tell(Outcome::Lost(plain(&why)));
                }
                ToData::No(why) => {
                    let why = plain(&why);
                    while !self.wanted.is_empty() {
                        self.tell(Outcome::Lost(why.clone()));
                    }
                    return Ok(());
                }
                _ => return Err(DecodeError::Impossible("answer").into()),
            }
        }
        match line.hear(ANSWER_NS)? {
            ToData::Done => Ok(()),
            _ => Err(DecodeError::Impossible("answer").into()),
        }
    }

    fn writer(
        &self,
        one: &WantedResult,
        dtype: u8,
        layout: u8,
        values_per_cell: u32,
    ) -> Result<Writer, Broken> {
        let dtype = Dtype::from_number(dtype).ok_or(DecodeError::Unknown("type of values"))?;
        let layout = Layout::from_number(layout).ok_or(DecodeError::Unknown("layout"))?;
        self.into.writer(one.subtask, one.attempt, dtype, layout, values_per_cell).map_err(
            |error| match error {
                // Not this disk's fault.
                ResultError::Head(_) => DecodeError::Impossible("kind of result").into(),
                error => self.own(error),
            },
        )
    }

    fn own(&self, error: ResultError) -> Broken {
        match self.wanted.front() {
            Some(one) => Broken::Own(*one, error),
            None => Broken::Line(LineError::Refused(error.to_string())),
        }
    }

    fn fill(
        &self,
        line: &mut Line<'_>,
        writer: &mut Writer,
        one: &WantedResult,
        first: Vec<u8>,
    ) -> Result<(), Broken> {
        let mut piece = first;
        loop {
            let len = writer.meta().len.saturating_add(piece.len() as u64);
            if len > one.meta.len || (piece.is_empty() && len < one.meta.len) {
                return Err(DecodeError::Impossible("length of a result").into());
            }
            writer.append(&piece).map_err(|error| self.own(error))?;
            if len == one.meta.len {
                return Ok(());
            }
            piece = match line.hear(ANSWER_NS)? {
                ToData::Piece(bytes) => bytes,
                _ => return Err(DecodeError::Impossible("answer").into()),
            };
        }
    }

    /// All its bytes are here: they are the right ones, or it is asked for once more.
    fn end(
        &mut self,
        writer: Writer,
        one: &WantedResult,
        again: &mut BTreeMap<(SubtaskId, Attempt), u32>,
    ) -> Result<(), Broken> {
        if writer.meta() == one.meta {
            return match writer.finish_hint() {
                Ok(_) => {
                    self.tell(Outcome::Fetched);
                    Ok(())
                }
                Err(ResultError::Head(error)) => {
                    self.tell(Outcome::Lost(error.to_string()));
                    Ok(())
                }
                Err(error) => Err(self.own(error)),
            };
        }
        let tries = again.entry((one.subtask, one.attempt)).or_default();
        *tries += 1;
        if *tries > 1 {
            self.tell(Outcome::Lost("what the node has of it is damaged".to_owned()));
            return Ok(());
        }
        // Behind the others, which are asked for already.
        Err(LineError::Refused("a result came damaged".to_owned()).into())
    }
}

/// Of another host: nothing that a terminal could take for more than text.
fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}
