//! Command lines and what is made of them.

use super::*;
use clap::Parser;
use dc_spool::job::MergeKind;

fn check(line: &str) -> Result<Request, RequestError> {
    let words = std::iter::once("dcrun").chain(line.split_whitespace());
    Request::check(Cli::try_parse_from(words).unwrap(), None, None)
}

fn job(line: &str) -> NewJob {
    match check(line).unwrap().task {
        Task::Run { job, .. } | Task::Plan(job) => job,
        other => panic!("no job: {other:?}"),
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let job = job("ls -l");
    assert_eq!((job.ranks, job.cores, job.restarts), (None, 1, 3));
    assert_eq!(job.kernel, ["ls", "-l"]);
    assert_eq!(job.work, Work::Plain);
    let view = check("ls").unwrap().view;
    assert_eq!(view.verbosity, Verbosity::Normal);
    assert_eq!(view.grace(), Duration::from_secs(30));
    assert_eq!(view.time_limit, None);
    assert_eq!(check("-t 0 ls").unwrap().view.time_limit, None, "as in Slurm");
}

#[test]
fn counts_are_whole_and_positive() {
    assert_eq!(job("-n 7 -c 2 --restarts 0 k").ranks, Some(7));
    assert_eq!(check("-n 0 k"), Err(RequestError::ZeroRanks));
    assert_eq!(check("-c 0 k"), Err(RequestError::ZeroCores));
    assert_eq!(check("--domain d --split 0 k"), Err(RequestError::ZeroBlocks));
    for bad in ["-n x k", "-n -1 k", "-n 1.5 k", "-n 99999999999999999999999 k", "-n +1 k", "-c 16777217 k"] {
        assert!(matches!(check(bad), Err(RequestError::NotCount { .. })), "{bad}");
    }
    assert!(matches!(check("--restarts -1 k"), Err(RequestError::NotRestarts { .. })));
}

#[test]
fn work_and_merge() {
    let domain = |meaning, split| Work::Domain { file: "d".into(), meaning, split };
    assert_eq!(job("--domain d --split 9 k").work, domain(Meaning::AsFound, Split::Blocks(9)));
    assert_eq!(job("--domain mask:d --split auto k").work, domain(Meaning::Mask, Split::Auto));
    let tiles = Split::Tiles { width: 30, height: 20 };
    assert_eq!(job("--domain weights:d --split 30x20 k").work, domain(Meaning::Weights, tiles));
    for bad in ["0x5", "5x0", "5x", "x5", "5x5x5", "5x-1", "5X5", "2147483648x1"] {
        let bad = format!("--domain d --split {bad} k");
        assert!(check(&bad).is_err(), "{bad}");
    }
    assert_eq!(check("--domain mask: k"), Err(RequestError::NoDomainFile { prefix: "mask:" }));
    let merge = job("--domain d --merge grid:a:b.npy --fill -1.5 k").merges;
    assert_eq!(merge, [Merge { kind: MergeKind::Grid, target: "a:b.npy".into() }]);
    let several = job("--domain d --merge grid:a.raw --merge grid:a.pgm --merge exec:sort/ k").merges;
    let kinds: Vec<_> = several.iter().map(|merge| merge.kind).collect();
    assert_eq!(kinds, [MergeKind::GridRaw, MergeKind::GridPgm, MergeKind::Exec]);
    assert_eq!(
        check("--merge concat:x --merge exec:x --merge concat:x k"),
        Err(RequestError::MergeTwice { file: "x".into() })
    );
    assert_eq!(check("--merge grid:x k"), Err(RequestError::GridWithoutDomain));
    assert_eq!(check("--merge concat:x --fill 1 k"), Err(RequestError::FillWithoutGrid));
    assert!(matches!(check("--fill x k"), Err(RequestError::Fill { .. })));
    for bad in
        ["--merge x k", "--merge sum:x k", "--merge concat: k", "--merge concat:d/ k", "--merge exec: k"]
    {
        assert!(matches!(check(bad), Err(RequestError::MergeKind { .. })), "{bad}");
    }
}

#[test]
fn a_plan_needs_no_kernel_and_a_run_does() {
    assert_eq!(check("-n 3"), Err(RequestError::NoKernel));
    assert!(job("--plan -n 3").kernel.is_empty());
    assert_eq!(check("--plan --keep"), Err(RequestError::MeaninglessWithPlan { option: "--keep" }));
}

#[test]
fn a_resume_takes_only_what_may_change() {
    let request = check("--resume d -t 5 -q -l --json --fill 0 --force --keep").unwrap();
    assert_eq!(request.task, Task::Resume { spool: "d".into(), force: true });
    assert_eq!(request.view.time_limit, Some(Duration::from_secs(300)));
    assert_eq!(check("--resume d k"), Err(RequestError::KernelWithResume));
    assert_eq!(check("--resume d --plan"), Err(RequestError::PlanWithResume));
    assert_eq!(check("--resume d -n 4"), Err(RequestError::FixedAtStart { option: "-n" }));
    assert_eq!(check("--resume d --bind none"), Err(RequestError::FixedAtStart { option: "--bind" }));
}

#[test]
fn a_report_runs_nothing() {
    assert_eq!(check("--report d --json -v").unwrap().task, Task::Report { spool: "d".into() });
    let meaningless = |option| Err(RequestError::MeaninglessWithReport { option });
    assert_eq!(check("--report d k"), meaningless("KERNEL"));
    assert_eq!(check("--report d --resume d"), meaningless("--resume"));
    assert_eq!(check("--report d --plan"), meaningless("--plan"));
    assert_eq!(check("--report d -n 4"), meaningless("-n"));
}

#[test]
fn placement_is_said_as_in_slurm() {
    use dc_model::CpuSet;
    let plain = job("k");
    assert_eq!((plain.bind, plain.bind_verbose), (None, false));
    assert_eq!((plain.distribution, plain.memory), (Distribution::Cost, Memory::Each(0)));
    let said = job("--cpu-bind=verbose,map_cpu:2,0 -m block:cyclic --mem 4G k");
    let entries = vec![CpuSet::from_iter([2]), CpuSet::from_iter([0])];
    assert_eq!((said.bind, said.bind_verbose), (Some(Bind::Fixed(entries)), true));
    assert_eq!((said.distribution, said.memory), (Distribution::Cyclic, Memory::Each(4 << 30)));
    assert_eq!(job("--mem-per-cpu 512 k").memory.of(3), Some(1536 << 20));
    assert_eq!(job("--mem-per-cpu 8388608T k").memory.of(3), None);
    let told = |line: &str| check(line).unwrap_err().to_string();
    assert!(told("--bind cpu k").starts_with("--bind cpu: give core, numa"));
    assert!(told("-m plane=4 k").contains("--bind map_cpu"));
    assert_eq!(told("--mem -1 k"), "--mem -1: wanted a whole number of megabytes, or one with K, M, G or T");
    for (option, line) in [("-m", "-m block"), ("--mem", "--mem 1G"), ("--mem-per-cpu", "--mem-per-cpu 1G")] {
        assert_eq!(check(&format!("--resume d {line}")), Err(RequestError::FixedAtStart { option }));
    }
}

#[test]
fn names_can_be_directories() {
    assert_eq!(job("-J a.b k").name.as_deref(), Some("a.b"));
    for bad in ["-J a/b k", "-J .. k", "-J ä k"] {
        assert!(matches!(check(bad), Err(RequestError::Name { .. })), "{bad}");
    }
}

#[test]
fn grace_is_in_seconds() {
    let grace = |text: &str| grace_of(OsStr::new(text));
    assert_eq!(grace("0.5"), Ok(Duration::from_millis(500)));
    assert_eq!(grace("0"), Ok(Duration::ZERO));
    for bad in ["", "x", "-1", "inf", "NaN", "86401"] {
        assert!(grace(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_srun_says_of_failures() {
    assert!(!job("-K ls").keep_going && !job("-K=1 ls").keep_going && !job("ls").keep_going);
    assert!(job("--kill-on-bad-exit=0 ls").keep_going && job("-K=0 --keep-going ls").keep_going);
    assert_eq!(job("--max-restarts 7 ls").restarts, 7);
    for (line, wanted) in [
        ("-K 1 ls", RequestError::KillApart { word: "1".to_owned() }),
        ("-K=2 ls", RequestError::Kill { given: "2".to_owned() }),
        ("-K --keep-going ls", RequestError::KillAndKeepGoing),
        ("--signal USR1 ls", RequestError::SignalWithoutLimit),
        ("--signal USR1@60 -t 1 ls", RequestError::SignalBeforeStart { seconds: 60 }),
        ("--resume d --restart-on exit", RequestError::FixedAtStart { option: "--restart-on" }),
        ("--resume d -K=0", RequestError::FixedAtStart { option: "-K" }),
    ] {
        assert_eq!(check(line), Err(wanted), "{line}");
    }
}
