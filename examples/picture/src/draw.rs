//! The picture: the grid cell by cell, the northernmost row on top, and the legend below it.

use crate::colours;
use crate::error::PictureError;
use crate::legend;
use crate::survey::{Survey, try_open};
use dc_gather::value;
use dc_spool::files::NewFile;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Narrower pictures have no legend.
const LEGEND_WIDTH_MIN: usize = 160;

/// Writes the picture of a grid that was surveyed; an old one stays until the new one is whole.
pub fn try_draw(field: &Path, survey: &Survey, scale: u32, out: &Path) -> Result<(), PictureError> {
    if survey.finite == 0 {
        return Err(PictureError::NoValues(field.to_owned()));
    }
    let width = survey.nx.saturating_mul(scale.into());
    let map_height = survey.ny.saturating_mul(scale.into());
    // A letter's pixel is about a six-hundredth of the picture's width.
    let size = (width / 600).clamp(1, 16) as usize;
    let legend = if width >= LEGEND_WIDTH_MIN as u64 { legend::height(size) as u64 } else { 0 };
    let height = map_height.saturating_add(legend);
    let side = |n: u64| u32::try_from(n).ok().filter(|n| *n <= i32::MAX as u32);
    let (Some(png_width), Some(png_height)) = (side(width), side(height)) else {
        return Err(PictureError::TooLarge { width, height });
    };

    let mut file = NewFile::at_target(out)?;
    let mut buffered = BufWriter::with_capacity(1 << 18, &mut file);
    let mut encoder = png::Encoder::new(&mut buffered, png_width, png_height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colours::palette());
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer()?;

    let failed = |e: std::io::Error| PictureError::Encode(e.into());
    let mut grid = try_open(field)?;
    let dtype = grid.dtype();
    let (mut row, mut pixels) = (Vec::new(), Vec::new());
    while grid.read_row(&mut row).map_err(PictureError::npy(field))? {
        pixels.clear();
        for bytes in row.chunks_exact(dtype.bytes()) {
            let index = colours::index(value::to_f64(dtype, bytes), survey.min, survey.max);
            pixels.extend(std::iter::repeat_n(index, scale as usize));
        }
        for _ in 0..scale {
            stream.write_all(&pixels).map_err(failed)?;
        }
    }
    if legend > 0 {
        stream.write_all(&legend::draw(width as usize, size, survey.min, survey.max)).map_err(failed)?;
    }
    stream.finish()?;
    writer.finish()?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    file.commit_target()?;
    Ok(())
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
