//! The keys of a cluster's processes, and the peers files that say whose is whose: made here and handed out, as an operator
//! would with a disk in the hand. How keys are made and handed out by dc's commands is a test of its own.

use super::Cluster;
use super::plan::Plan;
use dc_link::KeyPair;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `init_said`: what `dcsched init` printed, with the cluster's uuid in it.
pub(super) fn hand_out(cluster: &Cluster, init_said: &str) {
    let dir = cluster.net.path().join("keys");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let uuid = init_said.split_whitespace().map(|word| word.replace('-', ""));
    let uuid = uuid.into_iter().find(|word| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    let uuid = uuid.unwrap_or_else(|| panic!("dcsched init said no uuid: {init_said:?}"));
    let mut peers = format!("cluster {uuid}\n");
    let mut make = |role: &str, name: &str| {
        let key = KeyPair::generate().unwrap();
        key.write_new(&dir.join(name)).unwrap();
        peers.push_str(&format!("{role} {name} {}\n", key.fingerprint()));
    };
    make("scheduler", "scheduler");
    make("client", "root");
    cluster.net.hosts().iter().for_each(|host| make("node", host.name()));
    fs::write(dir.join("peers"), peers).unwrap();

    let net = &cluster.net;
    install(cluster, 0, &dir.join("scheduler"), &cluster.plan.state(net));
    for (index, host) in net.hosts().iter().enumerate() {
        install(cluster, index, &dir.join(host.name()), &Plan::node_state(net));
        install(cluster, index, &dir.join("root"), &host.own().join("state/dc/client"));
    }
}

/// A key as DIRECTORY/key of a host, and the peers file beside it.
fn install(cluster: &Cluster, index: usize, key: &Path, directory: &Path) {
    let (from, to) = (key.display(), directory.display());
    let peers = key.with_file_name("peers");
    let script = format!(
        "umask 077 && mkdir -p {to} && cp {from} {to}/key && chmod 600 {to}/key && \
         cp {} {to}/peers && chmod 644 {to}/peers",
        peers.display()
    );
    cluster.host(index).sh(&script).run().ends_with(0);
}
