//! Holds docs/journal-format.md to the code: its bytes and its tables.

use super::*;
use crate::queue::Batch;
use crate::segment::SegmentHeader;
use crate::snapshot::{self, Stands};
use crate::writer::Writer;
use dc_spool::journal::Before;

const PAGE: &str = include_str!("../../../../docs/journal-format.md");
const CLUSTER: ClusterUuid = ClusterUuid(*b"0123456789abcdef");

/// The bytes of the drawing called `name`.
fn drawn(name: &str) -> Vec<u8> {
    let marker = format!("<!-- {name} bytes, held to the code by a test -->");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page draws no {name}"));
    let lines = after.lines().skip(2).take_while(|line| line.starts_with("    "));
    lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn as_drawn(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|line| {
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("    {}\n", hex.join(" "))
    });
    lines.collect()
}

fn assert_drawn(name: &str, bytes: &[u8]) {
    assert!(bytes == drawn(name), "the format has changed; {name} is now\n\n{}", as_drawn(bytes));
}

/// Rows of the table called `name`: where a field is, its type, what it is.
fn table(name: &str) -> Vec<(usize, usize, String)> {
    let marker = format!("<!-- {name} table, held to the code by a test -->");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page has no table of {name}"));
    let lines = after.lines().skip_while(|line| line.is_empty()).take_while(|line| line.starts_with('|'));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let rows = lines.skip(2).map(cells);
    let bytes = |text: &str| match text {
        "u16" => 2,
        "u32" => 4,
        "u64" => 8,
        other => other.strip_suffix(" bytes").unwrap().parse().unwrap(),
    };
    rows.map(|row| (row[0].parse().unwrap(), bytes(&row[1]), row[2].clone())).collect()
}

/// The table's fields follow each other and end at `end`; each that is named has its value in `bytes`.
fn assert_table(name: &str, bytes: &[u8], end: usize, values: &[(&str, u128)]) {
    let mut at = 0;
    for (from, len, what) in table(name) {
        assert_eq!(from, at, "{name}: {what}");
        at += len;
    }
    assert_eq!(at, end, "{name} ends there");
    for (start, value) in values {
        let row = table(name).into_iter().find(|(_, _, what)| what.starts_with(start));
        let (from, len, _) = row.unwrap_or_else(|| panic!("{name} has no {start}"));
        assert_eq!(bytes[from..from + len], value.to_le_bytes()[..len], "{name}: {start}");
    }
}

#[test]
fn a_segment_is_as_drawn() {
    let tmp = scratch();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut writer = Writer::begin(&dir, CLUSTER, 1, 0, Before::default(), small()).unwrap();
    assert_eq!(writer.segment(), 1);
    let mut batch = Batch::default();
    batch.push(TYPE_EPOCH, &[1, 0, 0, 0, 7, 0, 0, 0]);
    writer.commit(&batch).unwrap();
    let mut batch = Batch::default();
    batch.push(TYPE_FIRST, b"submit");
    batch.push(TYPE_FIRST + 1, b"");
    writer.commit(&batch).unwrap();
    let bytes = std::fs::read(tmp.path().join("journal.000001")).unwrap();
    let used = SEGMENT_HEADER_BYTES + 40 + 40 + 32;
    assert!(bytes[used..].iter().all(|b| *b == 0));
    assert_drawn("segment", &bytes[..used]);
}

#[test]
fn a_snapshot_and_the_cluster_record_are_as_drawn() {
    let tmp = scratch();
    let dir = Dir::open(tmp.path()).unwrap();
    let stands = Stands { number: 2, seq: 3, crc: 0x1234_5678, epoch: 1 };
    snapshot::write(&dir, CLUSTER, stands, b"the state").unwrap();
    let bytes = std::fs::read(tmp.path().join("snapshot.000002")).unwrap();
    assert_drawn("snapshot", &bytes);
    let state = tmp.path().join("state");
    init(&state).unwrap();
    let mut bytes = std::fs::read(state.join("cluster")).unwrap();
    bytes[16..32].copy_from_slice(&CLUSTER.0);
    let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..].copy_from_slice(&crc);
    assert_drawn("cluster", &bytes);
}

#[test]
fn fields_are_where_the_tables_say() {
    let before = Before { bytes: 0x1111_1111_1111, seq: 0x2222_2222_2222, crc: 0x3333_3333 };
    let header = SegmentHeader { number: 9, epoch: 0x4444, before };
    let bytes = header.encode(CLUSTER);
    let uuid = u128::from_le_bytes(CLUSTER.0);
    let fields = [
        ("version", 1),
        ("length of the header", 88),
        ("the cluster", uuid),
        ("number of the segment", 9),
        ("length of the segment before", u128::from(before.bytes)),
        ("number of the last record", u128::from(before.seq)),
        ("CRC of that", u128::from(before.crc)),
        ("epoch", 0x4444),
        ("CRC of the header", u128::from(crc32c::crc32c(&bytes[..84]))),
    ];
    assert_table("segment header", &bytes, SEGMENT_HEADER_BYTES, &fields);

    let tmp = scratch();
    let dir = Dir::open(tmp.path()).unwrap();
    let stands = Stands { number: 2, seq: 0x55_5555_5555, crc: 0x6666_6666, epoch: 0x7777 };
    let digest = snapshot::write(&dir, CLUSTER, stands, b"the state").unwrap();
    let bytes = std::fs::read(tmp.path().join("snapshot.000002")).unwrap();
    let fields = [
        ("version", 1),
        ("length of the header", 96),
        ("the cluster", uuid),
        ("number of the snapshot", 2),
        ("length of the state", 9),
        ("CRC of the state", u128::from(crc32c::crc32c(b"the state"))),
        ("number of the record", u128::from(stands.seq)),
        ("CRC of that", u128::from(stands.crc)),
        ("epoch", 0x7777),
        ("digest", digest),
        ("CRC of the header", u128::from(crc32c::crc32c(&bytes[..92]))),
    ];
    assert_table("snapshot header", &bytes, SNAPSHOT_HEADER_BYTES, &fields);
    assert_table("chunk", &bytes[SNAPSHOT_HEADER_BYTES..], CHUNK_HEAD_BYTES, &[("length", 9), ("number", 0)]);
    assert_table("record", &[], dc_spool::journal::FRAME_BYTES, &[]);
}
