//! Options, variables, statuses, functions and commands: the pages hold what the programs have, and nothing else.
//! Each list is compared both ways, and what differs is named.

#![allow(clippy::unwrap_used)] // A test: what cannot be unwrapped fails it.

use dc_integration::{built, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

type Words = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
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
    // `--` ends the options and is none.
    let names = after_macro(lines, "Fl").into_iter().filter(|name| name != "-");
    names.map(|name| format!("-{name}")).collect()
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
    let names =
        heads.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn options_of_dcrun() {
    options_of("dcrun");
}

#[test]
fn options_of_the_lists_and_of_dccancel() {
    ["dcinfo", "dcqueue", "dccancel"].into_iter().for_each(options_of);
}

#[test]
fn options_of_dcctl() {
    options_of_commands("dcctl", "man/dcctl.8");
}

/// Of a program without subcommands.
fn options_of(name: &str) {
    let page = read(&format!("man/{name}.1"));
    let options = options_in_page(&section(&page, "Sh", "OPTIONS"));
    let help = options_in_help(name, &[]);
    assert_same("options", (&format!("{name} --help"), &help), (&format!("OPTIONS of {name}(1)"), &options));
    let everywhere = options_in_page(&page.lines().collect::<Vec<_>>());
    assert_same("options", (&format!("{name} --help"), &help), (&format!("all of {name}(1)"), &everywhere));
    let synopsis = options_in_page(&section(&page, "Sh", "SYNOPSIS"));
    let unknown: Vec<_> = synopsis.difference(&options).collect();
    assert!(unknown.is_empty(), "SYNOPSIS of {name}(1) names {unknown:?}");
}

/// What follows `-o` in the lists; a column that is none makes the programs name all.
#[test]
fn columns_of_the_lists() {
    let pages = [
        ("dcinfo", &[][..], "Sh", "COLUMNS"),
        ("dcqueue", &[][..], "Ss", "Of jobs"),
        ("dcqueue", &["--subtasks"][..], "Ss", "Of subtasks"),
    ];
    for (name, args, kind, title) in pages {
        let output = run(name, &[args, &["-o", "none"]].concat());
        assert_eq!(output.status.code(), Some(125));
        let text = String::from_utf8(output.stderr).unwrap();
        let (_, list) = text.trim_end().split_once("there are: ").unwrap_or_else(|| panic!("{text}"));
        let known: Words = list.split(", ").map(str::to_owned).collect();
        let page = read(&format!("man/{name}.1"));
        let items = section(&page, kind, title);
        let items = items.iter().filter_map(|line| line.strip_prefix(".It Cm "));
        let listed: Words = items.map(str::to_owned).collect();
        assert_same("columns", (name, &known), (title, &listed));
    }
}

#[test]
fn options_of_dcspool() {
    options_of_commands("dcspool", "man/dcspool.1");
}

#[test]
fn options_of_dcsched() {
    options_of_commands("dcsched", "man/dcsched.8");
}

#[test]
fn options_of_dcd() {
    options_of_commands("dcd", "man/dcd.8");
}

/// Of a program with subcommands, each a subsection of COMMANDS.
fn options_of_commands(name: &str, path: &str) {
    let page = read(path);
    let commands = subcommands(name);
    let titles: Words = section(&page, "Sh", "COMMANDS")
        .iter()
        .filter_map(|line| line.strip_prefix(".Ss "))
        .map(str::to_owned)
        .collect();
    assert_same("commands", (name, &commands), (path, &titles));
    // What every command takes stands once in the page.
    let of_all = options_in_page(&section(&page, "Sh", "OPTIONS"));
    assert_same("options", (name, &options_in_help(name, &[])), (path, &of_all));
    for command in &commands {
        let listed = options_in_page(&section(&page, "Ss", command));
        let help = options_in_help(name, &[command]);
        let own = help
            .iter()
            .filter(|option| listed.contains(*option) || !of_all.contains(*option))
            .cloned()
            .collect();
        assert!(listed.is_subset(&own), "{command} in {path}: {listed:?}, in its help: {help:?}");
        let unlisted: Vec<_> = own.difference(&listed).collect();
        assert!(unlisted.is_empty(), "{command} in {path} lacks {unlisted:?}");
    }
}

/// The numbers that `.It` lines of a section begin with.
fn numbers_in_items(lines: &[&str]) -> Words {
    let items = lines.iter().filter_map(|line| line.strip_prefix(".It "));
    let numbers = items.filter_map(|item| {
        let digits: String =
            item.trim_start_matches("Li ").chars().take_while(char::is_ascii_digit).collect();
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

/// The `.It Ev NAME` items of the lines that begin with `DC_`.
fn variables_in_items(lines: &[&str]) -> Words {
    let items = lines.iter().filter_map(|line| line.strip_prefix(".It Ev "));
    items
        .filter_map(|item| item.split_whitespace().next())
        .filter(|name| name.starts_with("DC_"))
        .map(str::to_owned)
        .collect()
}

/// The words with this beginning, letters and underscores, that stand in a text behind a quotation mark.
fn quoted_words(text: &str, begin: &str) -> Words {
    let quoted = format!("\"{begin}");
    text.match_indices(&quoted)
        .map(|(at, _)| {
            text[at + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
        })
        .filter(|word| word.len() > begin.len())
        .collect()
}

/// All Rust sources below a directory that are not tests, with the modules of tests at their ends cut off.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.push((path, code));
        }
    }
    found
}

/// What dcrun leaves out of an outer job's environment is a list of its own: of ranks of other versions too.
const STRIPPED: &str = "dcrun/src/setup/environment.rs";

#[test]
fn variables_in_the_code() {
    let page = read("man/dc-kernel.7");
    let listed = variables_in_items(&section(&page, "Sh", "ENVIRONMENT"));
    let mut known = Words::new();
    for dir in [
        "model/src",
        "dcd/src",
        "dcrun/src",
        "dcsched/brief/src",
        "spool/src",
        "spool/capi/src",
        "gather/src",
    ] {
        let sources = sources(&root().join(dir));
        for (_, code) in sources.iter().filter(|(path, _)| !path.ends_with(STRIPPED)) {
            known.extend(quoted_words(code, "DC_"));
        }
    }
    assert_same("variables", ("the sources", &known), ("ENVIRONMENT of dc-kernel(7)", &listed));
    let stripped = quoted_words(&read(STRIPPED), "DC_");
    let inherited: Vec<_> =
        listed.difference(&of_user(&page)).filter(|name| !stripped.contains(*name)).cloned().collect();
    assert!(inherited.is_empty(), "a dcrun in a rank would pass on {inherited:?}");
}

/// What the user sets and dc reads: not set by dcrun.
fn of_user(page: &str) -> Words {
    let by_library = variables_in_items(&section(page, "Ss", "Read, where the user sets it"));
    let by_dcrun = variables_in_items(&section(page, "Ss", "Read by dcrun, where the user sets it"));
    assert!(!by_library.is_empty() && !by_dcrun.is_empty());
    by_library.union(&by_dcrun).cloned().collect()
}

/// A kernel that leaves two checkpoints, is killed, and then says what it finds: all variables there can be.
#[test]
fn variables_of_a_rank() {
    const KERNEL: &str = "env | grep ^DC_; if [ \"$DC_ATTEMPT\" = 1 ]; then \
        echo a | \"$1\" save --step 1 && echo b | \"$1\" save --step 2 && kill -9 $$; fi";
    let dir = tempfile::tempdir().unwrap();
    let mask = dir.path().join("mask.pbm");
    fs::write(&mask, "P1\n4 2\n1 1 1 1\n1 1 1 1\n").unwrap();
    let dcspool = built("dcspool");
    let mut command = Command::new(built("dcrun"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DC_")) {
        command.env_remove(name);
    }
    command
        .args(["-n", "1", "--compat-env", "--domain"])
        .arg(&mask)
        .arg("--spool")
        .arg(dir.path().join("spool"));
    let output = command.args(["--", "/bin/sh", "-c", KERNEL, "sh"]).arg(dcspool).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let found: Words =
        stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    let page = read("man/dc-kernel.7");
    let listed = variables_in_items(&section(&page, "Sh", "ENVIRONMENT"));
    let of_merge = variables_in_items(&section(&page, "Ss", "Set for a command that merges"));
    let of_mpi = variables_in_items(&section(&page, "Ss", "Set in an MPI job"));
    let of_files = variables_in_items(&section(&page, "Ss", "Set where files were handed out"));
    let others: Words = of_user(&page).union(&of_merge).chain(&of_mpi).chain(&of_files).cloned().collect();
    let set = listed.difference(&others).cloned().collect();
    assert_same("variables", ("a rank's environment", &found), ("dc-kernel(7)", &set));
}

/// The words of this beginning in a text, with what must follow them.
fn words_followed_by(text: &str, begin: &str, next: fn(&str) -> bool) -> Words {
    let mut found = Words::new();
    let mut rest = text;
    while let Some(at) = rest.find(begin) {
        let before = rest[..at].chars().next_back();
        let end =
            rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |n| at + n);
        let is_word = !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_word && next(&rest[end..]) {
            found.insert(rest[at..end].to_owned());
        }
        rest = &rest[end.max(at + 1)..];
    }
    found
}

/// C text without its comments.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |code, part| code + part.split_once("*/").map_or("", |(_, after)| after))
}

#[test]
fn functions_of_the_library() {
    let header = without_comments(&read("spool/capi/include/dcspool.h"));
    let page = read("man/dcspool.3");
    let declared = words_followed_by(&header, "dc_", |next| next.starts_with('('));
    let synopsis = after_macro(&section(&page, "Sh", "SYNOPSIS"), "Fn");
    assert_same("functions", ("dcspool.h", &declared), ("SYNOPSIS of dcspool(3)", &synopsis));
    let described = after_macro(&section(&page, "Sh", "DESCRIPTION"), "Fn");
    let results = after_macro(&section(&page, "Sh", "RETURN VALUES"), "Fn");
    let anywhere: Words = described.union(&results).cloned().collect();
    assert_same("functions", ("dcspool.h", &declared), ("the text of dcspool(3)", &anywhere));
    for function in &declared {
        let code = read("spool/capi/src/lib.rs")
            + &sources(&root().join("spool/capi/src")).iter().map(|(_, code)| &code[..]).collect::<String>();
        assert!(code.contains(&format!("fn {function}(")), "{function} is declared, and not in the library");
    }

    let constants: Words = words_followed_by(&header, "DC_", |next| next.trim_start().starts_with('='));
    assert_same(
        "constants",
        ("dcspool.h", &constants),
        ("dcspool(3)", &after_macro(&page.lines().collect::<Vec<_>>(), "Dv")),
    );
    let calls = after_macro(&section(&read("man/dc-kernel.7"), "Sh", "CALLS"), "Fn");
    let unknown: Vec<_> = calls.difference(&declared).collect();
    assert!(unknown.is_empty(), "dc-kernel(7) names {unknown:?}");
}

fn pages() -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(root().join("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 5, "{all:?}");
    all
}

#[test]
fn pages_are_sound() {
    let mandoc = Command::new("mandoc").args(["-Tlint", "-W", "warning"]).args(pages()).output();
    let mandoc = mandoc.unwrap_or_else(|e| panic!("mandoc (Debian package mandoc) is needed: {e}"));
    let said =
        String::from_utf8_lossy(&mandoc.stdout).into_owned() + &String::from_utf8_lossy(&mandoc.stderr);
    assert!(mandoc.status.success() && said.is_empty(), "{said}");
}

/// Pages of this project that a page points to are there; its sections are what a page of its kind has.
#[test]
fn pages_point_to_pages() {
    let there: Words =
        pages().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for words in text.lines().filter_map(macro_words) {
            for named in words.windows(3).filter(|w| w[0] == "Xr" && w[1].starts_with("dc")) {
                let file = format!("{}.{}", named[1], named[2]);
                assert!(there.contains(&file), "{} points to {file}", path.display());
            }
        }
        let command = path.extension().is_some_and(|kind| kind == "1");
        let wanted: &[&str] = if command {
            &["EXIT STATUS", "ENVIRONMENT", "FILES", "SIGNALS", "DIAGNOSTICS", "EXAMPLES", "SEE ALSO"]
        } else {
            &["SEE ALSO"]
        };
        for title in wanted {
            section(&text, "Sh", title);
        }
    }
}

/// The lines of a page's examples, or of a README's fenced blocks, that are typed at a prompt.
fn typed(text: &str) -> Vec<String> {
    let joined = text.replace("\\e\n", "").replace("\\\n", "");
    let prompt = |line: &str| line.trim().strip_prefix("$ ").map(str::to_owned);
    joined.lines().filter_map(prompt).collect()
}

/// Each command that a text shows exists, and each option that it gives to a command of ours.
fn check_typed(from: &str, text: &str) -> usize {
    let makefile = read("Makefile");
    let targets: Words = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#', '.']) && !line.contains('='))
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let lines = typed(text);
    for line in &lines {
        for part in line.split([';', '|']).map(str::trim) {
            let mut words = part.split_whitespace();
            match words.next().map(|word| word.trim_start_matches("target/release/")) {
                Some("make") => {
                    for target in words.by_ref().filter(|word| !word.starts_with('-') && !word.contains('='))
                    {
                        let own = !part.contains("-C ");
                        assert!(
                            !own || targets.contains(target),
                            "{from}: {line}: there is no target {target}"
                        );
                    }
                }
                Some(name @ ("dcrun" | "dcspool")) => {
                    let command = words.clone().next().filter(|_| name == "dcspool");
                    let args: Vec<_> = command.into_iter().filter(|word| !word.starts_with('-')).collect();
                    let known = options_in_help(name, &args);
                    let own = words.take_while(|word| *word != "--" && !word.starts_with("./"));
                    for option in own.filter(|word| word.starts_with('-')) {
                        let option = option.split('=').next().unwrap_or_default();
                        assert!(known.contains(option), "{from}: {line}: {name} has no {option}");
                    }
                }
                _ => {}
            }
        }
    }
    lines.len()
}

#[test]
fn commands_that_are_shown() {
    assert!(check_typed("README.md", &read("README.md")) >= 3);
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        check_typed(&path.display().to_string(), &text);
    }
}

/// What README and ARCHITECTURE link to or name as a file of the tree is there.
#[test]
fn files_that_are_named() {
    for from in ["README.md", "ARCHITECTURE.md"] {
        let text = read(from);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
        let quoted = text.split('`').skip(1).step_by(2);
        let paths = quoted.filter(|word| {
            let tree = [
                "model/",
                "dcsched/",
                "dcd/",
                "dcrun/",
                "spool/",
                "gather/",
                "docs/",
                "man/",
                "tests/",
                "bench/",
                "examples/",
                "contrib/",
                ".ci/",
            ];
            tree.iter().any(|dir| word.starts_with(dir)) && !word.contains([' ', '*', '<'])
        });
        for path in files.chain(paths) {
            assert!(root().join(path.split('#').next().unwrap_or_default()).exists(), "{from} names {path}");
        }
    }
}

/// Each event with its fields, from the code that writes them: the variants of its enum, as JSON has them.
fn events_in_code() -> BTreeMap<String, Words> {
    let code = read("dcrun/src/events.rs");
    let body = code.split("pub enum Event<'a> {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    let mut events: BTreeMap<String, Words> = BTreeMap::new();
    let mut last = String::new();
    for line in body.lines() {
        if let Some(variant) = line.strip_prefix("    ").and_then(|line| line.strip_suffix(" {")) {
            last = snake_case(variant);
            events.insert(last.clone(), Words::new());
        } else if let Some((field, _)) = line.trim().split_once(": ").filter(|_| !line.contains("///")) {
            events.get_mut(&last).unwrap().insert(field.to_owned());
        }
    }
    assert!(events.len() > 5 && events.values().all(|fields| !fields.is_empty()), "{events:?}");
    events
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[test]
fn events() {
    let code = events_in_code();
    let page = read("man/dcrun.1");
    let (mut listed, mut name) = (BTreeMap::<String, Words>::new(), None);
    for line in section(&page, "Sh", "JSON EVENTS") {
        if let Some(item) = line.strip_prefix(".It Cm ") {
            name = Some(item.to_owned());
            listed.insert(item.to_owned(), Words::new());
        } else if let (Some(words), Some(name)) = (line.strip_prefix(".Va "), &name) {
            let fields = words.split_whitespace().filter(|word| word.len() > 1);
            listed.get_mut(name).unwrap().extend(fields.map(str::to_owned));
        }
    }
    let names = |events: &BTreeMap<String, Words>| events.keys().cloned().collect::<Words>();
    assert_same(
        "events",
        ("dcrun/src/events.rs", &names(&code)),
        ("JSON EVENTS of dcrun(1)", &names(&listed)),
    );
    let described = events_described();
    assert_same(
        "events",
        ("dcrun/src/events.rs", &names(&code)),
        ("docs/json-events.md", &names(&described)),
    );
    for (name, fields) in &code {
        assert_same(&format!("fields of {name}"), ("the code", fields), ("dcrun(1)", &listed[name]));
        let what = format!("fields of {name}");
        assert_same(&what, ("the code", fields), ("docs/json-events.md", &described[name]));
    }
}

/// Each event with its fields, from the headings of docs/json-events.md and the tables below them.
fn events_described() -> BTreeMap<String, Words> {
    let text = read("docs/json-events.md");
    let sections = text.split("\n## ").skip(1).filter(|section| section.contains("| field |"));
    sections
        .map(|section| {
            let fields = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let name = section.lines().next().unwrap_or_default();
            (name.to_owned(), fields.map(|(field, _)| field.to_owned()).collect())
        })
        .collect()
}
