//! `-- deployed`: what is done on a deployment from outside of it, and what stands around one in a rehearsal. Tables are
//! found by the region and the credentials of this machine, as the AWS command line finds them.

use crate::{
    borrower::Pace,
    counterparties::{BankUrls, Counterparties, CounterpartyOptions},
    demo::{self, Place},
    keys::Keys,
    load::{self, Loaded},
    people,
};
use aws::{DynamoFirms, DynamoRelations};
use aws_config::BehaviorVersion;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ports::{Clock as _, SystemClock, firms::FirmLoader as _, relation::TieLoader as _};
use serde_json::json;
use signing::KeyedHasher;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is done.
#[derive(Args)]
pub struct DeployedArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Load firms into the archive: a folder of CSV files as `load` takes it. `--keys` names the file whose `hash_key` the
    /// deployment's secret has.
    Firms {
        folder: PathBuf,
        /// The stack's output FirmsTable.
        #[arg(long)]
        table: String,
        /// The stack's output RelationsTable: what ties the firms to each other.
        #[arg(long)]
        relations: String,
    },
    /// Run simulated channels, providers and banks until ctrl-C. The first line that is printed is a JSON object: the template's
    /// parameters that tell of them.
    Counterparties {
        /// Folder for the books of the banks.
        #[arg(long)]
        books: Option<PathBuf>,
    },
    /// Play the demo against the API with the first city, whose firms it must have, and with simulated counterparties:
    /// `--bank-url` names each bank.
    Demo {
        /// Base URL of the API.
        #[arg(long)]
        url: String,
        /// Where the simulated channels issue codes.
        #[arg(long)]
        channel_url: String,
        /// Milliseconds between two borrowers.
        #[arg(long, default_value_t = 1_000)]
        come_every: u64,
        /// Seconds that an application may take.
        #[arg(long, default_value_t = 60)]
        patience: u64,
        /// Milliseconds between two looks at an application.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(20..))]
        look_every: u64,
        #[command(flatten)]
        banks: BankUrls,
    },
}

/// Does what was asked for; `Ok(false)` when the demo did not end as it should.
pub async fn run(
    args: &DeployedArgs,
    keys: Option<&Path>,
    city: &Path,
    out: &mut impl Write,
) -> Result<bool, AnyError> {
    match &args.action {
        Action::Firms { folder, table, relations } => {
            load_firms(folder, table, relations, &keys_of(keys)?, out).await?;
            Ok(true)
        }
        Action::Counterparties { books } => {
            stand_around(&keys_of(keys)?, books.clone(), out).await?;
            Ok(true)
        }
        Action::Demo { url, channel_url, come_every, patience, look_every, banks } => {
            let place = Place {
                url: url.trim_end_matches('/').to_owned(),
                channel_url: channel_url.trim_end_matches('/').to_owned(),
                banks: banks_by_product(&banks.bank_url)?,
                pace: Pace {
                    come_every: Duration::from_millis(*come_every),
                    look_every: Duration::from_millis(*look_every),
                    patience: Duration::from_secs(*patience),
                },
            };
            play(&place, city, out).await
        }
    }
}

/// Keys that were made here would be nobody's.
fn keys_of(path: Option<&Path>) -> Result<Keys, AnyError> {
    let path =
        path.filter(|path| path.exists()).ok_or("--keys must name the file with the deployment's keys")?;
    Ok(Keys::load_or_generate(path, [])?)
}

async fn stand_around(keys: &Keys, books: Option<PathBuf>, out: &mut impl Write) -> Result<(), AnyError> {
    let products = wiring::products()?;
    let banks: BTreeSet<&str> = products.iter().map(|product| product.bank.as_str()).collect();
    let options = CounterpartyOptions { books, ..CounterpartyOptions::default() };
    let counterparties = Counterparties::start(keys, banks, options).await?;
    let parameters = json!({
        "FaceProviderUrl": counterparties.provider_url,
        "PhoneProviderUrl": counterparties.provider_url,
        "ChannelUrl": counterparties.channel_url,
        "BankUrls": counterparties.bank_urls,
        "ModelSigners": keys.model_signer()?,
    });
    writeln!(out, "{parameters}")?;
    tokio::signal::ctrl_c().await?;
    counterparties.stop().await;
    Ok(())
}

async fn load_firms(
    folder: &Path,
    table: &str,
    relations: &str,
    keys: &Keys,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let loaded = read(folder, &keys.hash_key, SystemClock.now())?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    DynamoFirms::new(dynamodb.clone(), table).put(&loaded.firms).await?;
    DynamoRelations::new(dynamodb, relations).tie(&loaded.ties).await?;
    for refused in &loaded.refused {
        writeln!(out, "  {refused}")?;
    }
    let (firms, ties, refused) = (loaded.firms.len(), loaded.ties.len(), loaded.refused.len());
    writeln!(out, "{firms} firms are in {table}, {ties} ties in {relations}; {refused} rows refused.")?;
    Ok(())
}

fn read(folder: &Path, hash_key: &str, now: Timestamp) -> Result<Loaded, AnyError> {
    let hasher = KeyedHasher::new(&signing::keys::decode_base64(hash_key)?)?;
    Ok(load::load(folder, &hasher, domain::calendar::day_in_china(now))?)
}

/// A product's loans are reported by the bank that pays it out.
fn banks_by_product(banks: &[(String, String)]) -> Result<BTreeMap<String, String>, AnyError> {
    let products = wiring::products()?;
    let known = |bank: &String| products.iter().any(|product| product.bank == *bank);
    if let Some((unknown, _)) = banks.iter().find(|(bank, _)| !known(bank)) {
        return Err(format!("no product is of the bank {unknown}").into());
    }
    let banks: BTreeMap<&str, &str> = banks.iter().map(|(bank, url)| (bank.as_str(), url.as_str())).collect();
    let of = |product: &domain::product::Product| {
        Some((product.id.clone(), (*banks.get(product.bank.as_str())?).to_owned()))
    };
    Ok(products.iter().filter_map(of).collect())
}

async fn play(place: &Place, city: &Path, out: &mut impl Write) -> Result<bool, AnyError> {
    let now = SystemClock.now();
    // Owners are picked by their scores and named in clear; hashes are the deployment's.
    let loaded = read(city, &signing::keys::hashing_key()?, now)?;
    let owners = people::owners(city, &loaded, domain::calendar::day_in_china(now))?;
    let run = (now.as_second() % 90_000) as u32;
    demo::run_at(place, &owners, &loaded.ties, run, out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_reports_the_loans_of_its_own_products_and_an_unknown_one_is_refused() {
        let river = ("river-bank".to_owned(), "http://river".to_owned());
        let banks = banks_by_product(std::slice::from_ref(&river)).unwrap();
        assert_eq!(banks["river-quick"], "http://river");
        assert!(!banks.contains_key("lake-steady"), "its bank is not simulated");
        let error = banks_by_product(&[river, ("rivr-bank".to_owned(), String::new())]).unwrap_err();
        assert_eq!(error.to_string(), "no product is of the bank rivr-bank");
    }
}
