//! Loan products. A product belongs to one bank and is data: see `models/products.json`.

use crate::money::{BasisPoints, Fen, MAX_ANNUAL_RATE};
use serde::{Deserialize, Serialize};

/// Who decides that money moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// The bank has delegated the decision to the strategy; it pays what it is instructed to pay.
    Delegated,
    /// The bank decides for itself on each instruction, and its signed answer approves or refuses.
    BankConfirms,
}

/// One loan product of one bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    pub id: String,
    pub name_zh: String,
    pub name_en: String,
    pub bank: String,
    pub approval: Approval,
    pub min_amount_fen: Fen,
    pub max_amount_fen: Fen,
    pub terms_months: Vec<u16>,
    /// All-in annual rate, lowest and highest.
    pub min_rate_bp: BasisPoints,
    pub max_rate_bp: BasisPoints,
    /// How much the bank lets this product have paid or reserved at once.
    pub limit_fen: Fen,
    /// Version of the model that scores its applications, a folder of the model registry.
    pub model: String,
    /// Name of the strategy document that decides on them, without its ending.
    pub strategy: String,
}

/// All products, checked when read.
#[derive(Clone, Debug)]
pub struct Catalogue {
    products: Vec<Product>,
}

/// What is wrong with a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("products are not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("product {product}: {problem}")]
    Product { product: String, problem: &'static str },
}

impl Catalogue {
    /// Reads and checks a catalogue document: a JSON list of products.
    pub fn from_json(text: &str) -> Result<Self, CatalogueError> {
        let products: Vec<Product> = serde_json::from_str(text)?;
        for (place, product) in products.iter().enumerate() {
            let twice = products[..place].iter().any(|p| p.id == product.id);
            if let Some(problem) = problem(product).or(twice.then_some("the id is used twice")) {
                return Err(CatalogueError::Product { product: product.id.clone(), problem });
            }
        }
        Ok(Self { products })
    }

    pub fn get(&self, id: &str) -> Option<&Product> {
        self.products.iter().find(|p| p.id == id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Product> {
        self.products.iter()
    }
}

/// Whether a text can be the version of a model or of a strategy, and so a file's or folder's name: it cannot leave its
/// place, or hide in it.
pub fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

fn problem(p: &Product) -> Option<&'static str> {
    let slug = |text: &str| {
        (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match p {
        _ if !slug(&p.id) => Some("the id must be 1 to 40 of a-z, 0-9 and -"),
        _ if !slug(&p.bank) => Some("the bank must be 1 to 40 of a-z, 0-9 and -"),
        _ if p.min_amount_fen == Fen::ZERO || p.min_amount_fen > p.max_amount_fen => {
            Some("amounts must be positive and in order")
        }
        _ if p.terms_months.is_empty() || p.terms_months.contains(&0) => Some("terms must be positive"),
        _ if p.min_rate_bp > p.max_rate_bp || p.max_rate_bp > MAX_ANNUAL_RATE => {
            Some("rates must be in order and at most 24 % a year")
        }
        _ if !is_version(&p.model) || !is_version(&p.strategy) => Some(
            "model and strategy must be 1 to 64 of a-z, 0-9, . and -, and begin with a letter or a digit",
        ),
        _ if p.limit_fen < p.max_amount_fen => Some("the limit must cover one loan of the largest amount"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(change: impl Fn(&mut serde_json::Value)) -> Result<Catalogue, CatalogueError> {
        let mut product = serde_json::json!({
            "id": "steady", "name_zh": "稳", "name_en": "Steady", "bank": "river-bank", "approval": "delegated",
            "min_amount_fen": 100, "max_amount_fen": 1000, "terms_months": [12],
            "min_rate_bp": 400, "max_rate_bp": 2400, "limit_fen": 5000,
            "model": "2026.11.2", "strategy": "standard-2026.11.2"
        });
        change(&mut product);
        Catalogue::from_json(&serde_json::json!([product]).to_string())
    }

    #[test]
    fn a_rate_above_the_legal_ceiling_is_refused_with_the_product_named() {
        let error = catalogue(|p| p["max_rate_bp"] = 2401.into()).unwrap_err().to_string();
        assert!(error.contains("steady") && error.contains("24 %"), "{error}");
        assert!(catalogue(|_| {}).is_ok());
    }

    #[test]
    fn the_names_of_model_and_strategy_cannot_leave_their_folders() {
        for name in ["", "../other", ".hidden", "a/b", "A", &"a".repeat(65)] {
            assert!(catalogue(|p| p["model"] = name.into()).is_err(), "{name}");
            assert!(catalogue(|p| p["strategy"] = name.into()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_limit_below_one_loan_is_refused() {
        assert!(catalogue(|p| p["limit_fen"] = 999.into()).is_err());
    }
}
