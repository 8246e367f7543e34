//! Texts that stand for all nodes, with the node's own name in them: `%n` is its name, `%h` its host's, `%%` a `%`.

/// Whether a text has no other `%`.
pub(crate) fn is_good(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '%' && !matches!(chars.next(), Some('n' | 'h' | '%')) {
            return false;
        }
    }
    true
}

/// The text for one node.
pub(crate) fn filled(text: &str, name: &str, host: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => match chars.next() {
                Some('n') => out.push_str(name),
                Some('h') => out.push_str(host),
                Some(other) => out.push(other),
                None => out.push('%'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        assert_eq!(filled("/a/%n/%h%%x", "n1", "host"), "/a/n1/host%x");
        assert!(is_good("%n%h%%") && is_good("") && !is_good("%") && !is_good("%x") && !is_good("a%%%"));
    }
}
