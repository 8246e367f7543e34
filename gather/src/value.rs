//! Single values as the bytes of a dtype: NumPy's name for it, its nearest f64, an exact integer in it.

use crate::Dtype;

/// NumPy's type string, such as `<f8`; a single byte has no order.
pub(crate) fn descr(dtype: Dtype) -> String {
    format!("{}{dtype}", if dtype.bytes() == 1 { '|' } else { '<' })
}

/// The dtype of a NumPy type string; none for what results never hold (big-endian, complex, text …).
pub(crate) fn from_descr(text: &str) -> Option<Dtype> {
    Dtype::ALL.into_iter().find(|dtype| descr(*dtype) == text)
}

/// The f64 nearest to a value; `bytes` are the value's own, and 0 stands for what is missing of them.
#[must_use]
pub fn to_f64(dtype: Dtype, bytes: &[u8]) -> f64 {
    let bits = u64::from_le_bytes(padded(bytes));
    match dtype {
        Dtype::U1 | Dtype::U2 | Dtype::U4 | Dtype::U8 => bits as f64,
        Dtype::I1 => f64::from(bits as u8 as i8),
        Dtype::I2 => f64::from(bits as u16 as i16),
        Dtype::I4 => f64::from(bits as u32 as i32),
        Dtype::I8 => bits as i64 as f64,
        Dtype::F4 => f64::from(f32::from_bits(bits as u32)),
        Dtype::F8 => f64::from_bits(bits),
    }
}

/// A value's bytes, then zeros up to eight.
pub(crate) type Padded = [u8; 8];

/// The bytes of an integer, if the dtype can hold exactly that.
#[must_use]
pub(crate) fn exact(dtype: Dtype, number: i128) -> Option<Padded> {
    // Two's complement: the low bytes are the value's in every width that holds it.
    let low = (number as u64).to_le_bytes();
    let bits = dtype.bytes() * 8;
    match dtype {
        Dtype::F4 => {
            let near = number as f32;
            (near.is_finite() && near as i128 == number).then(|| padded(&near.to_le_bytes()))
        }
        Dtype::F8 => {
            let near = number as f64;
            (near as i128 == number).then(|| near.to_le_bytes())
        }
        Dtype::U1 | Dtype::U2 | Dtype::U4 | Dtype::U8 => {
            (0..1 << bits).contains(&number).then(|| padded(&low[..dtype.bytes()]))
        }
        Dtype::I1 | Dtype::I2 | Dtype::I4 | Dtype::I8 => {
            let half = 1i128 << (bits - 1);
            (-half..half).contains(&number).then(|| padded(&low[..dtype.bytes()]))
        }
    }
}

pub(crate) fn padded(bytes: &[u8]) -> Padded {
    let mut all = [0; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

/// Whether the dtype holds 0, 1, 2 … `last` without a gap.
pub(crate) fn holds_all_up_to(dtype: Dtype, last: i128) -> bool {
    let gapless_max = match dtype {
        Dtype::F4 => 1 << 24,
        Dtype::F8 => 1 << 53,
        _ => i128::MAX,
    };
    last <= gapless_max && exact(dtype, last).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpy_names() {
        assert_eq!(descr(Dtype::U1), "|u1");
        assert_eq!(descr(Dtype::F8), "<f8");
        for dtype in Dtype::ALL {
            assert_eq!(from_descr(&descr(dtype)), Some(dtype));
        }
        for other in [">f8", "f8", "<c16", "|b1", "<u1", "=f8", ""] {
            assert_eq!(from_descr(other), None, "{other}");
        }
    }

    #[test]
    fn gaps_are_known() {
        assert!(holds_all_up_to(Dtype::U1, 255) && !holds_all_up_to(Dtype::U1, 256));
        assert!(holds_all_up_to(Dtype::F4, 1 << 24) && !holds_all_up_to(Dtype::F4, 1 << 25));
        assert!(holds_all_up_to(Dtype::F8, 1 << 53) && !holds_all_up_to(Dtype::F8, 1 << 60));
    }

    #[test]
    fn integers_fit_exactly_or_not_at_all() {
        for dtype in Dtype::ALL {
            for number in [0, 1, 127, -1, -128, 255, 256, 65_537, 1 << 24, (1 << 24) + 1, (1 << 53) + 1] {
                if let Some(bytes) = exact(dtype, number) {
                    assert!(bytes[dtype.bytes()..].iter().all(|b| *b == 0));
                    assert_eq!(to_f64(dtype, &bytes), number as f64, "{number} as {dtype}");
                }
            }
        }
        assert_eq!(exact(Dtype::U1, 256), None);
        assert_eq!(exact(Dtype::U1, -1), None);
        assert_eq!(exact(Dtype::I1, -128), Some([0x80, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(exact(Dtype::F4, 1 << 24), Some(padded(&16_777_216f32.to_le_bytes())));
        assert_eq!(exact(Dtype::F4, (1 << 24) + 1), None);
        assert_eq!(exact(Dtype::F8, (1 << 53) + 1), None);
        assert_eq!(exact(Dtype::I8, i128::from(i64::MAX)), Some(i64::MAX.to_le_bytes()));
        assert_eq!(exact(Dtype::I8, i128::from(i64::MAX) + 1), None);
    }
}
