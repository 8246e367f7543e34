//! Holds the tables of docs/spool-format.md to the journal's code.

use super::samples::records;
use super::{Before, FRAME_BYTES, SEGMENT_HEADER_BYTES, TYPES, codec, frame, segment};
use crate::drawn_tests::{assert_without_gaps, table, type_bytes};
use dc_model::codec::Writer;
use dc_model::{CpuSet, JobUuid, Record};

#[test]
fn types_have_their_numbers_and_lengths() {
    let rows = table("type");
    let listed: Vec<_> = rows.iter().map(|row| (row[0].parse().unwrap(), row[1].as_str())).collect();
    assert_eq!(listed, TYPES);
    for record in records() {
        // The CPUs' words come on top of what is always there.
        let record = match record {
            Record::Launched { subtask, attempt, rank, node, .. } => {
                Record::Launched { subtask, attempt, rank, cpus: CpuSet::new(), node }
            }
            Record::Node { cores, usable, predicted_ns, .. } => {
                Record::Node { host: String::new(), cores, usable, predicted_ns }
            }
            other => other,
        };
        let mut w = Writer::new();
        codec::encode(&record, &mut w);
        let row = rows.iter().find(|row| row[0] == codec::number(&record).to_string()).unwrap();
        let words = row[2].split(|c: char| !c.is_ascii_alphanumeric());
        let mut drawn: usize = words.map(type_bytes).sum();
        if matches!(record, Record::Launched { .. }) {
            drawn -= 8;
        }
        assert_eq!(drawn, w.bytes.len(), "{}", row[1]);
    }
}

#[test]
fn headers_of_segments_and_records_are_as_drawn() {
    assert_without_gaps("segment", 60, SEGMENT_HEADER_BYTES);
    assert_without_gaps("record", 0, FRAME_BYTES);
    let before = Before { bytes: 0x1111_1111_1111, seq: 0x2222_2222_2222, crc: 0x3333_3333 };
    let header = segment::encode(JobUuid([0; 16]), 9, before);
    let shared = frame::Shared { seed: segment::seed(&header), epoch: 9 };
    let mut bytes = Vec::new();
    let record = Record::Ended { status: 7 };
    let crc = frame::encode(&mut bytes, shared, 0x4444_4444_4444, 0x5558, 0x6666_6666, &record);
    let mut covered = header.clone();
    covered.extend_from_slice(&bytes[..28]);
    covered.extend_from_slice(&bytes[32..]);
    assert_eq!(crc32c::crc32c(&covered), crc, "what the CRC is of");
    assert_eq!((bytes.len(), bytes[32]), (40, 7));

    let expected = [
        ("segment", "valid length", before.bytes),
        ("segment", "sequence number", before.seq),
        ("segment", "CRC of that", u64::from(before.crc)),
        ("segment", "zero", 0),
        ("segment", "CRC of the header", u64::from(crc32c::crc32c(&header[..84]))),
        ("record", "length of the payload", 1),
        ("record", "type", 11),
        ("record", "zero", 0),
        ("record", "sequence number", 0x4444_4444_4444),
        ("record", "epoch", 9),
        ("record", "D:", 0x5558 / 8),
        ("record", "CRC of the record before", 0x6666_6666),
        ("record", "CRC of:", u64::from(crc)),
    ];
    for (name, start, value) in expected {
        let row = table(name).into_iter().find(|row| row[2].starts_with(start)).unwrap();
        let (at, len) = (row[0].parse::<usize>().unwrap(), type_bytes(&row[1]));
        let from = if name == "segment" { &header } else { &bytes };
        assert_eq!(from[at..at + len], value.to_le_bytes()[..len], "{name}: {start}");
    }
}
