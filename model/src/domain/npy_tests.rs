//! Arrays of every type and order against the cells they were made of; and files that are not what they should be.

use super::*;
use crate::domain::DomainReader;
use proptest::prelude::*;

/// A file of a version, with this type, order and shape.
fn file(version: u8, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let length = (text.len() as u32).to_le_bytes();
    let length = &length[..if version == 1 { 2 } else { 4 }];
    [b"\x93NUMPY", &[version, 0][..], length, text.as_bytes(), data].concat()
}

fn message(bytes: &[u8], meaning: Meaning) -> String {
    Domain::read_as(bytes, meaning).unwrap_err().to_string()
}

/// The bytes of whole numbers in a type.
fn encode(descr: &str, values: &[i64]) -> Vec<u8> {
    let size: usize = descr[2..].parse().unwrap();
    let one = |value: i64| {
        let bits = match (&descr[1..2], size) {
            ("f", 4) => u64::from((value as f32).to_bits()),
            ("f", _) => (value as f64).to_bits(),
            _ => value as u64,
        };
        let mut bytes = bits.to_le_bytes()[..size].to_vec();
        if descr.starts_with('>') {
            bytes.reverse();
        }
        bytes
    };
    values.iter().flat_map(|value| one(*value)).collect()
}

#[test]
fn truth_values_are_a_mask_and_numbers_are_weights() {
    for version in 1..=3 {
        let mask = Domain::read(&file(version, "|b1", false, "(2, 3)", &[1, 0, 1, 0, 0, 1])).unwrap();
        assert!(mask.is_mask());
        assert_eq!((mask.nx(), mask.ny(), mask.effective(), mask.cost()), (3, 2, 3, 3));
        assert_eq!(mask.row_mask(1, 0..3).collect::<Vec<_>>(), [false, false, true]);
    }
    let weights = file(1, "<u4", false, "(1, 3)", &encode("<u4", &[7, 0, 4_000_000_000]));
    let field = Domain::read(&weights).unwrap();
    assert!(!field.is_mask());
    assert_eq!((field.effective(), field.cost(), field.weight(2, 0)), (2, 4_000_000_007, 4_000_000_000));
    let mask = Domain::read_as(&weights, Meaning::Mask).unwrap();
    assert_eq!((mask.is_mask(), mask.cost()), (true, 2));
    let minus = file(1, "<i2", false, "(1, 2)", &encode("<i2", &[-5, 0]));
    assert_eq!(Domain::read_as(&minus, Meaning::Mask).unwrap().effective(), 1);
}

#[test]
fn a_field_that_turns_wide_half_way_keeps_what_it_had() {
    let values = [1, 65_535, 0, 65_536, 2, u32::MAX.into()];
    let field = Domain::read(&file(1, "<i8", false, "(2, 3)", &encode("<i8", &values))).unwrap();
    let found: Vec<i64> = (0..6).map(|i| i64::from(field.weight(i % 3, i / 3))).collect();
    assert_eq!(found, values);
    assert_eq!(field.cost(), values.iter().sum::<i64>() as u64);
    let row = field.row_weights(1).unwrap();
    assert_eq!((row.sum(0..2), row.sum(0..3)), (65_538, 65_538 + u64::from(u32::MAX)));
    let mut columns = [1, 1, 1];
    row.add_to(&mut columns);
    assert_eq!(columns, [65_537, 3, u64::from(u32::MAX) + 1]);
    assert_eq!(field.row_word(0, 0), 0b110 << 61);
    assert_eq!(field.row_runs(0, 0..3).map(|run| (run.start, run.end)).collect::<Vec<_>>(), [(0, 2)]);
}

#[test]
fn every_fault_names_its_cell_or_its_place() {
    let f8 = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let cases: &[(Vec<u8>, Meaning, &str)] = &[
        (
            file(1, "<i4", false, "(2, 2)", &encode("<i4", &[1, 2, 3, -4])),
            Meaning::AsFound,
            "cell 1, 1 is -4; a weight is a whole number from 0 to 4294967295",
        ),
        (
            file(1, "<i4", true, "(2, 2)", &encode("<i4", &[1, -2, 3, 4])),
            Meaning::AsFound,
            "cell 0, 1 is -2; a weight is a whole number from 0 to 4294967295",
        ),
        (
            file(1, "<u8", false, "(1, 1)", &[255; 8]),
            Meaning::AsFound,
            "cell 0, 0 is 18446744073709551615; a weight is a whole number from 0 to 4294967295",
        ),
        (
            file(1, "<f8", false, "(1, 3)", &f8(&[1.0, 0.5, f64::NAN])),
            Meaning::AsFound,
            "cell 1, 0 is 0.5; a weight is a whole number from 0 to 4294967295: round them, or give mask:FILE, which takes every value but 0 alike",
        ),
        (
            file(1, "<f8", false, "(1, 2)", &f8(&[1.0, f64::NAN])),
            Meaning::AsFound,
            "cell 1, 0 is NaN; a weight is a whole number from 0 to 4294967295: put 0 into the place of NaN",
        ),
        (
            file(1, "<f8", false, "(1, 2)", &f8(&[1.0, f64::INFINITY])),
            Meaning::AsFound,
            "cell 1, 0 is inf; a weight is a whole number from 0 to 4294967295: round them, or give mask:FILE, which takes every value but 0 alike",
        ),
        (
            file(1, "<f8", false, "(2, 1)", &f8(&[1.5, f64::NAN])),
            Meaning::Mask,
            "cell 0, 1 is NaN; in a mask a value is 0, or not: put numbers into its place",
        ),
        (
            file(1, "|b1", false, "(1, 1)", &[1]),
            Meaning::Weights,
            "this is a mask, and weights were asked for: leave out weights:",
        ),
        (
            b"P1 1 1 1".to_vec(),
            Meaning::Weights,
            "this is a mask, and weights were asked for: leave out weights:",
        ),
        (
            file(1, "<c16", false, "(1, 1)", &[0; 16]),
            Meaning::AsFound,
            "the .npy file holds values of type '<c16', which are no plain numbers",
        ),
        (
            file(1, "|u1", false, "(4,)", &[1; 4]),
            Meaning::AsFound,
            "the array of the .npy file has 1 as its number of axes; a grid has 2, rows and columns",
        ),
        (file(1, "|u1", false, "(0, 4)", &[]), Meaning::AsFound, "a grid of 4 × 0 has no cells"),
        (
            file(1, "|u1", false, "(1, 2147483648)", &[]),
            Meaning::AsFound,
            "a grid of 2147483648 × 1 is too large; 2147483647 is the longest side",
        ),
        (
            file(1, "<u8", false, "(2000000000, 2000000000)", &[1]),
            Meaning::AsFound,
            "the .npy file has a shape too large to be true",
        ),
        (
            file(1, "|b1", false, "(2000000000, 2000000000)", &[1]),
            Meaning::AsFound,
            "truncated: expected 4000000000000000000 bytes after the header for a grid of 2000000000 × 2000000000, found 1",
        ),
        (
            file(1, "<u2", false, "(1, 2)", &[1; 3]),
            Meaning::AsFound,
            "truncated: expected 4 bytes after the header for a grid of 2 × 1, found 3",
        ),
        (
            file(1, "<u2", false, "(1, 2)", &[1; 6]),
            Meaning::AsFound,
            "bytes left after the grid of 2 × 1: 2; are the sides in the header right? (one image a file)",
        ),
        (
            file(1, "|b1", false, "(1, 2)", &[0; 2]),
            Meaning::AsFound,
            "the domain is empty: none of its 2 × 1 cells is effective (in a PBM 1 is effective)",
        ),
        (b"\x93NUMPY\x01\x00\x40\x00{'descr'".to_vec(), Meaning::AsFound, "the header ends before its array"),
        (b"\x93NUMPY".to_vec(), Meaning::AsFound, "the header ends before its array"),
        (
            b"\x93NUMPY\x07\x00\x40\x00{'descr'".to_vec(),
            Meaning::AsFound,
            "the .npy file is of .npy version 7.0; 1.0, 2.0 and 3.0 are read",
        ),
        (
            file(2, "|b1", false, "(1, 1), 'more': 1", &[1]),
            Meaning::AsFound,
            "the .npy file has a malformed header: an unknown key",
        ),
    ];
    for (bytes, meaning, wanted) in cases {
        assert_eq!(message(bytes, *meaning), *wanted, "{}", bytes.escape_ascii());
    }
    assert!(message(b"\x93NUMP", Meaning::AsFound).starts_with("not a PBM, PGM or .npy file"));
}

/// A small field, a type that holds it, and pieces to cut its file into.
fn fields() -> impl Strategy<Value = (u32, u32, Vec<i64>, &'static str, bool, usize)> {
    let types =
        ["|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8"];
    let types = [&types[..], &["<f4", ">f4", "<f8", ">f8", "|b1"]].concat();
    (1u32..40, 1u32..12, prop::sample::select(types), any::<bool>(), 1usize..70).prop_flat_map(
        |(nx, ny, descr, fortran, piece)| {
            let most: i64 = match &descr[1..] {
                "b1" => 1,
                "u1" | "i1" => 127,
                "u2" | "i2" => 32_767,
                "f4" => 1 << 24,
                "i4" => i32::MAX.into(),
                _ => u32::MAX.into(),
            };
            let value = prop_oneof![Just(0i64), 0..=most];
            let values = prop::collection::vec(value, (nx * ny) as usize);
            (Just(nx), Just(ny), values, Just(descr), Just(fortran), Just(piece))
        },
    )
}

proptest! {
    #[test]
    fn every_type_and_order_in_any_pieces((nx, ny, mut values, descr, fortran, piece) in fields()) {
        values[0] = 1;
        let index = |x: u32, y: u32| (y * nx + x) as usize;
        let stored: Vec<i64> = if fortran {
            (0..nx).flat_map(|x| (0..ny).map(move |y| (x, y))).map(|(x, y)| values[index(x, y)]).collect()
        } else {
            values.clone()
        };
        let bytes = file(1, descr, fortran, &format!("({ny}, {nx})"), &encode(descr, &stored));
        let mut reader = DomainReader::new(Meaning::AsFound, bytes.len() as u64);
        bytes.chunks(piece).try_for_each(|piece| reader.push(piece)).unwrap();
        let domain = reader.finish().unwrap();
        prop_assert_eq!(domain.is_mask(), descr == "|b1");
        for (x, y) in (0..ny).flat_map(|y| (0..nx).map(move |x| (x, y))) {
            prop_assert_eq!(i64::from(domain.weight(x, y)), values[index(x, y)], "cell {}, {}", x, y);
        }
        prop_assert_eq!(domain.cost(), values.iter().sum::<i64>() as u64);
        let mask = Domain::read_as(&bytes, Meaning::Mask).unwrap();
        prop_assert!(mask.is_mask());
        prop_assert_eq!(mask.cost(), domain.effective());
        for y in 0..ny {
            prop_assert_eq!(mask.row_runs(y, 0..nx).collect::<Vec<_>>(), domain.row_runs(y, 0..nx).collect::<Vec<_>>());
            prop_assert_eq!(mask.row_word(y, 0), domain.row_word(y, 0));
        }
    }

    /// Whatever the bytes: an answer or an error.
    #[test]
    fn no_bytes_make_it_panic(at in 0usize..90, byte: u8, cut in 0usize..100) {
        let mut bytes = file(1, "<u2", true, "(3, 2)", &[1; 12]);
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        bytes.truncate(cut.max(1));
        let _ = Domain::read(&bytes);
    }
}
