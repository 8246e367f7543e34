//! A result row by row through its block: which cells of the grid its values are. What is held is one row.

use crate::{Layout, MergeError, Part};
use dc_model::Block;
use dc_model::domain::Domain;
use dc_spool::result::Reader;
use std::io::{BufReader, Read};
use std::ops::Range;

const READ_BYTES: usize = 256 << 10;

/// Columns that follow each other, and where their values are among the bytes of the row.
pub(crate) type Run = (Range<u32>, Range<usize>);

/// Buffers that are used again from part to part.
#[derive(Default)]
pub(crate) struct Walk {
    read: Vec<u8>,
    runs: Vec<Run>,
}

impl Walk {
    /// Calls `each` with every row of the block, the runs of its effective cells and the bytes they are in. The payload's
    /// last bytes are given out only when its checksum is right.
    pub(crate) fn rows(
        &mut self,
        part: &Part,
        reader: &Reader,
        domain: &Domain,
        block: Block,
        mut each: impl FnMut(u32, &[Run], &[u8]) -> Result<(), MergeError>,
    ) -> Result<(), MergeError> {
        let head = reader.head();
        let cell_bytes = head.dtype.bytes() * head.values_per_cell as usize;
        let mut payload = BufReader::with_capacity(READ_BYTES, reader.payload());
        for y in block.y0..block.y1 {
            self.runs.clear();
            let mut cells = 0;
            for run in domain.row_runs(y, block.x0..block.x1) {
                let from = match head.layout {
                    Layout::Block => (run.start - block.x0) as usize,
                    _ => cells,
                };
                cells += run.len();
                self.runs.push((run.clone(), from * cell_bytes..(from + run.len()) * cell_bytes));
            }
            if head.layout == Layout::Block {
                cells = block.width() as usize;
            }
            self.read.resize(cells * cell_bytes, 0);
            payload.read_exact(&mut self.read).map_err(|e| part.unusable(e))?;
            each(y, &self.runs, &self.read)?;
        }
        Ok(())
    }
}
