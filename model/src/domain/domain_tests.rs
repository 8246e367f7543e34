use super::*;
use proptest::prelude::*;

fn rows(domain: &Domain) -> Vec<String> {
    let cell = |weight: u32| char::from_digit(weight, 36).unwrap();
    (0..domain.ny()).map(|y| (0..domain.nx()).map(|x| cell(domain.weight(x, y))).collect()).collect()
}

fn message(bytes: &[u8]) -> String {
    Domain::read(bytes).unwrap_err().to_string()
}

#[test]
fn all_four_formats_are_read() {
    let mask = ["110000000011", "000000000001"];
    for bytes in [
        b"P1\n# a mask\n12 2\n110000000011\n000000000001\n".as_slice(),
        b"P1 12 2 1 1 0 0 0 0 0 0 0 0 1 1 0 0 0 0 0 0 0 0 0 0 0 1",
        b"P1#x\n12#y\r2\n11000000001100 # in between\n0000000001\n# the end",
        // The four padding bits of a row mean nothing.
        b"P4\n12 2\n\xc0\x3f\x00\x1f",
        b"P4 12\t2# before the raster\n\xc0\x30\x00\x10",
    ] {
        let domain = Domain::read(bytes).unwrap();
        assert_eq!(rows(&domain), mask, "{}", bytes.escape_ascii());
        assert!(domain.is_mask());
        assert_eq!((domain.effective(), domain.cost()), (5, 5));
    }
    let weights = ["052", "900"];
    for bytes in [
        b"P2\n3 2\n9\n0 5 2\n9 0 0\n".as_slice(),
        b"P2 3 2 # sides\n65535\n0 5 2 9 0 0",
        b"P5\n3 2\n9\n\x00\x05\x02\x09\x00\x00",
        b"P5\n3 2\n256\n\x00\x00\x00\x05\x00\x02\x00\x09\x00\x00\x00\x00",
    ] {
        let domain = Domain::read(bytes).unwrap();
        assert_eq!(rows(&domain), weights, "{}", bytes.escape_ascii());
        assert!(!domain.is_mask());
        assert_eq!((domain.effective(), domain.cost()), (3, 16));
    }
    let wide = Domain::read(b"P5 1 1 65535 \xff\xfe").unwrap();
    assert_eq!(wide.weight(0, 0), 0xfffe);
}

#[test]
fn a_raw_raster_may_look_like_space_or_a_comment() {
    assert_eq!(rows(&Domain::read(b"P4\n8 2\n\n#").unwrap()), ["00001010", "00100011"]);
    assert_eq!(Domain::read(b"P5\n2 1\n255\n# ").unwrap().weight(0, 0), 35);
}

#[test]
fn every_fault_has_its_own_message() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "the file is empty; a PBM mask, a PGM field of weights or an .npy array is wanted"),
        (
            b"\x89PNG\r\n",
            "not a PBM, PGM or .npy file: it begins with \"\\x89PNG\"; P1, P2, P4, P5 and numpy's arrays are read",
        ),
        (
            b"P49 9\n",
            "not a PBM, PGM or .npy file: it begins with \"P49 \"; P1, P2, P4, P5 and numpy's arrays are read",
        ),
        (b"P6\n1 1\n255\n", "this is a colour image (P6), not a PBM or PGM file; ppmtopgm makes one of it"),
        (b"P7\n", "this is a PAM image (P7), not a PBM or PGM file; pamtopnm makes one of it"),
        (b"P4", "the header ends before its width"),
        (b"P4\n8", "the header ends before its height"),
        (b"P5\n8 8 # no more", "the header ends before its maxval"),
        (b"P4\n8 8", "the header ends before its raster"),
        (b"P4\nx 8\n", "byte 3: the header's width should be here, not 'x'"),
        (b"P4\n8 -8\n", "byte 5: the header's height should be here, not '-'"),
        (b"P4\n8 8\x1b", "byte 6: one white space should end the header, not '\\x1b'"),
        (b"P4\n0 8\n", "a grid of 0 × 8 has no cells"),
        (b"P1\n8 0\n", "a grid of 8 × 0 has no cells"),
        (b"P4\n2147483648 1\n", "a grid of 2147483648 × 1 is too large; 2147483647 is the longest side"),
        (b"P4\n99999999999999999999 1\n", "the header's width is far too large"),
        (b"P5\n1 1\n0\n\0", "maxval is 0; PGM allows 1 to 65535"),
        (b"P2\n1 1\n65536\n1", "maxval is 65536; PGM allows 1 to 65535"),
        (
            b"P4\n9 2\n\xff\xff\xff",
            "truncated: expected 4 bytes after the header for a grid of 9 × 2, found 3",
        ),
        (
            b"P5\n2147483647 2147483647\n65535\n1",
            "truncated: expected 9223372028264841218 bytes after the header for a grid of 2147483647 × 2147483647, found 1",
        ),
        (
            b"P1\n2147483647 2147483647\n1",
            "truncated: expected 4611686014132420609 values for a grid of 2147483647 × 2147483647, found 1 in the 2 bytes after the header",
        ),
        (
            b"P2\n2 2\n9\n1 2 3 # 4",
            "truncated: expected 4 values for a grid of 2 × 2, found 3 in the 10 bytes after the header",
        ),
        (
            b"P4\n8 1\n\xff\n",
            "bytes left after the grid of 8 × 1: 1; are the sides in the header right? (one image a file)",
        ),
        (
            b"P1\n2 1\n111",
            "bytes left after the grid of 2 × 1: 1; are the sides in the header right? (one image a file)",
        ),
        (b"P1\n2 2\n11\n12\n", "byte 11: '2' is no 0 or 1 (cell 1, 1)"),
        (b"P2\n2 1\n9\n1 -1\n", "byte 11: '-' is no number (cell 1, 0)"),
        (b"P2\n2 1\n9\n1 10\n", "cell 1, 0 is 10, above the header's maxval 9"),
        (
            b"P2\n1 1\n9\n99999999999999999999\n",
            "cell 0, 0 is 18446744073709551615, above the header's maxval 9",
        ),
        (b"P5\n2 2\n9\n\x01\x02\x03\x0a", "cell 1, 1 is 10, above the header's maxval 9"),
        (b"P5\n1 1\n300\n\x01\x2d", "cell 0, 0 is 301, above the header's maxval 300"),
        (
            b"P4\n4 1\n\x0f",
            "the domain is empty: none of its 4 × 1 cells is effective (in a PBM 1 is effective)",
        ),
        (
            b"P2\n1 1\n1\n0",
            "the domain is empty: none of its 1 × 1 cells is effective (in a PBM 1 is effective)",
        ),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(message(bytes), *wanted, "{}", bytes.escape_ascii());
    }
    let mut messages: Vec<_> = cases.iter().map(|(_, text)| text).collect();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), cases.len(), "no two faults look alike");
}

#[test]
fn weights_must_fill_the_grid() {
    let found = Domain::from_weights(2, 2, vec![1; 3]).unwrap_err().to_string();
    assert_eq!(found, "4 weights are wanted, 3 are there");
}

#[test]
fn outside_the_grid_there_is_nothing() {
    let domain = Domain::read(b"P4\n3 2\n\xff\xff").unwrap();
    assert_eq!((domain.weight(3, 0), domain.weight(0, 2)), (0, 0));
    assert_eq!(domain.effective_in(Block { x0: 1, y0: 1, x1: 900, y1: 900 }), 2);
    assert_eq!(domain.effective_in(Block { x0: 5, y0: 0, x1: 6, y1: 2 }), 0);
    assert_eq!(domain.row_mask(1, 2..5).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(domain.row_runs(1, 2..5).map(|run| (run.start, run.end)).collect::<Vec<_>>(), [(2, 3)]);
    assert_eq!(domain.row_runs(2, 0..3).count(), 0);
    assert_eq!(domain.row_runs(0, 7..9).count(), 0);
    assert_eq!((domain.row_word(0, 0), domain.row_word(0, 1), domain.row_word(2, 0)), (0b111 << 61, 0, 0));
}

/// A small field of weights, many of them 0, and a block that may reach out of the grid.
fn fields() -> impl Strategy<Value = (u32, u32, Vec<u16>, Block)> {
    (1u32..200, 1u32..8).prop_flat_map(|(nx, ny)| {
        let weight = prop_oneof![3 => Just(0u16), 2 => 1u16..9, 1 => any::<u16>()];
        let corners = (0..nx + 9, 0..nx + 9, 0..ny + 9, 0..ny + 9);
        (Just(nx), Just(ny), prop::collection::vec(weight, (nx * ny) as usize), corners).prop_map(
            |(nx, ny, weights, (a, b, c, d))| {
                (nx, ny, weights, Block { x0: a.min(b), x1: a.max(b), y0: c.min(d), y1: c.max(d) })
            },
        )
    })
}

proptest! {
    #[test]
    fn sums_are_those_of_the_cells((nx, ny, weights, block) in fields()) {
        let at = |x: u32, y: u32| if x < nx && y < ny { weights[(y * nx + x) as usize] } else { 0 };
        let Ok(field) = Domain::from_weights(nx, ny, weights.clone()) else { return Ok(()) };
        let mask = Domain::from_mask(nx, ny, |x, y| at(x, y) > 0).unwrap();
        let cells = || (block.y0..block.y1).flat_map(|y| (block.x0..block.x1).map(move |x| (x, y)));
        let cost: u64 = cells().map(|(x, y)| u64::from(at(x, y))).sum();
        let count = cells().filter(|(x, y)| at(*x, *y) > 0).count() as u64;
        prop_assert_eq!((field.cost_in(block), field.effective_in(block)), (cost, count));
        prop_assert_eq!((mask.cost_in(block), mask.effective_in(block)), (count, count));
        for domain in [&field, &mask] {
            for y in 0..ny {
                let wanted: Vec<bool> = (block.x0..block.x1).map(|x| at(x, y) > 0).collect();
                prop_assert_eq!(domain.row_mask(y, block.x0..block.x1).collect::<Vec<_>>(), wanted);
                let runs: Vec<_> = domain.row_runs(y, block.x0..block.x1).collect();
                let wanted: Vec<u32> = (block.x0..block.x1).filter(|x| at(*x, y) > 0).collect();
                prop_assert_eq!(runs.iter().cloned().flatten().collect::<Vec<_>>(), wanted);
                prop_assert!(runs.iter().zip(runs.iter().skip(1)).all(|(a, b)| a.end < b.start));
                for x in 0..nx {
                    let bit = domain.row_word(y, x / 64) >> (63 - x % 64) & 1 == 1;
                    prop_assert_eq!(bit, at(x, y) > 0);
                }
            }
        }
    }

    #[test]
    fn plain_and_raw_say_the_same((nx, ny, weights, _) in fields()) {
        let Ok(field) = Domain::from_weights(nx, ny, weights.clone()) else { return Ok(()) };
        let mut plain = format!("P2 {nx} {ny} 65535\n");
        let mut raw = format!("P5 {nx} {ny} 65535\n").into_bytes();
        for weight in &weights {
            plain += &format!("{weight} ");
            raw.extend(weight.to_be_bytes());
        }
        prop_assert_eq!(Domain::read(plain.as_bytes()).unwrap(), field.clone());
        prop_assert_eq!(Domain::read(&raw).unwrap(), field);
        let mut plain = format!("P1 {nx} {ny}\n");
        let mut raw = format!("P4 {nx} {ny}\n").into_bytes();
        for row in weights.chunks(nx as usize) {
            for eight in row.chunks(8) {
                let byte = eight.iter().enumerate().fold(0, |b, (i, w)| b | u8::from(*w > 0) << (7 - i));
                raw.push(byte);
                plain.extend(eight.iter().map(|w| if *w > 0 { '1' } else { '0' }));
            }
        }
        let mask = Domain::read(plain.as_bytes()).unwrap();
        prop_assert_eq!(mask.effective(), field_count(&weights));
        prop_assert_eq!(Domain::read(&raw).unwrap(), mask);
    }

    /// Whatever the bytes: an answer or an error.
    #[test]
    fn no_bytes_make_it_panic(kind in 0usize..8, tail in prop::collection::vec(any::<u8>(), 0..60)) {
        let heads: [&[u8]; 8] =
            [b"P1 ", b"P2\n", b"P4 3 3\n", b"P5 3 3 ", b"P5 3 3 300 ", b"P1 9 9 ", b"P2 2 9 99 ", b"P4 1"];
        let bytes = [heads[kind], &tail].concat();
        if let Ok(domain) = Domain::read(&bytes) {
            prop_assert!(domain.effective() > 0);
            prop_assert_eq!(domain.effective_in(domain.block()), domain.effective());
        }
    }
}

fn field_count(weights: &[u16]) -> u64 {
    weights.iter().filter(|w| **w > 0).count() as u64
}
