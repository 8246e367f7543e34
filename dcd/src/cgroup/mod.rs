//! Control groups as this system has them: version 2, version 1, or both side by side.

pub mod group;
pub mod own;
