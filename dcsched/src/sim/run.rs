//! One simulated job, from its first dcrun to its end, through every crash on the way.

use super::any_job::{any_model, any_spec, elsewhere};
use super::check::{Checker, Given, Violation};
use super::disk::Journal;
use super::faults::{Faults, Plant};
use super::queue::Queue;
use super::random::Random;
use super::world::World;
use dc_model::{Attempt, Outcome, Restart, RestartOn, StopReason, SubtaskId, exit};
use dcsched_core::job::{Action, Event, Job, JobSpec, Member, Need};
use std::path::Path;

/// Events after which a run is given up as stuck.
const EVENTS_MAX: u64 = 200_000;
/// Crashes of dcrun after which no more are made, so that every run ends.
const CRASHES_MAX: u32 = 12;

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The first promise broken.
    pub violation: Option<Violation>,
    /// The last dcrun's exit status.
    pub status: Option<u8>,
    /// Events that happened.
    pub events: u64,
    /// dcruns killed.
    pub dcrun_crashes: u32,
    /// Starters killed.
    pub starter_crashes: u32,
    /// Ranks that failed by themselves.
    pub rank_failures: u32,
    /// Whether a merge failed.
    pub failed_merge: bool,
    /// Digest of all that happened, to compare two runs of one seed.
    pub digest: u64,
}

/// Something planned. Each belongs to a life of dcrun, and what concerns ranks to a life of the starter: what is
/// planned for a life that is over does not happen.
#[derive(Clone, Debug)]
enum Planned {
    SyncEnds { life: u32, upto: usize },
    Reaches { life: u32, event: Event },
    MergeEnds { life: u32, status: u8 },
    RankEnds { starter: u32, subtask: SubtaskId, attempt: Attempt },
    Launches { starter: u32, launch: Launch },
    LaunchesGang { starter: u32, attempt: Attempt, members: Vec<Member>, before: Option<Restart> },
    Stops { starter: u32, subtask: SubtaskId, attempt: Attempt },
    NewRun,
}

/// A launch on its way.
#[derive(Clone, Debug)]
struct Launch {
    subtask: SubtaskId,
    attempt: Attempt,
    given: Given,
    before: Option<Restart>,
    after: Option<(SubtaskId, Attempt)>,
}

/// Messages to the starter keep their order, so all take the same time.
const TO_STARTER_NS: u64 = 250;

struct Sim {
    random: Random,
    faults: Faults,
    plant: Plant,
    spec: JobSpec,
    job: Job,
    queue: Queue<Planned>,
    world: World,
    /// Launches that wait for their forerunner's end, in the starter.
    held: Vec<Launch>,
    checker: Checker,
    journal: Journal,
    syncing: bool,
    sync_wanted: bool,
    life: u32,
    starter: u32,
    starter_lives: bool,
    down: bool,
    status: Option<u8>,
    report: Report,
}

/// Runs one seed to its end. With an empty `directory` the journal is also kept there, for real, and torn at every
/// crash.
#[must_use]
pub fn run(seed: u64, faults: Faults, plant: Plant, directory: Option<&Path>) -> Report {
    let mut random = Random::new(seed);
    let spec = any_spec(&mut random);
    let job = Job::new(as_the_core_has_it(&spec, plant)).learned(any_model(&mut random));
    let report = Report {
        violation: None,
        status: None,
        events: 0,
        dcrun_crashes: 0,
        starter_crashes: 0,
        rank_failures: 0,
        failed_merge: false,
        digest: 0,
    };
    let journal = match Journal::new(directory) {
        Ok(journal) => journal,
        Err(error) => {
            let violation = Some(Violation::NoReplay(error.to_string()));
            return Report { violation, ..report };
        }
    };
    let mut checker = Checker::default();
    if spec.gang {
        checker.gang = Some(spec.needs.iter().filter(|need| need.cells > 0).count());
    }
    let mut sim = Sim {
        random,
        faults,
        plant,
        spec,
        job,
        queue: Queue::default(),
        world: World::default(),
        held: Vec::new(),
        checker,
        journal,
        syncing: false,
        sync_wanted: false,
        life: 0,
        starter: 0,
        starter_lives: true,
        down: false,
        status: None,
        report,
    };
    sim.begin();
    while sim.status.is_none() && sim.checker.violation.is_none() {
        sim.report.events += 1;
        match sim.queue.next() {
            Some(planned) if sim.report.events < EVENTS_MAX => sim.happen(planned),
            _ => sim.checker.on_stuck(),
        }
        sim.maybe_fault();
    }
    sim.report.status = sim.status;
    sim.report.violation = sim.checker.violation.take();
    sim.report
}

/// The job as the core is told of it: with a lie, where that is the planted bug.
fn as_the_core_has_it(spec: &JobSpec, plant: Plant) -> JobSpec {
    let mut told = spec.clone();
    match plant {
        Plant::MemoryTwice => {
            told.topology.numa.iter_mut().for_each(|numa| numa.memory_bytes *= 2);
            told.memory_max_bytes = told.memory_max_bytes.map(|bytes| bytes * 2);
        }
        Plant::MoreRestarts => told.restarts += 2,
        Plant::AnyFailure => {
            told.restart_on = RestartOn::parse("signal,node,progress,exit").unwrap_or_default();
        }
        _ => {}
    }
    told
}

impl Sim {
    /// A run of dcrun begins.
    fn begin(&mut self) {
        self.checker.on_run();
        self.step(Event::Begin);
        let cores = self.spec.topology.cores.len() as u32;
        let predicted_ns = self.random.chance(500).then(|| self.random.next());
        self.step(Event::Node { host: "node".to_owned(), cores, usable: cores, predicted_ns });
    }

    /// The subtasks that are to be computed.
    fn needed(&self) -> impl Iterator<Item = SubtaskId> {
        let needs = (0..).map(SubtaskId).zip(&self.spec.needs);
        needs.filter(|(_, need)| need.cells > 0).map(|(id, _)| id)
    }

    /// The core takes an event in, and its actions go out into the world.
    fn step(&mut self, event: Event) {
        if self.down {
            return;
        }
        let mut actions = Vec::new();
        self.job.step(self.queue.now, event, &mut actions);
        for action in actions {
            self.act(action);
        }
        if self.random.chance(20) {
            self.compare_replay();
        }
        // The journal groups on its own account too.
        let waits = self.journal.durable() < self.journal.log().len();
        if !self.syncing && waits && (self.sync_wanted || self.random.chance(200)) {
            self.begin_sync();
        }
    }

    fn act(&mut self, action: Action) {
        self.digest(&action);
        let (life, starter) = (self.life, self.starter);
        match action {
            Action::Append { record, .. } => {
                self.checker.on_decision(&record, &self.spec);
                self.journal.append(record);
            }
            Action::Sync => self.sync_wanted = true,
            Action::Launch { subtask, attempt, rank, placement, before, after } => {
                let mut given = Given::of(&placement, rank, &self.spec.topology);
                if self.plant == Plant::WrongCore && self.random.chance(100) {
                    given.units = vec![0];
                }
                let launch = Launch { subtask, attempt, given, before, after };
                self.queue.after(TO_STARTER_NS, Planned::Launches { starter, launch });
            }
            Action::LaunchGang { attempt, members, before } => {
                let planned = Planned::LaunchesGang { starter, attempt, members, before };
                self.queue.after(TO_STARTER_NS, planned);
            }
            Action::Stop { subtask, attempt, .. } => {
                self.queue.after(TO_STARTER_NS, Planned::Stops { starter, subtask, attempt });
            }
            Action::StartStarter => self.new_starter(),
            Action::Released { .. } => self.checker.on_stuck(),
            Action::Merge => {
                let needed: Vec<SubtaskId> = self.needed().collect();
                self.checker.on_merge(needed.into_iter());
                let status =
                    if self.random.chance(900) { exit::OK } else { self.random.between(1, 255) as u8 };
                let delay = self.random.between(1, 3_000_000);
                self.queue.after(delay, Planned::MergeEnds { life, status });
            }
            Action::Finish { status } => self.on_finish(status),
        }
    }

    fn begin_sync(&mut self) {
        (self.syncing, self.sync_wanted) = (true, false);
        let (life, upto) = (self.life, self.journal.log().len());
        let delay = self.random.between(100, 20_000);
        if self.plant == Plant::EarlyAcknowledgement {
            self.queue.after(1, Planned::Reaches { life, event: Event::Durable { seq: upto as u64 } });
        }
        self.queue.after(delay, Planned::SyncEnds { life, upto });
    }

    fn happen(&mut self, planned: Planned) {
        match planned {
            Planned::SyncEnds { life, upto } if life == self.life => {
                match self.journal.on_synced(upto) {
                    Ok(records) => self.checker.on_durable(records),
                    Err(error) => self.checker.on_replayed("", Err(error.to_string())),
                }
                self.syncing = false;
                self.step(Event::Durable { seq: upto as u64 });
            }
            Planned::Reaches { life, event } if life == self.life => self.step(event),
            Planned::MergeEnds { life, status } => {
                if life == self.life {
                    self.report.failed_merge |= status != exit::OK;
                    self.checker.on_merge_ended(status == exit::OK);
                }
                if life == self.life || self.plant == Plant::StaleMerge {
                    self.step(Event::MergeEnded { status });
                }
            }
            Planned::Launches { starter, launch } if self.is_alive(starter) => self.on_launch(launch),
            Planned::LaunchesGang { starter, attempt, members, before } if self.is_alive(starter) => {
                self.on_launch_gang(attempt, &members, before);
            }
            Planned::RankEnds { starter, subtask, attempt } if self.is_alive(starter) => {
                self.on_rank_end(subtask, attempt);
            }
            Planned::Stops { starter, subtask, attempt } if self.is_alive(starter) => {
                self.on_rank_stopped(subtask, attempt);
            }
            Planned::NewRun => self.on_new_run(),
            _ => {}
        }
    }

    /// What is sent to a dead starter, or was planned by one, does not happen.
    fn is_alive(&self, starter: u32) -> bool {
        self.starter_lives && starter == self.starter
    }

    fn new_starter(&mut self) {
        self.starter += 1;
        self.starter_lives = true;
    }

    /// What the starter looks for a checkpoint with.
    fn older_than(&self, before: Option<Restart>) -> Option<Restart> {
        before.filter(|_| self.plant != Plant::SuspectForgotten)
    }

    fn on_launch(&mut self, launch: Launch) {
        let waits = launch.after.is_some_and(|(subtask, attempt)| {
            self.world.processes.get(&subtask).is_some_and(|process| process.attempt == attempt)
                || self.held.iter().any(|held| (held.subtask, held.attempt) == (subtask, attempt))
        });
        if waits && self.plant != Plant::NoWaiting {
            self.held.push(launch);
            return;
        }
        let Launch { subtask, attempt, given, before, .. } = launch;
        let mut need = self.spec.needs[subtask.index()];
        let cells = need.cells;
        if self.plant == Plant::MoreMemory && need.mem_bytes > 0 && self.random.chance(100) {
            need.mem_bytes += self.spec.topology.numa[0].memory_bytes;
        }
        self.checker.on_launch(subtask, attempt, given, need, &self.spec);
        let before = self.older_than(before);
        let process = self.world.launch(&mut self.random, &self.faults, subtask, attempt, before, cells);
        self.checker.on_from(subtask, attempt, process.from);
        if !matches!(process.outcome, Outcome::NotLaunched { .. }) {
            self.tell(Event::Started { subtask, attempt, from: process.from });
        }
        let starter = self.starter;
        self.queue.after(process.lasts_ns, Planned::RankEnds { starter, subtask, attempt });
    }

    /// All ranks go on from one set, and a rank's subtasks end with it.
    fn on_launch_gang(&mut self, attempt: Attempt, members: &[Member], before: Option<Restart>) {
        let before = self.older_than(before);
        let members = match self.plant {
            Plant::RankForgotten if self.random.chance(100) => &members[1..],
            _ => members,
        };
        let all: Vec<SubtaskId> = members.iter().flat_map(|member| member.subtasks.clone()).collect();
        self.checker.on_gang(attempt, all.len());
        let common = self.world.common(&all, attempt, before);
        let starter = self.starter;
        for member in members {
            let given = Given::of(&member.placement, member.rank, &self.spec.topology);
            let list = || member.subtasks.iter().map(|id| self.spec.needs[id.index()]);
            // The rank has its cores and the memory of all of its subtasks once.
            let mut mem_bytes = list().map(|need| need.mem_bytes).sum();
            let mut units = given.units.clone();
            let mut fate: Option<(Outcome, u64)> = None;
            for subtask in member.subtasks.iter().copied() {
                let cells = self.spec.needs[subtask.index()].cells;
                let given = Given { units: std::mem::take(&mut units), ..given.clone() };
                let need =
                    Need { mem_bytes: std::mem::take(&mut mem_bytes), ..self.spec.needs[subtask.index()] };
                self.checker.on_launch(subtask, attempt, given, need, &self.spec);
                let from = match self.plant {
                    Plant::MixedSet => self.world.common(&[subtask], attempt, before),
                    _ => common,
                };
                self.checker.on_from(subtask, attempt, from);
                let key = (subtask, attempt);
                let process = self.world.launch_from(&mut self.random, &self.faults, key, from, cells);
                let (outcome, lasts_ns) = *fate.get_or_insert((process.outcome, process.lasts_ns));
                self.world.processes.entry(subtask).and_modify(|process| process.outcome = outcome);
                if !matches!(outcome, Outcome::NotLaunched { .. }) {
                    self.tell(Event::Started { subtask, attempt, from });
                }
                self.queue.after(lasts_ns, Planned::RankEnds { starter, subtask, attempt });
            }
        }
    }

    /// What launches the ranks is killed, and they with it: not by the core's word.
    fn on_launcher_killed(&mut self) {
        let subtasks: Vec<_> = self.world.processes.keys().copied().collect();
        for subtask in subtasks {
            if let Some(process) = self.world.kill(&mut self.random, subtask) {
                self.checker.on_gone((subtask, process.attempt), false);
                // A rank may take its word to end for a reason to end well.
                let outcome = match self.random.below(3) {
                    0 => Outcome::Exited(self.random.below(2) as u8),
                    _ => Outcome::Signalled(9),
                };
                self.tell_end(subtask, process.attempt, outcome, true);
            }
        }
    }

    fn on_rank_end(&mut self, subtask: SubtaskId, attempt: Attempt) {
        let Some(process) = self.world.end(subtask, attempt) else { return };
        let success = process.outcome.success();
        self.report.rank_failures += u32::from(!success);
        self.checker.on_gone((subtask, attempt), success);
        let mut reported = attempt;
        if self.plant == Plant::LateEndAccepted && self.random.chance(300) {
            let other = self.job.all_running().into_iter().find(|running| running.subtask != subtask);
            if let Some(other) = other {
                reported = other.attempt;
                self.tell_end(other.subtask, reported, process.outcome, false);
            }
        }
        if reported == attempt {
            self.tell_end(subtask, attempt, process.outcome, false);
        }
        self.on_gone(subtask, attempt);
    }

    fn on_rank_stopped(&mut self, subtask: SubtaskId, attempt: Attempt) {
        if self.world.processes.get(&subtask).is_some_and(|process| process.attempt == attempt) {
            self.world.kill(&mut self.random, subtask);
            self.checker.on_gone((subtask, attempt), false);
            self.tell_end(subtask, attempt, Outcome::Signalled(15), true);
            self.on_gone(subtask, attempt);
        } else if let Some(at) =
            self.held.iter().position(|held| (held.subtask, held.attempt) == (subtask, attempt))
        {
            // It never ran; who waits for it waits for whom it waited for.
            self.held.remove(at);
            self.tell_end(subtask, attempt, Outcome::Signalled(15), true);
        }
    }

    /// An attempt is gone: who waited for it is launched.
    fn on_gone(&mut self, subtask: SubtaskId, attempt: Attempt) {
        if let Some(at) = self.held.iter().position(|held| held.after == Some((subtask, attempt))) {
            let launch = self.held.remove(at);
            self.on_launch(launch);
        }
    }

    fn tell_end(&mut self, subtask: SubtaskId, attempt: Attempt, outcome: Outcome, stopped: bool) {
        let progress_cells = self.random.below(self.spec.needs[subtask.index()].cells + 1);
        let ran_ns = self.random.between(1, 1_000_000);
        if self.random.chance(900) {
            let kept_ns = self.random.below(2_000_000);
            self.tell(Event::Measured { subtask, attempt, ran_ns, kept_ns });
        }
        self.tell(Event::Ended {
            subtask,
            attempt,
            outcome,
            ran_ns,
            stopped,
            checkpoint: self.world.newest_of(subtask, attempt),
            progress_cells,
            result: outcome.success().then(|| World::result_of(subtask, attempt)),
        });
    }

    /// The starter tells dcrun; messages keep their order, so all take the same time.
    fn tell(&mut self, event: Event) {
        let life = self.life;
        self.queue.after(300, Planned::Reaches { life, event });
    }

    fn maybe_fault(&mut self) {
        if self.down || self.status.is_some() {
            return;
        }
        if self.starter_lives && self.random.chance(self.faults.starter_killed) {
            self.report.starter_crashes += 1;
            self.kill_ranks();
            self.starter_lives = false;
            self.tell(Event::StarterLost);
        }
        if self.spec.gang && self.starter_lives && self.random.chance(self.faults.starter_killed) {
            self.on_launcher_killed();
        }
        if self.report.dcrun_crashes < CRASHES_MAX && self.random.chance(self.faults.dcrun_killed) {
            self.on_dcrun_killed();
        } else if self.random.chance(self.faults.stopped) {
            let reason = match self.random.below(5) {
                0 => StopReason::TimeLimit,
                1 => StopReason::Signal(15),
                2 => StopReason::BrokenPipe,
                3 => StopReason::Error,
                _ => StopReason::Interrupted,
            };
            self.step(Event::Stop { reason });
        } else if self.random.chance(self.faults.dcrun_killed) {
            let grants = self.random.below(80) as u32;
            self.step(Event::Window { grants });
        }
    }

    fn kill_ranks(&mut self) {
        self.held.clear();
        if self.plant == Plant::NoDeathSignal {
            return;
        }
        let subtasks: Vec<_> = self.world.processes.keys().copied().collect();
        for subtask in subtasks {
            if let Some(process) = self.world.kill(&mut self.random, subtask) {
                self.checker.on_gone((subtask, process.attempt), false);
            }
        }
    }

    fn on_dcrun_killed(&mut self) {
        self.report.dcrun_crashes += 1;
        let lost = usize::from(self.plant == Plant::LostRecord);
        if let Err(error) = self.journal.on_crash(&mut self.random, lost) {
            self.checker.on_replayed("", Err(error.to_string()));
        }
        self.down = true;
        self.life += 1;
        self.kill_ranks(); // The starter sees the end of its socket.
        self.starter_lives = false;
        let delay = self.random.between(1, 1_000_000);
        self.queue.after(delay, Planned::NewRun);
    }

    fn on_new_run(&mut self) {
        self.spec = elsewhere(&mut self.random, &self.spec);
        match Job::replay(as_the_core_has_it(&self.spec, self.plant), self.journal.log()) {
            Ok(job) => self.job = job.learned(any_model(&mut self.random)),
            Err(error) => {
                self.checker.on_replayed("", Err(error.to_string()));
                return;
            }
        }
        // What the replay read is synced before anything is built on it.
        self.checker.on_durable(self.journal.on_read_back());
        (self.down, self.syncing, self.sync_wanted) = (false, false, false);
        self.new_starter();
        self.begin();
    }

    fn on_finish(&mut self, status: u8) {
        self.compare_replay();
        if status == 0 {
            let needed: Vec<SubtaskId> = self.needed().collect();
            self.checker.on_success(needed.into_iter());
        }
        self.status = Some(status);
    }

    fn compare_replay(&mut self) {
        let replayed = Job::replay(self.spec.clone(), self.journal.log())
            .map(|job| job.durable().projection())
            .map_err(|error| error.to_string());
        self.checker.on_replayed(&self.job.durable().projection(), replayed);
    }

    fn digest(&mut self, action: &Action) {
        for byte in format!("{} {action:?}", self.queue.now).bytes() {
            // FNV-1a, 64 bits.
            self.report.digest = (self.report.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
