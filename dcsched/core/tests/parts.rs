//! Any job on any nodes, through lost nodes and restarts of the scheduler: no core is had twice, no subtask runs twice at
//! once or is done twice, memory and ranks a node are kept to, cores come back, and every job ends. `DC_SEED=n` runs that
//! seed alone, `DC_SEEDS=n` so many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // Reads its seeds.

mod nodes;

use dc_model::{Attempt, Bind, Distribution, GiveUp, Outcome, Record, StopReason, SubtaskId, Topology};
use dcsched_core::job::{Action, Event, Job, JobPhase, JobSpec, Need};
use nodes::{Ended, Nodes, Process, Random};
use std::collections::BTreeSet;

const EVENTS_MAX: u32 = 20_000;

struct World {
    random: Random,
    job: Job,
    log: Vec<Record>,
    durable: usize,
    nodes: Nodes,
    done: BTreeSet<SubtaskId>,
    /// What was ever launched.
    launched: BTreeSet<(SubtaskId, Attempt)>,
    /// Those nodes that the scheduler has heard of since its start.
    present: BTreeSet<u32>,
    everyone_spoke: bool,
    finished: Option<u8>,
    restarts: u32,
    losses: u32,
}

fn any_spec(random: &mut Random) -> JobSpec {
    let count = random.between(1, 30);
    let gang = random.chance(250);
    let has_memory = random.chance(400);
    let is_wide = random.chance(400);
    let needs: Vec<Need> = (0..count)
        .map(|_| Need {
            cells: if gang { random.between(1, 50) } else { random.below(50) },
            cores: if is_wide { random.between(1, 3) as u32 } else { 1 },
            mem_bytes: if has_memory { random.below(nodes::DOMAIN_BYTES) } else { 0 },
        })
        .collect();
    let needs =
        if gang { needs.into_iter().take(2).map(|need| Need { cores: 1, ..need }).collect() } else { needs };
    let ranks = if gang || random.chance(500) { needs.len() as u64 } else { random.between(1, 10) };
    JobSpec {
        gang,
        merge: random.chance(300),
        keep_going: random.chance(500),
        restarts: random.below(4) as u32,
        topology: Topology { host: String::new(), cores: Vec::new(), numa: Vec::new() },
        bind: if random.chance(200) { Bind::Numa } else { Bind::Core },
        distribution: [Distribution::Cost, Distribution::Block, Distribution::Cyclic]
            [random.below(3) as usize],
        releases: true,
        ..JobSpec::plain(needs, ranks as u32)
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let spec = any_spec(&mut random);
        let nodes = Nodes::any(&mut random);
        let present = nodes.numbers().collect();
        Self {
            job: Job::new(spec),
            random,
            log: Vec::new(),
            durable: 0,
            nodes,
            done: BTreeSet::new(),
            launched: BTreeSet::new(),
            present,
            everyone_spoke: true,
            finished: None,
            restarts: 0,
            losses: 0,
        }
    }

    fn step(&mut self, events: Vec<Event>) {
        let mut out = Vec::new();
        self.job.step_all(0, events, &mut out);
        for action in out {
            self.act(action);
        }
        if self.random.chance(100) {
            let replayed = Job::replay(self.job.spec().clone(), &self.log).expect("its own journal");
            assert_eq!(replayed.durable().projection(), self.job.durable().projection());
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Append { seq, record } => {
                self.log.push(record);
                assert_eq!(seq as usize, self.log.len());
            }
            Action::Launch { subtask, attempt, rank, placement, after, .. } => {
                let need = self.job.spec().needs[subtask.index()];
                assert_eq!(placement.cores.len() as u32, need.cores.max(1));
                self.on_launch(Process::of(subtask, attempt, rank, &placement, need.mem_bytes, after));
            }
            Action::LaunchGang { attempt, members, .. } => {
                assert!(self.nodes.all().is_empty(), "the gang runs already");
                for member in members {
                    for (nth, subtask) in member.subtasks.iter().enumerate() {
                        let mem_bytes = self.job.spec().needs[subtask.index()].mem_bytes;
                        let after = (nth > 0).then(|| (member.subtasks[0], attempt));
                        let placement = &member.placement;
                        self.on_launch(Process::of(
                            *subtask,
                            attempt,
                            member.rank,
                            placement,
                            mem_bytes,
                            after,
                        ));
                    }
                }
            }
            Action::Stop { subtask, attempt, part, .. } => {
                if self.nodes.end(subtask, attempt, Outcome::Signalled(9), true) {
                    self.nodes.assert_part(part);
                }
            }
            Action::Released { part, cores } => self.nodes.release(part, &cores),
            Action::Merge => {
                let needed = self.job.spec().needs.iter().filter(|need| need.cells > 0).count();
                assert_eq!(self.done.len(), needed, "merged too early");
                self.nodes.merging = true;
            }
            Action::Finish { status } => self.finished = Some(status),
            Action::Sync => {}
            Action::StartStarter => panic!("there is none to start"),
        }
    }

    fn on_launch(&mut self, process: Process) {
        let (subtask, attempt) = (process.subtask, process.attempt);
        let granted = Record::Granted { subtask, attempt };
        assert!(self.log[..self.durable].contains(&granted), "launched before its grant was on disk");
        assert!(self.launched.insert((subtask, attempt)), "attempt {subtask}.{attempt} was launched twice");
        assert!(!self.done.contains(&subtask), "subtask {subtask} runs though it is done");
        self.nodes.launch(process);
    }

    fn sync(&mut self, upto: usize) {
        self.on_disk(upto);
        self.step(vec![Event::Durable { seq: upto as u64 }]);
    }

    /// What is on disk now.
    fn on_disk(&mut self, upto: usize) {
        for record in &self.log[self.durable..upto] {
            if let Record::Done { subtask, .. } = record
                && !self.job.spec().gang
            {
                assert!(self.done.insert(*subtask), "subtask {subtask} was done twice");
            }
        }
        self.durable = upto;
        if self.job.spec().gang {
            // Done is what is done when all are.
            let all = self.job.durable().entries.iter().all(|entry| !entry.is_unfinished());
            if all && self.durable == self.log.len() {
                self.done = (0..self.job.spec().needs.len() as u32).map(SubtaskId).collect();
            }
        }
    }

    fn told(&self, ended: &Ended) -> Event {
        Event::Ended {
            subtask: ended.subtask,
            attempt: ended.attempt,
            outcome: ended.outcome,
            ran_ns: 1000,
            stopped: ended.stopped,
            checkpoint: None,
            progress_cells: 0,
            result: None,
        }
    }

    /// Offers cores of a node that is there, for what the job would take.
    fn offer(&mut self) {
        let appetite = self.job.appetite();
        if appetite.cores == 0 {
            return;
        }
        let present: Vec<u32> = self.present.iter().copied().collect();
        let Some(node) = self.random.pick(&present) else { return };
        if let Some(part) = self.nodes.offer(&mut self.random, node, appetite.piece) {
            self.step(vec![Event::PartJoined(Box::new(part))]);
        }
    }

    fn lose_node(&mut self) {
        let numbers: Vec<u32> = self.nodes.numbers().collect();
        let Some(node) = self.random.pick(&numbers) else { return };
        self.losses += 1;
        let parts = self.nodes.kill(node);
        if self.present.contains(&node) {
            let lost = |part| Event::PartLost { part, why: GiveUp::NodeLost };
            self.step(parts.into_iter().map(lost).collect());
        } else {
            self.step(vec![Event::GiveUpUnknown { node: Some(node) }]);
        }
        // It comes back with nothing.
        self.present.insert(node);
    }

    fn restart(&mut self) {
        self.restarts += 1;
        let lost = self.random.below((self.log.len() - self.durable) as u64 + 1) as usize;
        self.log.truncate(self.log.len() - lost);
        self.job = Job::replay(self.job.spec().clone(), &self.log).expect("its own journal");
        self.present.clear();
        self.everyone_spoke = false;
        (self.finished, self.nodes.merging) = (None, false);
        self.nodes.forget_parts();
        // What was read back is synced before anything is built on it.
        self.on_disk(self.log.len());
        self.step(vec![Event::TakeUp]);
    }

    /// A node is there again, and says what it runs and what has ended there.
    fn reconnect(&mut self) {
        let absent: Vec<u32> = self.nodes.numbers().filter(|node| !self.present.contains(node)).collect();
        let Some(node) = self.random.pick(&absent) else {
            if !self.everyone_spoke {
                self.everyone_spoke = true;
                self.step(vec![Event::GiveUpUnknown { node: None }]);
            }
            return;
        };
        self.present.insert(node);
        let (part, adopted) = self.nodes.tell(&mut self.random, node);
        let mut events: Vec<Event> = part.into_iter().map(|part| Event::PartJoined(Box::new(part))).collect();
        events.extend(adopted);
        let ended: Vec<Ended> = self.nodes.ended_on(node).cloned().collect();
        events.extend(ended.iter().map(|ended| self.told(ended)));
        self.step(events);
        if self.random.chance(500) {
            self.step(vec![Event::GiveUpUnknown { node: Some(node) }]);
        }
    }

    fn happen(&mut self) {
        match self.random.below(100) {
            0..25 => {
                let upto = self.random.between(self.durable as u64, self.log.len() as u64) as usize;
                self.sync(upto);
            }
            25..50 => self.offer(),
            50..75 => {
                let outcome =
                    if self.random.chance(800) { Outcome::Exited(0) } else { Outcome::Signalled(11) };
                self.nodes.end_any(&mut self.random, outcome);
            }
            75..90 => self.reconnect(),
            90..94 if self.nodes.merging => {
                self.nodes.merging = false;
                let status = if self.random.chance(800) { 0 } else { 125 };
                self.step(vec![Event::MergeEnded { status }]);
            }
            94..96 if self.restarts < 10 => self.restart(),
            96..98 if self.losses < 10 => self.lose_node(),
            98 if self.random.chance(100) => {
                self.step(vec![Event::Stop { reason: StopReason::TimeLimit }]);
            }
            99 => self.step(vec![Event::Window { grants: 1 + self.durable as u32 % 9 }]),
            _ => {}
        }
        // What has ended on a node that is there is told at once, perhaps twice.
        let fresh: Vec<Ended> = self.nodes.take_fresh(&self.present);
        for ended in fresh {
            let event = self.told(&ended);
            self.step(vec![event.clone()]);
            if self.random.chance(50) {
                self.step(vec![event]);
            }
        }
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    world.step(vec![Event::Begin]);
    let mut events = 0;
    while world.finished.is_none() {
        events += 1;
        assert!(events < EVENTS_MAX, "it is stuck: {:?}\n{}", world.nodes, world.job.durable().projection());
        world.happen();
    }
    assert_eq!(world.job.durable().phase, JobPhase::Ended(world.finished.unwrap()));
    assert!(world.nodes.all().is_empty(), "something runs still");
    world.nodes.assert_all_given_back();
    if world.finished == Some(0) {
        let needed = world.job.spec().needs.iter().filter(|need| need.cells > 0).count();
        assert_eq!(world.done.len(), needed);
    }
    world
}

#[test]
fn every_job_ends_whatever_node_or_scheduler_dies() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("DC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DC_SEEDS").unwrap_or(1500),
    };
    let (mut well, mut restarts, mut losses) = (0, 0, 0);
    for seed in seeds.clone() {
        let world = std::panic::catch_unwind(|| run(seed));
        let world = world.unwrap_or_else(|_| panic!("repeat with DC_SEED={seed}"));
        well += u32::from(world.finished == Some(0));
        restarts += world.restarts;
        losses += world.losses;
    }
    let count = seeds.end - seeds.start;
    assert!(count < 100 || (well > 100 && restarts > 100 && losses > 100), "{well} {restarts} {losses}");
}
