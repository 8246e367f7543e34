//! The calls in safe code: the one kernel of this process, behind a lock, and what is asked of it.

use crate::failure::Failure;
use dc_model::Step;
use dc_spool::checkpoint::{Region, RegionMut};
use dc_spool::kernel::{Kernel, KernelError};
use dc_spool::result::{Dtype, Layout};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Made by the first call. An error of the environment is told by every call; it is not a state to stay in.
static KERNEL: Mutex<Option<Kernel>> = Mutex::new(None);

fn with<T>(call: impl FnOnce(&mut Kernel) -> Result<T, KernelError>) -> Result<T, Failure> {
    // A panic under the lock leaves the kernel as any failed call does: whole files, or none.
    let mut guard = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    let kernel = match &mut *guard {
        Some(kernel) => kernel,
        empty => empty.insert(Kernel::from_env()?),
    };
    Ok(call(kernel)?)
}

pub fn restore(regions: &mut [RegionMut<'_>]) -> Result<Option<Step>, Failure> {
    with(|kernel| kernel.restore(regions))
}

pub fn checkpoint_due() -> Result<bool, Failure> {
    with(|kernel| Ok(kernel.checkpoint_due()))
}

pub fn checkpoint(step: Step, regions: &[Region<'_>]) -> Result<(), Failure> {
    with(|kernel| kernel.checkpoint(step, regions))
}

pub fn progress(cells: u64) -> Result<(), Failure> {
    with(|kernel| {
        kernel.progress(cells);
        Ok(())
    })
}

pub fn dtype(number: i32) -> Result<Dtype, Failure> {
    let known = u8::try_from(number).ok().and_then(Dtype::from_number);
    known.ok_or_else(|| Failure::invalid(format!("there is no type {number}: see enum dc_dtype")))
}

pub fn layout(number: i32) -> Result<Layout, Failure> {
    let known = u8::try_from(number).ok().and_then(Layout::from_number);
    known.ok_or_else(|| Failure::invalid(format!("there is no layout {number}: see enum dc_layout")))
}

pub fn result(dtype: Dtype, values_per_cell: u32, layout: Layout, data: &[u8]) -> Result<(), Failure> {
    with(|kernel| kernel.result(dtype, layout, values_per_cell, data).map(drop))
}

pub fn subtask() -> Result<u32, Failure> {
    with(|kernel| Ok(kernel.subtask().0))
}

pub fn rank() -> Result<u32, Failure> {
    with(|kernel| Ok(kernel.rank().0))
}

pub fn attempt() -> Result<u32, Failure> {
    with(|kernel| kernel.attempt().map(|attempt| attempt.0))
}

pub fn cells() -> Result<u64, Failure> {
    with(|kernel| kernel.cells().map(Option::unwrap_or_default))
}

pub fn block() -> Result<Option<[u32; 4]>, Failure> {
    with(|kernel| Ok(kernel.block_of_domain()?.map(|block| [block.x0, block.y0, block.x1, block.y1])))
}

pub fn grid() -> Result<Option<(u32, u32)>, Failure> {
    with(Kernel::grid)
}

pub fn domain(path: &Path) -> Result<(), Failure> {
    with(|kernel| kernel.use_domain(path))
}

/// Counts the effective cells, and fills the mask where there is one.
pub fn mask(mask: Option<&mut [u8]>) -> Result<u64, Failure> {
    with(|kernel| match mask {
        Some(mask) => kernel.mask(mask),
        None => kernel.effective(),
    })
}
