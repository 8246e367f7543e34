//! A domain's file piece by piece: a mask of a billion truth values needs no more memory than its bits.

use super::npy::Decoder;
use super::{Domain, DomainError, Meaning, netpbm};
use crate::npy::MAGIC;

/// Takes the bytes of a file as they come, and makes a domain of them.
#[derive(Debug)]
pub struct DomainReader {
    meaning: Meaning,
    /// Of the whole file.
    len_bytes: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// All there was so far: too little to tell the format, or a format that is read whole.
    Whole(Vec<u8>),
    Npy(Box<Decoder>),
}

impl DomainReader {
    /// For a file of `len_bytes`, which all pieces together must have: sizes are compared before anything is allocated.
    #[must_use]
    pub fn new(meaning: Meaning, len_bytes: u64) -> Self {
        Self { meaning, len_bytes, state: State::Whole(Vec::new()) }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with them, as far as that can be told already.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DomainError> {
        let State::Whole(whole) = &mut self.state else {
            let State::Npy(decoder) = &mut self.state else { return Ok(()) };
            return decoder.push(bytes);
        };
        if whole.is_empty() && bytes.first() != MAGIC.first() {
            let len = usize::try_from(self.len_bytes).unwrap_or(usize::MAX);
            whole.try_reserve_exact(len).map_err(|_| DomainError::Memory { bytes: self.len_bytes })?;
        }
        if whole.len() + bytes.len() < MAGIC.len() || !is_npy(whole, bytes) {
            whole.extend_from_slice(bytes);
            return Ok(());
        }
        let begin = std::mem::take(whole);
        let mut decoder = Box::new(Decoder::new(self.meaning, self.len_bytes));
        decoder.push(&begin)?;
        decoder.push(bytes)?;
        self.state = State::Npy(decoder);
        Ok(())
    }

    /// The domain, after the last bytes.
    ///
    /// # Errors
    /// What is wrong with the file as a whole.
    pub fn finish(self) -> Result<Domain, DomainError> {
        match self.state {
            State::Whole(bytes) => netpbm::read(bytes, self.meaning),
            State::Npy(decoder) => decoder.finish(),
        }
    }
}

/// Whether two pieces together begin as an `.npy` file does. Only the first few bytes are ever in question.
fn is_npy(first: &[u8], then: &[u8]) -> bool {
    first.len() < MAGIC.len() && first.iter().chain(then).zip(MAGIC).all(|(found, wanted)| found == wanted)
}
