//! The world outside: simulated channels, providers and banks, or real ones in their place.

use crate::keys::Keys;
use signing::KeyError;
use sim::{
    Handle, StartError,
    bank::{self, BankConfig, BankHandle},
    channels::{self, ChannelsConfig, ChannelsHandle},
    providers::{self, ProvidersConfig},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Banks by address, as arguments of a command.
#[derive(clap::Args)]
pub struct BankUrls {
    /// A bank in place of the one that is simulated here: <bank>=<url>. May be given several times.
    #[arg(long, value_name = "BANK=URL", value_parser = bank_url)]
    pub bank_url: Vec<(String, String)>,
}

fn bank_url(text: &str) -> Result<(String, String), String> {
    let (bank, url) = text.split_once('=').ok_or("must be <bank>=<url>")?;
    Ok((bank.to_owned(), url.trim_end_matches('/').to_owned()))
}

/// Who is real, and where simulated ones keep their books.
#[derive(Clone, Default)]
pub struct CounterpartyOptions {
    /// Bank → URL of a real one.
    pub banks: BTreeMap<String, String>,
    /// URL of real providers of both checks.
    pub provider: Option<String>,
    /// Folder for the books of the simulated banks; in memory without one.
    pub books: Option<PathBuf>,
    /// Simulated banks pay whatever they are instructed to: no amount steers them to anything else.
    pub plain_banks: bool,
    /// How long a bank that times out holds its answer.
    pub bank_hold: Option<Duration>,
    /// How long counterparties take; their usual 20 to 80 ms without it.
    pub delay: Option<sim::Delay>,
    /// Where simulated counterparties take the time from; the machine's clock without it.
    pub clock: Option<sim::Clock>,
    /// Holds the callbacks of simulated counterparties back until they are let out one by one.
    pub gate: Option<sim::Gate>,
}

/// Running counterparties.
pub struct Counterparties {
    pub channel_url: String,
    pub provider_url: String,
    /// Bank → URL, simulated or real.
    pub bank_urls: BTreeMap<String, String>,
    /// The simulated banks.
    pub banks: BTreeMap<String, BankHandle>,
    /// The simulated channels.
    pub channels: ChannelsHandle,
    handles: Vec<Handle>,
}

/// A counterparty did not start.
#[derive(Debug, thiserror::Error)]
pub enum CounterpartyError {
    #[error("the secret for {0} is not usable")]
    Key(String, #[source] KeyError),
    #[error("the key file has no secret for the bank {0}")]
    NoKey(String),
    #[error("a simulated counterparty did not start")]
    Start(#[from] StartError),
}

impl Counterparties {
    /// Starts a simulation of every counterparty that no real one stands in for.
    pub async fn start<'a>(
        keys: &Keys,
        banks: impl IntoIterator<Item = &'a str>,
        options: CounterpartyOptions,
    ) -> Result<Self, CounterpartyError> {
        let shared = |name: &str, secrets: &str| {
            sim::Keys::shared(secrets).map_err(|e| CounterpartyError::Key(name.to_owned(), e))
        };
        let mut config = ChannelsConfig::new(shared("the channels", &keys.channels)?);
        config.clock = options.clock.clone().unwrap_or_else(sim::system_clock);
        let channels = channels::start(config).await?;
        let channel_url = channels.url().to_owned();
        let mut handles = Vec::new();
        let provider_url = match options.provider {
            Some(url) => url,
            None => {
                let face = shared("the face check", &keys.face_provider)?;
                let phone = shared("the phone check", &keys.phone_provider)?;
                let mut config = ProvidersConfig::new(face, phone);
                config.delay = options.delay.unwrap_or(config.delay);
                config.redelivery_pause = options.delay.map_or(config.redelivery_pause, |d| d.longest);
                config.clock = options.clock.clone().unwrap_or(config.clock);
                config.gate.clone_from(&options.gate);
                let provider = providers::start(config).await?;
                let url = provider.url().to_owned();
                handles.push(provider);
                url
            }
        };
        let mut bank_urls = options.banks.clone();
        let mut simulated = BTreeMap::new();
        for name in banks {
            if bank_urls.contains_key(name) {
                continue;
            }
            let secrets = keys.banks.get(name).ok_or_else(|| CounterpartyError::NoKey(name.to_owned()))?;
            let mut config = BankConfig::new(name, shared(name, secrets)?);
            config.book = options.books.as_ref().map(|folder| folder.join(format!("{name}.book")));
            config.steered_by_amount = !options.plain_banks;
            config.hold = options.bank_hold.unwrap_or(config.hold);
            config.delay = options.delay.unwrap_or(config.delay);
            config.redelivery_pause = options.delay.map_or(config.redelivery_pause, |d| d.longest);
            config.clock = options.clock.clone().unwrap_or(config.clock);
            config.gate.clone_from(&options.gate);
            let handle = bank::start(config).await?;
            bank_urls.insert(name.to_owned(), handle.url().to_owned());
            simulated.insert(name.to_owned(), handle);
        }
        Ok(Self { channel_url, provider_url, bank_urls, banks: simulated, channels, handles })
    }

    /// Waits until no simulated counterparty has a callback or a payment under way.
    pub async fn idle(&self) {
        for handle in &self.handles {
            handle.idle().await;
        }
        for bank in self.banks.values() {
            bank.idle().await;
        }
    }

    /// How many callbacks and payments of simulated counterparties are under way.
    pub fn under_way(&self) -> usize {
        let providers = self.handles.iter().map(Handle::under_way);
        providers.chain(self.banks.values().map(|bank| bank.under_way())).sum()
    }

    /// Stops what was started.
    pub async fn stop(self) {
        self.channels.stop().await;
        for handle in self.handles {
            handle.stop().await;
        }
        for bank in self.banks.into_values() {
            bank.stop().await;
        }
    }
}
