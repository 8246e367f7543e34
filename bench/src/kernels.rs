//! The kernels that the figures are measured with: this program under other words.

pub mod cut;
pub mod note;
pub mod print;
pub mod sleep;
pub mod step;
