//! `ExportTableToPointInTime`, answered at once: the export lies in its folder, finished, before the answer is given; or
//! begun and never finished, where that is asked for.

use dynoxide::{Database, DynoxideError};
use exports::ExportWriter;
use jiff::Timestamp;
use ports::Clock as _;
use serde_json::{Value, json};
use std::path::Path;

/// What an ARN of a table of the embedded engine begins with.
const TABLE_ARN: &str = "arn:aws:dynamodb:local:000000000000:table/";

/// The ARN of a table of the embedded engine.
pub fn table_arn(table: &str) -> String {
    format!("{TABLE_ARN}{table}")
}

/// What becomes of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Finished,
    Never,
}

/// Writes the table as it is now. The bucket is a folder, by its absolute path.
pub(super) fn export(database: &Database, request: &Value, ends: Ends) -> dynoxide::Result<Value> {
    let refused = |why: &str| DynoxideError::ValidationException(why.to_owned());
    let failed = |error: &dyn std::error::Error| DynoxideError::InternalServerError(error.to_string());
    let arn = request["TableArn"].as_str().unwrap_or_default();
    let table =
        arn.strip_prefix(TABLE_ARN).ok_or_else(|| refused("TableArn names no table of this engine"))?;
    let bucket = Path::new(request["S3Bucket"].as_str().unwrap_or_default());
    if !bucket.is_absolute() || bucket.parent().is_none() {
        return Err(refused("S3Bucket must be the absolute path of a folder here"));
    }
    let time = request["ExportTime"].as_f64().and_then(|second| Timestamp::from_second(second as i64).ok());
    let time = time.unwrap_or_else(|| ports::SystemClock.now());
    let mut writer = ExportWriter::begin(bucket, arn, time).map_err(|error| failed(&error))?;
    let mut start = Value::Null;
    loop {
        let mut scan = json!({ "TableName": table, "ConsistentRead": true });
        if !start.is_null() {
            scan["ExclusiveStartKey"] = start;
        }
        let mut page = super::dynamodb::call(scan, |request| database.scan(request))?;
        for item in page["Items"].as_array().into_iter().flatten() {
            writer.item(&item.to_string()).map_err(|error| failed(&error))?;
        }
        start = page["LastEvaluatedKey"].take();
        if start.is_null() {
            break;
        }
    }
    let (id, status) = match ends {
        Ends::Finished => (writer.finish().map_err(|error| failed(&error))?, "COMPLETED"),
        Ends::Never => (writer.id().to_owned(), "IN_PROGRESS"),
    };
    Ok(json!({ "ExportDescription": {
        "ExportArn": format!("{arn}/export/{id}"),
        "ExportStatus": status,
        "TableArn": arn,
        "S3Bucket": request["S3Bucket"],
    }}))
}
