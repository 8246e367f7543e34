//! The kernel that keeps books, under dcrun on this machine: what it writes is what the checkers read.

use dc_integration::{Ledger, Scratch, linked_fixture};
use std::fs;

/// A list of so many subtasks.
fn list(place: &Scratch, subtasks: u32) -> &Scratch {
    place.write("list", Ledger::list(subtasks));
    place
}

#[test]
fn a_run_keeps_right_books() {
    let place = Scratch::new();
    let ledger = Ledger::new(place.path("ledger"));
    let dcrun =
        list(&place, 6).dcrun("-n 2 --subtasks list --merge concat:all").arg(linked_fixture("ledger"));
    let dcrun =
        dcrun.env("LEDGER", ledger.dir()).env("STEPS", "12").env("STEP_US", "1000").env("SPREAD", "3");
    let _ = dcrun.run().ends_with(0);
    let merged = fs::read_to_string(place.path("all")).unwrap();
    assert_eq!(
        Ledger::wrongs_of_merged(&merged, 6, |subtask| 12 + 3 * u64::from(subtask % 4)),
        Vec::<String>::new()
    );
    ledger.is_right();
    let entries = ledger.entries();
    assert_eq!(entries.len(), 6);
    assert!(
        entries.iter().all(|entry| entry.has_ended && entry.alive_ns > entry.start_ns && entry.attempt == 1)
    );
    assert!(entries.iter().all(|entry| entry.cpus == entry.bound && !entry.cpus.is_empty()), "{entries:?}");
    assert_eq!(ledger.lines("saved").len(), 6 + 1);
}

#[test]
fn a_killed_attempt_goes_on_from_its_checkpoint_and_the_books_are_right() {
    let place = Scratch::new();
    let ledger = Ledger::new(place.path("ledger"));
    let script = format!(
        "if [ $DC_SUBTASK.$DC_ATTEMPT = 1.1 ]; then {kernel} & while ! grep -q 'saved.*subtask=1 ' {book}; do :; done; \
         kill -9 $!; kill -9 $$; fi; exec {kernel}",
        kernel = linked_fixture("ledger").display(),
        book = ledger.dir().join("book").display(),
    );
    let dcrun = list(&place, 3)
        .dcrun("-n 1 --subtasks list --merge concat:all")
        .script(&script)
        .env("LEDGER", ledger.dir());
    let _ = dcrun.env("STEPS", "300").env("STEP_US", "500").run().ends_with(0);
    let merged = fs::read_to_string(place.path("all")).unwrap();
    assert_eq!(Ledger::wrongs_of_merged(&merged, 3, |_| 300), Vec::<String>::new());
    ledger.is_right();
    let of_1: Vec<_> = ledger.entries().into_iter().filter(|entry| entry.subtask == 1).collect();
    assert_eq!(of_1.iter().map(|entry| entry.attempt).collect::<Vec<_>>(), [1, 2]);
    assert!(!of_1[0].has_ended && of_1[1].from >= 10, "{of_1:?}");
}
