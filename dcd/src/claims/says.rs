//! What a claim says, and the text of its file. What is read may be anybody's: nothing in it is trusted.

use dc_model::{CpuSet, JobUuid};

/// The first line of a claim. Another version is another first line, and is passed over.
const HEADING: &str = "dc-claim 2";
/// The longest name of a job that a claim has, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Jobs around a job, at most; whoever nests deeper is told of the outermost ones.
pub const WITHIN_MAX: usize = 64;

/// What a dcrun says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Says {
    /// Its process, by its own namespace's number: for people, since a number of another namespace is somebody else.
    pub pid: u32,
    /// Its job.
    pub job: JobUuid,
    /// The job's name, cut to [`NAME_BYTES_MAX`].
    pub name: String,
    /// The jobs it runs inside of, the nearest first: those share their CPUs with it on purpose.
    pub within: Vec<JobUuid>,
    /// The CPUs it uses, by the host's numbers; none where its ranks are not bound.
    pub cpus: CpuSet,
}

/// The file's text.
pub(super) fn show(says: &Says) -> String {
    let within: Vec<String> = says.within.iter().take(WITHIN_MAX).map(JobUuid::to_string).collect();
    let Says { pid, job, name, cpus, .. } = says;
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name[..end].replace('\n', " ");
    format!("{HEADING}\npid {pid}\njob {job}\nname {name}\nwithin {}\ncpus {cpus}\n", within.join(","))
}

/// Reads what [`show`] writes; anything else is nobody's claim.
pub(super) fn parse(text: &str) -> Option<Says> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next() != Some(HEADING) {
        return None;
    }
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let pid = field("pid")?.parse().ok()?;
    let job = JobUuid::parse(field("job")?)?;
    let name = field("name").filter(|name| name.len() <= NAME_BYTES_MAX)?.to_owned();
    let within = field("within")?;
    let within = within.split(',').filter(|uuid| !uuid.is_empty());
    let within = within.take(WITHIN_MAX + 1).map(JobUuid::parse).collect::<Option<Vec<_>>>()?;
    let cpus = CpuSet::parse(field("cpus")?)?;
    let is_whole = lines.next().is_none() && within.len() <= WITHIN_MAX;
    is_whole.then_some(Says { pid, job, name, within, cpus })
}
