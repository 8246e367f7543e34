//! Programs, as far as they are read to find out whether they are MPI's.

// Private to dcrun, which is no library: the one file is built here too.
#[path = "../../../../dcrun/src/setup/mpi/elf.rs"]
mod elf_file;

pub fn elf(data: &[u8]) {
    let facts = elf_file::facts(data);
    let _ = elf_file::defines(data, &["MPI_Init", "MPI_Init_thread"]);
    let Some(facts) = facts else { return };
    let names = [&facts.needed, &facts.rpath, &facts.runpath];
    assert!(names.iter().all(|names| names.iter().all(|name| !name.contains('\0'))));
    assert!(facts.needed.len() <= 256 && data.starts_with(b"\x7fELF"));
}

/// A small program of 64 bits that needs one library and has a run path, and its start alone.
pub fn elves() -> Vec<Vec<u8>> {
    const PROGRAM_AT: u64 = 64;
    const DYNAMIC_AT: u64 = PROGRAM_AT + 2 * 56;
    const STRINGS: &[u8] = b"\0libmpi.so.40\0/opt/lib:$ORIGIN\0";
    let dynamic: [(u64, u64); 6] =
        [(1, 1), (29, 14), (5, 0x400 + DYNAMIC_AT + 96), (10, STRINGS.len() as u64), (15, 14), (0, 0)];
    let end = DYNAMIC_AT + 96 + STRINGS.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([3u8, 0, 62, 0, 1, 0, 0, 0]);
    [0, PROGRAM_AT, 0].iter().for_each(|word: &u64| file.extend(word.to_le_bytes()));
    file.extend([0u8, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    for (kind, at, length) in [(1u32, 0, end), (2, DYNAMIC_AT, 96)] {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        [at, 0x400 + at, 0x400 + at, length, length, 8]
            .iter()
            .for_each(|w: &u64| file.extend(w.to_le_bytes()));
    }
    dynamic.iter().for_each(|(tag, value)| {
        file.extend(tag.to_le_bytes());
        file.extend(value.to_le_bytes());
    });
    file.extend(STRINGS);
    let facts = elf_file::facts(&file[..]).expect("it is read");
    assert_eq!(
        (&facts.needed[..], &facts.runpath[..]),
        (&["libmpi.so.40".to_owned()][..], &["/opt/lib".to_owned(), "$ORIGIN".to_owned()][..])
    );
    vec![file.clone(), file[..100].to_vec()]
}
