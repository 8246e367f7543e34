//! What ranks are sent of an input: from the beginning, each its own way, up to the cap.

use super::*;

fn input(only: Option<u32>, kept_bytes_max: u64) -> Input {
    let source = Source::Relay { only: only.map(SubtaskId) };
    let mut input = Input::new(&source, kept_bytes_max, Arc::new(|_| ())).unwrap();
    // No thread: the test gives what is read.
    input.asks = Some(channel().0);
    input
}

/// What a rank is sent when it wants more from there.
fn sent(input: &mut Input, subtask: u32, at: u64) -> (Vec<u8>, Option<InputThen>) {
    input.on_want(SubtaskId(subtask), Attempt(1), at, 4);
    let (mut all, mut last) = (Vec::new(), None);
    input.serve(|message| {
        if let ToStarter::Input { subtask: s, bytes, then, .. } = message
            && s.0 == subtask
        {
            all.extend_from_slice(bytes);
            last = Some(*then);
        }
        true
    });
    (all, last)
}

#[test]
fn nothing_is_read_that_nobody_wants() {
    let mut input = input(Some(0), 100);
    input.serve(|_| true);
    assert!(!input.asked);
    assert_eq!(sent(&mut input, 0, 0), (vec![], None));
    assert!(input.asked);
    input.on_read(Ok(b"abcdef".to_vec()));
    assert!(!input.asked);
    assert_eq!(sent(&mut input, 0, 0), (b"abcd".to_vec(), Some(InputThen::More)));
    assert!(!input.asked, "there is some left");
    assert_eq!(sent(&mut input, 0, 4), (b"ef".to_vec(), Some(InputThen::More)));
    assert_eq!(sent(&mut input, 0, 6), (vec![], None));
    assert!(input.asked);
    input.on_read(Ok(Vec::new()));
    assert_eq!(sent(&mut input, 0, 6), (vec![], Some(InputThen::End)));
    // Another attempt gets it all again, and its end.
    input.on_ended(Some(SubtaskId(0)));
    assert_eq!(sent(&mut input, 0, 0).0, b"abcd");
    assert_eq!(sent(&mut input, 0, 6).1, Some(InputThen::End));
}

#[test]
fn beyond_the_cap_there_is_no_way_back() {
    let mut input = input(Some(0), 8);
    for start in [0, 4, 8] {
        assert!(!input.is_lost_for(SubtaskId(0)));
        sent(&mut input, 0, start);
        input.on_read(Ok(b"abcd".to_vec()));
        assert_eq!(sent(&mut input, 0, start).0, b"abcd");
    }
    assert!(input.is_lost_for(SubtaskId(0)) && !input.is_lost_for(SubtaskId(1)));
    assert!(input.pieces.is_empty(), "what it has taken is of no use to anybody");
    assert_eq!(sent(&mut input, 0, 0).1, Some(InputThen::Lost));
}

#[test]
fn each_of_all_goes_its_own_way() {
    let mut input = input(None, 8);
    sent(&mut input, 0, 0);
    sent(&mut input, 1, 0);
    input.on_read(Ok(b"abcd".to_vec()));
    assert_eq!(sent(&mut input, 0, 0).0, b"abcd");
    assert_eq!(sent(&mut input, 1, 0).0, b"abcd");
    // The second one stays there; the first goes on, and is not held up.
    for start in [4, 8, 12] {
        sent(&mut input, 0, start);
        input.on_read(Ok(b"efgh".to_vec()));
        assert_eq!(sent(&mut input, 0, start).0, b"efgh");
    }
    assert_eq!(input.to - input.from, 8, "no more than the cap");
    assert_eq!(sent(&mut input, 1, 4).1, Some(InputThen::Lost));
    assert!(input.is_lost_for(SubtaskId(7)));
}

#[test]
fn a_failure_is_no_end() {
    let mut input = input(Some(0), 8);
    sent(&mut input, 0, 0);
    assert!(input.on_read(Err(io::Error::other("broken"))).unwrap().contains("broken"));
    assert_eq!(sent(&mut input, 0, 0).1, Some(InputThen::Lost));
}

#[test]
fn a_cap_of_nothing_keeps_nothing() {
    let mut input = input(Some(0), 0);
    sent(&mut input, 0, 0);
    input.on_read(Ok(b"ab".to_vec()));
    assert_eq!(sent(&mut input, 0, 0).0, b"ab", "it is sent before it is dropped");
    assert!(input.is_lost_for(SubtaskId(0)));
}
