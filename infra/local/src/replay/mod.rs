//! Real loans through the real pipeline: loans of the U.S. Small Business Administration, approved after the model's training
//! window, apply at the HTTP API, travel through journal and queues, are scored and decided on, and what became of them in
//! truth says what the decisions were worth.
//!
//! What an application knows is what was known on the day of approval ([`loan::Known`]); the outcome stays here and meets
//! the score only in the figures. Everything runs in memory and is gone afterwards.

pub mod applicants;
pub mod figures;
pub mod file;
pub mod loan;
pub mod offering;
mod report;
pub mod sending;

use crate::{
    counterparties::CounterpartyOptions,
    lending::{Lending, LendingOptions},
    models,
};
use clap::Args;
use file::{Found, Wanted};
use indicatif::{ProgressBar, ProgressStyle};
use loan::{Known, Outcome};
use offering::{Book, Offered};
use report::Replayed;
use std::{io::Write, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Instant};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Which loans are sent, and how.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The file of loans; models/training/README.md tells how to get it.
    pub csv: PathBuf,
    /// Whose loans they are: names product, strategy and model.
    #[arg(long, value_enum, default_value = "sba")]
    pub model: Book,
    /// Most loans: a fixed sample of those of the years, spread evenly over them.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Fiscal years of approval, all of them after the model's training window: 2006 or 2005-2007.
    #[arg(long, default_value = "2005-2007", value_parser = years)]
    pub years: RangeInclusive<i16>,
    /// Borrowers at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub borrowers: u16,
    /// Folder of the model registry.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/registry"))]
    pub models: PathBuf,
}

/// The replay cannot begin, or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the model has seen the loans up to {0}: --years must begin later")]
    Trained(i16),
    #[error("{0} of the applications did not come to an end")]
    Unfinished(usize),
}

fn years(text: &str) -> Result<RangeInclusive<i16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let year = |text: &str| text.parse::<i16>().ok().filter(|year| (1970..=2100).contains(year));
    match (year(first), year(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("must be a year or two in order, like 2006 or 2005-2007".to_owned()),
    }
}

/// Sends the loans and prints what their applications became.
#[expect(
    clippy::disallowed_methods,
    reason = "the rate of applications is a measurement of the machine's own time"
)]
pub async fn run(args: &ReplayArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let offered = Offered::read(args.model, &args.models)?;
    if *args.years.start() <= offered.trained_up_to {
        return Err(ReplayError::Trained(offered.trained_up_to).into());
    }
    let wanted = Wanted { years: args.years.clone(), limit: args.limit as usize };
    let path = args.csv.clone();
    let found = tokio::task::spawn_blocking(move || file::read(&path, &wanted)).await??;
    report::head(&found, args, out)?;
    let (known, outcomes) = apart(found);
    let counterparties =
        CounterpartyOptions { delay: Some(sim::Delay::NONE), plain_banks: true, ..Default::default() };
    let offering = Some(Arc::new(offered.offering.clone()));
    let lending = Lending::start(LendingOptions { counterparties, offering, ..Default::default() }).await?;
    models::put(&lending, &offered.model).await?;
    sending::store(&lending, &known).await?;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} applications, {per_sec}, {eta} left")?;
    let progress = ProgressBar::new(known.len() as u64).with_style(style);
    let started = Instant::now();
    let sent = sending::send(&lending, &offered, &known, usize::from(args.borrowers), &progress).await?;
    let elapsed = started.elapsed();
    progress.finish_and_clear();
    let ended = sending::read(&lending, sent).await;
    lending.stop().await;
    let replayed = Replayed { offered: &offered, ended: &ended, outcomes: &outcomes, elapsed };
    match report::print(&replayed, args, out)? {
        0 => Ok(()),
        unfinished => Err(ReplayError::Unfinished(unfinished).into()),
    }
}

/// What applications are made of, apart from what they must not know.
fn apart(found: Found) -> (Vec<Known>, Vec<Outcome>) {
    found.loans.into_iter().map(|loan| (loan.known, loan.outcome)).unzip()
}

#[cfg(test)]
mod tests;
