//! What a node tells of itself: cores and memory at registration, load and free memory with each heartbeat.

use super::settings::Settings;
use crate::abilities::Abilities;
use crate::topology::Found;
use dc_model::CpuSet;
use dc_model::cluster::node::{Incarnation, Register};
use std::collections::BTreeSet;
use std::fs;

/// What does not change while dcd runs.
#[derive(Clone, Debug)]
pub struct Facts {
    found: Found,
    incarnation: Incarnation,
    abilities: Abilities,
}

/// Why a node cannot say which boot it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot read {BOOT_ID}: {0}; see that /proc is mounted")]
pub struct NoBootId(String);

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Facts {
    /// Of this host; `start` is the state directory's count.
    ///
    /// # Errors
    /// [`NoBootId`].
    pub fn look(found: Found, start: u64) -> Result<Self, NoBootId> {
        Ok(Self {
            found,
            incarnation: Incarnation { boot: boot_id()?, start },
            abilities: Abilities::detect(),
        })
    }

    /// CPUs that ranks may be bound to.
    #[must_use]
    pub fn allowed(&self) -> CpuSet {
        self.found.topology.cpus()
    }

    /// Which run of dcd this is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The first message to a scheduler.
    #[must_use]
    pub fn register(&self, settings: &Settings, address: &str, epoch_seen: u32) -> Register {
        let topology = self.found.topology.clone();
        let threads = topology.cores.iter().map(|core| core.cpus.len()).sum::<usize>();
        let hidden = self.found.left_out.len();
        let threads_a_core = topology.cores.iter().map(|core| core.cpus.len()).max().unwrap_or(1).max(1);
        let packages: BTreeSet<u32> = topology.cores.iter().map(|core| core.package).collect();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Register {
            name: settings.name.clone(),
            incarnation: self.incarnation,
            epoch_seen,
            address: address.to_owned(),
            threads_all: number(threads + hidden),
            // hwloc does not say whose threads those are that it may not show.
            cores_all: number(topology.cores.len() + hidden.div_ceil(threads_a_core)),
            packages: number(packages.len()),
            topology,
            synthetic: settings.synthetic,
            speed_permille: settings.speed_permille,
            memory_max_bytes: settings.memory_max_bytes,
            // That it can be had was looked at before the start.
            kill: self.abilities.choose(settings.kill).unwrap_or(self.abilities.kill),
            limits: self.abilities.limits,
            load_centi: load_centi(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn boot_id() -> Result<[u8; 16], NoBootId> {
    let text = fs::read_to_string(BOOT_ID).map_err(|error| NoBootId(error.to_string()))?;
    parse_boot_id(&text).ok_or_else(|| NoBootId("it holds no number".to_owned()))
}

/// Two digits a byte, hyphens between.
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u32> =
        text.trim_end().chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if digits.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair.iter().fold(0, |value, digit| value << 4 | digit)).ok()?;
    }
    Some(id)
}

/// The load average over a minute, in hundredths.
#[must_use]
pub fn load_centi() -> u32 {
    fs::read_to_string("/proc/loadavg").ok().and_then(|text| parse_load(&text)).unwrap_or(0)
}

fn parse_load(text: &str) -> Option<u32> {
    let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
    let part: u32 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
}

/// Memory that could be had without swapping, in bytes.
#[must_use]
pub fn memory_free_bytes() -> u64 {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_available(&text)).unwrap_or(0)
}

fn parse_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n").unwrap();
        assert_eq!((id[0], id[1], id[15]), (0, 0x11, 0xff));
        assert_eq!(parse_boot_id("0011"), None);
        assert_eq!(parse_boot_id("zz112233-4455-6677-8899-aabbccddeeff"), None);
        assert_eq!(parse_load("12.34 0.1 0.2 1/2 3\n"), Some(1234));
        assert_eq!(parse_load("0.5"), Some(50));
        assert_eq!(parse_load("x"), None);
        assert_eq!(parse_available("MemTotal: 9 kB\nMemAvailable:   12 kB\n"), Some(12 * 1024));
        assert_eq!(parse_available("MemAvailable: 99999999999999999999 kB\n"), None);
        boot_id().unwrap();
        assert!(memory_free_bytes() > 0);
    }
}
