//! The bands of points by which a strategy decides, read out of its document so that they stand in one place.

use serde_json::Value;
use std::collections::BTreeSet;

/// What a strategy's table of bands reads.
const POINTS: &str = "score.points";

/// The document cannot be read for its bands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BandsError {
    #[error("the strategy is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("a band of points is written as neither `>= n`, `[a..b)` nor `< n`")]
    Rule,
}

/// The first points of each band but the lowest, ascending: those of every decision table whose only input is the
/// points. None when the strategy has no such table.
pub(crate) fn band_edges(document: &str) -> Result<BTreeSet<i32>, BandsError> {
    let document: Value = serde_json::from_str(document)?;
    let mut edges = BTreeSet::new();
    for node in document["nodes"].as_array().into_iter().flatten() {
        let content = &node["content"];
        let Some([input]) = content["inputs"].as_array().map(Vec::as_slice) else { continue };
        let (Some(POINTS), Some(column)) = (input["field"].as_str(), input["id"].as_str()) else { continue };
        for rule in content["rules"].as_array().into_iter().flatten() {
            edges.extend(rule_edges(rule[column].as_str().unwrap_or_default())?);
        }
    }
    Ok(edges)
}

/// The edges that one cell names. Only forms in which an edge belongs to the band above it.
fn rule_edges(cell: &str) -> Result<Vec<i32>, BandsError> {
    let cell = cell.trim();
    let number = |text: &str| text.trim().parse::<i32>().map_err(|_| BandsError::Rule);
    if cell.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(edge) = cell.strip_prefix(">=").or_else(|| cell.strip_prefix('<')) {
        return Ok(vec![number(edge)?]);
    }
    let range = cell.strip_prefix('[').and_then(|cell| cell.strip_suffix(')'));
    let (low, high) = range.and_then(|range| range.split_once("..")).ok_or(BandsError::Rule)?;
    Ok(vec![number(low)?, number(high)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_edges_of_every_packaged_strategy_are_found() {
        for (name, document) in wiring::STRATEGIES {
            let edges = band_edges(document).unwrap();
            assert!(edges.len() >= 2, "{name}: {edges:?}");
        }
        let (_, standard) = wiring::STRATEGIES.iter().find(|(name, _)| name.starts_with("standard")).unwrap();
        assert_eq!(band_edges(standard).unwrap(), BTreeSet::from([590, 600, 620, 640, 660]));
    }

    fn with_cell(cell: &str) -> Result<BTreeSet<i32>, BandsError> {
        let table = |field: &str| json!({ "content": { "inputs": [{ "id": "p", "field": field }], "rules": [{ "p": cell }] } });
        band_edges(
            &json!({ "nodes": [{ "content": {} }, table("score.points"), table("other")] }).to_string(),
        )
    }

    #[test]
    fn a_cell_whose_edge_would_belong_to_the_lower_band_is_refused() {
        for (cell, edges) in
            [(">= 600", vec![600]), ("[590..600)", vec![590, 600]), ("< 590", vec![590]), ("", vec![])]
        {
            assert_eq!(with_cell(cell).unwrap(), BTreeSet::from_iter(edges), "{cell}");
        }
        for cell in ["> 600", "<= 600", "(590..600]", "[590..600]", "600", ">= x"] {
            assert!(matches!(with_cell(cell), Err(BandsError::Rule)), "{cell}");
        }
        assert!(matches!(band_edges("{"), Err(BandsError::Json(_))));
    }
}
