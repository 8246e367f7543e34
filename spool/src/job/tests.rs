//! The job record: there and back, golden bytes, every cut and flip, its size.

use super::*;
use crate::hash::{ContentHash, FileIdentity};
use dc_model::{Block, CpuSet, JobUuid, Limit, Limits, RestartOn, Subtask};

fn file(path: &str) -> FileIdentity {
    FileIdentity { path: path.into(), len_bytes: 9, hash: ContentHash(0x0102_0304 << 96 | 0xff) }
}

pub(crate) fn small() -> JobRecord {
    JobRecord {
        uuid: JobUuid(*b"0123456789abcdef"),
        name: "k".to_owned(),
        kernel: file("/k"),
        argv: vec![b"k".to_vec()],
        cwd: "/".into(),
        env: vec![b"A=1".to_vec()],
        limits: None,
        options: JobOptions {
            ranks: 4,
            cores: 1,
            restarts: 3,
            keep_going: false,
            bind: None,
            bind_verbose: false,
            distribution: dc_model::Distribution::Cost,
            oversubscribe: false,
            label: false,
            keep: false,
            time_limit_ms: None,
            grace_ms: 30_000,
            mpi: None,
            merges: Vec::new(),
            streams: StreamOptions::default(),
            failure: Default::default(),
        },
        domain: None,
        subtasks: Subtasks::plain(4, 1, 1).unwrap(),
    }
}

fn full() -> JobRecord {
    let named = Subtask {
        name: Some("north".into()),
        cells: u64::MAX,
        cores: 3,
        mem_bytes: 5 << 40,
        block: Some(Block { x0: 1, y0: 2, x1: 3, y1: 4 }),
        args: vec![b"--x\xff".to_vec(), Vec::new()],
    };
    let subtasks =
        vec![Subtask::plain(0, 1), Subtask::plain(0, 1), named.clone(), named, Subtask::plain(7, 2)];
    JobRecord {
        argv: vec![b"./k".to_vec(), b"\xff\n".to_vec()],
        env: vec![b"PATH=/bin".to_vec(), b"=odd".to_vec(), b"X=\xfe".to_vec()],
        options: JobOptions {
            mpi: Some(dc_model::MpiFamily::Mpich),
            keep_going: true,
            bind: Some(Bind::Fixed(vec![CpuSet::from_iter([0, 70]), CpuSet::from_iter([3])])),
            bind_verbose: true,
            distribution: dc_model::Distribution::Cyclic,
            oversubscribe: true,
            label: true,
            keep: true,
            time_limit_ms: Some(u64::MAX),
            merges: vec![
                MergeTarget { kind: MergeKind::Concat, path: "/a".into(), fill: None },
                MergeTarget { kind: MergeKind::Grid, path: "/b.npy".into(), fill: Some("-1e20".to_owned()) },
            ],
            streams: StreamOptions {
                stdout: Some(OutputTo::File(b"out.%t\xff".to_vec())),
                stderr: Some(OutputTo::Nowhere),
                stdin: InputFrom::Own(3),
                found: Found::File { path: "/in".into(), offset: 7 },
                unbuffered: true,
                result_stdout: true,
            },
            failure: FailurePolicy {
                restart_on: RestartOn::NONE,
                warning: Some(Warning { signal: 10, leaders_only: true, before_ms: 60_000 }),
            },
            ..small().options
        },
        domain: Some(DomainIdentity { file: file("/m.pbm"), nx: 1440, ny: 720, kind: DomainKind::Weights }),
        limits: Some(Limits { umask: 0o22, list: vec![Limit { resource: 7, soft: 1, hard: 2 }] }),
        subtasks: Subtasks::from_list(subtasks).unwrap(),
        ..small()
    }
}

/// All ways of saying where input comes from.
fn with_streams(stdin: InputFrom, found: Found) -> JobRecord {
    let streams = StreamOptions { stdin, found, unbuffered: true, ..StreamOptions::default() };
    JobRecord { options: JobOptions { streams, ..small().options }, ..small() }
}

#[test]
fn all_inputs_are_read_back() {
    let file = InputFrom::File(b"in.%T".to_vec());
    for stdin in [InputFrom::Default, InputFrom::Nowhere, InputFrom::OwnForAll, file] {
        for found in [Found::Nothing, Found::Stream] {
            let job = with_streams(stdin.clone(), found);
            assert_eq!(decode(&encode(&job)).unwrap(), job);
        }
    }
}

#[test]
fn it_is_read_back_as_it_was_written() {
    let tmp = tempfile::tempdir().unwrap();
    for (nth, job) in [small(), full()].into_iter().enumerate() {
        let dir = Dir::create_new(&tmp.path().join(nth.to_string()), 0o700).unwrap();
        assert_eq!(load(&dir), Err(JobError::NoJob { dir: dir.path().to_owned() }));
        create_unsynced(&dir, &job).unwrap();
        assert_eq!(load(&dir).unwrap(), job);
        let again = create_unsynced(&dir, &job).unwrap_err();
        assert!(matches!(again, JobError::File(error) if error.is_exists()));
    }
}

#[test]
fn golden_bytes() {
    assert_eq!(encode(&small()), crate::drawn_tests::drawn("job"), "the format has changed");
}

#[test]
fn the_page_lists_the_sections() {
    let rows = crate::drawn_tests::table("section");
    let listed: Vec<_> = rows.iter().map(|row| (row[0].parse().unwrap(), row[1].as_str())).collect();
    assert_eq!(listed, SECTIONS);
}

#[test]
fn every_cut_and_every_flip_is_refused() {
    let whole = encode(&full());
    for cut in 0..whole.len() {
        assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        let zeroed = [&whole[..cut], &vec![0; whole.len() - cut][..]].concat();
        assert!(zeroed == whole || decode(&zeroed).is_err(), "zeros from {cut} on");
    }
    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bad).is_err(), "bit {bit}");
    }
    assert!(decode(&[&whole[..], b"x"].concat()).is_err());
}

/// A payload under a right header: what the checks of the content alone must stand.
fn with_payload(payload: &[u8]) -> Result<JobRecord, HeaderError> {
    let header = Header {
        job: small().uuid,
        subtask: SubtaskId(0),
        attempt: Attempt(0),
        step: 0,
        payload_bytes: payload.len() as u64,
        payload_crc: crc32c::crc32c(payload),
    };
    decode(&[&header.encode(FileKind::Job, &[])[..], payload].concat())
}

#[test]
fn a_wrong_content_under_right_checksums_neither_panics_nor_grows() {
    let payload = codec::encode(&full());
    for at in 0..payload.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, payload[at] ^ 1] {
            let mut bad = payload.clone();
            bad[at] = value;
            if let Ok(job) = with_payload(&bad) {
                let again = codec::encode(&job);
                // The highest bit of a tag makes its section one that is passed over.
                let is_passed_over = value & 0x80 != 0 && again.len() < bad.len();
                assert!(is_passed_over || again == bad, "one way of writing it, byte {at}");
            }
        }
        // Between sections that need not be there a shorter record ends well.
        if let Ok(job) = with_payload(&payload[..at]) {
            assert_eq!(codec::encode(&job), payload[..at], "cut at {at}");
        }
    }
}

#[test]
fn a_section_of_a_later_day_is_passed_over_only_if_it_says_so() {
    let payload = codec::encode(&small());
    let section = |tag: u16| [&payload[..], &tag.to_le_bytes(), &[0, 0, 1, 0, 0, 0, 42]].concat();
    assert_eq!(with_payload(&section(0x8001)).unwrap(), small());
    let error = with_payload(&section(10)).unwrap_err();
    assert_eq!(error.to_string(), "its content holds an unknown section");
    // A section twice, or none of a kind.
    assert!(with_payload(&section(9)).is_err());
    assert!(with_payload(&[]).is_err());
}

#[test]
fn a_newer_record_is_said_to_be_newer() {
    let tmp = tempfile::tempdir().unwrap();
    let mut bytes = encode(&small());
    bytes[8] = 7;
    std::fs::write(tmp.path().join("job"), bytes).unwrap();
    let error = load(&Dir::open(tmp.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("a newer dc wrote it (format 7; this dc reads up to 1)"), "{error}");
}

#[test]
fn plain_subtasks_cost_next_to_nothing() {
    let few = encode(&small()).len();
    let many = encode(&JobRecord { subtasks: Subtasks::plain(100_000, 1, 1).unwrap(), ..small() }).len();
    assert_eq!(few, many);
    assert!(many < 400, "{many} bytes");
}

/// A record with outputs of later kinds has them all in a section of its own, in their order.
#[test]
fn outputs_of_every_kind() {
    let target = |kind, path: &str| MergeTarget { kind, path: path.into(), fill: None };
    let merges = vec![
        target(MergeKind::GridRaw, "/r.raw"),
        target(MergeKind::Concat, "/c"),
        target(MergeKind::Exec, "sort >out; exit 3"),
        MergeTarget { fill: Some("0".to_owned()), ..target(MergeKind::GridPgm, "/p.pgm") },
    ];
    let with = |merges| JobRecord { options: JobOptions { merges, ..small().options }, ..small() };
    let payload = codec::encode(&with(merges.clone()));
    assert_eq!(with_payload(&payload).unwrap().options.merges, merges);
    for at in 0..payload.len() {
        let mut bad = payload.clone();
        bad[at] ^= 1;
        if let Ok(job) = with_payload(&bad) {
            assert_eq!(codec::encode(&job), bad, "one way of writing it, byte {at}");
        }
    }
    // The kinds of the first version stay where they were.
    let first = codec::encode(&with(vec![target(MergeKind::Grid, "/g.npy")]));
    assert_eq!(first.len(), codec::encode(&small()).len() + 1 + 4 + "/g.npy".len() + 1);
}
