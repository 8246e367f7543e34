//! The scheduler's file of join tokens: what is left of each is a hash, and whether it was used.
//!
//! ```text
//! cluster CLUSTER
//! ID ROLE OWNER EXPIRES [not-after=TIME] [taken=FINGERPRINT] [joined=FINGERPRINT]
//! ```

use super::{JoinRefused, JoinRequest, Joined, Token, TokenId};
use crate::base32;
use crate::fingerprint::Fingerprint;
use crate::guarded::{GuardError, Guarded, Secrecy};
use crate::instant::UnixSeconds;
use crate::names::{ClusterId, Name, NoRandom, Role};
use crate::peers::{Peer, PeersError, PeersFile};
use crate::text::{TextError, Word, Wrong, each_line, options, quoted};
use std::fmt::{self, Write as _};
use std::path::Path;
use thiserror::Error;

const FILE_BYTES_MAX: u64 = 4 << 20;

/// How long an expired token is still known as such, in seconds.
const REMEMBERED_S: u64 = 24 * 3600;

/// At most so many tokens are kept.
pub const TOKENS_MAX: usize = 10_000;

/// Where a token is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenState {
    /// Nobody has used it.
    Fresh,
    /// This key has used it, and its line in the peers file may be missing still: this key may ask again.
    Taken(Fingerprint),
    /// This key has used it, and its line was written.
    Joined(Fingerprint),
}

/// What the scheduler keeps of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRecord {
    /// Which.
    pub id: TokenId,
    /// What the joiner becomes.
    pub role: Role,
    /// Whose work alone the joiner may do; `None`: everybody's.
    pub owner: Option<Name>,
    /// From when on it is refused.
    pub expires: UnixSeconds,
    /// When the joiner's key is to expire.
    pub not_after: Option<UnixSeconds>,
    /// Whether it was used.
    pub state: TokenState,
}

impl fmt::Display for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut id = String::new();
        base32::put(&self.id.0, &mut id);
        let owner = self.owner.as_ref().map_or("-", Name::as_str);
        write!(f, "{id} {} {owner} {}", self.role, self.expires)?;
        if let Some(at) = self.not_after {
            write!(f, " not-after={at}")?;
        }
        match self.state {
            TokenState::Fresh => Ok(()),
            TokenState::Taken(key) => write!(f, " taken={key}"),
            TokenState::Joined(key) => write!(f, " joined={key}"),
        }
    }
}

/// Why the file of tokens cannot be used or changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TokensError {
    /// It is not to be believed, or cannot be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A line is wrong.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It is of another cluster than the peers file.
    #[error("the join tokens are of cluster {found}, and the peers file is of {expected}")]
    Cluster {
        /// The tokens'.
        found: ClusterId,
        /// The peers'.
        expected: ClusterId,
    },
    /// There are too many.
    #[error("there are {TOKENS_MAX} join tokens already: wait until some have expired")]
    TooMany,
    /// A token may not give this role.
    #[error("no token is made for the role {0}: trust its key by hand")]
    Role(Role),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// Why a joiner was refused, for the scheduler's log.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JoinError {
    /// As the joiner is told.
    #[error("a join was refused: {0}")]
    Refused(JoinRefused),
    /// The token's file.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The peers file.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

impl JoinError {
    /// What the joiner is told.
    #[must_use]
    pub fn to_tell(&self) -> JoinRefused {
        match self {
            Self::Refused(code) => *code,
            Self::Peers(PeersError::NameTaken { .. }) => JoinRefused::NameTaken,
            Self::Peers(PeersError::KeyTaken { .. }) => JoinRefused::KeyTaken,
            Self::Tokens(_) | Self::Peers(_) => JoinRefused::NotRecorded,
        }
    }
}

/// The file of tokens. Every change is on disk before it is told.
#[derive(Debug)]
pub struct TokensFile {
    file: Guarded,
    cluster: ClusterId,
}

impl TokensFile {
    /// Opens it; one that is not there is empty, and is made with the first token. What a crash left between its two
    /// steps is finished: a taken token whose key has its line in `peers` counts as joined.
    ///
    /// # Errors
    /// When it is not to be believed, a line is wrong, or it is of another cluster.
    pub fn open(path: &Path, peers: &PeersFile) -> Result<Self, TokensError> {
        let this = Self { file: Guarded::at(path)?, cluster: peers.peers().cluster() };
        let lock = this.file.lock()?;
        let mut tokens = this.load()?;
        let mut changed = false;
        for token in &mut tokens {
            if let TokenState::Taken(key) = token.state
                && peers.peers().get(key).is_some()
            {
                token.state = TokenState::Joined(key);
                changed = true;
            }
        }
        if changed {
            this.store(&tokens)?;
        }
        drop(lock);
        Ok(this)
    }

    /// All tokens that are remembered.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Vec<TokenRecord>, TokensError> {
        self.load()
    }

    /// Makes a token that lets one key join as `role` before `expires`, and notes its hash. `scheduler` is the key the
    /// joiner will find. Only nodes and clients join by tokens: who may vouch for others, or decide, is trusted by hand.
    ///
    /// # Errors
    /// When the role is another, there are too many, or it cannot be recorded.
    pub fn try_make(
        &self,
        scheduler: Fingerprint,
        role: Role,
        owner: Option<Name>,
        expires: UnixSeconds,
        not_after: Option<UnixSeconds>,
        now: UnixSeconds,
    ) -> Result<Token, TokensError> {
        if !matches!(role, Role::Node | Role::Client) {
            return Err(TokensError::Role(role));
        }
        let _lock = self.file.lock()?;
        let mut tokens = self.load()?;
        tokens.retain(|token| token.expires.plus_s(REMEMBERED_S) > now);
        if tokens.len() >= TOKENS_MAX {
            return Err(TokensError::TooMany);
        }
        let token = Token::generate(self.cluster, scheduler)?;
        tokens.push(TokenRecord {
            id: token.id(),
            role,
            owner,
            expires,
            not_after,
            state: TokenState::Fresh,
        });
        self.store(&tokens)?;
        Ok(token)
    }

    /// Verifies a request, and makes the joiner a peer. In this order: cluster, token known, signature for this very
    /// connection, used, expired, name and key free; then the token is marked as taken on disk, then the peer's line is
    /// written, then the mark says so. A crash between these lets the same key, and no other, ask again.
    ///
    /// # Errors
    /// [`JoinError`]; [`JoinError::to_tell`] is for the joiner.
    pub fn try_join(
        &self,
        request: &JoinRequest,
        peers: &mut PeersFile,
        now: UnixSeconds,
    ) -> Result<Joined, JoinError> {
        let refuse = |code| Err(JoinError::Refused(code));
        if request.cluster != self.cluster {
            return refuse(JoinRefused::WrongCluster);
        }
        let _lock = self.file.lock().map_err(TokensError::from)?;
        let mut tokens = self.load()?;
        let id = request.token_id();
        // All of them are looked at, so that the time tells nothing either.
        let mut at = None;
        for (i, token) in tokens.iter().enumerate() {
            if token.id.is(&id) {
                at = Some(i);
            }
        }
        let is_proved = request.is_proved();
        let Some(token) = at.filter(|_| is_proved).and_then(|at| tokens.get_mut(at)) else {
            return refuse(JoinRefused::NotAccepted);
        };
        let key = request.fingerprint();
        match token.state {
            TokenState::Fresh => {}
            TokenState::Taken(by) if by == key => {}
            TokenState::Taken(_) | TokenState::Joined(_) => return refuse(JoinRefused::Used),
        }
        if now >= token.expires {
            return refuse(JoinRefused::Expired);
        }
        let peer = Peer {
            fingerprint: key,
            role: token.role,
            name: request.name.clone(),
            not_after: token.not_after,
            owner: token.owner.clone(),
        };
        // The peers file as it is now: another process may have changed it.
        peers.maybe_reload()?;
        (*peers.peers()).clone().add(peer.clone())?;

        let joined = Joined { role: peer.role, name: peer.name.clone() };
        token.state = TokenState::Taken(key);
        self.store(&tokens)?;
        peers.try_add(peer)?;
        if let Some(token) = at.and_then(|at| tokens.get_mut(at)) {
            token.state = TokenState::Joined(key);
        }
        self.store(&tokens)?;
        Ok(joined)
    }

    fn load(&self) -> Result<Vec<TokenRecord>, TokensError> {
        let Some(bytes) = self.file.read(Secrecy::Secret, FILE_BYTES_MAX)? else { return Ok(Vec::new()) };
        let (cluster, tokens) = parse(&self.file.path(), &bytes)?;
        if cluster != self.cluster {
            return Err(TokensError::Cluster { found: cluster, expected: self.cluster });
        }
        Ok(tokens)
    }

    fn store(&self, tokens: &[TokenRecord]) -> Result<(), TokensError> {
        let mut text = format!("cluster {}\n", self.cluster);
        for token in tokens {
            let _ = writeln!(text, "{token}");
        }
        Ok(self.file.replace(0o600, text.as_bytes())?)
    }
}

/// Reads the file's content.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<(ClusterId, Vec<TokenRecord>), TextError> {
    let (mut cluster, mut tokens) = (None, Vec::<TokenRecord>::new());
    each_line(path, bytes, |_, words| {
        match words {
            [] => {}
            [head, id] if cluster.is_none() && head.text == "cluster" => {
                let wrong = || (id.column, format!("{} is not 32 hexadecimal digits", quoted(id.text)));
                cluster = Some(ClusterId::parse(id.text).ok_or_else(wrong)?);
            }
            [first, ..] if cluster.is_none() => {
                return Err((
                    first.column,
                    "the first line must be `cluster` and 32 hexadecimal digits".to_owned(),
                ));
            }
            words => {
                let token = token_line(words)?;
                if tokens.iter().any(|other| other.id == token.id) {
                    return Err((words[0].column, "this token has a line already".to_owned()));
                }
                if tokens.len() >= TOKENS_MAX {
                    return Err((1, format!("there are more than {TOKENS_MAX} tokens")));
                }
                tokens.push(token);
            }
        }
        Ok(())
    })?;
    let missing = || TextError {
        path: path.to_owned(),
        line: 1,
        column: 1,
        what: "the line `cluster …` is missing: the file is empty".to_owned(),
    };
    Ok((cluster.ok_or_else(missing)?, tokens))
}

fn token_line(words: &[Word<'_>]) -> Result<TokenRecord, Wrong> {
    let [id, role, owner, expires, rest @ ..] = words else {
        let column = words.last().map_or(1, |word| word.column + word.text.len());
        return Err((column, "a line is a token's hash, a role, an owner and a time".to_owned()));
    };
    let [not_after, taken, joined] = options(rest, ["not-after", "taken", "joined"])?;
    let at = |word: Word<'_>| {
        let wrong = || format!("{} is not a time such as 2027-01-31T12:00:00Z", quoted(word.text));
        UnixSeconds::parse(word.text).ok_or_else(|| (word.column, wrong()))
    };
    let key = |word: Word<'_>| {
        Fingerprint::parse(word.text)
            .map_err(|error| (word.column, format!("{} is {error}", quoted(word.text))))
    };
    let state = match (taken, joined) {
        (None, None) => TokenState::Fresh,
        (Some(taken), None) => TokenState::Taken(key(taken)?),
        (None, Some(joined)) => TokenState::Joined(key(joined)?),
        (Some(_), Some(joined)) => {
            return Err((joined.column, "a token is taken or joined, not both".to_owned()));
        }
    };
    let bad_id = || (id.column, format!("{} is not a token's hash", quoted(id.text)));
    let bad_role = || (role.column, format!("{} is not a role that joins by a token", quoted(role.text)));
    let bad_owner = |error| (owner.column, format!("{} is {error}", quoted(owner.text)));
    Ok(TokenRecord {
        id: base32::get(id.text.as_bytes()).map(TokenId).ok_or_else(bad_id)?,
        role: Role::parse(role.text)
            .filter(|role| matches!(role, Role::Node | Role::Client))
            .ok_or_else(bad_role)?,
        owner: if owner.text == "-" { None } else { Some(Name::parse(owner.text).map_err(bad_owner)?) },
        expires: at(*expires)?,
        not_after: not_after.map(at).transpose()?,
        state,
    })
}
