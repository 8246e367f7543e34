//! Lists as JSON lines: an object a line with name and cells, and cores, mem and args where they are needed.

use super::table::{self, Row, Table};
use super::{ListError, ListProblem};
use dc_model::Subtask;
use serde::Deserialize;
use serde_json::Value;

/// An object as it stands in a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    name: String,
    cells: u64,
    #[serde(default)]
    cores: Option<u32>,
    #[serde(default)]
    mem: Option<Value>,
    #[serde(default)]
    args: Vec<String>,
}

/// Reads a whole list.
pub(super) fn read(bytes: &[u8], default_cores: u32) -> Result<Vec<Subtask>, ListError> {
    let mut table = Table::new(default_cores);
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let added = subtask(text).and_then(|row| table.add(line, row));
        added.map_err(|problem| ListError::Line { line, problem })?;
    }
    table.finish()
}

fn subtask(text: &[u8]) -> Result<Row, ListProblem> {
    if text.trim_ascii_start().first() == Some(&b'[') {
        return Err(ListProblem::JsonArray);
    }
    let Object { name, cells, cores, mem, args } = serde_json::from_slice(text).map_err(|error| {
        let (said, column) = (error.to_string(), error.column());
        let place = format!(" at line {} column {column}", error.line());
        let why = said.strip_suffix(&place).unwrap_or(&said);
        ListProblem::Json { column, why: why.escape_debug().to_string() }
    })?;
    let name = table::name(name.as_bytes())?;
    let cores = cores.map(|n| table::cores(&name, n.to_string().as_bytes())).transpose()?;
    let mem_bytes = match mem {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) => table::mem_bytes(&name, text.as_bytes())?,
        Some(other) => table::mem_bytes(&name, other.to_string().as_bytes())?,
    };
    let args: Vec<Vec<u8>> = args.into_iter().map(String::into_bytes).collect();
    table::check_args(&name, &args)?;
    Ok(Row { name, cells, cores, mem_bytes, args })
}

/// Whether a text begins as an object or an array does, which no name does.
pub(super) fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}
