//! One connection that asks for data, or brings it: one request after another until it is closed.

use super::line::{Line, LineError};
use super::results;
use super::serve::{Over, Serving, may_have};
use dc_link::{Conn, Identity};
use dc_model::cluster::data::{FROM_DATA, FromData, ToData};
use dc_model::codec::DecodeError;

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
            if dir.exists() && !may_have(who, &dir) {
                return line.say(&ToData::No(format!("job {job} is another user's")));
            }
            results::serve(line, &[&dir], job, &wanted)
        }
        FromData::Piece(_) => Err(DecodeError::Impossible("piece of nothing").into()),
        _ => line.say(&ToData::No("this node does not do that".to_owned())),
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
