//! Results put together: in order, at their place; and what is wrong with one leaves the target alone.

use dc_integration::npy::{self, Npy};
use dc_integration::{Scratch, fixture, linked_fixture, root};
use std::fs;
use std::path::Path;

const NX: u32 = 50;
const NY: u32 = 30;

fn sea(x: u32, y: u32) -> bool {
    let island = (12..20).contains(&x) && y > 5;
    let rock = (x * 7 + y * 3).is_multiple_of(11);
    !(island || rock)
}

fn mask() -> String {
    let rows =
        (0..NY).map(|y| (0..NX).map(|x| if sea(x, y) { "1 " } else { "0 " }).collect::<String>() + "\n");
    format!("P1\n{NX} {NY}\n{}", rows.collect::<String>())
}

fn place_with_mask() -> Scratch {
    let place = Scratch::new();
    place.write("mask.pbm", mask());
    place
}

fn check_indices(grid: &Npy, filled: impl Fn(f64) -> bool) {
    assert_eq!(grid.shape, (NY as usize, NX as usize));
    for y in 0..NY {
        for x in 0..NX {
            let (index, value) = (y * NX + x, grid.values[(y * NX + x) as usize]);
            if sea(x, y) {
                assert!(value == f64::from(index), "cell {x}, {y} is {value} and not {index}");
            } else {
                assert!(filled(value), "masked cell {x}, {y} is {value}");
            }
        }
    }
}

/// Nothing in the directory but what is named.
fn only_there(place: &Scratch, names: &[&str]) {
    let mut found: Vec<_> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn concatenated_in_the_order_of_subtasks() {
    let place = Scratch::new();
    // The later ones end first.
    place.write("list", "a 1\nb 2\nc 3\nd 4\ne 0\nf 6\n");
    let script = r#"printf "<$DC_SUBTASK>" | dcspool result"#;
    place.dcrun("-n 2 --subtasks list --merge concat:out").script(script).run().ends_with(0);
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "<0><1><2><3><5>");
    only_there(&place, &["list", "out"]);
    place.nothing_is_left();
}

/// What an attempt that was given up had handed over is not merged.
#[test]
fn only_committed_results_are_merged() {
    let place = Scratch::new();
    let script = r#"echo "attempt $DC_ATTEMPT of $DC_SUBTASK" | dcspool result
        if [ "$DC_SUBTASK$DC_ATTEMPT" = 11 ]; then kill -9 $$; fi"#;
    place.dcrun("-n 3 --merge concat:out").script(script).run().ends_with(0);
    let text = fs::read_to_string(place.path("out")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("attempt 1 of 0", "attempt 1 of 2"));
    assert!(lines[1].ends_with("of 1") && lines[1] != "attempt 1 of 1", "{lines:?}");
}

#[test]
fn each_cell_at_its_place() {
    for (kind, descr) in [("f8", "<f8"), ("f4", "<f4")] {
        for layout in ["effective", "block"] {
            let place = place_with_mask();
            let ask = place.dcrun("-n 7 --domain mask.pbm --merge grid:out.npy").env("TYPE", kind);
            ask.env("LAYOUT", layout).arg(linked_fixture("index")).run().ends_with(0);
            let grid = npy::read(&place.path("out.npy"));
            assert_eq!(grid.descr, descr);
            check_indices(&grid, f64::is_nan);
            only_there(&place, &["mask.pbm", "out.npy"]);
        }
    }
}

#[test]
fn integers_with_a_fill() {
    for (kind, fill, value) in
        [("u4", "4000000000", 4e9), ("i8", "-1", -1.0), ("u8", "7", 7.0), ("f8", "-2.5", -2.5)]
    {
        let place = place_with_mask();
        let ask =
            place.dcrun("-n 5 --domain mask.pbm --merge grid:out.npy --fill").arg(fill).env("TYPE", kind);
        ask.arg(linked_fixture("index")).run().ends_with(0);
        let grid = npy::read(&place.path("out.npy"));
        assert_eq!(grid.descr, format!("<{kind}"));
        check_indices(&grid, |found| found == value);
    }
}

#[test]
fn many_blocks_on_few_lanes() {
    let place = place_with_mask();
    let ask = place.dcrun("-n 2 --split 40 --domain mask.pbm --merge grid:out.npy");
    ask.arg(linked_fixture("index")).run().ends_with(0);
    check_indices(&npy::read(&place.path("out.npy")), f64::is_nan);
}

/// Of a field of weights each cell counts once in the result, whatever it weighs.
#[test]
fn a_field_of_weights() {
    let place = Scratch::new();
    let weight = |x: u32, y: u32| if sea(x, y) { 1 + (x * y) % 5 } else { 0 };
    let rows = (0..NY).map(|y| (0..NX).map(|x| format!("{} ", weight(x, y))).collect::<String>() + "\n");
    place.write("field.pgm", format!("P2\n{NX} {NY}\n9\n{}", rows.collect::<String>()));
    let ask = place.dcrun("-n 6 --domain field.pgm --merge grid:out.npy");
    ask.arg(linked_fixture("index")).run().ends_with(0);
    check_indices(&npy::read(&place.path("out.npy")), f64::is_nan);
    let effective: i64 = place.noted("start").iter().map(|line| line[4].parse::<i64>().unwrap()).sum();
    assert_eq!(effective as usize, (0..NX * NY).filter(|i| sea(i % NX, i / NX)).count());
}

/// Each thing that can be wrong with one result: the subtask is named, the target stays as it was.
#[test]
fn a_wrong_result() {
    for wrong in ["none", "short", "long", "twice", "type", "bytes"] {
        for there in [false, true] {
            let place = place_with_mask();
            if there {
                place.write("out.npy", "what was there");
            }
            let ask =
                place.dcrun("-n 4 --domain mask.pbm --merge grid:out.npy").env("WRONG", format!("2:{wrong}"));
            let done = ask.arg(linked_fixture("index")).run().ends_with(125);
            done.says_in_a_line(&["dcrun: ", "subtask 2"]);
            if there {
                assert_eq!(fs::read_to_string(place.path("out.npy")).unwrap(), "what was there", "{wrong}");
                only_there(&place, &["mask.pbm", "out.npy"]);
            } else {
                only_there(&place, &["mask.pbm"]);
            }
            place.nothing_runs();
            assert_eq!(place.jobs().len(), 1, "what was computed is kept");
        }
    }
}

#[test]
fn a_missing_result_in_a_concatenation() {
    let place = Scratch::new();
    place.write("out", "what was there");
    let script = r#"[ $DC_SUBTASK = 1 ] || echo x | dcspool result"#;
    let done = place.dcrun("-n 3 --merge concat:out").script(script).run().ends_with(125);
    done.says_in_a_line(&["dcrun: ", "subtask 1"]);
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "what was there");
    only_there(&place, &["out"]);
}

/// After a wrong merge the job can be gone on with: nothing runs again, and it is the merge that is tried.
#[test]
fn a_failed_merge_is_tried_again_by_a_resume() {
    let place = Scratch::new();
    fs::create_dir(place.path("dir")).unwrap();
    let script = r#"echo "ran $DC_SUBTASK" >>"$NOTES"; echo $DC_SUBTASK | dcspool result; rmdir dir 2>/dev/null; true"#;
    place.dcrun("-n 2 --merge concat:dir/out").script(script).run().ends_with(125).says(&["dcrun: ", "/dir"]);
    fs::create_dir(place.path("dir")).unwrap();
    place.dcrun("--resume").arg(place.job()).run().ends_with(0);
    assert_eq!(place.noted("ran").len(), 2);
    assert_eq!(fs::read_to_string(place.path("dir/out")).unwrap(), "0\n1\n");
}

/// A result that rots between its commit and the merge.
#[test]
fn a_damaged_result() {
    let place = place_with_mask();
    let ask = place.dcrun("-n 3 --domain mask.pbm --merge grid:out.npy --spool job").env("WRONG", "0:none");
    ask.arg(linked_fixture("index")).run().ends_with(125);
    let results: Vec<_> =
        fs::read_dir(place.path("job/result")).unwrap().map(|e| e.unwrap().path()).collect();
    let of_one = results.iter().find(|path| path.to_string_lossy().contains("00000001-")).unwrap();
    let mut bytes = fs::read(of_one).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 4;
    fs::write(of_one, bytes).unwrap();
    place.dcrun("--resume job").run().ends_with(125).says_in_a_line(&["dcrun: ", "subtask"]);
    assert!(!place.path("out.npy").exists());
    // dcspool tells it too, and a status.
    let verified = place.dcspool("verify job").run();
    assert_ne!(verified.code(), 0, "{verified}");
}

/// Told before hours of computing, not after.
#[test]
fn a_target_that_cannot_be_written() {
    let place = Scratch::new();
    fs::create_dir(place.path("out")).unwrap();
    for target in ["nowhere/out", "out"] {
        let ask = place.dcrun(&format!("-n 2 --merge concat:{target}")).script(r#"echo ran >>"$NOTES""#);
        ask.run().ends_with(125).says_in_a_line(&["dcrun: ", target]);
        assert!(place.log().is_empty(), "nothing was run");
    }
    place.nothing_is_left();
}

/// Failed subtasks have no results: nothing is merged, even where the others went on.
#[test]
fn nothing_is_merged_after_a_failure() {
    let place = place_with_mask();
    let ask = place.dcrun("-n 4 --keep-going --domain mask.pbm --merge grid:out.npy").env("WRONG", "1:fails");
    ask.arg(linked_fixture("index")).run().ends_with(3);
    assert!(!place.path("out.npy").exists());
    only_there(&place, &["mask.pbm"]);
}

/// The example kernel in its check mode, on the real mask: the assembled grid is the global index, cell by cell.
#[test]
fn the_real_mask_with_the_example_kernel() {
    let place = Scratch::new();
    let ocean = root().join("examples/ocean");
    let kernel = ocean_kernel(&place, &ocean);
    let ask = place.dcrun("-n 16 --merge grid:out.npy --domain").arg(ocean.join("sea-mask.pbm"));
    ask.arg(kernel).words("--check index").run().ends_with(0);
    let grid = npy::read(&place.path("out.npy"));
    assert_eq!(grid.shape, (720, 1440));
    let sea = fs::read(ocean.join("sea-mask.pbm")).unwrap();
    let raster = &sea[sea.len() - 720 * 180..];
    for (index, value) in grid.values.iter().enumerate() {
        let (x, y) = (index % 1440, index / 1440);
        let is_sea = raster[y * 180 + x / 8] >> (7 - x % 8) & 1 == 1;
        assert!(if is_sea { *value == index as f64 } else { value.is_nan() }, "cell {x}, {y} is {value}");
    }
}

fn ocean_kernel(place: &Scratch, ocean: &Path) -> std::path::PathBuf {
    let kernel = place.path("kernel");
    let mut sources: Vec<_> = fs::read_dir(ocean).unwrap().map(|e| e.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|kind| kind == "c"));
    let mut gcc = place.ask("gcc").words("-O2 -std=c99 -ffp-contract=off -o").arg(&kernel).arg("-I");
    gcc = gcc.arg(dc_integration::fixtures::include());
    for source in sources {
        gcc = gcc.arg(source);
    }
    gcc.arg(dc_integration::built("libdcspool.a")).words("-lm -lpthread -ldl").run().ends_with(0);
    kernel
}

/// The kernel that shows its surroundings makes no result: without --merge that is nobody's fault.
#[test]
fn no_result_without_a_merge() {
    let place = Scratch::new();
    place.dcrun("-q -n 2").arg(fixture("show")).run().ends_with(0);
    place.nothing_is_left();
}
