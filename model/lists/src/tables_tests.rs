//! Tables of subtasks: every column, every fault with its line, and the format told by name and by content.

use crate::{Format, read, read_as};
use dc_model::Subtask;
use proptest::prelude::*;

fn csv(text: &str) -> Result<Vec<Subtask>, String> {
    read_as(Format::Csv, text.as_bytes(), 2).map_err(|e| e.to_string())
}

fn json(text: &str) -> Result<Vec<Subtask>, String> {
    read_as(Format::JsonLines, text.as_bytes(), 2).map_err(|e| e.to_string())
}

fn subtask(name: &str, cells: u64, cores: u32, mem_bytes: u64, args: &[&str]) -> Subtask {
    let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    Subtask { name: Some(name.into()), mem_bytes, args, ..Subtask::plain(cells, cores) }
}

#[test]
fn the_same_list_in_three_spellings() {
    let wanted = vec![
        subtask("north", 40_310, 3, 4 << 30, &["--lat", "60 90", "#", ""]),
        subtask("isle", 0, 2, 0, &[]),
        subtask("south", 88_112, 2, 512 << 20, &["a,b", "c\"d"]),
    ];
    let table = "\u{feff}# a remark, \"open\r\n args , cells,name,cores,mem\r\n--lat '60 90' # ''\
                 ,40310,north,3,4G\r\n\r\n,0,isle,,\n\"\"\"a,b\"\" 'c\"\"d'\", 88112 ,south,,512";
    assert_eq!(csv(table).unwrap(), wanted);
    let lines = "\u{feff}\n{\"name\": \"north\", \"cells\": 40310, \"cores\": 3, \"mem\": \"4G\", \
                 \"args\": [\"--lat\", \"60 90\", \"#\", \"\"]}\r\n  {\"cells\":0,\"name\":\"isle\",\"mem\":null}\n\n\
                 {\"name\": \"south\", \"mem\": 512, \"cells\": 88112, \"args\": [\"a,b\", \"c\\\"d\"]}";
    assert_eq!(json(lines).unwrap(), wanted);
    let mut plain = read(b"north 40310 3 --lat '60 90' '#' ''\nisle 0\nsouth 88112 a,b 'c\"d'", 2).unwrap();
    for (subtask, wanted) in plain.iter_mut().zip(&wanted) {
        subtask.mem_bytes = wanted.mem_bytes;
    }
    assert_eq!(plain, wanted);
    // A field over several lines, and a quote in the midst of one.
    assert_eq!(
        csv("name,cells,args\na,1,\"x\ny\"\nb\"c,1,").unwrap_err(),
        "line 4: \"b\\\"c\" is not a name: 1 to 64 of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'"
    );
}

#[test]
fn every_fault_of_a_table_names_its_line() {
    let name = "is not a name: 1 to 64 of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'";
    for (text, wanted) in [
        ("", "the list has no subtasks; a line is: name cells [cores] [arguments]"),
        ("name,cells\n", "the list has no subtasks; a line is: name cells [cores] [arguments]"),
        (
            "name,cell\na,1",
            "line 1: the column \"cell\" is not known; known are name, cells, cores, mem and args",
        ),
        (
            "\n# x\nname,cores\na,1",
            "line 3: the header has no column cells; name and cells are needed, cores, mem and args may be there",
        ),
        ("name,cells,name\na,1,b", "line 1: the column name is there twice"),
        (
            "name,cells\na,1\nb,1,2\n",
            "line 3: the number of fields is 3, in the header it is 2; a field with a comma is quoted",
        ),
        ("name,cells\na,1\n\n\"b,1\nc,2\n", "line 4: a quoted field that begins in this line is not closed"),
        ("name,cells,args\na,1,'x", "line 2: a: a quote in its args is not closed"),
        ("name,cells\na,1\na,2", "line 3: a is the name of line 2 already; names are unique"),
        (
            "name,cells\na,",
            "line 2: a: \"\" is wrong for cells: a whole number from 0 to 18446744073709551615 is needed",
        ),
        (
            "name,cells\na,-1",
            "line 2: a: \"-1\" is wrong for cells: a whole number from 0 to 18446744073709551615 is needed",
        ),
        (
            "name,cells,cores\na,1,0",
            "line 2: a: \"0\" is wrong for cores: a whole number from 1 to 4294967295 is needed",
        ),
        (
            "name,cells,mem\na,1,4X",
            "line 2: a: \"4X\" is wrong for mem: a number of megabytes, or one with K, M, G or T is needed",
        ),
        (
            "name,cells,args\na,1,x\0y",
            "line 2: a: \"x\\x00y\" is wrong for args: text without a NUL byte is needed",
        ),
        (
            "name,cells\na,18446744073709551615\nb,1",
            "line 3: with b the cells of all subtasks are above 18446744073709551615",
        ),
    ] {
        assert_eq!(csv(text).unwrap_err(), wanted, "{text:?}");
    }
    assert_eq!(csv("name,cells\n../x,1").unwrap_err(), format!("line 2: \"../x\" {name}"));
    for (text, wanted) in [
        (" \n", "the list has no subtasks; a line is: name cells [cores] [arguments]"),
        (
            "{\"name\":\"a\",\"cells\":1}\n{\"name\":\"b\",\"cells\":1,\"cpus\":2}",
            "line 2: column 28: unknown field `cpus`, expected one of `name`, `cells`, `cores`, `mem`, `args`",
        ),
        ("{\"name\":\"a\"}", "line 1: column 12: missing field `cells`"),
        ("{\"name\":\"a\",\"cells\":-1}", "line 1: column 22: invalid value: integer `-1`, expected u64"),
        (
            "{\"name\":\"a\",\"cells\":1,\"args\":[5]}",
            "line 1: column 31: invalid type: integer `5`, expected a string",
        ),
        ("{\"name\":\"a\",\"name\":\"b\",\"cells\":1}", "line 1: column 18: duplicate field `name`"),
        ("{\"name\":\"a\",\"cells\":1", "line 1: column 21: EOF while parsing an object"),
        (
            "[{\"name\":\"a\"}]",
            "line 1: this is a JSON array; one object a line is needed (jq -c '.[]' makes that of it)",
        ),
        (
            "{\"name\":\"a\",\"cells\":1,\"mem\":1.5}",
            "line 1: a: \"1.5\" is wrong for mem: a number of megabytes, or one with K, M, G or T is needed",
        ),
        (
            "{\"name\":\"a\",\"cells\":1,\"cores\":0}",
            "line 1: a: \"0\" is wrong for cores: a whole number from 1 to 4294967295 is needed",
        ),
        (
            "{\"name\":\"a\",\"cells\":1,\"args\":[\"\\u0000\"]}",
            "line 1: a: \"\\x00\" is wrong for args: text without a NUL byte is needed",
        ),
    ] {
        assert_eq!(json(text).unwrap_err(), wanted, "{text:?}");
    }
    assert_eq!(
        json("{\"name\":\"\\u001b[2J\",\"cells\":1}").unwrap_err(),
        format!("line 1: \"\\x1b[2J\" {name}")
    );
}

#[test]
fn the_format_is_told_by_name_and_else_by_content() {
    for (extension, text, wanted) in [
        (Some("csv"), "a 1", Format::Csv),
        (Some("CSV"), "", Format::Csv),
        (Some("jsonl"), "", Format::JsonLines),
        (Some("ndjson"), "", Format::JsonLines),
        (Some("json"), "", Format::JsonLines),
        (Some("txt"), "a 1", Format::Plain),
        (None, "", Format::Plain),
        (None, "\u{feff}\n {\"name\"", Format::JsonLines),
        (None, "[", Format::JsonLines),
        (None, "# x,y\n\nname,cells\n", Format::Csv),
        (None, "cells, name\n", Format::Csv),
        (None, "a 1 x,y\nb,c", Format::Plain),
    ] {
        assert_eq!(Format::of(extension, text.as_bytes()), wanted, "{extension:?} {text:?}");
    }
}

proptest! {
    /// Whatever the bytes: an answer or an error.
    #[test]
    fn no_bytes_make_it_panic(head in 0usize..4, tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let heads: [&[u8]; 4] = [b"name,cells,args\n", b"{\"name\":\"a\",", b"", b"name,cells\n\""];
        let bytes = [heads[head], &tail].concat();
        for format in [Format::Plain, Format::Csv, Format::JsonLines, Format::of(None, &bytes)] {
            let _ = read_as(format, &bytes, 1);
        }
    }
}
