//! The command line as it is typed: names, values, help. What the values mean together is `request.rs`'s business.

use clap::{ArgAction, Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Raw arguments.
#[derive(Parser, Debug, Default)]
#[command(
    name = "dcrun",
    version,
    about = "Run a kernel over many subtasks, so that every core finishes at the same moment",
    after_help = "See dcrun(1) and dc-kernel(7).",
    override_usage = "dcrun [OPTIONS] [--] KERNEL [ARGS]...\n       dcrun --plan [OPTIONS] [KERNEL [ARGS]...]\n       \
                      dcrun --resume DIR [OPTIONS]\n       dcrun --report DIR [--json[=FILE]]",
    disable_version_flag = true
)]
pub struct Cli {
    /// Ranks: lanes that run subtasks; without a domain or a list also the number of subtasks [also: -np]
    #[arg(short = 'n', long = "ntasks", value_name = "N", allow_negative_numbers = true)]
    pub ntasks: Option<String>,

    /// Cores a subtask, whole ones
    #[arg(short = 'c', long = "cores", value_name = "CORES", allow_negative_numbers = true)]
    pub cores: Option<String>,

    /// Cut the subtasks from this domain: a mask (PBM, .npy of bool) or weights (PGM, .npy of whole numbers)
    #[arg(long, value_name = "[mask:|weights:]FILE", conflicts_with = "subtasks")]
    pub domain: Option<PathBuf>,

    /// Into how many blocks the domain is cut, or into tiles of W columns and H rows
    #[arg(long, value_name = "M|auto|WxH", allow_negative_numbers = true, requires = "domain")]
    pub split: Option<String>,

    /// Read the subtasks from a list: name cells [cores] [args...], CSV or JSON lines; - is standard input
    #[arg(long, value_name = "FILE")]
    pub subtasks: Option<PathBuf>,

    /// Merge the results at the end: concat:FILE, grid:FILE.npy, .raw or .pgm, or exec:COMMAND; may be given several times
    #[arg(long, value_name = "KIND:FILE")]
    pub merge: Vec<OsString>,

    /// The value of cells without a result in a merged grid [default: NaN]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub fill: Option<String>,

    /// Write standard output into this file, standard error too unless -e is given; none: nowhere
    #[arg(short = 'o', long, value_name = "PATTERN")]
    pub output: Option<OsString>,

    /// Write standard error into this file; none: nowhere
    #[arg(short = 'e', long, value_name = "PATTERN")]
    pub error: Option<OsString>,

    /// Whom dcrun's standard input is for, or the file that is every rank's
    #[arg(short = 'i', long, value_name = "none|N|all|FILE", allow_negative_numbers = true)]
    pub input: Option<OsString>,

    /// Pass output on as it is read, not line by line
    #[arg(short = 'u', long)]
    pub unbuffered: bool,

    /// Make what a subtask writes to standard output its result
    #[arg(long, value_name = "stdout")]
    pub result: Option<ResultWord>,

    /// Put the rank before each line of output
    #[arg(short = 'l', long)]
    pub label: bool,

    /// The job's name [default: the kernel's]
    #[arg(short = 'J', long = "job-name", value_name = "NAME")]
    pub job_name: Option<String>,

    /// The ranks' working directory
    #[arg(short = 'D', long = "chdir", value_name = "DIR")]
    pub chdir: Option<PathBuf>,

    /// Time limit: minutes, min:sec, h:m:s, days-h[:m[:s]], or 30s, 5m, 2h, 1d
    #[arg(short = 't', long = "time", value_name = "TIME", allow_negative_numbers = true)]
    pub time: Option<String>,

    /// Restarts a subtask may have [default: 3]
    #[arg(long, alias = "max-restarts", value_name = "K", allow_negative_numbers = true)]
    pub restarts: Option<String>,

    /// What is tried again: some of signal,node,progress,exit, or none [default: signal,node,progress]
    #[arg(long, value_name = "LIST|none")]
    pub restart_on: Option<String>,

    /// Stop the others when a subtask has failed for good: -K1, the default, or -K0
    #[arg(short = 'K', long, value_name = "0|1", num_args = 0..=1, require_equals = true)]
    pub kill_on_bad_exit: Option<Option<String>>,

    /// Send the ranks this signal so many seconds before the time limit [default: 60]
    #[arg(long, value_name = "[B:]SIG@SECONDS")]
    pub signal: Option<String>,

    /// Go on with the other subtasks when one has failed for good
    #[arg(long)]
    pub keep_going: bool,

    /// Keep the job's files in this new directory
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub spool: Option<PathBuf>,

    /// Keep the job's files after a success too
    #[arg(long)]
    pub keep: bool,

    /// Go on with the job in this directory
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,

    /// Tell what became of the job in this directory, and run nothing
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,

    /// Resume although the kernel or the domain has changed
    #[arg(long, requires = "resume")]
    pub force: bool,

    /// How an MPI kernel is launched: auto, exec, exec:openmpi, exec:mpich, none; list shows what there is
    #[arg(long, value_name = "HOW")]
    pub mpi: Option<String>,

    /// What a rank is bound to: core, thread, socket, numa, none, map_cpu:LIST, mask_cpu:LIST [default: core]
    #[arg(long, alias = "cpu-bind", value_name = "[verbose,]WHAT")]
    pub bind: Option<String>,

    /// How ranks are spread over the NUMA domains: block, cyclic or cost [default: cost]
    #[arg(short = 'm', long, value_name = "HOW")]
    pub distribution: Option<String>,

    /// Memory a subtask needs: megabytes, or a number with K, M, G or T
    #[arg(long, value_name = "SIZE", conflicts_with = "mem_per_cpu", allow_negative_numbers = true)]
    pub mem: Option<String>,

    /// Memory a subtask needs for each of its cores
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub mem_per_cpu: Option<String>,

    /// Set the rank variables of Slurm, Open MPI, PMI and Flux too
    #[arg(long)]
    pub compat_env: bool,

    /// Run more ranks at a time than there are cores
    #[arg(long)]
    pub oversubscribe: bool,

    /// Print split, placement and prediction, and run nothing
    #[arg(long)]
    pub plan: bool,

    /// Tell what happens as JSON, one object a line, on standard error or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub json: Option<Option<PathBuf>>,

    /// Say more
    #[arg(short = 'v', long, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Say errors only
    #[arg(short = 'q', long)]
    pub quiet: bool,

    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    pub version: Option<bool>,

    /// The program to run and its arguments
    #[arg(value_name = "KERNEL [ARGS]", trailing_var_arg = true)]
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
