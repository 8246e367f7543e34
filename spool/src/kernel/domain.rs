//! The domain as the kernel sees it: the job's mask and its own block of it.

use super::error::DomainWhy;
use super::{Kernel, KernelError};
use crate::domain_file::{self, DomainFileError};
use dc_model::Block;
use dc_model::domain::{Domain, Meaning};
use std::path::Path;

impl Kernel {
    /// By hand, takes this mask as the domain, with the whole grid as the block. Under dcrun nothing happens: the job
    /// has said what its domain is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn use_domain(&mut self, path: &Path) -> Result<(), KernelError> {
        if self.env.job.is_none() {
            let why = |why| KernelError::Domain { path: path.to_owned(), why };
            self.domain = Some(read(path, Meaning::AsFound).map_err(why)?);
            self.env.domain = Some(path.to_owned());
        }
        Ok(())
    }

    /// The whole domain, and this subtask's block of it.
    ///
    /// # Errors
    /// When there is none, or its file is not a mask of the job's grid.
    pub fn domain(&mut self) -> Result<(&Domain, Block), KernelError> {
        let path = self.env.domain.clone().ok_or(KernelError::NoDomain)?;
        if self.domain.is_none() {
            let read = read(&path, self.env.domain_meaning);
            let domain = read.map_err(|why| KernelError::Domain { path: path.clone(), why })?;
            self.domain = Some(domain);
        }
        let Some(domain) = &self.domain else { return Err(KernelError::NoDomain) };
        let (nx, ny) = (domain.nx(), domain.ny());
        let refused = |why| Err(KernelError::Domain { path, why });
        if self.env.grid.is_some_and(|grid| grid != (nx, ny)) {
            return refused(DomainWhy::Grid { nx, ny });
        }
        let block = self.env.block.unwrap_or_else(|| domain.block());
        if block.x1 > nx || block.y1 > ny {
            return refused(DomainWhy::Block(block));
        }
        Ok((domain, block))
    }

    /// Loads the domain where it alone says what the environment does not.
    fn known_domain(&mut self) -> Result<Option<&Domain>, KernelError> {
        if self.env.domain.is_none() {
            return Ok(None);
        }
        self.domain().map(|(domain, _)| Some(domain))
    }

    /// Columns and rows of the grid; `None` without a domain.
    ///
    /// # Errors
    /// When only the mask file could say, and cannot be read.
    pub fn grid(&mut self) -> Result<Option<(u32, u32)>, KernelError> {
        match self.env.grid {
            Some(grid) => Ok(Some(grid)),
            None => Ok(self.known_domain()?.map(|domain| (domain.nx(), domain.ny()))),
        }
    }

    /// This subtask's block; `None` without a domain, and by hand before the mask was read.
    #[must_use]
    pub fn block(&self) -> Option<Block> {
        self.env.block.or_else(|| self.domain.as_ref().map(Domain::block))
    }

    /// This subtask's block, for which by hand the mask is read; `None` without a domain.
    ///
    /// # Errors
    /// When only the mask file could say, and cannot be read.
    pub fn block_of_domain(&mut self) -> Result<Option<Block>, KernelError> {
        if self.env.block.is_none() {
            self.known_domain()?;
        }
        Ok(self.block())
    }

    /// This subtask's cost; `None` where nothing says it.
    ///
    /// # Errors
    /// When only the mask file could say, and cannot be read.
    pub fn cells(&mut self) -> Result<Option<u64>, KernelError> {
        match self.env.cells {
            Some(cells) => Ok(Some(cells)),
            None => Ok(self.known_domain()?.map(Domain::cost)),
        }
    }

    /// Effective cells of the block.
    ///
    /// # Errors
    /// As [`Kernel::domain`].
    pub fn effective(&mut self) -> Result<u64, KernelError> {
        let (domain, block) = self.domain()?;
        Ok(domain.effective_in(block))
    }

    /// Fills `mask` with a byte for each cell of the block, row by row, 1 where it is effective; gives back how many
    /// are.
    ///
    /// # Errors
    /// As [`Kernel::domain`], and when `mask` has another length.
    pub fn mask(&mut self, mask: &mut [u8]) -> Result<u64, KernelError> {
        let (domain, block) = self.domain()?;
        let found = mask.len() as u64;
        if found != block.area() {
            return Err(KernelError::MaskLength { found, expected: block.area() });
        }
        let rows = mask.chunks_exact_mut(block.width().max(1) as usize);
        let mut effective = 0;
        for (row, y) in rows.zip(block.y0..block.y1) {
            for (cell, is) in row.iter_mut().zip(domain.row_mask(y, block.x0..block.x1)) {
                *cell = u8::from(is);
                effective += u64::from(is);
            }
        }
        Ok(effective)
    }
}

fn read(path: &Path, meaning: Meaning) -> Result<Domain, DomainWhy> {
    let is_file = std::fs::metadata(path).map_err(|error| DomainWhy::Read(error.to_string()))?.is_file();
    if !is_file {
        return Err(DomainWhy::Read("it is not a regular file".to_owned()));
    }
    match domain_file::read(path, meaning) {
        Ok((domain, _)) => Ok(domain),
        Err(DomainFileError::Read(error)) => Err(DomainWhy::Read(error.to_string())),
        Err(DomainFileError::Format(error)) => Err(error.into()),
    }
}
