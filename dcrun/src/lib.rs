//! What the commands of a cluster share: the scheduler as they speak to it, and what they show of its answers. Behind
//! dcrun, dcinfo, dcqueue, dccancel and dcctl.

pub mod sched;
pub mod signal;
pub mod tools;
