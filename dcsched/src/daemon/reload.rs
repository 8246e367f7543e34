//! The configuration and the peers file are read again: what may change while the daemon runs changes, and the rest is
//! told.

use super::{Daemon, open, settings};
use dc_link::UnixSeconds;
use tracing::{info, warn};

impl Daemon {
    /// Reads them, and says what has changed, in lines for people. What cannot be read changes nothing.
    pub(super) fn reload(&mut self) -> String {
        let mut lines = Vec::new();
        match open::configuration(&self.options) {
            Err(error) => lines.push(format!("the configuration stays as it is: {error}")),
            Ok(config) => match settings::Settings::of(&config) {
                Err(error) => lines.push(format!("the configuration stays as it is: {error}")),
                Ok(new) => {
                    let diff = dc_config::diff(&self.config, &config);
                    let of_scheduler = |names: &[String]| {
                        let is_ours =
                            |name: &&String| name.starts_with("scheduler.") || name.starts_with("cluster.");
                        names.iter().filter(is_ours).cloned().collect::<Vec<_>>()
                    };
                    let (live, waits) = (of_scheduler(&diff.live), of_scheduler(&diff.restart));
                    if !live.is_empty() {
                        lines.push(format!("changed: {}", live.join(" ")));
                    }
                    if !waits.is_empty() {
                        lines.push(format!("changes when dcsched is started again: {}", waits.join(" ")));
                    }
                    self.settings.reload(&new);
                    self.core.set_config(self.settings.core);
                    self.config = config;
                }
            },
        }
        self.reload_peers(&mut lines);
        if lines.is_empty() {
            lines.push("nothing has changed".to_owned());
        }
        lines.iter().for_each(|line| info!("reload: {line}"));
        lines.join("\n")
    }

    fn reload_peers(&mut self, lines: &mut Vec<String>) {
        let Some(tls) = &mut self.doors.tls else { return };
        match tls.peers.maybe_reload() {
            Err(error) => {
                warn!("the peers file stays as it was read: {error}");
                lines.push(format!("the peers file stays as it was read: {error}"));
            }
            Ok(false) => {}
            Ok(true) => {
                tls.admit();
                lines.push(format!("the peers file has {} keys", tls.peers.peers().iter().count()));
                self.recheck_links();
            }
        }
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
