//! The settings that a deployment would give to a function, with names and keys made up for it.

use super::AnyError;
use crate::{
    engines::table_arn,
    keys::Keys,
    processes::around,
    stack::{StackOptions, environment},
    template::{FunctionSpec, Template},
};
use contract::names::setting;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Addresses of counterparties as a deployment has them: HTTPS, and nobody there. Nothing is sent to them.
const OUTSIDE: &str = "https://counterparty.example";

pub(super) struct Settings {
    names: HashMap<String, String>,
    options: StackOptions,
    /// By the name of a secret.
    secrets: HashMap<String, String>,
}

impl Settings {
    pub(super) fn new(template: &Template) -> Result<Self, AnyError> {
        let products = wiring::products()?;
        let banks: Vec<&str> = products.iter().map(|product| product.bank.as_str()).collect();
        let keys = Keys::generate(banks.iter().copied())?;
        let urls: BTreeMap<&str, &str> = banks.iter().map(|bank| (*bank, OUTSIDE)).collect();
        let mut names = HashMap::new();
        for (parameter, default) in &template.parameters {
            let value = match parameter.as_str() {
                "BankUrls" => json!(urls).to_string(),
                "ModelSigners" => keys.model_signer()?,
                "HashKeyId" => keys.hash_key_id()?,
                _ => default.clone().unwrap_or_else(|| OUTSIDE.to_owned()),
            };
            names.insert(parameter.clone(), value);
        }
        let queues = template.queues.iter().map(|queue| &queue.logical_id);
        names.extend(queues.map(|id| (id.clone(), format!("https://sqs.example/000000000000/{id}"))));
        names.extend(template.local_names());
        names.extend(template.tables.iter().map(|table| (table.logical_id.clone(), table.spec.name.clone())));
        let settings = [
            (setting::STATEMENTS_URL, "s3://statements".to_owned()),
            (setting::MODELS_URL, "s3://models".to_owned()),
            (setting::EXPORTS_URL, "s3://exports".to_owned()),
            (setting::RELATIONS_ARN, table_arn("relations")),
        ];
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let functions = contract::names::secret::BY_FUNCTION.iter().map(|(function, _)| *function);
        let secrets =
            functions.filter_map(|function| Some((format!("{function}-secrets"), keys.secret_of(function)?)));
        let secrets = secrets.collect();
        Ok(Self { names, options: StackOptions { settings, ..StackOptions::default() }, secrets })
    }

    /// What the secrets hold, by name.
    pub(super) fn secrets(&self) -> HashMap<String, String> {
        self.secrets.clone()
    }

    /// Everything that is in the environment of a function.
    pub(super) fn of(
        &self,
        function: &FunctionSpec,
        aws: &str,
    ) -> Result<BTreeMap<String, String>, AnyError> {
        let mut all = around(&function.name, function.memory_mb, aws);
        let own = environment(function, &self.names, &self.options)?;
        all.extend(own.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(all)
    }
}

/// An event that the function answers without an error and with as little work as it can.
pub(super) fn first_event(function: &FunctionSpec) -> String {
    if !function.queue_sources.is_empty() {
        return json!({ "Records": [] }).to_string();
    }
    if let Some(route) = function.routes.first() {
        let http = json!({ "method": route.method, "path": "/nothing", "sourceIp": "127.0.0.1" });
        let context = json!({ "http": http, "requestId": "1", "timeEpoch": 0 });
        let event = json!({
            "version": "2.0", "routeKey": route.key(), "rawPath": "/nothing", "rawQueryString": "",
            "headers": {}, "requestContext": context, "isBase64Encoded": false,
        });
        return event.to_string();
    }
    crate::eventbridge::scheduled(&function.name, jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lending::TEMPLATE;

    #[test]
    fn every_function_of_the_template_has_all_its_settings() {
        let template = Template::parse(TEMPLATE).unwrap();
        let settings = Settings::new(&template).unwrap();
        for function in &template.functions {
            assert!(settings.of(function, "http://127.0.0.1:1").unwrap().len() > 10, "{}", function.name);
        }
    }
}
