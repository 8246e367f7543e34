//! The C library of the kernel's side. What each function does is said in `include/dcspool.h`; here is only the way
//! from C to [`dc_spool::kernel::Kernel`] and back.
//!
//! [`ffi`] is the one file with `unsafe`: it turns C's pointers into slices and catches panics. What is done with them is
//! in [`calls`], in safe code.

mod calls;
mod failure;
mod ffi;
