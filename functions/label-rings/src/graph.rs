//! From the lines of an export to the graph.

use crate::LabelError;
use aws::{RelationRow, RelationRows};
use exports::{Export, Rows};
use object_store::ObjectStore;
use relations::{Whole, WholeBuilder, WholeError};
use std::sync::Arc;

struct Reading(RelationRows);

impl Rows for Reading {
    type Row = RelationRow;

    fn row(&mut self, line: &[u8]) -> Result<Option<RelationRow>, String> {
        self.0.row(line).map_err(|why| why.to_string())
    }
}

/// Reads the graph that an export holds.
///
/// # Errors
/// [`ExportError`] with the name of the file that is not in order.
pub async fn read_graph(bucket: &Arc<dyn ObjectStore>, export: &Export) -> Result<Whole, LabelError> {
    let builder = WholeBuilder::at(export.summary.export_time);
    let take = |builder: &mut WholeBuilder, row| match row {
        RelationRow::Link(link) => builder.link(*link).map_err(|error| error.to_string()),
        RelationRow::Outcome(node, loan) => builder.outcome(node, loan).map_err(|error| error.to_string()),
        RelationRow::Tie(tie) => {
            builder.tie(*tie);
            Ok(())
        }
    };
    let builder = exports::read(bucket, export, || Reading(RelationRows::default()), builder, take).await?;
    Ok(builder.finish().map_err(WholeError::from)?)
}
