//! dcrun's own words as bytes: each line with its prefix, and nothing in it that a terminal would obey.

use std::io::Write;

/// Before each line of dcrun's own.
pub const PREFIX: &str = "dcrun: ";

/// Appends the text as lines of dcrun's own, each whole.
pub fn append(out: &mut Vec<u8>, text: &str) {
    for line in text.lines() {
        out.extend_from_slice(PREFIX.as_bytes());
        append_escaped(out, line);
        out.push(b'\n');
    }
}

/// Appends text with its control characters written out.
fn append_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(is_obeyed) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut tail = tail.chars();
        out.extend(tail.next().iter().flat_map(|c| c.escape_default()).map(|c| c as u8));
        rest = tail.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Control characters, and those that turn the direction of what follows.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes the text to standard error at once: for before and after the console's time.
pub fn say(text: &str) {
    let mut bytes = Vec::with_capacity(text.len() + PREFIX.len() + 1);
    append(&mut bytes, text);
    // Nobody is left to be told that standard error cannot be written.
    let _ = std::io::stderr().write_all(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_prefix_and_no_control() {
        let mut out = Vec::new();
        append(&mut out, "one\n\u{1b}[2Jtwo ×\r\u{202e}x");
        assert_eq!(String::from_utf8(out).unwrap(), "dcrun: one\ndcrun: \\u{1b}[2Jtwo ×\\r\\u{202e}x\n");
    }
}
