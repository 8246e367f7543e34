//! Lists of subtasks: plain, CSV and JSON lines. The first byte says which.

use dc_lists::{Format, is_name, read_as};
use dc_model::Subtask;

pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let format = [Format::Plain, Format::Csv, Format::JsonLines][usize::from(how % 3)];
    let _ = Format::of(None, bytes);
    let Ok(subtasks) = read_as(format, bytes, u32::from(how / 3)) else { return };
    assert!(!subtasks.is_empty() && subtasks.len() <= bytes.len());
    let mut names: Vec<_> = subtasks.iter().filter_map(|subtask| subtask.name.as_deref()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name stands for one subtask");
    let mut plain = Vec::new();
    for subtask in &subtasks {
        assert!(subtask.cores > 0);
        assert!(subtask.args.iter().all(|arg| !arg.contains(&0)), "no argument holds a zero byte");
        assert!(subtask.name.as_deref().is_none_or(|name| is_name(name.as_bytes())));
        put(&mut plain, subtask);
    }
    let total = subtasks.iter().try_fold(0u64, |sum, subtask| sum.checked_add(subtask.cells));
    assert!(total.is_some(), "the sum of all cells is a number");
    // A plain list has one subtask a line, and a name for each.
    let fits = |subtask: &Subtask| {
        subtask.name.is_some() && !subtask.args.iter().any(|arg| arg.contains(&b'\n') || arg.contains(&b'\r'))
    };
    if subtasks.iter().all(fits) {
        let again = read_as(Format::Plain, &plain, 1);
        assert_eq!(again, Ok(subtasks), "{}", String::from_utf8_lossy(&plain));
    }
}

/// A subtask as a line of a plain list.
fn put(out: &mut Vec<u8>, subtask: &Subtask) {
    let name = subtask.name.as_deref().unwrap_or_default();
    out.extend(format!("{name} {} {}", subtask.cells, subtask.cores).bytes());
    for arg in &subtask.args {
        out.extend(b" ''");
        // A part without single quotes stands between single quotes, those stand between double ones.
        for piece in arg.split_inclusive(|byte| *byte == b'\'') {
            let (text, quote) = piece.strip_suffix(b"'").map_or((piece, &b""[..]), |text| (text, b"\"'\""));
            out.push(b'\'');
            out.extend(text);
            out.push(b'\'');
            out.extend(quote);
        }
    }
    out.push(b'\n');
}

pub fn seeds() -> Vec<Vec<u8>> {
    let lists: [(u8, &[u8]); 9] = [
        (0, b"north 100\nsouth 200 2 --fast 'a b' # comment\n\n# all\n"),
        (3, b"\xef\xbb\xbfa 0 \"7\" x\"y z\"'\"'\r\nb 18446744073709551615\n"),
        (1, b"name,cells,cores,args\na,1,2,-x 3\n\"b\",2,,\"-y \"\"q\"\"\"\n"),
        (1, b"cells,name\r\n5,x\r\n6,y\r\n"),
        (1, b"name;cells\na;1\n"),
        (2, b"{\"name\":\"a\",\"cells\":3}\n{\"name\":\"b\",\"cells\":4,\"cores\":2,\"args\":[\"-x\",\"y z\"]}\n"),
        (2, b"{\"cells\":1,\"name\":\"\\u0061\"}"),
        (0, b"a -1\n"),
        (0, b"a 1\na 2\n"),
    ];
    lists.iter().map(|(how, list)| [&[*how], *list].concat()).collect()
}
