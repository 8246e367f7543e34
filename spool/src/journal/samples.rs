//! For tests: records of every type, with small and large values.

use dc_model::{
    Attempt, CpuSet, GiveUp, LaunchStage, Outcome, Rank, Record, Restart, ResultMeta, StopReason, SubtaskId,
};

/// At least one record of every type.
pub fn records() -> Vec<Record> {
    let (subtask, attempt) = (SubtaskId(4), Attempt(2));
    let at = Restart { attempt: Attempt(1), step: 120 };
    let failed = |outcome, checkpoint, retry| Record::AttemptFailed {
        subtask,
        attempt,
        outcome,
        checkpoint,
        advanced: checkpoint.is_some(),
        retry,
    };
    let mut records = vec![
        Record::Epoch { epoch: 1 },
        Record::Granted { subtask, attempt },
        Record::Launched { subtask, attempt, rank: Rank(3), cpus: CpuSet::new(), node: 0 },
        Record::Launched { subtask, attempt, rank: Rank(0), cpus: CpuSet::from_iter([1, 70, 200]), node: 0 },
        Record::Started { subtask, attempt, from: None },
        Record::Started { subtask, attempt, from: Some(at) },
        Record::Done { subtask, attempt, result: None },
        Record::Done { subtask, attempt, result: Some(ResultMeta { len: 1 << 40, crc: 0xdead_beef }) },
        failed(Outcome::Exited(3), None, false),
        failed(Outcome::Signalled(9), Some(at), true),
        failed(Outcome::OutOfMemory, Some(at), true),
        failed(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: -8 }, None, true),
    ];
    for why in [GiveUp::Stopped, GiveUp::StarterLost, GiveUp::RunLost] {
        records.push(Record::GivenUp { subtask: SubtaskId(u32::MAX), attempt: Attempt(u32::MAX), why });
    }
    for reason in [
        StopReason::SubtaskFailed,
        StopReason::TimeLimit,
        StopReason::Interrupted,
        StopReason::Signal(15),
        StopReason::BrokenPipe,
        StopReason::Error,
    ] {
        records.push(Record::Stopping { reason });
    }
    for predicted_ns in [None, Some(1 << 40)] {
        records.push(Record::Node { host: "n1".to_owned(), cores: 48, usable: 32, predicted_ns });
    }
    records.push(Record::Measured { subtask, attempt, ended_ns: 1 << 40, ran_ns: 1 << 33, kept_ns: 7 });
    records.extend([Record::Merging, Record::Merged, Record::Ended { status: 137 }]);
    records.push(Record::GivenUp { subtask, attempt, why: GiveUp::Gang });
    let cpus = CpuSet::from_iter([0, 70]);
    records.push(Record::Launched { subtask, attempt, rank: Rank(3), cpus, node: 17 });
    records.push(Record::GivenUp { subtask, attempt, why: GiveUp::NodeLost });
    records.push(Record::ResultLost { subtask, attempt });
    records
}
