//! SHA-256 of what comes in pieces, for names of contents that nobody can make two of.

/// See the module.
#[derive(Clone)]
pub struct Sha256(ring::digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl Sha256 {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// All of it.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        let digest = self.0.finish();
        out.iter_mut().zip(digest.as_ref()).for_each(|(out, byte)| *out = *byte);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_value_however_it_is_cut() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for cut in 1..=3 {
            let mut digest = Sha256::default();
            b"abc".chunks(cut).for_each(|piece| digest.update(piece));
            assert_eq!(hex(digest.finish()), published);
        }
    }
}
