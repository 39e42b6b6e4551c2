//! What the firm archive promises.

use super::firm_code;
use crate::firms::{FirmArchive, FirmLoader};
use domain::{
    FirmRecord,
    firm::{SOURCES, SourceRow},
};
use std::collections::BTreeMap;

fn row(value: serde_json::Value) -> SourceRow {
    let serde_json::Value::Object(row) = value else { panic!("not a row") };
    row
}

fn record(n: usize, name: &str) -> FirmRecord {
    let basic =
        row(serde_json::json!({ "name": name, "address": "福州市鼓楼区", "banned": 0, "status": "active" }));
    let tax =
        row(serde_json::json!({ "revenue_fen": 123_456_789.1, "late_payments": null, "ratio": 0.1 + 0.2 }));
    FirmRecord {
        firm_code: firm_code(n),
        legal_representative: Some(format!("hash {n}")),
        sources: BTreeMap::from([("basic_information".to_owned(), basic), ("tax_paid".to_owned(), tax)]),
    }
}

pub async fn a_firm_that_the_archive_has_never_heard_of_is_none(firms: &(impl FirmArchive + FirmLoader)) {
    assert_eq!(firms.get(&firm_code(1)).await.unwrap(), None);
}

pub async fn a_firm_reads_back_as_it_was_loaded(firms: &(impl FirmArchive + FirmLoader)) {
    let full = FirmRecord {
        sources: SOURCES.map(|source| (source.to_owned(), row(serde_json::json!({ "from": source })))).into(),
        ..record(1, "all sources")
    };
    let some = record(2, "some sources");
    let none = FirmRecord { legal_representative: None, sources: BTreeMap::new(), ..record(3, "") };
    firms.put(&[full.clone(), some.clone(), none.clone()]).await.unwrap();
    for firm in [full, some, none] {
        assert_eq!(firms.get(&firm.firm_code).await.unwrap(), Some(firm));
    }
}

pub async fn a_later_record_replaces_the_earlier_one_whole(firms: &(impl FirmArchive + FirmLoader)) {
    firms.put(&[record(1, "old")]).await.unwrap();
    let mut new = FirmRecord { legal_representative: None, ..record(1, "new") };
    new.sources.remove("tax_paid");
    firms.put(std::slice::from_ref(&new)).await.unwrap();
    assert_eq!(firms.get(&firm_code(1)).await.unwrap(), Some(new));
}

pub async fn of_two_records_of_one_firm_the_later_is_kept(firms: &(impl FirmArchive + FirmLoader)) {
    firms.put(&[record(1, "earlier"), record(2, "other"), record(1, "later")]).await.unwrap();
    assert_eq!(firms.get(&firm_code(1)).await.unwrap(), Some(record(1, "later")));
}

pub async fn many_firms_are_loaded_at_once(firms: &(impl FirmArchive + FirmLoader)) {
    let records: Vec<FirmRecord> = (0..120).map(|n| record(n, "many")).collect();
    firms.put(&records).await.unwrap();
    for record in &records {
        assert_eq!(firms.get(&record.firm_code).await.unwrap().as_ref(), Some(record));
    }
    firms.put(&[]).await.unwrap();
}

pub async fn a_model_may_have_sources_of_its_own(firms: &(impl FirmArchive + FirmLoader)) {
    let mut other = record(1, "other");
    other.sources.insert("lender".to_owned(), row(serde_json::json!({ "in_state": 1 })));
    firms.put(std::slice::from_ref(&other)).await.unwrap();
    assert_eq!(firms.get(&firm_code(1)).await.unwrap(), Some(other));
}

pub async fn a_row_from_what_cannot_be_a_source_is_refused(firms: &(impl FirmArchive + FirmLoader)) {
    for name in ["", "Gossip", "hear say", "pk", "legal_representative"] {
        let mut odd = record(1, "odd");
        odd.sources.insert(name.to_owned(), SourceRow::new());
        assert!(!firms.put(&[odd]).await.unwrap_err().is_retryable(), "{name}");
        assert_eq!(firms.get(&firm_code(1)).await.unwrap(), None, "{name}");
    }
}
