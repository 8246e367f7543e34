//! The durable state of a cluster as bytes, for snapshots; and as text, in the order of its numbers, for tests.

use super::durable::{Durable, Kept, Seen};
use super::{Cluster, Config};
use crate::job::{self, JobSpec};
use dc_model::JobUuid;
use dc_model::cluster::Wants;
use dc_model::codec::{DecodeError, Reader, Writer};
use std::fmt::Write as _;

const VERSION: u16 = 1;

impl Cluster {
    /// The state, of all records up to [`Cluster::seq`].
    #[must_use]
    pub fn state_to_bytes(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        w.u16(VERSION);
        w.u64(self.durable.last_job);
        w.u32(self.durable.last_node);
        w.u64(self.durable.lease_ns);
        w.u32(self.durable.nodes.len() as u32);
        for (id, seen) in &self.durable.nodes {
            w.u32(*id);
            w.bytes(seen.name.as_bytes());
            w.u8(u8::from(seen.up) | u8::from(seen.drained.is_some()) << 1);
            w.bytes(seen.drained.as_deref().unwrap_or_default().as_bytes());
        }
        w.u32(self.durable.jobs.len() as u32);
        for (id, kept) in &self.durable.jobs {
            w.u64(*id);
            w.raw(&kept.uuid.0);
            w.raw(&kept.key);
            w.u32(kept.uid);
            w.bytes(&kept.wants.to_bytes());
            w.bytes(&kept.record);
            let state = self.job_state(*id, kept);
            w.u8(u8::from(state.is_some()));
            state.iter().for_each(|state| state.encode(w));
        }
        std::mem::take(&mut w.bytes)
    }

    fn job_state<'a>(&'a self, id: super::JobId, kept: &'a Kept) -> Option<&'a job::Durable> {
        match self.jobs.get(&id) {
            Some(live) => live.job.as_ref().map(|job| job.durable()),
            None => kept.replayed.as_deref().map(|(_, durable)| durable),
        }
    }

    /// Reads a state; the records after it follow by [`Cluster::replay`]. `spec` makes what the core is told of a job.
    ///
    /// # Errors
    /// When the bytes are none, or of another version, or a job's record and its state do not belong together.
    pub fn state_from_bytes(
        config: Config,
        bytes: &[u8],
        spec: &mut dyn FnMut(&Wants, &[u8]) -> Option<JobSpec>,
    ) -> Result<Self, DecodeError> {
        let mut durable = Durable::default();
        if bytes.is_empty() {
            return Ok(Self::with(config, durable));
        }
        let r = &mut Reader::new(bytes);
        if r.u16()? != VERSION {
            return Err(DecodeError::Unknown("version of a cluster's state"));
        }
        let last = (r.u64()?, r.u32()?);
        durable.lease_ns = r.u64()?;
        for _ in 0..r.count(13)? {
            let (id, name) = (r.u32()?, text(r)?);
            let (bits, reason) = (r.u8()?, text(r)?);
            if bits > 3 || id > last.1 {
                return Err(DecodeError::Impossible("node"));
            }
            let drained = (bits & 2 != 0).then_some(reason);
            durable.insert_node(id, Seen { name, up: bits & 1 != 0, drained });
        }
        for _ in 0..r.count(54)? {
            let (id, uuid, key, uid) = (r.u64()?, JobUuid(r.array()?), r.array()?, r.u32()?);
            let wants = Box::new(Wants::from_bytes(r.bytes()?)?);
            let record: std::sync::Arc<[u8]> = r.bytes()?.into();
            let state = if r.bool()? { Some(job::Durable::decode(r)?) } else { None };
            let replayed = match state {
                None => None,
                Some(state) => {
                    let spec = spec(&wants, &record).ok_or(DecodeError::Impossible("job record"))?;
                    if spec.needs.len() != state.entries.len() || spec.gang != state.gang.is_some() {
                        return Err(DecodeError::Impossible("state of a job"));
                    }
                    Some(Box::new((spec, state)))
                }
            };
            if id > last.0 {
                return Err(DecodeError::Impossible("number of a job"));
            }
            durable.insert_job(id, Kept { uuid, key, uid, wants, record, replayed });
        }
        r.end()?;
        (durable.last_job, durable.last_node) = last;
        Ok(Self::with(config, durable))
    }

    /// The durable state as text: what tests compare.
    #[must_use]
    pub fn projection(&self) -> String {
        let mut text = format!(
            "last job {} node {} lease {}\n",
            self.durable.last_job, self.durable.last_node, self.durable.lease_ns
        );
        for (id, seen) in &self.durable.nodes {
            let _ = writeln!(text, "node {id} {seen:?}");
        }
        for (id, kept) in &self.durable.jobs {
            let _ = writeln!(text, "job {id} {:?} {:?} {}", kept.uuid, kept.key, kept.uid);
            if let Some(state) = self.job_state(*id, kept) {
                text += &state.projection();
            }
        }
        text
    }
}

fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    std::str::from_utf8(r.bytes()?).map(str::to_owned).map_err(|_| DecodeError::Impossible("text"))
}
