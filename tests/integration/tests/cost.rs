//! What runs teach of a kernel's cost: predictions of blocks that differ a hundredfold, reports, and that none of it
//! is ever in a job's way. No assertion here hangs on how fast the machine is.

use dc_integration::events::parse;
use dc_integration::run::Finished;
use dc_integration::{Scratch, fixture, only};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// From 100 to 10,000 cells, in no order.
const CELLS: [u64; 9] = [700, 100, 10_000, 3000, 200, 1400, 400, 5000, 2000];

fn write_list(place: &Scratch) {
    let lines = CELLS.iter().enumerate().map(|(i, cells)| format!("part-{i} {cells}\n"));
    place.write("list", lines.collect::<String>());
}

fn run(place: &Scratch, options: &str) -> Finished {
    place.dcrun(&format!("--subtasks list -n 2 --json=events {options}")).arg(fixture("spin")).run()
}

fn events(place: &Scratch) -> Vec<Value> {
    parse(&fs::read_to_string(place.path("events")).unwrap())
}

fn plan(place: &Scratch, more: &[&str]) -> Vec<Value> {
    let mut ask = place.dcrun("--subtasks list -n 2 --plan --json").arg(fixture("spin"));
    for arg in more {
        ask = ask.arg(arg);
    }
    parse(&ask.run().ends_with(0).out())
}

fn ns(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
}

#[test]
fn blocks_that_differ_a_hundredfold_are_predicted() {
    let place = Scratch::new();
    write_list(&place);
    let before = plan(&place, &[]);
    assert!(
        only(&before, "plan")["predicted"].is_null(),
        "of a kernel not seen before cells are all there is"
    );

    run(&place, "").ends_with(0);
    let first = events(&place);
    assert!(only(&first, "report")["predicted_ns"].is_null());
    let ran_ns: u64 = first.iter().filter(|event| event["event"] == "ended").map(|e| ns(e, "ran_ns")).sum();

    let after = plan(&place, &[]);
    let predicted = &only(&after, "plan")["predicted"];
    assert_eq!(predicted["source"], "same");
    assert_eq!(predicted["observations"].as_u64(), Some(CELLS.len() as u64));
    // A fit by least squares keeps the sum of what it was made of; an outlier may have been cut.
    let core_ns = ns(predicted, "core_ns");
    assert!((ran_ns / 2..=ran_ns + ran_ns / 10).contains(&core_ns), "{core_ns} of {ran_ns}");
    let mut times: Vec<(u64, u64)> = after
        .iter()
        .filter(|event| event["event"] == "subtask")
        .map(|event| (ns(event, "cells"), ns(event, "predicted_ns")))
        .collect();
    times.sort_unstable();
    assert!(
        times.windows(2).all(|pair| pair[0].1 <= pair[1].1),
        "the order by time is that by cells: {times:?}"
    );

    run(&place, "").ends_with(0);
    let second = events(&place);
    let report = only(&second, "report");
    assert_eq!(report["predicted_ns"], predicted["makespan_ns"], "what the plan said");
    assert!(ns(report, "wall_ns") > 0);
    // A rank takes no less time than it computes. What it takes more is the machine's load.
    let cpu_ns: u64 =
        place.noted("cpu").iter().skip(CELLS.len()).map(|line| line[4].parse::<u64>().unwrap()).sum();
    assert!(core_ns >= cpu_ns / 2, "predicted {core_ns} ns, computed {cpu_ns} ns");
    println!(
        "predicted {} ns to the end, took {}; predicted {core_ns} ns of cores, computed {cpu_ns}",
        predicted["makespan_ns"], report["wall_ns"]
    );

    // Other arguments may mean other work: it is told whose times these are.
    let other = plan(&place, &["--other"]);
    assert_eq!(only(&other, "plan")["predicted"]["source"], "other_arguments");
    let text = place.dcrun("--subtasks list -n 2 --plan").arg(fixture("spin")).run().ends_with(0).out();
    assert!(
        text.contains("predicted ")
            && text.contains("core-hours")
            && text.contains("subtasks of this kernel"),
        "{text}"
    );
}

#[test]
fn a_report_is_told_and_told_again() {
    let place = Scratch::new();
    write_list(&place);
    let done = place
        .dcrun("--subtasks list -n 2 --keep --spool job --json=events")
        .env("FAILS", "2")
        .arg(fixture("spin"))
        .run()
        .ends_with(0);
    for word in ["took ", "balance ", "efficiency ", "core-hours", "work lost", "slowest: subtask "] {
        assert!(done.err().contains(word), "{word}: {done}");
    }
    let all = events(&place);
    let report = only(&all, "report");
    assert_eq!(all.last().unwrap()["event"], "end", "the report comes before the end");
    assert_eq!(report["restarts"], 1);
    assert_eq!(report["attempts_lost"], 1);
    assert_eq!(report["done"].as_u64(), Some(CELLS.len() as u64));
    let failed = all.iter().find(|e| e["event"] == "ended" && e["status"] == 137).unwrap();
    assert_eq!(report["lost_ns"], failed["ran_ns"], "there was no checkpoint to keep any of it");
    let efficiency = report["efficiency"].as_f64().unwrap();
    assert!(efficiency > 0.0 && efficiency <= 1.0, "{report}");

    let again = parse(&place.dcrun("--report job --json").run().ends_with(0).out());
    let mut same = report.clone();
    same.as_object_mut().unwrap().remove("t_ns");
    assert_eq!(again, [same]);
    let lines = place.dcrun("--report job").run().ends_with(0).out();
    for line in lines.lines() {
        assert!(done.err().contains(&format!("dcrun: {line}\n")), "{line}: {done}");
    }
    // Nothing was changed, and the job can be looked at by dcspool all the same.
    place.dcspool("verify job").run().ends_with(0);
}

#[test]
fn a_report_of_a_job_that_runs_or_failed() {
    let place = Scratch::new();
    place.write("list", "first 10\nsecond 5\n");
    let script = r#"test "$DC_SUBTASK" = 0 && exit 0; echo wait >>"$NOTES"; while test ! -e go; do sleep 0.05; done; exit 9"#;
    let running = place.dcrun("--subtasks list -n 1 --spool job").script(script).start();
    let _ = place.notes("wait", 1);
    let report = || place.dcrun("--report job --json").run();
    let found = dc_integration::wait::until("a report of what has ended", || {
        Some(report()).filter(|done| done.code() == 0)
    });
    assert_eq!(only(&parse(&found.out()), "report")["done"], 1);
    place.write("go", "");
    running.finish().ends_with(9);
    let all = parse(&report().ends_with(0).out());
    assert_eq!(only(&all, "report")["attempts_lost"], 1);
}

#[test]
fn what_is_not_there_cannot_be_reported() {
    let place = Scratch::new();
    let done = place.dcrun("--report nowhere").run().ends_with(125);
    assert!(done.err().contains("--keep"), "{done}");
    fs::create_dir(place.path("empty")).unwrap();
    place.dcrun("--report empty").run().ends_with(125);
    place.dcrun("--report empty --plan").run().ends_with(125);
}

#[test]
fn costs_are_never_in_a_jobs_way() {
    let place = Scratch::new();
    write_list(&place);
    run(&place, "").ends_with(0);
    let costs = place.state().join("dc/cost");
    let file = fs::read_dir(&costs).unwrap().map(|e| e.unwrap().path()).next().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // Damaged: told with the plan, and learned anew by the next run.
    fs::write(&file, "rubbish").unwrap();
    let done = place.dcrun("--subtasks list -n 2 --plan").arg(fixture("spin")).run().ends_with(0);
    assert!(done.err().contains("no time is predicted") && done.err().contains("damaged"), "{done}");
    run(&place, "").ends_with(0);
    assert!(!only(&plan(&place, &[]), "plan")["predicted"].is_null());

    // Where a directory should be there is a file.
    fs::remove_dir_all(&costs).unwrap();
    fs::write(&costs, "").unwrap();
    let done = run(&place, "-v").ends_with(0);
    assert!(done.err().contains("is not kept for predictions"), "{done}");
    let done = run(&place, "").ends_with(0);
    assert!(!done.err().contains("predictions"), "{done}");

    // Short jobs leave nothing.
    fs::remove_file(&costs).unwrap();
    place.dcrun("-n 2 true").run().ends_with(0);
    assert!(!costs.exists());
}
