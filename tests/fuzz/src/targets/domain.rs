//! Masks and weights: PBM, PGM and .npy. The first byte says how the values are taken and where the file is cut into
//! pieces.

use crate::random::Random;
use dc_model::Block;
use dc_model::domain::{Domain, DomainError, DomainReader, Meaning};
use dc_model::npy::{FIRST_BYTES, Header, dictionary_bytes, prefix_bytes};

pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let meaning = [Meaning::AsFound, Meaning::Mask, Meaning::Weights][usize::from(how % 3)];
    let whole = Domain::read_as(bytes, meaning);
    assert_eq!(whole, in_pieces(bytes, meaning, u64::from(how / 3)), "the cuts of a file change nothing");
    let Ok(domain) = whole else { return };

    assert!(domain.effective() > 0 && domain.cost() >= domain.effective());
    assert_eq!(domain.effective_in(domain.block()), domain.effective());
    assert_eq!(domain.cost_in(domain.block()), domain.cost());
    let cells = u64::from(domain.nx()) * u64::from(domain.ny());
    assert!(cells <= bytes.len() as u64 * 8, "a grid of {cells} cells in {} bytes", bytes.len());
    runs_are_the_cells(&domain);
    assert_eq!(Domain::read_as(&written(&domain), Meaning::AsFound), Ok(domain), "written and read again");
}

/// The same file, a few bytes at a time.
fn in_pieces(bytes: &[u8], meaning: Meaning, seed: u64) -> Result<Domain, DomainError> {
    let random = &mut Random::new(seed);
    let mut reader = DomainReader::new(meaning, bytes.len() as u64);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(40)).min(rest.len()));
        reader.push(piece)?;
        rest = after;
    }
    reader.finish()
}

fn runs_are_the_cells(domain: &Domain) {
    let mut counted = 0;
    for y in 0..domain.ny().min(64) {
        let mut row = 0;
        let mut before = 0;
        for run in domain.row_runs(y, 0..domain.nx()) {
            assert!(run.start >= before && run.start < run.end && run.end <= domain.nx());
            assert!(domain.is_effective(run.start, y) && domain.is_effective(run.end - 1, y));
            before = run.end;
            row += u64::from(run.end - run.start);
        }
        let block = Block { x0: 0, y0: y, x1: domain.nx(), y1: y + 1 };
        assert_eq!(row, domain.effective_in(block));
        counted += row;
    }
    assert!(domain.ny() > 64 || counted == domain.effective());
}

/// As P4, or as .npy of 32 bits, which holds every weight.
fn written(domain: &Domain) -> Vec<u8> {
    let (nx, ny) = (domain.nx(), domain.ny());
    if domain.is_mask() {
        let mut file = format!("P4\n{nx} {ny}\n").into_bytes();
        for y in 0..ny {
            for x0 in (0..nx).step_by(8) {
                let bit = |x: u32| u8::from(domain.is_effective(x, y)) << (7 - (x - x0));
                file.push((x0..(x0 + 8).min(nx)).fold(0, |byte, x| byte | bit(x)));
            }
        }
        return file;
    }
    let text = format!("{{'descr': '<u4', 'fortran_order': False, 'shape': ({ny}, {nx}), }}");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.bytes());
    (0..ny).for_each(|y| (0..nx).for_each(|x| file.extend(domain.weight(x, y).to_le_bytes())));
    file
}

pub fn seeds() -> Vec<Vec<u8>> {
    let npy = |descr: &str, shape: &str, order: &str, values: &[u8]| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), values].concat()
    };
    let files: [&[u8]; 11] = [
        b"P1\n# a comment\n4 2\n0110\n1 0 0 1\n",
        b"P4\n9 2\n\xaa\x80\x55\x00",
        b"P2\n3 2\n300\n0 1 2\n 300 4 5\n",
        b"P5\n3 2\n255\n\x00\x01\x02\x03\x04\x05",
        b"P5 2 1 65535\n\x00\x01\xff\xff",
        &npy("|b1", "(2, 3)", "False", &[0, 1, 1, 0, 0, 1]),
        &npy("|u1", "(1, 3)", "False", &[0, 1, 255]),
        &npy("<i2", "(1, 2)", "True", &[1, 0, 2, 1]),
        &npy(">u4", "(2, 1)", "False", &[0, 0, 0, 1, 0, 1, 0, 0]),
        &npy("<i8", "(1, 1)", "False", &7u64.to_le_bytes()),
        &npy("<f8", "(1, 1)", "False", &1f64.to_le_bytes()),
    ];
    (0..3u8).flat_map(|how| files.map(|file| [&[how], file].concat())).collect()
}

/// The header alone, as the merge reads it too: what it reads is written and read as the same.
pub fn npy_header(data: &[u8]) {
    let Some(first) = data.first_chunk::<FIRST_BYTES>() else { return };
    let Ok(prefix) = prefix_bytes(first) else { return };
    let Some((prefix, rest)) = data.split_at_checked(prefix) else { return };
    let Ok(length) = dictionary_bytes(prefix) else { return };
    let Some(dictionary) = rest.get(..length) else { return };
    let Ok(header) = Header::parse(dictionary) else { return };
    let Header { descr_text, fortran_order, shape } = &header;
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let order = if *fortran_order { "True" } else { "False" };
    let quote = if descr_text.contains('\'') { '"' } else { '\'' };
    let text =
        format!("{{'descr': {quote}{descr_text}{quote}, 'fortran_order': {order}, 'shape': ({lengths}), }}");
    if !descr_text.contains(['\\', '"', '\'']) {
        assert_eq!(Header::parse(text.as_bytes()), Ok(header), "{text:?}");
    }
}

pub fn npy_headers() -> Vec<Vec<u8>> {
    seeds().into_iter().filter(|seed| seed[1] == 0x93).map(|seed| seed[1..].to_vec()).collect()
}
