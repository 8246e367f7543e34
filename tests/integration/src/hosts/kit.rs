//! What a host is made of, as the test tells it to the holder and the holder to init: one JSON object.

use serde_json::{Value, json};
use std::path::PathBuf;

/// A host's making.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kit {
    /// Its name, and host name.
    pub name: String,
    /// The directory of the net it is on; `hosts/NAME`, `own` and `shared` are in it.
    pub base: PathBuf,
    /// Its disk is a tmpfs of so many bytes; else a directory of the machine's disk.
    pub disk_bytes: Option<u64>,
    /// CPUs all of it may use; none: those of the test.
    pub cpus: Vec<u32>,
    /// What its `/proc/sys/kernel/random/boot_id` says.
    pub boot_id: String,
    /// It is the net's switch: a network of its own, and nothing else.
    pub is_switch: bool,
    /// Control groups made for it, each with the mount point and the options of its hierarchy.
    pub groups: Vec<GroupOf>,
}

/// A control group of a host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupOf {
    /// Its directory.
    pub dir: PathBuf,
    /// Where its hierarchy is mounted.
    pub mounted: PathBuf,
    /// The controllers of version 1; nothing for version 2.
    pub controllers: String,
}

impl Kit {
    /// As text without a line end.
    #[must_use]
    pub fn to_text(&self) -> String {
        let group = |group: &GroupOf| json!([text(&group.dir), text(&group.mounted), group.controllers]);
        json!({
            "name": self.name, "base": text(&self.base), "disk_bytes": self.disk_bytes, "cpus": self.cpus,
            "boot_id": self.boot_id, "is_switch": self.is_switch,
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// Reads it again.
    ///
    /// # Panics
    /// When it is not such a text.
    #[must_use]
    pub fn from_text(words: &str) -> Self {
        let value: Value = serde_json::from_str(words).unwrap();
        let string = |value: &Value| value.as_str().unwrap().to_owned();
        let group = |value: &Value| GroupOf {
            dir: string(&value[0]).into(),
            mounted: string(&value[1]).into(),
            controllers: string(&value[2]),
        };
        Self {
            name: string(&value["name"]),
            base: string(&value["base"]).into(),
            disk_bytes: value["disk_bytes"].as_u64(),
            cpus: value["cpus"].as_array().unwrap().iter().map(|cpu| cpu.as_u64().unwrap() as u32).collect(),
            boot_id: string(&value["boot_id"]),
            is_switch: value["is_switch"].as_bool().unwrap(),
            groups: value["groups"].as_array().unwrap().iter().map(group).collect(),
        }
    }

    /// The machine's directory that is the host's disk.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.base.join("hosts").join(&self.name)
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
