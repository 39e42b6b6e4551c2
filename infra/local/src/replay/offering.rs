//! What is offered in a replay: the product, its strategy document and its model; and the bands of that
//! document, by which the figures are told.

use domain::product::{Catalogue, Product};
use model::{Manifest, ManifestError};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wiring::Offering;

/// Whose loans are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Book {
    /// Loans that the U.S. Small Business Administration guaranteed.
    Sba,
}

const SBA_PRODUCT: &str = "sba-7a";
const SBA_PRODUCTS: &str = include_str!("../../../../models/products-sba.json");
const SBA_STRATEGY: (&str, &str) =
    ("sba-2026.11.1", include_str!("../../../../models/strategies/sba-2026.11.1.json"));

/// A book whose product, strategy or model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OfferingError {
    #[error("the products cannot be used")]
    Products(#[from] domain::product::CatalogueError),
    #[error("the catalogue has no product {0}")]
    NoProduct(&'static str),
    #[error("{0} cannot be read; models/training/README.md tells how to train the model")]
    Manifest(PathBuf, #[source] std::io::Error),
    #[error("{0} cannot be used")]
    Model(PathBuf, #[source] ManifestError),
    #[error("the strategy has no table of bands by points")]
    Bands,
    #[error("the model does not tell on which years it was trained")]
    Window,
}

/// One band of the strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    pub name: String,
    /// Fewest points; the last band has none.
    pub lowest: Option<i32>,
    /// Good enough to lend to.
    pub is_accepted: bool,
}

/// Everything that a replay offers.
pub struct Offered {
    pub offering: Offering,
    /// Folder of the model that the product names.
    pub model: PathBuf,
    /// Id of the product that is applied for.
    pub product_id: &'static str,
    pub product: Product,
    /// Best first.
    pub bands: Vec<Band>,
    /// Last fiscal year of the loans that the model was trained on.
    pub trained_up_to: i16,
}

impl Offered {
    /// Reads what a book offers; `models` is the folder of the model registry.
    pub fn read(book: Book, models: &Path) -> Result<Self, OfferingError> {
        let Book::Sba = book;
        let products = Catalogue::from_json(SBA_PRODUCTS)?;
        let product_id = SBA_PRODUCT;
        let product = products.get(product_id).cloned().ok_or(OfferingError::NoProduct(product_id))?;
        let (name, document) = SBA_STRATEGY;
        let strategies = BTreeMap::from([(name.to_owned(), document.to_owned())]);
        let model = models.join(&product.model);
        let trained_up_to = trained_up_to(&model.join("manifest.json"))?;
        let offering = Offering { products, strategies };
        Ok(Self { offering, model, product_id, product, bands: bands(document)?, trained_up_to })
    }

    /// The band of a score; the document covers every number of points.
    pub fn band_of(&self, points: i32) -> usize {
        let found = self.bands.iter().position(|band| band.lowest.is_none_or(|lowest| points >= lowest));
        found.unwrap_or(self.bands.len() - 1)
    }
}

fn trained_up_to(path: &Path) -> Result<i16, OfferingError> {
    let text = std::fs::read(path).map_err(|source| OfferingError::Manifest(path.to_owned(), source))?;
    Manifest::parse(&text).map_err(|source| OfferingError::Model(path.to_owned(), source))?;
    let manifest: Value = serde_json::from_slice(&text).map_err(|_| OfferingError::Window)?;
    let last = manifest["training_window"]["approved_in_fiscal_years"][1]
        .as_i64()
        .and_then(|year| i16::try_from(year).ok());
    last.ok_or(OfferingError::Window)
}

/// The bands of a document's table: rules on points from the best down, each `>= n`, `[n..m)` or, at the end, `< n`.
fn bands(document: &str) -> Result<Vec<Band>, OfferingError> {
    let document: Value = serde_json::from_str(document).map_err(|_| OfferingError::Bands)?;
    let nodes = document["nodes"].as_array().ok_or(OfferingError::Bands)?;
    let table = nodes.iter().find(|node| node["id"] == "band").ok_or(OfferingError::Bands)?;
    let rules = table["content"]["rules"].as_array().ok_or(OfferingError::Bands)?;
    let bands: Option<Vec<Band>> = rules.iter().map(band).collect();
    let bands = bands.ok_or(OfferingError::Bands)?;
    let descends = bands.is_sorted_by(|one, next| one.lowest > next.lowest);
    let ends = bands.last().is_some_and(|band| band.lowest.is_none());
    if descends && ends { Ok(bands) } else { Err(OfferingError::Bands) }
}

fn band(rule: &Value) -> Option<Band> {
    let points = rule["points"].as_str()?.trim();
    let lowest = match points.strip_prefix('<') {
        Some(_) => None,
        None => {
            let bare = points.trim_start_matches(['>', '=', '[']);
            Some(bare.split("..").next()?.trim().parse().ok()?)
        }
    };
    let name = rule["name"].as_str()?.trim_matches('\'').to_owned();
    Some(Band { name, lowest, is_accepted: rule["accepted"] == "true" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bands_of_the_document_cover_every_score_and_the_last_is_declined() {
        let bands = bands(SBA_STRATEGY.1).unwrap();
        assert!(bands.len() >= 4 && bands[0].is_accepted, "{bands:?}");
        assert!(bands.is_sorted_by_key(|band| !band.is_accepted), "no band is worse than a declined one");
        assert!(!bands[bands.len() - 1].is_accepted);
    }

    #[test]
    fn bands_that_overlap_or_leave_a_gap_at_the_bottom_are_refused() {
        let document = |cells: &[&str]| {
            let rules: Vec<Value> = cells
                .iter()
                .map(|cell| serde_json::json!({ "points": cell, "name": "'A'", "accepted": "true" }))
                .collect();
            serde_json::json!({ "nodes": [{ "id": "band", "content": { "rules": rules } }] }).to_string()
        };
        assert_eq!(bands(&document(&[">= 600", "[580..600)", "< 580"])).unwrap().len(), 3);
        for cells in
            [&[">= 580", "[600..620)", "< 600"][..], &[">= 600", "[580..600)"], &["points", "< 5"], &[]]
        {
            assert!(bands(&document(cells)).is_err(), "{cells:?}");
        }
    }

    #[test]
    fn the_product_and_the_strategy_belong_together() {
        let products = Catalogue::from_json(SBA_PRODUCTS).unwrap();
        assert_eq!(products.get(SBA_PRODUCT).unwrap().strategy, SBA_STRATEGY.0);
    }
}
