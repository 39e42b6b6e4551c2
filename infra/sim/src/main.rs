//! Runs one simulated counterparty until ctrl-C. Key files hold `whsec_` secrets, or the counterparty's private keys and
//! the lender's public ones, separated by white space.

use clap::{Parser, Subcommand};
use sim::{Delay, Keys, bank, channels, providers};
use std::{error::Error, fs, io::Write, path::Path, path::PathBuf, time::Duration};

#[derive(Parser)]
#[command(about = "A simulated counterparty on 127.0.0.1: check providers, a bank or the channels")]
struct Arguments {
    #[command(subcommand)]
    counterparty: Counterparty,
}

#[derive(Subcommand)]
enum Counterparty {
    /// Face check and own-number check.
    Providers {
        /// File with the secrets of the face check.
        #[arg(long)]
        face_keys: PathBuf,
        /// File with the secrets of the phone check.
        #[arg(long)]
        phone_keys: PathBuf,
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Milliseconds before a callback, at least and at most.
        #[arg(long, num_args = 2, default_values_t = [20, 80])]
        delay_ms: Vec<u64>,
        /// Steers one person, such as `face:13800000000=mismatch`. May be given again.
        #[arg(long = "behaviour")]
        behaviours: Vec<providers::Steer>,
    },
    /// A bank that pays out.
    Bank {
        #[arg(long)]
        name: String,
        /// File with the secrets shared with the lender.
        #[arg(long)]
        keys: PathBuf,
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Milliseconds before a payment, at least and at most.
        #[arg(long, num_args = 2, default_values_t = [20, 80])]
        delay_ms: Vec<u64>,
        /// Most that the bank approves for one payout when it decides itself, in fen.
        #[arg(long, default_value_t = 100_000_000)]
        limit_fen: u64,
        /// Keeps the book over restarts.
        #[arg(long)]
        book: Option<PathBuf>,
    },
    /// Mini-program, online bank and mobile bank.
    Channels {
        /// File with the secrets shared with the lender.
        #[arg(long)]
        keys: PathBuf,
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().counterparty {
        Counterparty::Providers { face_keys, phone_keys, port, delay_ms, behaviours } => {
            let mut config = providers::ProvidersConfig::new(read_keys(&face_keys)?, read_keys(&phone_keys)?);
            config.port = port;
            config.delay = delay(&delay_ms);
            config.behaviours = behaviours.into_iter().map(providers::Steer::into_entry).collect();
            let handle = providers::start(config).await?;
            until_ctrl_c(handle.url()).await?;
            handle.stop().await;
        }
        Counterparty::Bank { name, keys, port, delay_ms, limit_fen, book } => {
            let mut config = bank::BankConfig::new(&name, read_keys(&keys)?);
            config.port = port;
            config.delay = delay(&delay_ms);
            config.limit_fen = limit_fen;
            config.book = book;
            let handle = bank::start(config).await?;
            until_ctrl_c(handle.url()).await?;
            handle.stop().await;
        }
        Counterparty::Channels { keys, port } => {
            let mut config = channels::ChannelsConfig::new(read_keys(&keys)?);
            config.port = port;
            let handle = channels::start(config).await?;
            until_ctrl_c(handle.url()).await?;
            handle.stop().await;
        }
    }
    Ok(())
}

fn read_keys(path: &Path) -> Result<Keys, Box<dyn Error>> {
    // The path is not repeated: somebody may have given the secret itself.
    let text = fs::read_to_string(path).map_err(|e| format!("a key file cannot be read ({})", e.kind()))?;
    Ok(Keys::parse(&text)?)
}

fn delay(milliseconds: &[u64]) -> Delay {
    let bound = |at: usize| Duration::from_millis(milliseconds.get(at).copied().unwrap_or_default());
    Delay { shortest: bound(0), longest: bound(1) }
}

async fn until_ctrl_c(url: &str) -> Result<(), std::io::Error> {
    writeln!(std::io::stdout(), "{url}")?;
    tokio::signal::ctrl_c().await
}
