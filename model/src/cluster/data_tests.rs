//! The messages of data: each is what it was, and its bytes are these.

use super::data::*;
use super::tests::check;
use crate::{Attempt, JobUuid, Restart, ResultMeta, SubtaskId};

const JOB: JobUuid = JobUuid([7; 16]);
const RESTART: Restart = Restart { attempt: Attempt(2), step: 9 };

fn from_data() -> Vec<FromData> {
    let (subtask, attempt) = (SubtaskId(1), Attempt(2));
    let meta = ResultMeta { len: 4, crc: 5 };
    let node = NodeAddress { name: "n1".into(), address: "n1:7".into(), fingerprint: "dc1:x".into() };
    vec![
        FromData::FetchResults { job: JOB, wanted: vec![WantedResult { subtask, attempt, at: 3, meta }] },
        FromData::PutCopy { job: JOB, subtask, restart: RESTART, bytes: 6 },
        FromData::Piece(vec![1, 2]),
        FromData::ListCopies { job: JOB, below: vec![(subtask, attempt)] },
        FromData::GetCopy { job: JOB, subtask, restart: RESTART },
        FromData::PushFile { hash: [8; 32], bytes: 9, below: vec![node] },
        FromData::GetFile { hash: [8; 32] },
        FromData::Forget { job: JOB },
    ]
}

fn to_data() -> Vec<ToData> {
    vec![
        ToData::Result { index: 1, dtype: 2, layout: 3, values_per_cell: 4, bytes: 5, piece: vec![6] },
        ToData::Piece(vec![1]),
        ToData::NoResult { index: 1, why: "no".into() },
        ToData::Done,
        ToData::Copies(vec![(SubtaskId(1), RESTART)]),
        ToData::Length(Some(3)),
        ToData::PassedOn { failed: vec![("n2".into(), "away".into())] },
        ToData::No("no".into()),
    ]
}

#[test]
fn every_message_of_data_is_what_it_was() {
    check(&from_data(), FROM_DATA, |m| (m.kind(), m.body()), FromData::decode);
    check(&to_data(), TO_DATA, |m| (m.kind(), m.body()), ToData::decode);
}

#[test]
fn what_is_too_much_is_refused() {
    let piece = FromData::Piece(vec![0; PIECE_BYTES_MAX + 1]).body();
    assert!(FromData::decode(0xa2, &piece).is_err());
    let below = vec![(SubtaskId(1), Attempt(2)); COPIES_MAX + 1];
    assert!(FromData::decode(0xa3, &FromData::ListCopies { job: JOB, below }.body()).is_err());
    // A count that the bytes do not hold costs nothing.
    let mut body = JOB.0.to_vec();
    body.extend(u32::MAX.to_le_bytes());
    assert!(FromData::decode(0xa0, &body).is_err());
}

#[test]
fn the_bytes_of_data_are_these() {
    let hex = |(kind, body): (u8, Vec<u8>)| {
        let digits: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{kind:02x} {digits}\n")
    };
    let mut text: String = from_data().iter().map(|m| hex((m.kind(), m.body()))).collect();
    text.extend(to_data().iter().map(|m| hex((m.kind(), m.body()))));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cluster/data_golden.hex");
    if std::env::var_os("DC_REWRITE").is_some() {
        std::fs::write(path, &text).expect("the file can be written");
    }
    assert_eq!(
        text,
        include_str!("data_golden.hex"),
        "set DC_REWRITE=1 to write them anew, with a new version"
    );
}
