//! Golden bytes and mutations of the common header.

use super::*;

fn header() -> Header {
    Header {
        job: JobUuid(*b"0123456789abcdef"),
        subtask: SubtaskId(7),
        attempt: Attempt(2),
        step: 0x0102_0304_0506_0708,
        payload_bytes: 5,
        payload_crc: crc32c::crc32c(b"hello"),
    }
}

#[test]
fn golden_bytes() {
    let bytes = header().encode(FileKind::Checkpoint, b"");
    let mut expected = b"\x89dcCKP\x1a\n\x01\x00\x40\x00\x00\x00\x00\x000123456789abcdef".to_vec();
    expected.extend_from_slice(&[7, 0, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[0x4c, 0xbb, 0x71, 0x9a]);
    assert_eq!(bytes[..60], expected[..]);
    assert_eq!(bytes.len(), 64);
}

#[test]
fn reads_what_it_writes_and_what_follows() {
    for kind in FileKind::ALL {
        for more in [&b""[..], b"12345678"] {
            let mut file = header().encode(kind, more);
            file.extend_from_slice(b"hello");
            let (found, own, rest) = Header::decode(kind, &file).unwrap();
            assert_eq!((found, own, rest), (header(), more, &b"hello"[..]));
            found.check(rest).unwrap();
            assert_eq!(found.check(b"hellO"), Err(HeaderError::Payload));
            assert_eq!(found.check(b"hell"), Err(HeaderError::Length { expected: 5, found: 4 }));
        }
    }
}

#[test]
fn every_flip_and_cut_is_refused() {
    let file = header().encode(FileKind::Result, b"12345678");
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(FileKind::Result, &bad).is_err(), "bit {bit}");
    }
    for cut in 0..file.len() {
        assert!(Header::decode(FileKind::Result, &file[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(Header::decode(FileKind::Job, &file), Err(HeaderError::Magic(FileKind::Job)));
}

#[test]
fn a_newer_version_is_said_to_be_newer_whatever_its_crc() {
    let mut file = header().encode(FileKind::Job, b"");
    file[VERSION_AT] = 2;
    let error = Header::decode(FileKind::Job, &file).unwrap_err();
    assert_eq!(error, HeaderError::Newer { found: 2, known: 1 });
    assert!(error.to_string().contains("a newer dc wrote it (format 2; this dc reads up to 1)"));
}

#[test]
fn a_foreign_job_is_named() {
    let other = JobUuid([9; 16]);
    assert_eq!(header().check_job(header().job), Ok(()));
    assert!(matches!(header().check_job(other), Err(HeaderError::Foreign { .. })));
}
