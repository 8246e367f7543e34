//! Exit statuses of dc's commands. They are API: scripts read them.

/// All went well.
pub const OK: u8 = 0;
/// The time limit was reached.
pub const TIME_LIMIT: u8 = 124;
/// An error of dc's own, of its usage, or of merging.
pub const DC_ERROR: u8 = 125;
/// The kernel cannot be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// The kernel was not found.
pub const NOT_FOUND: u8 = 127;
/// Added to a signal's number when that signal ended a rank, or dc itself.
pub const SIGNAL_BASE: u8 = 128;
/// Stopped by the second Ctrl-C (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// A rank was killed for want of memory, as srun has it.
pub const OUT_OF_MEMORY: u8 = 253;
/// Nobody reads standard output (128 + SIGPIPE).
pub const BROKEN_PIPE: u8 = 141;
