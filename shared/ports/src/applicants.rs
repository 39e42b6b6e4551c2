//! Applicants: the personal data of applications, apart from the journal so that it can be erased and the journal kept.

use crate::PortError;
use async_trait::async_trait;
use domain::{ApplicationId, person::Person};
use jiff::Timestamp;

/// The personal data of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Applicant {
    pub person: Person,
    pub claim: Claimed,
}

/// What is known of a claim without looking at the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// Keyed digest of the whole request; another request under the same idempotency key has another digest.
    pub request_digest: String,
    pub claimed_at: Timestamp,
}

/// What a claim met.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// Nobody was there before.
    New,
    /// The id has been claimed before, whether or not the person has been erased since.
    Taken(Claimed),
}

/// The record of applicants, written once per application. Whoever holds this cannot read a person back.
///
/// A record forgets itself [`domain::erasure::FORGOTTEN_AFTER`] its claim, unless [`Payees`] keeps it: so does the person of
/// an application that never began, was declined, or came to nothing else. What is erased stays erased: its claim is kept.
#[async_trait]
pub trait ApplicantRecords: Send + Sync {
    /// Writes the record unless there is one. The first claim wins: this is what makes a request idempotent.
    async fn claim(&self, id: ApplicationId, applicant: &Applicant) -> Result<Claim, PortError>;

    /// Erases the person. The claim stays, so that the same request again does not bring the person back. Gives the time
    /// of the first erasure; without a record there is nothing to erase, and nothing is written.
    async fn erase(&self, id: ApplicationId, at: Timestamp) -> Result<Timestamp, PortError>;
}

/// Reads applicants, for whoever starts a check.
#[async_trait]
pub trait Applicants: Send + Sync {
    /// The person, strongly consistent; `None` when never claimed, erased or forgotten.
    async fn get(&self, id: ApplicationId) -> Result<Option<Person>, PortError>;
}

/// Reads who is to be paid, for whoever instructs a bank.
#[async_trait]
pub trait Payees: Send + Sync {
    /// The person, who is kept from now on until they are erased; `None` when never claimed, erased or forgotten.
    async fn keep(&self, id: ApplicationId) -> Result<Option<Person>, PortError>;
}
