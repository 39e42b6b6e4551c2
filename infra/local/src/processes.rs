//! Functions as Lambda runs them: each in a process of its own, from the binary that would be deployed, with the embedded
//! engines as its AWS.
//!
//! There is one process of each function, which answers one invocation after the other. It ends with the stack, or when
//! the function's secret has changed and another one takes its place.

use crate::{
    engines::{Engines, REGION},
    runtime_api::{Moment, RuntimeApi},
    stack::Registry,
    template::Template,
};
use async_trait::async_trait;
use lambda_kit::{Failure, Function};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

const ATTEMPTED: &str = "having a process answer";

/// The binaries, and the processes that run of them.
#[derive(Default)]
pub struct Processes {
    folder: PathBuf,
    /// Where what they print goes, a file for each; nowhere without one.
    logs: Option<PathBuf>,
    running: Mutex<BTreeMap<String, Arc<Process>>>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub invocations: u64,
    /// The processor's time, its start included.
    pub processor_ms: f64,
    /// Most memory that it held.
    pub peak_mb: f64,
}

impl Processes {
    /// The binaries in a folder, where `cargo lambda build` or `cargo build` left them.
    pub fn of(folder: impl Into<PathBuf>, logs: Option<PathBuf>) -> Self {
        Self { folder: folder.into(), logs, running: Mutex::default() }
    }

    /// What the process of each function has used.
    ///
    /// # Errors
    /// When one has ended.
    pub fn used(&self) -> io::Result<BTreeMap<String, Used>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|(name, process)| Ok((name.clone(), process.used()?))).collect()
    }

    /// All functions of the template. Each starts its process when it is built.
    pub(crate) async fn registry(
        self: &Arc<Self>,
        template: &Template,
        engines: &Engines,
    ) -> io::Result<Registry> {
        let mut registry = Registry::new();
        for function in &template.functions {
            let endpoint = engines.serve(&function.name).await?;
            let (processes, name, memory_mb) = (Arc::clone(self), function.name.clone(), function.memory_mb);
            registry = registry.with(&function.name, move |environment, _| {
                let mut settings = around(&name, memory_mb, &endpoint.url);
                settings.extend(environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
                processes.start(&name, &settings)
            });
        }
        Ok(registry)
    }

    fn start(&self, name: &str, settings: &BTreeMap<String, String>) -> io::Result<Served> {
        let api = RuntimeApi::start(false)?;
        let mut command = Command::new(find(&self.folder, name)?);
        command.env_clear().envs(settings).env("AWS_LAMBDA_RUNTIME_API", &api.address);
        let (prints, complains) = match &self.logs {
            Some(logs) => {
                let file = File::create(logs.join(format!("{name}.log")))?;
                (Stdio::from(file.try_clone()?), Stdio::from(file))
            }
            None => (Stdio::null(), Stdio::null()),
        };
        command.stdin(Stdio::null()).stdout(prints).stderr(complains);
        let process = Arc::new(Process {
            running: Running(command.spawn()?),
            answers: tokio::sync::Mutex::new(Answers { api, is_waiting: false }),
            invocations: AtomicU64::new(0),
        });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(name.to_owned(), Arc::clone(&process));
        Ok(Served(process))
    }
}

struct Process {
    running: Running,
    answers: tokio::sync::Mutex<Answers>,
    invocations: AtomicU64,
}

struct Answers {
    api: RuntimeApi,
    /// An invocation has begun. Whoever finds this came after one that was ended before its answer.
    is_waiting: bool,
}

impl Process {
    fn used(&self) -> io::Result<Used> {
        Ok(Used {
            invocations: self.invocations.load(Ordering::Relaxed),
            processor_ms: processor_ms(self.running.0.id())?,
            peak_mb: peak_mb(self.running.0.id())?,
        })
    }
}

/// The function that a process serves.
struct Served(Arc<Process>);

#[async_trait]
impl Function for Served {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let mut answers = self.0.answers.lock().await;
        if std::mem::replace(&mut answers.is_waiting, true) {
            return Err(Failure::new(ATTEMPTED, "it is still at work on an invocation that was ended"));
        }
        answers.api.give(event.to_string());
        loop {
            match answers.api.moments.recv().await {
                Some(Moment::Ready(_)) => {}
                Some(Moment::Answered(_, body)) => {
                    answers.is_waiting = false;
                    self.0.invocations.fetch_add(1, Ordering::Relaxed);
                    return serde_json::from_slice(&body).map_err(|error| Failure::new(ATTEMPTED, error));
                }
                Some(Moment::Failed(words)) => {
                    answers.is_waiting = false;
                    return Err(Failure::new(ATTEMPTED, words));
                }
                None => return Err(Failure::new(ATTEMPTED, "its Runtime API has stopped")),
            }
        }
    }
}

/// A process that ends when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a function's binary is in a folder.
pub(crate) fn find(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let places = [folder.join(name).join("bootstrap"), folder.join(name), folder.join("examples").join(name)];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let missing = format!("there is no {name} in {}: `cargo lambda build --release`", folder.display());
        io::Error::new(io::ErrorKind::NotFound, missing)
    })
}

/// What Lambda itself puts into the environment of a function.
pub(crate) fn around(name: &str, memory_mb: u32, aws_url: &str) -> BTreeMap<String, String> {
    let all = [
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "measured"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "measured"),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "measured"),
        ("AWS_SECRET_ACCESS_KEY", "measured"),
        ("AWS_SESSION_TOKEN", "measured"),
        ("AWS_ENDPOINT_URL", aws_url),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Linux counts a process's time in hundredths of a second, whatever its own clock ticks in.
const MS_A_TICK: f64 = 10.0;

/// The processor's time: of the threads that live from `schedstat`, which counts nanoseconds; or of all that ever lived from
/// `stat`, which counts hundredths of a second, where that is more.
pub(crate) fn processor_ms(id: u32) -> io::Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = text.split(' ').next().unwrap_or_default();
        nanoseconds += first.parse::<u64>().map_err(io::Error::other)?;
    }
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Behind the name, which may hold blanks: the state is the third field of the file, user's and system's time are 14 and 15.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks = fields.take(2).map(str::parse::<u64>).sum::<Result<u64, _>>().map_err(io::Error::other)?;
    Ok((nanoseconds as f64 / 1e6).max(ticks as f64 * MS_A_TICK))
}

/// Most memory that a process has held, from `status`.
pub(crate) fn peak_mb(id: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok(kilobytes / 1_024.0)
}
