//! Merges results onto the grid their blocks were cut from, as an `.npy` file of shape (ny, nx).
//! A row of one block is all that is held in memory; each row is written at its place.

use crate::fill::{Fill, fill_bytes};
use crate::{Dtype, Layout, MergeError, Part, npy};
use dc_model::Block;
use dc_model::domain::Domain;
use dc_spool::files::NewFile;
use dc_spool::result::{Head, Reader, Results};
use std::io::{BufReader, Read};
use std::path::Path;

const READ_BYTES: usize = 256 << 10;
const FILL_CHUNK_BYTES: usize = 1 << 20;

/// What was merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GridReport {
    /// Type of the values.
    pub dtype: Dtype,
    /// Columns.
    pub nx: u32,
    /// Rows.
    pub ny: u32,
    /// Cells that hold a result.
    pub effective: u64,
}

/// Writes the grid into `target`. `parts` must be a partition of the domain's effective cells into blocks that do
/// not overlap; every other cell holds `fill`, or NaN.
///
/// # Errors
/// When a result is missing, not what was committed, or not of the right size or type, or the target cannot be
/// written; it is then as before.
pub fn grid(
    target: &Path,
    domain: &Domain,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
    fill: Option<&Fill>,
) -> Result<GridReport, MergeError> {
    grid_into(NewFile::at_target(target)?, domain, parts, results, fill)
}

/// As [`grid`], into a file that was begun for it.
///
/// # Errors
/// As [`grid`].
pub fn grid_into(
    file: NewFile,
    domain: &Domain,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
    fill: Option<&Fill>,
) -> Result<GridReport, MergeError> {
    let mut parts = parts.into_iter().peekable();
    let first = parts.peek().ok_or(MergeError::Nothing)?;
    let head = first.try_open(results)?.head();
    let like = First { shown: first.shown(), dtype: head.dtype };
    try_fits(first, try_block(first, domain)?, domain, head, &like)?;
    let mut grid = Grid::try_new(file, domain, like, fill)?;
    let mut found = 0;
    for part in parts {
        found += grid.try_put(&part, &part.try_open(results)?)?;
    }
    if found != domain.effective() {
        return Err(MergeError::Coverage { found, need: domain.effective() });
    }
    grid.file.commit_target()?;
    Ok(GridReport { dtype: grid.first.dtype, nx: domain.nx(), ny: domain.ny(), effective: found })
}

/// The part that gave the type.
struct First {
    shown: String,
    dtype: Dtype,
}

fn try_block(part: &Part, domain: &Domain) -> Result<Block, MergeError> {
    let block = part.block.ok_or_else(|| MergeError::NoBlock { subtask: part.shown() })?;
    let inside =
        block.x0 < block.x1 && block.x1 <= domain.nx() && block.y0 < block.y1 && block.y1 <= domain.ny();
    if inside { Ok(block) } else { Err(MergeError::Outside { subtask: part.shown() }) }
}

/// The grid on its way into its file.
struct Grid<'a> {
    file: NewFile,
    domain: &'a Domain,
    first: First,
    header_bytes: u64,
    /// The fill value, as often as the widest block so far has columns.
    fill: Vec<u8>,
    /// A row of a block as its result has it, and as the grid has it.
    read: Vec<u8>,
    row: Vec<u8>,
}

impl<'a> Grid<'a> {
    fn try_new(
        mut file: NewFile,
        domain: &'a Domain,
        first: First,
        fill: Option<&Fill>,
    ) -> Result<Self, MergeError> {
        let dtype = first.dtype;
        let (nx, ny) = (domain.nx(), domain.ny());
        let too_large = || MergeError::TooLarge { nx, ny, dtype };
        let fill = fill_bytes(fill, dtype)?;
        let shape = vec![u64::from(ny), u64::from(nx)];
        let data_bytes = npy::data_bytes(dtype, &shape).ok_or_else(too_large)?;
        let header = npy::encode(&npy::Header { dtype, shape }).map_err(|_| too_large())?;
        let header_bytes = header.len() as u64;
        let file_bytes = data_bytes
            .checked_add(header_bytes)
            .filter(|n| i64::try_from(*n).is_ok())
            .ok_or_else(too_large)?;

        // A full disk shows here; and what is reserved reads as zeros.
        file.allocate(file_bytes)?;
        file.append(&header)?;
        if fill.iter().any(|b| *b != 0) {
            let chunk = fill.repeat(FILL_CHUNK_BYTES / fill.len());
            let mut left = data_bytes;
            while left > 0 {
                let n = left.min(chunk.len() as u64);
                file.append(&chunk[..n as usize])?;
                left -= n;
            }
        }
        let (read, row) = (Vec::new(), Vec::new());
        Ok(Self { file, domain, first, header_bytes, fill, read, row })
    }

    /// Puts one part at its place, and returns its effective cells.
    fn try_put(&mut self, part: &Part, reader: &Reader) -> Result<u64, MergeError> {
        let block = try_block(part, self.domain)?;
        let head = reader.head();
        let effective = try_fits(part, block, self.domain, head, &self.first)?;
        // Its last bytes are given out only when its checksum is right, and all of it is read below.
        let mut payload = BufReader::with_capacity(READ_BYTES, reader.payload());
        let (domain, value_bytes) = (self.domain, self.first.dtype.bytes());
        let width_bytes = block.width() as usize * value_bytes;
        if self.fill.len() < width_bytes {
            self.fill = self.fill[..value_bytes].repeat(block.width() as usize);
        }
        for y in block.y0..block.y1 {
            self.row.clear();
            let runs = || domain.row_runs(y, block.x0..block.x1);
            let values = match head.layout {
                Layout::Effective => runs().map(|run| run.len()).sum(),
                _ => block.width() as usize,
            };
            self.read.resize(values * value_bytes, 0);
            payload.read_exact(&mut self.read).map_err(|e| part.unusable(e))?;

            let (mut x, mut at) = (block.x0, 0);
            for run in runs() {
                self.row.extend_from_slice(&self.fill[..(run.start - x) as usize * value_bytes]);
                if head.layout == Layout::Block {
                    at = (run.start - block.x0) as usize * value_bytes;
                }
                let end = at + run.len() * value_bytes;
                self.row.extend_from_slice(&self.read[at..end]);
                (x, at) = (run.end, end);
            }
            self.row.extend_from_slice(&self.fill[..(block.x1 - x) as usize * value_bytes]);
            let cell = u64::from(y) * u64::from(domain.nx()) + u64::from(block.x0);
            self.file.put(&self.row, self.header_bytes + cell * value_bytes as u64)?;
        }
        Ok(effective)
    }
}

/// Whether a result has the type and the number of values that its block takes; returns its effective cells.
fn try_fits(
    part: &Part,
    block: Block,
    domain: &Domain,
    head: Head,
    first: &First,
) -> Result<u64, MergeError> {
    let subtask = || part.shown();
    let effective = domain.effective_in(block);
    let need_cells = match head.layout {
        Layout::Bytes => return Err(MergeError::Opaque { subtask: subtask() }),
        Layout::Effective => effective,
        Layout::Block => block.area(),
    };
    if head.values_per_cell != 1 {
        return Err(MergeError::ValuesPerCell { subtask: subtask(), values: head.values_per_cell });
    }
    if head.dtype != first.dtype {
        return Err(MergeError::Types {
            subtask: subtask(),
            dtype: head.dtype,
            first: first.shown.clone(),
            first_dtype: first.dtype,
        });
    }
    let found_bytes = head.values.saturating_mul(head.dtype.bytes() as u64);
    // Sides below 2^31 and values of 8 bytes at most: this fits, or the length could not be equal to it.
    let need_bytes = need_cells.saturating_mul(head.dtype.bytes() as u64);
    if found_bytes != need_bytes {
        return Err(MergeError::Size {
            subtask: subtask(),
            found_bytes,
            need_bytes,
            need_cells,
            dtype: head.dtype,
            layout: head.layout,
        });
    }
    Ok(effective)
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
