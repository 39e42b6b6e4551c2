//! The ports on AWS: DynamoDB for everything that is kept, SQS for everything that is sent, KMS for the keys of personal
//! data, Secrets Manager for secrets.
//!
//! Triggered by nothing itself; every function holds the adapters that its wiring gives it. Each adapter method makes
//! exactly the calls that its doc names, so that a function's role can grant those and no others. Throttled and lost
//! calls are retried by the SDK (standard mode, three attempts in all); what the adapters retry on top of that, they
//! bound. Errors carry the service's code and request id and never an item: see [`failure`].

mod acts;
mod applicants;
mod batch;
mod connections;
mod due;
mod endpoints;
mod exports;
pub mod failure;
mod firms;
mod item;
mod journal;
mod kms;
mod ledger;
mod ledger_rows;
mod ledger_writes;
mod loans;
mod notices;
mod packed;
mod queue;
mod quotas;
mod relation_rows;
mod relations;
mod rings;
mod secrets;
mod sign_ins;
mod ties;
mod transaction;

pub use applicants::DynamoApplicants;
pub use endpoints::DynamoEndpoints;
pub use exports::DynamoExports;
pub use firms::DynamoFirms;
pub use journal::DynamoJournal;
pub use kms::KmsDataKeys;
pub use ledger::DynamoLedger;
pub use loans::DynamoLoans;
pub use notices::DynamoNotices;
pub use packed::{NotPacked, unpack};
pub use queue::{QueueUrls, SqsCommandQueue};
pub use quotas::DynamoQuotas;
pub use relation_rows::{NotARow, RelationRow, RelationRows};
pub use relations::DynamoRelations;
pub use rings::DynamoRings;
pub use secrets::SecretsManager;
pub use sign_ins::DynamoSignIns;

use aws_config::{
    BehaviorVersion, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::region::ProvideRegion as _,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use connections::Connections;
use std::time::Duration;

/// One client per service. They share credentials and one connection pool: clone, do not load again.
#[derive(Clone, Debug)]
pub struct Aws {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub sqs: aws_sdk_sqs::Client,
    config: SdkConfig,
}

impl Aws {
    /// Clients over a configuration that somebody else loaded, for example that of the embedded engines.
    pub fn from_sdk_config(config: &SdkConfig) -> Self {
        let (dynamodb, sqs) = (aws_sdk_dynamodb::Client::new(config), aws_sdk_sqs::Client::new(config));
        Self::with_clients(dynamodb, sqs, config.clone())
    }

    /// Given clients, and what the clients are made from that only some functions want.
    pub fn with_clients(
        dynamodb: aws_sdk_dynamodb::Client,
        sqs: aws_sdk_sqs::Client,
        config: SdkConfig,
    ) -> Self {
        Self { dynamodb, sqs, config }
    }

    /// A client of KMS. Made when it is asked for, so that it is not part of the functions that never do.
    pub fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config)
    }

    /// A client of Secrets Manager; as [`Self::kms`].
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }

    /// Opens the TLS connection to DynamoDB while Lambda's init phase still has the full CPU; at small memory sizes the
    /// handshake takes longer than a whole request. Needs no permission: DynamoDB answers this call whatever the role says, but
    /// where it comes through an endpoint in a VPC.
    pub async fn warm(&self) {
        if let Err(error) = self.dynamodb.describe_endpoints().send().await {
            tracing::debug!(error = %failure::describe(&error), "the warming call was not answered");
        }
    }
}

/// How long a call may take with its retries.
pub const CALL_WITHIN: Duration = Duration::from_secs(5);

/// Clients for the Lambda function that this runs in: region, credentials and a changed endpoint from its environment,
/// where Lambda puts them, and from nowhere else. The SDK's own search looks through files and metadata services first,
/// and its code for that would be half of what it adds to a binary.
///
/// One attempt may take 2 s and a call with its retries [`CALL_WITHIN`], so that a call that hangs fails with a message and not
/// with the function's own time-out.
pub async fn load() -> Aws {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(CALL_WITHIN)
        .build();
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new().region().await)
        .credentials_provider(credentials)
        .http_client(Connections::default())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3));
    #[expect(clippy::disallowed_methods, reason = "the SDK's setting, which is read once, like its others")]
    let config = match std::env::var("AWS_ENDPOINT_URL") {
        Ok(url) => config.endpoint_url(url),
        Err(_) => config,
    };
    Aws::from_sdk_config(&config.build())
}
