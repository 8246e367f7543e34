//! The scheduler, as a command sees it: found, dialled and proved, then asked. The one place where that stands.

mod ask;
mod error;
mod target;
mod wire;

pub use ask::Interrupt;
pub use error::ClusterError;
pub use target::{Named, Target};
pub use wire::Wire;
