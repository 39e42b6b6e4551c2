//! The embedded engines: DynamoDB on SQLite, SQS in memory, and what is used of KMS and Secrets Manager, in this process,
//! behind the AWS SDK.
//!
//! [`Engines::sdk_config`] carries an HTTP client that never opens a socket: each request that the SDK has built and
//! signed is answered here by the engine of its service. The adapters run on it unchanged. On the way every call is
//! counted ([`Engines::calls`]), every message sent wakes whoever polls ([`Engines::sent`]), and calls can be made to
//! fail before or after their effect ([`Engines::faults`]). What the role of a function does not allow is refused
//! ([`Engines::enforce`]).

mod calls;
mod connector;
pub(crate) mod dynamodb;
mod endpoint;
mod export;
mod faults;
pub(crate) mod kms;
mod secrets;
pub(crate) mod spec;
mod writes;

pub use calls::CallCount;
pub use endpoint::Endpoint;
pub use export::table_arn;
pub use faults::{Fault, Faults};
pub use kms::MasterKey;
pub use spec::{AttributeType, IndexSpec, KeyAttribute, KeySpec, Projection, QueueSpec, TableSpec};
pub use writes::Write;

use crate::{roles::Roles, template::Template};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use connector::{EmbeddedClient, EmbeddedServices};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// The file that holds all tables, in the data folder.
const DATABASE_FILE: &str = "tables.sqlite";
/// Any region would do; the engines are in none. Requests to routes that IAM guards are signed for it.
pub const REGION: &str = "ap-southeast-1";

/// Who calls, where it is no function: the runner itself, or a test.
pub const RUNNER: &str = "runner";

/// What the SDK does with a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// It tries three times in all.
    AsOnAws,
    /// It gives up: an injected fault reaches the caller.
    None,
}

/// Whether an earlier run has left tables in a folder.
pub fn are_tables_in(folder: &Path) -> bool {
    folder.join(DATABASE_FILE).exists()
}

/// Where the engines keep what they hold.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Folder for the tables; it is made when missing. `None` keeps them in memory, for as long as the engines run.
    /// Queues are always in memory: after a restart the sweeper brings stuck journeys back, as it would on AWS.
    pub data_dir: Option<PathBuf>,
    /// The key under which KMS wraps data keys. `None` makes one for as long as the engines run.
    pub master_key: Option<MasterKey>,
}

/// Why the engines could not do what they were asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the data folder cannot be used")]
    DataFolder(#[source] std::io::Error),
    #[error("there is no usable master key")]
    MasterKey,
    #[error("the tables cannot be opened: {0}")]
    Open(String),
    #[error("table {table} is in the data folder with other keys or indexes; start with a fresh folder")]
    OtherShape { table: String },
    #[error("{attempted} {name}")]
    Refused {
        attempted: &'static str,
        name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The running engines. Dropping them without [`Engines::stop`] loses nothing that was answered.
#[derive(Debug)]
pub struct Engines {
    services: Arc<EmbeddedServices>,
    config: SdkConfig,
}

impl Engines {
    /// Opens the tables and starts the engines.
    pub fn start(options: EngineOptions) -> Result<Self, EngineError> {
        let file = match options.data_dir {
            Some(folder) => {
                std::fs::create_dir_all(&folder).map_err(EngineError::DataFolder)?;
                Some(folder.join(DATABASE_FILE))
            }
            None => None,
        };
        let master = options.master_key.or_else(MasterKey::generate).ok_or(EngineError::MasterKey)?;
        let services = Arc::new(EmbeddedServices::start(file.as_deref(), &master)?);
        let config = sdk_config(Arc::clone(&services), RUNNER, Retries::AsOnAws);
        Ok(Self { services, config })
    }

    /// The configuration to make the runner's own clients from.
    pub fn sdk_config(&self) -> SdkConfig {
        self.config.clone()
    }

    /// The configuration to make the clients of a function from: what they call is counted for it.
    pub fn sdk_config_for(&self, caller: &str, retries: Retries) -> SdkConfig {
        sdk_config(Arc::clone(&self.services), caller, retries)
    }

    /// Serves the engines over HTTP to a caller that runs in a process of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn serve(&self, caller: &str) -> std::io::Result<Endpoint> {
        let client = EmbeddedClient { services: Arc::clone(&self.services), caller: caller.into() };
        endpoint::serve(client).await
    }

    /// Makes the table unless it is there. One that is there with other keys or indexes is an error.
    pub async fn create_table(&self, table: &TableSpec) -> Result<(), EngineError> {
        spec::create_table(&aws_sdk_dynamodb::Client::new(&self.config), table).await
    }

    /// Makes the queue, and first its dead-letter queue, unless they are there. Returns the queue's URL.
    pub async fn create_queue(&self, queue: &QueueSpec) -> Result<String, EngineError> {
        spec::create_queue(&aws_sdk_sqs::Client::new(&self.config), queue).await
    }

    /// Makes a secret of that name, or a new version of it.
    pub fn put_secret(&self, name: &str, text: impl Into<String>) {
        self.services.secrets.put(name, text.into());
    }

    /// What has been called since the start or the last reset, by `dynamodb:PutItem`, `sqs:SendMessage`, ….
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.services.calls.all()
    }

    /// The same for each caller: a function by its local name, or [`RUNNER`].
    pub fn calls_by_caller(&self) -> BTreeMap<String, BTreeMap<String, CallCount>> {
        self.services.calls.by_caller()
    }

    /// Starts counting from zero.
    pub fn reset_calls(&self) {
        self.services.calls.reset();
    }

    /// What was written since the last call of this; it is kept from the first call on.
    pub fn take_writes(&self) -> Vec<Write> {
        self.services.writes.take()
    }

    /// From here on a function's calls are refused unless its role in the template allows them. The first template holds.
    pub fn enforce(&self, template: &Template) -> Arc<Roles> {
        Arc::clone(self.services.roles.get_or_init(|| Arc::new(Roles::of(template))))
    }

    /// The rules by which calls fail.
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }

    /// From here on exports are begun and never finished, or are finished again.
    pub fn leave_exports_unfinished(&self, unfinished: bool) {
        self.services.dynamodb.leave_exports_unfinished(unfinished);
    }

    /// Changes whenever messages were sent to any queue, so that a poller needs no clock to find them. A message that
    /// comes back after its visibility timeout does not show here.
    pub fn sent(&self) -> watch::Receiver<u64> {
        self.services.sent.subscribe()
    }

    /// Finishes the calls that have begun, closes the tables and returns once the file is closed. Calls after that fail
    /// as if the network were down.
    pub async fn stop(self) {
        self.services.stop().await;
    }
}

fn sdk_config(services: Arc<EmbeddedServices>, caller: &str, retries: Retries) -> SdkConfig {
    let retries = match retries {
        // As many attempts as on AWS, without its long waits: there is nobody here to be spared.
        Retries::AsOnAws => {
            RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(5))
        }
        Retries::None => RetryConfig::disabled(),
    };
    let client = EmbeddedClient { services, caller: caller.into() };
    // The engines check that a request is signed and not by whom.
    let anyone = Credentials::new("local", "local", None, None, "embedded engines");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(anyone))
        .http_client(SharedHttpClient::new(client))
        .retry_config(retries)
        .build()
}
