//! Settings become the function.

use crate::{PayOut, dealings::ALONE_FOR};
use aws::{Aws, DynamoLedger};
use contract::names::setting;
use counterparties::HttpBanks;
use lambda_kit::Environment;
use ports::{Clock, SystemClock};
use std::sync::Arc;
use wiring::WireError;

const BY: &str = concat!("payout/", env!("CARGO_PKG_VERSION"));

/// Builds the function on the machine's clock.
pub fn wire(env: &Environment, aws: &Aws) -> Result<PayOut, WireError> {
    wire_at(env, aws, Arc::new(SystemClock))
}

/// Builds the function on a given clock.
pub fn wire_at(env: &Environment, aws: &Aws, clock: Arc<dyn Clock>) -> Result<PayOut, WireError> {
    Ok(PayOut {
        journeys: wiring::journeys(env, aws, clock.clone(), BY)?,
        applicants: wiring::journal(env, aws)?,
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        bank: Arc::new(banks(env, clock)?),
        products: Arc::new(wiring::products()?),
        public_url: wiring::public_url(env)?,
        alone_for: ALONE_FOR,
    })
}

/// Every bank that has an address; each needs keys.
fn banks(env: &Environment, clock: Arc<dyn Clock>) -> Result<HttpBanks, WireError> {
    let secrets = wiring::by_bank(env, setting::BANK_SECRETS)?;
    let mut banks = HttpBanks::new(wiring::sender(env, Some(setting::BANK_TIMEOUT_MS))?, clock);
    for (bank, url) in wiring::by_bank(env, setting::BANK_URLS)? {
        let keys = secrets.get(&bank).map_or("", String::as_str);
        let signer = wiring::signer_of(setting::BANK_SECRETS, keys)?;
        banks = banks.with(&bank, &url, &signer).map_err(WireError::other("the address of a bank"))?;
    }
    Ok(banks)
}
