//! Holds what the API answers to its document: in every test, every answer of a route has a status that the document names,
//! and a body of the schema that it gives; and what the API took was what the document asks for.

use jsonschema::Validator;
use local::gateway::{HttpAnswer, HttpRequest};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::OnceLock};

/// What stands in the document about one operation.
struct Operation {
    method: String,
    /// Segments of the path; `None` for a parameter.
    path: Vec<Option<String>>,
    request: Option<Validator>,
    /// By status: the schema of each content type.
    responses: BTreeMap<u16, BTreeMap<String, Validator>>,
}

impl Operation {
    fn is_of(&self, request: &HttpRequest) -> bool {
        let segments: Vec<&str> = request.path.split('/').collect();
        let fits = |(wanted, given): (&Option<String>, &&str)| wanted.as_ref().is_none_or(|w| w == given);
        self.method == request.method
            && self.path.len() == segments.len()
            && self.path.iter().zip(&segments).all(fits)
    }
}

fn operations() -> &'static [Operation] {
    static OPERATIONS: OnceLock<Vec<Operation>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let document: Value = serde_json::from_str(&contract::openapi::document()).expect("JSON");
        let mut operations = Vec::new();
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in entries(methods) {
                operations.push(read(&document, path, method, operation));
            }
        }
        operations
    })
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let segment = |segment: &str| (!segment.starts_with('{')).then(|| segment.to_owned());
    let by_type = |content: &Value| -> BTreeMap<String, Validator> {
        let with_schema = entries(content).filter(|(kind, _)| kind.ends_with("json"));
        with_schema.map(|(kind, body)| (kind.clone(), validator(document, &body["schema"]))).collect()
    };
    let responses = entries(&operation["responses"]);
    Operation {
        method: method.to_uppercase(),
        path: path.split('/').map(segment).collect(),
        request: by_type(&operation["requestBody"]["content"]).into_values().next(),
        responses: responses
            .map(|(status, response)| (status.parse().expect("a status"), by_type(&response["content"])))
            .collect(),
    }
}

/// A schema of the document, with what it refers to.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = json!({ "components": document["components"] });
    for (name, value) in entries(schema) {
        whole[name] = value.clone();
    }
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).expect("a schema")
}

/// What API Gateway says by itself is not the document's business.
fn is_of_the_gateway(answer: &HttpAnswer) -> bool {
    let body = answer.json();
    body.as_object().is_some_and(|body| body.len() == 1 && body.contains_key("message"))
}

/// # Panics
/// Where request or answer are not as the document has them.
pub(crate) fn check(request: &HttpRequest, answer: &HttpAnswer) {
    let Some(operation) = operations().iter().find(|operation| operation.is_of(request)) else { return };
    if is_of_the_gateway(answer) {
        return;
    }
    let what = format!("{} {} → {}", request.method, request.path, answer.status);
    // An outage of ours may follow any request.
    if answer.status < 500 {
        let known = operation.responses.get(&answer.status);
        let known = known.unwrap_or_else(|| panic!("{what}: the document knows no such status"));
        let kind = answer.header("content-type").unwrap_or_default();
        match known.get(kind) {
            Some(schema) => fits(&what, schema, &answer.json()),
            None => assert!(!kind.ends_with("json"), "{what}: the document has no body of {kind}"),
        }
    }
    // A sealed body is none to look at.
    let asked = serde_json::from_slice(&request.body).ok();
    if let (true, Some(schema), Some(asked)) = (answer.status < 300, &operation.request, asked) {
        fits(&format!("{what}, what was asked"), schema, &asked);
    }
}

fn fits(what: &str, schema: &Validator, body: &Value) {
    let wrong: Vec<String> =
        schema.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}
