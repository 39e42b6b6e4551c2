//! Applicants, each in its application's partition of the table `journeys` under `sk` = `applicant`: apart from the
//! journal, so that personal data can be deleted and the journal kept.

use crate::{
    failure::port_error,
    item::{Item, Reader, json, text},
    journal::DynamoJournal,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure as OnFailure,
};
use domain::ApplicationId;
use ports::{
    PortError,
    journal::{Applicant, Applicants, Claim},
};
use uuid::Uuid;

const SORT_KEY: &str = "applicant";
const CLAIMING: &str = "claiming an application";

#[async_trait]
impl Applicants for DynamoJournal {
    /// Calls `PutItem`, once; a claim that is taken returns the record without another read.
    ///
    /// Each call marks its record. When the answer to the put is lost and the SDK puts again, the second put meets the
    /// mark of the first, and the claim is *new* as it should be.
    async fn claim(&self, id: ApplicationId, applicant: &Applicant) -> Result<Claim, PortError> {
        let mark = Uuid::now_v7().to_string();
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(id.to_string()))
            .item("sk", text(SORT_KEY))
            .item("applicant", json(CLAIMING, applicant)?)
            .item("mark", text(mark.as_str()))
            .condition_expression("attribute_not_exists(sk)")
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
                    Ok(Claim::Taken(Box::new(reader.json("applicant")?)))
                }
                _ => Err(port_error(CLAIMING, &error)),
            },
        }
    }

    /// Calls `GetItem`, once.
    async fn get(&self, id: ApplicationId) -> Result<Option<Applicant>, PortError> {
        const ATTEMPTED: &str = "reading an applicant";
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .key("sk", text(SORT_KEY))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(ATTEMPTED, &error))?;
        answer.item().map(|item| Reader { item, attempted: ATTEMPTED }.json("applicant")).transpose()
    }
}
