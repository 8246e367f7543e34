//! The peers file: who is who in a cluster. One line for each key that is trusted; what it does not name is nobody.
//!
//! ```text
//! cluster CLUSTER
//! ROLE NAME FINGERPRINT [not-after=TIME] [owner=NAME]
//! ```

use crate::fingerprint::Fingerprint;
use crate::guarded::{GuardError, Guarded, Secrecy, Stamp};
use crate::instant::UnixSeconds;
use crate::names::{ClusterId, Name, Role};
use crate::text::{TextError, Word, Wrong, each_line, options, quoted};
use dc_spool::files::shown;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The longest peers file that is read, in bytes: some 30,000 entries.
pub const PEERS_BYTES_MAX: u64 = 4 << 20;

/// Who a key belongs to. Made from a line of the peers file, never from what the other side says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The key.
    pub fingerprint: Fingerprint,
    /// What it is for.
    pub role: Role,
    /// Its name; no other peer of this role has it.
    pub name: Name,
    /// From when on it is refused.
    pub not_after: Option<UnixSeconds>,
    /// Whose work alone it may do, for a node that joined by a user's token.
    pub owner: Option<Name>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.role, self.name, self.fingerprint)?;
        if let Some(at) = self.not_after {
            write!(f, " not-after={at}")?;
        }
        self.owner.as_ref().map_or(Ok(()), |owner| write!(f, " owner={owner}"))
    }
}

/// Why a key is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refused {
    /// No line has it.
    #[error("the key {0} is not trusted here: no line of the peers file has it")]
    Unknown(Fingerprint),
    /// Its line has another role.
    #[error("{name} has the key of a {role}, and a {} is wanted here", wanted(.expected))]
    Role {
        /// Its name.
        name: Name,
        /// Its role.
        role: Role,
        /// Those that would be accepted.
        expected: Vec<Role>,
    },
    /// It has expired.
    #[error("the key of {name} has expired at {at}: trust a new one, or change its line of the peers file")]
    Expired {
        /// Its name.
        name: Name,
        /// When.
        at: UnixSeconds,
    },
    /// It is this process's own: what was sent has come back.
    #[error("the other side has this side's own key {0}: each process needs one of its own")]
    Own(Fingerprint),
    /// Another key than the one that was dialled.
    #[error("the other side has the key {found}, and {expected} was expected")]
    Pinned {
        /// What it has.
        found: Fingerprint,
        /// What was expected.
        expected: Fingerprint,
    },
    /// It is no Ed25519 key as RFC 8410 writes it.
    #[error("the other side's key is not of the kind used here (Ed25519)")]
    Kind,
}

fn wanted(roles: &[Role]) -> String {
    roles.iter().map(|role| role.text()).collect::<Vec<_>>().join(" or ")
}

/// Why a peers file cannot be used or changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PeersError {
    /// It is not to be believed, or cannot be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A line is wrong.
    #[error(transparent)]
    Text(#[from] TextError),
    /// There is none.
    #[error("there is no peers file {}: make one (dcsched init does)", shown(.0))]
    Missing(PathBuf),
    /// Another line has the key.
    #[error("the key {fingerprint} is trusted already, as {role} {name}: a key has one line")]
    KeyTaken {
        /// The key.
        fingerprint: Fingerprint,
        /// Its role.
        role: Role,
        /// Its name.
        name: Name,
    },
    /// Another line has the name.
    #[error(
        "{role} {name} is trusted already, with the key {fingerprint}: remove that first, or choose another name"
    )]
    NameTaken {
        /// The role.
        role: Role,
        /// The name.
        name: Name,
        /// The key that has it.
        fingerprint: Fingerprint,
    },
    /// No line has what was to be removed.
    #[error("no line of {} has {what}", shown(.path))]
    NotThere {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: String,
    },
}

/// What a peers file says, at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peers {
    cluster: ClusterId,
    by_key: BTreeMap<Fingerprint, Peer>,
}

impl Peers {
    /// A cluster that trusts nobody.
    #[must_use]
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, by_key: BTreeMap::new() }
    }

    /// Reads a peers file's content; `path` is for the messages.
    ///
    /// # Errors
    /// The first line that is not exactly as it should be.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, TextError> {
        let mut peers: Option<Self> = None;
        each_line(path, bytes, |_, words| {
            let Some(first) = words.first() else { return Ok(()) };
            match &mut peers {
                None => peers = Some(Self::new(cluster_line(first, words)?)),
                Some(peers) => {
                    let peer = peer_line(words)?;
                    let column = |i: usize| words.get(i).map_or(1, |word| word.column);
                    peers.add(peer).map_err(|error| match error {
                        error @ PeersError::NameTaken { .. } => (column(1), error.to_string()),
                        error => (column(2), error.to_string()),
                    })?;
                }
            }
            Ok(())
        })?;
        let empty = || TextError {
            path: path.to_owned(),
            line: 1,
            column: 1,
            what: "the line `cluster …` is missing: the file is empty".to_owned(),
        };
        peers.ok_or_else(empty)
    }

    /// Which cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// All of them, by fingerprint.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.by_key.values()
    }

    /// Who has this key, expired or not. To decide use [`Peers::check`].
    #[must_use]
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&Peer> {
        self.by_key.get(&fingerprint)
    }

    /// Who has this name in this role.
    #[must_use]
    pub fn named(&self, role: Role, name: &Name) -> Option<&Peer> {
        self.iter().find(|peer| peer.role == role && peer.name == *name)
    }

    /// The one place that decides whether a key is accepted: it is listed, in one of the roles wanted, and not expired.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(
        &self,
        fingerprint: Fingerprint,
        expected: &[Role],
        now: UnixSeconds,
    ) -> Result<&Peer, Refused> {
        let peer = self.by_key.get(&fingerprint).ok_or(Refused::Unknown(fingerprint))?;
        if let Some(at) = peer.not_after.filter(|at| now >= *at) {
            return Err(Refused::Expired { name: peer.name.clone(), at });
        }
        if !expected.contains(&peer.role) {
            let (name, expected) = (peer.name.clone(), expected.to_vec());
            return Err(Refused::Role { name, role: peer.role, expected });
        }
        Ok(peer)
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`PeersError::KeyTaken`], [`PeersError::NameTaken`].
    pub fn add(&mut self, peer: Peer) -> Result<(), PeersError> {
        if let Some(old) = self.get(peer.fingerprint) {
            let (role, name) = (old.role, old.name.clone());
            return Err(PeersError::KeyTaken { fingerprint: peer.fingerprint, role, name });
        }
        if let Some(old) = self.named(peer.role, &peer.name) {
            let fingerprint = old.fingerprint;
            return Err(PeersError::NameTaken { role: peer.role, name: peer.name, fingerprint });
        }
        self.by_key.insert(peer.fingerprint, peer);
        Ok(())
    }
}

fn cluster_line(first: &Word<'_>, words: &[Word<'_>]) -> Result<ClusterId, Wrong> {
    let wrong = || (first.column, "the first line must be `cluster` and 32 hexadecimal digits".to_owned());
    let [_, id] = words else { return Err(wrong()) };
    if first.text != "cluster" {
        return Err(wrong());
    }
    ClusterId::parse(id.text).ok_or((id.column, format!("{} is not 32 hexadecimal digits", quoted(id.text))))
}

fn peer_line(words: &[Word<'_>]) -> Result<Peer, Wrong> {
    let [role, name, key, rest @ ..] = words else {
        let column = words.last().map_or(1, |word| word.column + word.text.len());
        return Err((column, "a line is a role, a name and a fingerprint".to_owned()));
    };
    let [not_after, owner] = options(rest, ["not-after", "owner"])?;
    let unknown = || format!("{} is not a role: scheduler, node, client or submit", quoted(role.text));
    let at = |word: Word<'_>| {
        let wrong = || format!("{} is not a time such as 2027-01-31T12:00:00Z", quoted(word.text));
        UnixSeconds::parse(word.text).ok_or_else(|| (word.column, wrong()))
    };
    let name_of = |word: Word<'_>| {
        Name::parse(word.text).map_err(|error| (word.column, format!("{} is {error}", quoted(word.text))))
    };
    Ok(Peer {
        role: Role::parse(role.text).ok_or_else(|| (role.column, unknown()))?,
        name: name_of(*name)?,
        fingerprint: Fingerprint::parse(key.text)
            .map_err(|error| (key.column, format!("{} is {error}", quoted(key.text))))?,
        not_after: not_after.map(at).transpose()?,
        owner: owner.map(name_of).transpose()?,
    })
}

/// The peers file of a cluster. Whoever changes it takes its lock and replaces it whole; comments stay.
#[derive(Debug)]
pub struct PeersFile {
    file: Guarded,
    stamp: Option<Stamp>,
    peers: Arc<Peers>,
}

impl PeersFile {
    /// Makes the file of a new cluster, which trusts nobody. Mode 0644: it holds no secret.
    ///
    /// # Errors
    /// When there is one, or it cannot be made.
    pub fn create(path: &Path, cluster: ClusterId) -> Result<Self, PeersError> {
        let file = Guarded::at(path)?;
        file.create(0o644, format!("cluster {cluster}\n").as_bytes())?;
        Self::open(path)
    }

    /// Opens one.
    ///
    /// # Errors
    /// When it is missing, not to be believed, or a line is wrong.
    pub fn open(path: &Path) -> Result<Self, PeersError> {
        let file = Guarded::at(path)?;
        // Taken before reading: a change in between is then seen again, and never missed.
        let stamp = file.stamp()?;
        let (_, peers) = load(&file)?;
        Ok(Self { file, stamp, peers: Arc::new(peers) })
    }

    /// What it said when it was last read; cheap, for the sessions to hold.
    #[must_use]
    pub fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers)
    }

    /// Reads it again if it was replaced; tells whether it says something else now. After `true` check the sessions
    /// that are open (`Session::recheck`). After an error the old content stands.
    ///
    /// # Errors
    /// As [`PeersFile::open`].
    pub fn maybe_reload(&mut self) -> Result<bool, PeersError> {
        let stamp = self.file.stamp()?;
        if stamp.is_some() && stamp == self.stamp {
            return Ok(false);
        }
        let (_, peers) = load(&self.file)?;
        self.stamp = stamp;
        let changed = peers != *self.peers;
        self.peers = Arc::new(peers);
        Ok(changed)
    }

    /// Adds a line, durably.
    ///
    /// # Errors
    /// When its key or name is taken, or the file cannot be read or replaced.
    pub fn try_add(&mut self, peer: Peer) -> Result<(), PeersError> {
        self.edit(|text, peers, _| {
            let line = format!("{peer}\n");
            peers.add(peer)?;
            text.push_str(&line);
            Ok(())
        })
    }

    /// Removes the line of a key, durably, and gives back who had it.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read or replaced.
    pub fn try_remove(&mut self, fingerprint: Fingerprint) -> Result<Peer, PeersError> {
        self.edit(|text, peers, path| {
            let missing =
                || PeersError::NotThere { path: path.to_owned(), what: format!("the key {fingerprint}") };
            let peer = peers.by_key.remove(&fingerprint).ok_or_else(missing)?;
            let key = fingerprint.to_string();
            let has = |line: &str| {
                crate::text::words(line.trim_end_matches('\n')).get(2).is_some_and(|word| word.text == key)
            };
            *text = text.split_inclusive('\n').filter(|line| !has(line)).collect();
            Ok(peer)
        })
    }

    fn edit<T>(
        &mut self,
        change: impl FnOnce(&mut String, &mut Peers, &Path) -> Result<T, PeersError>,
    ) -> Result<T, PeersError> {
        let _lock = self.file.lock()?;
        // Another process may have changed it since it was read here.
        let (mut text, mut peers) = load(&self.file)?;
        let out = change(&mut text, &mut peers, &self.file.path())?;
        if text.len() as u64 > PEERS_BYTES_MAX {
            let reason =
                dc_spool::files::Reason::TooLarge { bytes: text.len() as u64, bytes_max: PEERS_BYTES_MAX };
            let (op, path) = (dc_spool::files::Op::Write, self.file.path());
            return Err(GuardError::File(dc_spool::files::FileError { op, path, reason }).into());
        }
        // What is written must say what was meant, and nothing else.
        if Peers::parse(&self.file.path(), text.as_bytes())? != peers {
            let what =
                format!("the change in a form that can be edited: edit {} by hand", shown(&self.file.path()));
            return Err(PeersError::NotThere { path: self.file.path(), what });
        }
        self.file.replace(0o644, text.as_bytes())?;
        self.stamp = self.file.stamp()?;
        self.peers = Arc::new(peers);
        Ok(out)
    }
}

fn load(file: &Guarded) -> Result<(String, Peers), PeersError> {
    let path = file.path();
    let bytes =
        file.read(Secrecy::Public, PEERS_BYTES_MAX)?.ok_or_else(|| PeersError::Missing(path.clone()))?;
    let peers = Peers::parse(&path, &bytes)?;
    // It was text to the parser.
    Ok((String::from_utf8_lossy(&bytes).into_owned(), peers))
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
