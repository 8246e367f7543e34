//! The known word that was probably meant.

/// Words longer than this are nobody's slip.
const LEN_MAX: usize = 40;

/// The nearest of some words, if it is near: at most a third of its letters are changed, left out, added or swapped.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > LEN_MAX {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|other| (distance(&lower, other), other))
        .filter(|(far, other)| *far <= (other.len().max(lower.len()) / 3).max(1) && *far < other.len())
        .min()
        .map(|(_, other)| other)
}

/// How many letters must be changed, left out, added, or swapped with their neighbour (Damerau and Levenshtein's, of
/// strings that are not changed twice at one place).
fn distance(one: &str, other: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        let known = ["lease", "listen", "state", "jobs_max", "connections_max"];
        for (word, meant) in [
            ("leese", Some("lease")),
            ("laese", Some("lease")),
            ("Listen", Some("listen")),
            ("jobs-max", Some("jobs_max")),
            ("job_max", Some("jobs_max")),
            ("connection_max", Some("connections_max")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"lease".repeat(1000), known), None);
    }
}
