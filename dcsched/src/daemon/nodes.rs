//! What nodes say: registrations, which are checked here, and frames, which are the core's business.

use super::authority::{self, Party, Verb};
use super::links::{LinkId, NodeLink, Side};
use super::{Daemon, Failed, clock};
use dc_link::Name;
use dc_model::JobUuid;
use dc_model::cluster::ToClient;
use dc_model::cluster::node::{FromNode, KillMode, Register};
use dc_model::wire::{FrameBuffer, FromStarter};
use dc_spool::files::shown;
use dcsched_core::cluster::{Event, NodeId, Registration};
use tracing::{info, warn};

/// What is known of a node beside the core, for lists and for commands.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NodeFacts {
    /// Where its peer port is reached.
    pub address: String,
    /// Its key's fingerprint; empty: a process of this host.
    pub fingerprint: String,
    /// Load average over a minute, in hundredths.
    pub load_centi: u32,
    /// Ranks that run, as it says.
    pub ranks: u32,
}

impl Daemon {
    /// A message of a node's. On an error the connection is to be closed for this reason.
    pub(super) fn on_node(&mut self, link: LinkId, message: FromNode) -> Result<Result<(), String>, Failed> {
        if let FromNode::Register(register) = message {
            return self.on_register(link, *register);
        }
        let Some(node) = self.links.get(link).and_then(super::links::Link::node) else {
            return Ok(Err("a node says what it is first".to_owned()));
        };
        match message {
            FromNode::Register(_) => {}
            FromNode::Running { job, starter, held } => {
                if let Some(id) = self.core.job_by_uuid(job) {
                    self.opened.entry(id).or_default().insert(node);
                }
                self.step(Event::Held { node, job, starter, held })?;
            }
            FromNode::Settled => {
                self.step(Event::Settled { node })?;
            }
            FromNode::Heartbeat { number, load_centi, ranks, .. } => {
                let facts = self.facts.entry(node).or_default();
                (facts.load_centi, facts.ranks) = (load_centi, ranks);
                self.step(Event::Heard { node, number })?;
            }
            FromNode::Report { job, starter, seq, frame } => {
                return self.on_report(node, job, starter, seq, frame);
            }
            FromNode::Closed { job, asked } => {
                self.forget_starter(node, job);
                self.step(Event::StarterClosed { node, job, asked })?;
            }
            FromNode::CannotOpen { job, why } => {
                self.forget_starter(node, job);
                let name = self.node_name(node);
                warn!("{name} cannot run job {job}: {}", shown(&why));
                self.tell_notice(node, job, &format!("{name} cannot run this job: {why}"))?;
                self.step(Event::CannotOpen { node, job })?;
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn node_name(&self, node: NodeId) -> String {
        self.core.node(node).map_or_else(|| format!("node {node}"), |view| view.name().to_owned())
    }

    fn forget_starter(&mut self, node: NodeId, job: JobUuid) {
        let range = (job, node, 0)..=(job, node, u64::MAX);
        let old: Vec<_> = self.passed_on.range(range).map(|(key, _)| *key).collect();
        old.iter().for_each(|key| {
            self.passed_on.remove(key);
        });
        if let Some(id) = self.core.job_by_uuid(job)
            && let Some(nodes) = self.opened.get_mut(&id)
        {
            nodes.remove(&node);
        }
        self.orders.remove(&(node, job));
    }

    /// A line for who follows a job, as if its starter had said it.
    fn tell_notice(&mut self, node: NodeId, job: JobUuid, text: &str) -> Result<(), Failed> {
        let mut frame = Vec::new();
        FromStarter::Notice { text: text.to_owned() }.encode(&mut frame);
        self.pass_on(node, job, frame);
        Ok(())
    }

    fn on_report(
        &mut self,
        node: NodeId,
        job: JobUuid,
        starter: u64,
        seq: u64,
        frame: Vec<u8>,
    ) -> Result<Result<(), String>, Failed> {
        let report = match decode_frame(&frame) {
            Ok(report) => report,
            Err(why) => return Ok(Err(format!("a starter's report cannot be read: {why}"))),
        };
        // A repeated one is known to who follows the job.
        let newest = self.passed_on.get(&(job, node, starter)).copied().unwrap_or(0);
        let is_new = seq == 0 || seq > newest;
        let id = self.core.job_by_uuid(job);
        let goes_on = id.and_then(|id| self.core.job(id)).is_some_and(|view| view.status().is_none());
        if seq > newest && goes_on {
            self.passed_on.insert((job, node, starter), seq);
        }
        let is_for_people = !matches!(report, FromStarter::Ready { .. } | FromStarter::Grouped { .. });
        if is_new && is_for_people {
            self.pass_on(node, job, frame);
        }
        self.step(Event::Report { node, job, starter, seq, report: Box::new(report) })?;
        Ok(Ok(()))
    }

    /// To those who follow the job; one that is behind does without: it is for people.
    fn pass_on(&mut self, node: NodeId, job: JobUuid, frame: Vec<u8>) {
        let Some(id) = self.core.job_by_uuid(job) else { return };
        let links: Vec<_> = self.followers.of(id).map(|(link, _)| link).collect();
        if links.is_empty() {
            return;
        }
        let message = ToClient::Report { job, node, frame };
        for link in links {
            let is_behind = self.links.get_mut(link).is_none_or(super::links::Link::is_congested);
            if !is_behind {
                self.send_client(link, &message);
            }
        }
    }

    fn on_register(&mut self, link: LinkId, register: Register) -> Result<Result<(), String>, Failed> {
        let (party, key_name, fingerprint, from) = {
            let Some(it) = self.links.get_mut(link) else { return Ok(Ok(())) };
            if it.side != Side::Silent {
                return Ok(Err("a node registers once on a connection".to_owned()));
            }
            let fingerprint = match it.conn.session().identity() {
                Some(dc_link::Identity::Peer(peer)) => peer.fingerprint.to_string(),
                _ => String::new(),
            };
            (it.party, it.key_name.clone(), fingerprint, it.from.clone())
        };
        let may = party.is_some_and(|party| authority::may(self.own_uid, party, Verb::Register, None));
        if !may {
            return Ok(Err(format!(
                "{from} may not {}: only root's and the scheduler's own processes may, by the socket",
                Verb::Register.text()
            )));
        }
        if let Err(why) = self.check_register(party, key_name.as_deref(), &register) {
            return Ok(Err(why));
        }
        let name = register.name.clone();
        if let Some(old) = self.older_connection(&name) {
            self.close(old, Some("the node has registered anew".to_owned()))?;
        }
        let facts = NodeFacts {
            address: register.address.clone(),
            fingerprint,
            load_centi: register.load_centi,
            ranks: 0,
        };
        let side = NodeLink { name: name.clone(), incarnation: register.incarnation };
        if let Some(it) = self.links.get_mut(link) {
            it.side = Side::Registering(side);
        }
        self.registering.insert(name.clone(), link);
        info!(
            node = name,
            from,
            cores = register.topology.cores.len(),
            start = register.incarnation.start,
            kill = ?register.kill,
            synthetic = register.synthetic,
            dcd = %shown(&register.version),
            "a node registers"
        );
        if register.kill == KillMode::Subreaper {
            warn!(node = name, "it has no control groups: what flees a rank fast enough may get away");
        }
        let Register { incarnation, topology, speed_permille, memory_max_bytes, .. } = register;
        let registration =
            Registration { name: name.clone(), incarnation, topology, speed_permille, memory_max_bytes };
        self.step(Event::Registered(Box::new(registration)))?;
        self.registering.remove(&name);
        let node = self.links.get(link).and_then(super::links::Link::node);
        let Some(node) = node else { return Ok(Err("the node was not taken".to_owned())) };
        self.facts.insert(node, facts);
        self.on_nodes_changed();
        self.followers.nodes.insert(node);
        Ok(Ok(()))
    }

    /// What makes a registration one that must not be taken.
    fn check_register(
        &self,
        party: Option<Party>,
        key_name: Option<&str>,
        register: &Register,
    ) -> Result<(), String> {
        let name = &register.name;
        if Name::parse(name).is_err() {
            return Err(format!("{} is no name of a node", shown(name)));
        }
        if let Some(of_key) = key_name
            && of_key != name
        {
            return Err(format!(
                "a node calls itself {name}, and has the key of {of_key}: one of them is wrong"
            ));
        }
        if party == Some(Party::Node) && key_name.is_none() {
            return Err("a node without a name in the peers file".to_owned());
        }
        let epoch = self.journal.epoch();
        if register.epoch_seen > epoch {
            return Err(format!(
                "node {name} has obeyed epoch {} of this cluster's scheduler, and this is epoch {epoch}: the state \
                 directory is an older copy",
                register.epoch_seen
            ));
        }
        let Some(node) = self.core.node_by_name(name) else { return Ok(()) };
        let Some(known) = self.core.node(node).and_then(|view| view.incarnation()) else { return Ok(()) };
        let new = register.incarnation;
        let is_connected = self.by_node.contains_key(&node);
        if new.start < known.start && (is_connected || new.boot == known.boot) {
            return Err(format!(
                "node {name} was started {} times, and comes now with its start {}: another dcd has its name, or an \
                 older copy of its state directory",
                known.start, new.start
            ));
        }
        Ok(())
    }

    fn older_connection(&self, name: &str) -> Option<LinkId> {
        let node = self.core.node_by_name(name);
        node.and_then(|node| self.by_node.get(&node)).or_else(|| self.registering.get(name)).copied()
    }

    /// The core knows a node: it is told its number, and what is expected of it.
    pub(super) fn welcome(&mut self, name: &str, node: NodeId) {
        let Some(link) = self.registering.get(name).copied() else { return };
        let Some(it) = self.links.get_mut(link) else { return };
        let Side::Registering(side) = it.side.clone() else { return };
        it.side = Side::Node(node, side);
        self.by_node.insert(node, link);
        let message = dc_model::cluster::ToNode::Welcome {
            epoch: self.journal.epoch(),
            node,
            lease_ms: self.settings.lease_ms(),
            heartbeat_ms: self.settings.heartbeat_ms(),
        };
        self.send_node(node, &message);
    }

    /// Sends a message to a node, if it is connected.
    pub(super) fn send_node(&mut self, node: NodeId, message: &dc_model::cluster::ToNode) {
        let Some(link) = self.by_node.get(&node).copied() else { return };
        if self.links.send(link, message.kind(), message.body(), clock::now()).is_err() {
            self.doom(link, "the node is too far behind; it is to register again");
        }
    }
}

/// A starter's report from its frame, all of it.
fn decode_frame(frame: &[u8]) -> Result<FromStarter, String> {
    let mut buffer = FrameBuffer::default();
    buffer.push(frame);
    let report = match buffer.next_frame().map_err(|error| error.to_string())? {
        Some((kind, body)) => FromStarter::decode(kind, body).map_err(|error| error.to_string())?,
        None => return Err("it is no whole frame".to_owned()),
    };
    if buffer.is_partial() { Err("something is behind it".to_owned()) } else { Ok(report) }
}
