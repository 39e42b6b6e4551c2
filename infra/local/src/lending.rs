//! The whole product in one process: engines, counterparties, the stack of the template, and the firms.

use crate::{
    counterparties::{Counterparties, CounterpartyError, CounterpartyOptions},
    engines::{self, EngineError, EngineOptions, Engines, table_arn},
    gateway::{self, Witness},
    keys::{Keys, KeysError},
    load::Loaded,
    processes::Processes,
    roles::{self, Roles},
    stack::{Registry, Stack, StackError, StackOptions},
    template::{Template, TemplateError, local_name},
};
use aws::{Aws, DynamoFirms, DynamoRelations};
use contract::names::{secret, setting};
use domain::{FirmRecord, product::Catalogue};
use ports::{Clock, SystemClock, firms::FirmLoader as _, relation::TieLoader as _};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use telemetry::MetricLog;
use wiring::{Offering, Outside};

/// The template, as it was when this binary was built.
pub(crate) const TEMPLATE: &str = include_str!("../../template.yaml");

/// How the product is run.
#[derive(Clone)]
pub struct LendingOptions {
    /// Folder for state and keys; everything in memory without one.
    pub state: Option<PathBuf>,
    /// A key file of the user's own, in place of the one in the state folder.
    pub keys: Option<PathBuf>,
    /// Port of the API on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Where counterparties reach the API; `None` where they are on this machine.
    pub public_url: Option<String>,
    pub counterparties: CounterpartyOptions,
    /// How long a bank may take to answer; `None` for as long as the template says.
    pub bank_timeout: Option<Duration>,
    /// How often the functions run that look after journeys and notices.
    pub sweep_every: Duration,
    /// Pollers and schedules run by themselves. Without, a test drives them.
    pub background: bool,
    /// Whether the SDK tries failed calls again.
    pub sdk_retries: bool,
    pub clock: Arc<dyn Clock>,
    /// What is offered in place of the packaged products; `None` for these.
    pub offering: Option<Arc<Offering>>,
    /// Where every function runs in a process of its own, as on Lambda; `None` for all of them in this one.
    pub processes: Option<Arc<Processes>>,
    /// Where metrics go; the trace of this program keeps them without one.
    pub metrics: Option<Arc<dyn MetricLog>>,
    /// Sees what the API is asked and answers.
    pub witness: Option<Witness>,
}

impl Default for LendingOptions {
    fn default() -> Self {
        Self {
            state: None,
            keys: None,
            port: 0,
            public_url: None,
            counterparties: CounterpartyOptions::default(),
            bank_timeout: Some(Duration::from_secs(2)),
            sweep_every: Duration::from_secs(5),
            background: true,
            sdk_retries: true,
            clock: Arc::new(SystemClock),
            offering: None,
            processes: None,
            metrics: None,
            witness: None,
        }
    }
}

/// Why the product did not start.
#[derive(Debug, thiserror::Error)]
pub enum LendingError {
    #[error("there is no state in {}: run the demo first", .0.display())]
    NoState(PathBuf),
    #[error("the state in {} is in use by another process; --state names another folder", .0.display())]
    InUse(PathBuf),
    #[error("{} is gone, and without it nobody can read the tables beside it: put it back, or --fresh starts over", .0.display())]
    KeysGone(PathBuf),
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Counterparty(#[from] CounterpartyError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("the products cannot be used")]
    Products(#[from] wiring::WireError),
    #[error("the port {port} cannot be used; --port names another one")]
    Port {
        port: u16,
        #[source]
        source: std::io::Error,
    },
    #[error("a folder, a file or an address of this machine cannot be used")]
    Machine(#[source] std::io::Error),
    #[error("the firms cannot be stored")]
    Firms(#[from] ports::PortError),
}

/// The running product.
pub struct Lending {
    pub stack: Stack,
    pub counterparties: Counterparties,
    pub engines: Engines,
    pub aws: Aws,
    /// What the functions may call, and what of it they have used.
    pub roles: Arc<Roles>,
    pub keys: Keys,
    pub products: Catalogue,
    /// Stands for the buckets of statements and of models.
    pub files: Files,
    address: SocketAddr,
    firms_table: String,
    /// Keeps the state folder to this process while it runs.
    _hold: Option<Hold>,
}

/// A state folder that is kept to one running process. Commands that only look at it do not ask for it.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "dropping it gives the folder up")] File);

/// The key file of a state folder.
const KEYS: &str = "keys.json";

/// The file by which a process holds a state folder.
const IN_USE: &str = "in-use";

/// Forgets what earlier runs left in a state folder, but for its keys and the key file that is given, which counterparties
/// and a deployment may share.
///
/// # Errors
/// [`LendingError::InUse`] while a process runs on it; [`LendingError::Machine`] where it cannot be deleted.
pub fn forget(state: &Path, keys: Option<&Path>) -> Result<(), LendingError> {
    if !state.exists() {
        return Ok(());
    }
    let _hold = Hold::of(state)?;
    let forgotten = || {
        let kept = keys.map(Path::canonicalize).transpose()?;
        for entry in std::fs::read_dir(state.canonicalize()?)? {
            let path = entry?.path();
            let is_kept = kept.as_ref().is_some_and(|kept| kept.starts_with(&path));
            match path.is_dir() {
                _ if is_kept || path.ends_with(KEYS) || path.ends_with(IN_USE) => {}
                true => std::fs::remove_dir_all(path)?,
                false => std::fs::remove_file(path)?,
            }
        }
        Ok(())
    };
    forgotten().map_err(LendingError::Machine)
}

impl Hold {
    /// # Errors
    /// [`LendingError::InUse`] while another process has it.
    pub fn of(state: &Path) -> Result<Self, LendingError> {
        let failed = LendingError::Machine;
        let file = File::create(state.join(IN_USE)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LendingError::InUse(state.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// The folder that stands for the buckets of statements and of models; a passing one while nothing else is kept.
pub enum Files {
    Kept(PathBuf),
    Passing(tempfile::TempDir),
}

impl Files {
    /// The files of a state folder, or passing ones.
    pub fn at(state: Option<&Path>) -> std::io::Result<Self> {
        let Some(state) = state else { return Ok(Files::Passing(tempfile::tempdir()?)) };
        let folder = state.join("files");
        std::fs::create_dir_all(&folder)?;
        Ok(Files::Kept(folder.canonicalize()?))
    }

    /// An absolute path.
    pub fn path(&self) -> &Path {
        match self {
            Files::Kept(folder) => folder,
            Files::Passing(folder) => folder.path(),
        }
    }

    /// The bucket of models, beside the statements.
    pub fn models_url(&self) -> String {
        format!("file://{}/models", self.path().display())
    }

    /// The bucket of exports, beside them.
    pub fn exports_url(&self) -> String {
        format!("file://{}/exports", self.path().display())
    }

    /// Puts a file into it, as somebody would upload it.
    pub fn put(&self, key: &str, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path().join(key);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, bytes)
    }
}

impl Lending {
    pub async fn start(options: LendingOptions) -> Result<Self, LendingError> {
        let machine = LendingError::Machine;
        let template = Template::parse(TEMPLATE)?;
        let mut inner = Outside { offering: options.offering.clone(), ..Outside::at(options.clock.clone()) };
        inner.metrics = options.metrics.clone().unwrap_or(inner.metrics);
        let products = inner.products()?;
        let banks: BTreeSet<&str> = products.iter().map(|p| p.bank.as_str()).collect();
        if let Some(folder) = &options.state {
            std::fs::create_dir_all(folder).map_err(machine)?;
        }
        let held = options.state.as_deref().filter(|_| options.background);
        let hold = held.map(Hold::of).transpose()?;
        let files = Files::at(options.state.as_deref()).map_err(machine)?;
        let key_file = options.keys.clone().or_else(|| options.state.as_ref().map(|s| s.join(KEYS)));
        if let (Some(folder), Some(keys)) = (&options.state, &key_file)
            && engines::are_tables_in(folder)
            && !keys.exists()
        {
            return Err(LendingError::KeysGone(keys.clone()));
        }
        let keys = match &options.state {
            Some(state) => Keys::given_or_own(options.keys.as_deref(), state, banks.iter().copied())?,
            None => Keys::generate(banks.iter().copied())?,
        };
        let port = options.port;
        let bound = gateway::bind(port).await;
        let listener = bound.map_err(|source| LendingError::Port { port, source })?;
        let address = listener.local_addr().map_err(machine)?;
        let mut outside = options.counterparties.clone();
        outside.books = outside.books.or_else(|| options.state.clone());
        let counterparties = Counterparties::start(&keys, banks.iter().copied(), outside).await?;
        let engines = {
            let master_key = Some(keys.master_key()?);
            Engines::start(EngineOptions { data_dir: options.state.clone(), master_key })?
        };
        put_secrets(&engines, &keys);
        let stack_options = stack_options(&options, &keys, &counterparties, &files, address)?;
        let roles = engines.enforce(&template);
        let registry = match &options.processes {
            Some(processes) => processes.registry(&template, &engines).await.map_err(machine)?,
            None => registry_of(&inner, &roles),
        };
        let registry = Arc::new(registry);
        let stack = Stack::start(&template, &engines, &registry, stack_options).await?;
        stack.serve(listener).map_err(machine)?;
        if options.background {
            stack.run();
        }
        let config = engines.sdk_config();
        let aws = Aws::from_sdk_config(&config);
        let firms_table = local_name("Firms");
        Ok(Self {
            stack,
            counterparties,
            engines,
            aws,
            roles,
            keys,
            products,
            files,
            address,
            firms_table,
            _hold: hold,
        })
    }

    /// On the state that an earlier run left, without anything that runs by itself: for commands that look at it.
    ///
    /// # Errors
    /// [`LendingError::NoState`], and as [`Self::start`].
    pub async fn at_rest(state: &Path, keys: Option<&Path>) -> Result<Self, LendingError> {
        if !state.is_dir() {
            return Err(LendingError::NoState(state.to_owned()));
        }
        let (state, keys) = (Some(state.to_owned()), keys.map(Path::to_owned));
        Self::start(LendingOptions { state, keys, background: false, ..LendingOptions::default() }).await
    }

    /// Base URL of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts what was read from a folder where it belongs: firms into the archive, their ties into the relation graph.
    pub async fn store(&self, loaded: &Loaded) -> Result<(), LendingError> {
        self.store_firms(&loaded.firms).await?;
        let graph = DynamoRelations::new(self.aws.dynamodb.clone(), local_name("Relations"));
        Ok(graph.tie(&loaded.ties).await?)
    }

    /// Puts firms into the archive.
    pub async fn store_firms(&self, firms: &[FirmRecord]) -> Result<(), LendingError> {
        let archive = DynamoFirms::new(self.aws.dynamodb.clone(), self.firms_table.clone());
        archive.put(firms).await?;
        Ok(())
    }

    /// Stops taking requests, finishes what has begun, and ends.
    pub async fn stop(self) {
        self.stack.stop().await;
        self.counterparties.stop().await;
        drop(self.stack);
        self.engines.stop().await;
    }
}

/// The code of every function, in one world and under its role.
pub(crate) fn registry_of(outside: &Outside, roles: &Arc<Roles>) -> Registry {
    let mut registry = Registry::new();
    macro_rules! inside {
        ($($name:literal => $wire_in:path),* $(,)?) => {$({
            let outside = Outside { bucket_guard: Some(roles::guard(roles, $name)), ..outside.clone() };
            let build = move |env: &lambda_kit::Environment, aws: &Aws| $wire_in(env, aws, &outside);
            registry = registry.with($name, build);
        })*};
    }
    inside! {
        "analyst" => analyst::wire_in,
        "intake" => intake::wire_in,
        "verify-face" => verify_face::wire_in,
        "verify-phone" => verify_phone::wire_in,
        "score" => score::wire_in,
        "graph-check" => graph_check::wire_in,
        "decide" => decide::wire_in,
        "payout" => payout::wire_in,
        "bank-callback" => bank_callback::wire_in,
        "label-rings" => label_rings::wire_in,
        "monitor" => monitor::wire_in,
        "notify" => notify::wire_in,
        "reconcile" => reconcile::wire_in,
        "sweeper" => sweeper::wire_in,
    }
    registry
}

/// Puts the secrets of the key file where the functions read them. Running functions take them up within minutes.
pub fn put_secrets(engines: &Engines, keys: &Keys) {
    for (function, _) in secret::BY_FUNCTION {
        if let Some(text) = keys.secret_of(function) {
            engines.put_secret(&format!("{function}-secrets"), text);
        }
    }
}

/// Stands for the release of a deployment, and is as long.
pub(crate) const RELEASE: &str = "0000000000-000000000000";

/// The template's parameters and settings, with local values.
fn stack_options(
    options: &LendingOptions,
    keys: &Keys,
    outside: &Counterparties,
    files: &Files,
    address: SocketAddr,
) -> Result<StackOptions, KeysError> {
    let url = options.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let bank_urls = json!(outside.bank_urls).to_string();
    let parameters = BTreeMap::from([
        ("PublicUrl".to_owned(), url),
        ("Release".to_owned(), RELEASE.to_owned()),
        ("FaceProviderUrl".to_owned(), outside.provider_url.clone()),
        ("PhoneProviderUrl".to_owned(), outside.provider_url.clone()),
        ("ChannelUrl".to_owned(), outside.channel_url.clone()),
        ("BankUrls".to_owned(), bank_urls),
        ("ModelSigners".to_owned(), keys.model_signer()?),
        ("HashKeyId".to_owned(), keys.hash_key_id()?),
    ]);
    let settings = [
        (setting::STATEMENTS_URL, format!("file://{}", files.path().display())),
        (setting::MODELS_URL, files.models_url()),
        (setting::EXPORTS_URL, files.exports_url()),
        (setting::RELATIONS_ARN, table_arn(&crate::template::local_name("Relations"))),
        (setting::ALLOW_LOCAL, "true".to_owned()),
    ];
    let bank_timeout =
        options.bank_timeout.map(|wait| (setting::BANK_TIMEOUT_MS, wait.as_millis().to_string()));
    let settings = settings.into_iter().chain(bank_timeout);
    Ok(StackOptions {
        parameters,
        settings: settings.map(|(name, value)| (name.to_owned(), value)).collect(),
        schedule_every: Some(options.sweep_every),
        redelivery: Some(Duration::from_secs(1)),
        sdk_retries: options.sdk_retries,
        signer: Some(keys.analyst()?),
        clock: options.clock.clone(),
        witness: options.witness.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_runs_left_is_forgotten_but_for_the_keys_and_not_under_a_process_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        std::fs::create_dir_all(state.join("files/drift")).unwrap();
        for name in [KEYS, "tables.sqlite", "files/drift/report.json"] {
            std::fs::write(state.join(name), name).unwrap();
        }
        let shared = state.join("shared.json");
        std::fs::write(&shared, "{}").unwrap();
        let held = Hold::of(state).unwrap();
        assert!(matches!(forget(state, None), Err(LendingError::InUse(_))));
        drop(held);
        let left = |keys: Option<&Path>| {
            forget(state, keys).unwrap();
            let entries = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
            entries.map(|name| name.into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        assert_eq!(left(Some(&shared)), [IN_USE, KEYS, "shared.json"].map(str::to_owned).into());
        assert_eq!(left(None), [IN_USE, KEYS].map(str::to_owned).into());
        forget(&state.join("nowhere"), None).unwrap();
    }
}
