//! What becomes of results: raw grids, images, several values a cell, commands; several of them at once.

use dc_integration::process;
use dc_integration::{Scratch, linked_fixture, until};
use nix::sys::signal::Signal;
use std::fs;

const NX: u32 = 9;
const NY: u32 = 4;

fn sea(x: u32, y: u32) -> bool {
    (x + y) % 4 != 1
}

fn place_with_mask() -> Scratch {
    let place = Scratch::new();
    let cell = |x, y| if sea(x, y) { "1 " } else { "0 " };
    let rows = (0..NY).map(|y| (0..NX).map(|x| cell(x, y)).collect::<String>() + "\n");
    place.write("mask.pbm", format!("P1\n{NX} {NY}\n{}", rows.collect::<String>()));
    place
}

fn cells() -> impl Iterator<Item = (u32, u32)> {
    (0..NY).flat_map(|y| (0..NX).map(move |x| (x, y)))
}

#[test]
fn one_job_into_an_array_raw_values_an_image_and_a_command() {
    let place = place_with_mask();
    let options =
        "-n 3 --domain mask.pbm --merge grid:a.npy --merge grid:a.raw --merge grid:a.pgm --fill 999";
    let ask = place.dcrun(options).env("TYPE", "u4").arg("--merge").arg("exec:wc -c >count");
    let done = ask.arg(linked_fixture("index")).run().ends_with(0);
    done.says(&["a.raw: 4 rows x 9 columns of u4, little-endian", "results are merged by exec:wc -c >count"]);
    let value = |x, y| if sea(x, y) { y * NX + x } else { 999 };
    let raw: Vec<u8> = cells().flat_map(|(x, y)| value(x, y).to_le_bytes()).collect();
    assert_eq!(fs::read(place.path("a.raw")).unwrap(), raw);
    assert!(fs::read(place.path("a.npy")).unwrap().ends_with(&raw));
    let gray: Vec<u8> = cells().flat_map(|(x, y)| (value(x, y) as u16).to_be_bytes()).collect();
    assert_eq!(fs::read(place.path("a.pgm")).unwrap(), [&b"P5\n9 4\n65535\n"[..], &gray].concat());
    let bytes = 4 * cells().filter(|(x, y)| sea(*x, *y)).count();
    assert_eq!(fs::read_to_string(place.path("count")).unwrap().trim(), bytes.to_string());
    place.nothing_is_left();
}

#[test]
fn floats_become_an_image_that_says_its_range() {
    let place = place_with_mask();
    let ask = place.dcrun("-n 2 --domain mask.pbm --merge grid:a.pgm").arg(linked_fixture("index"));
    ask.run().ends_with(0).says(&["a.pgm: 1 is 0, 65535 is 35, 0 is no value"]);
    let image = fs::read(place.path("a.pgm")).unwrap();
    assert!(
        image.starts_with(b"P5\n# f8: 1 is 0e0, 65535 is 3.5e1, linear between; 0 is no value\n9 4\n65535\n")
    );
    let values = image[image.len() - (NX * NY * 2) as usize..].chunks_exact(2);
    for ((x, y), gray) in cells().zip(values) {
        let gray = u16::from_be_bytes(gray.try_into().unwrap());
        let wanted = 1 + (f64::from(y * NX + x) / 35.0 * 65534.0).round() as u16;
        assert_eq!(gray, if sea(x, y) { wanted } else { 0 }, "cell {x}, {y}");
    }
}

#[test]
fn several_values_a_cell() {
    let place = place_with_mask();
    // Two bytes a cell: its column and its row.
    let script = r#"set -- $DC_BLOCK; y=$2
        while [ $y -lt $4 ]; do x=$1; while [ $x -lt $3 ]; do
            printf "\\$(printf %03o $x)\\$(printf %03o $y)"; x=$((x + 1)); done; y=$((y + 1)); done |
        dcspool result --dtype u1 --layout block --values 2"#;
    let line = "-q --domain mask.pbm --split 4x3 --merge grid:k.raw --merge grid:k.npy --fill 255";
    place.dcrun(line).script(script).run().ends_with(0);
    let raw: Vec<u8> =
        cells().flat_map(|(x, y)| if sea(x, y) { [x as u8, y as u8] } else { [255; 2] }).collect();
    assert_eq!(fs::read(place.path("k.raw")).unwrap(), raw);
    let npy = fs::read(place.path("k.npy")).unwrap();
    assert!(
        String::from_utf8_lossy(&npy).contains("'descr': '|u1', 'fortran_order': False, 'shape': (4, 9, 2)")
    );
    assert!(npy.ends_with(&raw));
    let done =
        place.dcrun("-q --domain mask.pbm -n 1 --merge grid:k.pgm").script(script).run().ends_with(125);
    done.says_in_a_line(&["cannot merge: ", "an image takes 1"]);
}

/// The list leads to each result's own bytes, in the order of subtasks, whatever order they ended in.
#[test]
fn a_command_finds_each_result_by_the_list() {
    let place = Scratch::new();
    place.write("list", "a 1\nb 0\nc 3\nd 2\n");
    place.write(
        "take.sh",
        r#"cat >whole; wc -c <whole | tr -d ' '; echo "$DC_MERGE_RESULTS $DC_MERGE_BYTES"
        sed 1d "$DC_MERGE_LIST" | while IFS="$(printf '\t')" read -r id name file offset bytes dtype layout k count block; do
            echo "$id $name $dtype $layout $k $count $block: $(tail -c +$((offset + 1)) "$DC_MERGE_DIR/$file" | head -c "$bytes")"
        done"#,
    );
    let ask = place.dcrun("-q -n 2 --subtasks list --merge").arg("exec:. ./take.sh").env("MARK", "m");
    let done = ask.script(r#"printf "<$DC_SUBTASK$MARK>" | dcspool result"#).run().ends_with(0);
    let wanted = "12\n3 12\n0 a u1 bytes 1 4 -: <0m>\n2 c u1 bytes 1 4 -: <2m>\n3 d u1 bytes 1 4 -: <3m>\n";
    assert_eq!(done.out(), wanted);
    assert_eq!(fs::read_to_string(place.path("whole")).unwrap(), "<0m><2m><3m>");
    place.nothing_is_left();
}

/// Its status is the job's; the results are kept, and a resume runs it again, and nothing else.
#[test]
fn a_command_that_fails_is_run_again_by_a_resume() {
    let place = Scratch::new();
    let script = r#"echo "ran $DC_SUBTASK" >>"$NOTES"; seq 100000 | dcspool result"#;
    // It reads only a little of its input: that is nobody's fault.
    let command = "exec:head -n 1 >first; test -e ok || exit 7";
    let ask = place.dcrun("-n 2 --merge").arg(command);
    let done = ask.script(script).run().ends_with(7);
    done.says_in_a_line(&["cannot merge: exec:", "the command ended with status 7"]);
    place.write("ok", "");
    place.dcrun("--resume").arg(place.job()).run().ends_with(0);
    assert_eq!(place.noted("ran").len(), 2);
    assert_eq!(fs::read_to_string(place.path("first")).unwrap(), "1\n");
    place.nothing_is_left();
    place.dcrun("-n 1 --merge").arg("exec:kill -9 $$").script(script).run().ends_with(137);
}

/// It is stopped as ranks are, and killed when it does not end; and it never outlives dcrun.
#[test]
fn a_command_is_stopped_with_its_job() {
    for (signal, status) in [(Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)] {
        let place = Scratch::new();
        let command = r#"exec:test -e ok && exit; trap "echo told >>told" TERM; echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.05; done"#;
        let ask = place.dcrun("-n 1 --merge").arg(command).env("DC_GRACE", "0.5");
        let running = ask.script("echo x | dcspool result").start();
        let pid: i32 =
            until("the command", || fs::read_to_string(place.path("pid")).ok()).trim().parse().unwrap();
        running.signal(signal);
        let done = running.finish();
        match status {
            Some(status) => {
                done.ends_with(status);
                assert_eq!(fs::read_to_string(place.path("told")).unwrap(), "told\n");
            }
            None => drop(done),
        }
        until("the command's end", || (!process::lives(pid)).then_some(()));
        place.nothing_runs();
        assert_eq!(place.jobs().len(), 1, "the results are kept");
        place.write("ok", "");
        place.dcrun("--resume").arg(place.job()).run().ends_with(0);
        place.nothing_is_left();
    }
}

/// The results are verified before the command sees any of them.
#[test]
fn a_command_never_sees_a_damaged_result() {
    let place = Scratch::new();
    let ask =
        place.dcrun("-n 2 --spool job --merge").arg("exec:echo began >>began; cat >/dev/null; test -e ok");
    ask.script("echo 1234567890 | dcspool result").run().ends_with(1);
    assert_eq!(fs::read_to_string(place.path("began")).unwrap(), "began\n");
    place.write("ok", "");
    let results = fs::read_dir(place.path("job/result")).unwrap().map(|e| e.unwrap().path());
    let of_one = results.into_iter().find(|path| path.to_string_lossy().contains("00000001-")).unwrap();
    let mut bytes = fs::read(&of_one).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&of_one, bytes).unwrap();
    place.dcrun("--resume job").run().ends_with(125).says_in_a_line(&["cannot merge: ", "subtask 1"]);
    assert_eq!(fs::read_to_string(place.path("began")).unwrap(), "began\n", "it was not run again");
}
