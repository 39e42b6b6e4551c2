//! The roles of the template, held against every call that a function makes.
//!
//! On AWS a call that the function's role does not allow is refused. Here as well: before an engine or a bucket answers,
//! [`Roles`] looks at what the call asks for, down to the table, index, queue or object, the key that encrypts it, and
//! the partition key where a grant is limited to some. So every test and the demo run under the roles of the template.
//! What was allowed is remembered, and [`Roles::unused`] tells the permissions that nothing has used.

mod asked;
mod bucket;

pub(crate) use asked::{Asked, asked};
pub(crate) use bucket::guard;

use crate::template::{Expression, Grant, Template, local_name};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A call that a function's role does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role of {function} does not allow {action} on {resource}")]
pub struct Denied {
    pub function: String,
    pub action: String,
    pub resource: String,
}

/// One action on one resource that a role allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub function: String,
    /// `dynamodb:PutItem`, …
    pub action: String,
    /// In the form of `Fn::Sub`, `${Journeys.Arn}/index/due`; a `*` at the end stands for anything.
    pub resource: String,
    /// What the partition key may look like, where not any may be named.
    pub leading_key: Option<String>,
}

impl Permission {
    fn allows(&self, asked: &Asked) -> bool {
        let key = match (&self.leading_key, &asked.leading_key) {
            (None, _) => true,
            (Some(pattern), Some(key)) => matches(pattern, key),
            (Some(_), None) => false,
        };
        self.action == asked.action && matches(&self.resource, &asked.resource) && key
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, action, resource, leading_key } = self;
        write!(f, "{function} {action} {resource}")?;
        leading_key.iter().try_for_each(|key| write!(f, " {key}"))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}

/// What every function's role allows, and what of it has been used.
#[derive(Debug)]
pub struct Roles {
    functions: BTreeMap<String, Vec<(Permission, AtomicBool)>>,
    names: Names,
    /// The bucket, by its logical id, that a setting of a function names.
    buckets: BTreeMap<(String, String), String>,
    /// Calls that were refused: a function may go on without one, and whoever tests it must not.
    denied: Mutex<Vec<Denied>>,
}

/// What the template calls the things that calls name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Logical ids of everything that some role names, by the local name.
    ids: BTreeMap<String, String>,
    /// Logical ids of the keys that encrypt tables, queues and buckets, by the logical id of these.
    keys: BTreeMap<String, String>,
}

impl Roles {
    /// The roles of a template.
    pub fn of(template: &Template) -> Self {
        let granted = template.functions.iter().flat_map(|f| &f.grants).flat_map(|grant| &grant.resources);
        let granted = granted.flat_map(Expression::names).filter_map(|name| name.split('.').next());
        let ids = granted.map(|id| (local_name(id), id.to_owned()));
        let of_tables = template.tables.iter().map(|t| (&t.logical_id, &t.key));
        let of_queues = template.queues.iter().map(|q| (&q.logical_id, &q.key));
        let of_buckets = template.buckets.iter().map(|b| (&b.logical_id, &b.key));
        let keys = of_tables.chain(of_queues).chain(of_buckets);
        let keys = keys.filter_map(|(id, key)| Some((id.clone(), key.clone()?)));
        let names = Names { ids: ids.collect(), keys: keys.collect() };
        let mut roles =
            Self { functions: BTreeMap::new(), names, buckets: BTreeMap::new(), denied: Mutex::default() };
        for function in &template.functions {
            let permissions = function.grants.iter().flat_map(|grant| permissions(&function.name, grant));
            let permissions = permissions.map(|permission| (permission, AtomicBool::new(false)));
            roles.functions.insert(function.name.clone(), permissions.collect());
            for (setting, value) in &function.environment {
                if let (true, Some(bucket)) = (value.to_string().starts_with("s3://"), value.names().next()) {
                    roles.buckets.insert((function.name.clone(), setting.clone()), bucket.to_owned());
                }
            }
        }
        roles
    }

    /// Whether the function's role allows all that a call asks for.
    ///
    /// # Errors
    /// [`Denied`] names the first thing that it does not.
    pub(crate) fn check(&self, function: &str, asked: &[Asked]) -> Result<(), Denied> {
        let allowed = self.functions.get(function).map(Vec::as_slice).unwrap_or_default();
        for asked in asked {
            match allowed.iter().find(|(permission, _)| permission.allows(asked)) {
                Some((_, used)) => used.store(true, Ordering::Relaxed),
                None => {
                    let denied = Denied {
                        function: function.to_owned(),
                        action: asked.action.clone(),
                        resource: asked.resource.clone(),
                    };
                    tracing::error!(error = %denied, "a call was refused");
                    self.denied.lock().unwrap_or_else(PoisonError::into_inner).push(denied.clone());
                    return Err(denied);
                }
            }
        }
        Ok(())
    }

    /// What was refused so far.
    pub fn denied(&self) -> Vec<Denied> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What no call has used so far.
    pub fn unused(&self) -> Vec<Permission> {
        let all = self.functions.values().flatten();
        let unused = all.filter(|(_, used)| !used.load(Ordering::Relaxed));
        unused.map(|(permission, _)| permission.clone()).collect()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }
}

/// Each action of a grant on each resource of it.
fn permissions(function: &str, grant: &Grant) -> Vec<Permission> {
    let keys: Vec<Option<String>> = match &grant.leading_keys {
        Some(keys) => keys.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let mut all = Vec::new();
    for action in &grant.actions {
        for resource in &grant.resources {
            all.extend(keys.iter().map(|leading_key| Permission {
                function: function.to_owned(),
                action: action.clone(),
                resource: resource.to_string(),
                leading_key: leading_key.clone(),
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests;
