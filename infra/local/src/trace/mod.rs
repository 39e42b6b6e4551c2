//! `-- trace`: the way of one application as a waterfall, from the journal, the ledger and the notices of a kept state.

mod draw;
#[cfg(test)]
mod tests;
mod timeline;

pub use draw::waterfall;
pub use timeline::Timeline;

use crate::{lending::Lending, template::local_name};
use aws::{DynamoJournal, DynamoLedger, DynamoNotices};
use clap::Args;
use domain::{
    ApplicationId,
    journey::{Command, Journey},
};
use ports::{
    journal::Journal as _,
    ledger::Ledger as _,
    notices::{Notice, NoticeId, Notices as _},
};
use std::{io::Write, path::Path};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Where nobody can tell how wide the terminal is.
const USUAL_WIDTH: u16 = 100;

/// Whose way, and how it is told.
#[derive(Args)]
pub struct TraceArgs {
    /// The application.
    application: ApplicationId,
    /// Tell it as JSON.
    #[arg(long)]
    json: bool,
}

/// Tells the way of an application in the state folder.
pub async fn run(
    args: &TraceArgs,
    state: &Path,
    keys: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let lending = Lending::at_rest(state, keys).await?;
    let timeline = read(&lending, args.application).await;
    lending.stop().await;
    let timeline = timeline?
        .ok_or_else(|| format!("there is no application {} in {}", args.application, state.display()))?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &timeline)?;
        return Ok(writeln!(out)?);
    }
    let (_, width) = console::Term::stdout().size_checked().unwrap_or((0, USUAL_WIDTH));
    Ok(write!(out, "{}", waterfall(&timeline, usize::from(width)))?)
}

/// The timeline of an application; `None` when there is no such application.
pub async fn read(lending: &Lending, id: ApplicationId) -> Result<Option<Timeline>, AnyError> {
    let client = &lending.aws.dynamodb;
    let entries = DynamoJournal::new(client.clone(), local_name("Journeys")).load(id).await?;
    let events = entries.iter().flat_map(|entry| entry.events.iter().map(move |event| (event, entry.at)));
    let Some(journey) = Journey::fold(events)? else { return Ok(None) };
    let payout = DynamoLedger::new(client.clone(), local_name("Payouts")).get(id.payout_id()).await?;
    let known = DynamoNotices::new(client.clone(), local_name("Notices"));
    let mut notices: Vec<Notice> = Vec::new();
    for command in entries.iter().flat_map(|entry| &entry.commands) {
        if let Command::Notify { status, entry } = *command {
            notices.extend(known.get(NoticeId { application: id, status, entry }).await?);
        }
    }
    Ok(Some(Timeline::of(id, &journey, &entries, payout.as_ref(), &notices)))
}
