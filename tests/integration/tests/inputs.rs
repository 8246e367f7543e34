//! Where subtasks come from: arrays as masks and weights, tiles, tables of subtasks. What a user gives and what the
//! ranks then see.

use dc_integration::{Scratch, events, linked_fixture, npy, only};
use std::collections::BTreeMap;

const NX: u32 = 24;
const NY: u32 = 17;

fn weight(x: u32, y: u32) -> u32 {
    if (x + 2 * y).is_multiple_of(5) { 0 } else { 1 + x * y * 977 }
}

/// An array of `NY` rows and `NX` columns, of values that take their bytes from `value`.
fn array(descr: &str, fortran: bool, value: impl Fn(u32, u32) -> Vec<u8>) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({NY}, {NX}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    let (outer, inner) = if fortran { (NX, NY) } else { (NY, NX) };
    for (a, b) in (0..outer).flat_map(|a| (0..inner).map(move |b| (a, b))) {
        bytes.extend(if fortran { value(a, b) } else { value(b, a) });
    }
    bytes
}

/// The cost and the block of each subtask, as its rank sees them.
fn seen(place: &Scratch, options: &str) -> BTreeMap<u32, (u64, [u32; 4])> {
    let script = "echo $DC_SUBTASK $DC_CELLS $DC_BLOCK $DC_DOMAIN_KIND";
    let done = place.dcrun(&format!("-q {options}")).script(script).run().ends_with(0);
    let line = |line: &str| {
        let numbers: Vec<u64> = line.split(' ').take(6).map(|n| n.parse().unwrap()).collect();
        let side = |at: usize| numbers[at] as u32;
        (side(0), (numbers[1], [side(2), side(3), side(4), side(5)]))
    };
    done.out().lines().map(line).collect()
}

/// Each block's cost is the sum of the weights of its cells, and all effective cells are in one block.
fn check_costs(blocks: &BTreeMap<u32, (u64, [u32; 4])>, cost: impl Fn(u32, u32) -> u64) {
    let mut covered = 0;
    for (subtask, (cells, [x0, y0, x1, y1])) in blocks {
        let sum: u64 =
            (*y0..*y1).flat_map(|y| (*x0..*x1).map(move |x| (x, y))).map(|(x, y)| cost(x, y)).sum();
        assert_eq!(*cells, sum, "subtask {subtask}");
        covered += sum;
    }
    let all: u64 = (0..NY).flat_map(|y| (0..NX).map(move |x| (x, y))).map(|(x, y)| cost(x, y)).sum();
    assert_eq!(covered, all);
}

#[test]
fn weights_of_an_array_reach_the_ranks() {
    let place = Scratch::new();
    place.write("w.npy", array("<i4", false, |x, y| weight(x, y).to_le_bytes().to_vec()));
    place.write("b.npy", array(">u8", true, |x, y| u64::from(weight(x, y)).to_be_bytes().to_vec()));
    for file in ["w.npy", "b.npy", "weights:w.npy"] {
        let blocks = seen(&place, &format!("-n 6 --domain {file}"));
        assert_eq!(blocks.len(), 6, "{file}");
        check_costs(&blocks, |x, y| weight(x, y).into());
        let most = blocks.values().map(|(cells, _)| *cells).max().unwrap();
        let total: u64 = blocks.values().map(|(cells, _)| *cells).sum();
        assert!(most * 6 < total * 3 / 2, "cut by weight, not by area: {blocks:?}");
    }
    let blocks = seen(&place, "-n 6 --domain mask:w.npy");
    check_costs(&blocks, |x, y| u64::from(weight(x, y) > 0));
}

#[test]
fn truth_values_are_a_mask_for_the_kernel_too() {
    let place = Scratch::new();
    place.write("m.npy", array("|b1", false, |x, y| vec![u8::from(weight(x, y) > 0)]));
    // Negative values are no weights, but a mask they are: the kernel must take them so as well.
    place.write("i.npy", array("<i2", true, |x, y| (-i16::from(weight(x, y) > 0)).to_le_bytes().to_vec()));
    for file in ["m.npy", "mask:i.npy"] {
        let ask = place.dcrun(&format!("-q -n 5 --domain {file} --merge grid:out.npy"));
        ask.arg(linked_fixture("index")).run().ends_with(0);
        let grid = npy::read(&place.path("out.npy"));
        assert_eq!(grid.shape, (NY as usize, NX as usize));
        for (index, value) in (0..NX * NY).zip(&grid.values) {
            let (x, y) = (index % NX, index / NX);
            let right = if weight(x, y) > 0 { *value == f64::from(index) } else { value.is_nan() };
            assert!(right, "{file}: cell {x}, {y} is {value}");
        }
    }
}

#[test]
fn an_array_that_is_no_domain_names_its_cell() {
    let place = Scratch::new();
    let value = |x: u32, y: u32| if (x, y) == (3, 2) { -1i64 } else { 1 };
    place.write("bad.npy", array("<i8", false, |x, y| value(x, y).to_le_bytes().to_vec()));
    let done = place.dcrun("-n 2 --domain bad.npy true").run().ends_with(125);
    done.says_in_a_line(&["dcrun: ", "bad.npy: cell 3, 2 is -1; a weight is a whole number"]);
    let mut cut = array("<i8", false, |_, _| vec![1; 8]);
    cut.pop();
    place.write("cut.npy", cut);
    place.dcrun("-n 2 --domain cut.npy true").run().ends_with(125).says_in_a_line(&["cut.npy: truncated"]);
    place.nothing_is_left();
}

#[test]
fn tiles_are_uniform_from_the_upper_left() {
    let place = Scratch::new();
    place.write("w.npy", array("<u4", false, |x, y| weight(x, y).to_le_bytes().to_vec()));
    let blocks = seen(&place, "-n 3 --domain w.npy --split 10x6");
    check_costs(&blocks, |x, y| weight(x, y).into());
    let found: Vec<_> = blocks.values().map(|(_, block)| *block).collect();
    let wanted: Vec<[u32; 4]> = [0, 6, 12]
        .into_iter()
        .flat_map(|y| [0, 10, 20].map(|x| [x, y, (x + 10).min(NX), (y + 6).min(NY)]))
        .collect();
    assert_eq!(found, wanted);
    let done = place.dcrun("--plan --json --domain mask:w.npy --split 1x1").run().ends_with(0);
    let plan = events::parse(&done.out());
    assert_eq!(only(&plan, "plan")["balance"], 1.0);
    let sea = (0..NX * NY).filter(|i| weight(i % NX, i / NX) > 0).count();
    let tiles = plan.iter().filter(|event| event["event"] == "subtask").count();
    assert_eq!(tiles, sea, "tiles without an effective cell vanish");
    place.dcrun("--plan --domain w.npy --split 3x0").run().ends_with(125).says_in_a_line(&["--split 3x0"]);
    place.write("big.pbm", [&b"P4 8192 4096\n"[..], &vec![1; 1024 * 4096]].concat());
    let done = place.dcrun("--plan --domain big.pbm --split 1x1").run().ends_with(125);
    done.says_in_a_line(&["makes 33554432 tiles; 16777216 is the most"]);
}

/// The same list as text, CSV and JSON lines, from a file and from a pipe: the ranks see the same.
#[test]
fn lists_in_every_spelling() {
    let place = Scratch::new();
    let plain = "n 40 1 --lat '60 90'\nz 0\ns 9 1 x\n";
    let csv = "cells,name,cores,args\n40,n,1,--lat '60 90'\n0,z,,\n9,s,,x\n";
    let lines = "{\"name\":\"n\",\"cells\":40,\"args\":[\"--lat\",\"60 90\"]}\n{\"name\":\"z\",\"cells\":0}\n\
                 {\"name\":\"s\",\"cells\":9,\"cores\":1,\"args\":[\"x\"]}\n";
    let script = r#"echo "$DC_SUBTASK $DC_CELLS $# $*"; cat"#;
    let wanted = ["0 40 2 --lat 60 90", "2 9 1 x"];
    for (name, text) in [("list", plain), ("l.csv", csv), ("l.jsonl", lines), ("csv", csv), ("lines", lines)]
    {
        place.write(name, text);
        let done = place.dcrun(&format!("-q -n 1 --subtasks {name}")).script(script).run().ends_with(0);
        assert_eq!(done.sorted(), wanted, "{name}");
        // What comes on standard input is the list, and nothing of it is a rank's.
        let done = place.dcrun("-q -n 1 --subtasks -").script(script).run_with(text.as_bytes()).ends_with(0);
        assert_eq!(done.sorted(), wanted, "{name} from a pipe");
    }
    place.write("bad.csv", "name,cells\na,1\nb,x\n");
    place
        .dcrun("--subtasks bad.csv true")
        .run()
        .ends_with(125)
        .says_in_a_line(&["bad.csv: line 3: b: \"x\" is wrong"]);
    place.write("bad.jsonl", "{\"name\":\"a\",\"cells\":1}\n{\"name\":\"b\"}\n");
    let done = place.dcrun("--subtasks bad.jsonl true").run().ends_with(125);
    done.says_in_a_line(&["bad.jsonl: line 2: column 12: missing field `cells`"]);
    place.dcrun("-i 0 --subtasks - true").run().ends_with(125).says_in_a_line(&["-i cannot give"]);
    place.nothing_is_left();
}

/// A resume takes the file as the start did, and sees when it has changed.
#[test]
fn a_resume_takes_the_array_as_the_start_did() {
    let place = Scratch::new();
    let array =
        |sea: i16| array("<i2", false, |x, y| (sea * i16::from(weight(x, y) > 0)).to_le_bytes().to_vec());
    place.write("i.npy", array(-1));
    let script = r#"test -e ok || exit 3; set -- $DC_BLOCK
        head -c $((($3 - $1) * ($4 - $2))) /dev/zero | dcspool result --dtype u1 --layout block"#;
    let line = "-n 3 --domain mask:i.npy --merge grid:out.npy --fill 255 --spool job";
    place.dcrun(line).script(script).run().ends_with(3);
    place.write("ok", "");
    place.write("i.npy", array(-2));
    place
        .dcrun("--resume job")
        .run()
        .ends_with(125)
        .says_in_a_line(&["i.npy has changed since the job was started"]);
    place.write("i.npy", array(-1));
    place.dcrun("--resume job").run().ends_with(0);
    let found = std::fs::read(place.path("out.npy")).unwrap();
    let cells = (0..NX * NY).map(|i| if weight(i % NX, i / NX) > 0 { 0 } else { 255 });
    assert!(found.ends_with(&cells.collect::<Vec<u8>>()));
}
