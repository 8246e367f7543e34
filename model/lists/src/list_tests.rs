use super::*;
use proptest::prelude::*;

fn subtask(name: &str, cells: u64, cores: u32, args: &[&str]) -> Subtask {
    let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    Subtask { name: Some(name.into()), args, ..Subtask::plain(cells, cores) }
}

fn message(bytes: &[u8]) -> String {
    read(bytes, 1).unwrap_err().to_string()
}

#[test]
fn lines_are_read() {
    let text = b"\xef\xbb\xbf# name cells cores args\r\n\
        \r\n\
        basin-1 1200\r\n\
        \tbasin.2   0 4 --depth 12 # deep\n\
        c 7 input.nc 3\n\
        d 8 2 3\n\
        e 9 \"3\" 'a b'\"#c\"d'' '' x#y\n\
        f 18446744073709550391 01";
    let wanted = [
        subtask("basin-1", 1200, 2, &[]),
        subtask("basin.2", 0, 4, &["--depth", "12"]),
        subtask("c", 7, 2, &["input.nc", "3"]),
        subtask("d", 8, 2, &["3"]),
        subtask("e", 9, 2, &["3", "a b#cd", "", "x#y"]),
        subtask("f", 18_446_744_073_709_550_391, 1, &[]),
    ];
    assert_eq!(read(text, 2).unwrap(), wanted);
    assert_eq!(read(b"a 1", 0).unwrap(), [subtask("a", 1, 1, &[])]);
}

#[test]
fn arguments_are_bytes() {
    let list = read(b"a 1 \xff\xfe 'it says \"so\"' back\\slash", 1).unwrap();
    let wanted: [&[u8]; 3] = [b"\xff\xfe", b"it says \"so\"", b"back\\slash"];
    assert_eq!(list[0].args, wanted);
}

#[test]
fn every_fault_has_its_own_message() {
    let long = "x".repeat(65);
    let longer = "y".repeat(1000);
    let not_a_name = "is not a name: 1 to 64 of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'";
    let cases = [
        (String::new(), "the list has no subtasks; a line is: name cells [cores] [arguments]".into()),
        ("# a 1\n\n  \n".into(), "the list has no subtasks; a line is: name cells [cores] [arguments]".into()),
        ("a 1\nb 2\0\n".into(), "line 2: a NUL byte in column 4; this is not a text file".into()),
        ("a 1 'x\n".into(), "line 1: the quote in column 5 is not closed on this line".into()),
        ("a 1 x\"y z\nb 2 \"\n".into(), "line 1: the quote in column 6 is not closed on this line".into()),
        ("\n../etc 1\n".into(), format!("line 2: \"../etc\" {not_a_name}")),
        ("-n 1\n".into(), format!("line 1: \"-n\" {not_a_name}")),
        ("\x1b[31m 1\n".into(), format!("line 1: \"\\x1b[31m\" {not_a_name}")),
        ("\"a\" 1\n".into(), format!("line 1: \"\\\"a\\\"\" {not_a_name}")),
        (format!("{long} 1\n"), format!("line 1: \"{long}\" {not_a_name}")),
        (format!("{longer} 1\n"), format!("line 1: \"{}…\" {not_a_name}", "y".repeat(65))),
        ("a 1\nb 1\n\na 2".into(), "line 4: a is the name of line 1 already; names are unique".into()),
        ("a".into(), "line 1: a has no cells; a line is: name cells [cores] [arguments]".into()),
        ("a # 5".into(), "line 1: a has no cells; a line is: name cells [cores] [arguments]".into()),
        ("a -5".into(), "line 1: a (column 3): its cells are negative: \"-5\"".into()),
        ("a  1e6".into(), "line 1: a (column 4): its cells are not a whole number: \"1e6\"".into()),
        ("a 1.5".into(), "line 1: a (column 3): its cells are not a whole number: \"1.5\"".into()),
        ("a +1".into(), "line 1: a (column 3): its cells are not a whole number: \"+1\"".into()),
        ("a -x".into(), "line 1: a (column 3): its cells are not a whole number: \"-x\"".into()),
        ("a \x1b".into(), "line 1: a (column 3): its cells are not a whole number: \"\\x1b\"".into()),
        (
            "a 18446744073709551616".into(),
            "line 1: a (column 3): its cells are above 18446744073709551615: \"18446744073709551616\"".into(),
        ),
        (
            "a 18446744073709551615\nb 1".into(),
            "line 2: with b the cells of all subtasks are above 18446744073709551615".into(),
        ),
        (
            "a 1 0".into(),
            "line 1: a (column 5): it needs at least 1 core (an argument that is a number is quoted)".into(),
        ),
        (
            "a 1 4294967296".into(),
            "line 1: a (column 5): \"4294967296\" is no number of cores (an argument that is a number is quoted)".into(),
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(message(text.as_bytes()), wanted, "{text:?}");
    }
}

#[test]
fn names_are_safe_everywhere() {
    assert!(is_name(b"a") && is_name(b"_-.9") && is_name(&[b'z'; 64]));
    for bad in [b"".as_slice(), b".", b"..", b".a", b"-a", b"a/b", b"a b", b"\xc3\xa4", b"a\n", &[b'z'; 65]] {
        assert!(!is_name(bad), "{}", bad.escape_ascii());
    }
}

proptest! {
    #[test]
    fn reads_what_was_quoted(
        lines in prop::collection::btree_map("[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", (
            0u64..1 << 40,
            1u32..100,
            prop::collection::vec("[^\\x00\n\r']{0,12}", 0..4),
        ), 1..20),
    ) {
        let mut text = String::new();
        let mut wanted = Vec::new();
        for (name, (cells, cores, args)) in &lines {
            let quoted: String = args.iter().map(|arg| format!(" '{arg}'")).collect();
            text += &format!("{name} {cells}\t{cores}{quoted}\n");
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            wanted.push(subtask(name, *cells, *cores, &args));
        }
        prop_assert_eq!(read(text.as_bytes(), 1).unwrap(), wanted);
    }

    /// Whatever the bytes: an answer or an error, and no control character in its message.
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![
        prop::sample::select(b"a1 \t\n\r#'\"-0".as_slice()), any::<u8>(),
    ], 0..80)) {
        match read(&bytes, 1) {
            Ok(list) => prop_assert!(!list.is_empty() && list.iter().all(|s| s.cores >= 1)),
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
}
