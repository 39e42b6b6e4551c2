//! How long a decision takes: `cargo run --release -p strategy --example decide_speed`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not part of the product"
)]

use jiff::Timestamp;
use std::{hint::black_box, time::Instant};
use strategy::{FirmFacts, GraphFacts, Input, ProductFacts, Requested, RingFacts, ScoreFacts, Strategy};

const STANDARD: &str = include_str!("../../../models/strategies/standard-2026.11.4.json");
const ROUNDS: usize = 50_000;

fn input(points: i32) -> Input {
    Input {
        product: ProductFacts {
            id: "river-quick".into(),
            min_amount_fen: 1_000_000,
            max_amount_fen: 50_000_000,
            terms_months: vec![3, 6, 12],
            min_rate_bp: 435,
            max_rate_bp: 1_500,
        },
        requested: Requested { amount_fen: 20_000_000, term_months: 12 },
        score: ScoreFacts {
            points,
            default_probability: 0.01,
            dimensions_present: ["business", "finance", "government", "tax"].map(str::to_owned).to_vec(),
            missing_dimensions: vec!["risk".into()],
        },
        firm: FirmFacts { age_days: Some(2_000), supported_amount_fen: Some(30_000_000) },
        ring: RingFacts { size: 2, firms: 2, label: None },
        graph: GraphFacts {
            device_applications: 2,
            card_applications: 1,
            phone_applications: 1,
            network_applications: 17,
            overdue_neighbours: 1,
            longest_overdue_days: 3,
            unproven_claims: 0,
            device_mismatches: 0,
            device_sign_ups: 0,
            cut_off: false,
        },
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let before = Instant::now();
    let strategy = Strategy::load("standard-2026.11.4", STANDARD)?;
    println!("load, check, compile, try out: {:.1} ms", before.elapsed().as_secs_f64() * 1e3);
    let inputs: Vec<Input> = (540..700).map(input).collect();
    let mut micros: Vec<f64> = Vec::with_capacity(ROUNDS);
    for input in inputs.iter().cycle().take(ROUNDS) {
        let before = Instant::now();
        black_box(strategy.decide(black_box(input), Timestamp::UNIX_EPOCH)?);
        micros.push(before.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!("{ROUNDS} decisions: p50 {:.1} us, p99 {:.1} us, max {:.1} us", at(0.5), at(0.99), at(1.0));
    Ok(())
}
