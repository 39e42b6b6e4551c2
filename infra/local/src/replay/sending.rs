//! Sends loans through the HTTP API, a number of borrowers at once, and reads from the journal what became of them.

use super::{applicants, loan::Known, offering::Offered};
use crate::{
    borrower::{Borrower, BorrowerError, ENDS, Wish},
    lending::{Lending, LendingError},
};
use aws::DynamoJournal;
use domain::{
    ApplicationId,
    checks::Score,
    decision::Decision,
    journey::{Event, Journey, Status},
};
use futures::{StreamExt as _, stream};
use indicatif::ProgressBar;
use jiff::{SignedDuration, Timestamp};
use ports::journal::{Entry, Journal as _};
use reqwest::Client;
use signing::KeyedHasher;
use std::time::Duration;

/// How long one application may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Firms that are stored in one go.
const STORED_AT_ONCE: usize = 1_000;
/// Journals read at once.
const READS_AT_ONCE: usize = 16;

/// An application that did not come to an end that the journal tells. Carries no personal data.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Borrower(#[from] BorrowerError),
    #[error(transparent)]
    NotMade(#[from] applicants::NotMade),
    #[error("the journal cannot be read")]
    Journal(#[from] ports::PortError),
    #[error("the journal of the application does not add up")]
    Broken,
}

/// Why no loan was sent at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the hash key is not usable")]
    Key(#[from] signing::KeyError),
    #[error(transparent)]
    NotMade(#[from] applicants::NotMade),
    #[error(transparent)]
    Archive(#[from] LendingError),
}

/// What became of an application, as its journal tells it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub status: Status,
    /// `None` where the application ended before it was scored.
    pub score: Option<Score>,
    /// `None` where it ended undecided.
    pub decision: Option<Decision>,
    /// Received until decided.
    pub to_decision: Option<SignedDuration>,
    /// Received until the last entry.
    pub to_end: SignedDuration,
}

/// Puts the firms of all loans into the archive. The place of a loan in the list is its serial.
pub async fn store(lending: &Lending, loans: &[Known]) -> Result<(), StoreError> {
    let hasher = KeyedHasher::new(&signing::keys::decode_base64(&lending.keys.hash_key)?)?;
    for (chunk, loans) in loans.chunks(STORED_AT_ONCE).enumerate() {
        let serial = |place| (chunk * STORED_AT_ONCE + place) as u32;
        let firms: Result<Vec<_>, _> = loans
            .iter()
            .enumerate()
            .map(|(place, loan)| applicants::firm(loan, serial(place), &hasher))
            .collect();
        lending.store_firms(&firms?).await?;
    }
    Ok(())
}

/// What a loan asks for: the amount that was approved, and the product's one term, because the loan's own gives its outcome
/// away. The offer is accepted in advance.
pub fn wish(known: &Known, offered: &Offered) -> Wish {
    let product = &offered.product;
    Wish {
        product: offered.product_id,
        amount_fen: known.amount_cents,
        term_months: product.terms_months.first().copied().unwrap_or_default(),
        face_recognition: true,
        accept_up_to_bp: Some(product.max_rate_bp.0),
    }
}

/// Sends every loan, and gives the applications in the order of the loans.
pub async fn send(
    lending: &Lending,
    offered: &Offered,
    loans: &[Known],
    borrowers: usize,
    progress: &ProgressBar,
) -> Result<Vec<Result<ApplicationId, SendError>>, reqwest::Error> {
    let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let one = |(serial, known): (usize, &Known)| {
        let client = client.clone();
        let known = known.clone();
        async move {
            let sent = apply(lending, &client, offered, &known, serial as u32).await;
            progress.inc(1);
            (serial, sent)
        }
    };
    let sending = stream::iter(loans.iter().enumerate()).map(one).buffer_unordered(borrowers);
    let mut sent: Vec<(usize, _)> = sending.collect().await;
    sent.sort_by_key(|(serial, _)| *serial);
    Ok(sent.into_iter().map(|(_, sent)| sent).collect())
}

async fn apply(
    lending: &Lending,
    client: &Client,
    offered: &Offered,
    known: &Known,
    serial: u32,
) -> Result<ApplicationId, SendError> {
    let applicant = applicants::applicant(known, serial)?;
    let (url, channel) = (lending.url(), &lending.counterparties.channel_url);
    let borrower = Borrower::sign_in(client, &url, channel, applicant).await?;
    let id = borrower.apply(&wish(known, offered), &format!("replay-{:010}", known.number)).await?;
    borrower.wait_for(&id, &ENDS, PATIENCE).await?;
    id.parse().map_err(|_| SendError::Broken)
}

/// Reads what became of the applications, in their order.
pub async fn read(
    lending: &Lending,
    sent: Vec<Result<ApplicationId, SendError>>,
) -> Vec<Result<Ended, SendError>> {
    let journal = DynamoJournal::new(lending.aws.dynamodb.clone(), crate::template::local_name("Journeys"));
    let one = |sent: Result<ApplicationId, SendError>| {
        let journal = journal.clone();
        async move { ended(&journal.load(sent?).await?).ok_or(SendError::Broken) }
    };
    stream::iter(sent).map(one).buffered(READS_AT_ONCE).collect().await
}

/// What a journal tells; `None` when it does not add up.
pub fn ended(entries: &[Entry]) -> Option<Ended> {
    let events = || entries.iter().flat_map(|entry| entry.events.iter().map(|event| (event, entry.at)));
    let journey = Journey::fold(events()).ok()??;
    let decided: Option<(&Decision, Timestamp)> = events().rev().find_map(|(event, at)| match event {
        Event::Decided { decision, .. } => Some((decision, at)),
        _ => None,
    });
    Some(Ended {
        status: journey.status,
        score: journey.facts.score,
        decision: decided.map(|(decision, _)| decision.clone()),
        to_decision: decided.map(|(_, at)| at.duration_since(journey.received_at)),
        to_end: journey.updated_at.duration_since(journey.received_at),
    })
}
