//! Grids against a reference that is put together cell by cell.

use super::*;
use crate::npy::NpyReader;
use crate::test_spool::TestSpool;
use crate::{CheckError, check_index};
use proptest::prelude::*;
use std::fs;

const LAND: f64 = f64::NAN;

fn block(x0: u32, y0: u32, x1: u32, y1: u32) -> Block {
    Block { x0, y0, x1, y1 }
}

/// A domain from rows of `#` (effective) and `.`.
fn domain(rows: &[&str]) -> Domain {
    let cell = |x: u32, y: u32| rows[y as usize].as_bytes()[x as usize] == b'#';
    Domain::from_mask(rows[0].len() as u32, rows.len() as u32, cell).unwrap()
}

/// Values of a block whose cells hold `value(x, y)`; in the block layout masked cells hold 77.
fn values(domain: &Domain, b: Block, layout: Layout, value: impl Fn(u32, u32) -> f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in b.y0..b.y1 {
        for x in b.x0..b.x1 {
            if domain.is_effective(x, y) {
                bytes.extend(value(x, y).to_le_bytes());
            } else if layout == Layout::Block {
                bytes.extend(77f64.to_le_bytes());
            }
        }
    }
    bytes
}

fn index(nx: u32, x: u32, y: u32) -> u32 {
    y * nx + x
}

const EFFECTIVE: (Dtype, Layout, u32) = (Dtype::F8, Layout::Effective, 1);

#[test]
fn golden_bytes_of_a_whole_file() {
    let spool = TestSpool::new();
    let domain = domain(&["#.#", "##."]);
    let parts = [
        spool.add(0, Some(block(0, 0, 2, 2)), (Dtype::I2, Layout::Effective, 1), &[1, 0, 2, 0, 3, 0]),
        spool.add(1, Some(block(2, 0, 3, 1)), (Dtype::I2, Layout::Block, 1), &[0xfe, 0xff]),
    ];
    let fill = "-1".parse().unwrap();
    let report = grid(&spool.target(), Format::Npy, &domain, parts, &spool.results, Some(&fill)).unwrap();
    assert_eq!(
        report,
        GridReport { dtype: Dtype::I2, nx: 3, ny: 2, values_per_cell: 1, effective: 4, scale: None }
    );
    let mut want = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    want.extend_from_slice(b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }");
    want.resize(127, b' ');
    want.push(b'\n');
    want.extend_from_slice(&[1, 0, 0xff, 0xff, 0xfe, 0xff, 2, 0, 3, 0, 0xff, 0xff]);
    assert_eq!(fs::read(spool.target()).unwrap(), want);
    assert_eq!(spool.names(), ["merged"]);
}

#[test]
fn what_is_wrong_names_its_subtask_and_the_target_stays() {
    let domain = domain(&["##.#", "#..#"]);
    let blocks = [block(0, 0, 2, 2), block(3, 0, 4, 2)];
    let case = |change: fn(&TestSpool, &mut Vec<Part>), words: &str| {
        let spool = TestSpool::new();
        fs::write(spool.target(), "old").unwrap();
        let add = |(i, b): (u32, Block)| {
            let bytes = values(&domain, b, Layout::Effective, |x, y| f64::from(index(4, x, y)));
            spool.add(i, Some(b), EFFECTIVE, &bytes)
        };
        let mut parts = (0..).zip(blocks).map(add).collect();
        change(&spool, &mut parts);
        let error =
            grid(&spool.target(), Format::Npy, &domain, parts, &spool.results, None).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} for {words:?}");
        assert!(!error.contains(char::is_control), "{error:?}");
        assert_eq!(fs::read(spool.target()).unwrap(), b"old");
        assert_eq!(spool.names(), ["merged"], "{words}");
    };
    case(|_, parts| parts[1].committed = None, "subtask 1 left no result");
    case(|_, parts| parts[0].committed = None, "subtask 0 left no result");
    case(
        |spool, parts| parts[1] = spool.add(1, parts[1].block, EFFECTIVE, &[0; 8]),
        "subtask 1 has 8 bytes where its block needs 16 (2 values of f8, layout effective)",
    );
    case(
        |spool, parts| parts[0] = spool.add(0, parts[0].block, EFFECTIVE, &[0; 32]),
        "subtask 0 has 32 bytes where its block needs 24",
    );
    case(
        |spool, parts| parts[0] = spool.add(0, parts[0].block, (Dtype::F8, Layout::Block, 1), &[0; 24]),
        "subtask 0 has 24 bytes where its block needs 32 (4 values of f8, layout block)",
    );
    case(|spool, _| spool.damage(0), "the result of subtask 0 cannot be used");
    case(|spool, _| spool.damage(1), "the result of subtask 1 cannot be used");
    case(
        |spool, parts| parts[0] = spool.add(0, parts[0].block, (Dtype::U1, Layout::Bytes, 1), &[0; 24]),
        "subtask 0 is opaque bytes",
    );
    case(
        |spool, parts| parts[1] = spool.add(1, parts[1].block, (Dtype::F8, Layout::Effective, 3), &[0; 48]),
        "subtask 1 has 3 values per cell, that of subtask 0 has 1",
    );
    case(
        |spool, parts| parts[1] = spool.add(1, parts[1].block, (Dtype::I8, Layout::Effective, 1), &[0; 16]),
        "subtask 1 is of type i8, that of subtask 0 of type f8",
    );
    case(|_, parts| parts[1].block = None, "subtask 1 has no block");
    case(|_, parts| parts[0].block = None, "subtask 0 has no block");
    case(|_, parts| parts[1].block = Some(block(3, 0, 5, 2)), "subtask 1 reaches outside");
    case(|_, parts| parts[1].block = Some(block(3, 2, 4, 2)), "subtask 1 reaches outside");
    case(|_, parts| drop(parts.pop()), "the blocks hold 3 effective cells, the domain has 5");
    case(|_, parts| parts.clear(), "no results");
    case(
        |spool, parts| parts[0] = spool.add(0, parts[0].block, (Dtype::U8, Layout::Effective, 1), &[0; 24]),
        "results are of type u8, which has no NaN for masked cells: give a value with --fill",
    );
}

#[test]
fn k_values_a_cell_stand_together() {
    let domain = domain(&["#.#", "##."]);
    let k = (Dtype::I2, Layout::Effective, 2);
    let blocked = (Dtype::I2, Layout::Block, 2);
    let fill = "-1".parse().unwrap();
    let parts = |spool: &TestSpool| {
        vec![
            spool.add(0, Some(block(0, 0, 2, 2)), k, &[1, 0, 11, 0, 2, 0, 12, 0, 3, 0, 13, 0]),
            spool.add(1, Some(block(2, 0, 3, 1)), blocked, &[4, 0, 14, 0]),
        ]
    };
    let values = [1, 0, 11, 0, 255, 255, 255, 255, 4, 0, 14, 0, 2, 0, 12, 0, 3, 0, 13, 0, 255, 255, 255, 255];
    let spool = TestSpool::new();
    let report = grid(&spool.target(), Format::Raw, &domain, parts(&spool), &spool.results, Some(&fill));
    assert_eq!(report.unwrap().values_per_cell, 2);
    assert_eq!(fs::read(spool.target()).unwrap(), values);
    grid(&spool.target(), Format::Npy, &domain, parts(&spool), &spool.results, Some(&fill)).unwrap();
    let npy = fs::read(spool.target()).unwrap();
    assert!(npy[10..].starts_with(b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, 2), }"));
    assert_eq!(npy[128..], values);
    let error = grid(&spool.target(), Format::Pgm, &domain, parts(&spool), &spool.results, None).unwrap_err();
    assert!(error.to_string().starts_with("the results have 2 values per cell, an image takes 1"), "{error}");
}

#[test]
fn images_of_integers_and_of_floats() {
    let domain = domain(&["#.#"]);
    let put = |spool: &TestSpool, dtype, bytes: &[u8], fill: Option<&str>| {
        let part = spool.add(0, Some(domain.block()), (dtype, Layout::Effective, 1), bytes);
        let fill = fill.map(|text| text.parse().unwrap());
        grid(&spool.target(), Format::Pgm, &domain, [part], &spool.results, fill.as_ref())
    };
    let spool = TestSpool::new();
    put(&spool, Dtype::U1, &[7, 255], None).unwrap();
    assert_eq!(fs::read(spool.target()).unwrap(), b"P5\n3 1\n255\n\x07\x00\xff");
    put(&spool, Dtype::I8, &[1, 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], Some("65535")).unwrap();
    assert_eq!(fs::read(spool.target()).unwrap(), b"P5\n3 1\n65535\n\x02\x01\xff\xff\x00\x03");
    let floats: Vec<u8> = [-4.0f32, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let report = put(&spool, Dtype::F4, &floats, None).unwrap();
    assert_eq!(report.scale, Some(Scale { min: -4.0, max: 4.0 }));
    let image = fs::read(spool.target()).unwrap();
    assert!(
        image.starts_with(b"P5\n# f4: 1 is -4e0, 65535 is 4e0, linear between; 0 is no value\n3 1\n65535\n")
    );
    assert!(image.ends_with(&[0, 1, 0, 0, 0xff, 0xff]));
    let as_domain = Domain::read(&image).unwrap();
    assert_eq!((as_domain.effective(), as_domain.weight(2, 0)), (2, 65_535), "it can be read as one");
    let before = fs::read(spool.target()).unwrap();
    let error = put(&spool, Dtype::I2, &[0, 0, 0xff, 0xff], None).unwrap_err().to_string();
    assert!(error.starts_with("the result of subtask 0 is -1 in cell 2, 0; an image holds"), "{error}");
    assert_eq!(fs::read(spool.target()).unwrap(), before);
}

#[test]
fn a_grid_of_indices_is_told_from_any_other() {
    let spool = TestSpool::new();
    let domain = domain(&["##.#", "#..#", "####"]);
    let whole = domain.block();
    let payload = values(&domain, whole, Layout::Block, |x, y| f64::from(index(4, x, y)));
    let part = spool.add(0, Some(whole), (Dtype::F8, Layout::Block, 1), &payload);
    grid(&spool.target(), Format::Npy, &domain, [part], &spool.results, None).unwrap();
    let bytes = fs::read(spool.target()).unwrap();
    let report = check_index(&bytes[..], &domain, None).unwrap();
    assert_eq!((report.effective, report.filled), (9, 3));
    for cell in 0..12 {
        for bit in [0, 62] {
            let mut wrong = bytes.clone();
            wrong[128 + cell * 8 + bit / 8] ^= 1 << (bit % 8);
            let nan = f64::from_le_bytes(wrong[128 + cell * 8..][..8].try_into().unwrap()).is_nan();
            match check_index(&wrong[..], &domain, None) {
                Ok(_) => assert!(nan && !domain.is_effective(cell as u32 % 4, cell as u32 / 4)),
                Err(CheckError::Wrong { count: 1, x, y, .. }) => assert_eq!(index(4, x, y), cell as u32),
                Err(other) => panic!("{other}"),
            }
        }
    }
    let fill = "-1".parse().unwrap();
    assert!(matches!(check_index(&bytes[..], &domain, Some(&fill)), Err(CheckError::Wrong { count: 3, .. })));
    assert!(matches!(check_index(&bytes[..bytes.len() - 1], &domain, None), Err(CheckError::Npy(_))));
    assert!(matches!(check_index(&[&bytes[..], &[0]].concat()[..], &domain, None), Err(CheckError::Npy(_))));
    let other = Domain::from_mask(3, 4, |_, _| true).unwrap();
    assert!(matches!(check_index(&bytes[..], &other, None), Err(CheckError::Shape { .. })));
}

/// A random mask, and a partition of its grid into blocks by random cuts; blocks without effective cells are dropped.
fn masks_and_blocks() -> impl Strategy<Value = (Domain, Vec<Block>)> {
    let cuts = proptest::collection::vec(any::<(bool, u16)>(), 0..24);
    let mask = (1u32..150, 1u32..20)
        .prop_flat_map(|(nx, ny)| (Just((nx, ny)), proptest::collection::vec(0u8..4, (nx * ny) as usize)));
    (mask, cuts, any::<bool>()).prop_map(|(((nx, ny), mut mask), cuts, weights)| {
        mask[0] = 3;
        let at = |x: u32, y: u32| mask[(y * nx + x) as usize];
        let domain = if weights {
            Domain::from_weights(nx, ny, mask.iter().map(|v| u16::from(v / 2)).collect()).unwrap()
        } else {
            Domain::from_mask(nx, ny, |x, y| at(x, y) > 1).unwrap()
        };
        let mut blocks = vec![domain.block()];
        for (axis, random) in cuts {
            let b = blocks.remove(usize::from(random) % blocks.len());
            let (low, high) = if axis { (b.x0, b.x1) } else { (b.y0, b.y1) };
            if high - low < 2 {
                blocks.push(b);
                continue;
            }
            let cut = low + 1 + u32::from(random) % (high - low - 1);
            if axis {
                blocks.extend([Block { x1: cut, ..b }, Block { x0: cut, ..b }]);
            } else {
                blocks.extend([Block { y1: cut, ..b }, Block { y0: cut, ..b }]);
            }
        }
        blocks.retain(|b| domain.effective_in(*b) > 0);
        (domain, blocks)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn grids_equal_the_reference((domain, blocks) in masks_and_blocks(), layouts: u64) {
        let spool = TestSpool::new();
        let nx = domain.nx();
        let parts: Vec<Part> = (0..).zip(&blocks).map(|(i, b)| {
            let layout = if layouts >> (i % 64) & 1 == 1 { Layout::Block } else { Layout::Effective };
            let payload = values(&domain, *b, layout, |x, y| f64::from(index(nx, x, y)));
            spool.add(i, Some(*b), (Dtype::F8, layout, 1), &payload)
        }).collect();
        let report = grid_into(spool.begin(), Format::Npy, &domain, parts, &spool.results, None).unwrap();
        prop_assert_eq!(report.effective, domain.effective());

        let read = NpyReader::try_new(fs::File::open(spool.target()).unwrap()).unwrap();
        prop_assert_eq!((read.nx(), read.ny(), read.dtype()), (nx.into(), domain.ny().into(), Dtype::F8));
        let found: Vec<u64> = read.read_all().unwrap().iter().map(|v| v.to_bits()).collect();
        let want: Vec<u64> = (0..domain.ny()).flat_map(|y| (0..nx).map(move |x| (x, y)))
            .map(|(x, y)| if domain.is_effective(x, y) { f64::from(index(nx, x, y)) } else { LAND }.to_bits())
            .collect();
        prop_assert_eq!(found, want);
        let checked = check_index(fs::File::open(spool.target()).unwrap(), &domain, None).unwrap();
        prop_assert_eq!(checked.effective, domain.effective());
    }
}
