//! The city in the embedded store, kept between runs.
//!
//! Rows are imported in the order of their keys, a transaction per ten thousand, which is many times as fast as writing
//! them through the API. What is left is the same, and that is looked at: some links are linked into an empty store by the
//! adapter, and every row of them has to be the row that was imported. Pages of the file lie in the order of keys then, as
//! DynamoDB keeps a partition; a file that grew in the order of time is more scattered.

use super::{
    AnyError,
    city::{City, Role},
};
use crate::{
    engines::{EngineOptions, Engines},
    lending::TEMPLATE,
    template::{Template, local_name},
};
use aws::{Aws, DynamoJournal, DynamoRelations};
use domain::{
    Application, Channel, Consents, Fen,
    application::Traces,
    checks::{CheckAnswer, ElementsAnswer},
    journey::Event,
    product::Approval,
};
use dynoxide::{AttributeValue, Database, ImportOptions};
use exports::ExportWriter;
use ports::{
    journal::{Entry, Journal as _},
    relation::{Link, NodeKind, RelationGraph as _},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Rows of one transaction.
const ROWS: usize = 10_000;
/// Links that are written by the adapter for comparison.
const COMPARED: usize = 40;

/// Where a city was loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    pub folder: PathBuf,
    pub nodes: usize,
    pub rows: usize,
}

impl Loaded {
    pub(super) fn exports(&self) -> PathBuf {
        self.folder.join("exports")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("tables.sqlite")
    }

    /// The engines on the city's tables.
    pub(super) fn open(&self) -> Result<(Engines, Aws), AnyError> {
        let engines =
            Engines::start(EngineOptions { data_dir: Some(self.folder.clone()), master_key: None })?;
        let aws = Aws::from_sdk_config(&engines.sdk_config());
        Ok((engines, aws))
    }
}

/// Loads the city, with the journeys of the rings among the first so many actors, and writes its export, unless an earlier
/// run did.
pub(super) async fn load(
    city: &City,
    (cache, seed): (&Path, u64),
    nodes: u32,
    checked: u32,
) -> Result<Loaded, AnyError> {
    let folder = cache.join(format!("rings-{nodes}-{seed}"));
    let done = folder.join("loaded.json");
    if let Ok(text) = fs::read(&done) {
        let told: Value = serde_json::from_slice(&text)?;
        let count = |name: &str| told[name].as_u64().unwrap_or(0) as usize;
        let (nodes, rows) = (count("nodes"), count("rows"));
        return Ok(Loaded { folder: folder.canonicalize()?, nodes, rows });
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut loaded = Loaded { folder: folder.canonicalize()?, nodes: 0, rows: 0 };
    let (engines, _) = loaded.open()?;
    create_tables(&engines).await?;
    engines.stop().await;
    import(city, &mut loaded, true)?;
    compare(city, &loaded).await?;
    write_journeys(city, &loaded, checked).await?;
    fs::write(done, json!({ "nodes": loaded.nodes, "rows": loaded.rows }).to_string())?;
    Ok(loaded)
}

/// Writes the export alone.
pub(super) fn export(city: &City, cache: &Path, nodes: u32, seed: u64) -> Result<Loaded, AnyError> {
    let folder = cache.join(format!("rings-{nodes}-{seed}-export"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut loaded = Loaded { folder: folder.canonicalize()?, nodes: 0, rows: 0 };
    import(city, &mut loaded, false)?;
    Ok(loaded)
}

async fn create_tables(engines: &Engines) -> Result<(), AnyError> {
    for table in &Template::parse(TEMPLATE)?.tables {
        engines.create_table(&table.spec).await?;
    }
    Ok(())
}

/// Writes a row under each node of each application as an export, and imports the same rows into the store where asked to.
fn import(city: &City, loaded: &mut Loaded, into_store: bool) -> Result<(), AnyError> {
    let mut rows: Vec<(String, u32)> = Vec::new();
    let mut links: Vec<(String, String)> = Vec::new();
    for (at, of) in city.applications.iter().enumerate() {
        let link = city.link(*of).ok_or("the city has no more codes")?;
        rows.extend(
            link.nodes.iter().map(|node| (format!("{}#{}", node.kind.as_str(), node.hash), at as u32)),
        );
        links.push((format!("{:.0}#{}", link.at, link.application), serde_json::to_string(&link)?));
    }
    rows.sort_unstable();
    let table = local_name("Relations");
    let database = into_store.then(|| Database::new(&loaded.database().to_string_lossy())).transpose()?;
    if let Some(database) = &database {
        database.enable_bulk_loading()?;
    }
    let arn = crate::engines::table_arn(&table);
    let mut export = ExportWriter::begin(&loaded.exports(), &arn, city.now)?;
    for lot in rows.chunk_by(|a, b| a.0 == b.0).collect::<Vec<_>>().chunks(ROWS / 8) {
        let mut items = Vec::with_capacity(ROWS);
        for node in lot {
            loaded.nodes += 1;
            let mut here: Vec<&(String, String)> = node.iter().map(|(_, at)| &links[*at as usize]).collect();
            here.sort_unstable();
            for (sk, link) in here {
                let (pk, text) = (&node[0].0, |text: &str| json!({ "S": text }));
                export.item(&json!({ "pk": text(pk), "sk": text(sk), "link": text(link) }).to_string())?;
                let attribute =
                    |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
                let item = [attribute("pk", pk), attribute("sk", sk), attribute("link", link)];
                items.push(HashMap::from(item));
            }
        }
        loaded.rows += items.len();
        if let Some(database) = &database {
            database.import_items(&table, items, ImportOptions::default())?;
        }
    }
    if let Some(database) = &database {
        database.disable_bulk_loading()?;
    }
    export.finish()?;
    Ok(())
}

/// Holds some imported rows against those that the adapter writes.
async fn compare(city: &City, loaded: &Loaded) -> Result<(), AnyError> {
    let written = Engines::start(EngineOptions::default())?;
    create_tables(&written).await?;
    let graph =
        DynamoRelations::new(Aws::from_sdk_config(&written.sdk_config()).dynamodb, local_name("Relations"));
    let (imported, aws) = loaded.open()?;
    let every = (city.applications.len() / COMPARED).max(1);
    for of in city.applications.iter().step_by(every) {
        let link = city.link(*of).ok_or("the city has no more codes")?;
        graph.link(&link).await?;
        let by_adapter = rows_of(&written, &link).await?;
        if by_adapter.len() != link.nodes.len() || rows_of(&imported, &link).await? != by_adapter {
            return Err(format!("application {} was not imported as it is linked", link.application).into());
        }
    }
    drop(aws);
    imported.stop().await;
    written.stop().await;
    Ok(())
}

/// The rows of a link, whole.
async fn rows_of(
    engines: &Engines,
    link: &Link,
) -> Result<Vec<HashMap<String, aws_sdk_dynamodb::types::AttributeValue>>, AnyError> {
    use aws_sdk_dynamodb::types::AttributeValue;
    let client = aws_sdk_dynamodb::Client::new(&engines.sdk_config());
    let mut rows = Vec::new();
    for node in &link.nodes {
        let key = format!("{:.0}#{}", link.at, link.application);
        let found = client
            .get_item()
            .table_name(local_name("Relations"))
            .key("pk", AttributeValue::S(format!("{}#{}", node.kind.as_str(), node.hash)))
            .key("sk", AttributeValue::S(key))
            .consistent_read(true)
            .send()
            .await?;
        rows.extend(found.item);
    }
    Ok(rows)
}

/// Writes the journeys of the rings among the first so many actors: all have proven what they claim.
async fn write_journeys(city: &City, loaded: &Loaded, checked: u32) -> Result<(), AnyError> {
    let (engines, aws) = loaded.open()?;
    let journal = DynamoJournal::new(aws.dynamodb.clone(), local_name("Journeys"));
    for of in city.some(Role::Ring, checked, usize::MAX) {
        let link = city.link(of).ok_or("the city has no more codes")?;
        let events = vec![
            Event::Received { application: Box::new(application(&link)?) },
            Event::ElementsChecked { answer: ElementsAnswer::Match },
            Event::FaceChecked { attempt: 1, answer: CheckAnswer::Match, message_id: "face".to_owned() },
            Event::PhoneChecked { attempt: 1, answer: CheckAnswer::Match, message_id: "phone".to_owned() },
        ];
        let by = "bench/0.1.0".to_owned();
        let entry = Entry { number: 1, at: link.at, by, events, commands: Vec::new() };
        journal.append(link.application, &entry, None).await?;
    }
    engines.stop().await;
    Ok(())
}

/// The application of a link.
fn application(link: &Link) -> Result<Application, AnyError> {
    let of = |kind: NodeKind| {
        let node = link.nodes.iter().find(|node| node.kind == kind);
        node.map(|node| node.hash.clone()).unwrap_or_default()
    };
    Ok(Application {
        id: link.application,
        subject: link.application.to_string().try_into()?,
        firm_code: link.firm.clone(),
        product: "river-quick".to_owned(),
        bank: link.bank.clone(),
        approval: Approval::Delegated,
        amount_fen: Fen(link.amount_fen),
        term_months: 12,
        channel: Channel::MiniProgram,
        consents: Consents { data: true, credit_query: true, face_recognition: true },
        traces: Traces {
            account: None,
            device: of(NodeKind::Device),
            network: of(NodeKind::Network),
            person: of(NodeKind::Person),
            phone: of(NodeKind::Phone),
            card: of(NodeKind::Card),
            address: Some(of(NodeKind::Address)),
        },
        place: link.place.clone(),
        account_days: None,
        identified_by_channel: false,
        accept_up_to_bp: None,
    })
}
