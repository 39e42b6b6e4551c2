//! Every allowed and every forbidden transition, and that facts lead to one decision in whatever order they come.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{
    ApplicationId, BasisPoints, FeatureRow, Fen, Reason,
    checks::{CheckAnswer, ElementsAnswer, RingNotice, Score},
    decision::{Decision, Offer},
    journey::{AcceptedBy, CHECK_ATTEMPTS, Command, Event, Journey, Status, TransitionError, transition},
    ring::RingLabel,
    samples::{application, graph_features},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn at() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn received() -> Event {
    Event::Received { application: Box::new(application()) }
}
fn elements(answer: ElementsAnswer) -> Event {
    Event::ElementsChecked { answer }
}
fn face(attempt: u8, answer: CheckAnswer) -> Event {
    Event::FaceChecked { attempt, answer, message_id: format!("face-{attempt}") }
}
fn phone(attempt: u8, answer: CheckAnswer) -> Event {
    Event::PhoneChecked { attempt, answer, message_id: format!("phone-{attempt}") }
}
fn scored() -> Event {
    let score = Score {
        model: "m".into(),
        default_probability: 0.01,
        points: 650,
        dimensions: vec![],
        reasons: vec![],
        firm_age_days: Some(900),
        supported_amount_fen: None,
        features: FeatureRow::default(),
        challenger: None,
    };
    Event::Scored { score }
}
fn graph(ring_size: u32) -> Event {
    Event::GraphChecked { features: graph_features(ring_size) }
}
fn notice(ring_size: u32, ring_firms: u32) -> RingNotice {
    RingNotice { ring_size, ring_firms, ..RingNotice::ALONE }
}
fn ring(finder: u8, size: u32) -> Event {
    let finder = ApplicationId::from_bytes([finder; 16]);
    Event::RingFound { finder, ring: notice(size, size) }
}
fn offer() -> Offer {
    Offer {
        amount_fen: Fen::yuan(200_000),
        annual_rate_bp: BasisPoints(600),
        term_months: 12,
        expires_at: at() + SignedDuration::from_hours(24),
    }
}
fn approved(revision: u32) -> Event {
    let decision = Decision::Approved { offer: offer(), reasons: vec![] };
    Event::Decided { revision, strategy: "s".into(), decision }
}
fn accepted() -> Event {
    Event::Accepted { by: AcceptedBy::Borrower, revision: 2 }
}
fn payout_requested() -> Event {
    Event::PayoutRequested { payout_id: application().id.payout_id() }
}
fn paid_out() -> Event {
    Event::PaidOut { bank_reference: "b".into(), resolution: 1 }
}
fn payout_failed() -> Event {
    Event::PayoutFailed { reason: Reason::BankRefused, resolution: 1 }
}

/// The events that lead to each status.
fn way_to(status: Status) -> Vec<Event> {
    let yes = CheckAnswer::Match;
    let facts =
        vec![received(), elements(ElementsAnswer::Match), face(1, yes), phone(1, yes), scored(), graph(1)];
    let then = |more: Vec<Event>| facts.iter().cloned().chain(more).collect();
    match status {
        Status::Checking => vec![received()],
        Status::Deciding => facts,
        Status::Offered => then(vec![approved(2)]),
        Status::Accepted => then(vec![approved(2), accepted()]),
        Status::PayoutRequested => then(vec![approved(2), accepted(), payout_requested()]),
        Status::PaidOut => then(vec![approved(2), accepted(), payout_requested(), paid_out()]),
        Status::PayoutFailed => then(vec![approved(2), accepted(), payout_requested(), payout_failed()]),
        Status::Declined => vec![received(), elements(ElementsAnswer::Mismatch)],
        Status::Expired => vec![received(), Event::Expired],
        Status::Cancelled => vec![received(), Event::Cancelled],
    }
}

/// Long after everything that can expire has expired.
fn late() -> Timestamp {
    at() + SignedDuration::from_hours(25)
}

/// When an event of these tests happens.
fn time_of(event: &Event) -> Timestamp {
    if *event == Event::Expired { late() } else { at() }
}

fn fold(events: &[Event]) -> Result<Journey, TransitionError> {
    Journey::fold(events.iter().map(|event| (event, time_of(event)))).map(|journey| journey.unwrap())
}

fn every_event() -> Vec<Event> {
    let yes = CheckAnswer::Match;
    vec![
        received(),
        elements(ElementsAnswer::Match),
        face(1, yes),
        phone(1, yes),
        scored(),
        Event::GraphWaits,
        graph(1),
        ring(9, 5),
        approved(2),
        accepted(),
        payout_requested(),
        paid_out(),
        payout_failed(),
        Event::Expired,
        Event::Cancelled,
    ]
}

/// The whole machine as a table: where a status does not stand, the event is refused there.
fn next_status(status: Status, event: &str) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (
            Checking,
            "elements_checked" | "face_checked" | "phone_checked" | "scored" | "graph_waits"
            | "graph_checked" | "ring_found",
        ) => Checking,
        (Deciding | Offered | Accepted, "ring_found") => Deciding,
        (Deciding, "decided") => Offered,
        (Offered, "accepted") => Accepted,
        (Accepted, "payout_requested") => PayoutRequested,
        (PayoutRequested, "paid_out") => PaidOut,
        (PayoutRequested, "payout_failed") => PayoutFailed,
        (Checking | Deciding | Offered | Accepted, "cancelled") => Cancelled,
        (Checking | Deciding | Offered, "expired") => Expired,
        _ => return None,
    })
}

#[test]
fn every_transition_is_the_one_in_the_table_or_an_error_that_names_both_sides() {
    for status in Status::ALL {
        let journey = fold(&way_to(status)).unwrap();
        assert_eq!(journey.status, status);
        for event in every_event() {
            let outcome = transition(Some(journey.clone()), &event, time_of(&event));
            match (next_status(status, event.name()), outcome) {
                (Some(expected), Ok((next, _))) => assert_eq!(next.status, expected, "{status} {event:?}"),
                (None, Err(error)) => {
                    let text = error.to_string();
                    let named = text.contains(status.as_str())
                        && (text.contains(event.name()) || text.contains("decision"));
                    assert!(named, "{text}");
                }
                (expected, outcome) => panic!("{status} + {}: {expected:?} but {outcome:?}", event.name()),
            }
        }
    }
}

#[test]
fn nothing_but_received_begins_a_journey() {
    for event in every_event().into_iter().skip(1) {
        let error = transition(None, &event, at()).unwrap_err();
        assert_eq!(error, TransitionError::NotBegun { event: event.name() });
    }
}

#[test]
fn an_end_takes_nothing_more() {
    for status in Status::ALL.into_iter().filter(|s| s.is_end()) {
        let journey = fold(&way_to(status)).unwrap();
        assert_eq!(journey.outstanding(), vec![]);
        assert_eq!(journey.due_at(), None);
        for event in every_event() {
            assert!(transition(Some(journey.clone()), &event, at()).is_err(), "{status} took {event:?}");
        }
    }
}

#[test]
fn a_hard_failure_ends_the_journey_at_once_with_its_own_reason() {
    let no = CheckAnswer::Mismatch;
    for (event, reason) in [
        (elements(ElementsAnswer::Mismatch), Reason::IdentityMismatch),
        (elements(ElementsAnswer::FirmBanned), Reason::FirmBanned),
        (face(1, no), Reason::FaceMismatch),
        (phone(1, no), Reason::PhoneMismatch),
    ] {
        let journey = fold(&[received(), event]).unwrap();
        assert_eq!((journey.status, journey.reasons), (Status::Declined, vec![reason]));
    }
}

#[test]
fn unknown_asks_again_at_most_three_times_and_then_declines_with_its_own_reason() {
    let mut events = vec![received()];
    for attempt in 1..CHECK_ATTEMPTS {
        events.push(phone(attempt, CheckAnswer::Unknown));
        let journey = fold(&events).unwrap();
        assert_eq!(journey.status, Status::Checking);
        assert!(journey.outstanding().contains(&Command::StartPhoneCheck { attempt: attempt + 1 }));
    }
    events.push(phone(CHECK_ATTEMPTS, CheckAnswer::Unknown));
    let journey = fold(&events).unwrap();
    assert_eq!((journey.status, journey.reasons), (Status::Declined, vec![Reason::PhoneUnverified]));
}

#[test]
fn a_graph_check_that_waits_is_asked_for_again_by_the_last_proof_and_not_before() {
    let yes = CheckAnswer::Match;
    let mut events = vec![received(), elements(ElementsAnswer::Match), Event::GraphWaits];
    let asks = |events: &[Event]| fold(events).unwrap().outstanding().contains(&Command::CheckGraph);
    assert!(!asks(&events));
    events.push(phone(1, yes));
    assert!(!asks(&events));
    events.push(face(1, yes));
    assert!(asks(&events));
    let journey = fold(&events).unwrap();
    let error = transition(Some(journey), &Event::GraphWaits, at()).unwrap_err();
    assert_eq!(error, TransitionError::Repeated { status: Status::Checking, event: "graph_waits" });
    let proven = fold(&[received(), elements(ElementsAnswer::Match), phone(1, yes), face(1, yes)]).unwrap();
    let error = transition(Some(proven), &Event::GraphWaits, at()).unwrap_err();
    assert_eq!(error, TransitionError::Forbidden { status: Status::Checking, event: "graph_waits" });
}

#[test]
fn an_answer_to_an_attempt_that_was_never_asked_is_refused() {
    let journey = fold(&[received()]).unwrap();
    assert!(transition(Some(journey), &phone(2, CheckAnswer::Match), at()).is_err());
}

#[test]
fn refusing_face_recognition_needs_another_proof_or_ends_with_a_clear_reason() {
    let mut refused = application();
    refused.consents.face_recognition = false;
    let (journey, _) =
        transition(None, &Event::Received { application: Box::new(refused.clone()) }, at()).unwrap();
    assert_eq!((journey.status, journey.reasons), (Status::Declined, vec![Reason::FaceConsentRefused]));

    refused.identified_by_channel = true;
    let (journey, commands) =
        transition(None, &Event::Received { application: Box::new(refused) }, at()).unwrap();
    assert_eq!(journey.status, Status::Checking);
    assert!(!commands.contains(&Command::StartFaceCheck { attempt: 1 }), "{commands:?}");
}

#[test]
fn whoever_finds_the_time_up_too_late_does_not_end_a_journey_that_has_moved_on() {
    for status in [Status::Checking, Status::Deciding, Status::Offered] {
        let journey = fold(&way_to(status)).unwrap();
        let error = transition(Some(journey), &Event::Expired, at()).unwrap_err();
        assert_eq!(error, TransitionError::Forbidden { status, event: "expired" });
    }
}

#[test]
fn an_offer_that_has_expired_or_was_replaced_cannot_be_accepted() {
    let offered = fold(&way_to(Status::Offered)).unwrap();
    assert!(transition(Some(offered.clone()), &accepted(), late()).is_err());
    let another = Event::Accepted { by: AcceptedBy::Borrower, revision: 1 };
    assert!(transition(Some(offered), &another, at()).is_err());
}

#[test]
fn a_ring_after_the_checks_gives_the_decision_its_own_time() {
    let journey = fold(&way_to(Status::Offered)).unwrap();
    let hour = at() + SignedDuration::from_hours(1);
    let (journey, _) = transition(Some(journey), &ring(9, 5), hour).unwrap();
    assert!(!journey.has_expired(hour));
    assert!(journey.has_expired(hour + SignedDuration::from_mins(15)));
}

#[test]
fn a_decision_on_older_facts_is_refused() {
    let mut events = way_to(Status::Deciding);
    events.push(ring(9, 5));
    let journey = fold(&events).unwrap();
    let error = transition(Some(journey.clone()), &approved(2), at()).unwrap_err();
    assert_eq!(error, TransitionError::Outdated { status: Status::Deciding, decided: 2, current: 3 });
    assert!(transition(Some(journey), &approved(3), at()).is_ok());
}

#[test]
fn a_ring_takes_the_offer_back_until_the_bank_is_instructed() {
    for status in [Status::Offered, Status::Accepted] {
        let mut events = way_to(status);
        events.push(ring(9, 5));
        let journey = fold(&events).unwrap();
        assert_eq!((journey.status, journey.offer.clone()), (Status::Deciding, None));
        assert_eq!(journey.outstanding(), vec![Command::Decide]);
    }
    let instructed = fold(&way_to(Status::PayoutRequested)).unwrap();
    assert!(transition(Some(instructed), &ring(9, 5), at()).is_err());
}

#[test]
fn many_applications_of_two_firms_do_not_hide_three_firms() {
    let mut events = way_to(Status::Deciding);
    let finder = ApplicationId::from_bytes([9; 16]);
    for (ring_size, ring_firms) in [(10, 2), (3, 3)] {
        events.push(Event::RingFound { finder, ring: notice(ring_size, ring_firms) });
    }
    let ring = fold(&events).unwrap().facts.largest_ring();
    assert_eq!(ring, notice(10, 3));
}

#[test]
fn the_worst_label_and_the_smallest_name_stay_in_whatever_order_rings_are_heard_of() {
    let [small, large] = [1, 2].map(|n| ApplicationId::from_bytes([n; 16]).ring_id());
    let farm = RingNotice { label: Some(RingLabel::DeviceFarm), ring: Some(large), ..notice(5, 5) };
    let family = RingNotice { label: Some(RingLabel::Ordinary), ring: Some(small), ..notice(3, 2) };
    let both = RingNotice { label: Some(RingLabel::DeviceFarm), ring: Some(small), ..notice(5, 5) };
    assert_eq!((farm.worst(family), family.worst(farm)), (both, both));
    let before: RingNotice = serde_json::from_str(r#"{"ring_size":4,"ring_firms":4}"#).unwrap();
    assert_eq!(before, notice(4, 4), "a notice from before rings had labels still reads");
}

#[test]
fn an_offer_above_what_was_asked_or_above_the_legal_rate_is_refused() {
    let journey = fold(&way_to(Status::Deciding)).unwrap();
    for (amount_fen, rate) in [(Fen::yuan(200_001), 600), (Fen::ZERO, 600), (Fen::yuan(1), 2_401)] {
        let offer = Offer { amount_fen, annual_rate_bp: BasisPoints(rate), ..offer() };
        let decision = Decision::Approved { offer, reasons: vec![] };
        let event = Event::Decided { revision: 2, strategy: "s".into(), decision };
        let error = transition(Some(journey.clone()), &event, at()).unwrap_err();
        assert!(matches!(error, TransitionError::OfferOutOfBounds(_)), "{error}");
    }
}

#[test]
fn a_payout_under_another_id_is_refused() {
    let journey = fold(&way_to(Status::Accepted)).unwrap();
    let other = Event::PayoutRequested { payout_id: ApplicationId::from_bytes([2; 16]).payout_id() };
    assert!(transition(Some(journey), &other, at()).is_err());
}

#[test]
fn checks_and_offers_run_out_of_time_but_an_accepted_offer_does_not() {
    let late = at() + SignedDuration::from_hours(24);
    for (status, runs_out) in [
        (Status::Checking, true),
        (Status::Deciding, true),
        (Status::Offered, true),
        (Status::Accepted, false),
        (Status::PayoutRequested, false),
    ] {
        let journey = fold(&way_to(status)).unwrap();
        assert!(!journey.has_expired(at()));
        assert_eq!(journey.has_expired(late), runs_out, "{status}");
    }
}

#[test]
fn fault_10_a_graph_check_from_before_loans_were_watched_reads_back_without_overdue_neighbours() {
    let mut written = serde_json::to_value(graph(2)).unwrap();
    let features = written.pointer_mut("/features").and_then(|f| f.as_object_mut()).unwrap();
    assert!(
        features.remove("overdue_neighbours").is_some() && features.remove("longest_overdue_days").is_some()
    );
    assert_eq!(serde_json::from_value::<Event>(written).unwrap(), graph(2));
}

#[test]
fn events_read_back_from_json_exactly() {
    for event in every_event() {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}

/// All facts of one application: two unknown phone answers, two rings found by others, its own graph check.
fn facts() -> Vec<Event> {
    vec![
        elements(ElementsAnswer::Match),
        face(1, CheckAnswer::Match),
        phone(1, CheckAnswer::Unknown),
        phone(2, CheckAnswer::Match),
        scored(),
        graph(2),
        ring(7, 4),
        ring(8, 3),
    ]
}

proptest! {
    #[test]
    fn the_same_facts_rest_the_same_decision_whatever_their_order(order in Just(facts()).prop_shuffle()) {
        // What comes too early (the second phone answer) or tells nothing new (a smaller ring) is delivered again
        // later or dropped, as the queues and the functions do.
        let mut journey = fold(&[received()]).unwrap();
        let mut waiting = order;
        for _ in 0..3 {
            let mut again = Vec::new();
            for event in waiting {
                match transition(Some(journey.clone()), &event, at()) {
                    Ok((next, _)) => journey = next,
                    Err(TransitionError::Repeated { .. }) => {}
                    Err(_) => again.push(event),
                }
            }
            waiting = again;
        }
        prop_assert_eq!(waiting, vec![]);
        prop_assert_eq!(journey.status, Status::Deciding);
        prop_assert_eq!(journey.facts.largest_ring(), notice(4, 4));
        let straight = fold(&way_to(Status::Deciding)).unwrap();
        prop_assert_eq!(&journey.facts.score, &straight.facts.score);
    }

    #[test]
    fn no_sequence_of_events_pays_without_acceptance(events in prop::collection::vec(0..every_event().len(), 0..40)) {
        let all = every_event();
        let (mut state, mut accepted_before) = (None, false);
        for index in events {
            let event = &all[index];
            if let Ok((next, commands)) = transition(state.clone(), event, at()) {
                accepted_before |= matches!(event, Event::Accepted { .. });
                if commands.contains(&Command::PayOut) || next.status == Status::PaidOut {
                    prop_assert!(accepted_before);
                }
                state = Some(next);
            }
        }
    }
}

#[test]
fn a_repeated_event_changes_nothing() {
    let events = way_to(Status::PaidOut);
    let journey = fold(&events).unwrap();
    for event in &events {
        let error = transition(Some(journey.clone()), event, at()).unwrap_err();
        let refused = matches!(error, TransitionError::Repeated { .. } | TransitionError::Forbidden { .. });
        assert!(refused, "{error}");
    }
}

#[test]
fn an_end_follows_the_ledgers_corrections_in_the_ledgers_order_and_nothing_else() {
    let paid = |resolution| Event::PaidOut { bank_reference: "b".into(), resolution };
    let failed = |resolution| Event::PayoutFailed { reason: Reason::BankFailed, resolution };
    let after = |events: &[Event]| {
        let mut all = way_to(Status::PayoutRequested);
        all.extend_from_slice(events);
        fold(&all).unwrap()
    };
    assert_eq!(after(&[failed(1), paid(2)]).status, Status::PaidOut);
    assert_eq!(after(&[failed(1), paid(2)]).reasons, []);
    assert_eq!(after(&[paid(1), failed(2)]).bank_reference, None);
    assert_eq!(after(&[paid(1), failed(2), paid(3)]).status, Status::PaidOut);
    let corrected = after(&[failed(1), paid(2)]);
    for stale in [failed(1), paid(1), failed(2)] {
        let repeated = transition(Some(corrected.clone()), &stale, at());
        assert!(matches!(repeated, Err(TransitionError::Repeated { .. })), "{stale:?}");
    }
}
