//! How many connections there may be: in all, still proving who they are, and from one address. What goes beyond is
//! turned away before anything of it is read, so that neither descriptors nor time run out for those who are known.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// The caps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Connections in all.
    pub connections_max: usize,
    /// Of these, such whose other side is still to be proved.
    pub unproved_max: usize,
    /// Connections from one address, IPv6 by its /64.
    pub per_address_max: usize,
    /// Of these, such whose other side is still to be proved.
    pub unproved_per_address_max: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            unproved_max: 512,
            per_address_max: 1_024,
            unproved_per_address_max: 64,
        }
    }
}

/// Why a connection is turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TurnedAway {
    /// All places are taken.
    #[error("there are {0} connections already")]
    Full(usize),
    /// So many still prove who they are.
    #[error("{0} connections still prove who they are")]
    Unproved(usize),
    /// The address has its share.
    #[error("{1} has {0} connections already")]
    Address(usize, IpAddr),
    /// The address has its share of those that are still to be proved.
    #[error("{0} connections of {1} still prove who they are")]
    AddressUnproved(usize, IpAddr),
}

#[derive(Default, Debug)]
struct Counts {
    all: usize,
    unproved: usize,
    by_address: BTreeMap<IpAddr, (usize, usize)>,
}

/// Counts connections. A clone counts the same ones.
#[derive(Clone, Default, Debug)]
pub struct Gate {
    caps: Caps,
    counts: Arc<Mutex<Counts>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    gate: Gate,
    address: IpAddr,
    is_unproved: bool,
}

impl Gate {
    /// With these caps.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self { caps, counts: Arc::default() }
    }

    /// A place for a new connection from an address.
    ///
    /// # Errors
    /// [`TurnedAway`].
    pub fn try_enter(&self, from: IpAddr) -> Result<Place, TurnedAway> {
        let address = counted(from);
        let mut counts = self.counts();
        let (of_address, unproved_of_address) = counts.by_address.get(&address).copied().unwrap_or_default();
        if counts.all >= self.caps.connections_max {
            return Err(TurnedAway::Full(counts.all));
        }
        if counts.unproved >= self.caps.unproved_max {
            return Err(TurnedAway::Unproved(counts.unproved));
        }
        if of_address >= self.caps.per_address_max {
            return Err(TurnedAway::Address(of_address, from));
        }
        if unproved_of_address >= self.caps.unproved_per_address_max {
            return Err(TurnedAway::AddressUnproved(unproved_of_address, from));
        }
        counts.all += 1;
        counts.unproved += 1;
        counts.by_address.insert(address, (of_address + 1, unproved_of_address + 1));
        Ok(Place { gate: self.clone(), address, is_unproved: true })
    }

    /// Whether there is a place for somebody: else leave the others in the kernel's queue until there is.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let counts = self.counts();
        counts.all < self.caps.connections_max && counts.unproved < self.caps.unproved_max
    }

    /// Connections in all, and those still to be proved.
    #[must_use]
    pub fn counted(&self) -> (usize, usize) {
        let counts = self.counts();
        (counts.all, counts.unproved)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        // Nothing in between can leave them wrong.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The other side is known.
    pub fn on_proved(&mut self) {
        if std::mem::take(&mut self.is_unproved) {
            let mut counts = self.gate.counts();
            counts.unproved = counts.unproved.saturating_sub(1);
            if let Some((_, unproved)) = counts.by_address.get_mut(&self.address) {
                *unproved = unproved.saturating_sub(1);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.on_proved();
        let mut counts = self.gate.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some((all, _)) = counts.by_address.get_mut(&self.address) {
            *all = all.saturating_sub(1);
            if *all == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// What is counted as one address: a host of IPv6 has a whole /64.
fn counted(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let gate = Gate::new(Caps {
            connections_max: 4,
            unproved_max: 3,
            per_address_max: 3,
            unproved_per_address_max: 2,
        });
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut one = gate.try_enter(a).unwrap();
        let two = gate.try_enter("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(gate.try_enter(a).unwrap_err(), TurnedAway::AddressUnproved(2, a));
        let three = gate.try_enter(b).unwrap();
        assert!(!gate.has_room());
        assert_eq!(gate.try_enter(b).unwrap_err(), TurnedAway::Unproved(3));
        one.on_proved();
        one.on_proved();
        assert_eq!(gate.counted(), (3, 2));
        let four = gate.try_enter(a).unwrap();
        assert_eq!(gate.try_enter(b).unwrap_err(), TurnedAway::Full(4));
        drop(three);
        drop(two);
        let mut four = four;
        four.on_proved();
        let mut five = gate.try_enter(a).unwrap();
        five.on_proved();
        assert_eq!(gate.try_enter(a).unwrap_err(), TurnedAway::Address(3, a));
        drop((one, four, five));
        assert_eq!(gate.counted(), (0, 0));
        assert!(gate.counts().by_address.is_empty(), "no address is remembered without a connection");
        let six = gate.try_enter("2001:db8::1".parse().unwrap()).unwrap();
        let seven = gate.try_enter("2001:db8::2".parse().unwrap()).unwrap();
        assert!(gate.try_enter("2001:db8::3".parse().unwrap()).is_err(), "one /64 is one host");
        drop((six, seven));
    }
}
