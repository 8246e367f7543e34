//! The files of who is who, made together: for a new cluster, for a member that joined, and in one go for a cluster of
//! one user, whose scheduler, nodes and client are all that user's own.

use crate::fingerprint::Fingerprint;
use crate::keys::{KeyError, KeyPair};
use crate::names::{ClusterId, Name, Role};
use crate::peers::{Peer, PeersError, PeersFile};
use dc_spool::files::{Dir, FileError, shown};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the files could not be made.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EnrolError {
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A peers file.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// A directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// A peers file that is there is another cluster's.
    #[error("{} is of cluster {found}, and not of {expected}: move it away, or name another file", shown(.path))]
    Cluster {
        /// Which file.
        path: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// The one that was meant.
        expected: ClusterId,
    },
}

/// Makes a directory with all above it that are missing, of mode 0700, durably; one that is there is left as it is.
///
/// # Errors
/// When one cannot be made.
pub fn make_dirs(path: &Path) -> Result<(), FileError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match Dir::create_new(dir, 0o700) {
            // Another process made it meanwhile.
            Err(error) if error.is_exists() => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Reads a member's key, or makes it and its directory.
///
/// # Errors
/// When it can be neither read nor made.
pub fn key_or_make(path: &Path) -> Result<KeyPair, EnrolError> {
    if let Some(dir) = path.parent() {
        make_dirs(dir)?;
    }
    Ok(KeyPair::read_or_make(path)?)
}

/// Opens a cluster's peers file, or makes it and its directory.
///
/// # Errors
/// When it can be neither opened nor made, or is another cluster's.
pub fn peers_or_make(path: &Path, cluster: ClusterId) -> Result<PeersFile, EnrolError> {
    if let Some(dir) = path.parent() {
        make_dirs(dir)?;
    }
    let file = match PeersFile::open(path) {
        Err(PeersError::Missing(_)) => PeersFile::create(path, cluster)?,
        other => other?,
    };
    let found = file.peers().cluster();
    if found == cluster {
        Ok(file)
    } else {
        Err(EnrolError::Cluster { path: path.to_owned(), found, expected: cluster })
    }
}

/// Writes a line for a key, unless it stands there already, in this role and with this name.
///
/// # Errors
/// When the key or the name is taken, or the file cannot be replaced.
pub fn trust_once(
    peers: &mut PeersFile,
    role: Role,
    name: &Name,
    fingerprint: Fingerprint,
) -> Result<(), PeersError> {
    let is_there = peers.peers().get(fingerprint).is_some_and(|peer| (peer.role, &peer.name) == (role, name));
    if is_there {
        return Ok(());
    }
    peers.try_add(Peer { fingerprint, role, name: name.clone(), not_after: None, owner: None })
}

/// The files of a new cluster's scheduler: its key, and the peers file with its own line. What is there already is kept,
/// so that what was interrupted can be done again.
///
/// # Errors
/// [`EnrolError`].
pub fn found(
    cluster: ClusterId,
    name: &Name,
    key: &Path,
    peers: &Path,
) -> Result<(Fingerprint, PeersFile), EnrolError> {
    let fingerprint = key_or_make(key)?.fingerprint();
    let mut peers = peers_or_make(peers, cluster)?;
    trust_once(&mut peers, Role::Scheduler, name, fingerprint)?;
    Ok((fingerprint, peers))
}

/// Where the keys of a cluster of one user are, below its state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneUser {
    /// The scheduler's key: `DIR/key`.
    pub scheduler: PathBuf,
    /// Each node's key, in the order of the names: `DIR/nodes/NAME/key`.
    pub nodes: Vec<PathBuf>,
    /// The client's key: `DIR/client/key`.
    pub client: PathBuf,
    /// The one peers file, for all of them: `DIR/peers`.
    pub peers: PathBuf,
}

impl OneUser {
    /// Makes the keys of a scheduler, of nodes and of a client, and one peers file that has them all, below a directory
    /// of mode 0700. Keys and lines that are there already are kept.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub fn make(
        dir: &Path,
        cluster: ClusterId,
        scheduler: &Name,
        nodes: &[Name],
        client: &Name,
    ) -> Result<Self, EnrolError> {
        let this = Self {
            scheduler: dir.join("key"),
            nodes: nodes.iter().map(|name| dir.join("nodes").join(name.as_str()).join("key")).collect(),
            client: dir.join("client").join("key"),
            peers: dir.join("peers"),
        };
        let (_, mut peers) = found(cluster, scheduler, &this.scheduler, &this.peers)?;
        trust_once(&mut peers, Role::Client, client, key_or_make(&this.client)?.fingerprint())?;
        for (name, key) in nodes.iter().zip(&this.nodes) {
            trust_once(&mut peers, Role::Node, name, key_or_make(key)?.fingerprint())?;
        }
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_cluster_of_one_user_is_made_once_and_goes_on() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("a/b");
        let cluster = ClusterId([7; 16]);
        let nodes = [name("n1"), name("n2")];
        let made = OneUser::make(&dir, cluster, &name("s"), &nodes[..1], &name("ann")).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let first = std::fs::read_to_string(&made.peers).unwrap();
        assert_eq!(first.lines().count(), 4, "{first}");
        assert_eq!(OneUser::make(&dir, cluster, &name("s"), &nodes[..1], &name("ann")).unwrap(), made);
        assert_eq!(std::fs::read_to_string(&made.peers).unwrap(), first, "and nothing is written twice");
        let more = OneUser::make(&dir, cluster, &name("s"), &nodes, &name("ann")).unwrap();
        let peers = PeersFile::open(&more.peers).unwrap().peers();
        for (path, role) in
            [(&more.scheduler, Role::Scheduler), (&more.nodes[1], Role::Node), (&more.client, Role::Client)]
        {
            let key = KeyPair::read(path).unwrap().fingerprint();
            assert_eq!(peers.get(key).map(|peer| peer.role), Some(role), "{}", path.display());
        }
    }

    #[test]
    fn what_is_anothers_is_not_touched() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("peers");
        let (one, other) = (ClusterId([1; 16]), ClusterId([2; 16]));
        PeersFile::create(&path, one).unwrap();
        let error = peers_or_make(&path, other).unwrap_err();
        assert!(matches!(error, EnrolError::Cluster { .. }), "{error}");
        let (key, names) = (tmp.path().join("key"), [name("s"), name("t")]);
        found(one, &names[0], &key, &path).unwrap();
        let error = found(one, &names[1], &key, &path).unwrap_err();
        assert!(matches!(error, EnrolError::Peers(PeersError::KeyTaken { .. })), "{error}");
        assert!(make_dirs(&key.join("below")).is_err(), "a file is no directory");
    }
}
