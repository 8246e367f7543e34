//! `--bcast`: files are given to the job's nodes before it is submitted, and named by their content in its environment.

use super::peer::Nodes;
use super::{ClusterError, Target};
use crate::words;
use dc_model::cluster::data::NodeAddress;
use dc_model::cluster::files::{FILES_MAX, JobFile, VARIABLE, is_name, write};
use dc_model::cluster::{NodeRow, NodeState, NodeWants};
use dc_model::exit;
use dc_spool::files::shown;
use dc_spool::job::JobRecord;
use dcd::peer::broadcast::push::{broadcast, content};
use std::path::{Path, PathBuf};

fn refused(text: String) -> ClusterError {
    ClusterError::Refused { status: exit::DC_ERROR, text: format!("--bcast: {text}") }
}

/// Gives these files to the nodes that the job may run on, and names them in its record. A node that does not take one
/// now asks the others for it when the job comes there; that is no error, and is told.
///
/// # Errors
/// When a file cannot be read, or no node takes it.
pub fn hand_out(
    files: &[PathBuf],
    cwd: &Path,
    record: &mut JobRecord,
    wants: &NodeWants,
    rows: &[NodeRow],
    target: &Target,
) -> Result<(), ClusterError> {
    if files.is_empty() {
        return Ok(());
    }
    if files.len() > FILES_MAX {
        return Err(refused(format!("{} files are more than a job has ({FILES_MAX})", files.len())));
    }
    let rows: Vec<&NodeRow> = rows.iter().filter(|row| may_run(row, wants)).collect();
    let addresses: Vec<NodeAddress> = rows
        .iter()
        .map(|row| NodeAddress {
            name: row.name.clone(),
            address: row.address.clone(),
            fingerprint: row.fingerprint.clone(),
        })
        .collect();
    let way = Nodes::of(target, |_| {})?;
    let dial = |node: &NodeAddress| {
        let row = rows.iter().find(|row| row.name == node.name)?;
        way.at(row).ok()
    };
    let mut list: Vec<JobFile> = Vec::new();
    for path in files {
        let path = cwd.join(path);
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
        let name = name.ok_or_else(|| refused(format!("{} is no name for a file on nodes", shown(&path))))?;
        if list.iter().any(|file| file.name == name) {
            return Err(refused(format!("two files are called {}", shown(Path::new(name)))));
        }
        let what = content(&path).map_err(|error| refused(error.to_string()))?;
        let failed = broadcast(&path, what, &addresses, dial).map_err(|error| refused(error.to_string()))?;
        for (node, why) in failed {
            words::say(&format!("--bcast {}: not on {node} yet: {why}", shown(Path::new(name))));
        }
        list.push(JobFile {
            hash: what.hash,
            is_kernel: is_same(&path, &record.kernel.path),
            name: name.to_owned(),
        });
    }
    record.env.push(format!("{VARIABLE}={}", write(&list)).into_bytes());
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((std::fs::canonicalize(a), std::fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

fn may_run(row: &NodeRow, wants: &NodeWants) -> bool {
    let is_there = !row.address.is_empty() && !matches!(row.state, NodeState::Suspect | NodeState::Lost);
    is_there && (wants.only.is_empty() || wants.only.contains(&row.name)) && !wants.except.contains(&row.name)
}
