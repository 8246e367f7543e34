use super::says::{parse, show};
use super::*;
use dc_model::{Core, CpuSet, JobUuid};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

fn says(job: u8, cpus: &[u32]) -> Says {
    Says {
        pid: u32::from(job),
        job: JobUuid([job; 16]),
        name: format!("job{job}"),
        within: Vec::new(),
        cpus: cpus.iter().copied().collect(),
    }
}

fn neighbours(claims: &Claims) -> Vec<Says> {
    claims.look().unwrap().neighbours.into_iter().map(|neighbour| neighbour.says).collect()
}

#[test]
fn neighbours_see_each_other_while_they_live() {
    let scratch = tempfile::tempdir().unwrap();
    let claims = Claims::open_in(scratch.path()).unwrap();
    assert_eq!(neighbours(&claims), []);
    let first = claims.claim(&says(1, &[0, 1])).unwrap();
    let _second = Claims::open_in(scratch.path()).unwrap().claim(&says(2, &[1, 2])).unwrap();
    assert_eq!(neighbours(&claims), [says(1, &[0, 1]), says(2, &[1, 2])]);
    let seen = claims.look().unwrap().neighbours;
    let own = says(1, &[0, 1]);
    let shared = overlapping(&seen, &own);
    assert_eq!(shared.len(), 1);
    assert_eq!(shared[0].1, CpuSet::from_iter([1]));
    drop(first);
    assert_eq!(neighbours(&claims).len(), 1);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let dir = scratch.path().join(NAME);
    assert_eq!(mode(&dir), 0o1777);
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.iter().map(|file| mode(file)).collect::<Vec<_>>(), [0o644]);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing else is made");
}

#[test]
fn what_a_dead_one_left_is_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let claims = Claims::open_in(scratch.path()).unwrap();
    let dir = scratch.path().join(NAME);
    let left =
        [format!("x{SUFFIX}"), format!(".old{SUFFIX}"), format!(".new{SUFFIX}")].map(|name| dir.join(name));
    for file in &left {
        std::fs::write(file, show(&says(3, &[0]))).unwrap();
    }
    let old = SystemTime::now() - BEGUN_MAX * 2;
    File::options().write(true).open(&left[1]).unwrap().set_modified(old).unwrap();
    assert_eq!(neighbours(&claims), []);
    assert_eq!(
        left.map(|file| file.exists()),
        [false, false, true],
        "one that is just being made is left alone"
    );
}

#[test]
fn jobs_within_each_other_share_on_purpose() {
    let outer = says(1, &[0, 1]);
    let inner = Says { within: vec![outer.job], ..says(2, &[1]) };
    let innermost = Says { within: vec![inner.job, outer.job], ..says(4, &[1]) };
    let other = says(3, &[1]);
    let list = |says: &[&Says]| -> Vec<Neighbour> {
        says.iter().map(|says| Neighbour { uid: 0, says: (*says).clone() }).collect()
    };
    let found = |neighbours: &[Neighbour], says: &Says| overlapping(neighbours, says).len();
    assert_eq!(found(&list(&[&outer]), &inner), 0);
    assert_eq!(found(&list(&[&inner]), &outer), 0);
    assert_eq!(found(&list(&[&outer, &other]), &inner), 1);
    assert_eq!(
        found(&list(&[&outer, &inner, &innermost]), &other),
        1,
        "what runs inside of one counts with it"
    );
    let unbound = Says { cpus: CpuSet::new(), ..outer.clone() };
    assert_eq!(
        found(&list(&[&unbound, &inner]), &other),
        1,
        "the outer one claims nothing, the inner one does"
    );
    let twin = Says { within: vec![outer.job], ..says(5, &[1]) };
    assert_eq!(found(&list(&[&outer, &inner]), &twin), 1, "two inside of the same one are neighbours");
    let core = |cpu| Core { logical: cpu, cpus: CpuSet::from_iter([cpu]), l3: 0, numa: 0, package: 0 };
    let all = list(&[&outer, &inner, &innermost]);
    assert_eq!(crowd(&all, &other, &[core(0), core(1), core(2)]), [1, 1, 0]);
    assert_eq!(crowd(&all, &innermost, &[core(0), core(1), core(2)]), [0, 0, 0]);
}

#[test]
fn only_claims_are_read() {
    let whole = Says { within: vec![JobUuid([9; 16]), JobUuid([8; 16])], ..says(1, &[0, 5]) };
    let text = show(&whole);
    assert_eq!(parse(&text), Some(whole.clone()));
    for cut in 0..text.len() {
        assert_eq!(parse(&text[..cut]), None, "cut at {cut}");
    }
    assert_eq!(parse(&text.replace("claim 2", "claim 1")), None);
    assert_eq!(parse(&format!("{text}more\n")), None);
    assert_eq!(parse(&text.replace("0,5", "0-99999999")), None);
    let strange = Says { name: format!("a\nb{}", "ä".repeat(NAME_BYTES_MAX)), ..whole };
    let read = parse(&show(&strange)).unwrap();
    assert!(read.name.starts_with("a bä") && read.name.len() <= NAME_BYTES_MAX, "{}", read.name);
}

#[test]
fn strange_files_do_no_harm() {
    let scratch = tempfile::tempdir().unwrap();
    let claims = Claims::open_in(scratch.path()).unwrap();
    let dir = scratch.path().join(NAME);
    std::fs::create_dir(dir.join(format!("d{SUFFIX}"))).unwrap();
    nix::unistd::mkfifo(&dir.join(format!("p{SUFFIX}")), Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join(format!("l{SUFFIX}"))).unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::fs::hard_link(&elsewhere, dir.join(format!("h{SUFFIX}"))).unwrap();
    assert_eq!(neighbours(&claims), []);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 4, "nothing of others is touched");
    // Held by a living process, and no claim: too long, not text, empty.
    let held: Vec<_> = [vec![b'a'; 1 << 20], vec![0xff; 9], Vec::new()]
        .into_iter()
        .enumerate()
        .map(|(index, bytes)| {
            let path = dir.join(format!("held{index}{SUFFIX}"));
            std::fs::write(&path, bytes).unwrap();
            Locked::alone(File::open(path).unwrap()).unwrap()
        })
        .collect();
    let seen = claims.look().unwrap();
    assert_eq!((seen.neighbours.len(), seen.foreign.len()), (0, held.len()));
    let own = says(7, &[0]);
    let taken = dir.join(format!(".{}-{}{SUFFIX}", own.job, own.pid));
    std::os::unix::fs::symlink(&elsewhere, &taken).unwrap();
    claims.claim(&own).unwrap_err();
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"", "nothing is written through a link");
}

#[test]
fn a_link_or_an_unprotected_directory_is_no_place_for_claims() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join(NAME);
    std::os::unix::fs::symlink("/tmp", &dir).unwrap();
    Claims::open_in(scratch.path()).unwrap_err();
    std::fs::remove_file(&dir).unwrap();
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    Claims::open_in(scratch.path()).unwrap_err();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o1777)).unwrap();
    Claims::open_in(scratch.path()).unwrap();
}

#[test]
fn who_holds_the_turn_for_ever_is_not_waited_for() {
    let scratch = tempfile::tempdir().unwrap();
    let claims = Claims::open_in(scratch.path()).unwrap();
    let held = claims.turn();
    assert!(held.is_had());
    assert!(!claims.turn().is_had());
    drop(held);
    assert!(claims.turn().is_had());
}

#[test]
fn one_after_another_has_the_turn() {
    (0..40).for_each(|_| one_round_of_turns());
}

fn one_round_of_turns() {
    let scratch = tempfile::tempdir().unwrap();
    let parent = scratch.path();
    let count = 8;
    let (begin, end) = (Barrier::new(count), Barrier::new(count));
    // Each takes the lowest CPU that nobody claims; the directory is made by whoever comes first.
    let mut taken: Vec<u32> = std::thread::scope(|scope| {
        let each = |job: usize| {
            let (begin, end) = (&begin, &end);
            scope.spawn(move || {
                begin.wait();
                let claims = Claims::open_in(parent).unwrap();
                let turn = claims.turn();
                let seen = neighbours(&claims);
                let cpu = (0..).find(|cpu| !seen.iter().any(|other| other.cpus.contains(*cpu))).unwrap();
                let _claim = claims.claim(&says(job as u8, &[cpu])).unwrap();
                drop(turn);
                end.wait();
                cpu
            })
        };
        let threads: Vec<_> = (0..count).map(each).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..count as u32).collect::<Vec<_>>());
}
