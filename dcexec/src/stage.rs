//! The steps by number, and what is told when one of them fails. Numbers are part of the reply's form: new ones are
//! added, none is changed.

use nix::errno::Errno;
use std::fmt;

macro_rules! stages {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// A step.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Stage {
            $(#[doc = $text] $name = $number,)*
        }

        impl Stage {
            /// All of them, in the order of a start.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The step of a number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|stage| *stage as u8 == number)
            }

            /// Its name for people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

stages! {
    Root = 1, "root's rights";
    Config = 2, "configuration";
    Caller = 3, "caller";
    Request = 4, "request";
    Account = 5, "account";
    Starter = 6, "starter's file";
    Directory = 7, "job's directory";
    Surroundings = 8, "session, umask, keyring";
    Cgroup = 9, "control group";
    Limits = 10, "resource limits";
    Groups = 11, "setgroups";
    Gid = 12, "setresgid";
    Uid = 13, "setresuid";
    Verify = 14, "check of what was given up";
    Capabilities = 15, "capabilities";
    NoNewPrivs = 16, "no_new_privs";
    Descriptors = 17, "descriptors";
    Exec = 18, "exec";
    Kill = 19, "kill";
    Remove = 20, "remove";
    Open = 21, "open";
    Connect = 22, "connect";
}

/// Why nothing was done, or not all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// At which step.
    pub stage: Stage,
    /// The system's error; none where it is dc-exec that refuses.
    pub errno: Option<Errno>,
    /// What, where, what to do: one line.
    pub why: String,
}

impl Refused {
    /// By dc-exec's own rules.
    pub fn rule(stage: Stage, why: impl Into<String>) -> Self {
        Self { stage, errno: None, why: why.into() }
    }

    /// One line of printable ASCII, whatever was in a name.
    #[must_use]
    pub fn line(&self) -> String {
        let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
        self.to_string().chars().map(|c| if is_plain(&c) { c } else { '?' }).collect()
    }

    /// By the system; for `map_err`.
    pub fn by(stage: Stage, what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { stage, errno: Some(errno), why: what.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage.text(), self.why)?;
        match self.errno {
            Some(errno) => write!(f, ": {}", errno.desc()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_go_both_ways() {
        for (at, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(*stage as usize, at + 1);
            assert_eq!(Stage::from_number(*stage as u8), Some(*stage));
        }
        assert_eq!(Stage::from_number(0), None);
        assert_eq!(Stage::from_number(255), None);
    }
}
