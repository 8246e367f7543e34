//! File names with holes in them, such as `out.%4T`: read once, filled for each rank. The letters are Slurm's, and `%T`
//! is the subtask.

use crate::{Rank, SubtaskId};
use thiserror::Error;

/// The most digits a number is padded to; more that are asked for count as so many.
pub const WIDTH_MAX: usize = 10;
/// The step that `%s` and `%J` name: a job of one machine is one step.
const STEP: u64 = 0;

/// What stands in a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hole {
    Rank,
    Subtask,
    Step,
    Job,
    JobAndStep,
    Name,
    Node,
    Host,
    User,
}

/// The letters, what each stands for in words, and its hole.
const LETTERS: [(u8, Hole); 9] = [
    (b't', Hole::Rank),
    (b'T', Hole::Subtask),
    (b's', Hole::Step),
    (b'j', Hole::Job),
    (b'J', Hole::JobAndStep),
    (b'x', Hole::Name),
    (b'n', Hole::Node),
    (b'N', Hole::Host),
    (b'u', Hole::User),
];

/// What can be wrong with a pattern as it is typed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PatternError {
    /// A letter that stands for nothing.
    #[error(
        "%{} stands for nothing; use %t (rank), %T (subtask), %s (step), %j (job), %J (job.step), %x (job's name), \
         %n (node), %N (host), %u (user) or %%", letter.escape_default()
    )]
    Unknown {
        /// The letter.
        letter: char,
    },
    /// A percent sign at the end.
    #[error("it ends with %; write %% for a percent sign")]
    Open,
    /// No name at all, or that of a directory.
    #[error("it names no file")]
    NoFile,
    /// A zero byte, which no name may have.
    #[error("it holds a zero byte")]
    Zero,
}

/// A value that no file name may hold.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("%{letter} would put {} into a file's name", value.escape_debug())]
pub struct Unfit {
    /// The letter whose value it is.
    pub letter: char,
    /// The value.
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Vec<u8>),
    Hole { hole: Hole, letter: u8, width: usize },
}

/// A file name with holes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// What is the same for all ranks of a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// The job's number.
    pub job: u64,
    /// The job's name.
    pub name: Vec<u8>,
    /// The user's.
    pub user: Vec<u8>,
    /// The host's, without its domain.
    pub host: Vec<u8>,
    /// The node's index within the job.
    pub node: u32,
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// When a letter stands for nothing, or it cannot name a file.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        if text.is_empty() || text.ends_with(b"/") {
            return Err(PatternError::NoFile);
        }
        if text.contains(&0) {
            return Err(PatternError::Zero);
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if *byte != b'%' {
                literal.push(*byte);
                continue;
            }
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (width, after) = rest.split_at(digits);
            let (letter, after) = after.split_first().ok_or(PatternError::Open)?;
            rest = after;
            if *letter == b'%' && digits == 0 {
                literal.push(b'%');
                continue;
            }
            let known = LETTERS.iter().find(|(known, _)| known == letter);
            let (_, hole) = known.ok_or(PatternError::Unknown { letter: char::from(*letter) })?;
            // Digits only: what does not fit into a number is above the most anyway.
            let width = std::str::from_utf8(width).ok().map_or(0, |digits| match digits {
                "" => 0,
                digits => digits.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX),
            });
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Hole { hole: *hole, letter: *letter, width });
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    fn has(&self, wanted: Hole) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole { hole, .. } if *hole == wanted))
    }

    /// Whether each subtask has a file of its own.
    #[must_use]
    pub fn has_subtask(&self) -> bool {
        self.has(Hole::Subtask)
    }

    /// Whether each rank has a file of its own.
    #[must_use]
    pub fn has_rank(&self) -> bool {
        self.has(Hole::Rank)
    }

    /// Whether the user's name is wanted.
    #[must_use]
    pub fn has_user(&self) -> bool {
        self.has(Hole::User)
    }

    /// The file's name.
    ///
    /// # Errors
    /// When a value has a byte that would make another path of it.
    pub fn fill(&self, names: &Names, rank: Rank, subtask: SubtaskId) -> Result<Vec<u8>, Unfit> {
        let mut out = Vec::new();
        for part in &self.parts {
            let (hole, letter, width) = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Part::Hole { hole, letter, width } => (*hole, *letter, *width),
            };
            let number = match hole {
                Hole::Rank => Some(u64::from(rank.0)),
                Hole::Subtask => Some(u64::from(subtask.0)),
                Hole::Step => Some(STEP),
                Hole::Job => Some(names.job),
                Hole::Node => Some(u64::from(names.node)),
                Hole::JobAndStep | Hole::Name | Hole::Host | Hole::User => None,
            };
            if let Some(number) = number {
                out.extend_from_slice(format!("{number:0width$}").as_bytes());
                continue;
            }
            let both = format!("{}.{STEP}", names.job);
            let value = match hole {
                Hole::Name => &names.name,
                Hole::Host => &names.host,
                Hole::User => &names.user,
                _ => both.as_bytes(),
            };
            if value.iter().any(|byte| matches!(byte, b'/' | 0)) {
                let value = String::from_utf8_lossy(value).into_owned();
                return Err(Unfit { letter: char::from(letter), value });
            }
            out.extend_from_slice(value);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { job: 42, name: b"ocean".to_vec(), user: b"ada".to_vec(), host: b"n1".to_vec(), node: 0 }
    }

    fn filled(text: &str) -> String {
        let pattern = Pattern::parse(text.as_bytes()).unwrap();
        String::from_utf8(pattern.fill(&names(), Rank(3), SubtaskId(17)).unwrap()).unwrap()
    }

    #[test]
    fn each_letter_has_its_value() {
        assert_eq!(filled("%t %T %s %j %J %x %n %N %u %%"), "3 17 0 42 42.0 ocean 0 n1 ada %");
        assert_eq!(filled("plain"), "plain");
        assert_eq!(filled("a/%x-%j/out.%t"), "a/ocean-42/out.3");
    }

    #[test]
    fn numbers_are_padded_and_names_are_not() {
        assert_eq!(filled("%4t"), "0003");
        assert_eq!(filled("%2T %1T %04T"), "17 17 0017");
        assert_eq!(filled("%99t"), "0000000003", "at most ten");
        assert_eq!(filled("%99999999999999999999999t"), "0000000003");
        assert_eq!(filled("%9x %9N %9u %9J"), "ocean n1 ada 42.0");
        assert_eq!(filled("%4t%%%4T"), "0003%0017");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let error = |text: &str| Pattern::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error("out.%q"), PatternError::Unknown { letter: 'q' });
        assert!(error("%A").to_string().contains("%T (subtask)"));
        assert!(error("%4%").to_string().starts_with("%% stands for nothing"));
        assert_eq!(error("out%"), PatternError::Open);
        assert_eq!(error("out%4"), PatternError::Open);
        assert_eq!(error(""), PatternError::NoFile);
        assert_eq!(error("dir/"), PatternError::NoFile);
        assert_eq!(error("a\0b"), PatternError::Zero);
        assert_eq!(Pattern::parse(b"%\xff").unwrap_err().to_string().split(' ').next(), Some("%\\u{ff}"));
    }

    #[test]
    fn a_value_makes_no_path() {
        let pattern = Pattern::parse(b"out.%u").unwrap();
        for user in ["a/b", "/", "a\0"] {
            let names = Names { user: user.as_bytes().to_vec(), ..names() };
            let error = pattern.fill(&names, Rank(0), SubtaskId(0)).unwrap_err();
            assert_eq!(error.letter, 'u');
        }
    }

    #[test]
    fn whose_file_it_is() {
        let of = |text: &str| Pattern::parse(text.as_bytes()).unwrap();
        assert!(of("%T").has_subtask() && !of("%t").has_subtask() && of("%3t").has_rank());
        assert!(!of("%%T").has_subtask() && of("%u").has_user());
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        proptest::proptest!(|(text: Vec<u8>)| {
            if let Ok(pattern) = Pattern::parse(&text) {
                let name = pattern.fill(&names(), Rank(1), SubtaskId(2)).unwrap();
                assert!(!name.contains(&0));
            }
        });
    }
}
