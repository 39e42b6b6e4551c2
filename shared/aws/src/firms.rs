//! The firm archive: one item per firm, one attribute per source that has delivered, each the source's row as JSON.

use crate::{
    batch::put_all,
    failure::port_error,
    item::{Item, Reader, json, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::{
    FirmCode, FirmRecord,
    firm::{SourceRow, is_source_name},
};
use ports::{
    PortError,
    firms::{FirmArchive, FirmLoader},
};
use std::collections::BTreeMap;

const PK: &str = "pk";
const LEGAL_REPRESENTATIVE: &str = "legal_representative";
const LOADING: &str = "loading firms into the archive";

/// The table `firms`, `pk` = unified social credit code.
#[derive(Clone, Debug)]
pub struct DynamoFirms {
    client: Client,
    table: String,
}

impl DynamoFirms {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

/// A record names a source that the archive cannot have.
#[derive(Debug, thiserror::Error)]
#[error("firm {firm} has a row from {source_name:?}, which cannot be a source")]
struct NoSource {
    firm: FirmCode,
    source_name: String,
}

/// A source's row is not a JSON object. Says nothing of what stands there.
#[derive(Debug, thiserror::Error)]
#[error("the row from {0:?} cannot be read")]
struct UnreadableRow(String);

/// Whether an attribute of an item is a source's row.
fn is_source(name: &str) -> bool {
    name != PK && name != LEGAL_REPRESENTATIVE && is_source_name(name)
}

#[async_trait]
impl FirmArchive for DynamoFirms {
    /// Calls `GetItem`, once. Eventually consistent, at half the price: the archive is loaded long before it is asked.
    async fn get(&self, code: &FirmCode) -> Result<Option<FirmRecord>, PortError> {
        const ATTEMPTED: &str = "reading a firm";
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, text(code.as_str()))
            .send()
            .await
            .map_err(|error| port_error(ATTEMPTED, &error))?;
        answer.item().map(|item| record(code, Reader { item, attempted: ATTEMPTED })).transpose()
    }
}

fn record(code: &FirmCode, reader: Reader<'_>) -> Result<FirmRecord, PortError> {
    let sources = reader.item.iter().filter(|(name, _)| is_source(name)).map(|(name, value)| {
        let row: Option<SourceRow> = value.as_s().ok().and_then(|json| serde_json::from_str(json).ok());
        let row = row.ok_or_else(|| PortError::broken(reader.attempted, UnreadableRow(name.clone())))?;
        Ok((name.clone(), row))
    });
    let legal_representative = match reader.item.get(LEGAL_REPRESENTATIVE) {
        Some(_) => Some(reader.text(LEGAL_REPRESENTATIVE)?.to_owned()),
        None => None,
    };
    Ok(FirmRecord {
        firm_code: code.clone(),
        legal_representative,
        sources: sources.collect::<Result<BTreeMap<_, _>, PortError>>()?,
    })
}

fn item(record: &FirmRecord) -> Result<Item, PortError> {
    let mut item = Item::from([(PK.to_owned(), text(record.firm_code.as_str()))]);
    if let Some(hash) = &record.legal_representative {
        item.insert(LEGAL_REPRESENTATIVE.to_owned(), text(hash.as_str()));
    }
    for (source, row) in &record.sources {
        if !is_source(source) {
            let none = NoSource { firm: record.firm_code.clone(), source_name: source.clone() };
            return Err(PortError::broken(LOADING, none));
        }
        item.insert(source.clone(), json(LOADING, row)?);
    }
    Ok(item)
}

#[async_trait]
impl FirmLoader for DynamoFirms {
    /// Calls `BatchWriteItem`, once per 25 firms. Of two records of one firm the later one is written.
    async fn put(&self, records: &[FirmRecord]) -> Result<(), PortError> {
        let latest: BTreeMap<&FirmCode, &FirmRecord> = records.iter().map(|r| (&r.firm_code, r)).collect();
        let items = latest.into_values().map(item).collect::<Result<Vec<Item>, _>>()?;
        put_all(&self.client, &self.table, LOADING, items).await
    }
}
