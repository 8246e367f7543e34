//! Bytes and tables as docs/spool-format.md draws them: each follows a comment that names it.

const PAGE: &str = include_str!("../../docs/spool-format.md");

/// The bytes of the drawing called `name`.
pub(crate) fn drawn(name: &str) -> Vec<u8> {
    let marker = format!("<!-- {name} bytes, held to the code by a test -->");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page draws no {name}"));
    let lines = after.lines().skip(2).take_while(|line| line.starts_with("    "));
    lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// The rows of the table called `name`, without its head; cells as they are written.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let marker = format!("<!-- {name} table, held to the code by a test -->");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page has no table of {name}"));
    let lines = after.lines().skip_while(|line| line.is_empty()).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = lines.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "the table of {name} has rows");
    rows
}

/// How many bytes a field of this type takes.
pub(crate) fn type_bytes(text: &str) -> usize {
    match text {
        "u8" => 1,
        "u16" => 2,
        "u32" | "i32" => 4,
        "u64" => 8,
        "POINT" => 16,
        other => other.strip_suffix(" bytes").and_then(|n| n.parse().ok()).unwrap_or(0),
    }
}

/// Fields of a table of `at`, type and what follow each other without gaps, from `first` up to `end`.
pub(crate) fn assert_without_gaps(name: &str, first: usize, end: usize) {
    let mut at = first;
    for row in table(name) {
        let Ok(drawn) = row[0].parse::<usize>() else { continue };
        assert_eq!(drawn, at, "{name}: {}", row[2]);
        at += type_bytes(&row[1]);
    }
    assert_eq!(at, end, "{name} ends there");
}
