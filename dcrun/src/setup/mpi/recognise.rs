//! Which MPI a kernel was linked with, as its ELF file tells. A script is not recognised, nor is a program that loads
//! its MPI by itself: the user says it then.

use super::elf::{defines, facts};
use super::libraries::Libraries;
use dc_model::MpiFamily;
use object::ReadCache;
use std::fs::File;
use std::path::Path;

/// What a kernel is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Not known to be an MPI program.
    Plain,
    /// An MPI program that can be launched.
    Mpi {
        /// Whose.
        family: MpiFamily,
        /// The library that told, or the function where it is linked in.
        by: String,
    },
    /// An MPI program of which nobody here knows how to launch it.
    Foreign {
        /// The library that told.
        by: String,
    },
}

/// What one library's name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Family(MpiFamily),
    /// `libmpi.so.12`: MPICH's in general, and that of an Open MPI of before 2016.
    Twelve,
    Foreign,
}

/// Looks into the kernel's file. `library_path` is the kernel's `LD_LIBRARY_PATH`.
#[must_use]
pub fn recognise(program: &Path, library_path: &str) -> Kind {
    let Ok(file) = File::open(program) else { return Kind::Plain };
    let data = ReadCache::new(file);
    let Some(own) = facts(&data) else { return Kind::Plain };
    let mut libraries = Libraries::new(library_path);
    if let Some((says, by)) = libraries.find(program, &own, says) {
        return match says {
            Says::Family(family) => Kind::Mpi { family, by },
            Says::Foreign => Kind::Foreign { by },
            Says::Twelve => {
                let needed = libraries.facts_of(&by, program, &own).map(|facts| facts.needed);
                let is_open =
                    needed.is_some_and(|needed| needed.iter().any(|name| name.starts_with("libopen-")));
                let family = if is_open { MpiFamily::OpenMpi } else { MpiFamily::Mpich };
                Kind::Mpi { family, by }
            }
        };
    }
    // Linked in: the first two are what only one of the families has.
    match defines(&data, &["MPI_Init"]) {
        None => Kind::Plain,
        Some(by) => {
            let family = match defines(&data, &["ompi_mpi_init", "MPIR_Init_thread_impl", "MPID_Init"]) {
                Some("ompi_mpi_init") => Some(MpiFamily::OpenMpi),
                Some(_) => Some(MpiFamily::Mpich),
                None => None,
            };
            let by = format!("{by} linked in");
            family.map_or(Kind::Foreign { by: by.clone() }, |family| Kind::Mpi { family, by })
        }
    }
}

fn says(name: &str) -> Option<Says> {
    let (stem, version) = name.split_once(".so")?;
    let major = version.trim_start_matches('.').split('.').next().unwrap_or_default();
    let open = Some(Says::Family(MpiFamily::OpenMpi));
    let mpich = Some(Says::Family(MpiFamily::Mpich));
    match stem {
        "libmpi" => match major {
            "12" => Some(Says::Twelve),
            "0" | "1" | "20" | "40" | "80" => open,
            _ => Some(Says::Foreign),
        },
        "libmpich" | "libmpichf90" | "libmpichcxx" | "libmpifort" | "libmpicxx" | "libmpigf" => mpich,
        "libmpi_mpifh" | "libmpi_cxx" | "libmpi_java" | "libmpi_f77" | "libmpi_f90" => open,
        "libmpitrampoline" | "libmpiwrapper" => Some(Says::Foreign),
        _ if stem.starts_with("libmpi_usempi") => open,
        // Cray's, the standard's own ABI, and others: names of the same kind, launched in ways of their own.
        _ if stem.starts_with("libmpi_") => Some(Says::Foreign),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_family() {
        let open = Some(Says::Family(MpiFamily::OpenMpi));
        let mpich = Some(Says::Family(MpiFamily::Mpich));
        for (name, wanted) in [
            ("libmpi.so.40", open),
            ("libmpi.so.40.30.4", open),
            ("libmpi.so.20", open),
            ("libmpi_mpifh.so.40", open),
            ("libmpi_usempif08.so.40", open),
            ("libmpich.so.12", mpich),
            ("libmpifort.so.12", mpich),
            ("libmpi.so.12", Some(Says::Twelve)),
            ("libmpi.so", Some(Says::Foreign)),
            ("libmpi_cray.so.12", Some(Says::Foreign)),
            ("libmpi_abi.so.1", Some(Says::Foreign)),
            ("libmpiP.so", None),
            ("libc.so.6", None),
            ("libmpdec.so.3", None),
            ("libmpi", None),
        ] {
            assert_eq!(says(name), wanted, "{name}");
        }
    }

    /// The test's own file: an ELF file that is no MPI program, whole, cut anywhere, and with any bit of its headers
    /// turned over.
    #[test]
    fn whatever_a_file_holds_it_is_looked_at_without_harm() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(recognise(&own, ""), Kind::Plain);
        let bytes = std::fs::read(&own).unwrap();
        let needed = facts(&bytes[..]).unwrap().needed;
        assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
        let head = bytes.len().min(1 << 16);
        for len in (0..head).step_by(37) {
            let _ = facts(&bytes[..len]);
            let _ = defines(&bytes[..len], &["MPI_Init"]);
        }
        let mut damaged = bytes[..head].to_vec();
        for at in 0..0x400.min(head) {
            for bit in 0..8 {
                damaged[at] ^= 1 << bit;
                let _ = facts(&damaged[..]);
                let _ = defines(&damaged[..], &["MPI_Init"]);
                damaged[at] ^= 1 << bit;
            }
        }
        // The dynamic section and what it points to, in a file whose headers are sound.
        let mut whole = bytes;
        let mut at = 0x400;
        while at < whole.len() {
            whole[at] ^= 0xff;
            if at % 64 == 0 {
                let _ = facts(&whole[..]);
            }
            at += (whole.len() / 20_000).max(1);
        }
    }
}
