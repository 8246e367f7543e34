//! Requests: golden bytes, and that nothing but them is read.

use super::*;
use nix::libc::{SIGHUP, SIGKILL};

fn start() -> Request {
    let job = std::array::from_fn(|at| at as u8);
    Request { digest: [0xd5; 32], ..Request::new(Verb::Start, 1234, job) }
}

#[test]
fn golden_bytes() {
    let mut golden = b"DCXR\x01\x00\x01\x00\xd2\x04\x00\x00\x00\x00\x00\x00".to_vec();
    golden.extend(0..16u8);
    golden.extend([0xd5; 32]);
    golden.extend([0; 8]);
    assert_eq!(start().encode(), golden);
    assert_eq!(Request::decode(&golden), Ok(start()));
    let open = Request { name: "result/a".into(), ..Request::new(Verb::Open, 1234, [7; 16]) };
    let bytes = open.encode();
    assert_eq!(bytes[64..], *b"\x08\x00\x00\x00\x00\x00\x00\x00result/a");
    assert_eq!(Request::decode(&bytes), Ok(open));
    assert_eq!(start().job_text(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
}

#[test]
fn every_cut_and_every_byte_more_is_refused() {
    let bytes = start().encode();
    for length in 0..bytes.len() {
        assert_eq!(Request::decode(&bytes[..length]), Err(RequestError::Length));
    }
    assert_eq!(Request::decode(&[&bytes[..], b"\0"].concat()), Err(RequestError::Length));
}

#[test]
fn every_changed_bit_is_refused_or_is_another_request() {
    let bytes = Request { name: "ckpt/00000001/a".into(), ..Request::new(Verb::Open, 1, [1; 16]) }.encode();
    for bit in 0..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Request::decode(&other) {
            assert_eq!(read.encode(), other, "one meaning, one spelling");
        }
    }
}

#[test]
fn fields_that_belong_to_another_verb_are_refused() {
    let with = |change: fn(&mut Request)| {
        let mut request = Request::new(Verb::Remove, 1234, [1; 16]);
        change(&mut request);
        Request::decode(&request.encode())
    };
    assert!(with(|_| ()).is_ok());
    assert_eq!(with(|r| r.signal = SIGKILL), Err(RequestError::Signal));
    assert_eq!(with(|r| r.digest[3] = 1), Err(RequestError::Rest));
    assert_eq!(with(|r| r.name = "a".into()), Err(RequestError::Name));
    assert_eq!(with(|r| r.verb = Verb::Kill), Err(RequestError::Signal));
    assert_eq!(with(|r| (r.verb, r.signal) = (Verb::Kill, SIGHUP)), Err(RequestError::Signal));
    assert!(with(|r| (r.verb, r.signal) = (Verb::Kill, SIGKILL)).is_ok());
    let mut bytes = start().encode();
    bytes[7] = 1;
    assert_eq!(Request::decode(&bytes), Err(RequestError::Proof(1)));
}

#[test]
fn names_stay_below_the_directory() {
    let good = ["a", "result/00000001-a000001.result", "ckpt/00000001/a000001-s00000000000000000002.ckpt"];
    for name in good {
        assert!(is_name(name), "{name}");
    }
    let bad = [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "a/./b",
        ".a",
        "-a",
        "a/-b",
        "a b",
        "a\0b",
        "a\nb",
        "a\\b",
        "ä",
        "a/b/c/d/e",
        "~",
        "a:b",
        "%2e",
    ];
    for name in bad {
        assert!(!is_name(name), "{name:?}");
        let request = Request { name: name.into(), ..Request::new(Verb::Open, 1234, [7; 16]) };
        assert_eq!(Request::decode(&request.encode()), Err(RequestError::Name), "{name:?}");
    }
    let long = Request { name: "a".repeat(NAME_BYTES_MAX + 1), ..Request::new(Verb::Open, 1234, [7; 16]) };
    assert_eq!(Request::decode(&long.encode()), Err(RequestError::Length));
}
