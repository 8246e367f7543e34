//! Keys and their files: what is believed and what is not.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_public_half_is_that_of_rfc_8032() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let pair = KeyPair::from_seed(Zeroizing::new(seed.try_into().unwrap())).unwrap();
    assert_eq!(pair.public().to_vec(), public);
    assert!(is_ed25519_spki(&pair.spki()));
    let signature = pair.sign(b"x");
    assert!(verifies(&pair.public(), b"x", &signature));
    assert!(!verifies(&pair.public(), b"y", &signature));
    assert!(!format!("{pair:?}").contains("9d61"), "never shown");
}

#[test]
fn a_key_is_written_once_and_read_back() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("node.key");
    assert_eq!(KeyPair::read(&path).unwrap_err(), KeyError::Missing(path.clone()));
    let made = KeyPair::read_or_make(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(KeyPair::read(&path).unwrap().fingerprint(), made.fingerprint());
    assert_eq!(KeyPair::read_or_make(&path).unwrap().fingerprint(), made.fingerprint());
    let error = KeyPair::generate().unwrap().write_new(&path).unwrap_err();
    assert!(matches!(&error, KeyError::Guard(GuardError::File(file)) if file.is_exists()), "{error}");
    assert_eq!(KeyPair::read(&path).unwrap().fingerprint(), made.fingerprint(), "the old one is untouched");
    assert_ne!(KeyPair::generate().unwrap().fingerprint(), made.fingerprint());
}

#[test]
fn a_file_that_others_may_have_touched_is_not_believed() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("key");
    KeyPair::read_or_make(&path).unwrap();
    for bad in [0o640, 0o604, 0o620, 0o602, 0o601] {
        mode(&path, bad);
        let error = KeyPair::read(&path).unwrap_err();
        assert!(matches!(error, KeyError::Guard(GuardError::Mode { mode, .. }) if mode == bad), "{error}");
        assert!(
            error.to_string().ends_with("others may read a secret, or write it (chmod 600 it)"),
            "{error}"
        );
    }
    mode(&path, 0o400);
    KeyPair::read(&path).unwrap();

    std::fs::hard_link(&path, tmp.path().join("other")).unwrap();
    assert!(matches!(KeyPair::read(&path).unwrap_err(), KeyError::Guard(GuardError::Links { links: 2, .. })));
    std::fs::remove_file(tmp.path().join("other")).unwrap();

    symlink("key", tmp.path().join("link")).unwrap();
    let error = KeyPair::read(&tmp.path().join("link")).unwrap_err();
    assert!(error.to_string().contains("symbolic links are not followed"), "{error}");

    mode(tmp.path(), 0o777);
    let error = KeyPair::read(&path).unwrap_err();
    assert!(error.to_string().contains("others may put files of theirs into it (chmod go-w it)"), "{error}");
    mode(tmp.path(), 0o700);

    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&path, Some(12_345.into()), None).unwrap();
        let error = KeyPair::read(&path).unwrap_err();
        assert!(error.to_string().contains("is owned by user 12345, and only files of root"), "{error}");
    } else {
        eprintln!("skipped without root: a key of another user");
    }
}

#[test]
fn what_is_no_key_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("key");
    let good = {
        KeyPair::read_or_make(&path).unwrap();
        std::fs::read(&path).unwrap()
    };
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    bad.push([&good[..], b"\n"].concat());
    bad.push(good.to_ascii_uppercase());
    bad.push(vec![b'a'; 200]);
    for bytes in bad {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(KeyPair::read(&path).unwrap_err(), KeyError::Format(path.clone()), "{bytes:?}");
    }
    std::fs::write(&path, vec![b'a'; 300]).unwrap();
    assert!(KeyPair::read(&path).unwrap_err().to_string().contains("at most 256 are read"));
}
