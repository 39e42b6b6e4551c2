//! Names that `infra/template.yaml` and the code share. A test in `tests/topology.rs` holds one against the other.

/// Environment settings. The template gives each function those that it reads and no other.
pub mod setting {
    /// Table of journal entries.
    pub const JOURNEYS_TABLE: &str = "JOURNEYS_TABLE";
    /// Table of applicants.
    pub const APPLICANTS_TABLE: &str = "APPLICANTS_TABLE";
    /// Table of the payout ledger.
    pub const PAYOUTS_TABLE: &str = "PAYOUTS_TABLE";
    /// Table of the relation graph.
    pub const RELATIONS_TABLE: &str = "RELATIONS_TABLE";
    /// Table of the firm archive.
    pub const FIRMS_TABLE: &str = "FIRMS_TABLE";
    /// Table of quotas.
    pub const QUOTAS_TABLE: &str = "QUOTAS_TABLE";
    /// Table of sign-ins.
    pub const SIGN_INS_TABLE: &str = "SIGN_INS_TABLE";
    /// Table of notices to channels.
    pub const NOTICES_TABLE: &str = "NOTICES_TABLE";
    /// Table of what is held against endpoints of counterparties.
    pub const ENDPOINTS_TABLE: &str = "ENDPOINTS_TABLE";
    /// Where the metrics of applications are found: each deployment has a place of its own, so that none hides another's.
    pub const METRICS_NAMESPACE: &str = "METRICS_NAMESPACE";
    pub const RELEASE: &str = "RELEASE";

    /// URL of the bucket that banks' statements are put into, and that reports are written to.
    pub const STATEMENTS_URL: &str = "STATEMENTS_URL";
    /// URL of the bucket of models, and of which of them scores which product.
    pub const MODELS_URL: &str = "MODELS_URL";
    /// Public keys of those whose models are trusted, `artpk_…`, space-separated.
    pub const MODEL_SIGNERS: &str = "MODEL_SIGNERS";
    /// Serial of the oldest assignment of models that scores.
    pub const LEAST_ASSIGNMENT: &str = "LEAST_ASSIGNMENT";

    /// ARN of the table of the relation graph, by which an export of it is asked for.
    pub const RELATIONS_ARN: &str = "RELATIONS_ARN";
    /// URL of the bucket that the exports of the relation graph are written into.
    pub const EXPORTS_URL: &str = "EXPORTS_URL";

    /// Queue URLs, one per kind of command.
    pub const FACE_CHECKS_QUEUE: &str = "FACE_CHECKS_QUEUE";
    pub const PHONE_CHECKS_QUEUE: &str = "PHONE_CHECKS_QUEUE";
    pub const SCORES_QUEUE: &str = "SCORES_QUEUE";
    pub const GRAPH_CHECKS_QUEUE: &str = "GRAPH_CHECKS_QUEUE";
    pub const DECISIONS_QUEUE: &str = "DECISIONS_QUEUE";
    pub const NOTICES_QUEUE: &str = "NOTICES_QUEUE";
    /// JSON object: bank → URL of the queue of its payouts.
    pub const PAYOUTS_QUEUES: &str = "PAYOUTS_QUEUES";

    /// Where this API is reached from outside, without a trailing slash; callbacks go there.
    pub const PUBLIC_URL: &str = "PUBLIC_URL";
    /// Base URLs of the counterparties.
    pub const FACE_PROVIDER_URL: &str = "FACE_PROVIDER_URL";
    pub const PHONE_PROVIDER_URL: &str = "PHONE_PROVIDER_URL";
    pub const CHANNEL_URL: &str = "CHANNEL_URL";
    /// JSON object: bank → base URL.
    pub const BANK_URLS: &str = "BANK_URLS";
    /// How long a bank may take to answer, in milliseconds.
    pub const BANK_TIMEOUT_MS: &str = "BANK_TIMEOUT_MS";

    /// How long any other counterparty may take to answer, in milliseconds.
    pub const COUNTERPARTY_TIMEOUT_MS: &str = "COUNTERPARTY_TIMEOUT_MS";

    /// KMS key under which the data keys of personal data are wrapped.
    pub const PERSONAL_DATA_KEY: &str = "PERSONAL_DATA_KEY";
    /// Secret that holds the function's own [`super::secret`] values.
    pub const SECRETS_ARN: &str = "SECRETS_ARN";
    /// Id of the one key that keyed hashes are made with.
    pub const HASH_KEY_ID: &str = "HASH_KEY_ID";
    /// `true` lets counterparties be plain HTTP on private addresses. The local runner alone sets it.
    pub const ALLOW_LOCAL: &str = "ALLOW_LOCAL";
}

/// Secrets, by the names under which they stand in a function's secret. Read at run time, never part of the template.
pub mod secret {
    /// Standard Webhooks secrets, space-separated while one is being rotated.
    pub const FACE_PROVIDER_SECRETS: &str = "FACE_PROVIDER_SECRETS";
    pub const PHONE_PROVIDER_SECRETS: &str = "PHONE_PROVIDER_SECRETS";
    pub const CHANNEL_SECRETS: &str = "CHANNEL_SECRETS";
    /// JSON object: bank → Standard Webhooks secrets, space-separated.
    pub const BANK_SECRETS: &str = "BANK_SECRETS";
    /// Key of the keyed hashes, base64. The one that cannot be rotated.
    pub const HASH_KEY: &str = "HASH_KEY";
    /// Ed25519 keys of the session tokens: PKCS #8, base64, space-separated while one is being rotated.
    pub const TOKEN_KEY: &str = "TOKEN_KEY";

    /// What the secret of each function holds; a function that is not named here has none. One secret for each function,
    /// so that each can read only what it uses, in one call. What two functions use stands in both secrets; a bank's two
    /// are not equal, since `bank-callback` only checks what the bank signs: it gets no private key and no key of bodies.
    pub const BY_FUNCTION: [(&str, &[&str]); 6] = [
        ("bank-callback", &[BANK_SECRETS]),
        ("intake", &[CHANNEL_SECRETS, HASH_KEY, TOKEN_KEY]),
        ("notify", &[CHANNEL_SECRETS]),
        ("payout", &[BANK_SECRETS]),
        ("verify-face", &[FACE_PROVIDER_SECRETS]),
        ("verify-phone", &[PHONE_PROVIDER_SECRETS]),
    ];
}

/// The index of journal entries, and that of notices, by due time.
pub const DUE_INDEX: &str = "due";
/// The index of a payout's resolutions by bank and day.
pub const RESOLVED_INDEX: &str = "resolved";

/// Paths of the callbacks, below [`setting::PUBLIC_URL`].
pub const FACE_CALLBACK_PATH: &str = "/v1/callbacks/face";
pub const PHONE_CALLBACK_PATH: &str = "/v1/callbacks/phone";
pub const BANK_CALLBACK_PATH: &str = "/v1/callbacks/banks";
