//! What lies in the table of applicants, what becomes of it when somebody moves it, and what it costs.

use crate::{applicants_of, engines, id};
use aws::{Aws, DynamoApplicants};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    ApplicationId,
    person::{BankCard, Person, PersonName, Phone, ResidentId},
};
use jiff::Timestamp;
use local::engines::Engines;
use ports::{
    PortError,
    applicants::{Applicant, ApplicantRecords, Applicants, Claimed},
};
use std::collections::HashMap;

const VALUES: [(&str, &str); 4] = [
    ("name", "阿卜杜拉·艾合买提"),
    ("resident_id", "11010519491231002X"),
    ("phone", "13800138000"),
    ("bank_card", "4111111111111111"),
];

fn applicant() -> Applicant {
    let [name, resident_id, phone, bank_card] = VALUES.map(|(_, value)| value);
    let person = Person {
        name: PersonName::parse(name).expect("a name"),
        resident_id: ResidentId::parse(resident_id).expect("a resident id"),
        phone: Phone::parse(phone).expect("a phone"),
        bank_card: BankCard::parse(bank_card).expect("a card"),
    };
    let claim = Claimed { request_digest: "0".repeat(32), claimed_at: Timestamp::UNIX_EPOCH };
    Applicant { person, claim }
}

fn application(n: u16) -> ApplicationId {
    let mut bytes = [7; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    ApplicationId::from_bytes(bytes)
}

type Item = HashMap<String, AttributeValue>;

/// Two claimed applications, and the table's own view of the first.
struct Claims {
    engines: Engines,
    aws: Aws,
    applicants: DynamoApplicants,
    first: Item,
}

async fn claims() -> Claims {
    let (engines, aws) = engines().await;
    let applicants = applicants_of(&aws);
    for n in [1, 2] {
        applicants.claim(application(n), &applicant()).await.expect("claimed");
    }
    let first = item(&aws, application(1)).await;
    Claims { engines, aws, applicants, first }
}

async fn item(aws: &Aws, id: ApplicationId) -> Item {
    let key = AttributeValue::S(id.to_string());
    let got = aws.dynamodb.get_item().table_name("applicants").key("pk", key).send().await.expect("read");
    got.item.expect("it is there")
}

impl Claims {
    async fn put(&self, item: &Item) {
        let put = self.aws.dynamodb.put_item().table_name("applicants").set_item(Some(item.clone()));
        put.send().await.expect("written");
    }

    async fn is_refused(&self, id: ApplicationId) -> bool {
        matches!(self.applicants.get(id).await, Err(PortError::Broken { .. }))
    }
}

#[tokio::test]
async fn a_row_holds_an_envelope_for_each_value_and_nothing_of_the_values() {
    let claims = claims().await;
    let mut attributes: Vec<&str> = claims.first.keys().map(String::as_str).collect();
    attributes.sort_unstable();
    let expected = [
        "bank_card",
        "claimed_at",
        "expires_at",
        "key",
        "mark",
        "name",
        "phone",
        "pk",
        "request_digest",
        "resident_id",
    ];
    assert_eq!(attributes, expected);
    for (field, value) in VALUES {
        let envelope = claims.first[field].as_b().expect("bytes").as_ref();
        assert_eq!((envelope[0], envelope.len()), (personal_data::VERSION, 1 + 8 + 12 + value.len() + 16));
    }
    let shown = format!("{:?}", claims.first);
    assert!(VALUES.iter().all(|(_, value)| !shown.contains(value)));
    claims.engines.stop().await;
}

#[tokio::test]
async fn fault_32_a_value_that_was_moved_to_another_field_or_row_does_not_open() {
    let claims = claims().await;
    let second = item(&claims.aws, application(2)).await;
    for (field, _) in VALUES {
        for (other, _) in VALUES.iter().filter(|(other, _)| *other != field) {
            let mut swapped = claims.first.clone();
            swapped.insert(field.to_owned(), claims.first[*other].clone());
            swapped.insert((*other).to_owned(), claims.first[field].clone());
            claims.put(&swapped).await;
            assert!(claims.is_refused(application(1)).await, "{field} and {other}");
        }
        // Both rows are sealed under one data key.
        let mut moved = claims.first.clone();
        moved.insert(field.to_owned(), second[field].clone());
        claims.put(&moved).await;
        assert!(claims.is_refused(application(1)).await, "{field} of another row");
    }
    let mut whole = second;
    whole.insert("pk".to_owned(), AttributeValue::S(application(1).to_string()));
    claims.put(&whole).await;
    assert!(claims.is_refused(application(1)).await, "a whole row");
    claims.put(&claims.first).await;
    assert_eq!(claims.applicants.get(application(1)).await.expect("opened"), Some(applicant().person));
    claims.engines.stop().await;
}

#[tokio::test]
async fn a_row_under_a_key_that_was_changed_is_refused_and_tells_nothing() {
    let claims = claims().await;
    let mut changed = claims.first.clone();
    let mut key = claims.first["key"].as_b().expect("bytes").as_ref().to_vec();
    key[20] ^= 1;
    changed.insert("key".to_owned(), AttributeValue::B(key.into()));
    claims.put(&changed).await;
    let error = claims.applicants.get(application(1)).await.expect_err("no such key");
    assert!(!error.is_retryable());
    assert!(lambda_kit::chain(&error).contains("InvalidCiphertextException"));
    claims.engines.stop().await;
}

#[tokio::test]
async fn what_is_erased_leaves_no_envelope_and_no_key_behind() {
    let claims = claims().await;
    claims.applicants.erase(application(1), Timestamp::UNIX_EPOCH).await.expect("erased");
    let left = item(&claims.aws, application(1)).await;
    let mut attributes: Vec<&str> = left.keys().map(String::as_str).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["claimed_at", "erased_at", "mark", "pk", "request_digest"]);
    claims.engines.stop().await;
}

#[tokio::test]
async fn erasing_what_was_never_claimed_writes_nothing() {
    let (engines, aws) = engines().await;
    let applicants = applicants_of(&aws);
    assert_eq!(applicants.erase(id(), Timestamp::UNIX_EPOCH).await.expect("asked"), Timestamp::UNIX_EPOCH);
    let rows = aws.dynamodb.scan().table_name("applicants").send().await.expect("read");
    assert_eq!(rows.count(), 0);
    engines.stop().await;
}

#[tokio::test]
async fn applications_by_the_hundred_cost_four_calls_of_kms_and_one_write_unit_each() {
    let (engines, aws) = engines().await;
    // Of one instance of each function that holds applicants.
    let intake = applicants_of(&aws);
    let readers = [applicants_of(&aws), applicants_of(&aws), applicants_of(&aws)];
    engines.reset_calls();
    // Up to a thousand it stays at these four: that is how many rows one data key seals.
    for n in 0..100 {
        intake.claim(application(n), &applicant()).await.expect("claimed");
        for reader in &readers {
            assert!(reader.get(application(n)).await.expect("read").is_some());
        }
    }
    let calls = engines.calls();
    let called = |name: &str| calls[name].calls;
    assert_eq!((called("kms:GenerateDataKey"), called("kms:Decrypt")), (1, 3));
    let (put, get) = (calls["dynamodb:PutItem"], calls["dynamodb:GetItem"]);
    assert_eq!((put.calls, put.write_units, get.read_units), (100, 100.0, 300.0));
    engines.stop().await;
}
