//! What a follower wants of nodes: output and input of a job's ranks, and results. How nodes are spoken to is behind it.

use dc_model::JobUuid;
use dc_model::cluster::NodeRow;
use dc_model::wire::OutputAt;
use dcd::peer::client::NodeAt;
use std::os::unix::net::UnixStream;
use thiserror::Error;

/// Why a node does not give what is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unreached {
    /// It has nothing of this job, or nothing more: all was given.
    #[error("it has nothing of this job")]
    Gone,
    /// It cannot be reached, or says no; a moment later it may be otherwise.
    #[error("{0}")]
    Failed(String),
}

/// The way to nodes. Calls may block for as long as connecting takes.
pub trait Reach: Send + Sync {
    /// The streams of a job's ranks there. On the socket come frames as a serving starter sends them on its output
    /// connection (first [`dc_model::wire::FromStarter::OutputFrom`]), and wishes for input; what is sent back are pieces
    /// of input and acknowledgements. [`dc_model::wire::FromStarter::Refused`] says that all output of that starter was sent;
    /// another one may follow. Its end is the end of the way: asking again tells whether it goes on.
    ///
    /// # Errors
    /// [`Unreached`].
    fn streams(&self, node: &NodeRow, job: JobUuid, have: Option<OutputAt>) -> Result<UnixStream, Unreached>;

    /// Where a node is reached, and by what.
    ///
    /// # Errors
    /// [`Unreached`].
    fn at(&self, node: &NodeRow) -> Result<NodeAt, Unreached>;
}
