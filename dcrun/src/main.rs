//! dcrun: runs a kernel over many subtasks on this machine. What happens, in order, is all that stands here.

mod cli;
mod cluster;
mod console;
mod error;
mod events;
mod front;
mod input;
mod mailbox;
mod merge;
mod report;
mod request;
mod run;
mod setup;
mod show;
mod signals;
mod trace;
mod words;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use cli::Cli;
use console::Events;
use dc_model::exit;
use error::Error;
use request::{Request, RequestError, Task, Verbosity, View};
use run::Run;

use setup::{Machine, Ready, Resumption, SetupError, Surroundings};
use signals::Signals;
use std::path::Path;
use std::time::Instant;

fn main() {
    let began = Instant::now();
    let status = match try_main(began) {
        Ok(status) => status,
        Err(error) => {
            words::say(&error.to_string());
            error::outward(error.status())
        }
    };
    // Nothing is dropped on the way out: threads that wait and files that close end with the process.
    std::process::exit(i32::from(status));
}

fn try_main(began: Instant) -> Result<u8, Error> {
    // What must be so before the first thread starts; and that one is to start soon.
    let at = Surroundings::now();
    let source = dcd::topology::prepare_environment();
    let signals = Signals::take_over().map_err(|e| SetupError::system("take signals over")(e.into()))?;
    let mut machine = Machine::ask(source)?;

    let cli = match Cli::try_parse_from(cli::accept_np(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => return Ok(tell_usage(&error)),
    };
    trace::maybe_start();
    let at = at?;
    let Request { mut view, sched, task } =
        Request::check(cli, at.var("DC_GRACE"), at.var(error::EXIT_ERROR))?;
    if let Task::Plan(job) = &task {
        signals.give_back().map_err(|e| SetupError::system("give signals back")(e.into()))?;
        return plan(job, &view, &at, &mut machine);
    }
    if let Task::Report { spool } = &task {
        signals.give_back().map_err(|e| SetupError::system("give signals back")(e.into()))?;
        return report(spool, &view, &at);
    }
    if let Task::MpiList { kernel } = &task {
        let lines = setup::mpi_list(kernel.as_deref(), &at)?;
        return write_lines(&lines);
    }
    let task = match elsewhere(task, &sched, &at)? {
        Elsewhere::No(task) => task,
        Elsewhere::Yes(task, target) => {
            let events = open_events(&view, &at)?;
            let asked = cluster::Asked { target, view, events, at: &at, signals, began };
            return match task {
                Task::Run { job, spool } => cluster::submit(asked, &job, spool.as_deref()),
                Task::Attach(which) => cluster::attach_to(asked, which, None),
                _ => Ok(exit::OK),
            };
        }
    };
    machine.must_be_here()?;
    let events = open_events(&view, &at)?;
    dcd::sweep::become_subreaper().map_err(SetupError::system("become the parent of orphans"))?;
    let ready = match &task {
        Task::Run { job, spool } => setup::new(job, spool.as_deref(), &view, &at, &mut machine)?,
        Task::Resume { spool, force } => match setup::resume(spool, *force, &mut view, &at, &mut machine)? {
            Resumption::Ready(ready) => *ready,
            Resumption::Succeeded { name } => return Ok(tell_succeeded(&name, &view)),
        },
        Task::Plan(_) | Task::Report { .. } | Task::MpiList { .. } | Task::Attach(_) => return Ok(exit::OK),
    };
    run(ready, view, events, signals, began)
}

/// Where a task is done.
enum Elsewhere {
    /// Here.
    No(Task),
    /// By a scheduler.
    Yes(Task, cluster::Target),
}

/// Whether a scheduler does it; what makes no sense without one is refused, or said.
fn elsewhere(mut task: Task, sched: &request::Sched, at: &Surroundings) -> Result<Elsewhere, Error> {
    if !matches!(task, Task::Run { .. } | Task::Attach(_)) {
        return Ok(Elsewhere::No(task));
    }
    match (cluster::find(sched, at)?, &mut task) {
        (Some(target), _) => return Ok(Elsewhere::Yes(task, target)),
        (None, Task::Attach(_)) => return Err(RequestError::NeedsScheduler { option: "--attach" }.into()),
        (None, Task::Run { job, .. }) => request::on_one_machine(job, &host())?,
        (None, _) => {}
    }
    Ok(Elsewhere::No(task))
}

/// This machine's name.
fn host() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// clap's words; its statuses are dc's.
fn tell_usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody reading is no failure of help.
            let _ = error.print();
            exit::OK
        }
        _ => {
            let text = error.render().to_string();
            // Its first paragraph says what is wrong; the usage would be longer than that.
            let what: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let what =
                what.join(" ").replace("the following required arguments were not provided:", "also needed:");
            let given = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::String(given)) => given.as_str(),
                _ => "",
            };
            let tip = match error.get(ContextKind::SuggestedArg) {
                // What srun and mpirun take, each for something else.
                _ if ["-N", "--nodes", "--ppn", "--ntasks-per-node"].contains(&given) => {
                    "; there is one node: -n is all ranks".to_owned()
                }
                Some(ContextValue::String(like)) => format!("; did you mean {like}?"),
                _ => String::new(),
            };
            words::say(&format!("{}{tip}", what.trim_start_matches("error: ")));
            words::say("dcrun --help lists the options");
            error::outward(exit::DC_ERROR)
        }
    }
}

fn open_events(view: &View, at: &Surroundings) -> Result<Events, SetupError> {
    match &view.json {
        None => Ok(Events::None),
        Some(None) => Ok(Events::Stderr),
        Some(Some(file)) => {
            let path = at.cwd.join(file);
            let opened = std::fs::File::create(&path);
            let opened = opened.map_err(|source| SetupError::Events { path: path.clone(), source })?;
            Ok(Events::File(opened, path.to_string_lossy().into_owned()))
        }
    }
}

fn plan(job: &request::NewJob, view: &View, at: &Surroundings, machine: &mut Machine) -> Result<u8, Error> {
    let (record, plan, found) = setup::plan_only(job, view, at, machine)?;
    let out = match &view.json {
        Some(_) => show::plan::events(&record, &plan, &found).concat(),
        None => {
            let canvas = show::canvas::Canvas::of(|name| at.var(name));
            show::plan::page(&record, &plan, &found, canvas).into_bytes()
        }
    };
    give_out(&out, view, at)
}

fn report(spool: &Path, view: &View, at: &Surroundings) -> Result<u8, Error> {
    let (subtasks, account) = setup::read_account(spool, at)?;
    let out = match (account.report(), &view.json) {
        (Some(report), Some(_)) => events::line(&show::report::event(&subtasks, &report), None),
        (Some(report), None) => (show::report::lines(&subtasks, &report).join("\n") + "\n").into_bytes(),
        (None, _) if account.is_of_old() => return Err(SetupError::NoTimes { dir: spool.to_owned() }.into()),
        (None, _) => return Err(SetupError::NothingToReport { dir: spool.to_owned() }.into()),
    };
    give_out(&out, view, at)
}

/// On standard output, or in the file of `--json`.
fn give_out(out: &[u8], view: &View, at: &Surroundings) -> Result<u8, Error> {
    if let Some(Some(file)) = &view.json {
        let path = at.cwd.join(file);
        std::fs::write(&path, out).map_err(|source| SetupError::Events { path, source })?;
        return Ok(exit::OK);
    }
    write_out(out)
}

fn write_lines(lines: &[String]) -> Result<u8, Error> {
    write_out(format!("{}\n", lines.join("\n")).as_bytes())
}

fn write_out(out: &[u8]) -> Result<u8, Error> {
    match console::write_stdout(out) {
        Ok(()) => Ok(exit::OK),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(exit::BROKEN_PIPE),
        Err(e) => Err(SetupError::system("write standard output")(e).into()),
    }
}

fn tell_succeeded(name: &str, view: &View) -> u8 {
    if view.verbosity > Verbosity::Quiet {
        words::say(&format!("{name} has succeeded already: there is nothing to go on with"));
    }
    exit::OK
}

fn run(mut ready: Ready, view: View, events: Events, signals: Signals, began: Instant) -> Result<u8, Error> {
    let plan = ready.plan.take();
    if view.verbosity > Verbosity::Quiet {
        ready.mpi_warning.iter().chain(&ready.openmp).for_each(|text| words::say(text));
        let options = &ready.record.options;
        if options.streams.result_stdout && options.merges.is_empty() && !view.keep {
            words::say(
                "--result stdout without --merge: after a success the results go with the job's files; --keep keeps them",
            );
        }
        if let Some(plan) = plan.as_ref().filter(|_| ready.has_costs) {
            show::balance::lines(plan, ready.record.subtasks.len()).iter().for_each(|text| words::say(text));
        }
    }
    let mut run =
        Run::new(ready, view, events, signals, began).map_err(SetupError::system("begin the run"))?;
    if let Some(plan) = &plan {
        run.tell_plan(plan);
    }
    let status = run.work();
    Ok(run.leave(status))
}
