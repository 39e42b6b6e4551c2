//! The packaged strategy case by case, what the loader refuses, and what no outcome may ever be.

use crate::{
    FirmFacts, GraphFacts, Input, LoadError, MAX_DOCUMENT_BYTES, OutcomeError, RingFacts, Strategy,
    StrategyError, document::good_firm,
};
use domain::{
    Reason,
    decision::{Decision, Offer},
    money::MAX_ANNUAL_RATE,
    ring::RingLabel,
};
use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, strategy::Strategy as _};
use serde_json::{Value, json};
use std::sync::OnceLock;

const NAME: &str = "standard-2026.11.4";
const STANDARD: &str = include_str!("../../../models/strategies/standard-2026.11.4.json");

fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn standard() -> &'static Strategy {
    static LOADED: OnceLock<Strategy> = OnceLock::new();
    LOADED.get_or_init(|| Strategy::load(NAME, STANDARD).unwrap())
}

fn decide(change: impl Fn(&mut Input)) -> Decision {
    let mut input = good_firm();
    change(&mut input);
    standard().decide(&input, now()).unwrap()
}

fn offer(change: impl Fn(&mut Input)) -> (Offer, Vec<Reason>) {
    match decide(change) {
        Decision::Approved { offer, reasons } => (offer, reasons),
        declined => panic!("{declined:?}"),
    }
}

fn refusal(change: impl Fn(&mut Input)) -> Vec<Reason> {
    match decide(change) {
        Decision::Declined { reasons } => reasons,
        approved => panic!("{approved:?}"),
    }
}

#[test]
fn a_good_firm_gets_what_it_asked_for_and_has_a_day_to_think() {
    let (offer, reasons) = offer(|_| {});
    assert_eq!((offer.amount_fen.0, offer.term_months, reasons), (20_000_000, 12, vec![]));
    assert_eq!(offer.expires_at, now() + SignedDuration::from_hours(24));
}

#[test]
fn the_band_sets_the_rate_and_its_edges_belong_to_the_better_band() {
    for (points, rate) in [
        (900, 435),
        (660, 435),
        (659, 701),
        (640, 701),
        (639, 968),
        (620, 968),
        (619, 1_234),
        (600, 1_234),
        (599, 1_500),
        (590, 1_500),
    ] {
        let (offer, _) = offer(|input| input.score.points = points);
        assert_eq!(offer.annual_rate_bp.0, rate, "at {points} points");
    }
}

#[test]
fn a_score_below_the_cut_off_is_declined() {
    assert_eq!(refusal(|input| input.score.points = 589), [Reason::ScoreLow]);
    assert_eq!(refusal(|input| input.score.points = i32::MIN), [Reason::ScoreLow]);
}

#[test]
fn a_ring_is_declined_with_its_label_as_reason_and_an_ordinary_one_is_not() {
    let ring = |size, firms, label| move |input: &mut Input| input.ring = RingFacts { size, firms, label };
    for label in RingLabel::ALL {
        let seen = decide(ring(5, 5, Some(*label)));
        match label.reason() {
            Some(reason) => {
                let reasons = vec![Reason::RingSuspected, reason];
                assert_eq!(seen, Decision::Declined { reasons }, "{label:?}");
            }
            None => assert!(matches!(seen, Decision::Approved { .. }), "{label:?}"),
        }
    }
    let stacking = Reason::RingLoanStacking;
    assert_eq!(refusal(ring(3, 1, Some(RingLabel::LoanStacking))), [Reason::RingSuspected, stacking]);
}

#[test]
fn three_firms_that_share_something_and_are_called_ordinary_each_get_half_of_what_the_record_supports() {
    let amount = |size, firms| {
        let (offer, _) = offer(|input| {
            input.ring = RingFacts { size, firms, label: Some(RingLabel::Ordinary) };
            input.firm.supported_amount_fen = Some(12_345_678);
        });
        offer.amount_fen.0
    };
    assert_eq!([amount(4, 2), amount(3, 3), amount(50, 50)], [12_340_000, 6_170_000, 6_170_000]);
    let half_is_too_little = refusal(|input| {
        input.ring = RingFacts { size: 3, firms: 3, label: Some(RingLabel::Ordinary) };
        input.firm.supported_amount_fen = Some(1_999_999);
    });
    assert_eq!(half_is_too_little, [Reason::AmountUnsupported]);
}

#[test]
fn a_ring_that_nobody_has_labelled_is_declined_by_its_size() {
    let ring = |size, firms| move |input: &mut Input| input.ring = RingFacts { size, firms, label: None };
    assert_eq!(refusal(ring(3, 3)), [Reason::RingSuspected]);
    assert_eq!(refusal(ring(u32::MAX, u32::MAX)), [Reason::RingSuspected]);
    offer(ring(2, 2));
    offer(ring(4, 2));
    offer(ring(6, 1));
}

#[test]
fn a_ring_is_declined_exactly_where_its_members_hear_of_each_other() {
    // Otherwise the members of a ring that the strategy refuses would not all hear of it.
    for label in RingLabel::ALL {
        for (size, firms) in [(2, 1), (2, 2), (3, 3), (50, 50)] {
            let seen = decide(|input| input.ring = RingFacts { size, firms, label: Some(*label) });
            let is_declined = matches!(seen, Decision::Declined { .. });
            assert_eq!(is_declined, label.is_suspicious(), "{label:?}, {size} of {firms} firms");
        }
    }
}

#[test]
fn a_ring_that_floods_its_device_until_the_graph_looks_away_is_declined_by_the_count() {
    assert_eq!(
        refusal(|input| {
            input.graph.device_applications = relations::FAN_OUT;
            input.graph.cut_off = true;
        }),
        [Reason::RingSuspected]
    );
    offer(|input| input.graph.phone_applications = relations::FAN_OUT - 1);
}

#[test]
fn thousands_on_one_network_are_held_against_nobody() {
    offer(|input| {
        input.graph.network_applications = 10_000;
        input.graph.cut_off = true;
    });
}

#[test]
fn a_strong_link_to_a_loan_that_is_overdue_by_thirty_days_is_declined() {
    let linked = |days| {
        move |input: &mut Input| {
            input.graph.overdue_neighbours = 1;
            input.graph.longest_overdue_days = days;
        }
    };
    assert_eq!(refusal(linked(30)), [Reason::OverdueLinked]);
    assert_eq!(refusal(linked(u32::MAX)), [Reason::OverdueLinked]);
    offer(linked(29));
}

#[test]
fn the_documents_before_this_one_still_load_so_that_their_decisions_can_be_made_again() {
    let before = [
        ("standard-2026.11.1", include_str!("../../../models/strategies/standard-2026.11.1.json")),
        ("standard-2026.11.2", include_str!("../../../models/strategies/standard-2026.11.2.json")),
        ("standard-2026.11.3", include_str!("../../../models/strategies/standard-2026.11.3.json")),
    ];
    for (name, document) in before {
        let before = Strategy::load(name, document).unwrap();
        assert!(matches!(before.decide(&good_firm(), now()), Ok(Decision::Approved { .. })), "{name}");
    }
}

#[test]
fn a_firm_of_which_too_little_is_known_is_declined() {
    let keep = |count: usize| move |input: &mut Input| input.score.dimensions_present.truncate(count);
    assert_eq!(refusal(keep(0)), [Reason::DataMissing]);
    assert_eq!(refusal(keep(1)), [Reason::DataMissing]);
    offer(keep(2));
    assert_eq!(refusal(|input| input.firm.age_days = None), [Reason::DataMissing]);
    assert_eq!(refusal(|input| input.firm.age_days = Some(-1)), [Reason::DataMissing]);
    assert_eq!(refusal(|input| input.firm.supported_amount_fen = None), [Reason::DataMissing]);
}

#[test]
fn a_firm_younger_than_half_a_year_is_declined() {
    assert_eq!(refusal(|input| input.firm.age_days = Some(0)), [Reason::FirmTooYoung]);
    assert_eq!(refusal(|input| input.firm.age_days = Some(179)), [Reason::FirmTooYoung]);
    offer(|input| input.firm.age_days = Some(180));
}

#[test]
fn the_amount_is_lowered_to_what_the_record_supports_in_steps_of_a_hundred_yuan() {
    let (offer, reasons) = offer(|input| {
        input.score.points = 630; // band C lends 80 %
        input.firm.supported_amount_fen = Some(12_345_678);
    });
    assert_eq!((offer.amount_fen.0, reasons), (9_870_000, vec![Reason::AmountTooHigh]));
}

#[test]
fn an_amount_below_the_smallest_loan_is_declined() {
    let supported = |fen| move |input: &mut Input| input.firm.supported_amount_fen = Some(fen);
    assert_eq!(refusal(supported(999_999)), [Reason::AmountUnsupported]);
    assert_eq!(refusal(supported(0)), [Reason::AmountUnsupported]);
    assert_eq!(offer(supported(1_000_000)).0.amount_fen.0, 1_000_000);
}

#[test]
fn every_reason_that_applies_is_told_once() {
    let reasons = refusal(|input| {
        input.ring = RingFacts { size: 9, firms: 9, label: Some(RingLabel::DeviceFarm) };
        input.graph.card_applications = 77;
        input.score.points = 400;
        input.firm.age_days = Some(3);
    });
    let farm = Reason::RingDeviceFarm;
    assert_eq!(reasons, [Reason::RingSuspected, farm, Reason::ScoreLow, Reason::FirmTooYoung]);
}

#[test]
fn a_probability_that_is_no_number_changes_nothing() {
    assert_eq!(decide(|input| input.score.default_probability = f64::NAN), decide(|_| {}));
}

#[test]
fn the_version_names_the_very_document() {
    let version = |json: &str| Strategy::load(NAME, json).unwrap().version().to_owned();
    let edited = STANDARD.replacen("< 590", "<  590", 1);
    assert!(version(STANDARD).starts_with("standard-2026.11.4+"));
    assert_eq!(version(STANDARD).len(), NAME.len() + 1 + 16);
    assert_ne!(version(STANDARD), version(&edited));
}

/// The packaged document with one change.
fn changed(change: impl Fn(&mut Value)) -> Result<Strategy, LoadError> {
    let mut document: Value = serde_json::from_str(STANDARD).unwrap();
    change(&mut document);
    Strategy::load(NAME, &document.to_string())
}

fn node(document: &mut Value, id: &str) -> usize {
    document["nodes"].as_array().unwrap().iter().position(|n| n["id"] == id).unwrap()
}

/// The document with one expression of the outcome replaced.
fn with_outcome(key: &str, value: &str) -> Result<Strategy, LoadError> {
    changed(|document| {
        let place = node(document, "outcome");
        let expressions = document["nodes"][place]["content"]["expressions"].as_array_mut().unwrap();
        expressions.iter_mut().find(|e| e["key"] == key).unwrap()["value"] = value.into();
    })
}

#[test]
fn nodes_that_run_code_or_reach_outside_are_refused() {
    for (kind, content) in [
        ("functionNode", json!({"source": "export const handler = () => ({approve: true})"})),
        ("functionNode", json!("const handler = () => 1")),
        ("decisionNode", json!({"key": "other.json"})),
        ("customNode", json!({"kind": "http", "config": {"url": "http://169.254.169.254/"}})),
        ("httpNode", json!({})),
        ("", json!({})),
    ] {
        let error = changed(|document| {
            let extra = json!({"id": "extra", "name": "extra", "type": kind, "content": content});
            document["nodes"].as_array_mut().unwrap().push(extra);
        })
        .unwrap_err();
        assert!(matches!(error, LoadError::NodeType { .. }), "{kind}: {error}");
    }
}

#[test]
fn expressions_that_read_a_clock_or_roll_dice_are_refused() {
    for expression in [
        "rand(2) > 1",
        "d() > d('2026-01-01')",
        "date('now') > 0",
        "map([1], rand(#))[0] == 1",
        "`${rand(9)}` == '1'",
    ] {
        let error = with_outcome("approve", expression).unwrap_err();
        assert!(matches!(error, LoadError::Function { .. }), "{expression}: {error}");
    }
}

#[test]
fn an_expression_that_does_not_compile_is_refused_wherever_it_stands() {
    assert!(matches!(with_outcome("approve", "len(refusals"), Err(LoadError::Expression { .. })));
    for (place, field, value) in
        [("refusals", "code", "'OPEN"), ("refusals", "age_days", ">= ("), ("band", "points", "[600..")]
    {
        let error = changed(|document| {
            let at = node(document, place);
            document["nodes"][at]["content"]["rules"][0][field] = value.into();
        });
        assert!(matches!(error, Err(LoadError::Expression { .. })), "{place} {field}");
    }
}

#[test]
fn schemas_policies_imports_cycles_and_oversize_are_refused() {
    let schema = json!({"schema": r#"{"$ref":"http://127.0.0.1/x"}"#});
    assert!(matches!(changed(|d| d["nodes"][0]["content"] = schema.clone()), Err(LoadError::Schema(_))));
    assert!(matches!(changed(|d| d["imports"] = json!(["words"])), Err(LoadError::NotAGraph)));
    assert!(matches!(Strategy::load(NAME, r#"{"blocks":[]}"#), Err(LoadError::NotAGraph)));
    let back = json!({"id": "back", "sourceId": "outcome", "targetId": "band"});
    assert!(matches!(
        changed(|d| d["edges"].as_array_mut().unwrap().push(back.clone())),
        Err(LoadError::Graph(_))
    ));
    let nowhere = json!({"id": "nowhere", "sourceId": "outcome", "targetId": "gone"});
    assert!(matches!(
        changed(|d| d["edges"].as_array_mut().unwrap().push(nowhere.clone())),
        Err(LoadError::Graph(_))
    ));
    let padded = format!("{STANDARD}{}", " ".repeat(MAX_DOCUMENT_BYTES));
    assert!(matches!(Strategy::load(NAME, &padded), Err(LoadError::TooLarge)));
    assert!(matches!(Strategy::load("../secrets", STANDARD), Err(LoadError::Name)));
    assert!(matches!(changed(|d| { d["nodes"][1]["id"] = "facts".into() }), Err(LoadError::DoubleId(_))));
}

#[test]
fn a_document_that_answers_everybody_with_an_approval_is_refused() {
    let error = with_outcome("approve", "true").unwrap_err();
    assert!(matches!(error, LoadError::Trial { problem: StrategyError::Outcome(_), .. }), "{error}");
}

#[test]
fn a_misspelt_field_that_would_refuse_nobody_is_found_when_the_document_is_loaded() {
    for (input, field) in [
        ("ring_suspected", "terms.ring_suspeted"),
        ("accepted", "band.acepted"),
        ("data_missing", "terms.missing"),
    ] {
        let loaded = changed(|document| {
            let at = node(document, "refusals");
            let inputs = document["nodes"][at]["content"]["inputs"].as_array_mut().unwrap();
            inputs.iter_mut().find(|i| i["id"] == input).unwrap()["field"] = field.into();
        });
        assert!(
            matches!(loaded, Err(LoadError::TrialApproved(_) | LoadError::Trial { .. })),
            "{field}: {loaded:?}"
        );
    }
}

#[test]
fn an_outcome_outside_the_law_the_product_or_the_request_is_no_decision() {
    use OutcomeError as E;
    for (key, value, problem) in [
        ("annual_rate_bp", "2401", E::RateAboveCeiling),
        ("annual_rate_bp", "1501", E::RateOutsideProduct),
        ("annual_rate_bp", "434", E::RateOutsideProduct),
        ("amount_fen", "20000001", E::AmountAboveRequest),
        ("amount_fen", "999999", E::LoweredInSilence),
        ("amount_fen", "0", E::LoweredInSilence),
        ("term_months", "7", E::TermOutsideProduct),
        ("reasons", "['NICE_PERSON']", E::UnknownReason("NICE_PERSON".into())),
        ("reasons", "['SCORE_LOW']", E::ReasonAgainst(Reason::ScoreLow)),
        ("approve", "false", E::NoReason),
    ] {
        let error = with_outcome(key, value).unwrap_err();
        let LoadError::Trial { problem: StrategyError::Outcome(found), .. } = error else {
            panic!("{error}")
        };
        assert_eq!(found, problem, "{key} = {value}");
    }
}

#[test]
fn an_outcome_that_is_not_whole_or_not_complete_is_no_decision() {
    for (key, value) in [
        ("amount_fen", "1000000.5"),
        ("amount_fen", "-1"),
        ("amount_fen", "'1000000'"),
        ("annual_rate_bp", "null"),
        ("term_months", "70000"),
        ("approve", "1"),
        ("approve", "'true'"),
        ("reasons", "'SCORE_LOW'"),
        ("reasons", ""),
        ("approve", ""),
    ] {
        let error = with_outcome(key, value).unwrap_err();
        assert!(matches!(error, LoadError::Trial { .. }), "{key} = {value}: {error}");
    }
    let cut = changed(|document| {
        document["edges"].as_array_mut().unwrap().retain(|e| e["targetId"] != "outcome");
    });
    assert!(matches!(cut, Err(LoadError::Trial { .. })));
}

fn facts() -> impl proptest::strategy::Strategy<Value = Input> {
    let amounts =
        (1_u64..=60_000_000, prop::option::of(0_u64..=200_000_000), prop::option::of(-10_i64..4_000));
    let counts = prop::collection::vec(1_u32..60, 7);
    (400_i32..760, 0_usize..=5, amounts, counts, any::<bool>()).prop_map(
        |(points, present, (amount, supported, age), counts, cut_off)| {
            let mut input = good_firm();
            input.score.points = points;
            input.score.missing_dimensions = input.score.dimensions_present.split_off(present);
            input.requested.amount_fen = amount;
            input.firm = FirmFacts { age_days: age, supported_amount_fen: supported };
            input.ring = RingFacts {
                size: counts[0] % 6 + 1,
                firms: counts[1] % (counts[0] % 6 + 1) + 1,
                label: RingLabel::ALL.get(counts[1] as usize % 9).copied(),
            };
            input.graph = GraphFacts {
                device_applications: counts[2],
                card_applications: counts[3],
                phone_applications: counts[4],
                network_applications: counts[5],
                overdue_neighbours: counts[6] / 10,
                longest_overdue_days: if counts[6] < 10 { 0 } else { counts[6] },
                unproven_claims: counts[0],
                device_mismatches: counts[0],
                device_sign_ups: counts[0],
                cut_off,
            };
            input
        },
    )
}

fn is_refused(ring: &RingFacts) -> bool {
    ring.label.map_or(ring.size >= 3 && ring.firms >= 3, RingLabel::is_suspicious)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rules of the document once more, in another language, for every mixture of facts.
    #[test]
    fn no_approval_breaks_a_rule_and_no_decline_is_without_cause(input in facts()) {
        let joined_percent = if input.ring.size >= 3 && input.ring.firms >= 3 { 50 } else { 100 };
        let may_refuse = input.score.points < 590
            || input.score.dimensions_present.len() < 2
            || input.firm.age_days.is_none_or(|days| days < 180)
            || input.firm.supported_amount_fen.is_none_or(|fen| fen * 3 / 10 * joined_percent / 100 < 1_010_000)
            || is_refused(&input.ring)
            || input.graph.device_applications.max(input.graph.card_applications).max(input.graph.phone_applications) >= 50
            || input.graph.longest_overdue_days >= 30
            || input.requested.amount_fen < input.product.min_amount_fen;
        match standard().decide(&input, now()).unwrap() {
            Decision::Approved { offer, reasons } => {
                prop_assert!(offer.annual_rate_bp <= MAX_ANNUAL_RATE);
                prop_assert!(offer.amount_fen.0 <= input.requested.amount_fen);
                prop_assert!(Some(offer.amount_fen.0) <= input.firm.supported_amount_fen);
                prop_assert!(input.score.points >= 590 && input.score.dimensions_present.len() >= 2);
                prop_assert!(input.firm.age_days >= Some(180));
                prop_assert!(!is_refused(&input.ring));
                prop_assert!(input.graph.longest_overdue_days < 30);
                prop_assert_eq!(reasons.is_empty(), offer.amount_fen.0 == input.requested.amount_fen);
            }
            Decision::Declined { .. } => prop_assert!(may_refuse),
        }
    }

    #[test]
    fn equal_facts_get_an_equal_decision_from_every_copy(input in facts()) {
        let first = standard().decide(&input, now());
        prop_assert_eq!(&first, &standard().clone().decide(&input, now()));
        let other = std::thread::spawn(move || standard().decide(&input, now())).join();
        prop_assert_eq!(&first, &other.unwrap());
    }
}

#[test]
fn a_strategy_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Strategy>();
}
