//! Settings become the function.

use crate::PayOut;
use aws::{Aws, DynamoLedger};
use contract::names::{secret, setting};
use counterparties::{GuardedBanks, HttpBanks};
use lambda_kit::Environment;
use std::sync::Arc;
use wiring::{Outside, WireError};

const BY: &str = concat!("payout/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<PayOut, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<PayOut, WireError> {
    Ok(PayOut {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        payees: wiring::applicants(env, aws, outside)?,
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        bank: Arc::new(GuardedBanks::new(banks(env, outside)?, wiring::guard(env, aws, outside)?)),
        products: Arc::new(outside.products()?),
        public_url: wiring::public_url(env)?,
    })
}

/// Every bank that has an address; each needs keys.
fn banks(env: &Environment, outside: &Outside) -> Result<HttpBanks, WireError> {
    let secrets = wiring::by_bank(env, secret::BANK_SECRETS)?;
    let mut banks = HttpBanks::new(outside.sender(env, setting::BANK_TIMEOUT_MS)?, outside.clock.clone());
    for (bank, url) in wiring::by_bank(env, setting::BANK_URLS)? {
        let keys = secrets.get(&bank).map_or("", String::as_str);
        let signer = wiring::signer_of(secret::BANK_SECRETS, keys)?;
        let sealer = wiring::sealer_of(secret::BANK_SECRETS, keys)?;
        banks = banks.with(&bank, &url, &signer).map_err(WireError::other("the address of a bank"))?;
        banks = banks.sealing(&bank, sealer);
    }
    Ok(banks)
}
