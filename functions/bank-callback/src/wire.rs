//! Settings become the function.

use crate::BankCallbacks;
use aws::{Aws, DynamoLedger};
use contract::names::setting;
use lambda_kit::Environment;
use ports::{Clock, SystemClock};
use std::sync::Arc;
use wiring::WireError;

const BY: &str = concat!("bank-callback/", env!("CARGO_PKG_VERSION"));

/// Builds the function on the machine's clock.
pub fn wire(env: &Environment, aws: &Aws) -> Result<BankCallbacks, WireError> {
    wire_at(env, aws, Arc::new(SystemClock))
}

/// Builds the function on a given clock.
pub fn wire_at(env: &Environment, aws: &Aws, clock: Arc<dyn Clock>) -> Result<BankCallbacks, WireError> {
    let secrets = wiring::by_bank(env, setting::BANK_SECRETS)?;
    let verifiers = secrets
        .into_iter()
        .map(|(bank, keys)| Ok((bank, wiring::verifier_of(setting::BANK_SECRETS, &keys)?)))
        .collect::<Result<_, WireError>>()?;
    Ok(BankCallbacks {
        journeys: wiring::journeys(env, aws, clock, BY)?,
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        verifiers,
    })
}
