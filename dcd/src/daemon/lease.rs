//! Until when the ranks of this node may run: a lease counts from the sending of the heartbeat that it answers, so that
//! a slow network can only make it shorter.

use std::collections::VecDeque;

/// Heartbeats without an answer that are remembered.
const SENT_MAX: usize = 64;

/// The node's lease.
#[derive(Debug, Default)]
pub struct Lease {
    /// The last heartbeat's number.
    number: u64,
    /// Heartbeats of this connection without an answer, and when each was sent, in ns of CLOCK_BOOTTIME.
    sent: VecDeque<(u64, u64)>,
    lease_ns: u64,
    until_ns: Option<u64>,
    /// When this node registered on this connection, in ns: the welcome gives the first lease from there.
    registered_ns: u64,
    /// When it was last known that the scheduler hears this node, in ns.
    heard_ns: u64,
}

impl Lease {
    /// This node registers.
    pub fn on_register(&mut self, now_ns: u64) {
        self.registered_ns = now_ns;
    }

    /// A scheduler has welcomed this node: what another one answers does not count. Gives the new end when it is later than
    /// the one before.
    pub fn on_welcome(&mut self, lease_ms: u64, now_ns: u64) -> Option<u64> {
        self.sent.clear();
        self.lease_ns = lease_ms.saturating_mul(1_000_000);
        self.heard_ns = now_ns;
        self.extend(self.registered_ns.saturating_add(self.lease_ns))
    }

    fn extend(&mut self, until: u64) -> Option<u64> {
        if self.until_ns.is_some_and(|before| before >= until) {
            return None;
        }
        self.until_ns = Some(until);
        Some(until)
    }

    /// A heartbeat goes out; gives its number.
    pub fn on_heartbeat(&mut self, now_ns: u64) -> u64 {
        self.number += 1;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.number, now_ns));
        self.number
    }

    /// A heartbeat was answered. Gives the new end when it is later than the one before.
    pub fn on_granted(&mut self, number: u64) -> Option<u64> {
        let at = self.sent.iter().position(|(sent, _)| *sent == number)?;
        let (_, sent_ns) = self.sent.get(at).copied()?;
        // Those before it are answered by this one too.
        self.sent.drain(..=at);
        self.heard_ns = self.heard_ns.max(sent_ns);
        self.extend(sent_ns.saturating_add(self.lease_ns))
    }

    /// The end, while it has not come.
    #[must_use]
    pub fn until_ns(&self, now_ns: u64) -> Option<u64> {
        self.until_ns.filter(|until| *until > now_ns)
    }

    /// When the connection is of no use any more: nothing was answered for a whole lease.
    #[must_use]
    pub fn silent_ns(&self) -> u64 {
        self.heard_ns.saturating_add(self.lease_ns.max(1_000_000_000))
    }

    /// A whole lease, in ns.
    #[must_use]
    pub fn lease_ns(&self) -> u64 {
        self.lease_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_sending() {
        let mut lease = Lease::default();
        lease.on_register(3);
        assert_eq!(lease.on_welcome(1000, 4), Some(1_000_000_003), "the first from the registration");
        let first = lease.on_heartbeat(5);
        let second = lease.on_heartbeat(300_000_000);
        assert_eq!(lease.on_granted(first), Some(1_000_000_005));
        assert_eq!(lease.on_granted(second), Some(1_300_000_000));
        assert_eq!(lease.on_granted(second), None, "once");
        assert_eq!(lease.on_granted(99), None, "never sent");
        assert_eq!(lease.until_ns(1_299_999_999), Some(1_300_000_000));
        assert_eq!(lease.until_ns(1_300_000_000), None);
    }

    #[test]
    fn what_another_scheduler_was_sent_is_not_answered_by_this_one() {
        let mut lease = Lease::default();
        lease.on_welcome(1000, 0);
        let number = lease.on_heartbeat(5);
        lease.on_welcome(1000, 10);
        assert_eq!(lease.on_granted(number), None);
        assert!(lease.on_heartbeat(20) > number, "numbers rise over connections");
    }

    #[test]
    fn a_shorter_lease_never_takes_back_what_was_granted() {
        let mut lease = Lease::default();
        lease.on_welcome(1000, 0);
        let number = lease.on_heartbeat(0);
        assert_eq!(lease.on_granted(number), None);
        lease.on_welcome(10, 0);
        let number = lease.on_heartbeat(100);
        assert_eq!(lease.on_granted(number), None);
        assert_eq!(lease.until_ns(100), Some(1_000_000_000));
    }
}
