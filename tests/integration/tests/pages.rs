//! Options, variables, statuses, functions and commands: the pages hold what the programs have, and nothing else.
//! Each list is compared both ways, and what differs is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

type Words = BTreeSet<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A command of this build: beside the directory of this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "{name} is not built; run `cargo build --workspace` first");
    path
}

fn run(name: &str, args: &[&str]) -> Output {
    Command::new(built(name)).args(args).output().unwrap()
}

/// Both lists hold the same, or the difference is told.
fn assert_same(what: &str, one: (&str, &Words), other: (&str, &Words)) {
    assert!(!one.1.is_empty(), "{what}: nothing found in {}", one.0);
    let only_one: Vec<_> = one.1.difference(other.1).collect();
    let only_other: Vec<_> = other.1.difference(one.1).collect();
    assert!(
        only_one.is_empty() && only_other.is_empty(),
        "{what}: only in {}: {only_one:?}; only in {}: {only_other:?}",
        one.0,
        other.0
    );
}

/// The lines of a page's section (`Sh`) or subsection (`Ss`), from its title to the next of the same or a higher kind.
fn section<'a>(page: &'a str, kind: &str, title: &str) -> Vec<&'a str> {
    let head = format!(".{kind} {title}");
    let ends = |line: &str| line.starts_with(".Sh ") || (kind == "Ss" && line.starts_with(".Ss "));
    let mut lines = page.lines().skip_while(|line| line.trim_end() != head);
    assert!(lines.next().is_some(), "there is no {head:?} in the page");
    lines.take_while(|line| !ends(line)).collect()
}

/// The words of an mdoc macro line; quotes keep words together. None for a text line.
fn macro_words(line: &str) -> Option<Vec<String>> {
    let rest = line.strip_prefix('.')?;
    let quoted = |(i, part): (usize, &str)| match i % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    };
    Some(rest.split('"').enumerate().flat_map(quoted).collect())
}

/// What follows a macro on its own line, such as every option after `Fl`, up to the next macro or punctuation.
fn after_macro(lines: &[&str], name: &str) -> Words {
    let mut found = Words::new();
    for words in lines.iter().filter_map(|line| macro_words(line)) {
        for pair in words.windows(2).filter(|pair| pair[0] == name) {
            found.insert(pair[1].clone());
        }
    }
    found
}

fn options_in_page(lines: &[&str]) -> Words {
    after_macro(lines, "Fl").into_iter().map(|name| format!("-{name}")).collect()
}

/// The options at the start of a help text's lines.
fn options_in_help(name: &str, args: &[&str]) -> Words {
    let output = run(name, &[args, &["--help"]].concat());
    assert!(output.status.success(), "{name} {args:?} --help: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let heads = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    heads
        .flat_map(|line| line.split("  ").next().unwrap_or_default().split([',', ' ', '[', '=', '<']))
        .filter(|word| word.len() > 1 && word.starts_with('-'))
        .map(|word| word.trim_end_matches('.').to_owned())
        .collect()
}

fn subcommands(name: &str) -> Words {
    let text = String::from_utf8(run(name, &["--help"]).stdout).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let heads = lines.take_while(|line| line.starts_with("  "));
    let names = heads.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn options_of_dcrun() {
    let page = read("man/dcrun.1");
    let options = options_in_page(&section(&page, "Sh", "OPTIONS"));
    let help = options_in_help("dcrun", &[]);
    assert_same("options", ("dcrun --help", &help), ("OPTIONS of dcrun(1)", &options));
    let everywhere = options_in_page(&page.lines().collect::<Vec<_>>());
    assert_same("options", ("dcrun --help", &help), ("the whole of dcrun(1)", &everywhere));
    let synopsis = options_in_page(&section(&page, "Sh", "SYNOPSIS"));
    let unknown: Vec<_> = synopsis.difference(&options).collect();
    assert!(unknown.is_empty(), "SYNOPSIS of dcrun(1) names {unknown:?}");
}

#[test]
fn options_of_dcspool() {
    let page = read("man/dcspool.1");
    let commands = subcommands("dcspool");
    let titles: Words = section(&page, "Sh", "COMMANDS")
        .iter()
        .filter_map(|line| line.strip_prefix(".Ss "))
        .map(str::to_owned)
        .collect();
    assert_same("commands", ("dcspool --help", &commands), ("COMMANDS of dcspool(1)", &titles));
    // What every command takes stands once in the page.
    let of_all = options_in_page(&section(&page, "Sh", "OPTIONS"));
    assert_same("options", ("dcspool --help", &options_in_help("dcspool", &[])), ("OPTIONS", &of_all));
    for command in &commands {
        let listed = options_in_page(&section(&page, "Ss", command));
        let help = options_in_help("dcspool", &[command]);
        let own = help.iter().filter(|name| listed.contains(*name) || !of_all.contains(*name)).cloned().collect();
        assert!(listed.is_subset(&own), "{command} in dcspool(1): {listed:?}, in its help: {help:?}");
        let unlisted: Vec<_> = own.difference(&listed).collect();
        assert!(unlisted.is_empty(), "{command} in dcspool(1) lacks {unlisted:?}");
    }
}

/// The numbers that `.It` lines of a section begin with.
fn numbers_in_items(lines: &[&str]) -> Words {
    let items = lines.iter().filter_map(|line| line.strip_prefix(".It "));
    let numbers = items.filter_map(|item| {
        let digits: String = item.trim_start_matches("Li ").chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    });
    numbers.collect()
}

#[test]
fn exit_statuses() {
    let code = read("model/src/exit.rs");
    let constants: Words = code
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once("= ")?.1.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(constants.contains("125"), "no constants were found in model/src/exit.rs");
    let page = numbers_in_items(&section(&read("man/dcrun.1"), "Sh", "EXIT STATUS"));
    assert_same("statuses", ("model/src/exit.rs", &constants), ("EXIT STATUS of dcrun(1)", &page));
}
