use super::{accepted_in_advance, wire::strategies};
use domain::{Application, BasisPoints, Fen, decision::Offer, product::Catalogue};
use wiring::Outside;

fn application(accept_up_to_bp: Option<u32>) -> Application {
    serde_json::from_value(serde_json::json!({
        "id": "00000000-0000-8000-8000-000000000001",
        "subject": "subject",
        "firm_code": "91420100MA4KL0001N",
        "product": "river-quick",
        "bank": "river-bank",
        "approval": "delegated",
        "amount_fen": 10_000_000,
        "term_months": 12,
        "channel": "mini_program",
        "consents": {"data": true, "credit_query": true, "face_recognition": true},
        "traces": {"device": "d", "network": "n", "person": "p", "phone": "t", "card": "c", "address": null},
        "place": null,
        "identified_by_channel": false,
        "accept_up_to_bp": accept_up_to_bp
    }))
    .unwrap()
}

fn offer(amount_fen: u64, rate: u32) -> Offer {
    Offer {
        amount_fen: Fen(amount_fen),
        annual_rate_bp: BasisPoints(rate),
        term_months: 12,
        expires_at: "2026-11-24T08:00:00Z".parse().unwrap(),
    }
}

#[test]
fn only_the_full_amount_within_the_rate_is_accepted_in_advance() {
    let agreed = application(Some(1_000));
    assert!(accepted_in_advance(&agreed, &offer(10_000_000, 1_000)));
    assert!(!accepted_in_advance(&agreed, &offer(10_000_000, 1_001)));
    assert!(!accepted_in_advance(&agreed, &offer(9_999_999, 435)));
    assert!(!accepted_in_advance(&application(None), &offer(10_000_000, 0)));
}

#[test]
fn another_term_than_asked_for_is_not_accepted_in_advance() {
    let other = Offer { term_months: 24, ..offer(10_000_000, 435) };
    assert!(!accepted_in_advance(&application(Some(2_400)), &other));
}

#[test]
fn the_packaged_strategy_and_products_load() {
    let products = wiring::products().unwrap();
    let strategies = strategies(&products, &Outside::real()).unwrap();
    assert!(products.iter().all(|product| strategies.contains_key(&product.strategy)));
    let banks: std::collections::BTreeSet<&str> = products.iter().map(|p| p.bank.as_str()).collect();
    assert_eq!(banks.into_iter().collect::<Vec<_>>(), ["lake-bank", "river-bank"]);
}

#[test]
fn a_product_whose_strategy_is_nowhere_stops_the_function_at_its_start() {
    let products: Vec<_> = wiring::products().unwrap().iter().cloned().collect();
    let mut products = serde_json::to_value(products).unwrap();
    products[0]["strategy"] = "forgotten-1".into();
    let products = Catalogue::from_json(&products.to_string()).unwrap();
    let error = strategies(&products, &Outside::real()).unwrap_err();
    assert!(lambda_kit::chain(&error).contains("forgotten-1"), "{error:?}");
}
