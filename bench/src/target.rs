//! What a figure is to reach, and whether it did in this run. A miss is told and no failure: machines and their load differ.

use serde_json::{Value, json};

/// Which side of the limit is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    AtLeast,
    AtMost,
}

/// What was aimed at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Target {
    pub what: &'static str,
    pub bound: Bound,
    pub limit: f64,
}

impl Target {
    pub const fn at_least(what: &'static str, limit: f64) -> Self {
        Self { what, bound: Bound::AtLeast, limit }
    }

    pub const fn at_most(what: &'static str, limit: f64) -> Self {
        Self { what, bound: Bound::AtMost, limit }
    }

    /// Whether what was seen is on the good side. What could not be measured is on neither.
    pub fn is_met(&self, seen: f64) -> bool {
        match self.bound {
            Bound::AtLeast => seen >= self.limit,
            Bound::AtMost => seen <= self.limit,
        }
    }

    /// Prints what was seen beside the target, with so many digits behind the point, and gives it for the JSON object.
    pub fn judge(&self, seen: f64, digits: usize) -> Value {
        let (words, key) = match self.bound {
            Bound::AtLeast => ("at least", "at_least"),
            Bound::AtMost => ("at most", "at_most"),
        };
        let met = self.is_met(seen);
        let verdict = if met { "met" } else { "NOT MET in this run" };
        println!("  {}: {seen:.digits$}, {words} {}: {verdict}", self.what, self.limit);
        json!({ "what": self.what, "seen": seen, key: self.limit, "met": met })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_good_and_what_is_not_known_is_not() {
        let (least, most) = (Target::at_least("a", 0.8), Target::at_most("b", 0.8));
        assert!(least.is_met(0.8) && least.is_met(0.9) && !least.is_met(0.79));
        assert!(most.is_met(0.8) && most.is_met(0.7) && !most.is_met(0.81));
        assert!(!least.is_met(f64::NAN) && !most.is_met(f64::NAN));
        assert_eq!(most.judge(1.0, 1), json!({ "what": "b", "seen": 1.0, "at_most": 0.8, "met": false }));
    }
}
