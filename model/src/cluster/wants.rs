//! What a job asks of the cluster beyond its job record: which nodes, how many, whether for itself.

use super::NODE_NAME_BYTES_MAX;
use super::lists::{get_option, get_texts, put_option, put_texts};
use crate::codec::{DecodeError, Reader, Writer};

/// How many nodes, and which.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NodeWants {
    /// At least so many nodes (`-N min`), all at once; 0: as they are free.
    pub nodes_min: u32,
    /// At most so many (`-N …-max`); 0: any number.
    pub nodes_max: u32,
    /// At most so many ranks a node at once (`--ntasks-per-node`); 0: any number.
    pub ranks_per_node: u32,
    /// Only these nodes (`-w`), by name; empty: any.
    pub only: Vec<String>,
    /// Not these (`-x`).
    pub except: Vec<String>,
    /// Nobody else's ranks on its nodes (`--exclusive`).
    pub exclusive: bool,
}

/// What is submitted beside the job record.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Wants {
    /// Nodes.
    pub nodes: NodeWants,
    /// Time from its first launch after which it is stopped, in ns.
    pub time_limit_ns: Option<u64>,
    /// It goes on without a command attached (`--detach`).
    pub detached: bool,
    /// Nodes keep their directories of it after its end (`--keep`).
    pub keep: bool,
    /// What dcrun's view adds to the starters' Hello: dcsched-brief's bytes, with a version of their own.
    pub brief: Vec<u8>,
}

impl Wants {
    pub(super) fn encode(&self, w: &mut Writer) {
        let nodes = &self.nodes;
        [nodes.nodes_min, nodes.nodes_max, nodes.ranks_per_node].into_iter().for_each(|v| w.u32(v));
        put_texts(w, &nodes.only);
        put_texts(w, &nodes.except);
        w.u8(u8::from(nodes.exclusive));
        put_option(w, self.time_limit_ns, |w, ns| w.u64(ns));
        w.u8(u8::from(self.detached));
        w.u8(u8::from(self.keep));
        w.bytes(&self.brief);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            nodes: NodeWants {
                nodes_min: r.u32()?,
                nodes_max: r.u32()?,
                ranks_per_node: r.u32()?,
                only: get_texts(r, NODE_NAME_BYTES_MAX)?,
                except: get_texts(r, NODE_NAME_BYTES_MAX)?,
                exclusive: r.bool()?,
            },
            time_limit_ns: get_option(r, Reader::u64)?,
            detached: r.bool()?,
            keep: r.bool()?,
            brief: r.bytes()?.to_vec(),
        })
    }

    /// Its bytes, for a journal.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.encode(&mut w);
        w.bytes
    }

    /// From a journal's bytes.
    ///
    /// # Errors
    /// When they are not these.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let wants = Self::decode(&mut r)?;
        r.end()?;
        Ok(wants)
    }
}
