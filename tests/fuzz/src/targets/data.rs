//! What nodes and commands send each other past the scheduler, and the list of files in a job's environment.

use dc_model::cluster::data::{FROM_DATA, FromData, NodeAddress, TO_DATA, ToData};
use dc_model::cluster::files;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};

/// One meaning has one spelling, within its kind's length; a file's name never leads out of its directory.
pub fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let is_within =
        |table: &[dc_model::cluster::Kind]| table.iter().any(|row| row.0 == *kind && body.len() <= row.2);
    if is_within(FROM_DATA)
        && let Ok(message) = FromData::decode(*kind, body)
    {
        assert_eq!((message.kind(), &message.body()[..]), (*kind, body));
    }
    if is_within(TO_DATA)
        && let Ok(message) = ToData::decode(*kind, body)
    {
        assert_eq!((message.kind(), &message.body()[..]), (*kind, body));
    }
    if let Some(list) = std::str::from_utf8(data).ok().and_then(files::read) {
        assert_eq!(files::write(&list).as_bytes(), data);
        assert!(list.iter().all(|file| !file.name.contains('/') && file.name != ".." && file.name != "."));
    }
}

/// Some of each side.
pub fn seeds() -> Vec<Vec<u8>> {
    let (job, subtask) = (JobUuid([7; 16]), SubtaskId(1));
    let restart = Restart { attempt: Attempt(2), step: 9 };
    let node = NodeAddress { name: "n1".into(), address: "n1:7".into(), fingerprint: String::new() };
    let from = [
        FromData::PutCopy { job, subtask, restart, bytes: 6 },
        FromData::ListCopies { job, below: vec![(subtask, Attempt(2))] },
        FromData::PushFile { hash: [8; 32], bytes: 9, below: vec![node] },
        FromData::Piece(vec![1, 2]),
    ];
    let to = [
        ToData::Result { index: 1, dtype: 2, layout: 3, values_per_cell: 4, bytes: 5, piece: vec![6] },
        ToData::Copies(vec![(subtask, restart)]),
        ToData::PassedOn { failed: vec![("n2".into(), "away".into())] },
        ToData::Length(Some(3)),
    ];
    let mut seeds: Vec<Vec<u8>> = from.iter().map(|m| [&[m.kind()], &m.body()[..]].concat()).collect();
    seeds.extend(to.iter().map(|m| [&[m.kind()], &m.body()[..]].concat()));
    let file = files::JobFile { hash: [3; 32], is_kernel: true, name: "kernel".into() };
    seeds.push(files::write(&[file.clone(), file]).into_bytes());
    seeds
}
