//! Nodes with cores and processes, as the tests of parts have them: they check that no core is had twice.

use dc_model::{Attempt, Core, CpuSet, NumaDomain, Outcome, Rank, SubtaskId, Topology};
use dcsched_core::job::{Event, PartSpec};
use dcsched_core::place::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// Memory of each domain of two cores, in bytes.
pub const DOMAIN_BYTES: u64 = 1000;

/// Seeded; xorshift.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len() as u64) as usize])
    }
}

/// A process, or one that is held behind another.
#[derive(Clone, Debug)]
pub struct Process {
    pub subtask: SubtaskId,
    pub attempt: Attempt,
    rank: Rank,
    node: u32,
    part: u32,
    /// Indices into the part's cores, and then into the node's.
    cores: Vec<u32>,
    mem_bytes: u64,
    after: Option<(SubtaskId, Attempt)>,
}

impl Process {
    pub fn of(
        subtask: SubtaskId,
        attempt: Attempt,
        rank: Rank,
        placement: &Placement,
        mem_bytes: u64,
        after: Option<(SubtaskId, Attempt)>,
    ) -> Self {
        let (node, part, cores) = (placement.node, placement.part, placement.cores.clone());
        Self { subtask, attempt, rank, node, part, cores, mem_bytes, after }
    }
}

/// An end, kept by its node.
#[derive(Clone, Debug)]
pub struct Ended {
    pub subtask: SubtaskId,
    pub attempt: Attempt,
    pub outcome: Outcome,
    pub stopped: bool,
    node: u32,
    is_told: bool,
}

#[derive(Debug)]
struct Part {
    node: u32,
    /// The node's cores, those that were released taken out.
    cores: Vec<Option<u32>>,
    mem_bytes: u64,
}

#[derive(Debug, Default)]
pub struct Nodes {
    cores: BTreeMap<u32, u32>,
    ranks_max: Option<u32>,
    parts: BTreeMap<u32, Part>,
    next_part: u32,
    processes: Vec<Process>,
    ended: Vec<Ended>,
    pub merging: bool,
}

impl Nodes {
    /// One to four nodes of three to six cores.
    pub fn any(random: &mut Random) -> Self {
        let cores =
            (1..=random.between(1, 4) as u32).map(|node| (node, random.between(3, 6) as u32)).collect();
        let ranks_max = random.chance(200).then(|| random.between(2, 3) as u32);
        Self { cores, ranks_max, ..Self::default() }
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.cores.keys().copied()
    }

    pub fn all(&self) -> &[Process] {
        &self.processes
    }

    pub fn launch(&mut self, mut process: Process) {
        let part = self.parts.get(&process.part).expect("launched on a part that is there");
        assert_eq!(part.node, process.node);
        let of_node =
            |index: &u32| part.cores[*index as usize].expect("launched on a core that is the job's");
        process.cores = process.cores.iter().map(of_node).collect();
        let here = || self.processes.iter().filter(|other| other.node == process.node);
        assert!(self.processes.iter().all(|other| other.subtask != process.subtask), "it runs already");
        if let Some((subtask, attempt)) = process.after {
            let ahead = here().find(|ahead| (ahead.subtask, ahead.attempt) == (subtask, attempt));
            assert!(ahead.is_some_and(|ahead| ahead.cores == process.cores), "it follows nobody");
        } else {
            let taken = |core: &u32| here().any(|other| other.cores.contains(core));
            assert!(!process.cores.iter().any(taken), "a core is had twice");
            // Who is held behind another one will have its memory.
            let used: u64 = here().filter(|other| other.after.is_none()).map(|other| other.mem_bytes).sum();
            let most = u64::from(self.cores[&process.node].div_ceil(2)) * DOMAIN_BYTES;
            assert!(used + process.mem_bytes <= most, "too little memory");
            let ranks = here().filter(|other| other.after.is_none()).count() as u32;
            assert!(
                self.ranks_max.is_none_or(|most| ranks < most),
                "too many ranks on node {}",
                process.node
            );
        }
        self.processes.push(process);
    }

    /// `false` when it does not run.
    pub fn end(&mut self, subtask: SubtaskId, attempt: Attempt, outcome: Outcome, stopped: bool) -> bool {
        let is_it = |process: &Process| (process.subtask, process.attempt) == (subtask, attempt);
        let Some(at) = self.processes.iter().position(is_it) else { return false };
        let gone = self.processes.remove(at);
        // Who waited for it runs now, or waits for whom it waited for.
        for process in self.processes.iter_mut().filter(|process| process.after == Some((subtask, attempt))) {
            process.after = gone.after;
        }
        self.ended.push(Ended { subtask, attempt, outcome, stopped, node: gone.node, is_told: false });
        true
    }

    pub fn end_any(&mut self, random: &mut Random, outcome: Outcome) {
        let running = self.processes.iter().filter(|process| process.after.is_none());
        let running: Vec<_> = running.map(|process| (process.subtask, process.attempt)).collect();
        if let Some((subtask, attempt)) = random.pick(&running) {
            self.end(subtask, attempt, outcome, false);
        }
    }

    /// Ends that were not told, of nodes that are there.
    pub fn take_fresh(&mut self, present: &BTreeSet<u32>) -> Vec<Ended> {
        let fresh = self.ended.iter_mut().filter(|ended| !ended.is_told && present.contains(&ended.node));
        fresh
            .map(|ended| {
                ended.is_told = true;
                ended.clone()
            })
            .collect()
    }

    /// All ends of a node, told or not.
    pub fn ended_on(&self, node: u32) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(move |ended| ended.node == node)
    }

    pub fn assert_part(&self, part: u32) {
        assert!(self.parts.contains_key(&part), "part {part} is not there");
    }

    pub fn assert_all_given_back(&self) {
        assert!(self.parts.is_empty(), "cores were not given back: {:?}", self.parts);
    }

    pub fn release(&mut self, number: u32, cores: &[u32]) {
        let part = self.parts.get_mut(&number).expect("released of a part that is there");
        for index in cores {
            let core = part.cores[*index as usize].take().expect("released once");
            let on = |process: &Process| process.node == part.node && process.cores.contains(&core);
            assert!(!self.processes.iter().any(on), "a core is released, and something runs there");
        }
        if part.cores.iter().all(Option::is_none) {
            self.parts.remove(&number);
        }
    }

    fn free_cores(&self, node: u32) -> Vec<u32> {
        let here = self.parts.values().filter(|part| part.node == node);
        let taken: BTreeSet<u32> = here.flat_map(|part| part.cores.iter().flatten().copied()).collect();
        (0..self.cores[&node]).filter(|core| !taken.contains(core)).collect()
    }

    fn part(&mut self, random: &mut Random, node: u32, cores: Vec<u32>, mem_bytes: u64) -> PartSpec {
        self.next_part += 1;
        let core = |logical: &u32| Core {
            logical: *logical,
            cpus: CpuSet::from_iter([*logical]),
            l3: logical / 2,
            numa: logical / 2,
            package: 0,
        };
        let domains = 0..self.cores[&node].div_ceil(2);
        let topology = Topology {
            host: format!("n{node}"),
            cores: cores.iter().map(core).collect(),
            numa: domains.map(|os_index| NumaDomain { os_index, memory_bytes: DOMAIN_BYTES }).collect(),
        };
        let memory_max_bytes = Some(mem_bytes);
        let cores = cores.into_iter().map(Some).collect();
        self.parts.insert(self.next_part, Part { node, cores, mem_bytes });
        let (part, ranks_max) = (self.next_part, self.ranks_max);
        let speed_permille = 500 + random.below(1000) as u32;
        PartSpec { part, node, topology, memory_max_bytes, speed_permille, ranks_max }
    }

    /// Some free cores, no fewer than a piece.
    pub fn offer(&mut self, random: &mut Random, node: u32, piece: u32) -> Option<PartSpec> {
        let mut free = self.free_cores(node);
        // Memory goes by cores: with two pieces at least one subtask always has enough.
        let least = u64::from(piece).max(2).min(u64::from(self.cores[&node]));
        if (free.len() as u64) < least {
            return None;
        }
        free.truncate(random.between(least, free.len() as u64) as usize);
        let mem_bytes = free.len() as u64 * DOMAIN_BYTES / 2;
        (mem_bytes <= self.memory_left(node)).then(|| self.part(random, node, free, mem_bytes))
    }

    fn memory_left(&self, node: u32) -> u64 {
        let here = self.parts.values().filter(|part| part.node == node);
        let all = u64::from(self.cores[&node].div_ceil(2)) * DOMAIN_BYTES;
        all.saturating_sub(here.map(|part| part.mem_bytes).sum())
    }

    /// All it runs dies; the parts that were there.
    pub fn kill(&mut self, node: u32) -> Vec<u32> {
        self.processes.retain(|process| process.node != node);
        self.ended.retain(|ended| ended.node != node);
        let parts =
            self.parts.iter().filter(|(_, part)| part.node == node).map(|(number, _)| *number).collect();
        self.parts.retain(|_, part| part.node != node);
        parts
    }

    pub fn forget_parts(&mut self) {
        self.parts.clear();
    }

    /// A part of what it runs, and perhaps more, and what runs there.
    pub fn tell(&mut self, random: &mut Random, node: u32) -> (Option<PartSpec>, Vec<Event>) {
        let here: Vec<Process> =
            self.processes.iter().filter(|process| process.node == node).cloned().collect();
        let more = random.chance(500);
        let mut cores: BTreeSet<u32> =
            here.iter().flat_map(|process| process.cores.iter().copied()).collect();
        if more {
            cores.extend(0..self.cores[&node]);
        }
        if cores.is_empty() {
            return (None, Vec::new());
        }
        let cores: Vec<u32> = cores.into_iter().collect();
        let at = |core: &u32| cores.iter().position(|other| other == core).unwrap() as u32;
        let part = self.next_part + 1;
        let mut adopted: Vec<Event> = here
            .iter()
            .map(|process| Event::Adopted {
                subtask: process.subtask,
                attempt: process.attempt,
                rank: process.rank,
                part,
                cores: process.cores.iter().map(at).collect(),
            })
            .collect();
        if random.chance(500) {
            adopted.reverse();
        }
        if random.chance(300) {
            adopted.extend(adopted.clone());
        }
        // What runs has its memory, whatever its cores' share is.
        let used =
            here.iter().filter(|process| process.after.is_none()).map(|process| process.mem_bytes).sum();
        let mem_bytes = (cores.len() as u64 * DOMAIN_BYTES / 2).max(used);
        let spec = self.part(random, node, cores, mem_bytes);
        (Some(spec), adopted)
    }
}
