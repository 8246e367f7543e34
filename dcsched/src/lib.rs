//! What stands around the pure core: the daemon of a cluster, and the simulator that tests the core.

pub mod daemon;
pub mod relay;
pub mod sim;
