//! What is said of nodes and of the scheduler: `-N`, `--ntasks-per-node`, `-w`, `-x`, `--exclusive`, `--sched`,
//! `--local`, `--detach`, `--attach`, `--bcast`. Whether there is a cluster at all is found out later.

use super::{COUNT_MAX, NewJob, RequestError, digits};
use crate::cli::Cli;
use dc_model::JobUuid;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{NODE_NAME_BYTES_MAX, NodeWants};
use dc_model::hostlist;
use std::path::PathBuf;

/// The most names that a list of hosts may stand for.
const HOSTS_MAX: usize = 1 << 16;

/// Who decides where ranks run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Sched {
    /// As `DC_SCHED` and dc.toml have it.
    #[default]
    AsFound,
    /// dcrun itself, on this machine.
    Local,
    /// The scheduler at this address.
    At(String),
}

/// What is asked of a cluster, and would mean something else, or nothing, on one machine.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Nodes {
    /// Which and how many.
    pub wants: NodeWants,
    /// dcrun leaves when the job is taken.
    pub detach: bool,
    /// Files that nodes get copies of.
    pub bcast: Vec<PathBuf>,
}

pub(super) fn sched(cli: &Cli) -> Sched {
    match &cli.sched {
        _ if cli.local => Sched::Local,
        Some(address) => Sched::At(address.clone()),
        None => Sched::AsFound,
    }
}

pub(super) fn nodes(cli: &Cli) -> Result<Nodes, RequestError> {
    let (nodes_min, nodes_max) = cli.nodes.as_deref().map_or(Ok((0, 0)), range)?;
    let per_node = super::count(
        "--ntasks-per-node",
        cli.ntasks_per_node.as_deref(),
        RequestError::NotCount { option: "--ntasks-per-node", given: "0".to_owned(), max: COUNT_MAX },
    )?;
    Ok(Nodes {
        wants: NodeWants {
            nodes_min,
            nodes_max,
            ranks_per_node: per_node.unwrap_or(0),
            only: cli.nodelist.as_deref().map_or(Ok(Vec::new()), |list| hosts("-w", list))?,
            except: cli.exclude.as_deref().map_or(Ok(Vec::new()), |list| hosts("-x", list))?,
            exclusive: cli.exclusive,
        },
        detach: cli.detach,
        bcast: cli.bcast.clone(),
    })
}

/// `MIN` or `MIN-MAX`.
fn range(given: &str) -> Result<(u32, u32), RequestError> {
    let wrong = || RequestError::Nodes { given: given.to_owned() };
    let number = |text: &str| {
        let number = digits(text).filter(|n| (1..=u64::from(COUNT_MAX)).contains(n));
        number.map(|n| n as u32).ok_or_else(wrong)
    };
    let (min, max) = given.split_once('-').unwrap_or((given, given));
    let (min, max) = (number(min)?, number(max)?);
    if min > max { Err(wrong()) } else { Ok((min, max)) }
}

fn hosts(option: &'static str, given: &str) -> Result<Vec<String>, RequestError> {
    if option == "-x" && given.contains('=') {
        return Err(RequestError::ExportForExclude { given: given.to_owned() });
    }
    let wrong = |why: String| RequestError::Hosts { option, given: given.to_owned(), why };
    let mut names = hostlist::parse(given, HOSTS_MAX).map_err(|error| wrong(error.to_string()))?;
    if let Some(long) = names.iter().find(|name| name.len() > NODE_NAME_BYTES_MAX) {
        return Err(wrong(format!(
            "a node's name has at most {NODE_NAME_BYTES_MAX} bytes, not {}",
            long.len()
        )));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What is asked of nodes where there is one, this machine: refused where srun's user would be misled, else taken as far as it
/// goes.
///
/// # Errors
/// What one machine cannot do.
pub fn on_one_machine(job: &mut NewJob, host: &str) -> Result<(), RequestError> {
    let Nodes { wants, detach, bcast: _ } = &job.nodes;
    if *detach {
        return Err(RequestError::NeedsScheduler { option: "--detach" });
    }
    if wants.nodes_min > 1 {
        return Err(RequestError::OneNode { min: wants.nodes_min });
    }
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let names_it =
        |list: &[String]| list.iter().any(|name| name == "localhost" || name == host || *name == short(host));
    let wrong = |option| RequestError::NotThisHost { option, host: host.to_owned() };
    if !wants.only.is_empty() && !names_it(&wants.only) {
        return Err(wrong("-w"));
    }
    if names_it(&wants.except) {
        return Err(wrong("-x"));
    }
    if wants.ranks_per_node > 0 {
        let per_node = wants.ranks_per_node;
        let ranks = *job.ranks.get_or_insert(per_node);
        if ranks > per_node {
            return Err(RequestError::PerNode { per_node, ranks });
        }
    }
    Ok(())
}

/// `--attach`: a job's number, or its uuid.
pub(super) fn which(given: &str) -> Result<WhichJob, RequestError> {
    let id = digits(given).filter(|id| *id < u64::MAX).map(WhichJob::Id);
    let uuid = || JobUuid::parse(given).map(WhichJob::Uuid);
    id.or_else(uuid).ok_or_else(|| RequestError::WhichJob { given: given.to_owned() })
}

/// A follower of a job that was submitted by another dcrun cannot say how it should be.
pub(super) fn check_attach(cli: &Cli) -> Result<(), RequestError> {
    let others = [
        ("KERNEL", !cli.kernel.is_empty()),
        ("--resume", cli.resume.is_some()),
        ("--report", cli.report.is_some()),
        ("--plan", cli.plan),
        ("--local", cli.local),
        ("--fill", cli.fill.is_some()),
        ("-t", cli.time.is_some()),
        ("--signal", cli.signal.is_some()),
    ];
    match others.into_iter().chain(super::fixed(cli)).find(|(_, given)| *given) {
        Some((option, _)) => Err(RequestError::MeaninglessWithAttach { option }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn of(line: &str) -> Result<Nodes, RequestError> {
        nodes(&Cli::try_parse_from(line.split_whitespace()).unwrap())
    }

    #[test]
    fn how_many_nodes() {
        let range = |line: &str| of(line).map(|nodes| (nodes.wants.nodes_min, nodes.wants.nodes_max)).ok();
        assert_eq!(range("dcrun k"), Some((0, 0)));
        assert_eq!(range("dcrun -N 2 k"), Some((2, 2)));
        assert_eq!(range("dcrun -N2-4 k"), Some((2, 4)));
        for bad in ["0", "2-1", "-", "1-", "x", "1-2-3", "99999999999"] {
            assert_eq!(range(&format!("dcrun -N={bad} k")), None, "{bad}");
        }
        assert_eq!(of("dcrun --ppn 3 k").unwrap().wants.ranks_per_node, 3);
        assert!(of("dcrun --ntasks-per-node 0 k").is_err());
    }

    #[test]
    fn which_nodes() {
        let wants = of("dcrun -w n[3-1] k");
        assert!(matches!(wants, Err(RequestError::Hosts { option: "-w", .. })), "{wants:?}");
        let wants = of("dcrun -w n[2,1],n1 -x a k").unwrap().wants;
        assert_eq!((wants.only, wants.except), (vec!["n1".into(), "n2".into()], vec!["a".into()]));
        let says = of("dcrun -x A=b k").unwrap_err().to_string();
        assert!(says.contains("environment"), "{says}");
        assert!(of("dcrun -w n[1-99999999] k").is_err(), "bounded");
    }

    #[test]
    fn jobs_by_number_or_uuid() {
        assert_eq!(which("17"), Ok(WhichJob::Id(17)));
        let uuid = JobUuid([3; 16]);
        assert_eq!(which(&uuid.to_string()), Ok(WhichJob::Uuid(uuid)));
        for bad in ["", "-1", "x", "1.5", "99999999999999999999999"] {
            assert!(which(bad).is_err(), "{bad}");
        }
    }
}
