//! Base 32 of fixed length, as fingerprints, keys and tokens are written: lower case, RFC 4648's letters, no padding.
//! Reading is strict: each value has one spelling.

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// How many letters `bytes` bytes take.
pub(crate) const fn letters(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Appends `bytes` to `out`.
pub(crate) fn put(bytes: &[u8], out: &mut String) {
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(LETTERS[(bits >> held) as usize & 31]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(LETTERS[(bits << (5 - held)) as usize & 31]));
    }
}

/// Reads exactly `N` bytes; `None` for another length, another letter, or bits left over that are not 0.
pub(crate) fn get<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != letters(N) {
        return None;
    }
    let mut out = [0; N];
    let (mut bits, mut held, mut at) = (0_u32, 0_u32, 0);
    for letter in text {
        let value = match letter {
            b'a'..=b'z' => letter - b'a',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            *out.get_mut(at)? = (bits >> held) as u8;
            at += 1;
            bits &= (1 << held) - 1;
        }
    }
    (at == N && bits == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let mut text = String::new();
        put(b"foobar", &mut text);
        assert_eq!(text, "mzxw6ytboi", "the vector of RFC 4648, in lower case");
        assert_eq!(get::<6>(text.as_bytes()), Some(*b"foobar"));
        assert_eq!(get::<6>(b"MZXW6YTBOI"), None);
        assert_eq!(get::<6>(b"mzxw6ytboj"), None, "a bit that stands for nothing");
        assert_eq!(get::<6>(b"mzxw6ytbo"), None);
        assert_eq!(get::<6>(b"mzxw6ytbo1"), None);
        assert_eq!(get::<5>(b"mzxw6ytboi"), None);
    }
}
