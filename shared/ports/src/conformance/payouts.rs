//! What the payout ledger promises.

use super::{application, at};
use crate::payouts::{Payout, PayoutState, Payouts, Reservation, Resolution};
use domain::{BasisPoints, Fen, Reason};
use futures::future::{join, join_all};

const BANK: &str = "river-bank";
const PRODUCT: &str = "steady";

fn payout(n: u8, amount: u64) -> Payout {
    Payout {
        id: application(n).payout_id(),
        bank: BANK.to_owned(),
        product: PRODUCT.to_owned(),
        amount_fen: Fen(amount),
        annual_rate_bp: BasisPoints(1_460),
        term_months: 12,
        state: PayoutState::Reserved,
        reserved_at: at(i64::from(n)),
    }
}

async fn committed(ledger: &dyn Payouts) -> u64 {
    ledger.committed(BANK, PRODUCT).await.unwrap().0
}

async fn reserve(ledger: &dyn Payouts, payout: &Payout, limit: u64) -> Reservation {
    ledger.reserve(payout, Fen(limit)).await.unwrap()
}

async fn reserved(ledger: &dyn Payouts, n: u8, amount: u64) -> Payout {
    let payout = payout(n, amount);
    assert_eq!(reserve(ledger, &payout, 1_000).await, Reservation::New);
    payout
}

pub async fn a_ledger_is_empty_at_first(ledger: &dyn Payouts) {
    assert_eq!(committed(ledger).await, 0);
    assert_eq!(ledger.get(payout(1, 1).id).await.unwrap(), None);
}

pub async fn a_reserved_payout_reads_back_and_is_committed(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    assert_eq!(ledger.get(payout.id).await.unwrap(), Some(payout));
    assert_eq!(committed(ledger).await, 300);
}

pub async fn reserving_twice_is_one_reservation(ledger: &dyn Payouts) {
    let first = reserved(ledger, 1, 300).await;
    let later = Payout { reserved_at: at(99), ..first.clone() };
    assert_eq!(reserve(ledger, &later, 1_000).await, Reservation::Exists(Box::new(first)));
    assert_eq!(committed(ledger).await, 300);
}

pub async fn racing_reservations_of_one_payout_are_one_reservation(ledger: &dyn Payouts) {
    let payout = payout(1, 300);
    let outcomes = join_all((0..8).map(|_| reserve(ledger, &payout, 1_000))).await;
    let new = outcomes.iter().filter(|outcome| **outcome == Reservation::New);
    assert_eq!(new.count(), 1);
    let exists = outcomes.iter().filter(|outcome| **outcome == Reservation::Exists(Box::new(payout.clone())));
    assert_eq!(exists.count(), 7);
    assert_eq!(committed(ledger).await, 300);
}

pub async fn another_amount_or_bank_under_the_same_id_is_different_and_changes_nothing(ledger: &dyn Payouts) {
    let first = reserved(ledger, 1, 300).await;
    let more = Payout { amount_fen: Fen(301), ..first.clone() };
    let elsewhere = Payout { bank: "hill-bank".to_owned(), ..first.clone() };
    for other in [more, elsewhere] {
        assert_eq!(reserve(ledger, &other, 1_000).await, Reservation::Different(Box::new(first.clone())));
    }
    assert_eq!(ledger.get(first.id).await.unwrap(), Some(first));
    assert_eq!(committed(ledger).await, 300);
    assert_eq!(ledger.committed("hill-bank", PRODUCT).await.unwrap(), Fen::ZERO);
}

pub async fn a_reached_limit_leaves_nothing_behind(ledger: &dyn Payouts) {
    reserved(ledger, 1, 800).await;
    assert_eq!(reserve(ledger, &payout(2, 201), 1_000).await, Reservation::LimitReached);
    assert_eq!(ledger.get(payout(2, 201).id).await.unwrap(), None);
    assert_eq!(committed(ledger).await, 800);
    assert_eq!(reserve(ledger, &payout(2, 200), 1_000).await, Reservation::New);
    assert_eq!(committed(ledger).await, 1_000);
}

pub async fn an_amount_above_the_whole_limit_leaves_nothing_behind(ledger: &dyn Payouts) {
    assert_eq!(reserve(ledger, &payout(1, 1_001), 1_000).await, Reservation::LimitReached);
    assert_eq!(ledger.get(payout(1, 1_001).id).await.unwrap(), None);
    assert_eq!(committed(ledger).await, 0);
}

pub async fn a_payout_of_nothing_closes_its_id_however_full_the_limit_is(ledger: &dyn Payouts) {
    reserved(ledger, 1, 1_000).await;
    let state = PayoutState::Voided { reason: Reason::BankLimitReached };
    let closed = Payout { state, ..payout(2, 0) };
    assert_eq!(reserve(ledger, &closed, u64::MAX).await, Reservation::New);
    assert_eq!(reserve(ledger, &closed, u64::MAX).await, Reservation::Exists(Box::new(closed.clone())));
    assert_eq!(ledger.get(closed.id).await.unwrap().as_ref(), Some(&closed));
    let late = reserve(ledger, &payout(2, 300), 10_000).await;
    assert_eq!(late, Reservation::Different(Box::new(closed)));
    assert_eq!(committed(ledger).await, 1_000);
}

pub async fn what_is_reserved_stays_reserved_when_the_limit_is_full_or_lowered(ledger: &dyn Payouts) {
    let first = reserved(ledger, 1, 1_000).await;
    for limit in [1_000, 1_500, 10] {
        assert_eq!(reserve(ledger, &first, limit).await, Reservation::Exists(Box::new(first.clone())));
    }
    assert_eq!(committed(ledger).await, 1_000);
}

pub async fn concurrent_reservations_never_exceed_the_limit(ledger: &dyn Payouts) {
    let payouts: Vec<Payout> = (1..=20).map(|n| payout(n, 150)).collect();
    let outcomes = join_all(payouts.iter().map(|payout| reserve(ledger, payout, 1_000))).await;
    let new = outcomes.iter().filter(|outcome| **outcome == Reservation::New).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == Reservation::LimitReached).count();
    assert_eq!((new, refused), (6, 14));
    assert_eq!(committed(ledger).await, 900);
}

pub async fn each_product_has_a_limit_of_its_own(ledger: &dyn Payouts) {
    reserved(ledger, 1, 1_000).await;
    let other = Payout { product: "quick".to_owned(), ..payout(2, 1_000) };
    assert_eq!(reserve(ledger, &other, 1_000).await, Reservation::New);
    assert_eq!(ledger.committed(BANK, "quick").await.unwrap(), Fen(1_000));
}

pub async fn the_largest_amount_is_kept_to_the_fen(ledger: &dyn Payouts) {
    let largest = payout(1, u64::MAX);
    assert_eq!(reserve(ledger, &largest, u64::MAX).await, Reservation::New);
    assert_eq!(reserve(ledger, &payout(2, 1), u64::MAX).await, Reservation::LimitReached);
    assert_eq!(ledger.get(largest.id).await.unwrap().unwrap().amount_fen, Fen(u64::MAX));
    assert_eq!(committed(ledger).await, u64::MAX);
    assert_eq!(ledger.void(largest.id, Reason::BankFailed).await.unwrap(), Resolution::Done);
    assert_eq!(committed(ledger).await, 0);
}

pub async fn posting_twice_is_done_and_keeps_the_first_reference(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    assert_eq!(ledger.post(payout.id, "R1").await.unwrap(), Resolution::Done);
    assert_eq!(ledger.post(payout.id, "R2").await.unwrap(), Resolution::Done);
    let state = PayoutState::Posted { bank_reference: "R1".to_owned() };
    assert_eq!(ledger.get(payout.id).await.unwrap(), Some(Payout { state, ..payout }));
}

pub async fn what_is_posted_stays_committed(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    ledger.post(payout.id, "R1").await.unwrap();
    assert_eq!(committed(ledger).await, 300);
}

pub async fn voiding_twice_gives_the_amount_back_once(ledger: &dyn Payouts) {
    reserved(ledger, 1, 500).await;
    let voided = reserved(ledger, 2, 300).await;
    for _ in 0..2 {
        assert_eq!(ledger.void(voided.id, Reason::BankRefused).await.unwrap(), Resolution::Done);
        assert_eq!(committed(ledger).await, 500);
    }
    let state = PayoutState::Voided { reason: Reason::BankRefused };
    assert_eq!(ledger.get(voided.id).await.unwrap(), Some(Payout { state, ..voided }));
}

pub async fn racing_voids_give_the_amount_back_once(ledger: &dyn Payouts) {
    reserved(ledger, 1, 500).await;
    let voided = reserved(ledger, 2, 300).await;
    let outcomes = join_all((0..8).map(|_| ledger.void(voided.id, Reason::BankFailed))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == Resolution::Done));
    assert_eq!(committed(ledger).await, 500);
}

pub async fn what_is_posted_cannot_be_voided(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    ledger.post(payout.id, "R1").await.unwrap();
    let posted = Payout { state: PayoutState::Posted { bank_reference: "R1".to_owned() }, ..payout.clone() };
    let void = ledger.void(payout.id, Reason::BankFailed).await.unwrap();
    assert_eq!(void, Resolution::Contradicts(Box::new(posted.clone())));
    assert_eq!(ledger.get(payout.id).await.unwrap(), Some(posted));
    assert_eq!(committed(ledger).await, 300);
}

pub async fn what_is_voided_cannot_be_posted(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    ledger.void(payout.id, Reason::BankFailed).await.unwrap();
    let voided = Payout { state: PayoutState::Voided { reason: Reason::BankFailed }, ..payout.clone() };
    let post = ledger.post(payout.id, "R1").await.unwrap();
    assert_eq!(post, Resolution::Contradicts(Box::new(voided.clone())));
    assert_eq!(ledger.get(payout.id).await.unwrap(), Some(voided));
    assert_eq!(committed(ledger).await, 0);
}

pub async fn a_post_and_a_void_that_race_agree_on_one_outcome(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    let race = join(ledger.post(payout.id, "R1"), ledger.void(payout.id, Reason::BankFailed)).await;
    let left = match (race.0.unwrap(), race.1.unwrap()) {
        (Resolution::Done, Resolution::Contradicts(_)) => 300,
        (Resolution::Contradicts(_), Resolution::Done) => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(committed(ledger).await, left);
}

pub async fn what_is_voided_is_never_reserved_again(ledger: &dyn Payouts) {
    let payout = reserved(ledger, 1, 300).await;
    ledger.void(payout.id, Reason::BankFailed).await.unwrap();
    let state = PayoutState::Voided { reason: Reason::BankFailed };
    let voided = Payout { state, ..payout.clone() };
    assert_eq!(reserve(ledger, &payout, 1_000).await, Reservation::Exists(Box::new(voided)));
    assert_eq!(committed(ledger).await, 0);
}

pub async fn a_payout_that_was_never_reserved_is_unknown(ledger: &dyn Payouts) {
    let never = payout(1, 300).id;
    assert_eq!(ledger.post(never, "R1").await.unwrap(), Resolution::Unknown);
    assert_eq!(ledger.void(never, Reason::BankFailed).await.unwrap(), Resolution::Unknown);
    assert_eq!(ledger.get(never).await.unwrap(), None);
    assert_eq!(committed(ledger).await, 0);
}
