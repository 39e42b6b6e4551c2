//! Simulated counterparties: check providers, banks and channels that speak real HTTP with real signatures.
//!
//! Each is a server on the loopback interface, started with `start(config)` and stopped through its handle. The
//! lender's signed requests trigger it; it answers, and posts its own signed callbacks, again up to five times when
//! the lender answers 5xx or not at all. It reads and writes only its own memory (a bank also its book file).
//!
//! None of this shares a wire type with the product. A counterparty has its own code, and a mistake in ours must not be
//! made on both sides.
//!
//! | module | plays | steered by |
//! |---|---|---|
//! | [`providers`] | face check and own-number check | the last four digits of the phone number |
//! | [`bank`] | a bank that pays out | the last two digits of the amount in yuan |
//! | [`channels`] | the back ends of mini-program, online bank and mobile bank | what is posted to `/codes` |
//!
//! All three also run alone: `cargo run -p sim -- bank --help`.

pub mod bank;
pub mod channels;
pub mod providers;

mod book;
mod courier;
mod gate;
mod request;
mod server;

pub use gate::Gate;
pub use server::{Handle, StartError};

use jiff::Timestamp;
use signing::{KeyError, KeyedHash, KeyedHasher, Sealer, Secret, Signer, Verifier, VerifyKey, sealing};
use std::{sync::Arc, time::Duration};

/// Where a simulated counterparty takes the time from. A test hands in the clock of the system it tests.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "a counterparty has a clock of its own")]
pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// Keys between one counterparty and the lender.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs this side's callbacks.
    pub own: Signer,
    /// Checks the lender's requests.
    pub lender: Verifier,
    /// Opens the lender's bodies. With it, a body that is not sealed is refused.
    pub opens: Option<Sealer>,
}

impl Keys {
    /// One set of `whsec_` secrets, separated by white space, for both directions; and body keys (`whenc_`) where bodies
    /// are to be sealed.
    pub fn shared(secrets: &str) -> Result<Self, KeyError> {
        let (sealing, signing) = body_keys_and_others(secrets);
        Ok(Self {
            own: Signer::parse(signing.iter().copied())?,
            lender: Verifier::parse(signing)?,
            opens: opener(sealing)?,
        })
    }

    /// Keys of any kind, separated by white space: a private key (`whsk_`, `whsm2sk_`) signs this side's callbacks, a
    /// public key (`whpk_`, `whsm2pk_`) checks the lender's requests, a shared secret (`whsec_`) does both, a body key
    /// (`whenc_`) opens the lender's bodies.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (mut own, mut lender) = (Vec::new(), Vec::new());
        let (sealing, signing) = body_keys_and_others(text);
        for text in signing {
            let (secret, key) = (Secret::parse(text), VerifyKey::parse(text));
            // A key of the other kind has the wrong prefix; any other complaint is about the key itself.
            if let (Err(KeyError::Prefix), Err(error)) | (Err(error), Err(_)) = (&secret, &key) {
                return Err(*error);
            }
            own.extend(secret);
            lender.extend(key);
        }
        Ok(Self { own: Signer::new(own)?, lender: Verifier::new(lender)?, opens: opener(sealing)? })
    }
}

fn body_keys_and_others(text: &str) -> (Vec<&str>, Vec<&str>) {
    text.split_whitespace().partition(|key| key.starts_with(sealing::KEY_PREFIX))
}

fn opener(keys: Vec<&str>) -> Result<Option<Sealer>, KeyError> {
    if keys.is_empty() { Ok(None) } else { Sealer::parse(keys).map(Some) }
}

/// How long a counterparty takes before it calls back: between two bounds, the same for the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    pub shortest: Duration,
    pub longest: Duration,
}

impl Delay {
    pub const NONE: Self = Self { shortest: Duration::ZERO, longest: Duration::ZERO };

    /// Spread over the bounds by the message's name, so that a run can be repeated exactly.
    fn of(self, name: &str) -> Duration {
        let span = u64::try_from(self.longest.saturating_sub(self.shortest).as_micros()).unwrap_or(u64::MAX);
        let place = digest("delay", name).to_bytes()[0];
        self.shortest + Duration::from_micros(span / 255 * u64::from(place))
    }
}

impl Default for Delay {
    /// 20 to 80 ms.
    fn default() -> Self {
        Self { shortest: Duration::from_millis(20), longest: Duration::from_millis(80) }
    }
}

/// Waits, unless there is nothing to wait for.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// A repeatable short name for a value. The key is public, so this hides nothing; it only spreads and shortens.
fn digest(kind: &str, value: &str) -> KeyedHash {
    KeyedHasher::from([0x5a; 32]).hash(kind, value)
}

#[cfg(test)]
mod testing;
