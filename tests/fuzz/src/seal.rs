//! Puts right checksums over wrong content: the only way to the decoders behind them. Written from
//! docs/spool-format.md and not from the spool's code, so that the page is held to the files too.

/// Where a header's length is, and its smallest.
const HEADER_LENGTH_AT: usize = 10;
const HEADER_BYTES: usize = 64;
const PAYLOAD_LENGTH_AT: usize = 48;
const PAYLOAD_CRC_AT: usize = 56;
/// A record of the journal: its header, and where its CRC is.
const FRAME_BYTES: usize = 32;
const FRAME_CRC_BEFORE_AT: usize = 24;
const FRAME_CRC_AT: usize = 28;

/// Makes payload length, payload CRC and header CRC of a record file right, whatever else it says.
pub fn record_file(file: &mut [u8]) {
    let Some(header) = header_bytes(file) else { return };
    let payload = &file[header..];
    let (len, crc) = (payload.len() as u64, crc32c::crc32c(payload));
    file[PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 8].copy_from_slice(&len.to_le_bytes());
    file[PAYLOAD_CRC_AT..PAYLOAD_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    seal_header(file, header);
}

/// Makes the header's CRC of a journal segment right, and those of the records in it, one after another by the lengths
/// they say. `crc` is that of the record before the segment; gives back that of its last.
pub fn segment(file: &mut [u8], mut crc: u32) -> u32 {
    let Some(header) = header_bytes(file) else { return crc };
    seal_header(file, header);
    let seed = crc32c::crc32c(&file[..header]);
    let mut at = header;
    while let Some(length) = file.get(at..at + 4) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(end) =
            length.checked_next_multiple_of(8).and_then(|padded| padded.checked_add(at + FRAME_BYTES))
        else {
            break;
        };
        if length == 0 || end > file.len() {
            break;
        }
        file[at + FRAME_CRC_BEFORE_AT..at + FRAME_CRC_AT].copy_from_slice(&crc.to_le_bytes());
        crc = crc32c::crc32c_append(seed, &file[at..at + FRAME_CRC_AT]);
        crc = crc32c::crc32c_append(crc, &file[at + FRAME_BYTES..end]);
        file[at + FRAME_CRC_AT..at + FRAME_BYTES].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    crc
}

/// Makes the last four bytes the CRC of all before them, as a cost file has it.
pub fn tail(file: &mut [u8]) {
    if let Some((content, crc)) = file.split_last_chunk_mut::<4>() {
        *crc = crc32c::crc32c(content).to_le_bytes();
    }
}

fn header_bytes(file: &[u8]) -> Option<usize> {
    let length = file.get(HEADER_LENGTH_AT..HEADER_LENGTH_AT + 2)?;
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    (length >= HEADER_BYTES && length <= file.len()).then_some(length)
}

fn seal_header(file: &mut [u8], header: usize) {
    let crc = crc32c::crc32c(&file[..header - 4]);
    file[header - 4..header].copy_from_slice(&crc.to_le_bytes());
}
