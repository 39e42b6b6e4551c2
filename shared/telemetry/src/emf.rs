//! Lines of the log in CloudWatch's embedded metric format, of which it makes metrics by itself: no permission, no call.
//!
//! Written here and not with a crate: a line is a JSON object with one more key, and `metrique`, which AWS keeps, brings
//! 55 crates for it into every function, and a queue that has to be emptied before Lambda halts the process.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Where metrics are found whose dimension is a function, whose name tells the deployment.
pub const FUNCTIONS_NAMESPACE: &str = "Lending";

/// One line: what is only told, and what becomes metrics.
#[derive(Clone, Debug)]
pub struct Line {
    fields: Map<String, Value>,
    directives: Vec<Value>,
    at: Timestamp,
}

impl Line {
    /// A line about something that happened then.
    pub fn at(at: Timestamp) -> Self {
        Self { fields: Map::new(), directives: Vec::new(), at }
    }

    /// Something to be told: a dimension's value, or what only a search of the log will ask for.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// A metric with at most one dimension; without a name it has none. The dimension's value is a field.
    #[must_use]
    pub fn metric(
        self,
        namespace: &str,
        dimension: &str,
        name: &str,
        unit: &str,
        value: impl Into<Value>,
    ) -> Self {
        let dimensions: Vec<&str> = Some(dimension).into_iter().filter(|name| !name.is_empty()).collect();
        self.with(name, value).directive(
            namespace,
            json!([dimensions]),
            json!([{ "Name": name, "Unit": unit }]),
        )
    }

    /// Makes metrics of fields: `dimensions` is a list of lists of fields' names, `metrics` a list of `{Name, Unit}`.
    #[must_use]
    pub fn directive(mut self, namespace: &str, dimensions: Value, metrics: Value) -> Self {
        self.directives.push(json!({ "Namespace": namespace, "Dimensions": dimensions, "Metrics": metrics }));
        self
    }

    /// JSON. A line without metrics carries its time all the same.
    pub fn text(mut self) -> String {
        let at = self.at.as_millisecond();
        match self.directives.is_empty() {
            true => self.fields.insert("timestamp".to_owned(), json!(at)),
            false => self
                .fields
                .insert("_aws".to_owned(), json!({ "Timestamp": at, "CloudWatchMetrics": self.directives })),
        };
        Value::Object(self.fields).to_string()
    }
}
