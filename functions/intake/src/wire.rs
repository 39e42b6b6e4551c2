//! Settings become the function.

use crate::Intake;
use aws::{Aws, DynamoFirms, DynamoLoans, DynamoQuotas, DynamoRelations, DynamoSignIns};
use contract::names::{secret, setting};
use counterparties::HttpChannelExchange;
use lambda_kit::Environment;
use signing::{KeyedHasher, TokenIssuer, TokenVerifier};
use std::sync::Arc;
use wiring::{Outside, WireError};

const BY: &str = concat!("intake/", env!("CARGO_PKG_VERSION"));
/// Who issues session tokens, and for whom.
const ISSUER: &str = "301-lending";
const AUDIENCE: &str = "borrower";

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Intake, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Intake, WireError> {
    let hasher = wiring::hasher(env)?;
    let (issuer, verifier) = tokens(env, &hasher)?;
    let signer = wiring::signer(env, secret::CHANNEL_SECRETS)?;
    let channels = HttpChannelExchange::new(
        outside.sender(env, setting::COUNTERPARTY_TIMEOUT_MS)?,
        env.get(setting::CHANNEL_URL)?,
        signer,
        outside.clock.clone(),
    )
    .map_err(WireError::other("the address of the channels"))?;
    Ok(Intake {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        applicants: wiring::applicants(env, aws, outside)?,
        firms: Arc::new(DynamoFirms::new(aws.dynamodb.clone(), env.get(setting::FIRMS_TABLE)?)),
        loans: Arc::new(DynamoLoans::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        sign_ins: Arc::new(DynamoSignIns::new(aws.dynamodb.clone(), env.get(setting::SIGN_INS_TABLE)?)),
        acts: Arc::new(DynamoRelations::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?)),
        quotas: Arc::new(DynamoQuotas::new(aws.dynamodb.clone(), env.get(setting::QUOTAS_TABLE)?)),
        channels: Arc::new(channels),
        clock: outside.clock.clone(),
        products: outside.products()?,
        hasher,
        issuer,
        verifier,
    })
}

/// The first key signs; every key listed is trusted, so that the next one can be added before it signs.
fn tokens(env: &Environment, hasher: &KeyedHasher) -> Result<(TokenIssuer, TokenVerifier), WireError> {
    let wrong = WireError::key;
    let mut issuers = Vec::new();
    for text in env.get(secret::TOKEN_KEY)?.split_whitespace() {
        let pkcs8 = signing::keys::decode_base64(text).map_err(wrong(secret::TOKEN_KEY))?;
        let kid = hasher.hash("token_key", text).to_string();
        let issuer = TokenIssuer::new(&pkcs8, &kid, ISSUER, AUDIENCE).map_err(wrong(secret::TOKEN_KEY))?;
        issuers.push((kid, issuer));
    }
    let keys = issuers.iter().map(|(kid, issuer)| (kid.as_str(), issuer.public_key()));
    let verifier = TokenVerifier::new(keys, ISSUER, AUDIENCE).map_err(wrong(secret::TOKEN_KEY))?;
    // `TokenVerifier::new` refuses an empty list, so there is a first key.
    match issuers.into_iter().next() {
        Some((_, issuer)) => Ok((issuer, verifier)),
        None => Err(wrong(secret::TOKEN_KEY)(signing::KeyError::Missing)),
    }
}
