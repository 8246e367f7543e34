//! Claims: files that anybody of the host may have written.

use dc_model::{CpuSet, JobUuid};

// Private to dcd, which depends on hwloc: the one file is built here too.
#[allow(dead_code)]
#[path = "../../../../dcd/src/claims/says.rs"]
mod says;

pub fn claim(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(claim) = says::parse(text) else { return };
    assert!(claim.name.len() <= says::NAME_BYTES_MAX && claim.within.len() <= says::WITHIN_MAX);
    assert_eq!(says::parse(&says::show(&claim)), Some(claim), "shown and read again");
}

pub fn claims() -> Vec<Vec<u8>> {
    let claim = says::Says {
        pid: 77,
        job: JobUuid([7; 16]),
        name: "ocean".to_owned(),
        within: vec![JobUuid([8; 16]), JobUuid([9; 16])],
        cpus: CpuSet::from_iter([0, 1, 70]),
    };
    let alone = says::Says { within: Vec::new(), cpus: CpuSet::new(), ..claim.clone() };
    [claim, alone].iter().map(|claim| says::show(claim).into_bytes()).collect()
}
