//! The figures, one file each: measure, print a table, give back what goes into the JSON object.

pub mod kills;
pub mod launch;
pub mod split;
pub mod start;
pub mod tiles;
