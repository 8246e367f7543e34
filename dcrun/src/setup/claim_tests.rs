use super::*;
use dc_model::Topology;

fn spec(cores: &[u32], ranks: u32, bind: Bind) -> JobSpec {
    let needs = cores.iter().map(|cores| Need { cells: 10, cores: *cores, mem_bytes: 0 }).collect();
    JobSpec { topology: Topology::uniform(8, 2, 4), bind, ..JobSpec::plain(needs, ranks) }
}

fn neighbour(job: u8, cpus: &str) -> Neighbour {
    let name = format!("job{job}");
    let cpus = CpuSet::parse(cpus).unwrap();
    Neighbour { uid: 0, says: Says { pid: 1, job: JobUuid([job; 16]), name, within: Vec::new(), cpus } }
}

/// What is claimed, how crowded the cores are for the core's choice, and how many are shared.
fn chosen(mut spec: JobSpec, others: &[Neighbour]) -> (String, Vec<u32>, usize) {
    let mut claimed = Claimed {
        says: neighbour(0, "").says,
        neighbours: others.to_vec(),
        shared_cores: 0,
        details: Vec::new(),
        _claim: None,
    };
    claimed.choose(&mut spec);
    (claimed.says.cpus.to_string(), spec.crowd, claimed.shared_cores)
}

#[test]
fn free_cores_are_taken_first() {
    let others = [neighbour(1, "0,4"), neighbour(2, "4")];
    let (cpus, crowd, shared) = chosen(spec(&[1; 4], 2, Bind::Core), &others);
    assert_eq!((&*cpus, shared), ("1,5", 0));
    assert_eq!(crowd, [3, 0, 1, 1, 5, 0, 1, 1], "its own, then nobody's, then others'");
    let (cpus, _, shared) = chosen(spec(&[1; 7], 7, Bind::Core), &others);
    assert_eq!((&*cpus, shared), ("0-3,5-7", 1), "of the others' the one with the fewest users");
    let (cpus, crowd, shared) = chosen(spec(&[1; 9], 9, Bind::Core), &others);
    assert_eq!((&*cpus, shared), ("0-7", 2));
    assert_eq!(crowd, [1, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn alone_nothing_changes_but_that_a_job_stays_on_its_cores() {
    assert_eq!(chosen(spec(&[1; 8], 8, Bind::Core), &[]), ("0-7".to_owned(), Vec::new(), 0));
    let (cpus, crowd, _) = chosen(spec(&[1; 8], 1, Bind::Core), &[]);
    assert_eq!((&*cpus, crowd), ("0", vec![0, 1, 1, 1, 1, 1, 1, 1]));
}

#[test]
fn the_claim_has_room_for_the_widest() {
    let (cpus, ..) = chosen(spec(&[1, 1, 3, 1, 2], 2, Bind::Core), &[]);
    assert_eq!(CpuSet::parse(&cpus).unwrap().len(), 5);
    let (cpus, ..) = chosen(spec(&[1], 1, Bind::Numa), &[neighbour(1, "0")]);
    assert_eq!(cpus, "0-3", "all that its ranks may run on");
}

#[test]
fn an_unbound_one_shares_only_where_there_is_no_room() {
    let others = [neighbour(1, "0-5")];
    assert_eq!(chosen(spec(&[1; 2], 2, Bind::None), &others).2, 0);
    assert_eq!(chosen(spec(&[1; 3], 3, Bind::None), &others).2, 1);
}
