//! The memory of a node, consumed by what runs: of each NUMA domain, and of the node as a whole.

use dc_model::Topology;

/// An amount, and what is left of it, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Amount {
    capacity: u64,
    left: u64,
}

impl Amount {
    fn all(capacity: u64) -> Self {
        Self { capacity, left: capacity }
    }
}

/// The memory of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    domains: Vec<Amount>,
    node: Amount,
}

impl Memory {
    /// All free. No domain has more than the node may use.
    pub fn new(topology: &Topology, domains: usize, max_bytes: Option<u64>) -> Self {
        let bytes = |domain: usize| topology.numa.get(domain).map_or(0, |numa| numa.memory_bytes);
        let sum = (0..domains).fold(0u64, |sum, domain| sum.saturating_add(bytes(domain)));
        let node = sum.min(max_bytes.unwrap_or(u64::MAX));
        let domains = (0..domains).map(|domain| Amount::all(bytes(domain).min(node))).collect();
        Self { domains, node: Amount::all(node) }
    }

    pub fn node_bytes(&self) -> u64 {
        self.node.capacity
    }

    pub fn node_left_bytes(&self) -> u64 {
        self.node.left
    }

    pub fn capacity_bytes(&self, domain: u32) -> u64 {
        self.domains[domain as usize].capacity
    }

    pub fn left_bytes(&self, domain: u32) -> u64 {
        self.domains[domain as usize].left.min(self.node.left)
    }

    /// How many times so much is there, each within a domain. For nothing: without end.
    pub fn count(&self, bytes: u64) -> u64 {
        let times = |amount: &Amount| amount.capacity.checked_div(bytes).unwrap_or(u64::MAX);
        let sum = self.domains.iter().fold(0u64, |sum, domain| sum.saturating_add(times(domain)));
        sum.min(times(&self.node))
    }

    /// What each domain gives to a launch with so many cores in it: in proportion to them, the odd bytes by the first.
    /// With `spills` a domain that has less gives what it has, and the others the rest. Nothing when there is too little.
    pub fn shares(&self, bytes: u64, counts: &[(u32, u32)], spills: bool) -> Option<Vec<(u32, u64)>> {
        if bytes == 0 {
            return Some(Vec::new());
        }
        if bytes > self.node.left {
            return None;
        }
        let mut given = vec![0u64; self.domains.len()];
        let units: u64 = counts.iter().map(|(_, count)| u64::from(*count)).sum();
        let part = |count: u32| (u128::from(bytes) * u128::from(count) / u128::from(units.max(1))) as u64;
        let mut rest = bytes;
        for (domain, count) in counts {
            let want = part(*count);
            let take = if spills { want.min(self.domains[*domain as usize].left) } else { want };
            given[*domain as usize] = take;
            rest -= take;
        }
        if spills {
            let own = counts.iter().map(|(domain, _)| *domain as usize);
            for domain in own.chain(0..self.domains.len()) {
                let more = rest.min(self.domains[domain].left - given[domain]);
                given[domain] += more;
                rest -= more;
            }
        } else if let Some((first, _)) = counts.first() {
            given[*first as usize] += rest;
            rest = 0;
        }
        let fits = given.iter().zip(&self.domains).all(|(given, domain)| *given <= domain.left);
        let shares = (0..).zip(given).filter(|(_, given)| *given > 0).collect();
        (fits && rest == 0).then_some(shares)
    }

    pub fn take(&mut self, shares: &[(u32, u64)]) {
        for (domain, bytes) in shares {
            self.domains[*domain as usize].left -= bytes;
            self.node.left -= bytes;
        }
    }

    pub fn give_back(&mut self, shares: &[(u32, u64)]) {
        for (domain, bytes) in shares {
            self.domains[*domain as usize].left += bytes;
            self.node.left += bytes;
        }
    }
}
