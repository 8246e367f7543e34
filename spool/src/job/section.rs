//! The sections a job record's payload is made of: tag, length, bytes. A section whose tag has the highest bit set may
//! be passed over by who does not know it; any other must be known.

use dc_model::codec::{DecodeError, Reader, Writer};

/// Tags from here on may be passed over.
pub(super) const OPTIONAL: u16 = 0x8000;

/// Appends a section.
pub(super) fn put(w: &mut Writer, tag: u16, body: impl FnOnce(&mut Writer)) {
    w.u16(tag);
    w.u16(0);
    let at = w.bytes.len();
    w.u32(0);
    body(w);
    let len = w.bytes.len() - at - 4;
    // A longer record is refused as a whole before it is written.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    if let Some(field) = w.bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&len.to_le_bytes());
    }
}

/// Goes through the sections, whose tags must rise, and gives each to `take`; an unknown one is an error, unless it
/// may be passed over.
pub(super) fn each<'a>(
    payload: &'a [u8],
    mut take: impl FnMut(u16, &mut Reader<'a>) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let mut r = Reader::new(payload);
    let mut last = 0;
    while !r.rest().is_empty() {
        let tag = r.u16()?;
        if r.u16()? != 0 || tag <= last {
            return Err(DecodeError::Impossible("section"));
        }
        last = tag;
        let mut body = Reader::new(r.bytes()?);
        let known = take(tag, &mut body)?;
        if known {
            body.end()?;
        } else if tag < OPTIONAL {
            return Err(DecodeError::Unknown("section"));
        }
    }
    Ok(())
}
