//! Pictures read back pixel by pixel.

use super::*;
use crate::colours::{LAND, MAP_COLOURS};
use dc_gather::Dtype;
use dc_gather::npy::{Header, encode};
use std::fs::{self, File};
use std::io::BufReader;

fn field(dir: &Path, nx: u64, values: &[f64]) -> std::path::PathBuf {
    let path = dir.join("f.npy");
    let shape = vec![values.len() as u64 / nx, nx];
    let mut bytes = encode(&Header { dtype: Dtype::F8, shape }).unwrap();
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    fs::write(&path, bytes).unwrap();
    path
}

/// Width, height and palette indices.
fn read(path: &Path) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(reader.info().palette.as_deref(), Some(&colours::palette()[..]));
    (info.width, info.height, pixels)
}

#[test]
fn cells_are_drawn_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = field(dir.path(), 3, &[0.0, f64::NAN, 10.0, 5.0, 0.0, f64::NAN]);
    let survey = Survey::try_of(&path).unwrap();
    assert_eq!((survey.min, survey.max, survey.mean, survey.nan), (0.0, 10.0, 3.75, 2));
    assert_eq!(survey.to_string(), "3 x 2 = 6 cells, 2 of them NaN; min 0.000, mean 3.750, max 10.000");
    let out = dir.path().join("o.png");
    try_draw(&path, &survey, 2, &out).unwrap();
    let (cold, mid, warm) = (0, 125, MAP_COLOURS - 1);
    let top = [cold, cold, LAND, LAND, warm, warm];
    let low = [mid, mid, cold, cold, LAND, LAND];
    assert_eq!(read(&out), (6, 4, [top, top, low, low].concat()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_wide_picture_has_a_legend() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<f64> = (0..1440 * 10).map(f64::from).collect();
    let path = field(dir.path(), 1440, &values);
    let out = dir.path().join("o.png");
    try_draw(&path, &Survey::try_of(&path).unwrap(), 1, &out).unwrap();
    let (width, height, pixels) = read(&out);
    assert_eq!((width, height as usize), (1440, 10 + legend::height(2)));
    let legend = &pixels[1440 * 10..];
    for colour in [0, MAP_COLOURS - 1, colours::INK, colours::PAPER] {
        assert!(legend.contains(&colour), "{colour}");
    }
}

#[test]
fn nothing_to_draw_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = field(dir.path(), 2, &[f64::NAN; 4]);
    let out = dir.path().join("o.png");
    let survey = Survey::try_of(&path).unwrap();
    assert!(matches!(try_draw(&path, &survey, 1, &out), Err(PictureError::NoValues(_))));
    assert!(!out.exists());
}
