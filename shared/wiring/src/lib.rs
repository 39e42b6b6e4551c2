//! What the functions' `wire.rs` have in common: settings become adapters.
//!
//! The same wiring runs on Lambda and in the local runner; only the settings and the SDK configuration differ.

mod rotating;

pub use rotating::{READ_AGAIN_AFTER, Rotating, Wire, rotating};

use aws::{
    Aws, DynamoApplicants, DynamoEndpoints, DynamoJournal, DynamoNotices, KmsDataKeys, QueueUrls,
    SqsCommandQueue,
};
use contract::names::{secret, setting};
use counterparties::{BELIEVED_FOR, Guard};
use delivery::{Sender, SenderConfig, Transport};
use domain::product::{Catalogue, CatalogueError};
use lambda_kit::{Environment, EnvironmentError};
use object_store::ObjectStore;
use personal_data::PersonalData;
use ports::{Clock, SystemClock};
use signing::{KeyError, KeyedHasher, Sealer, Signer, Verifier, national::key_id, sealing};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use steps::Journeys;
use telemetry::{MetricLog, StandardOutput, TRACED_PERCENT, Telemetry, Traced, Tracer};

/// Where Lambda says that its X-Ray daemon listens.
const XRAY_DAEMON: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// The products, as packaged with the functions.
const PRODUCTS: &str = include_str!("../../../models/products.json");

/// The strategies that are packaged with the functions, by name: JDM documents.
pub const STRATEGIES: [(&str, &str); 3] = [
    ("standard-2026.11.2", include_str!("../../../models/strategies/standard-2026.11.2.json")),
    ("standard-2026.11.3", include_str!("../../../models/strategies/standard-2026.11.3.json")),
    ("standard-2026.11.4", include_str!("../../../models/strategies/standard-2026.11.4.json")),
];

/// A function cannot start with these settings. Never carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("the key or secret in {name} is not usable")]
    Key {
        name: &'static str,
        #[source]
        source: KeyError,
    },
    #[error(
        "HASH_KEY is not the key that HASH_KEY_ID names; another key makes strangers of all who are known, so it is not rotated"
    )]
    OtherHashKey,
    #[error("the HTTP client cannot be built")]
    Client(#[from] delivery::ClientUnavailable),
    #[error("the product catalogue is not usable")]
    Products(#[from] CatalogueError),
    #[error("{what} is not usable")]
    Other {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl WireError {
    pub fn key(name: &'static str) -> impl FnOnce(KeyError) -> WireError {
        move |source| WireError::Key { name, source }
    }

    pub fn other<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> WireError {
        move |source| WireError::Other { what, source: source.into() }
    }
}

/// What a function has around it besides AWS: the time, and the network to its counterparties.
#[derive(Clone)]
pub struct Outside {
    pub clock: Arc<dyn Clock>,
    /// A simulated network; `None` for the real one.
    pub network: Option<Arc<dyn Transport>>,
    /// What is offered in place of the packaged products; `None` for these.
    pub offering: Option<Arc<Offering>>,
    /// Where metrics go.
    pub metrics: Arc<dyn MetricLog>,
    /// Stands before the buckets; `None` where they refuse by themselves what a role does not allow.
    pub bucket_guard: Option<BucketGuard>,
}

/// Given the setting that names a bucket, and the bucket: the bucket with somebody before it.
pub type BucketGuard = Arc<dyn Fn(&'static str, Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync>;

/// Products, and the strategies that they name.
#[derive(Clone, Debug)]
pub struct Offering {
    pub products: Catalogue,
    /// Name of a strategy document, without its ending, to its text.
    pub strategies: BTreeMap<String, String>,
}

impl Outside {
    /// The machine's clock and the real network, on Lambda.
    pub fn real() -> Self {
        Self { metrics: Arc::new(StandardOutput), ..Self::at(Arc::new(SystemClock)) }
    }

    /// A given clock and the real network.
    pub fn at(clock: Arc<dyn Clock>) -> Self {
        Self { clock, network: None, offering: None, metrics: Arc::new(Traced), bucket_guard: None }
    }

    /// The bucket that a setting names, behind its guard where there is one.
    pub fn guarded(&self, setting: &'static str, bucket: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match &self.bucket_guard {
            Some(guard) => guard(setting, bucket),
            None => bucket,
        }
    }

    /// The products and their banks.
    pub fn products(&self) -> Result<Catalogue, WireError> {
        match &self.offering {
            Some(offering) => Ok(offering.products.clone()),
            None => products(),
        }
    }

    /// The document of a strategy, by the name that a product gives; `None` when it is nowhere.
    pub fn strategy(&self, name: &str) -> Option<&str> {
        let given = self.offering.as_ref().and_then(|offering| offering.strategies.get(name));
        let packaged = || STRATEGIES.iter().find(|(packaged, _)| *packaged == name).map(|(_, text)| *text);
        given.map(String::as_str).or_else(packaged)
    }

    /// The sender of signed HTTP, with its time-out in milliseconds from a setting.
    pub fn sender(&self, env: &Environment, timeout_setting: &str) -> Result<Sender, WireError> {
        if let Some(network) = &self.network {
            return Ok(Sender::over(network.clone()));
        }
        Ok(Sender::new(SenderConfig {
            allow_private_addresses: env.flag(setting::ALLOW_LOCAL),
            total_timeout: Duration::from_millis(env.get_json(timeout_setting)?),
            ..SenderConfig::default()
        })?)
    }
}

/// The memory of notices.
pub fn notices(env: &Environment, aws: &Aws) -> Result<Arc<DynamoNotices>, WireError> {
    Ok(Arc::new(DynamoNotices::new(aws.dynamodb.clone(), env.get(setting::NOTICES_TABLE)?)))
}

/// What is held against the endpoints of counterparties.
pub fn endpoints(env: &Environment, aws: &Aws) -> Result<Arc<DynamoEndpoints>, WireError> {
    Ok(Arc::new(DynamoEndpoints::new(aws.dynamodb.clone(), env.get(setting::ENDPOINTS_TABLE)?)))
}

/// The guard before the endpoints of counterparties.
pub fn guard(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Guard, WireError> {
    Ok(Guard::new(endpoints(env, aws)?, outside.clock.clone(), BELIEVED_FOR))
}

/// The applicants, behind whichever of their ports a function holds.
pub fn applicants(
    env: &Environment,
    aws: &Aws,
    outside: &Outside,
) -> Result<Arc<DynamoApplicants>, WireError> {
    let keys = KmsDataKeys::new(aws.kms(), env.get(setting::PERSONAL_DATA_KEY)?);
    let personal = PersonalData::new(Arc::new(keys), outside.clock.clone());
    let table = env.get(setting::APPLICANTS_TABLE)?;
    Ok(Arc::new(DynamoApplicants::new(aws.dynamodb.clone(), table, Arc::new(personal))))
}

/// The journal table, behind whichever of its ports a function holds.
pub fn journal(env: &Environment, aws: &Aws) -> Result<Arc<DynamoJournal>, WireError> {
    Ok(Arc::new(DynamoJournal::new(aws.dynamodb.clone(), env.get(setting::JOURNEYS_TABLE)?)))
}

/// The queues that the template gives to this function; a command without a queue is an error when it is sent.
pub fn command_queue(env: &Environment, aws: &Aws) -> Result<Arc<SqsCommandQueue>, WireError> {
    let url = |name| env.get(name).ok().map(str::to_owned);
    let urls = QueueUrls {
        face_checks: url(setting::FACE_CHECKS_QUEUE),
        phone_checks: url(setting::PHONE_CHECKS_QUEUE),
        scores: url(setting::SCORES_QUEUE),
        graph_checks: url(setting::GRAPH_CHECKS_QUEUE),
        decisions: url(setting::DECISIONS_QUEUE),
        payouts: match env.get(setting::PAYOUTS_QUEUES) {
            Ok(_) => by_bank(env, setting::PAYOUTS_QUEUES)?,
            Err(_) => BTreeMap::new(),
        },
        notices: url(setting::NOTICES_QUEUE),
    };
    Ok(Arc::new(SqsCommandQueue::new(aws.sqs.clone(), urls)))
}

/// The journeys as the function named by `by` sees them, for example `score/0.1.0`. Behind that name stands the release, which
/// names the commit, so that each entry tells the code that wrote it.
pub fn journeys(env: &Environment, aws: &Aws, outside: &Outside, by: &str) -> Result<Journeys, WireError> {
    let clock = outside.clock.clone();
    let namespace = env.get(setting::METRICS_NAMESPACE)?.to_owned();
    let by: Arc<str> = format!("{by}+{}", env.get(setting::RELEASE)?).into();
    let (lines, tracer) = (outside.metrics.clone(), tracer(env));
    let observer = Arc::new(Telemetry { lines, tracer, namespace, by: Arc::clone(&by) });
    Ok(Journeys { journal: journal(env, aws)?, commands: command_queue(env, aws)?, clock, observer, by })
}

/// To the X-Ray daemon that Lambda names; `None` where it names none, or one that cannot be reached.
fn tracer(env: &Environment) -> Option<Tracer> {
    let daemon = env.get(XRAY_DAEMON).ok()?;
    let tracer = daemon.parse().map_err(std::io::Error::other).and_then(|at| Tracer::new(at, TRACED_PERCENT));
    tracer.inspect_err(|error| tracing::warn!(%error, daemon, "there will be no traces")).ok()
}

/// The products that are packaged with the functions.
pub fn products() -> Result<Catalogue, WireError> {
    Ok(Catalogue::from_json(PRODUCTS)?)
}

/// The keyed hasher of personal values. Its key is for ever: archive, journal and relation graph hold what was hashed under
/// it, and hold nothing that could be hashed anew. So the template names it by its id, and no other key is taken.
pub fn hasher(env: &Environment) -> Result<KeyedHasher, WireError> {
    let key =
        signing::keys::decode_base64(env.get(secret::HASH_KEY)?).map_err(WireError::key(secret::HASH_KEY))?;
    if key_id(&key) != env.get(setting::HASH_KEY_ID)? {
        return Err(WireError::OtherHashKey);
    }
    KeyedHasher::new(&key).map_err(WireError::key(secret::HASH_KEY))
}

/// Signs with the secrets in a setting: all of them while one is being rotated.
pub fn signer(env: &Environment, name: &'static str) -> Result<Signer, WireError> {
    signer_of(name, env.get(name)?)
}

/// Verifies with the secrets in a setting: any of them.
pub fn verifier(env: &Environment, name: &'static str) -> Result<Verifier, WireError> {
    verifier_of(name, env.get(name)?)
}

/// Signs with `secrets`, separated by spaces. Public keys (`whpk_`, `whsm2pk_`) check what the other side signs, body keys
/// (`whenc_`) seal; both are passed over.
pub fn signer_of(name: &'static str, secrets: &str) -> Result<Signer, WireError> {
    Signer::parse(other_than(secrets, &["whpk_", "whsm2pk_", sealing::KEY_PREFIX]))
        .map_err(WireError::key(name))
}

/// Verifies with `secrets`, separated by spaces. Private keys (`whsk_`, `whsm2sk_`) sign what we send, body keys (`whenc_`)
/// seal it; both are passed over.
pub fn verifier_of(name: &'static str, secrets: &str) -> Result<Verifier, WireError> {
    Verifier::parse(other_than(secrets, &["whsk_", "whsm2sk_", sealing::KEY_PREFIX]))
        .map_err(WireError::key(name))
}

/// Seals bodies with the body keys (`whenc_`) among `secrets`, separated by spaces: with the first of them, and opens with
/// any. `None` without a body key: the other side has not asked for sealed bodies.
pub fn sealer_of(name: &'static str, secrets: &str) -> Result<Option<Sealer>, WireError> {
    let mut keys = secrets.split_whitespace().filter(|text| text.starts_with(sealing::KEY_PREFIX)).peekable();
    if keys.peek().is_none() {
        return Ok(None);
    }
    Sealer::parse(keys).map(Some).map_err(WireError::key(name))
}

/// The keys in `secrets` that do not start with one of `prefixes`.
fn other_than<'a>(secrets: &'a str, prefixes: &[&str]) -> impl Iterator<Item = &'a str> {
    secrets.split_whitespace().filter(move |text| !prefixes.iter().any(|prefix| text.starts_with(prefix)))
}

/// Where this API is reached from outside, without a trailing slash.
pub fn public_url(env: &Environment) -> Result<Arc<str>, WireError> {
    Ok(env.get(setting::PUBLIC_URL)?.trim_end_matches('/').into())
}

/// A JSON object of bank → text, as in the settings of the banks.
pub fn by_bank(env: &Environment, name: &str) -> Result<BTreeMap<String, String>, WireError> {
    Ok(env.get_json(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signing::keys::{a256gcm_key, sm2_key_pair, sm4gcm_key, webhook_key_pair, webhook_secret};

    #[test]
    fn our_private_and_their_public_key_share_a_setting_and_each_does_its_own_work() {
        let (ours, _) = webhook_key_pair().unwrap();
        let (_, theirs) = webhook_key_pair().unwrap();
        let both = format!("{ours} {theirs}");
        assert!(signer_of("KEYS", &both).is_ok() && verifier_of("KEYS", &both).is_ok());
        assert!(signer_of("KEYS", &theirs).is_err(), "nothing to sign with");
        assert!(verifier_of("KEYS", &ours).is_err(), "nothing to check with");
    }

    #[test]
    fn keys_of_every_scheme_share_a_setting_and_each_does_its_own_work() {
        let (ours, _) = sm2_key_pair().unwrap();
        let (_, theirs) = sm2_key_pair().unwrap();
        let secret = webhook_secret().unwrap();
        let (aes, sm4) = (a256gcm_key().unwrap(), sm4gcm_key().unwrap());
        let all = format!("{secret} {ours} {theirs} {aes} {sm4}");
        assert!(signer_of("KEYS", &all).is_ok() && verifier_of("KEYS", &all).is_ok());
        let id = "msg_1".parse().unwrap();
        let sealed = sealer_of("KEYS", &all).unwrap().unwrap().seal(&id, b"{}").unwrap();
        let first = sealer_of("KEYS", &aes).unwrap().unwrap();
        assert_eq!(first.open(&id, sealed.as_bytes()).unwrap(), b"{}", "the first body key seals");
        assert!(signer_of("KEYS", &format!("{theirs} {aes}")).is_err(), "nothing to sign with");
        assert!(verifier_of("KEYS", &format!("{ours} {aes}")).is_err(), "nothing to check with");
    }

    #[test]
    fn without_a_body_key_nothing_is_sealed_and_with_a_bad_one_nothing_starts() {
        assert!(sealer_of("KEYS", &webhook_secret().unwrap()).unwrap().is_none());
        assert!(sealer_of("KEYS", "").unwrap().is_none());
        for bad in ["whenc_", "whenc_a256gcm_", "whenc_des_AAAA"] {
            let secrets = format!("{} {bad}", webhook_secret().unwrap());
            assert!(matches!(sealer_of("KEYS", &secrets), Err(WireError::Key { name: "KEYS", .. })), "{bad}");
            assert!(signer_of("KEYS", &secrets).is_ok());
        }
    }

    #[test]
    fn only_the_hashing_key_that_the_template_names_is_taken() {
        let hashing_key = || signing::keys::hashing_key().unwrap();
        let (key, other) = (hashing_key(), hashing_key());
        let id = key_id(&signing::keys::decode_base64(&key).unwrap());
        let settings = |key: &str| {
            let pairs = [(secret::HASH_KEY, key), (setting::HASH_KEY_ID, &id)];
            Environment::from_map(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        assert!(hasher(&settings(&key)).is_ok());
        assert!(matches!(hasher(&settings(&other)), Err(WireError::OtherHashKey)));
    }

    #[test]
    fn an_empty_or_unknown_key_is_refused_and_not_repeated() {
        for text in ["", "  ", "sk_live_secret", "whsec_"] {
            let error = signer_of("KEYS", text).unwrap_err();
            assert!(matches!(error, WireError::Key { name: "KEYS", .. }), "{text}");
            assert!(!format!("{error:?}").contains("secret"), "{text}");
        }
    }
}
