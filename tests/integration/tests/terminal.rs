//! dcrun on a terminal, with the keys a user presses: Ctrl-C once, twice, thrice, Ctrl-Z, Ctrl-\, the closed window.

use dc_integration::process::{self, Process};
use dc_integration::{Scratch, Terminal, fixture, until};
use std::time::Instant;

/// Two ranks that note every signal and stay.
fn stubborn(place: &Scratch, grace_s: &str) -> Terminal {
    let ask = place.dcrun("-n 2 --oversubscribe").env("DC_GRACE", grace_s).arg(fixture("stubborn"));
    let terminal = Terminal::start(&ask);
    let _ = place.notes("start", 2);
    terminal
}

fn got(place: &Scratch) -> Vec<String> {
    let mut got: Vec<_> = place.noted("got").into_iter().map(|line| line[4].clone()).collect();
    got.sort();
    got
}

/// Ranks that run until the file `go` is there.
const WAIT: &str = r#"echo "start $$" >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;

#[test]
fn the_first_ctrl_c_tells_the_state() {
    let place = Scratch::new();
    let mut terminal = Terminal::start(&place.dcrun("-n 2 --oversubscribe").script(WAIT));
    let _ = place.notes("start", 2);
    terminal.types("\x03");
    terminal.shows("2 running");
    terminal.shows("Ctrl-C");
    place.write("go", "");
    assert_eq!(terminal.status(), 0);
    place.nothing_is_left();
}

#[test]
fn the_second_within_a_second_stops() {
    let place = Scratch::new();
    let mut terminal = stubborn(&place, "0.6");
    terminal.types("\x03");
    terminal.shows("Ctrl-C");
    assert_eq!(got(&place), Vec::<String>::new(), "the first one does not reach the ranks");
    terminal.types("\x03");
    assert_eq!(terminal.status(), 130);
    assert_eq!(got(&place), ["15", "15", "2", "2"], "INT, TERM after half of the grace, then KILL");
    terminal.shows("--resume");
    place.nothing_runs();
    assert_eq!(place.jobs().len(), 1);
}

#[test]
fn the_second_after_more_than_a_second_is_a_first_one() {
    let place = Scratch::new();
    let mut terminal = Terminal::start(&place.dcrun("-n 1").script(WAIT));
    let _ = place.notes("start", 1);
    for count in 1..=2 {
        terminal.types("\x03");
        let told = || terminal.screen.text().matches("Ctrl-C").count() >= count;
        until("the state to be told", || told().then_some(()));
        // More than a second, as another process tells it.
        place.ask("sleep").words("1.2").run().ends_with(0);
    }
    place.write("go", "");
    assert_eq!(terminal.status(), 0);
}

#[test]
fn the_third_kills_at_once() {
    let place = Scratch::new();
    let mut terminal = stubborn(&place, "600");
    terminal.types("\x03");
    terminal.shows("Ctrl-C");
    terminal.types("\x03");
    until("SIGINT at the ranks", || (got(&place).len() == 2).then_some(()));
    terminal.types("\x03");
    assert_eq!(terminal.status(), 130);
    place.nothing_runs();
}

#[test]
fn ctrl_backslash_is_quit() {
    let place = Scratch::new();
    let mut terminal = stubborn(&place, "0.2");
    terminal.types("\x1c");
    assert_eq!(terminal.status(), 131);
    assert_eq!(got(&place), ["3", "3"]);
    place.nothing_runs();
}

#[test]
fn closing_the_window_is_a_hang_up() {
    let place = Scratch::new();
    let mut terminal = stubborn(&place, "0.2");
    terminal.close();
    assert_eq!(terminal.status(), 129);
    assert_eq!(got(&place), ["1", "1"]);
    place.nothing_runs();
    assert_eq!(place.jobs().len(), 1, "it can be gone on with");
}

/// As in daily life: a shell with job control, Ctrl-Z, a look around, fg.
#[test]
fn ctrl_z_stops_ranks_and_dcrun_and_fg_lets_them_go_on() {
    let place = Scratch::new();
    place.script("kernel", WAIT);
    let mut terminal = Terminal::start(&place.ask("bash").words("--norc --noprofile -i"));
    terminal.types("PS1='ready> '\n");
    terminal.types("dcrun -n 2 --oversubscribe ./kernel; echo status $?.\n");
    let ranks: Vec<i32> = place.notes("start", 2).iter().map(|line| line[1].parse().unwrap()).collect();
    let dcrun = process::children(terminal.pid()).into_iter().find(|p| p.name == "dcrun").unwrap().pid;
    for round in 0..2 {
        terminal.types("\x1a");
        Terminal::until_state(dcrun, 'T');
        for rank in &ranks {
            Terminal::until_state(*rank, 'T');
        }
        terminal.shows("Stopped");
        // Long enough for whoever would kill something now.
        place.ask("sleep").words("0.5").run().ends_with(0);
        assert!(ranks.iter().all(|rank| process::lives(*rank)), "nothing is killed, round {round}");
        terminal.types(if round == 0 { "fg\n" } else { "bg\n" });
        for rank in &ranks {
            until("a rank to go on", || (Process::of(*rank)?.state != 'T').then_some(()));
        }
        until("dcrun to go on", || (Process::of(dcrun)?.state != 'T').then_some(()));
        if round == 0 {
            until("fg", || (Process::of(dcrun)?.state == 'S').then_some(()));
        }
    }
    place.write("go", "");
    until("the job to end", || (!process::lives(dcrun)).then_some(()));
    assert_eq!(place.noted("start").len(), 2, "no rank was started again");
    place.nothing_is_left();
    terminal.types("exit\n");
    let _ = terminal.status();
}

/// The time limit is a limit of time: it goes on, and acts when dcrun does.
#[test]
fn the_time_limit_goes_on_while_stopped() {
    let place = Scratch::new();
    place.script("kernel", WAIT);
    let mut terminal = Terminal::start(&place.ask("bash").words("--norc --noprofile -i"));
    terminal.types("dcrun -n 1 -t 2s ./kernel\n");
    let rank: i32 = place.notes("start", 1)[0][1].parse().unwrap();
    terminal.types("\x1a");
    Terminal::until_state(rank, 'T');
    place.ask("sleep").words("2.5").run().ends_with(0);
    assert!(process::lives(rank), "a stopped dcrun kills nothing");
    let start = Instant::now();
    terminal.types("fg\n");
    terminal.shows("time limit is reached");
    until("the rank to end", || (!process::lives(rank)).then_some(()));
    assert!(start.elapsed().as_secs() < 25, "by SIGTERM, not after the grace");
    terminal.types("exit\n");
    let _ = terminal.status();
    place.nothing_runs();
}

/// On a terminal there is a bar, which is drawn anew and anew; elsewhere there are lines.
#[test]
fn the_bar_is_drawn_on_a_terminal_only() {
    let place = Scratch::new();
    let mut terminal = Terminal::start(&place.dcrun("-n 1").script(WAIT));
    terminal.shows("[");
    terminal.shows("\x1b[");
    place.write("go", "");
    assert_eq!(terminal.status(), 0);
    std::fs::remove_file(place.path("go")).unwrap();
    let run = place.dcrun("-n 1").script(WAIT).start();
    let _ = place.notes("start", 2);
    place.ask("sleep").words("1.5").run().ends_with(0);
    place.write("go", "");
    let done = run.finish().ends_with(0);
    assert!(!done.err().contains('\x1b'), "{done}");
}
