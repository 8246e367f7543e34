//! Which rows are wanted: words of an option, checked against what there is.

use super::Failed;
use dc_model::hostlist;
use dc_spool::files::shown;
use nix::unistd::{Uid, User, getuid};
use std::collections::BTreeSet;

/// The most hosts that an option names.
const HOSTS_MAX: usize = 65_536;

/// Hosts of lists such as `n[1-4],n9`.
pub(super) fn hosts<'a>(lists: impl IntoIterator<Item = &'a String>) -> Result<Vec<String>, Failed> {
    let mut names = Vec::new();
    for list in lists {
        let found = hostlist::parse(list, HOSTS_MAX)
            .map_err(|error| Failed::Usage(format!("{}: {error}", shown(list))))?;
        names.extend(found);
    }
    Ok(names)
}

/// The words of a list with commas, each one of `known`; `kind` is for messages.
pub(super) fn words(given: &str, kind: &str, known: &[&str]) -> Result<BTreeSet<String>, Failed> {
    let mut found = BTreeSet::new();
    for word in given.split(',').filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        if !known.contains(&lower.as_str()) {
            return Err(Failed::Usage(format!(
                "{} is no state of a {kind}; there are: {}",
                shown(word),
                known.join(", ")
            )));
        }
        found.insert(lower);
    }
    Ok(found)
}

/// Users by name or number, with commas between.
pub(super) fn users(given: Option<&str>, me: bool) -> Result<Option<BTreeSet<u32>>, Failed> {
    if given.is_none() && !me {
        return Ok(None);
    }
    let mut uids: BTreeSet<u32> = me.then(|| getuid().as_raw()).into_iter().collect();
    for name in given.unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
        let uid = match (User::from_name(name), name.parse()) {
            (Ok(Some(user)), _) => user.uid.as_raw(),
            (_, Ok(number)) => number,
            _ => return Err(Failed::Usage(format!("no user is called {}", shown(name)))),
        };
        uids.insert(uid);
    }
    Ok(Some(uids))
}

/// A user's name, where there is one.
pub(super) fn user_name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Job numbers, with commas between.
pub(super) fn jobs(given: &str) -> Result<Vec<u64>, Failed> {
    let words = given.split(',').filter(|word| !word.is_empty());
    words.map(job).collect()
}

/// A job's number.
pub(super) fn job(given: &str) -> Result<u64, Failed> {
    given.parse().map_err(|_| Failed::Usage(format!("{} is no job's number", shown(given))))
}

/// For order: `n2` before `n10`.
pub(super) fn natural(name: &str) -> Vec<(String, u64, String)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let word_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        let digits_end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(digits_end);
        key.push((word.to_owned(), digits.parse().unwrap_or(u64::MAX), digits.to_owned()));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = ["n10", "n2", "a", "n2b", "n02", "n1"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "n1", "n02", "n2", "n2b", "n10"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |failed: Failed| match failed {
            Failed::Usage(text) => text,
            _ => String::new(),
        };
        assert!(told(words("up,broken", "node", &["up", "lost"]).unwrap_err()).contains("broken"));
        assert!(told(users(Some("no-such-user-here"), false).unwrap_err()).contains("no-such-user-here"));
        assert!(told(jobs("1,x").unwrap_err()).starts_with("x "));
        assert_eq!(hosts(&["n[1-2],m".to_owned()]).unwrap(), ["n1", "n2", "m"]);
        assert_eq!(users(None, false).unwrap(), None);
        assert_eq!(users(Some("0,4294967294"), false).unwrap().unwrap().len(), 2);
    }
}
