//! Only a whole and right checkpoint is taken, however its bytes are cut.

use super::super::Region;
use super::*;
use crate::files::Dir;

const JOB: JobUuid = JobUuid([3; 16]);
const SUBTASK: SubtaskId = SubtaskId(4);
const RESTART: Restart = Restart { attempt: Attempt(2), step: 7 };

fn place(path: &std::path::Path) -> Checkpoints {
    std::fs::create_dir_all(path.join(layout::CKPT)).unwrap();
    Checkpoints::open(&Dir::open(path).unwrap(), JOB).unwrap()
}

fn bytes_of(from: &Checkpoints) -> Vec<u8> {
    let file = from.raw(SUBTASK, RESTART).unwrap();
    file.read_front(file.len_bytes()).unwrap()
}

fn take(to: &Checkpoints, restart: Restart, bytes: &[u8], said: u64, cut: usize) -> Result<(), RecordError> {
    let mut incoming = to.take(SUBTASK, restart, said)?;
    for piece in bytes.chunks(cut) {
        incoming.append(piece)?;
    }
    incoming.finish()
}

#[test]
fn any_cut_of_a_right_one_and_nothing_else() {
    let tmp = tempfile::tempdir().unwrap();
    let (from, to) = (place(&tmp.path().join("a")), place(&tmp.path().join("b")));
    let data: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
    from.write(SUBTASK, RESTART, &[Region { id: 1, data: &data }]).unwrap();
    let good = bytes_of(&from);
    let len = good.len() as u64;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(take(&to, RESTART, &bad, len, 64).is_err(), "byte {at} changed");
    }
    for cut in [0, 1, 50, good.len() - 1] {
        assert!(take(&to, RESTART, &good[..cut], len, 64).is_err(), "only {cut} bytes");
        assert!(take(&to, RESTART, &good[..cut], cut as u64, 64).is_err(), "{cut} bytes, and said so");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(take(&to, RESTART, &longer, len, 64).is_err());
    assert!(take(&to, RESTART, &longer, len + 1, 64).is_err());
    assert!(take(&to, Restart { step: 8, ..RESTART }, &good, len, 64).is_err(), "another step's name");
    assert_eq!(to.list(SUBTASK).unwrap(), vec![]);
    let names = std::fs::read_dir(tmp.path().join("b/ckpt/00000004")).unwrap().count();
    assert_eq!(names, 0, "nothing is left of what was refused");
    for cut in [1, 7, 64, 5000] {
        take(&to, RESTART, &good, len, cut).unwrap();
        assert_eq!(bytes_of(&to), good);
        to.open_verified(SUBTASK, RESTART).unwrap();
    }
    assert_eq!(to.newest(SUBTASK, Attempt(2), 2).unwrap(), vec![], "of attempts before it alone");
    assert_eq!(to.newest(SUBTASK, Attempt(3), 2).unwrap(), vec![RESTART]);
}
