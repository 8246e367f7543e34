//! System calls for a child that runs in its parent's memory while the parent runs on: libc's wrappers write errno
//! into the thread's own memory, and that thread is the parent's.
//!
//! Unsafe because they are bare system calls: the arguments' meaning is the caller's business.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc::c_long;

/// Whether a child may run beside its parent on this machine.
const CAN_HOLD: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Whether this kernel has all that a held child needs.
#[must_use]
pub fn can_hold() -> bool {
    // SAFETY: no descriptor has this number.
    CAN_HOLD && unsafe { call(nix::libc::SYS_close_range, [u32::MAX as usize, u32::MAX as usize, 0]) }.is_ok()
}

/// The largest errno that Linux returns.
const ERRNO_MAX: isize = 4095;

/// One system call.
///
/// # Safety
/// As the system call itself has it.
///
/// # Errors
/// What the kernel says.
pub unsafe fn call<const N: usize>(number: c_long, arguments: [usize; N]) -> Result<usize, Errno> {
    const { assert!(N <= 6, "a system call has six arguments at most") };
    let mut six = [0; 6];
    six[..N].copy_from_slice(&arguments);
    // SAFETY: the caller's.
    let result = unsafe { trap(number as usize, six) };
    if (-ERRNO_MAX..0).contains(&result) {
        return Err(Errno::from_raw(-result as i32));
    }
    Ok(result as usize)
}

#[cfg(target_arch = "x86_64")]
unsafe fn trap(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: Linux's convention on this machine; rcx and r11 are lost, the stack is left alone.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn trap(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: Linux's convention on this machine; the stack is left alone.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack)
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn trap(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    use nix::libc;
    // SAFETY: the caller's; errno is nobody else's while the parent waits (see `CAN_HOLD`).
    let result = unsafe { libc::syscall(number as c_long, a, b, c, d, e, f) };
    if result < 0 { -(Errno::last_raw() as isize) } else { result as isize }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    #[test]
    fn results_and_errors_are_told_apart_and_errno_stays() {
        Errno::set_raw(7);
        // SAFETY: neither call touches memory.
        unsafe {
            assert_eq!(call(libc::SYS_getpid, []), Ok(std::process::id() as usize));
            assert_eq!(call(libc::SYS_close, [usize::MAX]), Err(Errno::EBADF));
        }
        assert!(!CAN_HOLD || Errno::last_raw() == 7);
    }
}
