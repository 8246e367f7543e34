//! Prints a journal, one record a line, as far as it can be read. What records mean, the caller says.

use crate::identity;
use crate::read::{self, RecordRef, Tail};
use crate::segment::TYPE_EPOCH;
use crate::{StoreError, layout};
use dc_model::codec::Reader;
use dc_spool::files::{Dir, shown};
use dc_spool::journal::frame;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// What a record says, for people and programs.
#[derive(Clone, PartialEq, Debug)]
pub struct Described {
    /// Name of its type.
    pub name: String,
    /// What it holds, in order.
    pub fields: Vec<(String, Value)>,
}

/// Says what a record of the caller's types holds.
pub type Describer<'a> = &'a dyn Fn(u16, &[u8]) -> Described;

/// How a dump is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpFormat {
    /// One line of text a record.
    Text,
    /// One JSON object a line.
    Json,
}

/// A record of which only the bytes are known.
#[must_use]
pub fn undescribed(kind: u16, payload: &[u8]) -> Described {
    let hex = payload.iter().fold(String::with_capacity(payload.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let fields = vec![("bytes".into(), json!(payload.len())), ("hex".into(), json!(hex))];
    Described { name: format!("type-{kind}"), fields }
}

/// The store's own records.
fn own(payload: &[u8]) -> Option<Described> {
    let r = &mut Reader::new(payload);
    let (epoch, pid) = (r.u32().ok()?, r.u32().ok()?);
    r.end().ok()?;
    Some(Described {
        name: "epoch".into(),
        fields: vec![("epoch".into(), json!(epoch)), ("pid".into(), json!(pid))],
    })
}

/// Prints the newest snapshot's line and every record of the segments from it on, up to the first damage, which is then
/// given back.
///
/// # Errors
/// Outer: what writing to `out` failed with. Inner: why not all could be read.
pub fn dump(
    path: &Path,
    describe: Describer<'_>,
    format: DumpFormat,
    out: &mut dyn Write,
) -> io::Result<Result<Tail, StoreError>> {
    let opened = Dir::open(path).map_err(StoreError::from);
    let (dir, cluster) = match opened.and_then(|dir| identity(&dir).map(|cluster| (dir, cluster))) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    let found = read::read(&dir, cluster);
    if let Some(snapshot) = &found.snapshot {
        let (name, bytes, seq) =
            (layout::snapshot(snapshot.stands.number), snapshot.state.len(), snapshot.stands.seq);
        match format {
            DumpFormat::Text => writeln!(out, "{name}: {bytes} bytes of state after record {seq}")?,
            DumpFormat::Json => {
                let digest = format!("{:032x}", snapshot.digest);
                writeln!(out, "{}", json!({"snapshot": name, "bytes": bytes, "seq": seq, "digest": digest}))?;
            }
        }
    }
    for segment in &found.records.segments {
        for place in &segment.places {
            let bytes = segment.bytes.get(*place..).unwrap_or_default();
            let Some(frame) = frame::parse_within(segment.shared, crate::PAYLOAD_BYTES_MAX, bytes) else {
                continue;
            };
            let record = RecordRef {
                seq: frame.seq,
                epoch: segment.header.epoch,
                kind: frame.number,
                payload: frame.payload,
            };
            line(record, describe, format, out)?;
        }
    }
    Ok(found.error.map_or(Ok(found.tail), Err))
}

fn line(
    record: RecordRef<'_>,
    describe: Describer<'_>,
    format: DumpFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    let known = (record.kind == TYPE_EPOCH).then(|| own(record.payload)).flatten();
    let described = known.unwrap_or_else(|| describe(record.kind, record.payload));
    match format {
        DumpFormat::Text => {
            write!(out, "{} epoch={} {}", record.seq, record.epoch, shown(&described.name))?;
            for (name, value) in &described.fields {
                match value {
                    Value::String(text) => write!(out, " {}={}", shown(name), shown(text))?,
                    other => write!(out, " {}={}", shown(name), shown(&other.to_string()))?,
                }
            }
            writeln!(out)
        }
        DumpFormat::Json => {
            let fields: Map<String, Value> = described.fields.into_iter().collect();
            let object = json!({
                "seq": record.seq, "epoch": record.epoch, "type": record.kind, "name": described.name,
                "fields": fields,
            });
            writeln!(out, "{object}")
        }
    }
}
