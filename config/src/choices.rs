//! Values that are one of a few words, or one of a few forms.

use crate::place::HostPort;
use dc_link::Name;

/// Words, each with what it means.
pub trait Choice: Copy + PartialEq + std::fmt::Debug + 'static {
    /// All of them, in the order in which they are told.
    const ALL: &'static [(&'static str, Self)];
}

/// Which users of the scheduler's host may connect to its socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Users {
    /// The scheduler's own, and root.
    Own,
    /// Everybody.
    Everyone,
}

impl Choice for Users {
    const ALL: &'static [(&'static str, Self)] = &[("own", Self::Own), ("everyone", Self::Everyone)];
}

/// How all that a rank has started is found and killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kill {
    /// The best that the host has.
    Auto,
    /// By a control group of version 2.
    Cgroup2,
    /// By a control group of version 1.
    Cgroup1,
    /// As descendants of the starter.
    Subreaper,
}

impl Choice for Kill {
    const ALL: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("cgroup2", Self::Cgroup2),
        ("cgroup1", Self::Cgroup1),
        ("subreaper", Self::Subreaper),
    ];
}

/// Where checkpoints are, so that a lost node's subtasks go on elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// On the node alone: a lost node's subtasks begin anew.
    Local,
    /// In a directory that all nodes see.
    Shared,
    /// On the node, with a copy on its partner.
    Partner,
}

impl Choice for Keep {
    const ALL: &'static [(&'static str, Self)] =
        &[("local", Self::Local), ("shared", Self::Shared), ("partner", Self::Partner)];
}

/// Who keeps the copies of a node's checkpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Partner {
    /// The scheduler chooses.
    Auto,
    /// Nobody.
    None,
    /// This node.
    Named(Name),
}

/// Where a node's cores come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topology {
    /// The host as it is.
    Auto,
    /// A description in hwloc's synthetic form: bindings are planned and recorded, and not applied.
    Synthetic(String),
}

/// Through what streams go where a client cannot reach a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Relay {
    /// Nothing: that is an error.
    None,
    /// A relay at this address.
    At(HostPort),
}
