//! The fakes: disks that fail on purpose. For tests only; nothing here is in a program that is installed.

mod failing_disk;
mod power_cut;

pub use failing_disk::{Call, FailingDisk, Fault, FullDisk};
pub use power_cut::PowerCut;
