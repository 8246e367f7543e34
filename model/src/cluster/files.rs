//! Which files a job's nodes are to have: they stand in its environment as [`VARIABLE`], so that a node that comes to the job
//! later knows of them too.
//!
//! `HASH:KIND:NAME`, several separated by `/`: SHA-256 in 64 hexadecimal digits in lower case, `f` for a file or `k` for the
//! kernel itself, and a name without a slash.

use std::fmt::Write;

/// The variable with the list.
pub const VARIABLE: &str = "DC_BCAST_FILES";
/// The variable with the directory that they are in, as ranks see it.
pub const DIR_VARIABLE: &str = "DC_BCAST_DIR";
/// The most files of a job.
pub const FILES_MAX: usize = 1024;

/// A file that a job's nodes are to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFile {
    /// SHA-256 of its content.
    pub hash: [u8; 32],
    /// It is the job's kernel.
    pub is_kernel: bool,
    /// Its name in the directory.
    pub name: String,
}

/// A content's name.
#[must_use]
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    for (out, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *out = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
    }
    Some(out)
}

/// Whether a file may have this name: one component, not a temporary one.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_dots = name == "." || name == "..";
    !name.is_empty()
        && name.len() <= 255
        && !is_dots
        && !name.contains(['/', '\0'])
        && !name.starts_with(".tmp-")
}

/// The variable's value.
#[must_use]
pub fn write(files: &[JobFile]) -> String {
    let one = |file: &JobFile| {
        format!("{}:{}:{}", hex(&file.hash), if file.is_kernel { 'k' } else { 'f' }, file.name)
    };
    files.iter().map(one).collect::<Vec<_>>().join("/")
}

/// Reads it; `None` when it is not one.
#[must_use]
pub fn read(text: &str) -> Option<Vec<JobFile>> {
    let files: Vec<JobFile> = text
        .split('/')
        .map(|one| {
            let (hash, rest) = one.split_once(':')?;
            let (kind, name) = rest.split_once(':')?;
            let is_kernel = match kind {
                "k" => true,
                "f" => false,
                _ => return None,
            };
            is_name(name).then_some(())?;
            Some(JobFile { hash: unhex(hash)?, is_kernel, name: name.to_owned() })
        })
        .take(FILES_MAX + 1)
        .collect::<Option<_>>()?;
    (files.len() <= FILES_MAX).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let file = |name: &str, is_kernel| JobFile { hash: [0xa7; 32], is_kernel, name: name.to_owned() };
        let files = vec![file("mask: v2.nc", false), file("k", true)];
        assert_eq!(read(&write(&files)), Some(files));
        let hash = "a7".repeat(32);
        for bad in [
            String::new(),
            format!("{hash}:f:"),
            format!("{hash}:f:.."),
            format!("{hash}:f:../../etc/passwd"),
            format!("{hash}:x:a"),
            format!("{hash}:f"),
            format!("{}:f:a", &hash[1..]),
            format!("{}:f:a", hash.to_uppercase()),
            format!("{hash}:f:.tmp-1"),
            format!("{hash}:f:{}", "n".repeat(256)),
            format!("{hash}:f:a/"),
            vec![format!("{hash}:f:a"); FILES_MAX + 1].join("/"),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
