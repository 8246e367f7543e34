//! `--plan`, its JSON, and that a run does what the plan says; events of a run.

use dc_integration::events::{Events, parse};
use dc_integration::shown::{Shown, allowed};
use dc_integration::{Scratch, fixture, only, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// An island of land in a sea, so that blocks differ.
fn mask(nx: u32, ny: u32) -> String {
    let mut text = format!("P1\n{nx} {ny}\n");
    for y in 0..ny {
        for x in 0..nx {
            let land = (nx / 3..nx / 2).contains(&x) && y > ny / 4 || x + y < nx / 5;
            text += if land { "0 " } else { "1 " };
        }
        text += "\n";
    }
    text
}

fn subtasks(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["event"] == "subtask").collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    let list = value.as_array().unwrap_or_else(|| panic!("{value} is no list"));
    list.iter().map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn a_plan_runs_nothing() {
    let place = Scratch::new();
    place.write("mask.pbm", mask(60, 40));
    let done =
        place.dcrun("-n 4 --domain mask.pbm --plan").script(r#"echo ran >>"$NOTES""#).run().ends_with(0);
    assert!(place.log().is_empty());
    assert!(!done.out().is_empty(), "{done}");
    for word in ["balance", "efficiency", "makespan"] {
        assert!(done.out().to_lowercase().contains(word), "the plan tells no {word}: {done}");
    }
    place.nothing_is_left();
    // No kernel is needed.
    place.dcrun("-n 4 --domain mask.pbm --plan").run().ends_with(0);
}

#[test]
fn the_plan_as_json() {
    let place = Scratch::new();
    let (nx, ny) = (90, 60);
    place.write("mask.pbm", mask(nx, ny));
    let done = place.dcrun("-n 7 --domain mask.pbm --plan --json ./kernel").run().ends_with(0);
    let events = parse(&done.out());
    let plan = only(&events, "plan");
    assert_eq!(plan["cores"].as_u64(), Some(allowed().len() as u64));
    assert_eq!(plan["lanes"].as_u64(), Some(7));
    assert!(plan["balance"].as_f64().is_some_and(|balance| (1.0..2.0).contains(&balance)), "{plan}");
    let subtasks = subtasks(&events);
    assert_eq!(subtasks.len(), 7, "{done}");
    let mut covered = BTreeSet::new();
    let mut cells = 0;
    for (i, subtask) in subtasks.iter().enumerate() {
        assert_eq!(subtask["id"].as_u64(), Some(i as u64));
        assert_eq!(subtask["rank"].as_u64(), Some(i as u64), "as many lanes as subtasks");
        assert!(subtask["name"].is_string() || subtask["name"].is_null(), "{subtask}");
        cells += subtask["cells"].as_u64().unwrap();
        let block = numbers(&subtask["block"]);
        assert!(block[0] < block[2] && block[1] < block[3] && block.len() == 4, "{subtask}");
        for y in block[1]..block[3] {
            for x in block[0]..block[2] {
                assert!(covered.insert((x, y)), "{x}, {y} is in two blocks");
            }
        }
        let cpus = numbers(&subtask["cpus"]);
        assert!(!cpus.is_empty() && cpus.iter().all(|cpu| allowed().contains(&(*cpu as u32))), "{subtask}");
    }
    let text = mask(nx, ny);
    let sea = text.split_whitespace().skip(3).enumerate().filter(|(_, cell)| *cell == "1");
    let sea: Vec<_> = sea.map(|(at, _)| ((at as u32 % nx) as u64, (at as u32 / nx) as u64)).collect();
    assert_eq!(cells, sea.len() as u64);
    assert!(sea.iter().all(|cell| covered.contains(cell)), "a sea cell is in no block");
    // A program that sums `cells` over all lines gets the right total.
    for event in events.iter().filter(|event| event["event"] != "subtask") {
        assert!(!event.to_string().contains("\"cells\""), "{event}");
    }
    assert_eq!(plan["cells_total"].as_u64(), Some(cells));
    place.nothing_is_left();
}

#[test]
fn blocks_of_land_vanish() {
    let place = Scratch::new();
    // Two lakes far apart, the rest is land.
    let cell = |x: u32, y: u32| if (x < 8 && y < 8) || (x >= 56 && y >= 56) { "1 " } else { "0 " };
    let rows = (0..64).map(|y| (0..64).map(|x| cell(x, y)).collect::<String>() + "\n").collect::<String>();
    place.write("mask.pbm", format!("P1\n64 64\n{rows}"));
    let done = place.dcrun("-n 4 --split 4 --domain mask.pbm --plan --json").run().ends_with(0);
    let events = parse(&done.out());
    let covered: u64 = subtasks(&events)
        .iter()
        .inspect(|subtask| assert!(subtask["cells"].as_u64() > Some(0), "{subtask}"))
        .map(|subtask| numbers(&subtask["block"]))
        .map(|b| (b[2] - b[0]) * (b[3] - b[1]))
        .sum();
    assert!(covered < 64 * 64, "land between the lakes is in no block: {done}");
}

#[test]
fn a_list_in_the_plan() {
    let place = Scratch::new();
    place.write("list", "north 30\nland 0\nsouth 20\n");
    let done = place.dcrun("--subtasks list --plan --json").run().ends_with(0);
    let events = parse(&done.out());
    let named: Vec<_> = subtasks(&events)
        .iter()
        .map(|s| (s["id"].as_u64(), s["name"].as_str(), s["cells"].as_u64()))
        .collect();
    assert_eq!(
        named,
        [
            (Some(0), Some("north"), Some(30)),
            (Some(1), Some("land"), Some(0)),
            (Some(2), Some("south"), Some(20))
        ]
    );
}

#[test]
fn a_field_of_weights() {
    let place = Scratch::new();
    place.write("field.pgm", "P2\n4 2\n9\n9 1 1 1\n0 1 1 1\n");
    let done = place.dcrun("--domain field.pgm --split 2 --plan --json").run().ends_with(0);
    let events = parse(&done.out());
    let cells: u64 = subtasks(&events).iter().map(|subtask| subtask["cells"].as_u64().unwrap()).sum();
    assert_eq!(cells, 15, "the cost is the sum of weights");
}

/// Where as many ranks as cores run, each is bound as the plan says.
#[test]
fn bound_as_planned() {
    let place = Scratch::new();
    let cores = allowed().len();
    let done = place.dcrun(&format!("-n {cores} --plan --json")).run().ends_with(0);
    let events = parse(&done.out());
    let planned: BTreeMap<u64, Vec<u64>> =
        subtasks(&events).iter().map(|s| (s["rank"].as_u64().unwrap(), numbers(&s["cpus"]))).collect();
    assert_eq!(planned.len(), cores);
    let done = place.dcrun(&format!("-l -n {cores}")).arg(fixture("show")).run().ends_with(0);
    let found: BTreeMap<u64, Vec<u64>> = Shown::by_rank(&done)
        .into_iter()
        .map(|(rank, shown)| (u64::from(rank), shown.cpus().into_iter().map(u64::from).collect()))
        .collect();
    assert_eq!(found, planned);
    let all: BTreeSet<_> = planned.values().flatten().collect();
    assert_eq!(all.len(), planned.values().flatten().count(), "no CPU twice");
}

/// However many subtasks there are, two that run at one time never share a CPU.
#[test]
fn never_overlapping() {
    let place = Scratch::new();
    place.write("list", (0..24).map(|i| format!("s{i} {}\n", 1 + i % 5)).collect::<String>());
    let script = r#"cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
        echo "start $DC_SUBTASK $cpus" >>"$NOTES"; sleep 0.03; echo "end $DC_SUBTASK $cpus" >>"$NOTES""#;
    place.dcrun("--subtasks list").script(script).run().ends_with(0);
    let mut held = BTreeMap::new();
    for line in place.log() {
        if line[0] == "start" {
            let before = held.insert(line[2].clone(), line[1].clone());
            assert_eq!(before, None, "{} starts on CPUs {} of another", line[1], line[2]);
        } else {
            assert_eq!(held.remove(&line[2]).as_ref(), Some(&line[1]), "stays where it is");
        }
    }
    assert_eq!(place.noted("end").len(), 24);
}

#[test]
fn the_callers_affinity_is_kept() {
    let place = Scratch::new();
    let last = allowed().pop().unwrap();
    let ask = place.ask("taskset").words(&format!("-c {last} dcrun -l -n 3")).arg(fixture("show"));
    let done = ask.run().ends_with(0);
    for shown in Shown::by_rank(&done).values() {
        assert_eq!(shown.cpus(), [last]);
    }
    let plan = place.ask("taskset").words(&format!("-c {last} dcrun -n 3 --plan --json")).run().ends_with(0);
    assert_eq!(only(&parse(&plan.out()), "plan")["cores"].as_u64(), Some(1));
}

#[test]
fn unbound_ranks_have_all() {
    let place = Scratch::new();
    for bind in ["none", "numa"] {
        let done = place.dcrun(&format!("-l -n 2 --bind {bind}")).arg(fixture("show")).run().ends_with(0);
        for shown in Shown::by_rank(&done).values() {
            if bind == "none" || !std::path::Path::new("/sys/devices/system/node/node1").exists() {
                assert_eq!(shown.cpus(), allowed(), "--bind {bind}");
            }
        }
    }
}

#[test]
fn a_rank_that_binds_itself_anew_is_told() {
    if allowed().len() < 2 {
        eprintln!("not tested: one CPU only, a rank cannot bind itself to another");
        return;
    }
    let place = Scratch::new();
    let go = place.path("go");
    let run = place.dcrun("-n 1 --json=events").arg(fixture("repin")).arg(&go).start();
    let line = run.says("binds itself");
    assert!(line.starts_with("dcrun: ") && line.contains("rank 0"), "{line:?}");
    place.write("go", "");
    run.finish().ends_with(0);
}

/// The figures that the README promises, on the real mask.
#[test]
fn balance_of_the_real_mask() {
    let mask = root().join("examples/ocean/sea-mask.pbm");
    let place = Scratch::new();
    for (blocks, most) in [(64, 1.008), (256, 1.02)] {
        let start = Instant::now();
        let ask = place.dcrun(&format!("--split {blocks} --plan --json --domain")).arg(&mask);
        let done = ask.run().ends_with(0);
        assert!(start.elapsed() < Duration::from_secs(10), "{blocks} blocks took {:?}", start.elapsed());
        let events = parse(&done.out());
        let cells: Vec<u64> = subtasks(&events).iter().map(|s| s["cells"].as_u64().unwrap()).collect();
        assert_eq!(cells.len(), blocks);
        let mean = cells.iter().sum::<u64>() as f64 / blocks as f64;
        let balance = *cells.iter().max().unwrap() as f64 / mean;
        assert!(balance <= most, "{blocks} blocks: balance {balance}");
        let told = only(&events, "plan")["balance"].as_f64().unwrap();
        assert!((told - balance).abs() < 0.001, "told {told}, is {balance}");
    }
}

/// Events of a run have a time that never goes back; in a file, or on standard error among dcrun's own words.
#[test]
fn events_of_a_run() {
    let place = Scratch::new();
    place.dcrun("-n 3 --json=events").script("exit 0").run().ends_with(0);
    check_run(&Events::of(place.path("events")).all(), 3);
    let done = place.dcrun("-n 3 --json echo out").run().ends_with(0);
    assert_eq!(done.out(), "out\nout\nout\n", "events are not on standard output");
    let lines: Vec<_> = done.err().lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect();
    check_run(&parse(&lines.join("\n")), 3);
}

fn check_run(events: &[Value], subtasks: u64) {
    let mut last = 0;
    for event in events {
        let at = event["t_ns"].as_u64().unwrap_or_else(|| panic!("no t_ns: {event}"));
        assert!(at >= last, "time goes back at {event}");
        last = at;
        // Subtasks with their cells are told by the plan; a run tells them as it does.
        assert!(event["event"] == "subtask" || !event.to_string().contains("\"cells\""), "{event}");
    }
    for kind in ["started", "ended"] {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        let ids: BTreeSet<_> = of_kind.map(|event| event["subtask"].as_u64().unwrap()).collect();
        assert_eq!(ids, (0..subtasks).collect(), "{kind}: {events:#?}");
    }
    assert_eq!(only(events, "end")["status"].as_u64(), Some(0));
}

/// Without -n and --split the number of blocks is chosen, and is good: no second round for a remainder.
#[test]
fn the_number_of_blocks_is_chosen() {
    let place = Scratch::new();
    place.write("mask.pbm", mask(300, 200));
    let done = place.dcrun("--domain mask.pbm --plan --json").run().ends_with(0);
    let events = parse(&done.out());
    let plan = only(&events, "plan");
    assert_eq!(plan["lanes"].as_u64(), Some(allowed().len() as u64));
    let cells: Vec<u64> = subtasks(&events).iter().map(|s| s["cells"].as_u64().unwrap()).collect();
    let ideal = cells.iter().sum::<u64>() as f64 / allowed().len() as f64;
    let mut cores = vec![0; allowed().len()];
    let mut order = cells.clone();
    order.sort_unstable_by(|a, b| b.cmp(a));
    for cost in order {
        *cores.iter_mut().min().unwrap() += cost;
    }
    let makespan = *cores.iter().max().unwrap() as f64;
    assert!(makespan <= 1.02 * ideal, "{makespan} of {ideal}: {done}");
}
