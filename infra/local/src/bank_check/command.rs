//! The command line of `bank-check`.

use super::{CheckError, CheckKeys, CheckKeysError, CheckOptions, TestPayee};
use clap::Args;
use ports::SystemClock;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use url::Url;

/// Without `--secret` and `--keys`, the keys are asked for at the terminal and not shown, or read from a pipe.
#[derive(Args)]
pub struct BankCheckArgs {
    /// The bank's base URL; `/payouts` and `/payouts/query` are below it.
    pub url: Url,
    /// The secret shared with the bank. Other users of this machine can see it: rather use --keys.
    #[arg(long, value_name = "whsec_…", conflicts_with = "keys")]
    pub secret: Option<String>,
    /// File with the keys, separated by white space: whsec_…, or our whsk_… and the bank's whpk_….
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Where to listen for the bank's callbacks.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The URL under which the bank reaches what listens there.
    #[arg(long, value_name = "URL")]
    pub callback_url: Option<Url>,
    /// Allow http and addresses that are not public.
    #[arg(long)]
    pub allow_local: bool,
    /// PEM file with a root certificate to trust besides the public ones.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Amount of each of the about 20 test payouts, in fen.
    #[arg(long, value_name = "FEN", default_value_t = 10_000)]
    pub amount_fen: u64,
    /// Who is paid: a name that the bank's test system knows.
    #[arg(long, value_name = "NAME")]
    pub payee_name: Option<String>,
    /// The payee's bank card.
    #[arg(long, value_name = "NUMBER")]
    pub payee_card: Option<String>,
    /// The firm's unified social credit code.
    #[arg(long, value_name = "CODE")]
    pub payee_firm: Option<String>,
    /// Longest wait for a callback and for its redelivery, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// For machines: one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Why a check gave no good end.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the keys are not usable")]
    Keys(#[from] CheckKeysError),
    #[error("the check could not run")]
    Check(#[from] CheckError),
    #[error("the report could not be written")]
    Write(#[from] io::Error),
    #[error("the endpoint does not meet every required rule")]
    NotCertified,
}

impl BankCheckArgs {
    fn options(&self) -> Result<CheckOptions, CommandError> {
        let keys = match (&self.secret, &self.keys) {
            (Some(secret), _) => CheckKeys::parse(secret)?,
            (None, Some(path)) => CheckKeys::read(path)?,
            (None, None) => CheckKeys::prompt()?,
        };
        let usual = CheckOptions::new(self.url.clone(), keys);
        let payee = TestPayee {
            name: self.payee_name.clone().unwrap_or(usual.payee.name),
            bank_card: self.payee_card.clone().unwrap_or(usual.payee.bank_card),
            firm_code: self.payee_firm.clone().unwrap_or(usual.payee.firm_code),
        };
        Ok(CheckOptions {
            listen: self.listen,
            callback_url: self.callback_url.clone(),
            allow_local: self.allow_local,
            ca: self.ca.clone(),
            amount_fen: self.amount_fen,
            patience: Duration::from_secs(self.timeout),
            payee,
            ..usual
        })
    }
}

/// Runs the check and prints what it found. `Ok` only when every required rule is met.
pub async fn run(args: &BankCheckArgs, out: &mut impl io::Write) -> Result<(), CommandError> {
    let report = super::run(args.options()?, Arc::new(SystemClock)).await?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}\n{}", report.table(), report.summary())?;
    }
    if report.certified { Ok(()) } else { Err(CommandError::NotCertified) }
}
