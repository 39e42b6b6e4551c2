//! One start of one binary.

use super::AnyError;
use crate::{
    processes::{Running, find, peak_mb, processor_ms},
    runtime_api::{Moment, RuntimeApi},
};
use rustix::fs::{Advice, fadvise};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// No start may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Lambda binary with everything that it finds around it.
#[derive(Default)]
pub(super) struct Binary {
    pub name: String,
    pub megabytes: f64,
    /// What it is asked to handle first, as JSON.
    pub event: String,
    /// Whether an error is an answer to that.
    pub may_fail: bool,
    path: PathBuf,
    environment: BTreeMap<String, String>,
}

/// What one start took.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// Until the process asked for its first event.
    pub init_ms: f64,
    /// The processor's time until then.
    pub init_cpu_ms: f64,
    /// Until it had answered that event.
    pub answer_ms: f64,
    /// Most memory that it held.
    pub peak_mb: f64,
    /// Pages that were in memory already.
    pub minor_faults: f64,
    /// Pages that had to be read from disk.
    pub major_faults: f64,
}

impl Binary {
    /// Finds the binary where `cargo lambda build` or `cargo build` puts it.
    pub(super) fn find(
        folder: &Path,
        name: &str,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, AnyError> {
        let path = find(folder, name)?;
        let megabytes = fs::metadata(&path)?.len() as f64 / 1e6;
        Ok(Self {
            name: name.to_owned(),
            megabytes,
            event: "{}".to_owned(),
            may_fail: false,
            path,
            environment,
        })
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Drops the file from the machine's memory, so that the next start reads it from disk.
    pub(super) fn forget(&self) -> Result<(), AnyError> {
        Ok(fadvise(File::open(&self.path)?, 0, None, Advice::DontNeed)?)
    }

    /// Starts the process, lets it answer one event, and ends it.
    pub(super) async fn start(&self) -> Result<Start, AnyError> {
        let mut api = RuntimeApi::start(self.may_fail)?;
        api.give(self.event.clone());
        let mut command = Command::new(&self.path);
        command.env_clear().envs(&self.environment).env("AWS_LAMBDA_RUNTIME_API", &api.address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = now();
        let mut running = Running(command.spawn()?);
        let ready = self.next(&mut api, &mut running).await?;
        let init_cpu_ms = processor_ms(running.0.id())?;
        let answered = self.next(&mut api, &mut running).await?;
        let mut start = Start { init_cpu_ms, ..used(running.0.id())? };
        start.init_ms = milliseconds(ready.duration_since(began));
        start.answer_ms = milliseconds(answered.duration_since(began));
        Ok(start)
    }

    async fn next(&self, api: &mut RuntimeApi, running: &mut Running) -> Result<Instant, AnyError> {
        let failed = |words: &str| AnyError::from(format!("{} failed: {words}", self.name));
        let ended = async {
            loop {
                if let Ok(Some(_)) = running.0.try_wait() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let moment = tokio::select! {
            moment = api.moments.recv() => moment,
            () = ended => None,
            () = tokio::time::sleep(PATIENCE) => return Err(failed("it took too long")),
        };
        match moment {
            Some(Moment::Ready(at) | Moment::Answered(at, _)) => Ok(at),
            Some(Moment::Failed(words)) => Err(failed(&words)),
            None => {
                let mut words = String::new();
                if let Some(mut stderr) = running.0.stderr.take() {
                    stderr.read_to_string(&mut words)?;
                }
                Err(failed(&words))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn now() -> Instant {
    Instant::now()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Memory and page faults.
fn used(id: u32) -> Result<Start, AnyError> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field is the name in brackets and may hold spaces; minflt is the tenth and majflt the twelfth field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Start { peak_mb: peak_mb(id)?, minor_faults: field(10), major_faults: field(12), ..Start::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_faulted() {
        let used = used(std::process::id()).unwrap();
        assert!(used.peak_mb > 1.0 && used.minor_faults > 100.0, "{used:?}");
    }

    #[test]
    fn a_binary_is_found_where_either_command_puts_it_and_named_where_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let find = |name: &str| Binary::find(folder.path(), name, BTreeMap::new());
        for path in ["a/bootstrap", "b", "examples/c"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "1234").unwrap();
        }
        assert!(["a", "b", "c"].iter().all(|name| find(name).unwrap().megabytes == 4e-6));
        let error = find("d").err().unwrap().to_string();
        assert!(error.starts_with("there is no d in /"), "{error}");
    }
}
