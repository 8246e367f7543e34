//! What lies beside dcd itself: its port, the machine's cores, the launchers of MPIs.

use super::{Facts, Finding, Port};
use crate::draw::amount::counted;
use dc_spool::files::shown;

pub(super) fn port(facts: &Facts) -> Finding {
    const CHECK: &str = "port";
    match &facts.port {
        Port::Free(place) => Finding::good(CHECK, format!("{place} can be listened at")),
        Port::InUse(place) => {
            let says = format!("somebody listens at {place}: dcd itself, if it runs");
            Finding::weak(CHECK, says, "if that is not dcd, name another port: listen of [node] in dc.toml")
        }
        Port::Not(place, why) => Finding::bad(
            CHECK,
            format!("{place} cannot be listened at: {why}"),
            "name an address of this host and a port from 1024 on: listen of [node] in dc.toml",
        ),
    }
}

pub(super) fn topology(facts: &Facts) -> Finding {
    const CHECK: &str = "topology";
    let cores = match &facts.cores {
        Ok(cores) => cores,
        Err(why) => {
            return Finding::bad(
                CHECK,
                why.clone(),
                "dcd --print-topology shows what is seen; compare with lstopo",
            );
        }
    };
    let says = format!(
        "{} with {}",
        counted(cores.cores.into(), "core", "cores"),
        counted(cores.threads.into(), "hardware thread", "hardware threads")
    );
    if cores.is_described {
        let says = format!("{says}, of a described machine: bindings are recorded and not applied");
        return Finding::weak(
            CHECK,
            says,
            "set topology = \"auto\" for this node in dc.toml, unless this is wanted",
        );
    }
    if cores.domains_without_memory > 0 {
        let says = format!(
            "{says}; the memory of {} is not known",
            counted(cores.domains_without_memory.into(), "domain", "domains")
        );
        return Finding::weak(CHECK, says, "mount /sys; or say memory of [node] in dc.toml");
    }
    if cores.is_hybrid {
        let says = format!("{says}, of two kinds: subtasks on the slow ones end later");
        return Finding::weak(
            CHECK,
            says,
            "give jobs the CPUs of one kind: cpus of [node] in dc.toml (/sys/devices/cpu_core/cpus)",
        );
    }
    if !cores.left_out.is_empty() {
        let says = format!("{says}; CPUs {} are offline or not allowed", cores.left_out);
        return Finding::weak(
            CHECK,
            says,
            "look at /sys/devices/system/cpu/online and `taskset -cp $$`, unless this is wanted",
        );
    }
    Finding::good(CHECK, says)
}

pub(super) fn launchers(facts: &Facts) -> Finding {
    const CHECK: &str = "MPI";
    if facts.launchers.is_empty() {
        let says = "no launcher of an MPI is in PATH: MPI kernels cannot be run on this node";
        return Finding::weak(
            CHECK,
            says,
            "install Open MPI or MPICH, or put its bin directory into PATH of dcd",
        );
    }
    let names: Vec<String> = facts.launchers.iter().map(|path| shown(path).to_string()).collect();
    Finding::good(CHECK, names.join(", "))
}
