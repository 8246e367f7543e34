//! Asks whether the kernel has a call, without doing anything.
//!
//! Unsafe for the one call that nix has no word for.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;

/// Whether clone3 is there: with a structure of no size the kernel says EINVAL, and anything else means that there is
/// none, or that a filter forbids it.
pub(super) fn has_clone3() -> bool {
    // SAFETY: the kernel looks at the size first and refuses 0; nothing is read, and no process is made.
    let result = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<libc::c_void>(), 0_usize) };
    result == -1 && Errno::last() == Errno::EINVAL
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_makes_no_process() {
        let before = std::process::id();
        let _ = super::has_clone3();
        assert_eq!(std::process::id(), before);
    }
}
