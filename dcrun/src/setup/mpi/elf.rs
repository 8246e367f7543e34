//! What an ELF file says of the libraries it needs. Headers and the dynamic section only; the symbol table is looked at
//! where no library tells. Whatever a file holds: it is read in bounds, or it says nothing.

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, FileKind, ReadRef};

/// Libraries of one file that are looked at.
const NEEDED_MAX: usize = 256;
/// The longest table of strings that is read, in bytes.
const STRINGS_BYTES_MAX: u64 = 64 << 20;
/// Entries of a dynamic section that are looked at.
const DYNAMIC_MAX: usize = 4096;

/// What a program or a library says of itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// Whether it is a 64-bit file.
    pub is_64: bool,
    /// The names of the libraries it needs.
    pub needed: Vec<String>,
    /// Where it wants them looked for, before anything else. Only without a run path.
    pub rpath: Vec<String>,
    /// Where it wants them looked for.
    pub runpath: Vec<String>,
}

/// Reads the facts; `None` where it is no ELF file, or one that cannot be read.
pub fn facts<'d, R: ReadRef<'d>>(data: R) -> Option<Facts> {
    match FileKind::parse(data).ok()? {
        FileKind::Elf32 => read::<FileHeader32<Endianness>, R>(data),
        FileKind::Elf64 => read::<FileHeader64<Endianness>, R>(data),
        _ => None,
    }
}

/// Whether one of these functions is defined in the file itself; the first that is.
pub fn defines<'d, R: ReadRef<'d>>(data: R, names: &[&'static str]) -> Option<&'static str> {
    match FileKind::parse(data).ok()? {
        FileKind::Elf32 => symbols::<FileHeader32<Endianness>, R>(data, names),
        FileKind::Elf64 => symbols::<FileHeader64<Endianness>, R>(data, names),
        _ => None,
    }
}

fn read<'d, E: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(data: R) -> Option<Facts> {
    let header = E::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let mut facts = Facts { is_64: header.is_type_64(), ..Facts::default() };
    // A program without one is linked statically.
    let Some(dynamic) = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten())
    else {
        return Some(facts);
    };
    let entries = || {
        let some = dynamic.iter().take(DYNAMIC_MAX).map(|entry| {
            let value: u64 = entry.d_val(endian).into();
            (Into::<u64>::into(entry.d_tag(endian)), value)
        });
        some.take_while(|(tag, _)| *tag != u64::from(elf::DT_NULL))
    };
    let value = |wanted: u32| entries().find(|(tag, _)| *tag == u64::from(wanted)).map(|(_, value)| value);
    let (address, size) = (value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?.min(STRINGS_BYTES_MAX));
    let strings =
        segments.iter().find_map(|segment| segment.data_range(endian, data, address, size).ok().flatten())?;
    let text = |offset: u64| string(strings, offset);
    for (tag, offset) in entries() {
        match u32::try_from(tag) {
            Ok(elf::DT_NEEDED) if facts.needed.len() < NEEDED_MAX => facts.needed.extend(text(offset)),
            Ok(elf::DT_RPATH) => facts.rpath = text(offset).map(paths).unwrap_or_default(),
            Ok(elf::DT_RUNPATH) => facts.runpath = text(offset).map(paths).unwrap_or_default(),
            _ => {}
        }
    }
    Some(facts)
}

fn string(strings: &[u8], offset: u64) -> Option<String> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let len = rest.iter().take(4096).position(|byte| *byte == 0)?;
    String::from_utf8(rest[..len].to_vec()).ok()
}

fn paths(text: String) -> Vec<String> {
    text.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn symbols<'d, E: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
    data: R,
    names: &[&'static str],
) -> Option<&'static str> {
    let header = E::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let table = sections.symbols(endian, data, elf::SHT_SYMTAB).ok()?;
    // At once: a name at a time, straight from the file, is two system calls a symbol.
    let strings = sections.section(table.string_section()).ok()?;
    let strings = match strings.sh_size(endian).into() {
        0..=STRINGS_BYTES_MAX => strings.data(endian, data).ok()?,
        _ => return None,
    };
    table.iter().find_map(|symbol| {
        let is_defined = symbol.st_shndx(endian) != elf::SHN_UNDEF && symbol.st_type() == elf::STT_FUNC;
        let at = is_defined.then(|| symbol.st_name(endian) as usize)?;
        let name = strings.get(at..)?.split(|byte| *byte == 0).next()?;
        names.iter().copied().find(|wanted| wanted.as_bytes() == name)
    })
}
