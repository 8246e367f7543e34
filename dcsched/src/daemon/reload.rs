//! The configuration and the peers file are read again: what may change while the daemon runs changes, and the rest is
//! told.

use super::{Daemon, open, settings};
use dc_config::{Diff, Entry};
use dc_link::UnixSeconds;
use tracing::{info, warn};

impl Daemon {
    /// Reads them, and says what has changed, in lines for people. What cannot be read changes nothing.
    ///
    /// # Errors
    /// All that there is to say, where something cannot be read.
    pub(super) fn reload(&mut self) -> Result<String, String> {
        let mut lines = Vec::new();
        let configured = self.reload_configuration(&mut lines);
        let peers = self.reload_peers(&mut lines);
        if lines.is_empty() {
            lines.push("nothing has changed".to_owned());
        }
        let is_good = configured && peers;
        for line in &lines {
            if is_good { info!("reload: {line}") } else { warn!("reload: {line}") }
        }
        let text = lines.join("\n");
        if is_good { Ok(text) } else { Err(text) }
    }

    /// False where it cannot be used, and all stays as it is.
    fn reload_configuration(&mut self, lines: &mut Vec<String>) -> bool {
        let read = open::configuration(&self.options).map_err(|error| error.to_string());
        let read = read.and_then(|config| settings::Settings::of(&config).map(|new| (config, new)));
        let (config, new) = match read {
            Ok(read) => read,
            Err(error) => {
                lines.extend(error.lines().map(str::to_owned));
                lines.push("the configuration stays as it is".to_owned());
                return false;
            }
        };
        let is_ours =
            |entry: &&Entry| ["scheduler.", "cluster."].iter().any(|table| entry.name().starts_with(table));
        let ours: Vec<Entry> = config.entries.iter().filter(is_ours).cloned().collect();
        let in_force: Vec<Entry> = self.config.entries.iter().filter(is_ours).cloned().collect();
        let diff = Diff::of(&in_force, &ours);
        if !diff.live.is_empty() {
            lines.push(format!("changed: {}", diff.live.join(" ")));
        }
        if !diff.restart.is_empty() {
            lines.push(format!("changes when dcsched is started again: {}", diff.restart.join(" ")));
        }
        let lease_ms = self.settings.lease_ms();
        self.settings.reload(&new);
        self.core.set_config(self.settings.core);
        // What waits for a restart is told at each reload, until it is in force.
        let waiting = in_force.into_iter().filter(|entry| diff.restart.contains(&entry.name()));
        let taken = config.entries.iter().filter(|entry| !diff.restart.contains(&entry.name())).cloned();
        self.config.entries = waiting.chain(taken).collect();
        if self.settings.lease_ms() != lease_ms {
            self.register_nodes_anew();
        }
        true
    }

    /// A node goes by the lease that it was told when it registered. What runs there goes on.
    fn register_nodes_anew(&mut self) {
        for link in self.by_node.values().copied().collect::<Vec<_>>() {
            self.doom(link, "the lease is another one now: register again");
        }
    }

    fn reload_peers(&mut self, lines: &mut Vec<String>) -> bool {
        let Some(tls) = &mut self.doors.tls else { return true };
        match tls.peers.maybe_reload() {
            Err(error) => {
                lines.push(format!("the peers file stays as it was read: {error}"));
                return false;
            }
            Ok(false) => {}
            Ok(true) => {
                tls.admit();
                lines.push(format!("the peers file has {} keys", tls.peers.peers().iter().count()));
                self.recheck_links();
            }
        }
        true
    }

    /// Closes connections whose keys are not accepted any more, or are another's now.
    pub(super) fn recheck_links(&mut self) {
        let Some(tls) = &self.doors.tls else { return };
        let (peers, today) = (tls.peers.peers(), UnixSeconds::now());
        for id in self.links.ids() {
            let checked = self.links.get_mut(id).map(|link| link.conn.session().recheck(&peers, today));
            if let Some(Err(error)) = checked {
                self.doom(id, error.to_string());
            }
        }
    }
}
