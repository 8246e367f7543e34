//! The socket of a host: who may connect, and what may stand at its path.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn both_ends_know_each_other_by_the_kernel() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    let listener = LocalListener::bind(&path, LocalPolicy::Own).unwrap();
    assert_eq!(mode_of(&path), 0o600);
    assert!(listener.accept().unwrap().is_none());
    let (_stream, server) = dial_local(&path, &LocalPolicy::Own).unwrap();
    let (_other, client) = listener.accept().unwrap().unwrap();
    let me = Credentials {
        uid: geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        pid: nix::unistd::getpid().as_raw(),
    };
    assert_eq!((server, client), (me, me));
    drop(listener);
    assert!(!path.exists(), "its name goes with it");
    assert_eq!(dial_local(&path, &LocalPolicy::Own).unwrap_err(), LocalError::Nobody(path.clone()));
    let open = LocalListener::bind(&path, LocalPolicy::Everyone).unwrap();
    assert_eq!(mode_of(&path), 0o666);
    assert!(!tmp.path().join("s.new").exists());
    drop(open);
}

#[test]
fn a_dead_ones_socket_is_replaced_and_a_living_ones_is_not() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    // What kill -9 leaves: both names, and no lock.
    drop(UnixListener::bind(&path).unwrap());
    drop(UnixListener::bind(tmp.path().join("s.new")).unwrap());
    assert!(path.exists());
    let listener = LocalListener::bind(&path, LocalPolicy::Own).unwrap();
    let error = LocalListener::bind(&path, LocalPolicy::Own).unwrap_err();
    assert_eq!(error, LocalError::InUse(path.clone()));
    dial_local(&path, &LocalPolicy::Own).unwrap();
    assert!(listener.accept().unwrap().is_some());
    // Somebody's else socket under the name is not removed.
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
    drop(other);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("s");
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(
        LocalListener::bind(&path, LocalPolicy::Own).unwrap_err(),
        LocalError::NotSocket(path.clone())
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    symlink("elsewhere", &path).unwrap();
    assert_eq!(LocalListener::bind(&path, LocalPolicy::Own).unwrap_err(), LocalError::NotSocket(path));
}

#[test]
fn a_directory_that_others_may_write_or_that_is_a_link_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    symlink("d", tmp.path().join("l")).unwrap();
    let error = LocalListener::bind(&tmp.path().join("l/s"), LocalPolicy::Own).unwrap_err();
    assert_eq!(error, LocalError::Link(tmp.path().join("l")));
    for mode in [0o777, 0o1777, 0o770] {
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = LocalListener::bind(&dir.join("s"), LocalPolicy::Own).unwrap_err();
        assert!(matches!(&error, LocalError::Guard(GuardError::Mode { .. })), "{error}");
    }
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(tmp.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = LocalListener::bind(&dir.join("s"), LocalPolicy::Own).unwrap_err();
    assert!(error.to_string().contains("others may put sockets of theirs into it"), "{error}");
    std::fs::set_permissions(tmp.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    LocalListener::bind(&dir.join("s"), LocalPolicy::Own).unwrap();
}

#[test]
fn a_path_that_is_too_long_says_so() {
    let tmp = tempfile::tempdir().unwrap();
    let long = tmp.path().join("x".repeat(PATH_BYTES_MAX));
    let error = LocalListener::bind(&long, LocalPolicy::Own).unwrap_err();
    assert!(matches!(error, LocalError::TooLong { .. }));
    assert!(matches!(dial_local(&long, &LocalPolicy::Own), Err(LocalError::TooLong { .. })));
    let room = PATH_BYTES_MAX - tmp.path().as_os_str().len() - 1;
    let most = tmp.path().join("x".repeat(room));
    LocalListener::bind(&most, LocalPolicy::Own).unwrap();
}

#[test]
fn the_policy_is_a_table() {
    let me = geteuid().as_raw();
    for (policy, uid, allowed) in [
        (LocalPolicy::Own, 0, true),
        (LocalPolicy::Own, me, true),
        (LocalPolicy::Own, me + 1, false),
        (LocalPolicy::Listed(vec![me + 1]), me + 1, true),
        (LocalPolicy::Listed(vec![me + 1]), me + 2, false),
        (LocalPolicy::Listed(vec![]), 0, true),
        (LocalPolicy::Everyone, me + 7, true),
        (LocalPolicy::Everyone, OVERFLOW_UID, false),
        (LocalPolicy::Everyone, u32::MAX, false),
    ] {
        assert_eq!(policy.allows(uid), allowed, "{policy:?} {uid}");
    }
}

/// A real process of another user, as only root can make one.
#[test]
fn another_user_is_turned_away() {
    if !geteuid().is_root() {
        eprintln!("skipped without root: a client of another user");
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    std::fs::set_permissions(tmp.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = tmp.path().join("s");
    let listener = LocalListener::bind(&path, LocalPolicy::Listed(vec![54_321])).unwrap();
    let connect_as = |uid: u32| {
        use std::os::unix::process::CommandExt as _;
        let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)";
        std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .uid(uid)
            .gid(uid)
            .stderr(std::process::Stdio::null())
            .spawn()
    };
    for (uid, allowed) in [(54_321, true), (12_345, false)] {
        let Ok(mut child) = connect_as(uid) else {
            eprintln!("skipped without python3: a client of another user");
            return;
        };
        let mut ready = [nix::poll::PollFd::new(listener.as_fd(), nix::poll::PollFlags::POLLIN)];
        let polled = nix::poll::poll(&mut ready, nix::poll::PollTimeout::from(30_000_u16)).unwrap();
        assert_eq!(polled, 1, "nobody connected");
        match listener.accept() {
            Ok(Some((_, found))) => assert!(allowed && found.uid == uid && found.pid == child.id() as i32),
            Err(LocalError::User { uid: found, .. }) => assert!(!allowed && found == uid),
            other => panic!("{other:?}"),
        }
        child.wait().unwrap();
    }
}
