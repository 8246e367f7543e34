//! Golden bytes of the header, and headers that are not what they should be.

use super::*;
use proptest::prelude::*;

fn golden(dtype: Dtype, shape: &[u64]) -> Vec<u8> {
    encode(&Header { dtype, shape: shape.to_vec() }).unwrap()
}

/// A file of version 1.0 with this dictionary.
fn file(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], dictionary.as_bytes(), data].concat()
}

fn decode(bytes: &[u8]) -> Result<Header, NpyError> {
    try_decode(&mut &bytes[..])
}

#[test]
fn golden_bytes() {
    // 10 bytes in front, 61 of dictionary, blanks and a newline up to 128: the length field says 118.
    let mut want = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    want.extend_from_slice(b"{'descr': '<f8', 'fortran_order': False, 'shape': (720, 1440), }");
    want.extend_from_slice(&[b' '; 53]);
    want.push(b'\n');
    assert_eq!(want.len(), 128);
    assert_eq!(golden(Dtype::F8, &[720, 1440]), want);

    let small = golden(Dtype::U1, &[2, 3]);
    assert_eq!(small[..10], *b"\x93NUMPY\x01\x00\x76\x00");
    assert!(small[10..].starts_with(b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), } "));
    assert_eq!((small.len(), small.last()), (128, Some(&b'\n')));
    assert!(golden(Dtype::I4, &[7]).windows(4).any(|w| w == b"(7,)"));
    assert!(golden(Dtype::I4, &[]).windows(4).any(|w| w == b"(), "));
}

#[test]
fn headers_of_others_are_read() {
    let want = Header { dtype: Dtype::F4, shape: vec![2, 3] };
    for text in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{\"shape\":(2,3,),\"fortran_order\":False,\"descr\":\"<f4\"}\n",
        "  { 'descr' : '<f4' , 'shape' : ( 2 , 3 ) , 'fortran_order' : False }  \n",
    ] {
        assert_eq!(decode(&file(text, &[])).unwrap(), want, "{text}");
    }
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
    second.extend_from_slice(&(text.len() as u32).to_le_bytes());
    second.extend_from_slice(text.as_bytes());
    assert_eq!(decode(&second).unwrap(), want);
}

#[test]
fn every_fault_has_its_own_words() {
    let ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    for (bytes, words) in [
        (b"P4 1 1\n00000".to_vec(), "magic"),
        (b"\x93NUMPY\x04\x00\x00\x00".to_vec(), "version 4.0"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "too long"),
        (b"\x93NUM".to_vec(), "shorter"),
        (file(ok, &[])[..30].to_vec(), "shorter"),
        (file(&ok.replace("<f4", ">f4"), &[]), "'>f4'"),
        (file(&ok.replace("'<f4'", "[('a', '<f4')]"), &[]), "record"),
        (file(&ok.replace("False", "True"), &[]), "Fortran"),
        (file(&ok.replace("False", "Maybe"), &[]), "neither"),
        (file(&ok.replace("'descr'", "'colour'"), &[]), "unknown key"),
        (file("{'descr': '<f4', 'descr': '<f4'}", &[]), "twice"),
        (file("{'descr': '<f4'}", &[]), "missing"),
        (file("{'descr': '<f4", &[]), "does not end"),
        (file(&format!("{ok} x"), &[]), "after the dictionary"),
        (file(&ok.replace("(2, 3)", "(2, -3)"), &[]), "length is missing"),
        (file(&ok.replace("(2, 3)", "(4294967296, 4294967296)"), &[]), "too large"),
        (file(&ok.replace("(2, 3)", "(99999999999999999999, 1)"), &[]), "too large"),
        (file("[]", &[]), "not the dictionary"),
    ] {
        let error = decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} for {words:?}");
    }
}

#[test]
fn grids_have_two_axes_and_end_where_they_say() {
    let file = |shape: &str, data: &[u8]| {
        file(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"), data)
    };
    let read = |bytes: Vec<u8>| NpyReader::try_new(&bytes[..]).and_then(NpyReader::read_all);
    assert_eq!(read(file("(2, 3)", &[1, 2, 3, 4, 5, 6])).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(matches!(read(file("(2, 3)", &[0; 5])), Err(NpyError::Length("shorter"))));
    assert!(matches!(read(file("(2, 3)", &[0; 7])), Err(NpyError::Length("longer"))));
    assert!(matches!(read(file("(6,)", &[0; 6])), Err(NpyError::Dimensions(1))));
    assert!(matches!(read(file("()", &[0; 1])), Err(NpyError::Dimensions(0))));
    assert!(matches!(read(file("(1, 2, 3)", &[0; 6])), Err(NpyError::Dimensions(3))));
    assert!(matches!(read(file("(9000000000000000000, 0)", &[])), Err(NpyError::Empty)));
    // A header that lies must not make the reader ask for that much memory.
    assert!(matches!(read(file("(1, 9000000000000000000)", &[0; 3])), Err(NpyError::Length("shorter"))));
}

proptest! {
    #[test]
    fn headers_read_what_they_write(
        number in 1u8..=10, shape in proptest::collection::vec(0u64..100_000, 0..4),
    ) {
        let header = Header { dtype: Dtype::from_number(number).unwrap(), shape };
        let bytes = encode(&header).unwrap();
        prop_assert_eq!(bytes.len() % HEADER_ALIGN_BYTES, 0);
        prop_assert_eq!(decode(&bytes).unwrap(), header);
    }

    #[test]
    fn no_changed_byte_panics(at in 0usize..128, byte: u8) {
        let mut bytes = golden(Dtype::F8, &[2, 3]);
        bytes[at] = byte;
        bytes.extend_from_slice(&[0; 48]);
        let _ = NpyReader::try_new(&bytes[..]).and_then(NpyReader::read_all);
    }
}
