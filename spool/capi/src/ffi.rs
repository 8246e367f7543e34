//! The functions that C calls.
//!
//! Unsafe because C's pointers and lengths are taken at their word, as the header asks the caller to give them; null is
//! refused where it makes no sense. No panic leaves a function: it becomes `DC_EPANIC`.
#![allow(unsafe_code)]

use crate::calls;
use crate::failure::{self, Failure, Kind};
use dc_spool::checkpoint::{Region, RegionMut};
use std::ffi::{CStr, OsStr, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// `struct dc_region`.
#[repr(C)]
pub struct DcRegion {
    id: u32,
    data: *mut c_void,
    bytes: u64,
}

/// Runs a call, keeps its error's text, and gives the number for C.
fn guard<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Kind> {
    let failure = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(failure)) => failure,
        Err(_) => Failure { kind: Kind::Panic, text: "a fault of the library itself".to_owned() },
    };
    failure::keep(&failure.text);
    Err(failure.kind)
}

fn status(call: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    guard(call).unwrap_or_else(|kind| kind as c_int)
}

/// # Safety
/// `data` is valid for reading `bytes` bytes for as long as the slice lives, or null.
unsafe fn bytes<'a>(data: *const c_void, bytes: u64) -> Result<&'a [u8], Failure> {
    if bytes == 0 {
        return Ok(&[]);
    }
    let len = length(data.is_null(), bytes)?;
    // SAFETY: not null, and the caller's word.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// # Safety
/// `data` is valid for reading and writing `bytes` bytes, and nobody else uses them, for as long as the slice lives; or
/// null.
unsafe fn bytes_mut<'a>(data: *mut c_void, bytes: u64) -> Result<&'a mut [u8], Failure> {
    if bytes == 0 {
        return Ok(&mut []);
    }
    let len = length(data.is_null(), bytes)?;
    // SAFETY: not null, and the caller's word.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

fn length(null: bool, bytes: u64) -> Result<usize, Failure> {
    if null {
        return Err(Failure::invalid(format!("a null pointer was given for {bytes} bytes")));
    }
    let len = usize::try_from(bytes).ok().filter(|len| isize::try_from(*len).is_ok());
    len.ok_or_else(|| Failure::invalid(format!("{bytes} bytes are more than memory holds")))
}

/// # Safety
/// `regions` points to `n` regions, or `n` is 0.
unsafe fn list<'a>(regions: *const DcRegion, n: usize) -> Result<&'a [DcRegion], Failure> {
    if n == 0 {
        return Ok(&[]);
    }
    if regions.is_null() || n > u32::MAX as usize {
        return Err(Failure::invalid(format!("{n} regions were given that cannot be there")));
    }
    // SAFETY: not null, and the caller's word.
    Ok(unsafe { std::slice::from_raw_parts(regions, n) })
}

/// See the header.
///
/// # Safety
/// `regions` points to `n` regions of memory that do not overlap; `step` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_restore(regions: *const DcRegion, n: usize, step: *mut u64) -> c_int {
    status(|| {
        // SAFETY: the caller's word, for all of these.
        let list = unsafe { list(regions, n) }?;
        let mut all = Vec::with_capacity(n);
        for region in list {
            // SAFETY: as above.
            let data = unsafe { bytes_mut(region.data, region.bytes) }?;
            all.push(RegionMut { id: region.id, data });
        }
        let Some(found) = calls::restore(&mut all)? else { return Ok(0) };
        if !step.is_null() {
            // SAFETY: not null, and the caller's word.
            unsafe { step.write(found) };
        }
        Ok(1)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_checkpoint_due() -> c_int {
    status(|| calls::checkpoint_due().map(c_int::from))
}

/// See the header.
///
/// # Safety
/// `regions` points to `n` regions of memory that nobody changes meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_checkpoint(step: u64, regions: *const DcRegion, n: usize) -> c_int {
    status(|| {
        // SAFETY: the caller's word.
        let list = unsafe { list(regions, n) }?;
        let mut all = Vec::with_capacity(n);
        for region in list {
            // SAFETY: as above.
            let data = unsafe { bytes(region.data, region.bytes) }?;
            all.push(Region { id: region.id, data });
        }
        calls::checkpoint(step, &all).map(|()| 0)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_progress(cells: u64) -> c_int {
    status(|| calls::progress(cells).map(|()| 0))
}

/// See the header.
///
/// # Safety
/// `data` points to `values` values of the type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_result(
    dtype: c_int,
    values_per_cell: u32,
    layout: c_int,
    data: *const c_void,
    values: u64,
) -> c_int {
    status(|| {
        let (dtype, layout) = (calls::dtype(dtype)?, calls::layout(layout)?);
        let len = values.checked_mul(dtype.bytes() as u64);
        let len =
            len.ok_or_else(|| Failure::invalid(format!("{values} values are more than memory holds")))?;
        // SAFETY: the caller's word.
        let data = unsafe { bytes(data, len) }?;
        calls::result(dtype, values_per_cell, layout, data).map(|()| 0)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_subtask() -> u32 {
    guard(calls::subtask).unwrap_or(0)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_rank() -> u32 {
    guard(calls::rank).unwrap_or(0)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_attempt() -> u32 {
    guard(calls::attempt).unwrap_or(0)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_cells() -> u64 {
    guard(calls::cells).unwrap_or(0)
}

/// See the header.
///
/// # Safety
/// `block` points to four numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_block(block: *mut u32) -> c_int {
    status(|| {
        if block.is_null() {
            return Err(Failure::invalid("a null pointer was given for the block"));
        }
        let Some(found) = calls::block()? else { return Ok(0) };
        // SAFETY: not null, and the caller's word that there is room for four.
        unsafe { block.cast::<[u32; 4]>().write(found) };
        Ok(1)
    })
}

/// See the header.
///
/// # Safety
/// `nx` and `ny` may be written, or are null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_grid(nx: *mut u32, ny: *mut u32) -> c_int {
    status(|| {
        let Some((columns, rows)) = calls::grid()? else { return Ok(0) };
        for (to, value) in [(nx, columns), (ny, rows)] {
            if !to.is_null() {
                // SAFETY: not null, and the caller's word.
                unsafe { to.write(value) };
            }
        }
        Ok(1)
    })
}

/// See the header.
///
/// # Safety
/// `path` is a C string, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_domain(path: *const c_char) -> c_int {
    status(|| {
        if path.is_null() {
            return Err(Failure::invalid("a null pointer was given for the path"));
        }
        // SAFETY: not null, and the caller's word.
        let path = unsafe { CStr::from_ptr(path) };
        calls::domain(Path::new(OsStr::from_bytes(path.to_bytes()))).map(|()| 0)
    })
}

/// See the header.
///
/// # Safety
/// `mask` points to `n` bytes, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dc_mask(mask: *mut c_uchar, n: usize) -> i64 {
    let call = || {
        let to = match (mask.is_null(), n) {
            (true, 0) => None,
            // SAFETY: the caller's word; null is refused there.
            _ => Some(unsafe { bytes_mut(mask.cast(), n as u64) }?),
        };
        let effective = calls::mask(to)?;
        i64::try_from(effective).map_err(|_| Failure::invalid("more cells than a number holds"))
    };
    guard(call).unwrap_or_else(|kind| i64::from(kind as c_int))
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn dc_error() -> *const c_char {
    catch_unwind(failure::last).unwrap_or(c"".as_ptr())
}
