//! dc.toml and the peers file read again, at SIGHUP: what may change while dcd runs is taken over, the rest is named.

use super::{Daemon, Settings};
use dc_config::{Diff, Node};
use tracing::{info, warn};

/// How dc.toml is read again.
type Read = Box<dyn FnMut() -> Result<Node, String>>;

/// What of dc.toml is in force, and how it is read again.
pub(super) struct Configured {
    node: Node,
    read: Read,
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configured").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Daemon {
    /// With this it can read its configuration again; `node` is what it was begun with.
    #[must_use]
    pub fn reloading(mut self, node: Node, read: impl FnMut() -> Result<Node, String> + 'static) -> Self {
        self.configured = Some(Configured { node, read: Box::new(read) });
        self
    }

    pub(super) fn reload(&mut self, now: u64) {
        self.reload_peers(now);
        let Some(configured) = &mut self.configured else { return };
        let node = match (configured.read)() {
            Ok(node) => node,
            Err(error) => return warn!("the configuration stays as it was: {}", super::turn::plain(&error)),
        };
        let diff = Diff::of(&configured.node.entries, &node.entries);
        if !diff.restart.is_empty() {
            warn!("to take effect when dcd is started again: {}", diff.restart.join(", "));
        }
        // What waits for a restart is told at each reload, until it is what is in force.
        let is_live = |name: &String| diff.live.contains(name);
        for entry in &mut configured.node.entries {
            if let Some(new) =
                node.entries.iter().find(|new| new.name() == entry.name() && is_live(&new.name()))
            {
                *entry = new.clone();
            }
        }
        info!(
            "read the configuration; changed: {}",
            if diff.live.is_empty() { "nothing".to_owned() } else { diff.live.join(", ") }
        );
        let new = Settings::of_node(&node, self.settings.synthetic);
        let is_told = (self.settings.speed_permille, self.settings.memory_max_bytes)
            != (new.speed_permille, new.memory_max_bytes);
        self.settings.speed_permille = new.speed_permille;
        self.settings.memory_max_bytes = new.memory_max_bytes;
        self.settings.retry_max = new.retry_max;
        self.uplink.set_retry_max(new.retry_max);
        if is_told {
            self.lose("begun anew, to tell what has changed of this node".to_owned(), now);
        }
    }
}
