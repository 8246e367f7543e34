//! One connection that asks for data, or brings it: one request after another until it is closed.

use super::broadcast;
use super::copies::serve as copies;
use super::line::{Line, LineError};
use super::results;
use super::serve::{Over, Serving, may_have};
use crate::starters::Site;
use dc_link::{Conn, Identity, Role};
use dc_model::cluster::data::{FROM_DATA, FromData, ToData};
use dc_model::codec::DecodeError;
use nix::unistd::geteuid;

/// How long a request is waited for, in ns: a command fetches again and again while a job runs.
const REQUEST_NS: u64 = 600_000_000_000;

/// Whether this is the kind of a message of data.
pub(super) fn is_data(kind: u8) -> bool {
    FROM_DATA.iter().any(|row| row.0 == kind)
}

pub(super) fn serve(
    conn: &mut Conn,
    who: &Identity,
    first: (u8, Vec<u8>),
    serving: &Serving,
) -> Result<(), Over> {
    let mut line = Line::accepted(conn, first);
    loop {
        let message = line.hear(REQUEST_NS).map_err(over)?;
        answer(&mut line, who, message, serving).map_err(over)?;
    }
}

fn answer(
    line: &mut Line<'_>,
    who: &Identity,
    message: FromData,
    serving: &Serving,
) -> Result<(), LineError> {
    match message {
        FromData::FetchResults { job, wanted } => {
            let dir = serving.jobs.join(job.to_string());
            let site = Site::of(job, dir, serving.exec.as_ref()).ok();
            if site.as_ref().is_some_and(|site| !may_have(who, site.dir())) {
                return line.say(&ToData::No(format!("job {job} is another user's")));
            }
            let shared =
                serving.shared.as_ref().map(|shared| Site::new(job, shared.join(job.to_string()), None));
            let sites: Vec<Site> = site.into_iter().chain(shared).collect();
            results::serve(line, &sites, job, &wanted)
        }
        FromData::PutCopy { .. }
        | FromData::ListCopies { .. }
        | FromData::GetCopy { .. }
        | FromData::Forget { .. }
            if !is_node(who) =>
        {
            Err(LineError::Refused("copies of checkpoints are between nodes".to_owned()))
        }
        FromData::PushFile { .. } | FromData::GetFile { .. } if !may_bring(who) => {
            Err(LineError::Refused("files are handed out by this user's commands".to_owned()))
        }
        FromData::PutCopy { job, subtask, restart, bytes } => {
            copies::take(line, &serving.copies, job, subtask, restart, bytes)
        }
        FromData::ListCopies { job, below } => {
            copies::list(line, &serving.copies, &serving.jobs, job, &below)
        }
        FromData::GetCopy { job, subtask, restart } => {
            let places = copies::places(&serving.copies, &serving.jobs, job);
            copies::send(line, &places, subtask, restart)
        }
        FromData::Forget { job } => {
            serving.copies.forget(job);
            line.say(&ToData::Done)
        }
        FromData::PushFile { hash, bytes, below } => {
            broadcast::take(line, &serving.blobs, &serving.reach, hash, bytes, &below)
        }
        FromData::GetFile { hash } => broadcast::send(line, &serving.blobs, &hash),
        FromData::Piece(_) => Err(DecodeError::Impossible("piece of nothing").into()),
    }
}

/// Whether it may hand out files: where all is one user's, whoever is in the peers file.
fn may_bring(who: &Identity) -> bool {
    matches!(who, Identity::Peer(_)) || is_node(who)
}

/// Whether it is another node's dcd; on one host, whoever may see all of this one's files.
fn is_node(who: &Identity) -> bool {
    match who {
        Identity::Peer(peer) => peer.role == Role::Node,
        Identity::Local(who) => who.uid == 0 || who.uid == geteuid().as_raw(),
        Identity::Joiner(_) => false,
    }
}

fn over(error: LineError) -> Over {
    match error {
        LineError::Link(error) => Over::Link(error),
        LineError::Message(error) => Over::Message(error),
        LineError::Ended(_) => Over::Ended,
        other => Over::Refused(other.to_string()),
    }
}
