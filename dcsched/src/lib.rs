//! What stands around the pure core: so far the simulator that tests it. The daemon will stand here too.

pub mod sim;
