//! Where ranks are put: the words of `--bind`, the orders of `-m`, memory. On this machine by what kernels see of
//! themselves, on machines that are only described by the plan.

use dc_integration::Scratch;
use dc_integration::shown::{Shown, allowed};
use dc_integration::{fixture, run::Finished};
use std::collections::BTreeMap;

/// The two CPUs that the tests below give away; nothing, with a word, on a machine with one.
fn two_cpus() -> Option<(u32, u32)> {
    match allowed().as_slice() {
        [first, second, ..] => Some((*first, *second)),
        _ => {
            eprintln!("not tested: one CPU only, there is nothing to choose from");
            None
        }
    }
}

fn cpus_by_rank(done: &Finished) -> BTreeMap<u32, Vec<u32>> {
    Shown::by_rank(done).iter().map(|(rank, shown)| (*rank, shown.cpus())).collect()
}

#[test]
fn a_rank_gets_the_cpus_that_were_said() {
    let Some((first, second)) = two_cpus() else { return };
    let place = Scratch::new();
    let swapped = format!("-l -n 2 --bind verbose,map_cpu:{second},{first}");
    let done = place.dcrun(&swapped).arg(fixture("show")).run().ends_with(0);
    assert_eq!(cpus_by_rank(&done), BTreeMap::from([(0, vec![second]), (1, vec![first])]));
    let done = done.says_in_a_line(&["bind: rank 0, subtask 0,", &format!("CPUs {second} (mask")]);
    // What was printed is accepted: as numbers, and as a mask.
    let told = done.err();
    let line = told.lines().find(|line| line.contains("bind: rank 0")).unwrap();
    let mask = line.rsplit_once("(mask ").unwrap().1.trim_end_matches(')');
    let cpus = line.rsplit_once("CPUs ").unwrap().1.split(' ').next().unwrap();
    for again in [format!("mask_cpu:{mask}"), format!("map_cpu:{cpus}")] {
        let done =
            place.dcrun(&format!("-l -n 1 --cpu-bind={again}")).arg(fixture("show")).run().ends_with(0);
        assert_eq!(cpus_by_rank(&done)[&0], [second], "{again}");
    }
    let both = format!("-l -n 1 --bind mask_cpu:{:x}", 1u64 << first | 1u64 << second);
    let done = place.dcrun(&both).arg(fixture("show")).run().ends_with(0);
    assert_eq!(cpus_by_rank(&done)[&0], [first, second]);
}

#[test]
fn ranks_of_one_entry_take_turns() {
    let Some((first, _)) = two_cpus() else { return };
    let place = Scratch::new();
    // Each is alone on the CPU: none finds another one's mark.
    let kernel = "mkdir here || exit 3; grep -q Cpus /proc/self/status; rmdir here";
    place.dcrun(&format!("-n 4 --bind map_cpu:{first}")).script(kernel).run().ends_with(0);
    let shared = format!("-l -n 3 --oversubscribe --bind map_cpu:{first}*3");
    let done = place.dcrun(&shared).arg(fixture("show")).run().ends_with(0);
    assert_eq!(cpus_by_rank(&done), (0..3).map(|rank| (rank, vec![first])).collect());
}

#[test]
fn cpus_that_cannot_be_had_are_named() {
    let Some((first, second)) = two_cpus() else { return };
    let place = Scratch::new();
    let refused = |line: &str, parts: &[&str]| {
        place.dcrun(line).run().ends_with(125).says_in_a_line(parts);
        place.nothing_is_left();
    };
    refused(
        &format!("-n 2 --bind map_cpu:{first},60000 true"),
        &["CPU 60000", "entry 1", &first.to_string()],
    );
    refused(&format!("-n 2 --bind map_cpu:{first},{first} true"), &["ranks 0 and 1", "--oversubscribe"]);
    refused(&format!("-n 1 -c 2 --bind map_cpu:{first} true"), &["rank 0", "needs 2"]);
    refused("-n 2 --bind board true", &["board", "socket"]);
    refused("-n 2 -m plane=2 true", &["plane=2", "map_cpu"]);
    refused("-n 2 --mem lots true", &["--mem lots", "K, M, G or T"]);
    refused("-n 2 --mem 1G --mem-per-cpu 1G true", &["--mem-per-cpu"]);
    let line = format!("-c {second} dcrun -n 1 --bind map_cpu:{first} true");
    let narrow = place.ask("taskset").words(&line).run().ends_with(125);
    narrow.says_in_a_line(&[&format!("CPU {first},"), &format!("CPUs {second}")]);
}

#[test]
fn a_resume_keeps_the_map_and_tells_where_it_cannot() {
    let Some((first, second)) = two_cpus() else { return };
    let place = Scratch::new();
    let line = format!("--spool job --restarts 0 -n 1 --bind verbose,map_cpu:{second} -m block --mem 1M");
    place.write("fails", "");
    place
        .dcrun(&line)
        .script("test ! -e fails && grep Cpus_allowed_list /proc/self/status")
        .run()
        .ends_with(1);
    std::fs::remove_file(place.path("fails")).unwrap();
    let narrow = place.ask("taskset").words(&format!("-c {first} dcrun --resume job")).run().ends_with(125);
    narrow.says_in_a_line(&[&format!("CPU {second},"), &format!("CPUs {first}")]);
    let done = place.dcrun("--resume job").run().ends_with(0);
    assert!(done.out().ends_with(&format!("\t{second}\n")), "{done}");
    done.says(&["bind: rank 0, subtask 0,"]);
}

#[test]
fn openmp_follows_the_binding() {
    let Some((first, second)) = two_cpus() else { return };
    let place = Scratch::new();
    let omp = |line: &str| {
        let done = place.dcrun(&format!("-l -n 1 {line}")).arg(fixture("show")).run().ends_with(0);
        let shown = &Shown::by_rank(&done)[&0];
        let var = |name: &str| shown.env(name).unwrap_or("-").to_owned();
        [var("OMP_NUM_THREADS"), var("OMP_PLACES"), var("OMP_PROC_BIND")]
    };
    let mask = format!("--bind mask_cpu:{:x}", 1u64 << first);
    assert_eq!(omp(&mask), ["1", &format!("{{{first}}}"), "close"]);
    assert_eq!(omp("--bind none -c 2"), ["2", "-", "-"]);
    let thread = omp("--bind thread -c 2");
    assert_eq!((thread[0].as_str(), thread[2].as_str()), ("2", "close"));
    assert!(thread[1].contains("},{"), "a place for each thread: {thread:?}");
    for word in ["numa", "socket"] {
        let [threads, places, bound] = omp(&format!("--bind {word}"));
        assert_eq!((threads.as_str(), bound.as_str()), ("1", "close"));
        let both = [first, second].iter().all(|cpu| places.contains(&cpu.to_string()));
        assert!(both && !places.contains("},{"), "one place of all: {places}");
    }
}

/// The CPUs of each rank, as a plan for another machine has them.
fn planned(place: &Scratch, machine: &str, line: &str) -> Vec<String> {
    let ask = place.dcrun(&format!("--plan --json {line}")).env("HWLOC_SYNTHETIC", machine);
    let done = ask.run().ends_with(0);
    let mut ranks = BTreeMap::new();
    for line in done.out().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(rank) = object["rank"].as_u64() {
            let cpus: Vec<String> =
                object["cpus"].as_array().unwrap().iter().map(|cpu| cpu.to_string()).collect();
            ranks.insert(rank, cpus.join(","));
        }
    }
    ranks.into_values().collect()
}

/// Two packages of two domains of 8 GiB, each of two cores of two threads.
const MACHINE: &str = "pack:2 numa:2(memory=8589934592) core:2 pu:2";

#[test]
fn ranks_are_spread_as_was_said() {
    let place = Scratch::new();
    let seen = |line: &str| planned(&place, MACHINE, line).join(" ");
    assert_eq!(seen("-n 4"), "0,1 4,5 8,9 12,13");
    assert_eq!(seen("-n 4 -m block"), "0,1 2,3 4,5 6,7");
    assert_eq!(seen("-n 4 -m cyclic"), "0,1 8,9 4,5 12,13");
    assert_eq!(seen("-n 4 -m block:cyclic"), "0,1 8,9 4,5 12,13");
    assert_eq!(seen("-n 4 -m block --bind thread"), "0 1 2 3");
    assert_eq!(seen("-n 2 --bind socket -m cyclic"), "0,1,2,3,4,5,6,7 8,9,10,11,12,13,14,15");
    assert_eq!(seen("-n 2 --bind numa -m block"), "0,1,2,3 0,1,2,3");
    assert_eq!(seen("-n 3 --bind mask_cpu:0xf000,0x3"), "12,13,14,15 0,1 12,13,14,15");
    assert_eq!(seen("-n 2 --bind map_cpu:14-15"), "14 15");
}

#[test]
fn memory_is_taken_of_the_domain() {
    let place = Scratch::new();
    let slots = |line: &str| {
        let ask = place.dcrun(&format!("--plan --json {line}")).env("HWLOC_SYNTHETIC", MACHINE);
        let out = ask.run().ends_with(0).out();
        let plan: serde_json::Value = out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .find(|o: &serde_json::Value| o["event"] == "plan")
            .unwrap();
        (plan["slots"].as_u64().unwrap(), plan["makespan"].as_u64().unwrap())
    };
    assert_eq!(slots("-n 8"), (8, 1));
    assert_eq!(slots("-n 8 --mem 4G"), (8, 1), "two in each of four domains");
    assert_eq!(slots("-n 8 --mem 5G"), (4, 2), "one in each");
    assert_eq!(slots("-n 8 --mem-per-cpu 2G -c 2"), (4, 2));
    assert_eq!(slots("-n 8 --mem 9G"), (3, 3), "more than a domain has: from all of the machine's 32 GiB");
    let ask = place.dcrun("--plan -n 2 --mem 33G").env("HWLOC_SYNTHETIC", MACHINE);
    ask.run().ends_with(125).says_in_a_line(&["subtask 0", "33G", "32G", "--mem"]);
}

#[test]
fn memory_is_waited_for() {
    let Some(_) = two_cpus() else { return };
    let place = Scratch::new();
    // Half of what there is and a little, as the kernel tells it; the limits of groups may make it less.
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total_kib: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    let kernel = "mkdir here || exit 3; grep -q Cpus /proc/self/status; rmdir here";
    let half = total_kib / 2 + 4096;
    let ask = place.dcrun(&format!("-n 6 --mem {half}K")).script(kernel);
    let done = ask.run();
    if done.code() == 125 && done.err().contains("needs") {
        eprintln!("not tested: a group's limit leaves less than half of the memory");
        return;
    }
    done.ends_with(0);
}
