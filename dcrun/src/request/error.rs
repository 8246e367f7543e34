//! What can be wrong with a command line beyond its grammar: one line each, with what to do about it.

use thiserror::Error;

/// Why a command line cannot be obeyed. The status is always 125.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RequestError {
    /// No program.
    #[error("no kernel is given; say what to run: dcrun [OPTIONS] KERNEL [ARGS]...")]
    NoKernel,
    /// `-n 0`.
    #[error("-n 0 asks for no ranks at all; give 1 or more")]
    ZeroRanks,
    /// `-c 0`.
    #[error("-c 0 asks for subtasks without a core; give 1 or more")]
    ZeroCores,
    /// `--split 0`.
    #[error("--split 0 asks for no blocks at all; give 1 or more, or auto")]
    ZeroBlocks,
    /// `--split WxH` that is not that.
    #[error("--split {}: tiles are WxH, columns and rows, each from 1 to {}", given.escape_debug(), dc_model::domain::SIDE_MAX)]
    NotTiles {
        /// Its value.
        given: String,
    },
    /// `--domain mask:` without a file.
    #[error("--domain {prefix} names no file; give {prefix}FILE")]
    NoDomainFile {
        /// What stands there.
        prefix: &'static str,
    },
    /// A value that is no number of the wanted range.
    #[error("{option} {}: not a whole number from 1 to {max}", given.escape_debug())]
    NotCount {
        /// The option.
        option: &'static str,
        /// Its value.
        given: String,
        /// The largest accepted.
        max: u32,
    },
    /// `--restarts` that is no number.
    #[error("--restarts {}: not a whole number from 0 to {max}", given.escape_debug())]
    NotRestarts {
        /// Its value.
        given: String,
        /// The largest accepted.
        max: u32,
    },
    /// `--bind` in no known form.
    #[error("--bind {}: {why}", given.escape_debug())]
    Bind {
        /// Its value.
        given: String,
        /// What is wrong with it, and what is right.
        why: String,
    },
    /// `-m` in no known form.
    #[error("-m {}: {why}", given.escape_debug())]
    Distribution {
        /// Its value.
        given: String,
        /// What is wrong with it, and what is right.
        why: String,
    },
    /// An amount of memory in no known form.
    #[error("{option} {}: {why}", given.escape_debug())]
    Memory {
        /// The option.
        option: &'static str,
        /// Its value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `-t` in no known form.
    #[error("-t {}: {why}", given.escape_debug())]
    Time {
        /// Its value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--mpi` in no known form.
    #[error("--mpi {}: give auto, exec, exec:openmpi, exec:mpich, none or list", given.escape_debug())]
    Mpi {
        /// Its value.
        given: String,
    },
    /// `--merge` of an unknown kind, or without a file.
    #[error("--merge {}: give concat:FILE, grid:FILE.npy, grid:FILE.raw, grid:FILE.pgm or exec:COMMAND", given.escape_debug())]
    MergeKind {
        /// Its value.
        given: String,
    },
    /// Standard input for two.
    #[error("--subtasks - reads the list from standard input, which -i cannot give to ranks as well")]
    InputIsList,
    /// Two merges into one file.
    #[error("--merge is given twice with the file {}", dc_spool::files::shown(file))]
    MergeTwice {
        /// Which.
        file: std::path::PathBuf,
    },
    /// A grid without a domain to take its shape from.
    #[error("--merge grid: needs --domain, whose shape the grid has")]
    GridWithoutDomain,
    /// A fill value that nothing would use.
    #[error("--fill is for --merge grid: only; leave it out")]
    FillWithoutGrid,
    /// A fill value that is no number.
    #[error("--fill {}: not a number", given.escape_debug())]
    Fill {
        /// Its value.
        given: String,
    },
    /// A name that cannot be used.
    #[error(
        "-J {}: a job's name is 1 to {} of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'",
        given.escape_debug(), dc_lists::NAME_BYTES_MAX
    )]
    Name {
        /// Its value.
        given: String,
    },
    /// A file name's pattern that cannot be read.
    #[error("{option} {}: {why}", given.escape_debug())]
    Pattern {
        /// The option.
        option: &'static str,
        /// Its value.
        given: String,
        /// What is wrong with it.
        why: dc_model::pattern::PatternError,
    },
    /// `-i` with a number that no rank has.
    #[error("-i {}: there is no such rank; for a file of that name give ./{}", given.escape_debug(), given.escape_debug())]
    InputRank {
        /// Its value.
        given: String,
    },
    /// Standard output as the result, and in a file.
    #[error(
        "--result stdout and -o exclude each other: standard output goes to one place; -e takes standard error"
    )]
    ResultIsNoFile,
    /// Bytes onto a grid of numbers.
    #[error("--result stdout gives bytes, and --merge grid: needs numbers; give --merge concat:FILE")]
    ResultIsNoGrid,
    /// An option that a resumed job cannot be given anew.
    #[error("{option} cannot be given with --resume: the job goes on as it was started")]
    FixedAtStart {
        /// The option.
        option: &'static str,
    },
    /// A kernel behind --resume.
    #[error("--resume takes no kernel: the job goes on with the one it was started with")]
    KernelWithResume,
    /// A plan of a run that has begun.
    #[error("--plan and --resume exclude each other; dcspool ls shows where a job stands")]
    PlanWithResume,
    /// Files kept of a run that makes none.
    #[error("{option} has no meaning with --plan, which runs nothing")]
    MeaninglessWithPlan {
        /// The option.
        option: &'static str,
    },
    /// `--restart-on` with an unknown word.
    #[error(
        "--restart-on {}: {} is none of signal, node, progress and exit; give some of them with commas between, or none",
        given.escape_debug(), if word.is_empty() { "an empty word" } else { word }
    )]
    RestartOn {
        /// Its value.
        given: String,
        /// What is wrong in it.
        word: String,
    },
    /// `-K` with something else than 0 or 1.
    #[error("-K{}: give -K1 (the others are stopped, which is the default) or -K0 (they go on)", given.escape_debug())]
    Kill {
        /// Its value.
        given: String,
    },
    /// `-K 1`, which srun does not take for `-K1` either.
    #[error("-K {word}: the value stands at the letter: -K{word}; apart from it, {word} is the kernel")]
    KillApart {
        /// What looks like the value.
        word: String,
    },
    /// Two opposites.
    #[error("-K1 and --keep-going exclude each other")]
    KillAndKeepGoing,
    /// `--signal` in no known form.
    #[error(
        "--signal {}: give [B:]SIG[@SECONDS], as in USR1@60: a signal's name or number from 1 to {}, and 0 to {} seconds",
        given.escape_debug(), super::failure::SIGNAL_MAX, super::failure::WARNING_S_MAX
    )]
    Signal {
        /// Its value.
        given: String,
    },
    /// A warning of what does not come.
    #[error("--signal comes before the time limit: give one with -t")]
    SignalWithoutLimit,
    /// A warning before the start.
    #[error(
        "--signal is to come {seconds} s before the time limit, but the whole limit is no longer: give a longer -t, or fewer seconds, as in USR1@5"
    )]
    SignalBeforeStart {
        /// How long before.
        seconds: u64,
    },
    /// `DC_EXIT_ERROR` that is no status.
    #[error("DC_EXIT_ERROR={}: not a number from 1 to 255", given.escape_debug())]
    ExitError {
        /// Its value.
        given: String,
    },
    /// `-N` in no known form.
    #[error("-N {}: give a number of nodes, or at least and at most, as in 2-4; ranks a node are --ntasks-per-node", given.escape_debug())]
    Nodes {
        /// Its value.
        given: String,
    },
    /// A list of hosts that is none.
    #[error("{option} {}: {why}", given.escape_debug())]
    Hosts {
        /// The option.
        option: &'static str,
        /// Its value.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// mpirun's `-x NAME=VALUE`.
    #[error("-x {}: -x leaves nodes out, as in srun; ranks get the whole environment, set the variable before dcrun", given.escape_debug())]
    ExportForExclude {
        /// Its value.
        given: String,
    },
    /// A job that is neither a number nor a uuid.
    #[error("--attach {}: give a job's number, as dcqueue shows it, or its uuid", given.escape_debug())]
    WhichJob {
        /// Its value.
        given: String,
    },
    /// Anything else beside --attach.
    #[error(
        "{option} has no meaning with --attach: the job goes on as it was submitted; give --json, -l, -q or -v only"
    )]
    MeaninglessWithAttach {
        /// The option.
        option: &'static str,
    },
    /// What needs a scheduler, and there is none.
    #[error("{option} needs a scheduler, and none is named: set DC_SCHED, give --sched, or write a dc.toml")]
    NeedsScheduler {
        /// The option.
        option: &'static str,
    },
    /// More nodes than one.
    #[error("-N {min}: there is one node here, this machine; ranks are -n, ranks a node --ntasks-per-node")]
    OneNode {
        /// So many are wanted.
        min: u32,
    },
    /// A list of hosts that leaves this machine out.
    #[error(
        "{option}: this job runs on this machine alone, {host}, which the list leaves out; name a scheduler to run elsewhere"
    )]
    NotThisHost {
        /// The option.
        option: &'static str,
        /// This machine.
        host: String,
    },
    /// More ranks than may be on the one node.
    #[error(
        "--ntasks-per-node {per_node}: {ranks} ranks (-n) do not go on one node then; leave one of the two out"
    )]
    PerNode {
        /// So many may be on a node.
        per_node: u32,
        /// So many are wanted.
        ranks: u32,
    },
    /// Anything else beside a report.
    #[error("{option} has no meaning with --report, which runs nothing; give --json, -q or -v only")]
    MeaninglessWithReport {
        /// The option.
        option: &'static str,
    },
    /// `DC_GRACE` that is no number.
    #[error("DC_GRACE={}: not a number of seconds from 0 to {}", given.escape_debug(), super::GRACE_S_MAX)]
    Grace {
        /// Its value.
        given: String,
    },
}
