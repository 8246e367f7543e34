//! The peers file: every line that is wrong says where; what is right comes back as it was.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

fn key(n: u8) -> Fingerprint {
    Fingerprint([n; 32])
}

fn peer(role: Role, name: &str, n: u8) -> Peer {
    Peer { fingerprint: key(n), role, name: Name::parse(name).unwrap(), not_after: None, owner: None }
}

fn parse(text: &str) -> Result<Peers, TextError> {
    Peers::parse(Path::new("/c/peers"), text.as_bytes())
}

const CLUSTER: &str = "cluster 000102030405060708090a0b0c0d0e0f\n";

#[test]
fn each_wrong_line_says_where() {
    let k = key(1);
    for (text, expected) in [
        (String::new(), "1:1: the line `cluster …` is missing"),
        ("# only this\n".to_owned(), "1:1: the line `cluster …` is missing"),
        (format!("node a {k}\n"), "1:1: the first line must be `cluster`"),
        ("cluster 0001\n".to_owned(), "1:9: `0001` is not 32 hexadecimal digits"),
        (format!("{CLUSTER}nodes a {k}\n"), "2:1: `nodes` is not a role"),
        (format!("{CLUSTER}\n  node /a {k}\n"), "3:8: `/a` is not a name"),
        (format!("{CLUSTER}node a dc:aaaa\n"), "2:8: `dc:aaaa` is not a fingerprint"),
        (format!("{CLUSTER}node a\n"), "2:7: a line is a role, a name and a fingerprint"),
        (format!("{CLUSTER}node a {k} never\n"), "2:76: `never` is not known here: not-after=…, owner=…"),
        (
            format!("{CLUSTER}node a {k} not-after=2027-02-29T00:00:00Z\n"),
            "2:86: `2027-02-29T00:00:00Z` is not a time",
        ),
        (
            format!("{CLUSTER}node a {k} owner=a not-after=2027-02-28T00:00:00Z\n"),
            "2:84: `not-after=` stands twice or out of order",
        ),
        (format!("{CLUSTER}node a {k} owner=a owner=b\n"), "2:84: `owner=` stands twice"),
        (format!("{CLUSTER}node a {k} owner=\n"), "2:82: `` is not a name"),
        (format!("{CLUSTER}node a {k}\nclient b {k}\n"), "3:10: the key dc:aeaq"),
        (format!("{CLUSTER}node a {k}\nnode a {}\n", key(2)), "3:6: node a is trusted already"),
        (format!("{CLUSTER}node a {k}"), "2:75: the last line does not end"),
        (format!("{CLUSTER}node\ta {k}\n"), "2:5: a control character"),
        (format!("{CLUSTER}node a {k}\r\n"), "2:75: a control character"),
        (format!("{CLUSTER}node a\u{202e}b {k}\n"), "2:6: `a\\u{202e}b` is not a name"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("/c/peers:{expected}")), "{text:?}\n{error}");
    }
    let error = Peers::parse(Path::new("p\n"), b"clus\xff").unwrap_err();
    assert_eq!(error.to_string(), "p\\n:1:5: this is not UTF-8 text");
}

#[test]
fn a_key_is_accepted_when_it_is_listed_in_its_role_and_in_time() {
    let mut peers = Peers::new(ClusterId([0; 16]));
    let end = UnixSeconds(1_000);
    peers.add(peer(Role::Node, "n1", 1)).unwrap();
    peers.add(Peer { not_after: Some(end), ..peer(Role::Scheduler, "s", 2) }).unwrap();
    peers.add(peer(Role::Client, "n1", 3)).unwrap();
    let now = UnixSeconds(999);
    for (n, role) in [(1, Role::Node), (2, Role::Scheduler), (3, Role::Client)] {
        for wanted in Role::ALL {
            let found = peers.check(key(n), &[wanted], now);
            if wanted == role {
                assert_eq!(found.unwrap().fingerprint, key(n));
            } else {
                assert!(matches!(found, Err(Refused::Role { role: has, .. }) if has == role));
            }
        }
        peers.check(key(n), &Role::ALL, now).unwrap();
        assert!(peers.check(key(n), &[], now).is_err());
    }
    assert!(matches!(peers.check(key(2), &Role::ALL, end), Err(Refused::Expired { .. })));
    assert_eq!(peers.check(key(9), &Role::ALL, now), Err(Refused::Unknown(key(9))));
}

#[test]
fn edits_keep_comments_and_are_seen_by_others() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("peers");
    assert!(matches!(PeersFile::open(&path), Err(PeersError::Missing(_))));
    let mut one = PeersFile::create(&path, ClusterId([3; 16])).unwrap();
    assert!(PeersFile::create(&path, ClusterId([4; 16])).is_err(), "never over another");
    one.try_add(peer(Role::Node, "n1", 1)).unwrap();
    let mut two = PeersFile::open(&path).unwrap();
    assert!(!two.maybe_reload().unwrap());
    one.try_add(Peer { owner: Some(Name::parse("ann").unwrap()), ..peer(Role::Node, "n2", 2) }).unwrap();
    // What another process has written is kept, though it was not read yet.
    two.try_add(peer(Role::Client, "c", 3)).unwrap();
    assert_eq!(two.peers().iter().count(), 3);
    assert!(one.maybe_reload().unwrap());
    assert_eq!(one.peers(), two.peers());

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("# ours\n{text}\n# the end\n")).unwrap();
    assert!(!one.maybe_reload().unwrap(), "another stamp, the same peers");
    assert_eq!(one.try_remove(key(1)).unwrap().name.as_str(), "n1");
    assert!(matches!(one.try_remove(key(1)), Err(PeersError::NotThere { .. })));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# ours\ncluster 03") && text.ends_with("\n# the end\n"), "{text}");
    assert!(!text.contains("n1") && text.contains("n2") && text.contains("owner=ann"), "{text}");
    assert!(matches!(one.try_add(peer(Role::Client, "c", 7)), Err(PeersError::NameTaken { .. })));
    assert!(matches!(one.try_add(peer(Role::Client, "d", 3)), Err(PeersError::KeyTaken { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "what failed changed nothing");

    std::fs::write(&path, "rubbish\n").unwrap();
    let before = one.peers();
    assert!(matches!(one.maybe_reload(), Err(PeersError::Text(_))));
    assert_eq!(one.peers(), before, "the old content stands");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(one.maybe_reload(), Err(PeersError::Guard(GuardError::Mode { .. }))));
}

#[test]
fn edits_of_many_at_once_are_all_kept() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("peers");
    PeersFile::create(&path, ClusterId([3; 16])).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let mut file = PeersFile::open(path).unwrap();
                for i in 0..4 {
                    file.try_add(peer(Role::Node, &format!("n{n}-{i}"), n * 4 + i)).unwrap();
                }
            });
        }
    });
    assert_eq!(PeersFile::open(&path).unwrap().peers().iter().count(), 32);
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let name = "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}".prop_map(|text| Name::parse(&text).unwrap());
    let owner = prop::option::of("[a-z]{1,8}".prop_map(|text| Name::parse(&text).unwrap()));
    let end = prop::option::of((0..250_000_000_000_u64).prop_map(UnixSeconds));
    (any::<[u8; 32]>(), 0..4_usize, name, end, owner).prop_map(|(key, role, name, not_after, owner)| Peer {
        fingerprint: Fingerprint(key),
        role: Role::ALL[role],
        name,
        not_after,
        owner,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(list in prop::collection::vec(any_peer(), 0..20)) {
        let mut peers = Peers::new(ClusterId([9; 16]));
        let mut text = format!("cluster {}\n", peers.cluster());
        for peer in list {
            let line = format!("{peer}\n");
            if peers.add(peer).is_ok() {
                text.push_str(&line);
            }
        }
        prop_assert_eq!(parse(&text).unwrap(), peers);
    }

    /// Any change of any byte is an error that names a place in the file, or a file that says something else; no panic,
    /// nothing unescaped in the message.
    #[test]
    fn mutations_never_pass_unseen(at in 0..300_usize, byte in any::<u8>(), cut in 0..300_usize) {
        let text = format!("{CLUSTER}node a {}\nclient b {} not-after=2027-01-01T00:00:00Z\n", key(1), key(2));
        let whole = parse(&text).unwrap();
        let mut bytes = text.clone().into_bytes();
        let at = at % bytes.len();
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        match Peers::parse(Path::new("p"), &bytes) {
            Ok(peers) => prop_assert!(!changed || peers != whole || byte == b'#' || byte == b' ' || byte == b'\n'),
            Err(error) => prop_assert!(!error.to_string().contains(|c: char| c.is_control())),
        }
        let cut = cut % text.len();
        if let Ok(peers) = parse(&text[..cut]) {
            prop_assert!(peers != whole);
            prop_assert!(text[..cut].ends_with('\n'));
        }
    }
}
