//! How an attempt ended, and what is known of the result it left.

use crate::exit;
use std::fmt;

/// A stage between clone and exec, numbered for the wire and the journal.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The steps a child takes between clone and exec, and what is done for it beside them; the failing one is
        /// reported with its errno.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum LaunchStage { $($(#[$doc])* $name = $number,)* }

        impl LaunchStage {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// From its number on the wire or in the journal.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Whether another try may go better: not where the same file or the same input is missing a moment
            /// later.
            #[must_use]
            pub fn may_pass(self) -> bool {
                !matches!(self, Self::Exec | Self::Files | Self::Output | Self::Input | Self::Result)
            }

            /// What was being done, for messages: "cannot …".
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

stages! {
    /// Pipes for the rank's output.
    Pipes = 1, "make pipes for its output";
    /// clone(2) itself.
    Clone = 2, "create its process";
    /// A process group of its own.
    Group = 3, "put it into a process group of its own";
    /// PR_SET_PDEATHSIG.
    DeathSignal = 4, "tie its life to the starter's";
    /// CPU affinity.
    Affinity = 5, "bind it to its cores";
    /// Memory policy.
    Memory = 6, "set its memory policy";
    /// The working directory.
    Directory = 7, "enter its working directory";
    /// Standard streams.
    Streams = 8, "connect its streams";
    /// Signal dispositions and mask.
    Signals = 9, "reset its signals";
    /// execve(2).
    Exec = 10, "execute the kernel";
    /// Opening the files that its streams were to be; before clone(2).
    Files = 11, "open the files of its streams";
    /// Its output could not be written into its file. It ran, and what it said is not all there.
    Output = 12, "write its output";
    /// Its standard input, from the beginning.
    Input = 13, "be given its standard input again";
    /// Its output could not be made its result. It ran.
    Result = 14, "make its output its result";
    /// The launcher of its MPI.
    Launcher = 15, "get all ranks from the MPI launcher";
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it.
    Signalled(u8),
    /// The kernel killed it, or what it had started, for want of memory.
    OutOfMemory,
    /// It never ran, or was ended because its streams failed.
    NotLaunched {
        /// Where it failed.
        stage: LaunchStage,
        /// The errno there.
        errno: i32,
    },
}

impl Outcome {
    /// Exit status 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The status a shell would show: 128 + signal, 126 or 127 for what could not be executed.
    #[must_use]
    pub fn status(self) -> u8 {
        const ENOENT: i32 = 2;
        match self {
            Self::Exited(status) => status,
            Self::Signalled(signal) => exit::SIGNAL_BASE.saturating_add(signal),
            Self::OutOfMemory => exit::OUT_OF_MEMORY,
            Self::NotLaunched { stage: LaunchStage::Exec, errno: ENOENT } => exit::NOT_FOUND,
            Self::NotLaunched { stage: LaunchStage::Exec, .. } => exit::CANNOT_EXECUTE,
            Self::NotLaunched { .. } => exit::DC_ERROR,
        }
    }
}

/// What the user can do, where that is known. Errnos are Linux's.
fn remedy(stage: LaunchStage, errno: i32) -> Option<&'static str> {
    const EAGAIN: i32 = 11;
    const EMFILE: i32 = 24;
    match (stage, errno) {
        // A process or a thread that is one too many; a control group may say so too.
        (LaunchStage::Clone | LaunchStage::Pipes, EAGAIN) => Some("raise the limit on processes (ulimit -u)"),
        (_, EMFILE) => Some("raise the limit on open files (ulimit -n)"),
        _ => None,
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
            Self::NotLaunched { stage: LaunchStage::Input, .. } => {
                f.write_str("cannot be given its standard input from the beginning")
            }
            Self::OutOfMemory => write!(f, "out of memory"),
            Self::NotLaunched { stage, errno } => {
                write!(f, "cannot {}: {}", stage.text(), std::io::Error::from_raw_os_error(*errno))?;
                remedy(*stage, *errno).map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
            }
        }
    }
}

/// What the header of a committed result says: enough to know it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResultMeta {
    /// Payload length, in bytes.
    pub len: u64,
    /// CRC-32C of the payload.
    pub crc: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_keep_their_numbers() {
        for (i, stage) in LaunchStage::ALL.iter().enumerate() {
            assert_eq!(*stage as usize, i + 1);
            assert_eq!(LaunchStage::from_number(*stage as u8), Some(*stage));
        }
        assert_eq!(LaunchStage::from_number(0), None);
    }

    #[test]
    fn a_limit_that_is_reached_is_named() {
        let says = |stage, errno| Outcome::NotLaunched { stage, errno }.to_string();
        assert!(says(LaunchStage::Clone, 11).ends_with("; raise the limit on processes (ulimit -u)"));
        assert!(says(LaunchStage::Pipes, 24).ends_with("; raise the limit on open files (ulimit -n)"));
        assert!(!says(LaunchStage::Exec, 2).contains("raise"));
    }

    #[test]
    fn statuses_are_a_shells() {
        assert_eq!(Outcome::Exited(3).status(), 3);
        assert_eq!(Outcome::Signalled(9).status(), 137);
        assert_eq!(Outcome::OutOfMemory.status(), 253);
        assert_eq!(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 2 }.status(), 127);
        assert_eq!(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 13 }.status(), 126);
        assert_eq!(Outcome::NotLaunched { stage: LaunchStage::Clone, errno: 11 }.status(), 125);
    }
}
