//! One connection whose other side is known: what it asks for first decides what it is.

use super::broadcast::Blobs;
use super::copies::Store;
use super::data;
use super::reach::Reach;
use super::stream::{self, Attached};
use super::{ALIVE_NS, clock};
use crate::daemon::PeerAsks;
use crate::privileged::Privileged;
use dc_link::{Conn, Event, Identity, LinkError};
use dc_model::cluster::peer::{FromPeer, ToPeer};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{User, geteuid};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing::debug;

/// What connections need of their node.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where the jobs' directories are.
    pub jobs: PathBuf,
    /// Where checkpoints and results of all nodes are, if they are kept there.
    pub shared: Option<PathBuf>,
    /// Copies for others.
    pub(crate) copies: Store,
    /// Files by their content.
    pub(crate) blobs: Blobs,
    /// The other nodes.
    pub(crate) reach: Reach,
    /// What reaches other users' jobs.
    pub exec: Option<Privileged>,
    /// The way to the daemon's loop.
    pub asks: PeerAsks,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Over {
    /// The link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A frame that is no message, or not one that may come now.
    #[error("it sent a message that {0}")]
    Message(#[from] dc_model::codec::DecodeError),
    /// It is to be told this.
    #[error("refused: {0}")]
    Refused(String),
    /// On purpose.
    #[error("ended")]
    Ended,
}

/// The thread of one connection.
pub(super) fn serve(mut conn: Conn, serving: &Serving) {
    let over = match try_serve(&mut conn, serving) {
        Ok(()) => return,
        Err(over) => over,
    };
    debug!("a peer's connection is over: {over}");
    if let Over::Refused(text) = over {
        let refused = ToPeer::Refused { text };
        let _ = conn.send(refused.kind(), &refused.body());
        conn.session().close("");
        finish(&mut conn);
    }
}

/// Sends what waits, within a moment.
fn finish(conn: &mut Conn) {
    let end = clock::boottime_ns().saturating_add(1_000_000_000);
    while !conn.is_finished() && clock::boottime_ns() < end {
        if conn.on_writable(clock::boottime_ns()).is_err() {
            return;
        }
        let mut fds = [PollFd::new(conn.as_fd(), PollFlags::POLLOUT)];
        let _ = poll(&mut fds, PollTimeout::from(100u8));
    }
}

fn try_serve(conn: &mut Conn, serving: &Serving) -> Result<(), Over> {
    let who = conn.session().identity().cloned().ok_or(Over::Ended)?;
    loop {
        if let Some((kind, body)) = next_frame(conn)? {
            if data::is_data(kind) {
                return data::serve(conn, &who, (kind, body), serving);
            }
            return match FromPeer::decode(kind, &body)? {
                FromPeer::Attach { job, have } => {
                    let dir = serving.jobs.join(job.to_string());
                    stream::serve(conn, Attached { job, dir, have, who }, serving)
                }
                FromPeer::Alive => continue,
                FromPeer::Taken { .. } | FromPeer::Input(_) => {
                    Err(Over::Refused("attach to a job first".to_owned()))
                }
            };
        }
        wait(conn, &mut [], None)?;
    }
}

/// The first frame, of whatever kind.
fn next_frame(conn: &mut Conn) -> Result<Option<(u8, Vec<u8>)>, Over> {
    match conn.next_event()? {
        None | Some(Event::Up(_)) => Ok(None),
        Some(Event::Frame { kind, body }) => Ok(Some((kind, body.to_vec()))),
        Some(Event::Ended { .. }) => Err(Over::Ended),
        Some(Event::Join(_) | Event::Joined(_)) => Err(Over::Refused("nobody joins here".to_owned())),
    }
}

/// The next message that is there.
pub(super) fn next(conn: &mut Conn) -> Result<Option<FromPeer>, Over> {
    match conn.next_event()? {
        None | Some(Event::Up(_)) => Ok(None),
        Some(Event::Frame { kind, body }) => Ok(Some(FromPeer::decode(kind, body)?)),
        Some(Event::Ended { .. }) => Err(Over::Ended),
        Some(Event::Join(_) | Event::Joined(_)) => Err(Over::Refused("nobody joins here".to_owned())),
    }
}

/// Waits until the connection or one of these is ready, or until then; does what the connection needs.
pub(super) fn wait(
    conn: &mut Conn,
    others: &mut [(BorrowedFd<'_>, PollFlags)],
    until_ns: Option<u64>,
) -> Result<(), Over> {
    let now = clock::boottime_ns();
    let deadline = [conn.deadline_ns(), until_ns].into_iter().flatten().min();
    let ms =
        deadline.map_or(ALIVE_NS, |at| at.saturating_sub(now)).div_ceil(1_000_000).min(ALIVE_NS / 1_000_000);
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, conn.want_read());
    flags.set(PollFlags::POLLOUT, conn.want_write());
    let ready = {
        let mut fds = vec![PollFd::new(conn.as_fd(), flags)];
        fds.extend(others.iter().map(|(fd, flags)| PollFd::new(*fd, *flags)));
        let count = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)).unwrap_or(0);
        let ready: Vec<PollFlags> =
            fds.iter().map(|fd| fd.revents().filter(|_| count > 0).unwrap_or(PollFlags::empty())).collect();
        ready
    };
    for ((_, flags), ready) in others.iter_mut().zip(ready.iter().skip(1)) {
        *flags = *ready;
    }
    let now = clock::boottime_ns();
    let own = ready.first().copied().unwrap_or(PollFlags::empty());
    conn.on_tick(now)?;
    if own.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
        conn.on_writable(now)?;
    }
    if own.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
        conn.on_readable(now)?;
    }
    Ok(())
}

/// Whether this one may have what is in a job's directory: the job's own user, root, and where all is one user's, whoever
/// is in the peers file.
pub(super) fn may_have(who: &Identity, dir: &Path) -> bool {
    let own = geteuid().as_raw();
    let Ok(owner) = std::fs::symlink_metadata(dir).map(|stat| stat.uid()) else { return false };
    match who {
        Identity::Local(who) => who.uid == owner || who.uid == 0,
        Identity::Peer(peer) => {
            let user = || User::from_name(peer.name.as_str()).ok().flatten();
            owner == own || user().is_some_and(|user| user.uid.as_raw() == owner)
        }
        Identity::Joiner(_) => false,
    }
}
