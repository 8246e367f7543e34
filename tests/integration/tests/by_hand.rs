//! `dcspool` without dcrun, as one tries it at a prompt; and its listing of jobs.

use dc_integration::{Scratch, linked_fixture};
use std::fs;

#[test]
fn save_and_restore() {
    let place = Scratch::new();
    let none = place.dcspool("restore").run().ends_with(1);
    assert!(none.stdout.is_empty(), "{none}");
    place.dcspool("save --step 3").run_with(b"three").ends_with(0);
    place.dcspool("save --step 7").run_with(b"seven\0\xff").ends_with(0);
    assert!(place.path("dc-spool").is_dir(), "in ./dc-spool");
    let back = place.dcspool("restore").run().ends_with(0);
    assert_eq!(back.stdout, b"seven\0\xff");
    assert!(back.stderr.is_empty(), "{back}");
    let told = place.dcspool("restore -v").run().ends_with(0);
    assert!(told.err().contains('7') && told.stdout == back.stdout, "{told}");
}

#[test]
fn in_a_directory_of_ones_own() {
    let place = Scratch::new();
    let other = place.path("other");
    place.dcspool("save --step 1").env("DC_SPOOL", &other).run_with(b"x").ends_with(0);
    assert!(!place.path("dc-spool").exists());
    assert_eq!(place.dcspool("restore").env("DC_SPOOL", &other).run().ends_with(0).out(), "x");
    place.dcspool("restore").run().ends_with(1);
}

#[test]
fn a_large_one() {
    let place = Scratch::new();
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(31) >> 7) as u8).collect();
    place.dcspool("save --step 1").run_with(&bytes).ends_with(0);
    assert!(place.dcspool("restore").run().ends_with(0).stdout == bytes);
    place.dcspool("save --step 2").run_with(b"").ends_with(0);
    assert_eq!(place.dcspool("restore").run().ends_with(0).stdout, b"");
}

/// A torn newest one is passed over, and said; none that is good is an error and no beginning.
#[test]
fn a_torn_one() {
    let place = Scratch::new();
    place.dcspool("save --step 3").run_with(b"three").ends_with(0);
    place.dcspool("save --step 7").run_with(b"seven").ends_with(0);
    let dir = place.path("dc-spool/ckpt/00000000");
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let newest = files.pop().unwrap();
    let bytes = fs::read(&newest).unwrap();
    for cut in [bytes.len() - 1, bytes.len() / 2, 1, 0] {
        fs::write(&newest, &bytes[..cut]).unwrap();
        let done = place.dcspool("restore").run().ends_with(0);
        assert_eq!(done.out(), "three", "cut at {cut}");
        assert!(!done.stderr.is_empty(), "passed over, and said");
        let verified = place.dcspool("verify dc-spool").run();
        assert_ne!(verified.code(), 0, "{verified}");
    }
    fs::write(&newest, &bytes).unwrap();
    assert_eq!(place.dcspool("restore").run().ends_with(0).out(), "seven");
}

#[test]
fn progress_and_result() {
    let place = Scratch::new();
    place.dcspool("progress 12").run().ends_with(0);
    place.dcspool("result").run_with(b"any bytes").ends_with(0);
    place.dcspool("result --dtype f8").run_with(&1.5f64.to_le_bytes()).ends_with(0);
    let odd = place.dcspool("result --dtype f8").run_with(b"12345").ends_with(125);
    odd.says(&["5"]);
    let unknown = place.dcspool("result --dtype f16").run_with(b"12");
    assert_ne!(unknown.code(), 0, "{unknown}");
}

#[test]
fn bad_arguments() {
    let place = Scratch::new();
    for line in [
        "",
        "save",
        "save --step x",
        "save --step -1",
        "progress",
        "progress x",
        "ls nowhere",
        "verify nowhere",
        "fly",
    ] {
        let done = place.dcspool(line).run_with(b"");
        assert!(
            done.code() > 1,
            "{line:?} ends with {}; 1 means that there is no checkpoint: {done}",
            done.code()
        );
        assert!(done.stdout.is_empty(), "{line:?}: {done}");
        assert!(done.err().lines().all(|line| line.starts_with("dcspool: ")), "{line:?}: {done}");
    }
    assert!(!place.path("dc-spool").exists(), "nothing was made");
}

/// A part of dc's variables is an error, not a spool of its own beside the job's.
#[test]
fn half_of_the_variables() {
    let place = Scratch::new();
    let ask = place.dcspool("restore").env("DC_JOB_UUID", "00010203-0405-0607-0809-0a0b0c0d0eff");
    let done = ask.run();
    assert!(done.code() > 1, "{done}");
    done.says(&["DC_"]);
}

#[test]
fn a_listing_of_a_job() {
    let place = Scratch::new();
    place.write("list", "north 40\nland 0\nsouth 20\n");
    let script = r#"echo x | dcspool save --step 5; echo y | dcspool result; [ $DC_SUBTASK != 2 ] || exit 3"#;
    let ask = place.dcrun("--subtasks list --spool job --keep-going --restarts 0").script(script);
    ask.run().ends_with(3);
    let listed = place.dcspool("ls job").run().ends_with(0);
    let line = |name: &str| {
        let text = listed.out();
        text.lines()
            .find(|line| line.contains(name))
            .unwrap_or_else(|| panic!("no {name}: {listed}"))
            .to_owned()
    };
    assert!(line("north").contains("completed"), "{listed}");
    assert!(line("south").contains("failed"), "{listed}");
    assert!(listed.out().contains("2 completed, 1 failed"), "{listed}");
    assert!(line("south").contains("step 5"), "its newest checkpoint: {listed}");
    place.dcspool("verify job").run().ends_with(0);
}

/// The kernel in C by hand: killed and started again, it goes on; the result is where dcspool says.
#[test]
fn a_kernel_in_c_by_hand() {
    let place = Scratch::new();
    let counter = linked_fixture("counter");
    place.ask(&counter).env("DIES", "1:7:9").run().ends_with(137);
    let done = place.ask(&counter).run().ends_with(0);
    assert_eq!(done.out(), "subtask 0: 2870\n");
    let starts: Vec<_> = place.noted("start").iter().map(|line| line[4].clone()).collect();
    assert_eq!(starts, ["0", "6"]);
    place.dcspool("verify dc-spool").run().ends_with(0);
}
