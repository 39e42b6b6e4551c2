//! Labelling the whole graph, in a process of its own, so that its memory can be told.

use super::AnyError;
use exports::newest;
use object_store::{ObjectStore, local::LocalFileSystem};
use ports::ring_names::NamesInBook;
use relations::{Labels, differences};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Took {
    pub applications: usize,
    pub nodes: usize,
    pub edges: usize,
    pub rings: usize,
    pub largest: usize,
    pub suspicious: usize,
    pub sightings: usize,
    /// Seconds.
    pub read: f64,
    pub label: f64,
    pub compare: f64,
    /// Most memory that the process ever held.
    pub peak_kb: u64,
}

/// Does it here, and tells in a line.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
pub(super) async fn label(exports: &Path, out: &mut impl Write) -> Result<(), AnyError> {
    let bucket: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(exports)?);
    let arn = crate::engines::table_arn(&crate::template::local_name("Relations"));
    let labels = Labels::in_force()?;
    let started = Instant::now();
    let export = newest(&*bucket, &arn).await?.ok_or("there is no export")?;
    let whole = label_rings::read_graph(&bucket, &export).await?;
    let read = started.elapsed().as_secs_f64();
    let none = BTreeMap::new();
    let labelled = whole.label(&none, &labels)?;
    let label = started.elapsed().as_secs_f64() - read;
    let at = export.summary.export_time;
    let found = differences(&whole, &labelled, (&none, &labels), &NamesInBook::default(), at);
    let took = Took {
        applications: whole.applications(),
        nodes: whole.nodes(),
        edges: whole.edges(),
        rings: labelled.rings,
        largest: labelled.largest,
        suspicious: labelled.suspicious.len(),
        sightings: found.sightings.len(),
        read,
        label,
        compare: started.elapsed().as_secs_f64() - read - label,
        peak_kb: peak_kb(),
    };
    Ok(writeln!(out, "{}", serde_json::to_string(&took)?)?)
}

/// 0 where the system does not tell.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Lets a process of its own do it.
pub(super) fn measure(exports: &Path) -> Result<Took, AnyError> {
    let this = std::env::current_exe()?;
    let told = Command::new(this)
        .args(["bench", "rings", "--label"])
        .arg(exports)
        .stderr(Stdio::inherit())
        .output()?;
    if !told.status.success() {
        return Err("labelling the whole graph failed".into());
    }
    Ok(serde_json::from_slice(&told.stdout)?)
}
