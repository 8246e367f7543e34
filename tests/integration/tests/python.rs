//! The example kernel in Python against the one in C: the same field to 1e-9, through kills, a resume and the index
//! check.

use dc_integration::fixtures::include;
use dc_integration::npy::{self, Npy};
use dc_integration::run::Ask;
use dc_integration::{Events, Scratch, built, root, until};
use nix::sys::signal::Signal;
use std::path::PathBuf;

/// A twelfth of the world's sea, so that plain Python is done in seconds.
const NX: usize = 60;
const NY: usize = 30;

fn place_with_mask() -> Scratch {
    let place = Scratch::new();
    let sea = std::fs::read(root().join("examples/ocean/sea-mask-1deg.pbm")).unwrap();
    let raster = &sea[sea.len() - 180 * 45..];
    let cell = |x: usize, y: usize| raster[y * 6 * 45 + x * 6 / 8] >> (7 - x * 6 % 8) & 1;
    let rows = (0..NY).map(|y| (0..NX).map(|x| format!("{} ", cell(x, y))).collect::<String>() + "\n");
    place.write("sea.pbm", format!("P1\n{NX} {NY}\n{}", rows.collect::<String>()));
    place
}

fn c_kernel(place: &Scratch) -> PathBuf {
    let (kernel, ocean) = (place.path("kernel"), root().join("examples/ocean"));
    let mut gcc =
        place.ask("gcc").words("-O2 -std=c99 -ffp-contract=off -o").arg(&kernel).arg("-I").arg(include());
    for source in ["ocean.c", "climate.c", "options.c"] {
        gcc = gcc.arg(ocean.join(source));
    }
    gcc.arg(built("libdcspool.a")).words("-lm -lpthread -ldl").run().ends_with(0);
    kernel
}

/// With the variables by which Python finds the module, and that the library.
fn python(ask: Ask) -> Ask {
    ask.env("PYTHONPATH", root().join("spool/capi/python"))
        .env("DC_LIB", built("libdcspool.so"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

fn py_kernel() -> PathBuf {
    root().join("examples/ocean/ocean.py")
}

fn assert_same(one: &Npy, other: &Npy) {
    assert_eq!((one.shape, &one.descr), (other.shape, &other.descr));
    let mut sea = 0;
    for (at, (a, b)) in one.values.iter().zip(&other.values).enumerate() {
        assert_eq!(a.is_nan(), b.is_nan(), "cell {at}");
        sea += usize::from(!a.is_nan());
        assert!(a.is_nan() || (a - b).abs() <= 1e-9, "cell {at}: {a} and {b}");
    }
    assert!(sea > NX * NY / 2, "{sea} cells of sea");
}

#[test]
fn the_same_field_as_in_c_with_kills_in_between() {
    let place = place_with_mask();
    let kernel = c_kernel(&place);
    for (options, name) in [("--years 5", "ice"), ("--years 5 --albedo 0.3", "constant")] {
        let line = format!("-q -n 4 --domain sea.pbm --merge grid:{name}.c.npy");
        place.dcrun(&line).arg(&kernel).words(options).run().ends_with(0);
        let line = format!("-n 4 --json={name}.jsonl --domain sea.pbm --merge grid:{name}.py.npy");
        let ask = python(place.dcrun(&line)).arg(py_kernel()).words(options).words("--checkpoint-every 30");
        let running = ask.start();
        // The first attempt of each of two subtasks is killed once it has a checkpoint.
        for subtask in [0u64, 2] {
            let pid = until("an attempt with a checkpoint", || {
                let spool = place.jobs().into_iter().next()?;
                let ckpt = spool.join("ckpt").join(format!("{subtask:08}"));
                std::fs::read_dir(ckpt)
                    .ok()?
                    .flatten()
                    .find(|e| e.path().extension().is_some_and(|x| x == "ckpt"))?;
                let all = Events::of(place.path(format!("{name}.jsonl"))).all();
                let started = all.iter().find(|e| e["event"] == "started" && e["subtask"] == subtask)?;
                started["pid"].as_i64()
            });
            dc_integration::process::signal(pid as i32, Signal::SIGKILL);
        }
        let done = running.finish().ends_with(0);
        done.says(&["killed by signal 9 (SIGKILL); goes on from step"]);
        let read = |kind: &str| npy::read(&place.path(format!("{name}.{kind}.npy")));
        assert_same(&read("c"), &read("py"));
    }
    place.nothing_is_left();
}

#[test]
fn the_index_of_each_cell() {
    let place = place_with_mask();
    let ask = place.dcrun("-q --domain sea.pbm --split 17x11 --merge grid:index.npy --fill -1");
    python(ask).arg(py_kernel()).words("--check index --dtype i8 --steps-a-day 1").run().ends_with(0);
    let grid = npy::read(&place.path("index.npy"));
    let wrong = grid.values.iter().enumerate().find(|(at, value)| **value != *at as f64 && **value != -1.0);
    assert_eq!(wrong, None);
    assert!(grid.values.iter().filter(|value| **value >= 0.0).count() > NX * NY / 2);
}

#[test]
fn mistakes_are_told() {
    let place = place_with_mask();
    let run = |options: &str| python(place.ask(py_kernel())).words(options).run();
    run("--years 0").ends_with(2);
    run("--verify").ends_with(2).says(&["--verify needs --albedo"]);
    run("--dtype u4").ends_with(2).says(&["temperatures are f8 or f4"]);
    run("").ends_with(1).says(&["kernel: there is no mask; use dcrun --domain MASK"]);
    run("--domain nowhere.pbm").ends_with(1).says(&["kernel: the domain nowhere.pbm cannot be read"]);
    let resume = "--domain sea.pbm --years 1 --steps-a-day 1 --checkpoint-every 100";
    run(resume).ends_with(0);
    run(&format!("{resume} --albedo 0.5")).ends_with(1).says(&["written with other arguments"]);
}
