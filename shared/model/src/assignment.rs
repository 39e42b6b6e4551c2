//! Which model scores which product, and which one is being tried out beside it: a signed file that can be changed while
//! the system runs.

use std::collections::{BTreeMap, BTreeSet};

use domain::product::is_version;
use serde::{Deserialize, Serialize};

/// Largest share in basis points.
const WHOLE: u16 = 10_000;
/// Most products that an assignment may name.
const MOST_PRODUCTS: usize = 1_000;

/// Most different versions: all of them are held in memory.
const MOST_VERSIONS: usize = 16;

/// The models of the products that it names; a product that it does not name keeps the model of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Goes up with every change, so that an older assignment cannot be put in the place of a newer one unseen.
    pub serial: u64,
    pub products: BTreeMap<String, Assigned>,
}

/// The models of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// Version of the model whose score counts.
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<Challenger>,
}

/// A model that scores in shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenger {
    /// Version of the model.
    pub model: String,
    /// Basis points of the product's applications that it scores too, 1 to 10,000.
    pub share_bp: u16,
}

/// Why an assignment was refused.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    #[error("the assignment is not JSON of the expected shape")]
    Json(#[from] serde_json::Error),
    #[error("an assignment names at most {MOST_PRODUCTS} products and {MOST_VERSIONS} versions")]
    Count,
    #[error("product {product:?}: {version:?} is no version of a model: 1 to 64 of a-z, 0-9, . and -")]
    Version { product: String, version: String },
    #[error("product {product:?}: share_bp must be 1 to {WHOLE}")]
    Share { product: String },
    #[error("product {product:?}: the challenger is the model itself")]
    Itself { product: String },
}

impl Assignment {
    /// Reads and checks an assignment.
    ///
    /// # Errors
    /// [`AssignmentError`] for the first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, AssignmentError> {
        let assignment: Self = serde_json::from_slice(json)?;
        assignment.check()?;
        Ok(assignment)
    }

    /// # Errors
    /// [`AssignmentError`] for the first thing that is wrong.
    pub fn check(&self) -> Result<(), AssignmentError> {
        let versions: BTreeSet<&str> = self.versions().collect();
        if self.products.len() > MOST_PRODUCTS || versions.len() > MOST_VERSIONS {
            return Err(AssignmentError::Count);
        }
        self.products.iter().try_for_each(|(product, assigned)| assigned.check(product))
    }

    /// Every version that it names.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.products.values().flat_map(|assigned| {
            let challenger = assigned.challenger.iter().map(|challenger| challenger.model.as_str());
            challenger.chain([assigned.model.as_str()])
        })
    }
}

impl Assigned {
    fn check(&self, product: &str) -> Result<(), AssignmentError> {
        let product = || product.to_owned();
        let challenger = self.challenger.as_ref();
        let versions = [&self.model].into_iter().chain(challenger.map(|c| &c.model));
        if let Some(version) = versions.into_iter().find(|version| !is_version(version)) {
            return Err(AssignmentError::Version { product: product(), version: version.clone() });
        }
        match challenger {
            Some(c) if c.model == self.model => Err(AssignmentError::Itself { product: product() }),
            Some(c) if !(1..=WHOLE).contains(&c.share_bp) => {
                Err(AssignmentError::Share { product: product() })
            }
            _ => Ok(()),
        }
    }
}

impl Challenger {
    /// Whether it scores an application too. `draw` is a number that is spread evenly over applications and is always the
    /// same for one, so that a record that comes again is scored by the same models.
    pub fn scores(&self, draw: u64) -> bool {
        draw % u64::from(WHOLE) < u64::from(self.share_bp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(assigned: serde_json::Value) -> Result<Assignment, AssignmentError> {
        let assignment = json!({ "serial": 1, "products": { "quick": assigned } });
        Assignment::parse(assignment.to_string().as_bytes())
    }

    #[test]
    fn every_version_that_is_named_is_told_once_for_each_product() {
        let challenger = json!({ "model": "2026.12.1", "share_bp": 10_000 });
        let assignment = parse(json!({ "model": "2026.11.2", "challenger": challenger })).unwrap();
        let mut versions: Vec<&str> = assignment.versions().collect();
        versions.sort_unstable();
        assert_eq!(versions, ["2026.11.2", "2026.12.1"]);
    }

    #[test]
    fn what_no_model_can_be_called_and_shares_of_nothing_are_refused() {
        for version in ["", "../1", ".1", "-1", "A", "a/b", &"1".repeat(65)] {
            let refused = parse(json!({ "model": version })).unwrap_err();
            assert!(matches!(refused, AssignmentError::Version { .. }), "{version}");
        }
        for share_bp in [0, 10_001] {
            let refused =
                parse(json!({ "model": "1", "challenger": { "model": "2", "share_bp": share_bp } }));
            assert!(matches!(refused.unwrap_err(), AssignmentError::Share { .. }));
        }
        let itself = parse(json!({ "model": "1", "challenger": { "model": "1", "share_bp": 1 } }));
        assert!(matches!(itself.unwrap_err(), AssignmentError::Itself { .. }));
        assert!(matches!(parse(json!({ "model": "1", "note": "" })).unwrap_err(), AssignmentError::Json(_)));
        assert!(matches!(Assignment::parse(b"{}").unwrap_err(), AssignmentError::Json(_)));
    }

    #[test]
    fn more_versions_than_fit_into_memory_are_refused() {
        let assigned =
            |at: usize| (format!("p{at}"), Assigned { model: format!("1.{at}"), challenger: None });
        let assignment = |count| Assignment { serial: 1, products: (0..count).map(assigned).collect() };
        assert!(assignment(MOST_VERSIONS).check().is_ok());
        assert!(matches!(assignment(MOST_VERSIONS + 1).check(), Err(AssignmentError::Count)));
    }

    #[test]
    fn a_share_of_applications_is_scored_and_always_the_same_ones() {
        let tenth = Challenger { model: "2".to_owned(), share_bp: 1_000 };
        assert_eq!((0..20_000).filter(|draw| tenth.scores(*draw)).count(), 2_000);
        let every = Challenger { model: "2".to_owned(), share_bp: 10_000 };
        assert!((0..20_000).all(|draw| every.scores(draw)));
    }
}
