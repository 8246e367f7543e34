//! Every record type there and back; golden bytes; the table of types.

use super::super::samples::records;
use super::*;

fn bytes(record: &Record) -> Vec<u8> {
    let mut w = Writer::new();
    encode(record, &mut w);
    w.bytes
}

#[test]
fn every_type_is_read_back_and_nothing_shorter_or_longer_is() {
    for record in records() {
        let payload = bytes(&record);
        assert_eq!(decode(number(&record), &payload), Ok(record.clone()));
        for cut in 0..payload.len() {
            assert!(decode(number(&record), &payload[..cut]).is_err(), "{record:?} cut at {cut}");
        }
        let longer = [&payload[..], &[0]].concat();
        assert!(decode(number(&record), &longer).is_err(), "{record:?}");
    }
}

#[test]
fn what_is_read_is_written_again_the_same() {
    for record in records() {
        let payload = bytes(&record);
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decode(number(&record), &flipped) {
                assert_eq!(bytes(&other), flipped, "one way of writing {other:?}");
            }
        }
    }
}

#[test]
fn the_table_of_types_is_whole() {
    let mut seen = std::collections::BTreeSet::new();
    for record in records() {
        let mut name = format!("{record:?}").split([' ', '{']).next().unwrap().to_owned();
        if matches!(record, Record::Launched { node: 1.., .. }) {
            name.push_str("On");
        }
        assert!(TYPES.contains(&(number(&record), name.as_str())), "{name}");
        seen.insert(number(&record));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), TYPES.map(|(number, _)| number));
    assert_eq!(decode(12, &[]), Err(DecodeError::Unknown("type of record")));
    assert_eq!(decode(0, &[]), Err(DecodeError::Unknown("type of record")));
}

#[test]
fn golden_bytes() {
    let (subtask, attempt) = (SubtaskId(0x0102), Attempt(3));
    let launched =
        |node| Record::Launched { subtask, attempt, rank: Rank(4), cpus: CpuSet::from_iter([0, 9]), node };
    assert_eq!(bytes(&launched(0)), [2, 1, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0]);
    let mut on_a_node = bytes(&launched(7));
    let expected = [2, 1, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0];
    assert_eq!((number(&launched(7)), on_a_node.as_slice()), (128, expected.as_slice()));
    on_a_node[12] = 0;
    assert_eq!(
        decode(128, &on_a_node),
        Err(DecodeError::Impossible("node")),
        "that is a launch without a node"
    );
    let done = Record::Done { subtask, attempt, result: Some(ResultMeta { len: 5, crc: 6 }) };
    assert_eq!(bytes(&done), [2, 1, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    let failed = Record::AttemptFailed {
        subtask,
        attempt,
        outcome: Outcome::Signalled(9),
        checkpoint: Some(Restart { attempt: Attempt(2), step: 7 }),
        advanced: true,
        retry: false,
    };
    let expected =
        [2, 1, 0, 0, 3, 0, 0, 0, 2, 9, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(bytes(&failed), expected);
    let node = Record::Node { host: "ab".to_owned(), cores: 4, usable: 3, predicted_ns: Some(5) };
    let expected = [4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b'];
    assert_eq!(bytes(&node), expected);
    let measured = Record::Measured { subtask, attempt, ended_ns: 9, ran_ns: 8, kept_ns: 7 };
    let mut expected = vec![2, 1, 0, 0, 3, 0, 0, 0];
    [9u64, 8, 7].iter().for_each(|ns| expected.extend(ns.to_le_bytes()));
    assert_eq!(bytes(&measured), expected);
    assert_eq!(bytes(&Record::Stopping { reason: StopReason::Signal(15) }), [4, 15]);
}
