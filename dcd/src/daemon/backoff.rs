//! How long to wait before dialling again: twice as long each time, between two bounds, and somewhere in the upper half of
//! that, so that a thousand nodes do not come back in one moment.

/// The first wait, in ns.
pub const FIRST_NS: u64 = 100_000_000;

/// The waits of one connection.
#[derive(Clone, Debug)]
pub struct Backoff {
    next_ns: u64,
    longest_ns: u64,
    random: u64,
}

impl Backoff {
    /// With a seed of its own for each node.
    #[must_use]
    pub fn new(seed: u64, longest_ns: u64) -> Self {
        Self { next_ns: FIRST_NS, longest_ns: longest_ns.max(FIRST_NS), random: seed }
    }

    /// How long to wait now, in ns.
    pub fn wait_ns(&mut self) -> u64 {
        let most = self.next_ns;
        self.next_ns = most.saturating_mul(2).min(self.longest_ns);
        // splitmix64: good enough to spread nodes.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let half = most / 2;
        half + (z ^ (z >> 31)) % half.max(1)
    }

    /// Another longest wait.
    pub fn set_longest_ns(&mut self, longest_ns: u64) {
        self.longest_ns = longest_ns.max(FIRST_NS);
        self.next_ns = self.next_ns.min(self.longest_ns);
    }

    /// The connection is of use: the next wait is the shortest again.
    pub fn on_success(&mut self) {
        self.next_ns = FIRST_NS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST_NS: u64 = 5_000_000_000;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(7, LONGEST_NS);
        let mut most = FIRST_NS;
        for _ in 0..20 {
            let wait = backoff.wait_ns();
            assert!(wait >= most / 2 && wait < most, "{wait} of {most}");
            most = (most * 2).min(LONGEST_NS);
        }
        backoff.on_success();
        assert!(backoff.wait_ns() < FIRST_NS);
    }

    #[test]
    fn nodes_wait_differently() {
        let waits: std::collections::BTreeSet<u64> =
            (0..100).map(|seed| Backoff::new(seed, LONGEST_NS).wait_ns()).collect();
        assert!(waits.len() > 95);
    }
}
