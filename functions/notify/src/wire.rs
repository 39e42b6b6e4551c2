//! Settings become the function.

use crate::Notify;
use aws::Aws;
use contract::names::{secret, setting};
use counterparties::HttpChannelNotices;
use lambda_kit::Environment;
use std::sync::Arc;
use wiring::{Outside, WireError};

const BY: &str = concat!("notify/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Notify, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Notify, WireError> {
    let channels = HttpChannelNotices::new(
        outside.sender(env, setting::COUNTERPARTY_TIMEOUT_MS)?,
        env.get(setting::CHANNEL_URL)?,
        &wiring::signer(env, secret::CHANNEL_SECRETS)?,
        wiring::guard(env, aws, outside)?,
        outside.clock.clone(),
    )
    .map_err(WireError::other("the address of the channels"))?;
    let notices = wiring::notices(env, aws)?;
    Ok(Notify {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        notices: notices.clone(),
        due: notices,
        channels: Arc::new(channels),
        endpoints: wiring::endpoints(env, aws)?,
    })
}
