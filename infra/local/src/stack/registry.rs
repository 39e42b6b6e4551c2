//! The code that a stack runs.

use super::{AnyError, StackError};
use aws::Aws;
use lambda_kit::{Environment, Function};
use std::{collections::BTreeMap, sync::Arc};

type Build = Box<dyn Fn(&Environment, &Aws) -> Result<Arc<dyn Function>, AnyError> + Send + Sync>;

/// The code of the functions, by local name.
#[derive(Default)]
pub struct Registry(pub(super) BTreeMap<String, Build>);

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
