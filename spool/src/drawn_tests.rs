//! Bytes as docs/spool-format.md draws them: each drawing follows a comment that names it.

const PAGE: &str = include_str!("../../docs/spool-format.md");

/// The bytes of the drawing called `name`.
pub(crate) fn drawn(name: &str) -> Vec<u8> {
    let marker = format!("<!-- {name} bytes, held to the code by a test -->");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page draws no {name}"));
    let lines = after.lines().skip(2).take_while(|line| line.starts_with("    "));
    lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
