//! The template, running: its tables and queues on the embedded engines, its functions on their code.
//!
//! A stack starts *manual*: nothing moves until it is asked. [`Stack::request`] brings a request through the gateway
//! without a socket, [`Stack::drain`] delivers messages until every queue is empty, [`Stack::run_schedule`] is a tick of
//! the schedule. Nothing sleeps and nothing runs in the background, so a test sees the same order every time. A
//! gateway on a real port ([`Stack::serve`]) may be added, since counterparties call back over HTTP.
//! [`Stack::run`] starts what AWS would run by itself: pollers and schedules.

mod building;
mod queues;
mod registry;

pub(crate) use building::environment;
pub use registry::Registry;

use crate::{
    engines::{EngineError, Engines, Retries},
    eventbridge,
    gateway::{self, AccessKey, Gateway, HttpAnswer, HttpRequest, Witness},
    invoke::{Deployed, InvocationError, Invocations},
    poller::{self, Source},
    schedule,
    template::{NoSuchName, QueueSource, Template},
};
use building::{build, check_overrides, names};
use ports::{Clock, SystemClock};
use queues::{MAX_DRAINED_BATCHES, RunningQueue, create_queues};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How long [`Stack::stop`] waits for what has begun.
const STOP_WITHIN: Duration = Duration::from_secs(10);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a stack did not start or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the setting {setting} of {function} has no local value")]
    Setting {
        function: String,
        setting: String,
        #[source]
        source: NoSuchName,
    },
    #[error("the override {0} fits nothing in the template")]
    UnknownOverride(String),
    #[error("the template wires {0}, for which there is no code")]
    NoCode(String),
    #[error("there is code for {0}, which the template does not wire")]
    NotWired(String),
    #[error("{function} does not start")]
    Build {
        function: String,
        #[source]
        source: AnyError,
    },
    #[error("{attempted} the queue {queue}")]
    Queue {
        attempted: &'static str,
        queue: String,
        #[source]
        source: AnyError,
    },
    #[error("the template has no function or queue {0}")]
    Unknown(String),
    #[error("the queue {0} has no dead-letter queue")]
    NoDeadLetters(String),
    #[error("after {MAX_DRAINED_BATCHES} batches there still are messages")]
    NeverEmpty,
    #[error(transparent)]
    Invocation(#[from] InvocationError),
}

impl StackError {
    pub(crate) fn queue<E: Into<AnyError>>(
        attempted: &'static str,
        queue: &str,
    ) -> impl FnOnce(E) -> StackError {
        let queue = queue.to_owned();
        move |source| StackError::Queue { attempted, queue, source: source.into() }
    }
}

/// What differs from a deployment on AWS.
#[derive(Clone)]
pub struct StackOptions {
    /// Values of the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Values of settings, in place of the template's, for every function that has them.
    pub settings: BTreeMap<String, String>,
    /// Rate of the schedules of less than an hour, in place of the template's.
    pub schedule_every: Option<Duration>,
    /// How soon a message that failed comes back (whole seconds), in place of its queue's visibility time-out.
    pub redelivery: Option<Duration>,
    /// Whether the SDK tries a failed call again, as on AWS. Without, an injected fault reaches the function.
    pub sdk_retries: bool,
    /// Who may call the routes that IAM guards; nobody without one.
    pub signer: Option<AccessKey>,
    /// For the times in events. The functions have clocks of their own.
    pub clock: Arc<dyn Clock>,
    /// Sees what the API is asked and answers.
    pub witness: Option<Witness>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            parameters: BTreeMap::new(),
            settings: BTreeMap::new(),
            schedule_every: None,
            redelivery: None,
            sdk_retries: true,
            signer: None,
            clock: Arc::new(SystemClock),
            witness: None,
        }
    }
}

/// The running stack.
pub struct Stack {
    functions: BTreeMap<String, Arc<Deployed>>,
    gateway: Arc<Gateway>,
    sources: Vec<Arc<Source>>,
    queues: BTreeMap<String, RunningQueue>,
    sqs: aws_sdk_sqs::Client,
    clock: Arc<dyn Clock>,
    schedule_every: Option<Duration>,
    sent: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Stack {
    /// Makes the template's tables and queues unless they are there, and builds its functions.
    pub async fn start(
        template: &Template,
        engines: &Engines,
        registry: &Arc<Registry>,
        options: StackOptions,
    ) -> Result<Self, StackError> {
        check_overrides(template, registry, &options)?;
        engines.enforce(template);
        for table in &template.tables {
            engines.create_table(&table.spec).await?;
        }
        let queues = create_queues(template, engines).await?;
        let names = names(template, &queues, &options);
        let functions = build(template, registry, &names, &options, engines).await?;
        let sqs = aws_sdk_sqs::Client::new(&engines.sdk_config());
        let clock = Arc::clone(&options.clock);
        let gateway = Arc::new(Gateway::new(&functions, options.signer, clock, options.witness));
        let mut stack = Self {
            functions,
            gateway,
            sources: Vec::new(),
            queues,
            sqs,
            clock: options.clock,
            schedule_every: options.schedule_every,
            sent: engines.sent(),
            stop: watch::Sender::new(false),
            tasks: Mutex::new(JoinSet::new()),
        };
        stack.sources = stack.wire_sources(engines, options.redelivery)?;
        Ok(stack)
    }

    fn wire_sources(
        &self,
        engines: &Engines,
        redelivery: Option<Duration>,
    ) -> Result<Vec<Arc<Source>>, StackError> {
        let mut sources = Vec::new();
        for function in self.functions.values() {
            // AWS polls in the function's name. It does try again: a fault that is meant for a function does not hit
            // its poller harder than AWS would let it.
            let sqs =
                aws_sdk_sqs::Client::new(&engines.sdk_config_for(&function.spec.name, Retries::AsOnAws));
            for spec in &function.spec.queue_sources {
                sources.push(Arc::new(Source {
                    spec: spec.clone(),
                    url: self.queue(&spec.queue)?.url.clone(),
                    function: Arc::clone(function),
                    sqs: sqs.clone(),
                    runner: self.sqs.clone(),
                    redelivery,
                }));
            }
        }
        Ok(sources)
    }

    /// Serves the HTTP API on a port taken with [`gateway::bind`], until [`Stack::stop`].
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        self.spawn(gateway::serve(Arc::clone(&self.gateway), listener, self.stop.subscribe()));
        Ok(address)
    }

    /// Starts what AWS runs by itself: pollers and schedules, until [`Stack::stop`].
    pub fn run(&self) {
        for source in &self.sources {
            self.spawn(poller::run(Arc::clone(source), self.sent.clone(), self.stop.subscribe()));
        }
        for function in self.functions.values() {
            for schedule in &function.spec.schedules {
                let is_often = schedule.every < Duration::from_secs(3_600);
                let every = self.schedule_every.filter(|_| is_often).unwrap_or(schedule.every);
                let clock = Arc::clone(&self.clock);
                self.spawn(schedule::run(Arc::clone(function), every, clock, self.stop.subscribe()));
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Ends what [`Stack::serve`] and [`Stack::run`] started: takes nothing new, finishes what has begun, and after ten
    /// seconds ends that too.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }

    /// A request of this machine, through the gateway but not through a socket. `path` may carry a query.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> HttpAnswer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.collect(),
            body: body.into(),
            source_ip: "127.0.0.1".to_owned(),
        };
        self.gateway.handle(request).await
    }

    /// Calls a function with an event.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, StackError> {
        let function =
            self.functions.get(function).ok_or_else(|| StackError::Unknown(function.to_owned()))?;
        Ok(function.invoke(event).await?)
    }

    /// How often each function was called since the last call of this.
    pub fn take_invocations(&self) -> BTreeMap<String, Invocations> {
        let functions = self.functions.iter();
        functions.map(|(name, function)| (name.clone(), function.take_invocations())).collect()
    }

    /// The memory of each function by the template, in megabytes.
    pub fn memory_mb(&self) -> BTreeMap<String, u32> {
        let functions = self.functions.iter();
        functions.map(|(name, function)| (name.clone(), function.spec.memory_mb)).collect()
    }

    /// The most messages that each function is given at once; one of a function that reads no queue.
    pub fn batch_sizes(&self) -> BTreeMap<String, u32> {
        let functions = self.functions.iter();
        let largest = |sources: &[QueueSource]| sources.iter().map(|source| source.batch_size).max();
        functions
            .map(|(name, function)| (name.clone(), largest(&function.spec.queue_sources).unwrap_or(1)))
            .collect()
    }

    /// One tick of a function's schedule.
    pub async fn run_schedule(&self, function: &str) -> Result<Value, StackError> {
        self.invoke(function, eventbridge::scheduled(function, self.clock.now())).await
    }

    /// Tells the functions that wait for it of an object in a bucket, given by its logical id, and gives what each answers.
    pub async fn object_created(&self, bucket: &str, key: &str) -> Result<Vec<Value>, StackError> {
        let mut answers = Vec::new();
        for (name, function) in &self.functions {
            let sources = &function.spec.object_sources;
            if sources.iter().any(|source| source.bucket == bucket && key.starts_with(&source.prefix)) {
                answers.push(
                    self.invoke(name, eventbridge::object_created(bucket, key, self.clock.now())).await?,
                );
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests;
