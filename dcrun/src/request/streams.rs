//! What is asked for of the ranks' streams: `-o`, `-e`, `-i`, `-u`, `--result`.

use super::{Merge, RequestError, digits};
use crate::cli::Cli;
use dc_model::pattern::Pattern;
use dc_spool::job::{Found, InputFrom, OutputTo, StreamOptions};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The word that stands for no file.
const NONE: &[u8] = b"none";
const NULL: &[u8] = b"/dev/null";

/// Reads the options.
///
/// # Errors
/// When a pattern or a rank cannot be read, or two of them exclude each other.
pub(super) fn streams(cli: &Cli, merges: &[Merge]) -> Result<StreamOptions, RequestError> {
    let stdout = cli.output.as_ref().map(|given| output("-o", given)).transpose()?;
    let stderr = cli.error.as_ref().map(|given| output("-e", given)).transpose()?;
    let result_stdout = cli.result.is_some();
    if result_stdout && stdout.is_some() {
        return Err(RequestError::ResultIsNoFile);
    }
    if result_stdout && merges.iter().any(|merge| merge.kind.is_grid()) {
        return Err(RequestError::ResultIsNoGrid);
    }
    let stdin = cli.input.as_ref().map(input).transpose()?.unwrap_or_default();
    let is_list = cli.subtasks.as_ref().is_some_and(|file| file.as_os_str() == "-");
    let stdin = match stdin {
        InputFrom::Default if is_list => InputFrom::Nowhere,
        InputFrom::Own(_) | InputFrom::OwnForAll if is_list => return Err(RequestError::InputIsList),
        stdin => stdin,
    };
    Ok(StreamOptions {
        // As in srun: both go into the one file.
        stderr: stderr.or_else(|| stdout.clone()),
        stdout,
        stdin,
        found: Found::Nothing,
        unbuffered: cli.unbuffered,
        result_stdout,
    })
}

fn pattern(option: &'static str, given: &OsString) -> Result<Vec<u8>, RequestError> {
    let bad = |why| RequestError::Pattern { option, given: given.to_string_lossy().into_owned(), why };
    Pattern::parse(given.as_bytes()).map_err(bad)?;
    Ok(given.as_bytes().to_vec())
}

fn output(option: &'static str, given: &OsString) -> Result<OutputTo, RequestError> {
    match given.as_bytes() {
        NONE | NULL => Ok(OutputTo::Nowhere),
        _ => Ok(OutputTo::File(pattern(option, given)?)),
    }
}

fn input(given: &OsString) -> Result<InputFrom, RequestError> {
    let number = given.to_str().and_then(digits);
    match (given.as_bytes(), number) {
        (NONE | NULL, _) => Ok(InputFrom::Nowhere),
        (b"all", _) => Ok(InputFrom::OwnForAll),
        (_, Some(rank)) if rank < u64::from(super::COUNT_MAX) => Ok(InputFrom::Own(rank as u32)),
        (_, Some(_)) => Err(RequestError::InputRank { given: given.to_string_lossy().into_owned() }),
        _ => Ok(InputFrom::File(pattern("-i", given)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn asked(line: &str) -> Result<StreamOptions, RequestError> {
        let words = std::iter::once("dcrun").chain(line.split_whitespace());
        streams(&Cli::try_parse_from(words).unwrap(), &[])
    }

    fn file(name: &str) -> Option<OutputTo> {
        Some(OutputTo::File(name.into()))
    }

    #[test]
    fn output_and_error() {
        let both = |line| asked(line).map(|s| (s.stdout, s.stderr)).unwrap();
        assert_eq!(both("k"), (None, None));
        assert_eq!(both("-o o.%t k"), (file("o.%t"), file("o.%t")), "both into the one");
        assert_eq!(both("-o o -e e k"), (file("o"), file("e")));
        assert_eq!(both("-e e k"), (None, file("e")));
        assert_eq!(both("-o none -e /dev/null k"), (Some(OutputTo::Nowhere), Some(OutputTo::Nowhere)));
        assert!(matches!(asked("-o o.%q k"), Err(RequestError::Pattern { option: "-o", .. })));
        assert!(matches!(asked("-e e% k"), Err(RequestError::Pattern { option: "-e", .. })));
    }

    #[test]
    fn input() {
        let of = |line| asked(line).map(|s| s.stdin);
        assert_eq!(of("k"), Ok(InputFrom::Default));
        assert_eq!(of("-i none k"), Ok(InputFrom::Nowhere));
        assert_eq!(of("-i0 k"), Ok(InputFrom::Own(0)));
        assert_eq!(of("-i all k"), Ok(InputFrom::OwnForAll));
        assert_eq!(of("-i ./12 k"), Ok(InputFrom::File(b"./12".to_vec())));
        assert_eq!(of("--input=in.%2T k"), Ok(InputFrom::File(b"in.%2T".to_vec())));
        assert!(matches!(of("-i 99999999999999999999 k"), Err(RequestError::InputRank { .. })));
        assert!(matches!(of("-i in.%z k"), Err(RequestError::Pattern { option: "-i", .. })));
    }

    #[test]
    fn a_result_is_shown_nowhere_else() {
        assert!(asked("--result stdout -e e k").unwrap().result_stdout);
        assert_eq!(asked("--result stdout -o o k"), Err(RequestError::ResultIsNoFile));
    }
}
