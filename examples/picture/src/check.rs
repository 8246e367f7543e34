//! The check of a grid whose kernel wrote each cell's own index.

use crate::error::PictureError;
use dc_gather::{Fill, check_index};
use dc_model::domain::Domain;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

/// Checks the grid against the mask; says in one line what was verified.
pub fn try_check(field: &Path, mask: &Path, fill: Option<&str>) -> Result<String, PictureError> {
    let open = |path: &Path, source| PictureError::Open { path: path.to_owned(), source };
    let fill = fill.map(str::parse::<Fill>).transpose()?;
    let bytes = fs::read(mask).map_err(|e| open(mask, e))?;
    let domain =
        Domain::read(&bytes).map_err(|source| PictureError::Mask { path: mask.to_owned(), source })?;
    let grid = BufReader::new(File::open(field).map_err(|e| open(field, e))?);
    let report = check_index(grid, &domain, fill.as_ref())
        .map_err(|source| PictureError::Check { path: field.to_owned(), source })?;
    Ok(format!(
        "{} x {} cells: all {} effective ones hold exactly their own index, all {} others the fill value",
        domain.nx(),
        domain.ny(),
        report.effective,
        report.filled
    ))
}
