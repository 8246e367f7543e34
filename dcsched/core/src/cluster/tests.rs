//! The cluster alone, without a world: what single events do.
