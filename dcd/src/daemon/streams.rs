//! Who is attached to which job's streams: wishes for input go to them, input comes from them. Output does not pass here.

use super::mailbox::Mailbox;
use super::works::Sends;
use super::{Answer, Daemon};
use crate::peer::{Listen, Port, PortError, Serving, ToStream};
use dc_config::HostPort;
use dc_link::{LocalPolicy, PeersFile};
use dc_model::JobUuid;
use dc_model::wire::{FromStarter, ToStarter};
use std::collections::BTreeMap;
use tracing::warn;

/// The socket of the peer port where there is no key, in the state directory.
const SOCKET: &str = "peer.sock";

/// What a connection's thread asks of the loop.
#[derive(Debug)]
pub(crate) enum PeerAsk {
    /// It is attached to this job; wishes go there.
    Attach { job: JobUuid, number: u64, to: Mailbox<ToStream> },
    /// It is no more.
    Detach { job: JobUuid, number: u64 },
    /// Input for a rank.
    Input { job: JobUuid, input: Box<ToStarter> },
}

/// The way to the loop.
#[derive(Clone, Debug)]
pub struct PeerAsks(pub(super) Sends<Answer>);

impl PeerAsks {
    pub(crate) fn send(&self, ask: PeerAsk) {
        self.0.send(Answer::Peer(ask));
    }
}

/// The one attached to each job: the last who came.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<JobUuid, (u64, Mailbox<ToStream>)>);

impl Streams {
    /// A rank of this job wants input.
    pub fn want(&self, job: JobUuid, want: FromStarter) {
        if let Some((_, to)) = self.0.get(&job) {
            to.send(ToStream::Want(want));
        }
    }
}

impl Daemon {
    pub(super) fn on_peer(&mut self, ask: PeerAsk) {
        match ask {
            PeerAsk::Attach { job, number, to } => {
                for want in self.jobs.get(&job).into_iter().flat_map(|job| job.wanted()) {
                    to.send(ToStream::Want(want.clone()));
                }
                if let Some((_, before)) = self.streams.0.insert(job, (number, to)) {
                    before.send(ToStream::Replaced);
                }
            }
            PeerAsk::Detach { job, number } => {
                if self.streams.0.get(&job).is_some_and(|(attached, _)| *attached == number) {
                    self.streams.0.remove(&job);
                }
            }
            PeerAsk::Input { job, input } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.on_input(&input);
                }
            }
        }
    }

    /// Opens the peer port, and gives what others are told of it; nothing where there is none.
    pub(super) fn open_port(&self) -> Result<String, PortError> {
        let serving = Serving {
            jobs: self.state.jobs().to_owned(),
            exec: self.exec.clone(),
            shared: self.shared_dir(),
            copies: self.copy_store(),
            blobs: self.blobs(),
            reach: self.copies.reach().clone(),
            asks: PeerAsks(self.works.sends()),
        };
        let (Some(peer), Some(identities)) = (&self.settings.peer, &self.identities) else {
            let path = self.state.path().join(SOCKET);
            // What each of them may have is looked at with each job.
            let policy = if self.exec.is_some() { LocalPolicy::Everyone } else { LocalPolicy::Own };
            return Ok(match Port::open(Listen::Local(path.clone(), policy), serving) {
                Ok(_) => path.to_str().map(str::to_owned).unwrap_or_default(),
                Err(error) => {
                    warn!("commands get no streams from this node: {error}");
                    String::new()
                }
            });
        };
        let peers = PeersFile::open(&self.settings.peers).map_err(PortError::Peers)?;
        let endpoint = identities.endpoint.clone();
        let port = Port::open(Listen::Tls { at: peer.listen.clone(), endpoint, peers }, serving)?;
        let bound = port.at.map_or(0, |at| at.port());
        let told = HostPort { host: peer.told_host.clone(), port: peer.told_port.unwrap_or(bound) };
        Ok(told.to_string())
    }
}
