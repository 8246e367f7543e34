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

#[test]
fn the_page_lists_the_kinds() {
    let rows: Vec<_> = crate::drawn_tests::table("magic").into_iter().map(|row| row.join(" ")).collect();
    let known = FileKind::ALL.map(|kind| {
        let magic: Vec<_> = kind.magic().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} `{}` {}", kind.text(), magic.join(" "), kind.version())
    });
    assert_eq!(rows, known);
}

#[test]
fn the_page_draws_the_header() {
    crate::drawn_tests::assert_without_gaps("header", 0, 60);
    let bytes = header().encode(FileKind::Job, b"12345678");
    for row in crate::drawn_tests::table("header") {
        let at = row[0].parse().unwrap_or(68);
        let field = |len: usize| &bytes[at..at + len];
        match row[2].as_str() {
            "magic" => assert_eq!(field(8), FileKind::Job.magic()),
            "version" => assert_eq!((at, field(2)), (VERSION_AT, &[1, 0][..])),
            "zero" => assert_eq!(field(4), [0; 4]),
            "uuid of the job" => assert_eq!(field(16), header().job.0),
            "subtask" => assert_eq!(field(4), header().subtask.0.to_le_bytes()),
            "attempt" => assert_eq!(field(4), header().attempt.0.to_le_bytes()),
            "length of the payload in bytes" => assert_eq!(field(8), 5u64.to_le_bytes()),
            "CRC of the payload" => assert_eq!(field(4), header().payload_crc.to_le_bytes()),
            "of the kind's own" => assert_eq!(field(8), b"12345678"),
            "CRC of the header up to here" => {
                assert_eq!(field(4), crc32c::crc32c(&bytes[..at]).to_le_bytes())
            }
            other if other.starts_with("length of the header") => assert_eq!(field(2), [72, 0]),
            other if other.starts_with("step") => assert_eq!(field(8), header().step.to_le_bytes()),
            other => panic!("a field that is not known: {other}"),
        }
    }
}
