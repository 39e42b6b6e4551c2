//! What a strategy is told. The field names are the contract with the documents in `models/strategies`.

use domain::{Application, journey::Facts, product::Product, ring::RingLabel};
use serde::Serialize;

/// All that a decision may rest on: no time, no place, nothing personal, nothing that depends on the order of events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    pub product: ProductFacts,
    pub requested: Requested,
    pub score: ScoreFacts,
    pub firm: FirmFacts,
    pub ring: RingFacts,
    pub graph: GraphFacts,
}

/// The product's frame: amounts in fen, rates in basis points a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProductFacts {
    pub id: String,
    pub min_amount_fen: u64,
    pub max_amount_fen: u64,
    pub terms_months: Vec<u16>,
    pub min_rate_bp: u32,
    pub max_rate_bp: u32,
}

/// What the borrower asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Requested {
    pub amount_fen: u64,
    pub term_months: u16,
}

/// What the ensemble said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreFacts {
    /// 600 at odds of 30 to 1, 20 more for doubled odds.
    pub points: i32,
    /// Within a year, 0 to 1; `null` to the strategy when it is not a number.
    pub default_probability: f64,
    pub dimensions_present: Vec<String>,
    pub missing_dimensions: Vec<String>,
}

/// What the archive says beside the score; `null` to the strategy where it is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FirmFacts {
    pub age_days: Option<i64>,
    pub supported_amount_fen: Option<u64>,
}

/// The worst that anybody saw around the application: 1 and 1 and no label when it stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RingFacts {
    pub size: u32,
    pub firms: u32,
    /// `null` to the strategy when it stands alone.
    pub label: Option<RingLabel>,
}

/// Applications at the application's own nodes, itself included, and overdue loans at them; lower bounds when `cut_off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GraphFacts {
    /// Applications on this device, or accounts that signed in there, whichever are more.
    pub device_applications: u32,
    pub card_applications: u32,
    pub phone_applications: u32,
    pub network_applications: u32,
    /// Loans of other applications that are overdue now and share a person, firm, phone, card or device with this one.
    pub overdue_neighbours: u32,
    /// Days of the one among them that is overdue longest; 0 without any.
    pub longest_overdue_days: u32,
    /// Other applications that claimed a phone, card, person or firm of this one and never proved it.
    pub unproven_claims: u32,
    /// Persons whose face or phone check failed on this device. No rule in force reads it.
    pub device_mismatches: u32,
    /// Accounts that signed in on this device within a day of being opened. No rule in force reads it.
    pub device_sign_ups: u32,
    pub cut_off: bool,
}

impl Input {
    /// The facts of a journey. `None` while the score or the graph check is missing: there is nothing to decide on.
    pub fn of(application: &Application, product: &Product, facts: &Facts) -> Option<Self> {
        let (score, graph) = (facts.score.as_ref()?, facts.graph.as_ref()?);
        let ring = facts.largest_ring();
        let (present, missing): (Vec<_>, Vec<_>) =
            score.dimensions.iter().partition(|d| d.margin.is_some_and(f64::is_finite));
        let names = |dimensions: Vec<&domain::checks::DimensionScore>| {
            dimensions.into_iter().map(|d| d.dimension.clone()).collect()
        };
        Some(Self {
            product: ProductFacts {
                id: product.id.clone(),
                min_amount_fen: product.min_amount_fen.0,
                max_amount_fen: product.max_amount_fen.0,
                terms_months: product.terms_months.clone(),
                min_rate_bp: product.min_rate_bp.0,
                max_rate_bp: product.max_rate_bp.0,
            },
            requested: Requested {
                amount_fen: application.amount_fen.0,
                term_months: application.term_months,
            },
            score: ScoreFacts {
                points: score.points,
                default_probability: score.default_probability,
                dimensions_present: names(present),
                missing_dimensions: names(missing),
            },
            firm: FirmFacts {
                age_days: score.firm_age_days,
                supported_amount_fen: score.supported_amount_fen,
            },
            ring: RingFacts { size: ring.ring_size, firms: ring.ring_firms, label: ring.label },
            graph: GraphFacts {
                device_applications: graph.device_applications.max(graph.device_accounts),
                card_applications: graph.card_applications,
                phone_applications: graph.phone_applications,
                network_applications: graph.network_applications,
                overdue_neighbours: graph.overdue_neighbours,
                longest_overdue_days: graph.longest_overdue_days,
                unproven_claims: graph.unproven_claims,
                device_mismatches: graph.device_mismatches,
                device_sign_ups: graph.device_sign_ups,
                cut_off: graph.cut_off,
            },
        })
    }
}
