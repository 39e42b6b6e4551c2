//! The template, running: its tables and queues on the embedded engines, its functions on their code.
//!
//! A stack starts *manual*: nothing moves until it is asked. [`Stack::request`] brings a request through the gateway
//! without a socket, [`Stack::drain`] delivers messages until every queue is empty, [`Stack::run_schedule`] is a tick of
//! the schedule. Nothing sleeps and nothing runs in the background, so a test sees the same order every time. A
//! gateway on a real port ([`Stack::serve`]) may be added, since counterparties call back over HTTP.
//! [`Stack::run`] starts what AWS would run by itself: pollers and schedules.

use crate::{
    engines::{EngineError, Engines, QueueSpec, Retries},
    eventbridge,
    gateway::{self, AccessKey, Gateway, HttpAnswer, HttpRequest, Witness},
    invoke::{Deployed, InvocationError, Invocations},
    poller::{self, Delivered, Source},
    schedule,
    template::{FunctionSpec, NoSuchName, QueueSource, Template},
};
use aws::{Aws, SecretsManager};
use aws_sdk_sqs::types::Message;
use contract::names::setting;
use lambda_kit::{Environment, Function};
use ports::{Clock, SystemClock};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use wiring::{Rotating, Wire};

/// Most batches that one [`Stack::drain`] delivers. More means that functions send each other messages for ever.
const MAX_DRAINED_BATCHES: usize = 100_000;
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

type Build = Box<dyn Fn(&Environment, &Aws) -> Result<Arc<dyn Function>, AnyError> + Send + Sync>;

/// The code of the functions, by local name.
#[derive(Default)]
pub struct Registry(BTreeMap<String, Build>);

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function, with what builds it from its settings: `registry.with("score", score::wire)`.
    #[must_use]
    pub fn with<F, E>(
        mut self,
        name: &str,
        build: impl Fn(&Environment, &Aws) -> Result<F, E> + Send + Sync + 'static,
    ) -> Self
    where
        F: Function + 'static,
        E: Into<AnyError>,
    {
        let build: Build = Box::new(move |environment, aws| match build(environment, aws) {
            Ok(function) => Ok(Arc::new(function)),
            Err(error) => Err(error.into()),
        });
        self.0.insert(name.to_owned(), build);
        self
    }

    /// The function of that name, built from its settings.
    pub(crate) fn build(
        &self,
        name: &str,
        environment: &Environment,
        aws: &Aws,
    ) -> Result<Arc<dyn Function>, StackError> {
        let build = self.0.get(name).ok_or_else(|| StackError::NoCode(name.to_owned()))?;
        build(environment, aws).map_err(|source| StackError::Build { function: name.to_owned(), source })
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

/// A queue of the running stack.
struct RunningQueue {
    url: String,
    dead_letters: Option<String>,
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

    /// The names of the queues that functions read.
    pub fn queues(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.spec.queue.clone()).collect()
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

    /// Delivers messages, one batch at a time and one queue after the other, until all queues are empty. A message that
    /// failed comes back at once, as if its visibility time-out had passed, and so at last goes to its dead-letter queue.
    pub async fn drain(&self) -> Result<Delivered, StackError> {
        let mut all = Delivered::default();
        for _ in 0..MAX_DRAINED_BATCHES {
            let mut idle = true;
            for source in &self.sources {
                if let Some(delivered) = deliver_one(source, Some(Duration::ZERO)).await? {
                    idle = false;
                    all.handled += delivered.handled;
                    all.failed += delivered.failed;
                }
            }
            if idle {
                return Ok(all);
            }
        }
        Err(StackError::NeverEmpty)
    }

    /// Delivers one batch of one queue; `None` when it is empty. What failed stays hidden for the visibility time-out,
    /// unless the stack was started with another redelivery.
    pub async fn deliver(&self, queue: &str) -> Result<Option<Delivered>, StackError> {
        let source = self.sources.iter().find(|source| source.spec.queue == queue);
        let source = source.ok_or_else(|| StackError::Unknown(queue.to_owned()))?;
        deliver_one(source, source.redelivery).await
    }

    /// Puts a message into a queue, whatever it says.
    pub async fn send(&self, queue: &str, body: &str) -> Result<(), StackError> {
        let url = &self.queue(queue)?.url;
        let sent = self.sqs.send_message().queue_url(url).message_body(body).send().await;
        sent.map(|_| ()).map_err(StackError::queue("sending to", queue))
    }

    /// The bodies of a queue's dead letters. They stay where they are.
    pub async fn dead_letters(&self, queue: &str) -> Result<Vec<String>, StackError> {
        let (name, url) = self.dead_letters_of(queue)?;
        let letters = self.take_all(name, url).await?;
        for letter in &letters {
            let request = self.sqs.change_message_visibility().queue_url(url).visibility_timeout(0);
            let request = request.set_receipt_handle(letter.receipt_handle.clone());
            request.send().await.map_err(StackError::queue("returning to", name))?;
        }
        Ok(letters.into_iter().filter_map(|letter| letter.body).collect())
    }

    /// Sends a queue's dead letters to it again, as an operator would once the cause is gone. Returns how many.
    pub async fn redrive(&self, queue: &str) -> Result<usize, StackError> {
        let (name, url) = self.dead_letters_of(queue)?;
        let letters = self.take_all(name, url).await?;
        for letter in &letters {
            self.send(queue, letter.body().unwrap_or_default()).await?;
            let request = self.sqs.delete_message().queue_url(url);
            let request = request.set_receipt_handle(letter.receipt_handle.clone());
            request.send().await.map_err(StackError::queue("deleting from", name))?;
        }
        Ok(letters.len())
    }

    /// Receives until nothing is left that can be seen.
    async fn take_all(&self, queue: &str, url: &str) -> Result<Vec<Message>, StackError> {
        let mut all = Vec::new();
        loop {
            let request = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
            let answer = request.wait_time_seconds(0).send().await;
            let messages =
                answer.map_err(StackError::queue("receiving from", queue))?.messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(all);
            }
            all.extend(messages);
        }
    }

    fn queue(&self, name: &str) -> Result<&RunningQueue, StackError> {
        self.queues.get(name).ok_or_else(|| StackError::Unknown(name.to_owned()))
    }

    fn dead_letters_of(&self, queue: &str) -> Result<(&str, &str), StackError> {
        let dead_letters = self.queue(queue)?.dead_letters.as_deref();
        let name = dead_letters.ok_or_else(|| StackError::NoDeadLetters(queue.to_owned()))?;
        Ok((name, &self.queue(name)?.url))
    }
}

async fn deliver_one(source: &Source, redelivery: Option<Duration>) -> Result<Option<Delivered>, StackError> {
    let batch = source.receive().await?;
    if batch.is_empty() {
        return Ok(None);
    }
    source.deliver(&batch, redelivery).await.map(Some)
}

/// Every override fits something, and template and code name the same functions.
fn check_overrides(
    template: &Template,
    registry: &Registry,
    options: &StackOptions,
) -> Result<(), StackError> {
    if let Some(unknown) = options.parameters.keys().find(|name| !template.parameters.contains_key(*name)) {
        return Err(StackError::UnknownOverride(unknown.clone()));
    }
    let is_setting = |name: &String| template.functions.iter().any(|f| f.environment.contains_key(name));
    if let Some(unknown) = options.settings.keys().find(|name| !is_setting(name)) {
        return Err(StackError::UnknownOverride(unknown.clone()));
    }
    if let Some(spec) = template.functions.iter().find(|spec| !registry.0.contains_key(&spec.name)) {
        return Err(StackError::NoCode(spec.name.clone()));
    }
    if let Some(extra) = registry.0.keys().find(|name| template.function(name).is_none()) {
        return Err(StackError::NotWired(extra.clone()));
    }
    Ok(())
}

/// Dead-letter queues first, since a queue's rule names its own.
async fn create_queues(
    template: &Template,
    engines: &Engines,
) -> Result<BTreeMap<String, RunningQueue>, StackError> {
    let mut specs: Vec<&QueueSpec> = template.queues.iter().map(|queue| &queue.spec).collect();
    specs.sort_by_key(|spec| spec.dlq.is_some());
    let mut queues = BTreeMap::new();
    for spec in specs {
        let url = engines.create_queue(spec).await?;
        let dead_letters = spec.dlq.as_ref().map(|(name, _)| name.clone());
        queues.insert(spec.name.clone(), RunningQueue { url, dead_letters });
    }
    Ok(queues)
}

/// What the template's names stand for: parameters, tables by name, queues by URL.
fn names(
    template: &Template,
    queues: &BTreeMap<String, RunningQueue>,
    options: &StackOptions,
) -> HashMap<String, String> {
    let defaults =
        template.parameters.iter().filter_map(|(name, default)| Some((name.clone(), default.clone()?)));
    let tables = template.tables.iter().map(|table| (table.logical_id.clone(), table.spec.name.clone()));
    let urls = template.queues.iter().filter_map(|queue| {
        queues.get(&queue.spec.name).map(|running| (queue.logical_id.clone(), running.url.clone()))
    });
    defaults
        .chain(options.parameters.clone())
        .chain(tables)
        .chain(urls)
        .chain(template.local_names())
        .collect()
}

async fn build(
    template: &Template,
    registry: &Arc<Registry>,
    names: &HashMap<String, String>,
    options: &StackOptions,
    engines: &Engines,
) -> Result<BTreeMap<String, Arc<Deployed>>, StackError> {
    let retries = if options.sdk_retries { Retries::AsOnAws } else { Retries::None };
    let mut built = BTreeMap::new();
    for spec in &template.functions {
        let environment = environment(spec, names, options)?;
        let aws = Aws::from_sdk_config(&engines.sdk_config_for(&spec.name, retries));
        let function: Arc<dyn Function> = match environment.get(setting::SECRETS_ARN) {
            Err(_) => registry.build(&spec.name, &environment, &aws)?,
            Ok(secret) => {
                let store = Arc::new(SecretsManager::new(aws.secrets_manager(), secret));
                let (registry, name, aws) = (Arc::clone(registry), spec.name.clone(), aws.clone());
                let wire: Wire = Box::new(move |settings| Ok(registry.build(&name, settings, &aws)?));
                let started = Rotating::start(environment, store, Arc::clone(&options.clock), wire).await;
                Arc::new(started.map_err(|error| StackError::Build {
                    function: spec.name.clone(),
                    source: error.into(),
                })?)
            }
        };
        built.insert(spec.name.clone(), Arc::new(Deployed::new(spec.clone(), function)));
    }
    Ok(built)
}

/// The settings that the template gives to a function, and no others.
pub(crate) fn environment(
    spec: &FunctionSpec,
    names: &HashMap<String, String>,
    options: &StackOptions,
) -> Result<Environment, StackError> {
    let settings = spec.environment.iter().map(|(setting, expression)| {
        if let Some(value) = options.settings.get(setting) {
            return Ok((setting.clone(), value.clone()));
        }
        let function = spec.name.clone();
        let value = expression.resolve(|name| names.get(name).map(String::as_str));
        let value =
            value.map_err(|source| StackError::Setting { function, setting: setting.clone(), source })?;
        Ok((setting.clone(), value))
    });
    Ok(Environment::from_map(settings.collect::<Result<_, StackError>>()?))
}

#[cfg(test)]
mod tests;
