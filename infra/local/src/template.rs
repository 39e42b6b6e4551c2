//! `infra/template.yaml`, read into what the runner needs to know.
//!
//! The template is the only description of the wiring. This reader knows the resource types, properties and intrinsic
//! functions that the template uses today; anything else is an error and never skipped, so that nothing is deployed to
//! AWS that the runner has not seen. Types that have nothing to run locally (logs, alarms) are named one by one.

mod document;
mod expression;

pub use expression::{Expression, NoSuchName};

use crate::engines::{QueueSpec, TableSpec};
use document::{Authorizer, Document, EventSource, Globals, HttpRoute, Resource, RouteAuth};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// The name of the deployment, in a template.
const STACK_NAME: &str = "AWS::StackName";
/// Lambda's time-out when a template names none.
const DEFAULT_TIMEOUT_S: u64 = 3;
/// A larger batch needs a batching window, which would cost every application its length.
const LARGEST_BATCH: u32 = 10;

/// Why the template cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the template {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the template is not YAML")]
    Yaml(#[from] yaml_serde::Error),
    #[error("the template uses the intrinsic function {0}, which the runner does not know")]
    Intrinsic(String),
    #[error("the template has a key that is not text")]
    Key,
    #[error("{at} has a shape that the runner does not know")]
    Shape {
        at: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{resource} has the type {kind}, which the runner does not know")]
    Type { resource: String, kind: String },
    #[error("{resource} {problem}")]
    Resource { resource: String, problem: String },
}

impl TemplateError {
    fn resource(resource: &str, problem: impl Into<String>) -> Self {
        TemplateError::Resource { resource: resource.to_owned(), problem: problem.into() }
    }
}

/// The template.
#[derive(Clone, Debug)]
pub struct Template {
    /// Parameters with their defaults. Patterns and lists of allowed values are for deployments and not applied here.
    pub parameters: BTreeMap<String, Option<String>>,
    pub functions: Vec<FunctionSpec>,
    /// All queues, dead-letter queues included.
    pub queues: Vec<QueueDefinition>,
    pub tables: Vec<TableDefinition>,
    pub buckets: Vec<BucketDefinition>,
    /// Logical ids of the secrets and keys.
    pub named: Vec<String>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    pub logical_id: String,
    /// The logical id in kebab case: the folder under `functions/`, the crate, the binary.
    pub name: String,
    pub timeout: Duration,
    pub memory_mb: u32,
    /// Its share of the account's concurrency, where shares are reserved.
    pub reserved_concurrency: Option<u32>,
    pub environment: BTreeMap<String, Expression>,
    pub routes: Vec<Route>,
    pub queue_sources: Vec<QueueSource>,
    pub schedules: Vec<Schedule>,
    pub object_sources: Vec<ObjectSource>,
    /// What its role allows.
    pub grants: Vec<Grant>,
}

/// A route of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub method: String,
    /// Segments, of which `{name}` is a parameter.
    pub path: String,
    /// IAM guards it: whoever calls it signs the request (AWS Signature Version 4).
    pub is_signed: bool,
}

impl Route {
    /// As API Gateway spells it: `GET /v1/applications/{id}`.
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A queue that a function reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSource {
    /// The queue's local name.
    pub queue: String,
    pub batch_size: u32,
    /// Whether the function names the records that failed (`ReportBatchItemFailures`).
    pub report_partial: bool,
    /// Most invocations at once.
    pub max_concurrency: Option<usize>,
}

/// A time at which a function runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub rule: String,
    pub every: Duration,
}

/// Objects that wake a function when they are created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSource {
    /// The bucket's logical id.
    pub bucket: String,
    /// What their keys begin with.
    pub prefix: String,
}

/// Some calls, allowed on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `dynamodb:PutItem`, …
    pub actions: Vec<String>,
    pub resources: Vec<Expression>,
    /// What the partition keys that a call names may look like, with `*` for anything; `None` for any.
    pub leading_keys: Option<Vec<String>>,
}

/// A queue with its place in the template.
#[derive(Clone, Debug)]
pub struct QueueDefinition {
    pub logical_id: String,
    pub spec: QueueSpec,
    pub retention: Duration,
    /// The logical id of the key that encrypts it.
    pub key: Option<String>,
}

/// A table with its place in the template.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    pub logical_id: String,
    pub spec: TableSpec,
    /// The logical id of the key that encrypts it.
    pub key: Option<String>,
}

/// A bucket with its place in the template.
#[derive(Clone, Debug)]
pub struct BucketDefinition {
    pub logical_id: String,
    /// The logical id of the key that encrypts it.
    pub key: Option<String>,
}

impl Template {
    /// Reads a template file.
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads a template's text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Document { parameters, globals, resources } = Document::parse(text)?;
        let roles = roles(&resources)?;
        let mut template = Template {
            parameters: parameters.into_iter().map(|(name, p)| (name, p.default.map(|d| d.0))).collect(),
            functions: Vec::new(),
            queues: Vec::new(),
            tables: Vec::new(),
            buckets: Vec::new(),
            named: Vec::new(),
        };
        for (id, resource) in &resources {
            match resource {
                Resource::Queue(queue) => template.queues.push(queue.define(id)?),
                Resource::Table(table) => template.tables.push(table.define(id)?),
                Resource::Bucket(bucket) => template.buckets.push(bucket.define(id)?),
                Resource::Function(function, metadata) => {
                    metadata.check(id, &function.code_uri)?;
                    template.functions.push(function.define(id, &globals, &roles)?);
                }
                Resource::Named => template.named.push(id.clone()),
                Resource::HttpApi(_) | Resource::Role(_) | Resource::NothingToRun => {}
            }
        }
        template.check_names(&resources)?;
        template.check_sources()?;
        template.check_routes(&resources)?;
        Ok(template)
    }

    /// What `Ref` gives of secrets and keys, by logical id: their local names; and the name of the deployment.
    pub fn local_names(&self) -> impl Iterator<Item = (String, String)> {
        let stack = (STACK_NAME.to_owned(), "local".to_owned());
        self.named.iter().map(|id| (id.clone(), local_name(id))).chain([stack])
    }

    /// The function of that local name.
    pub fn function(&self, name: &str) -> Option<&FunctionSpec> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The queue of that local name.
    pub fn queue(&self, name: &str) -> Option<&QueueDefinition> {
        self.queues.iter().find(|queue| queue.spec.name == name)
    }

    /// Every setting and grant names a parameter or a resource that is there.
    fn check_names(&self, resources: &BTreeMap<String, Resource>) -> Result<(), TemplateError> {
        for function in &self.functions {
            let granted = function.grants.iter().flat_map(|grant| &grant.resources);
            for name in function.environment.values().chain(granted).flat_map(Expression::names) {
                let id = name.split('.').next().unwrap_or(name);
                if name != STACK_NAME && !self.parameters.contains_key(name) && !resources.contains_key(id) {
                    let problem = format!("names {name}, which is not in the template");
                    return Err(TemplateError::resource(&function.logical_id, problem));
                }
            }
        }
        Ok(())
    }

    /// Every queue that is read from or redriven to is there.
    fn check_sources(&self) -> Result<(), TemplateError> {
        let missing = |id: &str, queue: &str| {
            Err(TemplateError::resource(id, format!("names the queue {queue}, which is not in the template")))
        };
        for function in &self.functions {
            if let Some(source) = function.queue_sources.iter().find(|s| self.queue(&s.queue).is_none()) {
                return missing(&function.logical_id, &source.queue);
            }
        }
        for queue in &self.queues {
            if let Some((dead_letters, _)) = &queue.spec.dlq
                && self.queue(dead_letters).is_none()
            {
                return missing(&queue.logical_id, dead_letters);
            }
        }
        Ok(())
    }

    /// No two functions claim one route, and the API knows IAM where it guards one.
    fn check_routes(&self, resources: &BTreeMap<String, Resource>) -> Result<(), TemplateError> {
        let knows_iam = |resource: &Resource| matches!(resource, Resource::HttpApi(api) if api.knows_iam());
        let knows_iam = resources.values().any(knows_iam);
        let mut seen = BTreeSet::new();
        for function in &self.functions {
            if let Some(twice) = function.routes.iter().find(|route| !seen.insert(route.key())) {
                let problem = format!("has the route {}, which is taken", twice.key());
                return Err(TemplateError::resource(&function.logical_id, problem));
            }
            if let Some(route) = function.routes.iter().find(|route| route.is_signed && !knows_iam) {
                let problem = format!("has IAM guard {}, and the API has no IAM authorizer", route.key());
                return Err(TemplateError::resource(&function.logical_id, problem));
            }
        }
        Ok(())
    }
}

fn roles(resources: &BTreeMap<String, Resource>) -> Result<BTreeMap<&str, Vec<Grant>>, TemplateError> {
    let mut roles = BTreeMap::new();
    for (id, resource) in resources {
        if let Resource::Role(role) = resource
            && role.managed_policy_arns.is_empty()
        {
            roles.insert(id.as_str(), role.grants(id)?);
        }
    }
    Ok(roles)
}

impl document::Function {
    fn define(
        &self,
        id: &str,
        globals: &Globals,
        roles: &BTreeMap<&str, Vec<Grant>>,
    ) -> Result<FunctionSpec, TemplateError> {
        let role = self.role.attribute("Arn").and_then(|role| roles.get(role));
        let grants = role.ok_or_else(|| {
            TemplateError::resource(id, "has a role that is not in the template, or not whole")
        })?;
        let timeout = self.timeout.or(globals.function.timeout).unwrap_or(DEFAULT_TIMEOUT_S);
        let mut function = FunctionSpec {
            logical_id: id.to_owned(),
            name: local_name(id),
            timeout: Duration::from_secs(timeout),
            memory_mb: self.memory_size.or(globals.function.memory_size).unwrap_or(128),
            reserved_concurrency: self.reserved_concurrent_executions.0,
            environment: self.environment.variables.clone(),
            routes: Vec::new(),
            queue_sources: Vec::new(),
            schedules: Vec::new(),
            object_sources: Vec::new(),
            grants: grants.clone(),
        };
        for event in self.events.values() {
            match event {
                EventSource::HttpApi(route) => function.routes.push(route.define(id)?),
                EventSource::Sqs(source) => function.queue_sources.push(source.define(id)?),
                EventSource::Schedule(schedule) => function.schedules.push(schedule.define(id)?),
                EventSource::EventBridgeRule(rule) => function.object_sources.push(rule.define(id)?),
            }
        }
        Ok(function)
    }
}

impl document::Metadata {
    /// The function is built from the folder and into the binary of its own name.
    fn check(&self, id: &str, code_uri: &str) -> Result<(), TemplateError> {
        let name = local_name(id);
        if code_uri.trim_end_matches('/') != format!("../functions/{name}") {
            return Err(TemplateError::resource(id, format!("is not built from ../functions/{name}/")));
        }
        if self.build_method != "rust-cargolambda" || self.build_properties.binary != name {
            return Err(TemplateError::resource(id, format!("is not built into the binary {name}")));
        }
        Ok(())
    }
}

impl HttpRoute {
    fn define(&self, id: &str) -> Result<Route, TemplateError> {
        let plain =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let known = |s: &str| match s.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(parameter) => plain(parameter),
            None => plain(s),
        };
        let is_method = matches!(self.method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE");
        let segments = self.path.strip_prefix('/').is_some_and(|path| path.split('/').all(known));
        if is_method && segments {
            let is_signed = matches!(&self.auth, Some(RouteAuth { authorizer: Authorizer::Iam }));
            return Ok(Route { method: self.method.clone(), path: self.path.clone(), is_signed });
        }
        let problem = format!("has the route {} {}, which the runner does not know", self.method, self.path);
        Err(TemplateError::resource(id, problem))
    }
}

impl document::SqsSource {
    fn define(&self, id: &str) -> Result<QueueSource, TemplateError> {
        let queue = self.queue.attribute("Arn");
        let queue =
            queue.ok_or_else(|| TemplateError::resource(id, "reads something that is not a queue's Arn"))?;
        if !(1..=LARGEST_BATCH).contains(&self.batch_size) {
            return Err(TemplateError::resource(id, format!("reads batches over {LARGEST_BATCH}")));
        }
        let report_partial = match self.function_response_types.as_slice() {
            [] => false,
            [one] if one == "ReportBatchItemFailures" => true,
            _ => {
                return Err(TemplateError::resource(
                    id,
                    "answers batches in a way that the runner does not know",
                ));
            }
        };
        Ok(QueueSource {
            queue: local_name(queue),
            batch_size: self.batch_size,
            report_partial,
            max_concurrency: self.scaling_config.as_ref().map(|scaling| scaling.maximum_concurrency),
        })
    }
}

impl document::ScheduleSource {
    /// `rate(5 minutes)`; cron expressions are not used.
    fn define(&self, id: &str) -> Result<Schedule, TemplateError> {
        let seconds = |unit: &str| match unit {
            "minute" | "minutes" => Some(60),
            "hour" | "hours" => Some(3_600),
            "day" | "days" => Some(86_400),
            _ => None,
        };
        let rate = self.schedule.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')'));
        let every = rate.and_then(|rate| rate.split_once(' ')).and_then(|(count, unit)| {
            let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
            count.checked_mul(seconds(unit)?)
        });
        match every {
            Some(every) => Ok(Schedule { rule: self.schedule.clone(), every: Duration::from_secs(every) }),
            None => {
                let problem = format!("has the schedule {}, which the runner does not know", self.schedule);
                Err(TemplateError::resource(id, problem))
            }
        }
    }
}

impl document::RuleSource {
    fn define(&self, id: &str) -> Result<ObjectSource, TemplateError> {
        let document::RulePattern { source: [source], detail_type: [kind], detail } = &self.pattern;
        let [bucket] = &detail.bucket.name;
        let [key] = &detail.object.key;
        match (source.as_str(), kind.as_str(), bucket.reference()) {
            ("aws.s3", "Object Created", Some(bucket)) => {
                Ok(ObjectSource { bucket: bucket.to_owned(), prefix: key.prefix.clone() })
            }
            _ => Err(TemplateError::resource(id, "has a rule that the runner does not know")),
        }
    }
}

impl document::Role {
    fn grants(&self, id: &str) -> Result<Vec<Grant>, TemplateError> {
        let statements = self.policies.iter().flat_map(|policy| &policy.policy_document.statement);
        let grants = statements.map(|statement| {
            if statement.effect != "Allow" {
                return Err(TemplateError::resource(id, "has a statement that does not allow"));
            }
            let condition = statement.condition.as_ref();
            Ok(Grant {
                actions: statement.action.0.clone(),
                resources: statement.resource.0.clone(),
                leading_keys: condition.map(|only| only.for_all_values.leading_keys.clone()),
            })
        });
        grants.collect()
    }
}

/// The local name of a resource: its logical id in kebab case.
pub fn local_name(logical_id: &str) -> String {
    let mut name = String::with_capacity(logical_id.len() + 4);
    for (place, letter) in logical_id.chars().enumerate() {
        if letter.is_ascii_uppercase() && place > 0 {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests;
