//! A ratio in millionths: what balance and efficiency are shown as.

use std::fmt;

const ONE_PPM: u64 = 1_000_000;

/// A ratio of two amounts, rounded to a millionth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ratio {
    /// It, in millionths.
    pub ppm: u64,
}

impl Ratio {
    /// 1.
    pub const ONE: Self = Self { ppm: ONE_PPM };

    /// `part / whole`; 1 where there is no whole.
    #[must_use]
    pub fn of(part: u128, whole: u128) -> Self {
        if whole == 0 {
            return Self::ONE;
        }
        // Beyond 100 bits the lowest ones do not show in a millionth.
        let shift = 28u32.saturating_sub(part.max(whole).leading_zeros());
        let (part, whole) = (part >> shift, (whole >> shift).max(1));
        let ppm = (part * u128::from(ONE_PPM) + whole / 2) / whole;
        Self { ppm: u64::try_from(ppm).unwrap_or(u64::MAX) }
    }

    /// For those who want a float to show; decisions are made with integers.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.ppm as f64 / ONE_PPM as f64
    }

    /// As a percentage with one digit after the point, for people.
    #[must_use]
    pub fn percent(self) -> String {
        let tenths = self.ppm.saturating_add(500) / 1000;
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

impl fmt::Display for Ratio {
    /// With three digits after the point, or as many as the precision asks for, up to 6.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3).min(6);
        let step = (digits..6).fold(1u64, |step, _| step * 10);
        let scale = ONE_PPM / step;
        let rounded = self.ppm / step + u64::from(step > 1 && self.ppm % step >= step / 2);
        if digits == 0 {
            return write!(f, "{rounded}");
        }
        write!(f, "{}.{:0digits$}", rounded / scale, rounded % scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_with_as_many_digits_as_asked_for() {
        let ratio = Ratio::of(10_083_951, 10_000_000);
        assert_eq!(ratio.ppm, 1_008_395);
        assert_eq!(format!("{ratio} {ratio:.0} {ratio:.4} {ratio:.9}"), "1.008 1 1.0084 1.008395");
        assert_eq!(Ratio::of(1999, 2000).to_string(), "1.000");
        assert_eq!(Ratio::of(2, 3).percent(), "66.7 %");
        assert_eq!(Ratio::of(1, 1).percent(), "100.0 %");
        assert!((Ratio::of(1, 4).to_f64() - 0.25).abs() < 1e-9);
    }

    #[test]
    fn no_numbers_overflow() {
        assert_eq!(Ratio::of(0, 0), Ratio::ONE);
        assert_eq!(Ratio::of(u128::MAX, u128::MAX), Ratio::ONE);
        assert_eq!(Ratio::of(u128::MAX, 1).ppm, u64::MAX);
        assert_eq!(Ratio::of(1, u128::MAX).ppm, 0);
        assert_eq!(Ratio { ppm: u64::MAX }.to_string(), "18446744073709.552");
        assert_eq!(Ratio::of(u128::MAX / 3, u128::MAX).ppm, 333_333);
    }
}
