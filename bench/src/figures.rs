//! The figures, one file each: measure, print a table and what was aimed at, give back what goes into the JSON object.

pub mod flood;
pub mod kills;
pub mod launch;
pub mod many;
pub mod mask;
pub mod restart;
pub mod split;
pub mod start;
pub mod submit;
pub mod tiles;
