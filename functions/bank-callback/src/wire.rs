//! Settings become the function.

use crate::{BankCallbacks, reports::LoanDesk};
use aws::{Aws, DynamoLedger, DynamoLoans, DynamoRelations};
use contract::names::{secret, setting};
use lambda_kit::Environment;
use std::sync::Arc;
use wiring::{Outside, WireError};

const BY: &str = concat!("bank-callback/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<BankCallbacks, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<BankCallbacks, WireError> {
    let secrets = wiring::by_bank(env, secret::BANK_SECRETS)?;
    let verifiers = secrets
        .into_iter()
        .map(|(bank, keys)| Ok((bank, wiring::verifier_of(secret::BANK_SECRETS, &keys)?)))
        .collect::<Result<_, WireError>>()?;
    let payouts = env.get(setting::PAYOUTS_TABLE)?;
    let loans = Arc::new(DynamoLoans::new(aws.dynamodb.clone(), payouts));
    let graph = DynamoRelations::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?);
    Ok(BankCallbacks {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), payouts)),
        loans: LoanDesk { loans: loans.clone(), reports: loans, outcomes: Arc::new(graph) },
        verifiers,
    })
}
