//! Frames: whatever comes, nothing is kept that was not allowed, and nothing is lost that was.

use super::*;
use proptest::prelude::*;

const NODES: Parties = Parties::of(&[Party::Node, Party::Local]);

fn rules() -> Rules {
    Rules::new(&[
        Rule { kind: 1, from: NODES, body_bytes_max: 100 },
        Rule { kind: 2, from: Parties::of(&[Party::Scheduler]), body_bytes_max: FRAME_BYTES_MAX - 1 },
    ])
    .unwrap()
}

#[test]
fn a_table_that_contradicts_itself_is_none() {
    let rule = |kind, body_bytes_max| Rule { kind, from: NODES, body_bytes_max };
    assert!(Rules::new(&[rule(1, 1), rule(1, 2)]).is_err());
    assert!(Rules::new(&[rule(OWN_KINDS_FROM, 1)]).is_err());
    assert!(Rules::new(&[rule(255, 1)]).is_err());
    assert!(Rules::new(&[rule(1, FRAME_BYTES_MAX)]).is_err());
    assert!(Rules::new(&[rule(1, usize::MAX)]).is_err());
}

#[test]
fn every_party_kind_and_length_is_checked() {
    let rules = rules();
    let all = [Party::Scheduler, Party::Node, Party::Client, Party::Submit, Party::Local, Party::Joiner];
    for party in all {
        for kind in 0..=255 {
            let allowed = (kind == 1 && NODES.has(party)) || (kind == 2 && party == Party::Scheduler);
            assert_eq!(rules.check(party, kind, 100).is_ok(), allowed, "{party} {kind}");
            assert_eq!(rules.check(party, kind, 101).is_ok(), allowed && kind == 2);
        }
    }
    let error = rules.check(Party::Node, 1, 101).unwrap_err();
    assert_eq!(error.to_string(), "a frame of kind 0x01 with 101 bytes, of at most 100");
}

#[test]
fn a_length_alone_costs_nothing() {
    let mut reader = FrameReader::default();
    reader.push(&(FRAME_BYTES_MAX as u32).to_le_bytes());
    reader.push(&[2]);
    assert_eq!(
        reader.head(),
        Ok(Some(Head { kind: 2, body_bytes: FRAME_BYTES_MAX as u32 - 1, is_whole: false }))
    );
    assert!(reader.bytes.capacity() < 64);
    for bad in [0, FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
        let mut reader = FrameReader::default();
        reader.push(&bad.to_le_bytes());
        assert_eq!(reader.head(), Err(FrameError::Length(bad)), "before a kind is there");
    }
}

#[test]
fn many_frames_do_not_pile_up() {
    let mut reader = FrameReader::default();
    let mut stream = Vec::new();
    assert!(put_frame(&mut stream, 1, &[7; 1000]));
    for i in 0..10_000_usize {
        // In pieces that never end where a frame does.
        let at = i * 300 % stream.len();
        let piece: Vec<u8> = stream.iter().copied().cycle().skip(at).take(300).collect();
        reader.push(&piece);
        while let Some(head) = reader.head().unwrap().filter(|head| head.is_whole) {
            assert_eq!(reader.take(head), [7; 1000]);
        }
    }
    assert!(reader.bytes.capacity() < 16 << 10, "{}", reader.bytes.capacity());
}

#[test]
fn a_long_frame_gives_its_memory_back() {
    let mut reader = FrameReader::default();
    let mut stream = Vec::new();
    assert!(put_frame(&mut stream, 2, &vec![1; 4 << 20]));
    stream.chunks(32 << 10).for_each(|piece| reader.push(piece));
    let head = reader.head().unwrap().unwrap();
    assert_eq!(reader.take(head).len(), 4 << 20);
    reader.push(&[]);
    assert!(reader.bytes.capacity() < 1 << 20);
    assert!(!put_frame(&mut stream, 2, &vec![0; FRAME_BYTES_MAX]));
}

proptest! {
    #[test]
    fn frames_come_back_however_they_are_cut(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
        cuts in prop::collection::vec(1..400_usize, 1..20),
    ) {
        let mut stream = Vec::new();
        for (kind, body) in &frames {
            prop_assert!(put_frame(&mut stream, *kind, body));
        }
        let (mut reader, mut found, mut rest) = (FrameReader::default(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            reader.push(piece);
            rest = more;
            while let Some(head) = reader.head().unwrap().filter(|head| head.is_whole) {
                found.push((head.kind, reader.take(head).to_vec()));
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let rules = rules();
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        let mut taken = 0;
        while let Ok(Some(head)) = reader.head() {
            if rules.check(Party::Node, head.kind, head.body_bytes).is_err() || !head.is_whole {
                break;
            }
            taken += reader.take(head).len() + HEAD_BYTES;
        }
        prop_assert_eq!(taken + reader.len(), bytes.len());
    }
}
