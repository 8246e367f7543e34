//! Holds the code to the tables of docs/starter-states.md that are of a starter that serves.

use super::{lease, link};

const PAGE: &str = include_str!("../../../../docs/starter-states.md");

fn page(head: &str) -> Vec<&'static str> {
    let (_, after) =
        PAGE.split_once(&format!("| {head} | event | next | acts |\n")).expect("the table's head");
    let (_, rows) = after.split_once('\n').expect("the line below the head");
    rows.lines().take_while(|line| line.starts_with('|')).collect()
}

macro_rules! written {
    ($of:ident) => {{
        let mut lines = Vec::new();
        for state in $of::State::ALL {
            for event in $of::Event::ALL {
                let (after, acts) = $of::next(*state, *event);
                if after == *state && acts.is_empty() {
                    continue;
                }
                let acts: Vec<&str> = acts.iter().map(|act| act.word()).collect();
                let (state, event, after) = (state.word(), event.word(), after.word());
                lines.push(format!("| {state} | {event} | {after} | {} |", acts.join(", ")));
            }
        }
        let words = $of::State::ALL.iter().map(|s| s.word());
        let words = words.chain($of::Event::ALL.iter().map(|e| e.word()));
        for word in words.chain($of::Act::ALL.iter().map(|a| a.word())) {
            assert!(PAGE.contains(&format!("- **{word}**: ")), "{word} is not explained");
        }
        lines
    }};
}

#[test]
fn the_page_and_the_code_say_the_same_of_the_lease() {
    assert_eq!(page("lease"), written!(lease), "the page on the left, the code on the right");
}

#[test]
fn the_page_and_the_code_say_the_same_of_the_control_connection() {
    assert_eq!(page("control"), written!(link), "the page on the left, the code on the right");
}

/// Nothing runs in a state in which the lease has run out, and no way leads back but a new one.
#[test]
fn whatever_has_run_out_has_killed() {
    use lease::{Act, Event, State};
    for state in [State::Awaited, State::Held] {
        assert_eq!(lease::next(state, Event::RanOut), (State::Over, &[Act::KillAll, Act::Stay][..]));
    }
}
