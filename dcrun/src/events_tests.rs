//! Each object, byte for byte: scripts read them.

use super::*;

fn text(event: &Event<'_>, t_ns: Option<u64>) -> String {
    String::from_utf8(line(event, t_ns)).unwrap()
}

#[test]
fn a_plan() {
    let plan = Event::Plan {
        name: "ocean",
        host: "n1",
        cores: 2,
        lanes: 4,
        slots: 2,
        subtasks_total: 4,
        cells_total: 100,
        balance: 1.25,
        makespan: 60,
        efficiency: 0.5,
        better_split: Some(8),
        predicted: Some(Predicted {
            makespan_ns: 1,
            core_ns: 2,
            source: "same",
            observations: 3,
            last_unix_s: 4,
        }),
    };
    assert_eq!(
        text(&plan, None),
        "{\"v\":1,\"event\":\"plan\",\"name\":\"ocean\",\"host\":\"n1\",\"cores\":2,\"lanes\":4,\"slots\":2,\
         \"subtasks_total\":4,\"cells_total\":100,\"balance\":1.25,\"makespan\":60,\"efficiency\":0.5,\
         \"better_split\":8,\"predicted\":{\"makespan_ns\":1,\"core_ns\":2,\"source\":\"same\",\"observations\":3,\
         \"last_unix_s\":4}}\n"
    );
    let subtask = Event::Subtask {
        id: 3,
        name: "a\"b\n".to_owned(),
        cells: 25,
        block: Some(block(Block { x0: 0, y0: 1, x1: 2, y1: 3 })),
        rank: Some(1),
        cpus: cpus(&CpuSet::from_iter([0, 2])),
        predicted_ns: None,
    };
    assert_eq!(
        text(&subtask, None),
        "{\"v\":1,\"event\":\"subtask\",\"id\":3,\"name\":\"a\\\"b\\n\",\"cells\":25,\"block\":[0,1,2,3],\
         \"rank\":1,\"cpus\":[0,2],\"predicted_ns\":null}\n"
    );
}

#[test]
fn a_machine() {
    let core =
        MachineCore { core: 1, cpus: vec![2, 3], cache: 0, rank: Some(4), subtasks_total: 5, cells_total: 6 };
    let domain = MachineDomain { numa: 7, memory_bytes: 8, cells_total: 6, cores: vec![core] };
    let memory = MachineMemory { numa: 9, memory_bytes: 10, kind: Some("HBM".to_owned()), near: vec![7] };
    let machine = Event::Machine {
        host: "n1",
        described_by: None,
        packages: vec![MachinePackage { package: 0, cells_total: 6, domains: vec![domain] }],
        memory_only: vec![memory],
        left_out: vec![1],
    };
    assert_eq!(
        text(&machine, None),
        "{\"v\":1,\"event\":\"machine\",\"host\":\"n1\",\"described_by\":null,\"packages\":[{\"package\":0,\
         \"cells_total\":6,\"domains\":[{\"numa\":7,\"memory_bytes\":8,\"cells_total\":6,\"cores\":[{\"core\":1,\
         \"cpus\":[2,3],\"cache\":0,\"rank\":4,\"subtasks_total\":5,\"cells_total\":6}]}]}],\"memory_only\":[{\
         \"numa\":9,\"memory_bytes\":10,\"kind\":\"HBM\",\"near\":[7]}],\"left_out\":[1]}\n"
    );
}

#[test]
fn a_run() {
    let from = Some(Restart { attempt: dc_model::Attempt(1), step: 40 }.into());
    let cases = [
        (
            Event::Job { spool: "/s", uuid: "u", pid: 5, epoch: 2, completed: 7, id: None },
            "\"job\",\"spool\":\"/s\",\"uuid\":\"u\",\"pid\":5,\"epoch\":2,\"completed\":7",
        ),
        (
            Event::Started { subtask: 1, attempt: 2, rank: 3, pid: 4, cpus: vec![5], from, node: Some("n1") },
            "\"started\",\"subtask\":1,\"attempt\":2,\"rank\":3,\"pid\":4,\"cpus\":[5],\
             \"from\":{\"attempt\":1,\"step\":40},\"node\":\"n1\"",
        ),
        (
            Event::Ended {
                subtask: 1,
                attempt: 2,
                rank: 3,
                status: 137,
                signal: Some(9),
                stopped: false,
                ran_ns: 8,
                node: None,
            },
            "\"ended\",\"subtask\":1,\"attempt\":2,\"rank\":3,\"status\":137,\"signal\":9,\"stopped\":false,\"ran_ns\":8",
        ),
        (
            Event::Failed {
                subtask: 1,
                attempt: 2,
                rank: 3,
                status: 253,
                out_of_memory: true,
                checkpoint: None,
                retry: true,
                node: None,
            },
            "\"failed\",\"subtask\":1,\"attempt\":2,\"rank\":3,\"status\":253,\"out_of_memory\":true,\"checkpoint\":null,\"retry\":true",
        ),
        (
            Event::Restart { subtask: 1, attempt: 2, from },
            "\"restart\",\"subtask\":1,\"attempt\":2,\"from\":{\"attempt\":1,\"step\":40}",
        ),
        (
            Event::Progress {
                done: 1,
                running: 2,
                subtasks_total: 4,
                cells_done: 10,
                cells_total: 40,
                left_ns: None,
                restarts: 0,
            },
            "\"progress\",\"done\":1,\"running\":2,\"subtasks_total\":4,\"cells_done\":10,\"cells_total\":40,\
             \"left_ns\":null,\"restarts\":0",
        ),
        (Event::Stopping { reason: "time_limit" }, "\"stopping\",\"reason\":\"time_limit\""),
        (Event::Signal { signal: 10 }, "\"signal\",\"signal\":10"),
        (Event::Starter { pid: 5 }, "\"starter\",\"pid\":5"),
        (Event::StarterLost { pid: 6 }, "\"starter_lost\",\"pid\":6"),
        (Event::Merged { file: "/f" }, "\"merged\",\"file\":\"/f\""),
        (
            Event::Report {
                host: "n1",
                runs: 1,
                subtasks_total: 4,
                done: 3,
                wall_ns: 5,
                predicted_ns: None,
                balance: 1.5,
                balance_time: 2.5,
                efficiency: 0.5,
                cores: 2,
                usable: 1,
                core_ns: 6,
                core_hours: 0.25,
                lost_ns: 7,
                attempts_lost: 8,
                unmeasured: 9,
                restarts: 1,
                slowest: Some(SlowestObject {
                    subtask: 3,
                    name: Some("n".to_owned()),
                    ran_ns: 4,
                    expected_ns: None,
                    core_ratio: Some(1.5),
                    why: "core",
                }),
            },
            "\"report\",\"host\":\"n1\",\"runs\":1,\"subtasks_total\":4,\"done\":3,\"wall_ns\":5,\"predicted_ns\":null,\
             \"balance\":1.5,\"balance_time\":2.5,\"efficiency\":0.5,\"cores\":2,\"usable\":1,\"core_ns\":6,\
             \"core_hours\":0.25,\"lost_ns\":7,\"attempts_lost\":8,\"unmeasured\":9,\"restarts\":1,\
             \"slowest\":{\"subtask\":3,\"name\":\"n\",\"ran_ns\":4,\"expected_ns\":null,\"core_ratio\":1.5,\"why\":\"core\"}",
        ),
        (
            Event::End { status: 0, done: 4, failed: 0, restarts: 1, kept: false },
            "\"end\",\"status\":0,\"done\":4,\"failed\":0,\"restarts\":1,\"kept\":false",
        ),
    ];
    for (event, wanted) in cases {
        assert_eq!(text(&event, Some(9)), format!("{{\"v\":1,\"event\":{wanted},\"t_ns\":9}}\n"));
    }
}
