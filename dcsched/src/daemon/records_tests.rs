//! Bytes that stay as they are, and any others: never a panic.

use super::*;
use dc_model::cluster::NodeWants;
use dc_model::{Attempt, Record, StopReason, SubtaskId};

fn submitted(record: &[u8]) -> ClusterRecord {
    ClusterRecord::Submitted {
        job: 7,
        uuid: JobUuid(*b"0123456789abcdef"),
        key: [0xee; 16],
        uid: 1000,
        wants: Box::new(Wants {
            nodes: NodeWants { nodes_min: 1, nodes_max: 2, only: vec!["n1".into()], ..NodeWants::default() },
            time_limit_ns: Some(5),
            detached: true,
            keep: false,
            brief: vec![9],
        }),
        record: Arc::from(record),
    }
}

fn all() -> Vec<ClusterRecord> {
    vec![
        submitted(b"job record"),
        ClusterRecord::Job { job: 7, record: Record::Granted { subtask: SubtaskId(3), attempt: Attempt(1) } },
        ClusterRecord::Job { job: 7, record: Record::Stopping { reason: StopReason::Signal(15) } },
        ClusterRecord::Forgotten { job: 7 },
        ClusterRecord::NodeSeen { node: 2, name: "n1".into() },
        ClusterRecord::NodeUp { node: 2 },
        ClusterRecord::NodeLost { node: 2 },
        ClusterRecord::NodeDrain { node: 2, drain: true, reason: "disk".into() },
        ClusterRecord::LeaseTold { lease_ns: 60_000_000_000 },
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// What docs/journal-format.md shows: `TYPE: bytes`.
fn drawn() -> Vec<String> {
    let page = include_str!("../../../docs/journal-format.md");
    let from = page.split("<!-- scheduler's records, held to the code by a test -->").nth(1).unwrap();
    let lines =
        from.lines().skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    "));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bytes_stay_as_they_are_and_the_page_shows_them() {
    let mut made = Vec::new();
    for record in all() {
        let encoded = encode(&record);
        let [(kind, payload)] = &encoded[..] else { panic!("{record:?} is several") };
        assert_eq!(decode(*kind, payload).unwrap(), record);
        for (i, line) in payload.chunks(16).enumerate() {
            let kind = if i == 0 { format!("{kind}:") } else { "   ".into() };
            made.push(format!("{kind} {}", hex(line)).trim().to_owned());
        }
    }
    assert_eq!(made, drawn(), "docs/journal-format.md should have\n{}", made.join("\n"));
}

#[test]
fn what_is_torn_or_changed_is_refused_or_read_and_never_a_panic() {
    for record in all() {
        let (kind, payload) = encode(&record).remove(0);
        for end in 0..payload.len() {
            if let Ok(other) = decode(kind, &payload[..end]) {
                assert_ne!(other, record);
            }
        }
        for at in 0..payload.len() {
            let mut other = payload.clone();
            for value in [0, 1, 0x7f, 0xff] {
                other[at] = value;
                let _ = (decode(kind, &other), describe(kind, &other));
            }
        }
    }
    assert!(decode(15, &[]).is_err() && decode(99, &[]).is_err());
}

fn push(assembler: &mut Assembler, kind: u16, payload: &[u8]) -> Result<Option<ClusterRecord>, DecodeError> {
    assembler.push(RecordRef { seq: 1, epoch: 1, kind, payload })
}

#[test]
fn a_long_submission_is_cut_and_put_together_again() {
    let long = submitted(&vec![5; 3 * PAYLOAD_BYTES_MAX]);
    let pieces = encode(&long);
    assert_eq!(pieces.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [PIECE, PIECE, PIECE, LAST_PIECE]);
    assert!(pieces.iter().all(|(_, payload)| payload.len() <= PAYLOAD_BYTES_MAX));
    let assembler = &mut Assembler::default();
    let mut got = Vec::new();
    for (kind, payload) in &pieces {
        got.extend(push(assembler, *kind, payload).unwrap());
    }
    assert_eq!(got, std::slice::from_ref(&long));
    // Killed in the midst of it: what came is nobody's.
    push(assembler, pieces[0].0, &pieces[0].1).unwrap();
    assert_eq!(push(assembler, TYPE_EPOCH, &[]), Ok(None));
    assert!(push(assembler, pieces[1].0, &pieces[1].1).is_err(), "a piece without those before it");
    let mut again = Vec::new();
    for (kind, payload) in &pieces {
        again.extend(push(assembler, *kind, payload).unwrap());
    }
    assert_eq!(again, [long]);
}

#[test]
fn a_dump_says_what_records_mean() {
    let said = |record: &ClusterRecord| {
        let (kind, payload) = encode(record).remove(0);
        describe(kind, &payload)
    };
    let names: Vec<_> = all().iter().map(|record| said(record).name).collect();
    let wanted = [
        "submitted",
        "job",
        "job",
        "forgotten",
        "node-seen",
        "node-up",
        "node-lost",
        "node-drain",
        "lease-told",
    ];
    assert_eq!(names, wanted);
    let fields = said(&all()[1]).fields;
    assert_eq!(fields[1].1, json!("Granted { subtask: SubtaskId(3), attempt: Attempt(1) }"));
    assert_eq!(describe(99, &[1]).name, "type-99");
}
