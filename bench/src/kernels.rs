//! The kernels that the figures are measured with: this program under other words.

pub mod sleep;
pub mod step;
