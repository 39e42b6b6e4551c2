//! Holds what the API answers to its document: of every answer in every test, the status stands in the document and the body
//! has its schema and no field more; and what the API took was what the document asks for. What is wrong fails the test when
//! its application goes, since most requests come from simulated counterparties, whom a broken connection only makes try again.

use jsonschema::Validator;
use local::gateway::{HttpAnswer, HttpRequest, Witness};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// What was answered in a test and does not stand in the document; dropping it fails the test if there is anything.
#[derive(Default)]
pub struct Undocumented(Arc<Mutex<Vec<String>>>);

impl Undocumented {
    pub(crate) fn witness(&self) -> Witness {
        let all = Arc::clone(&self.0);
        Arc::new(move |request, answer| {
            all.lock().unwrap_or_else(PoisonError::into_inner).extend(faults(request, answer));
        })
    }
}

impl Drop for Undocumented {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(all.is_empty(), "{:#?}", *all);
        }
    }
}

/// Bodies by their content type.
type Bodies = BTreeMap<String, Validator>;

/// What stands in the document about one operation.
struct Operation {
    method: String,
    /// Segments of the path; `None` for a parameter.
    path: Vec<Option<String>>,
    request: Option<Validator>,
    /// By status, and under `default` of any other.
    responses: BTreeMap<String, Bodies>,
}

impl Operation {
    fn is_of(&self, request: &HttpRequest) -> bool {
        let segments: Vec<&str> = request.path.split('/').collect();
        let fits = |(wanted, given): (&Option<String>, &&str)| wanted.as_ref().is_none_or(|w| w == given);
        self.method == request.method
            && self.path.len() == segments.len()
            && self.path.iter().zip(&segments).all(fits)
    }

    /// The bodies that an answer of this status may have. Only an outage of ours needs no status of its own.
    fn bodies(&self, status: u16) -> Option<&Bodies> {
        let any = self.responses.get("default").filter(|_| status >= 500);
        self.responses.get(&status.to_string()).or(any)
    }
}

fn operations() -> &'static [Operation] {
    static OPERATIONS: OnceLock<Vec<Operation>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let document: Value = serde_json::from_str(&contract::openapi::document()).expect("JSON");
        let mut components = document["components"].clone();
        for schema in components["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            close(schema, true);
        }
        let paths = entries(&document["paths"]);
        let operations = paths.flat_map(|(path, methods)| {
            entries(methods).map(move |(method, operation)| (path, method, operation))
        });
        operations.map(|(path, method, operation)| read(&components, path, method, operation)).collect()
    })
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn read(components: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let segment = |segment: &str| (!segment.starts_with('{')).then(|| segment.to_owned());
    let bodies = |content: &Value| -> Bodies {
        let with_schema = entries(content).filter(|(kind, _)| kind.ends_with("json"));
        with_schema.map(|(kind, body)| (kind.clone(), validator(components, &body["schema"]))).collect()
    };
    let responses = entries(&operation["responses"]);
    Operation {
        method: method.to_uppercase(),
        path: path.split('/').map(segment).collect(),
        request: bodies(&operation["requestBody"]["content"]).into_values().next(),
        responses: responses.map(|(status, answer)| (status.clone(), bodies(&answer["content"]))).collect(),
    }
}

/// A schema of the document, with what it refers to.
fn validator(components: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    close(&mut whole, false);
    whole["components"] = components.clone();
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).expect("a schema")
}

/// Lets objects have the fields that the document names and no others. A part of a whole leaves that to the whole.
fn close(schema: &mut Value, is_part: bool) {
    let Value::Object(object) = schema else { return };
    let has_fields = ["$ref", "properties", "allOf"].iter().any(|name| object.contains_key(*name));
    if has_fields && !is_part && !object.contains_key("additionalProperties") {
        object.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    for (name, value) in object {
        match (name.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                fields.values_mut().for_each(|field| close(field, false));
            }
            ("items", item) => close(item, false),
            ("oneOf" | "anyOf", Value::Array(some)) => some.iter_mut().for_each(|one| close(one, is_part)),
            ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(|part| close(part, true)),
            _ => {}
        }
    }
}

/// What API Gateway says by itself is not the document's business.
fn is_of_the_gateway(answer: &HttpAnswer) -> bool {
    let body = answer.json();
    body.as_object().is_some_and(|body| body.len() == 1 && body.contains_key("message"))
}

/// Where request and answer are not as the document has them.
fn faults(request: &HttpRequest, answer: &HttpAnswer) -> Vec<String> {
    let operation = operations().iter().find(|operation| operation.is_of(request));
    let Some(operation) = operation.filter(|_| !is_of_the_gateway(answer)) else { return Vec::new() };
    let what = format!("{} {} → {}", request.method, request.path, answer.status);
    let Some(known) = operation.bodies(answer.status) else {
        return vec![format!("{what}: the document knows no such status")];
    };
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    let mut wrong = match known.get(kind) {
        Some(schema) => misfits(&what, schema, &answer.json()),
        None if kind.ends_with("json") || !known.is_empty() => {
            vec![format!("{what}: the document has no body of {kind}")]
        }
        None => Vec::new(),
    };
    // A sealed body is none to look at.
    let asked = serde_json::from_slice(&request.body).ok();
    if let (true, Some(schema), Some(asked)) = (answer.status < 300, &operation.request, asked) {
        wrong.extend(misfits(&format!("{what}, what was asked"), schema, &asked));
    }
    wrong
}

fn misfits(what: &str, schema: &Validator, body: &Value) -> Vec<String> {
    schema.iter_errors(body).map(|error| format!("{what}: {}: {error}", error.instance_path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> HttpRequest {
        HttpRequest { method: method.to_owned(), path: path.to_owned(), ..HttpRequest::default() }
    }

    fn answered(status: u16, body: &Value) -> HttpAnswer {
        let kind = if status < 300 { "application/json" } else { "application/problem+json" };
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        HttpAnswer { status, headers, body: body.to_string().into_bytes() }
    }

    #[test]
    fn what_stands_in_the_document_is_no_fault_and_everything_else_is() {
        let firm = asked("GET", "/v1/firms/91350100M000100Y43");
        let known = json!({ "firm_code": "91350100M000100Y43", "name": "云海" });
        let problem = json!({ "type": "/problems/not-found", "title": "none", "status": 404 });
        assert_eq!(faults(&firm, &answered(200, &known)), Vec::<String>::new());
        assert_eq!(faults(&firm, &answered(404, &problem)), Vec::<String>::new());
        assert_eq!(faults(&firm, &answered(503, &problem)), Vec::<String>::new());
        let more = json!({ "firm_code": "91350100M000100Y43", "phone": "13800000000" });
        let of_another_kind = json!({ "firm_code": 7 });
        for (status, body) in [(200, &more), (200, &of_another_kind), (202, &known), (503, &known)] {
            assert_ne!(faults(&firm, &answered(status, body)), Vec::<String>::new(), "{status} {body}");
        }
    }

    #[test]
    fn parts_of_a_whole_and_what_may_be_null_are_closed_as_well() {
        let application = asked("GET", "/v1/applications/7");
        let body = |loan: Value| {
            json!({
                "application_id": "0d1b4a52-7f0e-4c63-8a50-8d7d3c1f2a11", "status": "paid_out",
                "firm": { "firm_code": "91350100M000100Y43" }, "product": "river-quick", "amount_fen": 1,
                "term_months": 12, "reasons": [], "updated_at": "2026-11-23T02:00:00Z", "loan": loan,
            })
        };
        let loan = json!({ "outstanding_principal_fen": 1, "overdue_days": 0, "settled": false });
        let more =
            json!({ "outstanding_principal_fen": 1, "overdue_days": 0, "settled": false, "card": "6" });
        for (loan, is_right) in [(Value::Null, true), (loan, true), (more, false)] {
            let found = faults(&application, &answered(200, &body(loan)));
            assert_eq!(found.is_empty(), is_right, "{found:?}");
        }
        let rings = asked("GET", "/v1/rings");
        let ring = |more: &str| {
            let id = "0d1b4a52-7f0e-4c63-8a50-8d7d3c1f2a11";
            json!({ "rings": [{
                "ring": id, "also_known_as": [], "seen_at": "2026-11-23T02:00:00Z", "found_by": id,
                "applications": 3, "firms": 3, more: "",
            }] })
        };
        assert_ne!(faults(&rings, &answered(200, &ring("phone"))), Vec::<String>::new());
        let mut right = ring("phone");
        right["rings"][0].as_object_mut().unwrap().remove("phone");
        assert_eq!(faults(&rings, &answered(200, &right)), Vec::<String>::new());
    }

    #[test]
    fn what_was_taken_is_what_the_document_asks_for() {
        let session = json!({ "token": "t", "expires_in_seconds": 900 });
        let with = |body: &Value| HttpRequest {
            body: body.to_string().into_bytes(),
            ..asked("POST", "/v1/sessions")
        };
        let right = with(&json!({ "channel": "mini_program", "code": "once" }));
        assert_eq!(faults(&right, &answered(201, &session)), Vec::<String>::new());
        let wrong = with(&json!({ "channel": "letter", "code": "once" }));
        assert_ne!(faults(&wrong, &answered(201, &session)), Vec::<String>::new());
    }

    #[test]
    #[should_panic(expected = "knows no such status")]
    fn an_answer_that_is_not_documented_fails_its_test() {
        let undocumented = Undocumented::default();
        undocumented.witness()(&asked("GET", "/v1/products"), &answered(299, &json!([])));
    }
}
