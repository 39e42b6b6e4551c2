//! Applicants: one item per application, apart from the journal, every personal value sealed into its place.
//!
//! | attribute | |
//! |---|---|
//! | `pk` | application id |
//! | `name`, `resident_id`, `phone`, `bank_card` | envelopes, see [`personal_data`]; gone once erased |
//! | `key` | wrapped form of the data key of these four; gone with them |
//! | `request_digest`, `claimed_at` | of the first request |
//! | `mark` | which attempt wrote the item |
//! | `erased_at` | once erased |
//! | `expires_at` | TTL attribute, seconds since 1970; gone once a bank is about to be instructed, or the person erased |

use crate::{
    failure::port_error,
    item::{Item, Reader, Unreadable, bytes, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure},
};
use domain::{
    ApplicationId,
    erasure::FORGOTTEN_AFTER,
    person::{BankCard, Person, PersonName, Phone, ResidentId},
};
use jiff::Timestamp;
use personal_data::{FieldKey, PersonalData, Place};
use ports::{
    PortError,
    applicants::{Applicant, ApplicantRecords, Applicants, Claim, Claimed, Payees},
};
use std::sync::Arc;
use uuid::Uuid;

/// The table's name in the seals. It never changes, whatever the table is called where it is deployed.
const TABLE: &str = "applicants";
const NAME: &str = "name";
const RESIDENT_ID: &str = "resident_id";
const PHONE: &str = "phone";
const BANK_CARD: &str = "bank_card";

const CLAIMING: &str = "claiming an application";
const ERASING: &str = "erasing an applicant";
const READING: &str = "reading an applicant";
const KEEPING: &str = "keeping a payee";

/// The table `applicants`.
#[derive(Clone, Debug)]
pub struct DynamoApplicants {
    client: Client,
    table: String,
    personal: Arc<PersonalData>,
}

impl DynamoApplicants {
    pub fn new(client: Client, table: impl Into<String>, personal: Arc<PersonalData>) -> Self {
        Self { client, table: table.into(), personal }
    }

    /// The whole item of a claim.
    async fn item(&self, id: ApplicationId, applicant: &Applicant, mark: &str) -> Result<Item, PortError> {
        let (row, person) = (id.to_string(), &applicant.person);
        let key = self.personal.sealing_key().await?;
        let mut item = Item::from([
            ("pk".to_owned(), text(row.as_str())),
            ("key".to_owned(), bytes(key.wrapped())),
            ("request_digest".to_owned(), text(applicant.claim.request_digest.as_str())),
            ("claimed_at".to_owned(), text(applicant.claim.claimed_at.to_string())),
            ("expires_at".to_owned(), number(forgotten_at(applicant.claim.claimed_at))),
            ("mark".to_owned(), text(mark)),
        ]);
        let values = [
            (NAME, person.name.expose()),
            (RESIDENT_ID, person.resident_id.expose()),
            (PHONE, person.phone.expose()),
            (BANK_CARD, person.bank_card.expose()),
        ];
        for (field, value) in values {
            let sealed = key.seal(Place { table: TABLE, row: &row, field }, value);
            let sealed = sealed.map_err(|error| PortError::broken(CLAIMING, error))?;
            item.insert(field.to_owned(), bytes(&sealed));
        }
        Ok(item)
    }

    /// The person of an item; `None` when they are erased. Calls KMS for a data key that has not been met for a while.
    async fn opened(&self, item: &Item, attempted: &'static str) -> Result<Option<Person>, PortError> {
        if item.contains_key("erased_at") {
            return Ok(None);
        }
        let reader = Reader { item, attempted };
        let key = self.personal.opening_key(reader.bytes("key")?).await?;
        person(reader, &key).map(Some)
    }
}

/// When the record of a claim is forgotten, in seconds since 1970.
fn forgotten_at(claimed_at: Timestamp) -> i64 {
    claimed_at.as_second().saturating_add(FORGOTTEN_AFTER.as_secs())
}

/// What an item says of its claim.
fn claimed(reader: Reader<'_>) -> Result<Claimed, PortError> {
    let request_digest = reader.text("request_digest")?.to_owned();
    Ok(Claimed { request_digest, claimed_at: reader.parsed("claimed_at")? })
}

/// The person of an item, every value checked as it was when it came in.
fn person(reader: Reader<'_>, key: &FieldKey) -> Result<Person, PortError> {
    let row = reader.text("pk")?;
    let open = |field: &'static str| {
        let opened = key.open(Place { table: TABLE, row, field }, reader.bytes(field)?);
        opened.map_err(|error| PortError::broken(reader.attempted, error))
    };
    let unreadable = |field| move |_| reader.broken(Unreadable::Value(field));
    Ok(Person {
        name: PersonName::parse(&open(NAME)?).map_err(unreadable(NAME))?,
        resident_id: ResidentId::parse(&open(RESIDENT_ID)?).map_err(unreadable(RESIDENT_ID))?,
        phone: Phone::parse(&open(PHONE)?).map_err(unreadable(PHONE))?,
        bank_card: BankCard::parse(&open(BANK_CARD)?).map_err(unreadable(BANK_CARD))?,
    })
}

#[async_trait]
impl ApplicantRecords for DynamoApplicants {
    /// Calls `PutItem`, once; a claim that is taken returns the record without another read. Calls KMS's
    /// `GenerateDataKey` when another data key is due.
    ///
    /// Each call marks its record. When the answer to the put is lost and the SDK puts again, the second put meets the
    /// mark of the first, and the claim is *new* as it should be.
    async fn claim(&self, id: ApplicationId, applicant: &Applicant) -> Result<Claim, PortError> {
        let mark = Uuid::now_v7().to_string();
        let item = self.item(id, applicant, &mark).await?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(Claim::New),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let none = Item::new();
                    let reader = Reader { item: failed.item().unwrap_or(&none), attempted: CLAIMING };
                    if reader.text("mark")? == mark {
                        return Ok(Claim::New);
                    }
                    Ok(Claim::Taken(claimed(reader)?))
                }
                _ => Err(port_error(CLAIMING, &error)),
            },
        }
    }

    /// Calls `UpdateItem`, once.
    async fn erase(&self, id: ApplicationId, at: Timestamp) -> Result<Timestamp, PortError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .condition_expression("attribute_exists(pk)")
            .update_expression(
                "SET erased_at = if_not_exists(erased_at, :at) \
                 REMOVE #key, #name, #id, #phone, #card, expires_at",
            )
            .expression_attribute_values(":at", text(at.to_string()))
            .return_values(ReturnValue::AllNew);
        let fields =
            [("#key", "key"), ("#name", NAME), ("#id", RESIDENT_ID), ("#phone", PHONE), ("#card", BANK_CARD)];
        for (placeholder, field) in fields {
            update = update.expression_attribute_names(placeholder, field);
        }
        match update.send().await {
            Ok(updated) => {
                let none = Item::new();
                Reader { item: updated.attributes().unwrap_or(&none), attempted: ERASING }.parsed("erased_at")
            }
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(at),
                _ => Err(port_error(ERASING, &error)),
            },
        }
    }
}

#[async_trait]
impl Applicants for DynamoApplicants {
    /// Calls `GetItem`, once, and KMS's `Decrypt` for a data key that it has not met for a while.
    async fn get(&self, id: ApplicationId) -> Result<Option<Person>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(READING, &error))?;
        match answer.item() {
            Some(item) => self.opened(item, READING).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Payees for DynamoApplicants {
    /// Calls `UpdateItem`, once, in place of a read, and KMS's `Decrypt` for a data key that it has not met for a while.
    async fn keep(&self, id: ApplicationId) -> Result<Option<Person>, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .condition_expression("attribute_exists(pk)")
            .update_expression("REMOVE expires_at")
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(kept) => {
                let none = Item::new();
                self.opened(kept.attributes().unwrap_or(&none), KEEPING).await
            }
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(None),
                _ => Err(port_error(KEEPING, &error)),
            },
        }
    }
}
