//! The command line as it is typed: names, values, help. What the values mean together is `request.rs`'s business.

use clap::{ArgAction, Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Raw arguments.
#[derive(Parser, Debug, Default)]
#[command(
    name = "dcrun",
    version,
    about = "Runs a program over the pieces of a large computation, so that every core finishes at the same moment",
    after_help = "Pages: dcrun(1), dc-tutorial(7), dc-kernel(7), dc-mpi(7).",
    override_usage = "dcrun [OPTIONS] [--] KERNEL [ARGS]...\n       dcrun --plan [OPTIONS] [KERNEL [ARGS]...]\n       \
                      dcrun --resume DIR [OPTIONS]\n       dcrun --report DIR [--json[=FILE]]\n       dcrun --attach JOB [OPTIONS]",
    disable_version_flag = true,
    disable_help_flag = true
)]
pub struct Cli {
    /// Ranks: how many lanes; without a domain or list also how many subtasks [also: -np]
    #[arg(
        short = 'n',
        long = "ntasks",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Work"
    )]
    pub ntasks: Option<String>,

    /// Cut the subtasks from a mask (PBM, .npy) or weights (PGM, .npy)
    #[arg(long, value_name = "[mask:|weights:]FILE", conflicts_with = "subtasks", help_heading = "Work")]
    pub domain: Option<PathBuf>,

    /// Into M blocks of equal cost, or into tiles of W columns and H rows [default: auto]
    #[arg(
        long,
        value_name = "M|auto|WxH",
        allow_negative_numbers = true,
        requires = "domain",
        help_heading = "Work"
    )]
    pub split: Option<String>,

    /// Take the subtasks from a list, CSV or JSON lines; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Work")]
    pub subtasks: Option<PathBuf>,

    /// The ranks' working directory
    #[arg(short = 'D', long = "chdir", value_name = "DIR", help_heading = "Work")]
    pub chdir: Option<PathBuf>,

    /// The job's name [default: the kernel's]
    #[arg(short = 'J', long = "job-name", value_name = "NAME", help_heading = "Work")]
    pub job_name: Option<String>,

    /// Set the rank variables of Slurm, Open MPI, PMI and Flux too
    #[arg(long, help_heading = "Work")]
    pub compat_env: bool,

    /// How an MPI kernel is launched: auto, exec[:openmpi|:mpich], none; or list [default: auto]
    #[arg(long, value_name = "HOW", help_heading = "Work")]
    pub mpi: Option<String>,

    /// Cores for each subtask, whole ones [default: 1]
    #[arg(
        short = 'c',
        long = "cores",
        value_name = "CORES",
        allow_negative_numbers = true,
        help_heading = "Placement"
    )]
    pub cores: Option<String>,

    /// Bind to core, thread, socket, numa, none, map_cpu:LIST or mask_cpu:LIST [default: core]
    #[arg(long, alias = "cpu-bind", value_name = "[verbose,]WHAT", help_heading = "Placement")]
    pub bind: Option<String>,

    /// Spread over NUMA domains: block, cyclic or cost [default: cost]
    #[arg(short = 'm', long, value_name = "HOW", help_heading = "Placement")]
    pub distribution: Option<String>,

    /// Memory for each subtask: megabytes, or with K, M, G or T
    #[arg(
        long,
        value_name = "SIZE",
        conflicts_with = "mem_per_cpu",
        allow_negative_numbers = true,
        help_heading = "Placement"
    )]
    pub mem: Option<String>,

    /// Memory for each core of a subtask
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, help_heading = "Placement")]
    pub mem_per_cpu: Option<String>,

    /// Run more at a time than there are cores
    #[arg(long, help_heading = "Placement")]
    pub oversubscribe: bool,

    /// Print split, placement and prediction, and run nothing
    #[arg(long, help_heading = "Placement")]
    pub plan: bool,

    /// Nodes at once: a number, or at least and at most, as in 2-4
    #[arg(short = 'N', long, value_name = "NODES", help_heading = "Cluster")]
    pub nodes: Option<String>,

    /// Ranks a node, at most [also: --ppn]
    #[arg(long, alias = "ppn", value_name = "N", allow_negative_numbers = true, help_heading = "Cluster")]
    pub ntasks_per_node: Option<String>,

    /// Only these nodes, such as n[001-008,12]
    #[arg(short = 'w', long, value_name = "HOSTS", help_heading = "Cluster")]
    pub nodelist: Option<String>,

    /// Not these nodes
    #[arg(short = 'x', long, value_name = "HOSTS", help_heading = "Cluster")]
    pub exclude: Option<String>,

    /// Nobody else's ranks on the job's nodes
    #[arg(long, help_heading = "Cluster")]
    pub exclusive: bool,

    /// Give each node a copy of this file; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub bcast: Vec<PathBuf>,

    /// Leave as soon as the scheduler has the job
    #[arg(long, help_heading = "Cluster")]
    pub detach: bool,

    /// Follow a job that the scheduler has
    #[arg(long, value_name = "JOB", help_heading = "Cluster")]
    pub attach: Option<String>,

    /// The scheduler: HOST:PORT or the path of its socket [default: DC_SCHED, dc.toml]
    #[arg(long, value_name = "ADDR", conflicts_with = "local", help_heading = "Cluster")]
    pub sched: Option<String>,

    /// Run on this machine, whatever scheduler there is
    #[arg(long, help_heading = "Cluster")]
    pub local: bool,

    /// Standard output to files, with standard error unless -e is given; none: nowhere
    #[arg(short = 'o', long, value_name = "PATTERN", help_heading = "Output")]
    pub output: Option<OsString>,

    /// Standard error to files; none: nowhere
    #[arg(short = 'e', long, value_name = "PATTERN", help_heading = "Output")]
    pub error: Option<OsString>,

    /// Standard input to nobody, rank N or all; or a file for all
    #[arg(
        short = 'i',
        long,
        value_name = "none|N|all|FILE",
        allow_negative_numbers = true,
        help_heading = "Output"
    )]
    pub input: Option<OsString>,

    /// Put the rank before each line
    #[arg(short = 'l', long, help_heading = "Output")]
    pub label: bool,

    /// Pass output on as it is read, not line by line
    #[arg(short = 'u', long, help_heading = "Output")]
    pub unbuffered: bool,

    /// What a subtask writes to standard output is its result
    #[arg(long, value_name = "stdout", hide_possible_values = true, help_heading = "Output")]
    pub result: Option<ResultWord>,

    /// Merge results: concat:FILE, grid:FILE (.npy, .raw, .pgm), exec:COMMAND; may be repeated
    #[arg(long, value_name = "KIND:FILE", help_heading = "Output")]
    pub merge: Vec<OsString>,

    /// What cells without a result are in a merged grid [default: NaN]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, help_heading = "Output")]
    pub fill: Option<String>,

    /// Restarts a subtask may have [default: 3]
    #[arg(
        long,
        alias = "max-restarts",
        value_name = "K",
        allow_negative_numbers = true,
        help_heading = "Failures"
    )]
    pub restarts: Option<String>,

    /// What is tried again: signal, node, progress, exit [default: signal,node,progress]
    #[arg(long, value_name = "LIST|none", help_heading = "Failures")]
    pub restart_on: Option<String>,

    /// Go on with the others when a subtask has failed for good
    #[arg(long, help_heading = "Failures")]
    pub keep_going: bool,

    /// As srun has it: -K0 is --keep-going, -K1 the default
    #[arg(short = 'K', long, value_name = "0|1", num_args = 0..=1, require_equals = true, help_heading = "Failures")]
    pub kill_on_bad_exit: Option<Option<String>>,

    /// Time limit: minutes, m:s, h:m:s, d-h[:m[:s]], or 30s, 5m, 2h, 1d
    #[arg(
        short = 't',
        long = "time",
        value_name = "TIME",
        allow_negative_numbers = true,
        help_heading = "Failures"
    )]
    pub time: Option<String>,

    /// Send the ranks a signal so long before the time limit [default: 60]
    #[arg(long, value_name = "[B:]SIG[@SECONDS]", help_heading = "Failures")]
    pub signal: Option<String>,

    /// Keep the job's files in this new directory
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = "Files")]
    pub spool: Option<PathBuf>,

    /// Keep the job's files after a success too
    #[arg(long, help_heading = "Files")]
    pub keep: bool,

    /// Go on with the job in this directory
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub resume: Option<PathBuf>,

    /// Resume although the kernel or the domain has changed
    #[arg(long, requires = "resume", help_heading = "Files")]
    pub force: bool,

    /// Tell what became of the job in this directory
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub report: Option<PathBuf>,

    /// Tell what happens as JSON lines, on standard error or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, help_heading = "Talking")]
    pub json: Option<Option<PathBuf>>,

    /// Say more
    #[arg(short = 'v', long, conflicts_with = "quiet", help_heading = "Talking")]
    pub verbose: bool,

    /// Say errors only
    #[arg(short = 'q', long, help_heading = "Talking")]
    pub quiet: bool,

    /// Print help
    #[arg(short = 'h', long, action = ArgAction::HelpShort, help_heading = "Talking")]
    pub help: Option<bool>,

    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Talking")]
    pub version: Option<bool>,

    /// The program to run, and its arguments
    #[arg(value_name = "KERNEL [ARGS]", trailing_var_arg = true, hide = true)]
    pub kernel: Vec<OsString>,
}

/// The words of `--result`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ResultWord {
    /// Standard output
    Stdout,
}

/// Turns `-np` among dcrun's own options into `-n`, and `-K0` into `-K=0`; what stands from the kernel on is left alone.
pub fn accept_np(args: Vec<OsString>) -> Vec<OsString> {
    if !args.iter().any(|arg| arg == "-np" || srun_kill(arg).is_some()) {
        return args;
    }
    let command = <Cli as clap::CommandFactory>::command();
    let takes_value = |matches: &dyn Fn(&clap::Arg) -> bool| {
        command
            .get_arguments()
            .any(|arg| matches(arg) && arg.get_action().takes_values() && !arg.is_require_equals_set())
    };
    let mut out = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    out.extend(args.next());
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        let has_value_after = match text.strip_prefix("--") {
            Some("") => false,
            Some(long) => !long.contains('=') && takes_value(&|a| a.get_long() == Some(long)),
            None if text == "-np" => true,
            None if text.starts_with('-') && text.len() > 1 => {
                let first = text[1..].find(|short| takes_value(&|a| a.get_short() == Some(short)));
                first.is_some_and(|at| text[1..].chars().nth(at + 1).is_none())
            }
            None => false,
        };
        let is_own = text.starts_with('-') && text != "--" && text != "-";
        out.push(if text == "-np" { OsString::from("-n") } else { srun_kill(&arg).unwrap_or(arg) });
        if !is_own {
            break;
        }
        if has_value_after {
            out.extend(args.next());
        }
    }
    out.extend(args);
    out
}

/// `-K0` and the like, as srun has it: the value stands at the letter.
fn srun_kill(arg: &OsString) -> Option<OsString> {
    let value =
        arg.to_str()?.strip_prefix("-K").filter(|value| !value.is_empty() && !value.starts_with('='))?;
    Some(format!("-K={value}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(accept_np(words(line))).unwrap()
    }

    #[test]
    fn the_command_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_kernel_is_the_kernels() {
        for line in ["dcrun -n 4 k -n 7 --plan -np 3", "dcrun -np 4 -- k -n 7 --plan -np 3"] {
            let cli = parse(line);
            assert_eq!(cli.ntasks.as_deref(), Some("4"));
            assert!(!cli.plan);
            assert_eq!(cli.kernel, words("k -n 7 --plan -np 3"), "{line}");
        }
        assert_eq!(parse("dcrun -n4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun -lqn4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun -n 4 -- -odd").kernel, words("-odd"));
    }

    #[test]
    fn np_is_n_only_where_an_option_may_stand() {
        assert_eq!(parse("dcrun -l -np 4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun --cores 2 -np 4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun --json -np 4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun -lc2 -np 4 ls").ntasks.as_deref(), Some("4"));
        assert_eq!(parse("dcrun -lc 2 -np 4 ls").ntasks.as_deref(), Some("4"));
        let cli = parse("dcrun -J name ls -np");
        assert_eq!(cli.kernel, words("ls -np"));
        assert_eq!(accept_np(words("dcrun -J -np ls -np")), words("dcrun -J -np ls -np"));
    }

    #[test]
    fn a_value_stands_at_the_k() {
        let value = |line: &str| parse(line).kill_on_bad_exit;
        assert_eq!(value("dcrun -K0 ls"), Some(Some("0".to_owned())));
        assert_eq!(value("dcrun --kill-on-bad-exit=1 ls"), Some(Some("1".to_owned())));
        assert_eq!(value("dcrun -K ls"), Some(None));
        assert_eq!(parse("dcrun -K 1 ls").kernel, words("1 ls"));
        assert_eq!(parse("dcrun -n 2 ls -K0").kernel, words("ls -K0"));
    }

    #[test]
    fn json_takes_a_file_only_behind_an_equals_sign() {
        assert_eq!(parse("dcrun --json ls").json, Some(None));
        assert_eq!(parse("dcrun --json=out ls").json, Some(Some("out".into())));
    }
}
