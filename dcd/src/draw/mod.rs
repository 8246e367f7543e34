//! Text for people out of values: numbers as they read them, boxes on a terminal, the picture of a machine. Nothing is
//! written here.

pub mod amount;
pub mod canvas;
pub mod machine;
