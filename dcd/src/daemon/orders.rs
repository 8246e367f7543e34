//! Frames for a starter that come from dcsched: each is decoded before any of them counts, and only those are passed on that
//! a scheduler has business to send. What a connection to a starter is made of is dcd's own.

use dc_model::codec::DecodeError;
use dc_model::wire::FromStarter;
use dc_model::wire::{FrameBuffer, Launch, ToStarter};
use dc_model::{CpuSet, LaunchStage, Outcome};
use thiserror::Error;

/// Why an order is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BadOrder {
    /// No message.
    #[error("an order for a starter that {0}")]
    Unreadable(#[from] DecodeError),
    /// Bytes behind the last frame.
    #[error("an order for a starter that ends in the midst of a frame")]
    Partial,
    /// Not a scheduler's.
    #[error("an order for a starter that only its own node may give")]
    NotYours,
}

/// Reads all frames of an order.
///
/// # Errors
/// [`BadOrder`]; then none of them counts.
pub fn read(frames: &[u8]) -> Result<Vec<ToStarter>, BadOrder> {
    let mut buffer = FrameBuffer::default();
    buffer.push(frames);
    let mut orders = Vec::new();
    while let Some((kind, body)) = buffer.next_frame()? {
        match ToStarter::decode(kind, body)? {
            order @ (ToStarter::Launch(_)
            | ToStarter::Gang(_)
            | ToStarter::Stop { .. }
            | ToStarter::Signal { .. }
            | ToStarter::KillAll) => orders.push(order),
            _ => return Err(BadOrder::NotYours),
        }
    }
    if buffer.is_partial() { Err(BadOrder::Partial) } else { Ok(orders) }
}

/// The launches of an order that name CPUs which this node does not have for ranks.
pub fn outside<'a>(order: &'a ToStarter, allowed: &'a CpuSet) -> Option<&'a Launch> {
    let is_outside = |launch: &&Launch| launch.cpus.iter().any(|cpu| !allowed.contains(cpu));
    match order {
        ToStarter::Launch(launch) => Some(&**launch).filter(is_outside),
        ToStarter::Gang(gang) => gang.ranks.iter().flatten().find(is_outside),
        _ => None,
    }
}

/// What is told of launches that are not to be made: as if the system had refused to bind them.
pub fn refusals(order: &ToStarter) -> Vec<FromStarter> {
    let refusal = |launch: &Launch| FromStarter::Ended {
        subtask: launch.subtask,
        attempt: launch.attempt,
        outcome: Outcome::NotLaunched { stage: LaunchStage::Affinity, errno: nix::libc::EINVAL },
        ran_ns: 0,
        stopped: false,
        checkpoint: None,
        progress_cells: 0,
        result: None,
        memory_short: false,
    };
    match order {
        ToStarter::Launch(launch) => vec![refusal(launch)],
        ToStarter::Gang(gang) => gang.ranks.iter().flatten().map(refusal).collect(),
        _ => Vec::new(),
    }
}
