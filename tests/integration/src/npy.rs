//! A reader of numpy's files, of its own, so that what dc writes is checked by other eyes than dc's.

use std::path::Path;

/// An array of two dimensions.
pub struct Npy {
    /// As numpy writes it: `<f8`.
    pub descr: String,
    /// Rows and columns.
    pub shape: (usize, usize),
    /// The values, row by row, as doubles.
    pub values: Vec<f64>,
}

/// Reads a file.
///
/// # Panics
/// When it is not such a file to the last byte.
#[must_use]
pub fn read(path: &Path) -> Npy {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "magic and version");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(end % 64, 0, "aligned");
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let after = |key: &str| {
        let key = format!("'{key}': ");
        &header[header.find(&key).unwrap_or_else(|| panic!("no {key} in {header:?}")) + key.len()..]
    };
    let descr = after("descr").split('\'').nth(1).unwrap().to_owned();
    assert!(after("fortran_order").starts_with("False"));
    let shape = after("shape").trim_start_matches('(').split_once(')').unwrap().0;
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().unwrap()).collect();
    assert_eq!(shape.len(), 2, "{header:?}");
    let size: usize = descr[2..].parse().unwrap();
    let data = &bytes[end..];
    assert_eq!(data.len(), shape[0] * shape[1] * size, "{header:?}");
    let value = |item: &[u8]| match (descr.as_str(), size) {
        ("<f8", _) => f64::from_le_bytes(item.try_into().unwrap()),
        ("<f4", _) => f64::from(f32::from_le_bytes(item.try_into().unwrap())),
        ("<i8", _) => i64::from_le_bytes(item.try_into().unwrap()) as f64,
        ("<u8", _) => u64::from_le_bytes(item.try_into().unwrap()) as f64,
        ("<u4", _) => f64::from(u32::from_le_bytes(item.try_into().unwrap())),
        other => panic!("type {other:?}"),
    };
    Npy { values: data.chunks_exact(size).map(value).collect(), shape: (shape[0], shape[1]), descr }
}
