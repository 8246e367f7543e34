//! The picture of a machine: a box for each package, in it one for each NUMA domain, in that the cores, those of one
//! cache together. A large machine is drawn with less detail.

use super::{Domain, Package, Seat, cells};
use crate::show::amount::{self, count, plural};
use crate::show::canvas::Canvas;
use dc_model::CpuSet;
use dcd::topology::{Found, MemoryNode};
use std::collections::BTreeSet;

/// The most lines that cores are drawn in; beyond that each cache is one line, then each domain, then each package.
const LINES_MAX: usize = 200;

/// The picture, its head first.
#[must_use]
pub fn draw(found: &Found, packages: &[Package<'_>], is_bound: bool, canvas: Canvas) -> Vec<String> {
    let style = Style::of(packages, canvas.width.saturating_sub(8));
    let picture = Picture { found, canvas, style, total: cells(packages.iter().flat_map(Package::seats)) };
    let mut out = picture.head(packages);
    let mut drawn = Detail::Cores;
    for (detail, told) in [
        (Detail::Cores, ""),
        (Detail::Caches, "too many cores to be drawn one by one: --json has each"),
        (Detail::Domains, "too many cores to be drawn: --json has each"),
        (Detail::Packages, "too many domains to be drawn: --json has each"),
    ] {
        let lines: Vec<String> =
            packages.iter().flat_map(|package| picture.package(package, detail)).collect();
        if lines.len() <= LINES_MAX || detail == Detail::Packages {
            drawn = detail;
            out.extend((!told.is_empty()).then(|| told.to_owned()));
            let rest = lines.len().saturating_sub(LINES_MAX);
            out.extend(lines.into_iter().take(LINES_MAX));
            out.extend((rest > 0).then(|| format!("and {rest} more packages")));
            break;
        }
    }
    out.extend(picture.far_memory());
    if !found.left_out.is_empty() {
        out.push(format!("not used: CPUs {} (offline, hidden or not allowed)", shown(&found.left_out)));
    }
    if drawn == Detail::Cores
        && packages.iter().flat_map(Package::seats).any(|seat| seat.load.subtasks.len() > 1)
    {
        out.push("rank 3 +2: rank 3 first, and 2 more subtasks; the cells are those of all".to_owned());
    }
    if !is_bound {
        out.push("ranks are not bound: the system chooses where they run, and may move them".to_owned());
    }
    out
}

/// How much of each package is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Cores,
    Caches,
    Domains,
    Packages,
}

struct Picture<'a> {
    found: &'a Found,
    canvas: Canvas,
    style: Style,
    total: u64,
}

/// How entries are set: alike over the whole picture, so that columns stand below each other.
struct Style {
    /// The widths of the four words of entries of one core.
    widths: [usize; 4],
    /// What stands between the words; without room for two columns it is less, and the last word is left out.
    is_tight: bool,
    /// The width of an entry.
    column: usize,
}

impl Style {
    fn of(packages: &[Package<'_>], room: usize) -> Self {
        let mut widths = [0; 4];
        let mut entries = 0;
        let domains = packages.iter().flat_map(|package| &package.domains);
        for group in domains.flat_map(|domain| &domain.caches).flat_map(|cache| groups(cache)) {
            entries += 1;
            // Idle cores are many together, and decide nothing.
            if group.iter().any(|seat| seat.rank.is_some()) {
                for (width, word) in widths.iter_mut().zip(row(group)) {
                    *width = (*width).max(word.chars().count());
                }
            }
        }
        let mut style = Self { widths, is_tight: false, column: 0 };
        style.column = style.entry(&["", "", "", "x"].map(str::to_owned)).chars().count();
        if style.column * 2 + 3 > room && entries > LOOSE_MAX {
            let tight = Self { is_tight: true, ..style };
            let column = tight.entry(&["", "", "", "x"].map(str::to_owned)).chars().count();
            if column * 2 + 3 <= room {
                return Self { column, ..tight };
            }
        }
        style
    }

    fn entry(&self, row: &[String; 4]) -> String {
        let [a, b, c, d] = self.widths;
        let [cpus, beside, rank, sum] = row;
        let (gap, d) = if self.is_tight { (" ", d.saturating_sub(CELLS.len())) } else { ("  ", d) };
        let sum = if self.is_tight { sum.split(' ').next().unwrap_or_default() } else { sum };
        let mut entry = format!("{cpus:<a$}");
        if !beside.is_empty() || b > 0 {
            entry += &format!("{gap}{beside:<b$}");
        }
        (entry + &format!("{gap}{rank:<c$}{gap}{sum:>d$}")).trim_end().to_owned()
    }
}

/// The most entries that are set with room between their words where they find no place beside each other.
const LOOSE_MAX: usize = 32;

/// What follows the number of cells, at most.
const CELLS: &str = " cells";

impl Picture<'_> {
    /// How much there is of everything.
    fn head(&self, packages: &[Package<'_>]) -> Vec<String> {
        let topology = &self.found.topology;
        let amount = |n: usize, one, many| format!("{} {}", count(n as u64), plural(n as u64, one, many));
        let caches: BTreeSet<u32> = topology.cores.iter().map(|core| core.l3).collect();
        let mut parts = vec![
            amount(packages.len(), "package", "packages"),
            amount(topology.numa.len(), "NUMA domain", "NUMA domains"),
        ];
        parts.extend(self.found.cache.map(|name| format!("{} {name}", count(caches.len() as u64))));
        parts.push(amount(topology.cores.len(), "core", "cores"));
        parts.push(amount(topology.cpus().len(), "CPU", "CPUs"));
        let host = topology.host.escape_default();
        match self.found.described_by {
            Some(variable) => vec![format!("machine {host}, described by {variable}"), parts.join(", ")],
            None => vec![format!("machine {host}: {}", parts.join(", "))],
        }
    }

    fn package(&self, package: &Package<'_>, detail: Detail) -> Vec<String> {
        let title = format!("package {}: {}", package.number, self.sums(package.seats()));
        if detail == Detail::Packages {
            return vec![title];
        }
        let width = self.canvas.width;
        let inner = width - 4;
        let mut lines = Vec::new();
        for domain in &package.domains {
            let title = self.domain_title(domain);
            if detail == Detail::Domains {
                lines.push(title);
            } else {
                lines.extend(self.canvas.boxed(&title, self.domain(domain, detail, inner - 4), inner));
            }
        }
        self.canvas.boxed(&title, lines, width)
    }

    fn domain_title(&self, domain: &Domain<'_>) -> String {
        let here = domain.seats().count();
        let all = self.found.topology.cores.iter().filter(|core| core.numa == domain.index).count();
        let part = if here < all { " (a part of it)" } else { "" };
        let memory = bytes(domain.numa.memory_bytes);
        format!("NUMA {}{part}: {memory}{}", domain.numa.os_index, self.sums(domain.seats()))
    }

    fn domain(&self, domain: &Domain<'_>, detail: Detail, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for cache in &domain.caches {
            let name =
                self.found.cache.zip(cache.first()).map(|(name, seat)| format!("{name} {}", seat.core.l3));
            if detail == Detail::Caches {
                let cpus = shown(&cpus_of(cache));
                lines.push(format!("{}: {}, CPUs {cpus}", name.unwrap_or_default(), self.sums(cache.iter())));
                continue;
            }
            if let Some(name) = name.filter(|_| domain.caches.len() > 1) {
                lines.push(self.canvas.rule("", &name, "", width));
            }
            let entries: Vec<String> = groups(cache).map(|group| self.style.entry(&row(group))).collect();
            lines.extend(self.canvas.columns(&entries, self.style.column, width));
        }
        let near = |node: &&MemoryNode| node.near == [domain.index];
        lines.extend(self.found.memory_only.iter().filter(near).map(|node| memory(node) + ", holds no core"));
        lines
    }

    /// Cores, cells and their share.
    fn sums<'b, 'c: 'b>(&self, seats: impl Iterator<Item = &'b Seat<'c>> + Clone) -> String {
        let cores = seats.clone().count() as u64;
        let sum = cells(seats);
        let share = if self.total == 0 { 0.0 } else { sum as f64 * 100.0 / self.total as f64 };
        let words = (plural(cores, "core", "cores"), plural(sum, "cell", "cells"));
        format!("{} {}, {} {}, {share:.1} %", count(cores), words.0, count(sum), words.1)
    }

    /// Nodes without cores that are not drawn in a domain.
    fn far_memory(&self) -> impl Iterator<Item = String> {
        let far = self.found.memory_only.iter().filter(|node| node.near.len() != 1);
        far.map(|node| memory(node) + ", holds no core")
    }
}

/// One a core; cores of one subtask, and idle ones, together.
fn groups<'a, 'b>(cache: &'a [Seat<'b>]) -> impl Iterator<Item = &'a [Seat<'b>]> {
    cache.chunk_by(|a, b| a.load.subtasks == b.load.subtasks)
}

/// CPUs by the OS's numbers, cores by hwloc's where those differ, rank, cells.
fn row(group: &[Seat<'_>]) -> [String; 4] {
    let many = |set: &CpuSet, one, more| format!("{} {}", plural(set.len() as u64, one, more), shown(set));
    let cpus = cpus_of(group);
    let cores: CpuSet = group.iter().map(|seat| seat.core.logical).collect();
    let beside = if cores == cpus { String::new() } else { many(&cores, "core", "cores") };
    let first = group.first();
    let Some(rank) = first.and_then(|seat| seat.rank) else {
        return [many(&cpus, "cpu", "cpus"), beside, "idle".to_owned(), String::new()];
    };
    let more = first.map_or(0, |seat| seat.load.subtasks.len().saturating_sub(1));
    let more = if more > 0 { format!(" +{}", count(more as u64)) } else { String::new() };
    let sum = cells(group.iter());
    let sum = format!("{} {}", count(sum), plural(sum, "cell", "cells"));
    [many(&cpus, "cpu", "cpus"), beside, format!("rank {rank}{more}"), sum]
}

fn cpus_of(seats: &[Seat<'_>]) -> CpuSet {
    seats.iter().flat_map(|seat| seat.core.cpus.iter()).collect()
}

/// `0-3,8`, the end left out where it is long.
fn shown(set: &CpuSet) -> String {
    let text = set.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => {
            let end = text[..end].rfind(',').unwrap_or(end);
            format!("{},...", &text[..end])
        }
        None => text,
    }
}

fn memory(node: &MemoryNode) -> String {
    let kind =
        node.kind.as_ref().map_or_else(|| "memory".to_owned(), |kind| kind.escape_default().to_string());
    format!("NUMA {}: {}{kind}", node.os_index, bytes(node.memory_bytes).replace(", ", " "))
}

/// `64 GiB, `; nothing where it is not known.
fn bytes(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { amount::memory(bytes) + ", " }
}
