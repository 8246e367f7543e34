//! Random numbers of a seed that is printed, so that a failure can be had again: `DC_TEST_SEED=n cargo test …`.

use std::time::SystemTime;

/// How often a test that has strides does all of it: DC_ROUNDS, else once.
#[must_use]
pub fn rounds() -> u64 {
    std::env::var("DC_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A small generator (splitmix64).
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// From DC_TEST_SEED, else from the clock; says which.
    #[must_use]
    pub fn of_this_run(test: &str) -> Self {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let given = std::env::var("DC_TEST_SEED").ok();
        let seed = given.map_or(clock, |text| text.parse().expect("DC_TEST_SEED is a number"));
        eprintln!("{test}: DC_TEST_SEED={seed}");
        Self { seed, state: seed }
    }

    /// From this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }
}
