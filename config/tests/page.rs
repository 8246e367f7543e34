//! dc.toml(5) holds every key of the code, with what it takes, its default and whether a change waits for a restart; and no
//! other.

#![allow(clippy::unwrap_used)] // A test: what cannot be unwrapped fails it.

use dc_config::{AnyKey, keys};
use std::collections::BTreeMap;
use std::path::Path;

/// What the page says below each `.It Cm KEY` of each `.Ss TABLE`: whether it is marked, and its text in one line.
fn items(page: &str) -> BTreeMap<(String, String), (bool, String)> {
    let mut items = BTreeMap::new();
    let (mut table, mut key) = (None, None);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix(".Ss ") {
            (table, key) = (Some(title.trim_matches(['\"', '[', ']']).to_owned()), None);
        } else if line.starts_with(".Sh ") {
            (table, key) = (None, None);
        } else if let (Some(item), Some(table)) = (line.strip_prefix(".It Cm "), &table) {
            let mut words = item.split_whitespace();
            let at = (table.clone(), words.next().unwrap().to_owned());
            items.insert(at.clone(), (words.eq(["Pq", "restart"]), String::new()));
            key = Some(at);
        } else if line.starts_with(".El") {
            key = None;
        } else if let Some((_, text)) = key.as_ref().and_then(|at| items.get_mut(at)) {
            *text += &format!("{} ", line.replace("\\(dq", "\"").replace("\\(aq", "'"));
        }
    }
    items
}

#[test]
fn every_key_is_in_the_page_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/dc.toml.5");
    let page = std::fs::read_to_string(page).unwrap();
    let mut items = items(&page);
    let mut wrong = Vec::new();
    let name = items.remove(&("nodes".to_owned(), keys::NODES_NAME.to_owned()));
    if name.is_none() {
        wrong.push("nodes.name is not there".to_owned());
    }
    for key in keys::ALL {
        wrong.extend(lacks(*key, items.remove(&(key.table().to_owned(), key.name().to_owned()))));
    }
    wrong
        .extend(items.keys().map(|(table, key)| format!("{table}.{key} is in the page and not in the code")));
    assert!(wrong.is_empty(), "man/dc.toml.5:\n{}", wrong.join("\n"));
}

fn lacks(key: &dyn AnyKey, item: Option<(bool, String)>) -> Option<String> {
    let name = format!("{}.{}", key.table(), key.name());
    let Some((is_marked, text)) = item else { return Some(format!("{name} is not there")) };
    if is_marked == key.is_live() {
        return Some(format!("{name} is marked `Pq restart`: {is_marked}"));
    }
    let wanted = [format!("Takes {}.", key.says()), format!("Default: {}.", key.default())];
    wanted.into_iter().find(|wanted| !text.contains(wanted)).map(|wanted| format!("{name} lacks: {wanted}"))
}

#[test]
fn the_example_of_the_page_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/dc.toml.5");
    let page = std::fs::read_to_string(page).unwrap();
    let examples: Vec<&str> = page
        .split(".Bd -literal")
        .skip(1)
        .filter_map(|rest| rest.split_once('\n')?.1.split_once(".Ed").map(|(text, _)| text))
        .collect();
    assert!(examples.len() >= 2);
    for text in examples {
        let of = dc_config::Surroundings::default();
        if let Err(error) = dc_config::Config::parse(Path::new("/etc/dc/dc.toml"), text.as_bytes(), &of) {
            panic!("{error} in\n{text}");
        }
    }
}
