//! The file of a rank's subtasks, where it has more than one: a line each, as dc-kernel(7) says.

use crate::starter::env::Origin;
use dc_model::wire::Launch;
use std::os::unix::ffi::OsStrExt;

/// The line of one subtask: number, cells, block or `-`, checkpoint or `-`, then its arguments, with tabs between.
pub fn line(launch: &Launch, origin: Option<&Origin>) -> Vec<u8> {
    let block = launch.block.map_or("-".to_owned(), |block| block.to_string());
    let mut line = format!("{}\t{}\t{block}\t", launch.subtask, launch.cells).into_bytes();
    match origin {
        Some(origin) => escape(origin.path.as_os_str().as_bytes(), &mut line),
        None => line.push(b'-'),
    }
    for arg in &launch.args {
        line.push(b'\t');
        escape(arg, &mut line);
    }
    line.push(b'\n');
    line
}

fn escape(text: &[u8], line: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\t' => line.extend(b"\\t"),
            b'\n' => line.extend(b"\\n"),
            b'\\' => line.extend(b"\\\\"),
            other => line.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::{Attempt, Block, CpuSet, Rank, SubtaskId};

    #[test]
    fn a_line_is_one_line() {
        let launch = Launch {
            subtask: SubtaskId(3),
            attempt: Attempt(1),
            rank: Rank(0),
            cpus: CpuSet::new(),
            cores: 1,
            numa: None,
            cells: 9,
            block: Some(Block { x0: 0, y0: 1, x1: 2, y1: 3 }),
            args: vec![b"a\tb\n".to_vec(), b"c\\".to_vec()],
            before: None,
            after: None,
        };
        assert_eq!(line(&launch, None), b"3\t9\t0 1 2 3\t-\ta\\tb\\n\tc\\\\\n");
    }
}
