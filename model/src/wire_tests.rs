//! Golden bytes and mutations of the wire messages.

use super::*;
use crate::Limit;

fn hello() -> ToStarter {
    ToStarter::Hello(Box::new(Hello {
        job: JobUuid([7; 16]),
        spool: b"/s".to_vec(),
        cwd: b"/".to_vec(),
        program: b"/bin/true".to_vec(),
        argv: vec![b"true".to_vec(), b"x".to_vec()],
        env: vec![b"A=1".to_vec()],
        ranks: 3,
        grace_ms: 30_000,
        openmp: OpenMp::Places,
        streams: StreamPlan {
            stdout: Sink::File(b"out.%T".to_vec()),
            stderr: Sink::Null,
            stdin: Source::At { path: b"/in".to_vec(), offset: 9, only: Some(SubtaskId(2)) },
            unbuffered: true,
            label: false,
            lanes_are_subtasks: true,
            fresh: true,
            name: b"k".to_vec(),
            user: b"ada".to_vec(),
        },
        limits: Some(Limits { umask: 0o027, list: vec![Limit { resource: 7, soft: 64, hard: u64::MAX }] }),
    }))
}

fn to_starter() -> Vec<ToStarter> {
    let launch = Launch {
        subtask: SubtaskId(4),
        attempt: Attempt(2),
        rank: Rank(1),
        cpus: CpuSet::from_iter([0, 65]),
        cores: 2,
        numa: Some(1),
        cells: 99,
        block: Some(Block { x0: 0, y0: 1, x1: 2, y1: 3 }),
        args: vec![b"--fast".to_vec()],
        before: Some(Restart { attempt: Attempt(1), step: 10 }),
        after: Some((SubtaskId(3), Attempt(1))),
    };
    let stop = ToStarter::Stop { subtask: SubtaskId(4), attempt: Attempt(2), signal: 15 };
    let input = |bytes: &[u8], then| ToStarter::Input {
        subtask: SubtaskId(4),
        attempt: Attempt(2),
        at: 1 << 40,
        bytes: bytes.to_vec(),
        then,
    };
    let inputs = [input(b"in\n", InputThen::More), input(b"", InputThen::End), input(b"", InputThen::Lost)];
    let signal = ToStarter::Signal { signal: 10, leaders_only: true, wants_checkpoint: false };
    let gang = Gang {
        family: MpiFamily::Mpich,
        launcher: b"/m".to_vec(),
        timeout_ms: 60_000,
        verbose: true,
        ranks: vec![vec![launch.clone(), launch.clone()], Vec::new()],
    };
    let mut all =
        vec![hello(), ToStarter::Launch(Box::new(launch)), stop, signal, ToStarter::KillAll, ToStarter::Bye];
    all.extend(inputs);
    all.push(ToStarter::Gang(Box::new(gang)));
    all.extend(
        [
            Opening::Control,
            Opening::Output { have: None },
            Opening::Output { have: Some(OutputAt { starter_inc: 8, offset: 7 }) },
        ]
        .map(ToStarter::Open),
    );
    all.extend([
        ToStarter::Ack { seq: 3 },
        ToStarter::Lease { until_boottime_ns: 1 << 50 },
        ToStarter::AckOutput { offset: 9 },
        ToStarter::Close,
    ]);
    all
}

fn from_starter() -> Vec<FromStarter> {
    let (subtask, attempt) = (SubtaskId(4), Attempt(2));
    let ended = |outcome| FromStarter::Ended {
        subtask,
        attempt,
        outcome,
        ran_ns: 12,
        stopped: false,
        checkpoint: Some(Restart { attempt, step: 5 }),
        progress_cells: 8,
        result: Some(ResultMeta { len: 800, crc: 0xdead_beef }),
        memory_short: true,
    };
    let known =
        |phase, from| Known { subtask, attempt, rank: Rank(1), cpus: CpuSet::from_iter([2]), phase, from };
    let state = StarterState {
        starter_inc: 0x0123_4567_89ab_cdef,
        pid: 77,
        job: Some(JobUuid([7; 16])),
        lease_over: false,
        attempts: vec![
            Known { cpus: CpuSet::new(), ..known(KnownPhase::Waiting, None) },
            known(KnownPhase::Running, Some(Restart { attempt: Attempt(1), step: 3 })),
            known(KnownPhase::Ended, None),
        ],
        acked_seq: 4,
        next_seq: 9,
    };
    let least = StarterState {
        attempts: vec![Known { cpus: CpuSet::new(), ..known(KnownPhase::Ended, None) }],
        job: None,
        ..state.clone()
    };
    let numbered = |seq, report| FromStarter::Numbered { seq, report: Box::new(report) };
    vec![
        FromStarter::State(Box::new(state)),
        FromStarter::State(Box::new(least)),
        numbered(5, ended(Outcome::Exited(0))),
        numbered(6, FromStarter::Grouped { dir: b"/g".to_vec() }),
        FromStarter::OutputFrom(OutputAt { starter_inc: 8, offset: 1 << 33 }),
        FromStarter::Refused { text: "another job".to_owned() },
        FromStarter::Ready { pid: 77 },
        FromStarter::Started { subtask, attempt, pid: 78, from: None },
        ended(Outcome::Exited(1)),
        ended(Outcome::Signalled(9)),
        ended(Outcome::OutOfMemory),
        ended(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 8 }),
        FromStarter::Rebound {
            subtask,
            rank: Rank(1),
            wanted: CpuSet::from_iter([1]),
            found: CpuSet::from_iter([0, 1]),
        },
        FromStarter::Grouped { dir: b"/g".to_vec() },
        FromStarter::Notice { text: "passed over".to_owned() },
        FromStarter::WantInput { subtask, attempt, at: 1 << 33, room: INPUT_BYTES_MAX },
    ]
}

fn only_frame(bytes: &[u8]) -> (u8, Vec<u8>) {
    let mut buffer = FrameBuffer::default();
    for byte in bytes {
        assert!(buffer.next_frame().unwrap().is_none(), "no frame before its last byte");
        buffer.push(&[*byte]);
    }
    let (kind, body) = buffer.next_frame().unwrap().unwrap();
    let got = (kind, body.to_vec());
    assert!(!buffer.is_partial());
    got
}

#[test]
fn messages_read_what_they_write() {
    for message in to_starter() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let (kind, body) = only_frame(&bytes);
        assert_eq!(ToStarter::decode(kind, &body), Ok(message));
        for cut in 0..body.len() {
            assert!(ToStarter::decode(kind, &body[..cut]).is_err(), "cut at {cut}");
        }
    }
    for message in from_starter() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let (kind, body) = only_frame(&bytes);
        assert_eq!(FromStarter::decode(kind, &body), Ok(message.clone()));
        if !matches!(message, FromStarter::Notice { .. }) {
            let longer = [&body[..], &[0]].concat();
            assert_eq!(FromStarter::decode(kind, &longer), Err(DecodeError::Trailing));
        }
    }
}

#[test]
fn no_flipped_bit_panics() {
    for message in to_starter() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let mut buffer = FrameBuffer::default();
            buffer.push(&flipped);
            if let Ok(Some((kind, body))) = buffer.next_frame() {
                let _ = ToStarter::decode(kind, body);
                let _ = FromStarter::decode(kind, body);
                let _ = Output::decode(kind, body);
            }
        }
    }
}

#[test]
fn golden_bytes() {
    let mut bytes = Vec::new();
    ToStarter::Stop { subtask: SubtaskId(1), attempt: Attempt(2), signal: 15 }.encode(&mut bytes);
    assert_eq!(bytes, [10, 0, 0, 0, 3, 1, 0, 0, 0, 2, 0, 0, 0, 15]);
    bytes.clear();
    FromStarter::Ready { pid: 0x0102 }.encode(&mut bytes);
    assert_eq!(bytes, [7, 0, 0, 0, 65, 3, 0, 2, 1, 0, 0]);
    bytes.clear();
    let output = Output {
        subtask: SubtaskId(1),
        attempt: Attempt(1),
        rank: Rank(2),
        stderr: true,
        last: false,
        bytes: b"hi\n".to_vec(),
    };
    output.encode(&mut bytes);
    assert_eq!(bytes[..5], [22, 0, 0, 0, 129]);
    let (kind, body) = only_frame(&bytes);
    assert_eq!(Output::decode(kind, &body), Ok(output));
}

/// All messages of the version, a line each. A change here is a change of [`VERSION`].
#[test]
fn golden_bytes_of_all_messages() {
    let mut lines = String::new();
    let mut line = |bytes: &[u8]| {
        lines.extend(bytes.iter().map(|b| format!("{b:02x}")));
        lines.push('\n');
    };
    for message in to_starter() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        line(&bytes);
    }
    for message in from_starter() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        line(&bytes);
    }
    if std::env::var_os("DC_REWRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire_golden.hex");
        std::fs::write(path, &lines).unwrap();
        return;
    }
    assert_eq!(lines, include_str!("wire_golden.hex"), "DC_REWRITE=1 rewrites them");
}

#[test]
fn another_version_is_refused() {
    let mut bytes = Vec::new();
    hello().encode(&mut bytes);
    bytes[5] = VERSION as u8 + 1;
    let (kind, body) = only_frame(&bytes);
    assert_eq!(ToStarter::decode(kind, &body), Err(DecodeError::Unknown("version")));
}

#[test]
fn a_numbered_report_holds_no_other_number() {
    let mut bytes = Vec::new();
    let inner = FromStarter::Numbered { seq: 1, report: Box::new(FromStarter::Grouped { dir: Vec::new() }) };
    FromStarter::Numbered { seq: 2, report: Box::new(inner) }.encode(&mut bytes);
    let (kind, body) = only_frame(&bytes);
    assert_eq!(FromStarter::decode(kind, &body), Err(DecodeError::Unknown("report")));
}

#[test]
fn impossible_lengths_are_refused() {
    for len in [0, u32::MAX] {
        let mut buffer = FrameBuffer::default();
        buffer.push(&len.to_le_bytes());
        assert!(buffer.next_frame().is_err());
    }
}
