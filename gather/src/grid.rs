//! Merges results onto the grid their blocks were cut from, as an array, raw values or an image.
//! A row of one block is all that is held in memory; each row is written at its place.

use crate::fill::Fill;
use crate::form::{Form, Format, Scale};
use crate::walk::Walk;
use crate::{Dtype, Layout, MergeError, Part, value};
use dc_model::Block;
use dc_model::domain::Domain;
use dc_spool::files::NewFile;
use dc_spool::result::{Head, Reader, Results};
use std::path::Path;

const FILL_CHUNK_BYTES: usize = 1 << 20;

/// What was merged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GridReport {
    /// Type of the values.
    pub dtype: Dtype,
    /// Columns.
    pub nx: u32,
    /// Rows.
    pub ny: u32,
    /// Values of each cell.
    pub values_per_cell: u32,
    /// Cells that hold a result.
    pub effective: u64,
    /// What the values of an image stand for, where they were scaled.
    pub scale: Option<Scale>,
}

/// Writes the grid into `target`. `parts` must be a partition of the domain's effective cells into blocks that do
/// not overlap; every other cell holds `fill`, or NaN; in an image 0.
///
/// # Errors
/// When a result is missing, not what was committed, or not of the right size or type, or the target cannot be
/// written; it is then as before.
pub fn grid(
    target: &Path,
    format: Format,
    domain: &Domain,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
    fill: Option<&Fill>,
) -> Result<GridReport, MergeError> {
    grid_into(NewFile::at_target(target)?, format, domain, parts, results, fill)
}

/// As [`grid`], into a file that was begun for it.
///
/// # Errors
/// As [`grid`].
pub fn grid_into(
    file: NewFile,
    format: Format,
    domain: &Domain,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
    fill: Option<&Fill>,
) -> Result<GridReport, MergeError> {
    let parts: Vec<Part> = parts.into_iter().collect();
    let first = parts.first().ok_or(MergeError::Nothing)?;
    let head = first.try_open(results)?.head();
    let first_block = try_block(first, domain)?;
    let first = First { shown: first.shown(), dtype: head.dtype, values: head.values_per_cell };
    try_fits(&parts[0], first_block, domain, head, &first)?;
    let of = Of { domain, results, parts: &parts, first: &first };
    let scale = match format {
        Format::Pgm if head.dtype.is_float() && head.values_per_cell == 1 => Some(of.scale()?),
        _ => None,
    };
    let form = of.form(format, fill, scale)?;
    let mut grid = Grid::try_new(file, domain, form)?;
    let mut found = 0;
    for part in &parts {
        found += grid.try_put(part, &first, &part.try_open(results)?)?;
    }
    if found != domain.effective() {
        return Err(MergeError::Coverage { found, need: domain.effective() });
    }
    grid.file.commit_target()?;
    Ok(GridReport {
        dtype: first.dtype,
        nx: domain.nx(),
        ny: domain.ny(),
        values_per_cell: first.values,
        effective: found,
        scale,
    })
}

/// The part that gave type and values a cell.
struct First {
    shown: String,
    dtype: Dtype,
    values: u32,
}

/// All that is merged.
struct Of<'a> {
    domain: &'a Domain,
    results: &'a Results,
    parts: &'a [Part],
    first: &'a First,
}

impl Of<'_> {
    /// The smallest and the largest finite value of all results; 0 and 0 where there is none.
    fn scale(&self) -> Result<Scale, MergeError> {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut walk, dtype) = (Walk::default(), self.first.dtype);
        for part in self.parts {
            let reader = part.try_open(self.results)?;
            let block = try_block(part, self.domain)?;
            try_fits(part, block, self.domain, reader.head(), self.first)?;
            walk.rows(part, &reader, self.domain, block, |_, runs, bytes| {
                for (_, at) in runs {
                    let values = bytes[at.clone()].chunks_exact(dtype.bytes());
                    for real in values.map(|v| value::to_f64(dtype, v)).filter(|v| v.is_finite()) {
                        (min, max) = (min.min(real), max.max(real));
                    }
                }
                Ok(())
            })?;
        }
        Ok(if min <= max { Scale { min, max } } else { Scale { min: 0.0, max: 0.0 } })
    }

    fn form(&self, format: Format, fill: Option<&Fill>, scale: Option<Scale>) -> Result<Form, MergeError> {
        let (nx, ny, dtype, values) =
            (self.domain.nx(), self.domain.ny(), self.first.dtype, self.first.values);
        if format == Format::Pgm {
            if values != 1 {
                return Err(MergeError::ImageValues { values });
            }
            return Ok(Form::image(nx, ny, dtype, fill, scale)?);
        }
        let shape = [ny.into(), nx.into(), values.into()];
        Form::array(format, &shape, dtype, fill)?.ok_or(MergeError::TooLarge { nx, ny, dtype, values })
    }
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
    form: Form,
    walk: Walk,
    /// A row of a block as the file has it.
    row: Vec<u8>,
}

impl<'a> Grid<'a> {
    fn try_new(mut file: NewFile, domain: &'a Domain, form: Form) -> Result<Self, MergeError> {
        let too_large = MergeError::TooLargeFile { nx: domain.nx(), ny: domain.ny(), bytes: form.cell_bytes };
        let data_bytes = domain.block().area().checked_mul(form.cell_bytes as u64);
        let file_bytes = data_bytes.and_then(|bytes| bytes.checked_add(form.header.len() as u64));
        let (Some(data_bytes), Some(file_bytes)) =
            (data_bytes, file_bytes.filter(|n| i64::try_from(*n).is_ok()))
        else {
            return Err(too_large);
        };
        // A full disk shows here; and what is reserved reads as zeros.
        file.allocate(file_bytes)?;
        file.append(&form.header)?;
        if form.fill.iter().any(|b| *b != 0) {
            let chunk = form.fill.repeat((FILL_CHUNK_BYTES / form.fill.len()).max(1));
            let mut left = data_bytes;
            while left > 0 {
                let n = left.min(chunk.len() as u64);
                file.append(&chunk[..n as usize])?;
                left -= n;
            }
        }
        Ok(Self { file, domain, form, walk: Walk::default(), row: Vec::new() })
    }

    /// Puts one part at its place, and returns its effective cells.
    fn try_put(&mut self, part: &Part, first: &First, reader: &Reader) -> Result<u64, MergeError> {
        let Self { file, domain, form, walk, row } = self;
        let block = try_block(part, domain)?;
        let effective = try_fits(part, block, domain, reader.head(), first)?;
        walk.rows(part, reader, domain, block, |y, runs, bytes| {
            // From the first effective cell to the last; what lies between holds the fill value.
            let Some(begin) = runs.first().map(|(run, _)| run.start) else { return Ok(()) };
            row.clear();
            let mut x = begin;
            for (run, at) in runs {
                (x..run.start).for_each(|_| row.extend_from_slice(&form.fill));
                form.put(&bytes[at.clone()], row).map_err(|(nth, value)| MergeError::ImageRange {
                    subtask: part.shown(),
                    x: run.start + nth as u32,
                    y,
                    value,
                })?;
                x = run.end;
            }
            let cell = u64::from(y) * u64::from(domain.nx()) + u64::from(begin);
            Ok(file.put(row, form.header.len() as u64 + cell * form.cell_bytes as u64)?)
        })?;
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
    if head.values_per_cell != first.values {
        return Err(MergeError::ValuesPerCell {
            subtask: subtask(),
            values: head.values_per_cell,
            first: first.shown.clone(),
            first_values: first.values,
        });
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
    let need_values = need_cells.saturating_mul(first.values.into());
    let need_bytes = need_values.saturating_mul(head.dtype.bytes() as u64);
    if found_bytes != need_bytes {
        return Err(MergeError::Size {
            subtask: subtask(),
            found_bytes,
            need_bytes,
            need_values,
            dtype: head.dtype,
            layout: head.layout,
        });
    }
    Ok(effective)
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
