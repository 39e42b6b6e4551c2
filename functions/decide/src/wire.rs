//! Settings become the function.

use crate::Decider;
use aws::Aws;
use lambda_kit::Environment;
use std::sync::{Arc, OnceLock};
use strategy::Strategy;
use wiring::{Outside, WireError};

const BY: &str = concat!("decide/", env!("CARGO_PKG_VERSION"));

/// The strategy in force, as packaged with the function.
const STRATEGY_NAME: &str = "standard-2026.11.2";
const STRATEGY: &str = include_str!("../../../models/strategies/standard-2026.11.2.json");

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Decider, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Decider, WireError> {
    Ok(Decider {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        products: Arc::new(wiring::products()?),
        strategy: strategy()?,
    })
}

/// The packaged strategy, loaded, checked and tried out once per process.
pub fn strategy() -> Result<Strategy, WireError> {
    static LOADED: OnceLock<Strategy> = OnceLock::new();
    if let Some(strategy) = LOADED.get() {
        return Ok(strategy.clone());
    }
    let strategy =
        Strategy::load(STRATEGY_NAME, STRATEGY).map_err(WireError::other("the packaged strategy"))?;
    Ok(LOADED.get_or_init(|| strategy).clone())
}
