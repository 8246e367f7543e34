//! Median and range of a few measurements.

use serde_json::{Value, json};

/// Measurements, sorted.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The middle one, or the mean of the two in the middle; NaN of none.
    pub fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        match (self.0.get(low), self.0.get(high)) {
            (Some(a), Some(b)) => (a + b) / 2.0,
            _ => f64::NAN,
        }
    }

    /// The value that so many of a hundred do not exceed; NaN of none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.0.len() as f64 * percent / 100.0).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Median and range with so many digits behind the point.
    pub fn shown(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.min(), self.max())
    }

    pub fn to_json(&self) -> Value {
        json!({ "median": self.median(), "min": self.min(), "max": self.max(), "repeats": self.0.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Sample::new(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Sample::new(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(Sample::new(vec![5.0]).shown(1), "5.0 (5.0 to 5.0)");
        assert!(Sample::new(vec![]).median().is_nan());
    }

    #[test]
    fn percentiles() {
        let hundred = Sample::new((1..=100).map(f64::from).collect());
        assert_eq!([0.0, 50.0, 99.0, 100.0].map(|p| hundred.percentile(p)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(Sample::new(vec![5.0]).percentile(99.0), 5.0);
        assert!(Sample::new(vec![]).percentile(99.0).is_nan());
    }
}
