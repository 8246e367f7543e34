//! Errors as C sees them: a negative number for the kind, and a line that [`last`] keeps for this thread.

use dc_spool::checkpoint::CheckpointError;
use dc_spool::kernel::KernelError;
use dc_spool::record_file::RecordError;
use dc_spool::result::ResultError;
use std::cell::RefCell;
use std::ffi::CString;

/// Kinds of errors; the numbers are `enum dc_failure` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Kind {
    Invalid = -1,
    Environment = -2,
    Io = -3,
    Corrupt = -4,
    Mismatch = -5,
    Domain = -6,
    Panic = -7,
}

/// An error on its way to C.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub text: String,
}

impl Failure {
    /// A mistake in the arguments.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, text: text.into() }
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        let record = |error: &RecordError| match error {
            RecordError::File(_) => Kind::Io,
            RecordError::Refused { .. } => Kind::Corrupt,
        };
        let kind = match &error {
            KernelError::Env(_) | KernelError::ByHand(_) => Kind::Environment,
            KernelError::File(_)
            | KernelError::Checkpoint(CheckpointError::File(_))
            | KernelError::Result(ResultError::File(_)) => Kind::Io,
            KernelError::Checkpoint(CheckpointError::Record(error)) => record(error),
            KernelError::Restart { newest, .. } => record(newest),
            KernelError::NoneValid { .. } | KernelError::Fenced { .. } => Kind::Corrupt,
            KernelError::Checkpoint(CheckpointError::Regions { .. }) | KernelError::NotAStream { .. } => {
                Kind::Mismatch
            }
            KernelError::Checkpoint(_)
            | KernelError::Result(ResultError::Head(_))
            | KernelError::MaskLength { .. }
            | KernelError::CellsOfBlock { .. } => Kind::Invalid,
            KernelError::Domain { .. } | KernelError::NoDomain => Kind::Domain,
        };
        Self { kind, text: error.to_string() }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Keeps the line for this thread. What cannot be in a C string is left out.
pub fn keep(text: &str) {
    let bytes: Vec<u8> = text.bytes().filter(|b| *b != 0).collect();
    let text = CString::new(bytes).unwrap_or_default();
    // At a thread's very end there is nobody left to ask.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = text;
        }
    });
}

/// This thread's line; it moves only when [`keep`] is called again.
pub fn last() -> *const std::ffi::c_char {
    LAST.try_with(|last| last.try_borrow().map_or(c"".as_ptr(), |last| last.as_ptr())).unwrap_or(c"".as_ptr())
}
