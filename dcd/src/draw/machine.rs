//! The picture of a machine as it is: packages, NUMA domains with their memory, caches, cores with their hardware threads.

use super::amount::{counted, memory};
use super::canvas::Canvas;
use crate::topology::{Found, MemoryNode};
use dc_model::{Core, CpuSet};
use std::collections::{BTreeMap, BTreeSet};

/// The most lines that cores are drawn in; beyond that each cache is a line.
const LINES_MAX: usize = 300;

/// The picture, its head first.
#[must_use]
pub fn draw(found: &Found, canvas: Canvas) -> Vec<String> {
    let topology = &found.topology;
    let mut packages: BTreeMap<u32, BTreeMap<u32, Vec<&Core>>> = BTreeMap::new();
    for core in &topology.cores {
        packages.entry(core.package).or_default().entry(core.numa).or_default().push(core);
    }
    let mut out = head(found, packages.len());
    let boxes = |has_cores: bool| -> Vec<String> {
        packages
            .iter()
            .flat_map(|(number, domains)| package(found, *number, domains, has_cores, canvas))
            .collect()
    };
    let drawn = boxes(true);
    if drawn.len() <= LINES_MAX {
        out.extend(drawn);
    } else {
        out.push("too many cores to be drawn one by one: --json has each".to_owned());
        out.extend(boxes(false));
    }
    let far = found.memory_only.iter().filter(|node| node.near.len() != 1);
    out.extend(far.map(memory_only));
    if !found.left_out.is_empty() {
        out.push(format!("not used: CPUs {} (offline, hidden or not allowed)", found.left_out));
    }
    out
}

fn head(found: &Found, packages: usize) -> Vec<String> {
    let topology = &found.topology;
    let caches: BTreeSet<u32> = topology.cores.iter().map(|core| core.l3).collect();
    let mut parts = vec![
        counted(packages as u64, "package", "packages"),
        counted(topology.numa.len() as u64, "NUMA domain", "NUMA domains"),
    ];
    parts.extend(found.cache.map(|name| format!("{} {name}", caches.len())));
    parts.push(counted(topology.cores.len() as u64, "core", "cores"));
    let threads = topology.cpus();
    parts.push(counted(threads.len() as u64, "hardware thread", "hardware threads"));
    let bytes = topology.numa.iter().fold(0_u64, |sum, numa| sum.saturating_add(numa.memory_bytes));
    parts.push(memory(bytes));
    let host = topology.host.escape_default();
    let by = found.described_by.map(|by| format!(", described by {by}")).unwrap_or_default();
    vec![format!("machine {host}{by}"), parts.join(", "), format!("allowed CPUs: {threads}")]
}

fn package(
    found: &Found,
    number: u32,
    domains: &BTreeMap<u32, Vec<&Core>>,
    has_cores: bool,
    canvas: Canvas,
) -> Vec<String> {
    let cores: Vec<&Core> = domains.values().flatten().copied().collect();
    let mut lines = Vec::new();
    for (index, cores) in domains {
        let numa = found.topology.numa.get(*index as usize);
        let (os_index, bytes) = numa.map_or((*index, 0), |numa| (numa.os_index, numa.memory_bytes));
        let all = found.topology.cores.iter().filter(|core| core.numa == *index).count();
        let part = if cores.len() < all { " (a part of it)" } else { "" };
        let title = format!("NUMA {os_index}{part}: {}, {}", memory(bytes), sums(cores));
        let width = canvas.width.saturating_sub(4);
        let inside = domain(found, *index, cores, has_cores, canvas, width.saturating_sub(4));
        lines.extend(canvas.boxed(&title, inside, width));
    }
    canvas.boxed(&format!("package {number}: {}", sums(&cores)), lines, canvas.width)
}

fn domain(
    found: &Found,
    index: u32,
    cores: &[&Core],
    has_cores: bool,
    canvas: Canvas,
    width: usize,
) -> Vec<String> {
    let mut caches: BTreeMap<u32, Vec<&Core>> = BTreeMap::new();
    for core in cores {
        caches.entry(core.l3).or_default().push(core);
    }
    let entry = |core: &Core| {
        let word = if core.cpus.len() == 1 { "CPU" } else { "CPUs" };
        format!("core {}: {word} {}", core.logical, core.cpus)
    };
    let column = found.topology.cores.iter().map(|core| entry(core).chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (number, cores) in &caches {
        let name = found.cache.map(|name| format!("{name} {number}"));
        if has_cores {
            lines.extend(name.filter(|_| caches.len() > 1).map(|name| canvas.rule("", &name, "", width)));
            let entries: Vec<String> = cores.iter().map(|core| entry(core)).collect();
            lines.extend(canvas.columns(&entries, column, width));
        } else {
            lines.push(format!("{}: {}, CPUs {}", name.unwrap_or_default(), sums(cores), cpus(cores)));
        }
    }
    let near = |node: &&MemoryNode| node.near == [index];
    lines.extend(found.memory_only.iter().filter(near).map(memory_only));
    lines
}

fn sums(cores: &[&Core]) -> String {
    let threads = cpus(cores).len() as u64;
    let cores = cores.len() as u64;
    let more =
        (threads != cores).then(|| format!(", {}", counted(threads, "hardware thread", "hardware threads")));
    counted(cores, "core", "cores") + &more.unwrap_or_default()
}

fn cpus(cores: &[&Core]) -> CpuSet {
    cores.iter().flat_map(|core| core.cpus.iter()).collect()
}

fn memory_only(node: &MemoryNode) -> String {
    let kind =
        node.kind.as_ref().map_or_else(|| "memory".to_owned(), |kind| kind.escape_default().to_string());
    format!("NUMA {}: {} {kind}, holds no core", node.os_index, memory(node.memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::Topology;

    fn found(topology: Topology) -> Found {
        let left_out = CpuSet::from_iter([90]);
        Found { topology, described_by: None, cache: Some("L3"), memory_only: Vec::new(), left_out }
    }

    const CANVAS: Canvas = Canvas { width: 60, has_boxes: false };

    #[test]
    fn a_small_machine() {
        let mut topology = Topology::uniform(4, 2, 4);
        topology.cores[3].cpus = CpuSet::from_iter([3, 7]);
        let lines = draw(&found(topology), CANVAS);
        let expected = [
            "machine node",
            "1 package, 1 NUMA domain, 2 L3, 4 cores, 5 hardware threads, 16 GiB",
            "allowed CPUs: 0-3,7",
            "+- package 0: 4 cores, 5 hardware threads ----------------+",
            "| +- NUMA 0: 16 GiB, 4 cores, 5 hardware threads -------+ |",
            "| | - L3 0 -------------------------------------------- | |",
            "| | core 0: CPU 0       core 1: CPU 1                   | |",
            "| | - L3 1 -------------------------------------------- | |",
            "| | core 2: CPU 2       core 3: CPUs 3,7                | |",
            "| +-----------------------------------------------------+ |",
            "+---------------------------------------------------------+",
            "not used: CPUs 90 (offline, hidden or not allowed)",
        ];
        // The width of the test's boxes is the canvas's.
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            let plain = |text: &str| text.replace(['-', ' '], "");
            assert_eq!(plain(line), plain(expected), "{lines:#?}");
            assert!(line.chars().count() <= CANVAS.width.max(70), "{line}");
        }
    }

    #[test]
    fn a_large_machine_has_a_line_a_cache() {
        let lines = draw(&found(Topology::uniform(4096, 16, 64)), CANVAS);
        assert!(lines.len() < 700, "{}", lines.len());
        assert!(lines.iter().any(|line| line.contains("--json has each")));
        assert!(lines.iter().any(|line| line.contains("L3 255: 16 cores, CPUs 4080-4095")), "{lines:#?}");
    }
}
