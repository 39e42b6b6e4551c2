//! Settings become the function.

use crate::Decider;
use aws::Aws;
use domain::product::Catalogue;
use lambda_kit::Environment;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use strategy::Strategy;
use wiring::{Outside, WireError};

const BY: &str = concat!("decide/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Decider, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Decider, WireError> {
    let products = outside.products()?;
    let strategies = strategies(&products, outside)?;
    Ok(Decider {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        products: Arc::new(products),
        strategies,
    })
}

/// The strategies that the products name, loaded, checked and tried out. A product whose strategy is nowhere stops the
/// function here, and not at its first application.
pub(crate) fn strategies(
    products: &Catalogue,
    outside: &Outside,
) -> Result<BTreeMap<String, Strategy>, WireError> {
    let named: BTreeSet<&str> = products.iter().map(|product| product.strategy.as_str()).collect();
    named.into_iter().map(|name| Ok((name.to_owned(), strategy(name, outside)?))).collect()
}

fn strategy(name: &str, outside: &Outside) -> Result<Strategy, WireError> {
    let given = outside.offering.as_ref().and_then(|offering| offering.strategies.get(name));
    if let Some(text) = given {
        return Strategy::load(name, text).map_err(WireError::other("a strategy of the offering"));
    }
    let packaged = wiring::STRATEGIES.iter().find(|(packaged, _)| *packaged == name);
    let (name, text) = packaged.ok_or_else(|| {
        WireError::other("the catalogue")(format!("there is no strategy {name:?}, which a product names"))
    })?;
    // Loading tries a strategy out, which takes a while, and a simulation wires this function thousands of times.
    static LOADED: Mutex<BTreeMap<&str, Strategy>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(strategy) = loaded.get(name) {
        return Ok(strategy.clone());
    }
    let strategy = Strategy::load(name, text).map_err(WireError::other("a packaged strategy"))?;
    loaded.insert(name, strategy.clone());
    Ok(strategy)
}
