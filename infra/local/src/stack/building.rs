//! From the template to functions that run: names become values, settings become adapters.

use super::{Registry, StackError, StackOptions, queues::RunningQueue};
use crate::{
    engines::{Engines, Retries},
    invoke::Deployed,
    template::{FunctionSpec, Template},
};
use aws::{Aws, SecretsManager};
use contract::names::setting;
use lambda_kit::{Environment, Function};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use wiring::{Rotating, Wire};

/// Every override fits something, and template and code name the same functions.
pub(super) fn check_overrides(
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

/// What the template's names stand for: parameters, tables by name, queues by URL.
pub(super) fn names(
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

pub(super) async fn build(
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
