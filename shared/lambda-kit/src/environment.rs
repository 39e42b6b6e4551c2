//! Settings, read once at start.

use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// A function's settings: the process environment on Lambda, the template's values in the local runner.
#[derive(Clone)]
pub struct Environment(HashMap<String, String>);

/// A setting is missing or malformed. Never carries the value, which may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("the setting {0} is missing")]
    Missing(String),
    #[error("the setting {0} is malformed")]
    Malformed(String),
}

impl Environment {
    /// The environment of this process.
    pub fn from_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// Given settings, as the local runner reads them from the template.
    pub fn from_map(settings: HashMap<String, String>) -> Self {
        Self(settings)
    }

    /// All settings, for a process that is given them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same settings and these, which take the place of those of the same name.
    pub fn with(&self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = self.0.clone();
        settings.extend(more);
        Self(settings)
    }

    /// The setting's text.
    pub fn get(&self, name: &str) -> Result<&str, EnvironmentError> {
        self.0.get(name).map(String::as_str).ok_or_else(|| EnvironmentError::Missing(name.to_owned()))
    }

    /// The setting as JSON or as a bare number or word.
    pub fn get_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, EnvironmentError> {
        serde_json::from_str(self.get(name)?).map_err(|_| EnvironmentError::Malformed(name.to_owned()))
    }

    /// Whether the setting is `true`. Absent is `false`.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value == "true")
    }
}
