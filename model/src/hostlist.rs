//! Lists of host names as Slurm writes them: `n1,n[001-008,12],rack[1-2]n[1-4]`. Text in, names out.

use thiserror::Error;

/// Why a text is no list of hosts.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HostListError {
    /// A name, a bracket or a range is missing or too much.
    #[error("not a list of hosts: wanted names such as n1,n[001-008,12]")]
    Form,
    /// A range counts down.
    #[error("the range {0}-{1} counts down")]
    Down(u64, u64),
    /// More names than are taken.
    #[error("these are more than {0} hosts")]
    TooMany(usize),
}

/// The names of a list, in its order, each as often as it stands there; at most `hosts_max`. Ranges keep their leading
/// zeros: `n[08-10]` is n08, n09, n10.
///
/// # Errors
/// Another form, or too many.
pub fn parse(text: &str, hosts_max: usize) -> Result<Vec<String>, HostListError> {
    let mut names = Vec::new();
    for part in split(text)? {
        names.extend(expand(part, hosts_max)?);
        if names.len() > hosts_max {
            return Err(HostListError::TooMany(hosts_max));
        }
    }
    Ok(names)
}

/// At the commas that stand outside of brackets.
fn split(text: &str) -> Result<Vec<&str>, HostListError> {
    let (mut parts, mut is_open, mut begin) = (Vec::new(), false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' if !is_open => is_open = true,
            ']' if is_open => is_open = false,
            '[' | ']' => return Err(HostListError::Form),
            ',' if !is_open => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            c if c.is_control() || c.is_whitespace() => return Err(HostListError::Form),
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    if is_open || parts.iter().any(|part| part.is_empty()) {
        return Err(HostListError::Form);
    }
    Ok(parts)
}

/// All names of one part, the last bracket counting fastest.
fn expand(part: &str, hosts_max: usize) -> Result<Vec<String>, HostListError> {
    let mut names = vec![String::new()];
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, after) = after.split_once(']').ok_or(HostListError::Form)?;
        let numbers = ranges(inside, hosts_max)?;
        if names.len().saturating_mul(numbers.len()) > hosts_max {
            return Err(HostListError::TooMany(hosts_max));
        }
        names = names
            .iter()
            .flat_map(|name| numbers.iter().map(move |number| format!("{name}{before}{number}")))
            .collect();
        rest = after;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// The numbers between brackets, with their leading zeros.
fn ranges(text: &str, hosts_max: usize) -> Result<Vec<String>, HostListError> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten().ok_or(HostListError::Form)
        };
        let (from, to, width) = (number(first)?, number(last)?, first.len());
        if to < from {
            return Err(HostListError::Down(from, to));
        }
        if to - from >= hosts_max.saturating_sub(out.len()) as u64 {
            return Err(HostListError::TooMany(hosts_max));
        }
        out.extend((from..=to).map(|number| format!("{number:0width$}")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, names) in [
            ("n1", &["n1"][..]),
            ("b,a,b", &["b", "a", "b"]),
            ("n[08-10,2]", &["n08", "n09", "n10", "n2"]),
            ("r[1-2]n[1-2]x,z", &["r1n1x", "r1n2x", "r2n1x", "r2n2x", "z"]),
            ("[1-2]", &["1", "2"]),
        ] {
            assert_eq!(parse(text, 100).unwrap(), names, "{text}");
        }
        for bad in [
            "", "a,", ",a", "a,,b", "n[", "n]", "n[]", "n[1", "n[1-]", "n[a]", "n[[1]]", "a b", "n[1-2-3]",
            "n[+1]",
        ] {
            assert_eq!(parse(bad, 100), Err(HostListError::Form), "{bad}");
        }
        assert_eq!(parse("n[3-1]", 100), Err(HostListError::Down(3, 1)));
    }

    #[test]
    fn bounded() {
        assert_eq!(parse("n[1-100]", 100).unwrap().len(), 100);
        for many in
            ["n[0-100]", "n[1-18446744073709551615]", "r[1-20]n[1-20]", "n[1-60],m[1-60]", "n[1-60,1-60]"]
        {
            assert_eq!(parse(many, 100), Err(HostListError::TooMany(100)), "{many}");
        }
        assert_eq!(parse("n1", 0), Err(HostListError::TooMany(0)));
    }
}
