//! Holds the code to the table in docs/starter-states.md: each line is what the code does, and the code does no more.

use super::*;

const PAGE: &str = include_str!("../../../docs/starter-states.md");

/// The lines of the table, as the code would write them.
fn written() -> Vec<String> {
    let mut lines = Vec::new();
    for state in State::ALL {
        for event in Event::ALL {
            let (after, acts) = next(*state, *event);
            if after == *state && acts.is_empty() {
                continue;
            }
            let acts: Vec<&str> = acts.iter().map(|act| act.word()).collect();
            lines.push(format!(
                "| {} | {} | {} | {} |",
                state.word(),
                event.word(),
                after.word(),
                acts.join(", ")
            ));
        }
    }
    lines
}

#[test]
fn the_page_and_the_code_say_the_same() {
    let (_, after) = PAGE.split_once("| state | event | next | acts |\n").expect("the table's head");
    let (_, rows) = after.split_once('\n').expect("the line below the head");
    let page: Vec<&str> = rows.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(page, written(), "the page on the left, the code on the right");
}

#[test]
fn the_page_explains_every_word() {
    let words = State::ALL.iter().map(|s| s.word());
    let words = words.chain(Event::ALL.iter().map(|e| e.word())).chain(Act::ALL.iter().map(|a| a.word()));
    for word in words {
        assert!(PAGE.contains(&format!("- **{word}**: ")), "{word} is not explained");
    }
}

#[test]
fn every_life_ends_and_is_told_once() {
    for state in State::ALL {
        for event in Event::ALL {
            let (after, acts) = next(*state, *event);
            let told = acts.iter().filter(|act| **act == Act::TellEnded).count();
            let ends = after == State::Over && *state != State::Over;
            assert_eq!(told, usize::from(ends), "{} on {}", state.word(), event.word());
        }
    }
}

#[test]
fn a_group_is_killed_before_its_leader_is_reaped() {
    for state in State::ALL {
        let (_, acts) = next(*state, Event::Exited);
        if let Some(bury) = acts.iter().position(|act| *act == Act::Bury) {
            assert_eq!(acts[..bury], [Act::KillGroup], "{}", state.word());
        }
    }
}
