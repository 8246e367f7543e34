//! A subtask: the unit of work, its cost in effective cells, its block of the domain or its arguments.

use std::fmt;

/// A rectangle of a grid: columns `x0 ≤ x < x1`, rows `y0 ≤ y < y1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Block {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// The column after the last.
    pub x1: u32,
    /// The row after the last.
    pub y1: u32,
}

impl Block {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.x1 - self.x0
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.y1 - self.y0
    }

    /// Cells of the rectangle, effective or not.
    #[must_use]
    pub fn area(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height())
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.x0, self.y0, self.x1, self.y1)
    }
}

/// The unit of work. Its id is its place in the job's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subtask {
    /// Its name in the user's list; without one it is shown by its number.
    pub name: Option<Box<str>>,
    /// Its cost in effective cells; 0 means that there is nothing to do.
    pub cells: u64,
    /// Cores it needs; at least 1.
    pub cores: u32,
    /// Memory it needs, in bytes; 0: nothing is known of it, and it waits for none.
    pub mem_bytes: u64,
    /// Its block of the domain, when it was cut from one.
    pub block: Option<Block>,
    /// Arguments after the kernel's own, as bytes.
    pub args: Vec<Vec<u8>>,
}

impl Subtask {
    /// One of equal cost, without a name or a block.
    #[must_use]
    pub fn plain(cells: u64, cores: u32) -> Self {
        Self { name: None, cells, cores, mem_bytes: 0, block: None, args: Vec::new() }
    }

    /// What people see: its name, else its number.
    #[must_use]
    pub fn shown(&self, id: crate::SubtaskId) -> String {
        self.name.as_deref().map_or_else(|| id.to_string(), str::to_owned)
    }
}
