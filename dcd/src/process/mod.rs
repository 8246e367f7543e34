//! Processes as the kernel shows them: whose children they are, what tags they carry, how to end exactly those.

pub mod calls;
pub mod children;
pub mod tag;
