//! In which order ranks are spread over the NUMA domains of a node, and Slurm's spelling of it.

/// How ranks are spread over the NUMA domains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Distribution {
    /// By cost: heavy subtasks apart, the least loaded domain first.
    #[default]
    Cost = 0,
    /// By rank: one domain is filled after another.
    Block = 1,
    /// By rank: to each domain in turn, those of different packages first.
    Cyclic = 2,
}

/// Why a text says no distribution.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DistributionError {
    /// Another word.
    #[error("give block, cyclic or cost")]
    Word,
    /// One that needs the hand of the user.
    #[error("say which rank gets which CPU with --bind map_cpu:LIST")]
    Arbitrary,
    /// Blocks of n ranks over nodes.
    #[error(
        "planes are for several nodes; here give block or cyclic, or --bind map_cpu:LIST for an order of your own"
    )]
    Plane,
    /// A level below the domain.
    #[error(
        "how a rank's cores are chosen within a domain cannot be said: give block:block or block:cyclic at most"
    )]
    TooFine,
}

/// Reads `block`, `cyclic`, `cost`, and Slurm's two levels `NODES:SOCKETS`: of those only the second has a meaning on
/// one node. `*` is the default.
///
/// # Errors
/// What is not understood or has no meaning here, and what to say instead.
pub fn parse(text: &str) -> Result<Distribution, DistributionError> {
    let text = text.to_ascii_lowercase();
    let mut levels = text.split(':');
    let nodes = level(levels.next().unwrap_or_default())?;
    let sockets = levels.next().map(level).transpose()?;
    if levels.next().is_some() {
        return Err(DistributionError::TooFine);
    }
    match sockets {
        // `cost` is a word of its own; there are no two levels of it.
        Some(_) if text.contains("cost") => Err(DistributionError::Word),
        Some(sockets) => Ok(sockets),
        None => Ok(nodes),
    }
}

fn level(word: &str) -> Result<Distribution, DistributionError> {
    match word {
        "block" => Ok(Distribution::Block),
        "cyclic" => Ok(Distribution::Cyclic),
        "cost" | "*" => Ok(Distribution::Cost),
        "arbitrary" => Err(DistributionError::Arbitrary),
        "fcyclic" => Err(DistributionError::TooFine),
        word if word.starts_with("plane") => Err(DistributionError::Plane),
        word if word.contains(',') => Err(DistributionError::TooFine),
        _ => Err(DistributionError::Word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Distribution::{Block, Cost, Cyclic};

    #[test]
    fn words_and_levels() {
        for (text, wanted) in [
            ("block", Block),
            ("cyclic", Cyclic),
            ("cost", Cost),
            ("*", Cost),
            ("Block:Cyclic", Cyclic),
            ("cyclic:block", Block),
            ("*:block", Block),
            ("block:*", Cost),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        for (text, wanted) in [
            ("", DistributionError::Word),
            ("blok", DistributionError::Word),
            ("cost:block", DistributionError::Word),
            ("plane=4", DistributionError::Plane),
            ("arbitrary", DistributionError::Arbitrary),
            ("block:fcyclic", DistributionError::TooFine),
            ("block:block:cyclic", DistributionError::TooFine),
            ("block:block,pack", DistributionError::TooFine),
        ] {
            assert_eq!(parse(text), Err(wanted), "{text}");
        }
    }
}
