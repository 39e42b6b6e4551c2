//! What the payout ledger promises.

use super::{application, at, firm_code};
use crate::ledger::{Announced, Ledger, Reservation, Resolved};
use domain::{
    BasisPoints, Fen, Reason,
    calendar::day_in_china,
    ledger::{Dispute, Evidence, MAX_DISPUTES, Movement, Next, Outcome, Payout, PayoutStatus, Resolution},
};
use futures::future::{join, join_all};

const BANK: &str = "river-bank";
const PRODUCT: &str = "steady";

/// The nth payout, to a firm of its own.
pub(super) fn payout(n: u8, amount: u64) -> Payout {
    Payout {
        id: application(n).payout_id(),
        bank: BANK.to_owned(),
        product: PRODUCT.to_owned(),
        firm_code: firm_code(usize::from(n)),
        amount_fen: Fen(amount),
        annual_rate_bp: BasisPoints(1_460),
        term_months: 12,
        reserved_at: at(i64::from(n)),
        closed: None,
        resolutions: Vec::new(),
        disputes: Vec::new(),
    }
}

pub(super) fn posted(reference: &str) -> Outcome {
    Outcome::Posted { bank_reference: reference.to_owned() }
}

pub(super) fn voided() -> Outcome {
    Outcome::Voided { reason: Reason::BankFailed }
}

pub(super) async fn drawn(ledger: &dyn Ledger) -> i128 {
    ledger.drawn(BANK, PRODUCT).await.unwrap()
}

pub(super) async fn reserve(ledger: &dyn Ledger, payout: &Payout, ceiling: u64) -> Reservation {
    ledger.reserve(payout, Fen(ceiling)).await.unwrap()
}

pub(super) async fn reserved(ledger: &dyn Ledger, n: u8, amount: u64) -> Payout {
    let payout = payout(n, amount);
    assert_eq!(reserve(ledger, &payout, 1_000).await, Reservation::New);
    payout
}

async fn read(ledger: &dyn Ledger, payout: &Payout) -> Payout {
    ledger.get(payout.id).await.unwrap().unwrap()
}

/// Resolves by the domain's rule, reading first, as every caller does.
pub(super) async fn resolve(ledger: &dyn Ledger, id: &Payout, outcome: Outcome, evidence: Evidence) -> Next {
    loop {
        let payout = read(ledger, id).await;
        let next = payout.next(&outcome, &evidence);
        let Next::Move(movement) = next else { return next };
        let resolution = Resolution { outcome: outcome.clone(), evidence: evidence.clone(), at: at(50) };
        if ledger.resolve(&payout, &resolution, movement).await.unwrap() == Resolved::Done {
            return next;
        }
    }
}

pub(super) fn word(n: u8) -> Evidence {
    Evidence::Callback(format!("msg_{n}"))
}

pub async fn a_ledger_is_empty_at_first(ledger: &dyn Ledger) {
    assert_eq!(drawn(ledger).await, 0);
    assert_eq!(ledger.get(payout(1, 1).id).await.unwrap(), None);
}

pub async fn a_reserved_payout_reads_back_and_is_set_aside(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    assert_eq!(read(ledger, &payout).await, payout);
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn reserving_twice_is_one_reservation(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 300).await;
    let later = Payout { reserved_at: at(99), ..first.clone() };
    assert_eq!(reserve(ledger, &later, 1_000).await, Reservation::Exists(Box::new(first)));
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn racing_reservations_of_one_payout_are_one_reservation(ledger: &dyn Ledger) {
    let payout = payout(1, 300);
    let outcomes = join_all((0..8).map(|_| reserve(ledger, &payout, 1_000))).await;
    let new = outcomes.iter().filter(|outcome| **outcome == Reservation::New);
    assert_eq!(new.count(), 1);
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn fault_14_the_same_key_with_other_terms_is_refused_and_changes_nothing(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 300).await;
    let others = [
        Payout { amount_fen: Fen(301), ..first.clone() },
        Payout { bank: "lake-bank".to_owned(), ..first.clone() },
        Payout { product: "quick".to_owned(), ..first.clone() },
        Payout { firm_code: firm_code(9), ..first.clone() },
    ];
    for other in others {
        assert_eq!(reserve(ledger, &other, 1_000).await, Reservation::Different(Box::new(first.clone())));
    }
    assert_eq!(drawn(ledger).await, 300);
    assert_eq!(ledger.drawn("lake-bank", PRODUCT).await.unwrap(), 0);
}

pub async fn a_reached_limit_leaves_nothing_behind(ledger: &dyn Ledger) {
    reserved(ledger, 1, 800).await;
    assert_eq!(reserve(ledger, &payout(2, 201), 1_000).await, Reservation::LimitReached);
    assert_eq!(ledger.get(payout(2, 201).id).await.unwrap(), None);
    assert_eq!(drawn(ledger).await, 800);
    assert_eq!(reserve(ledger, &payout(2, 200), 1_000).await, Reservation::New);
    assert_eq!(drawn(ledger).await, 1_000);
}

pub async fn an_amount_above_the_whole_limit_leaves_nothing_behind(ledger: &dyn Ledger) {
    assert_eq!(reserve(ledger, &payout(1, 1_001), 1_000).await, Reservation::LimitReached);
    assert_eq!(ledger.get(payout(1, 1_001).id).await.unwrap(), None);
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn a_firm_has_one_loan_at_a_time(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 100).await;
    let second = Payout { firm_code: first.firm_code.clone(), ..payout(2, 100) };
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::LoanOutstanding);
    assert_eq!(ledger.get(second.id).await.unwrap(), None);
    resolve(ledger, &first, posted("R1"), word(1)).await;
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::LoanOutstanding);
    let elsewhere = Payout { bank: "lake-bank".to_owned(), ..second };
    assert_eq!(reserve(ledger, &elsewhere, 1_000).await, Reservation::LoanOutstanding);
    assert_eq!(drawn(ledger).await, 100);
}

pub async fn of_racing_loans_to_one_firm_exactly_one_is_reserved(ledger: &dyn Ledger) {
    let firm_code = firm_code(1);
    let payouts: Vec<Payout> =
        (1..=8).map(|n| Payout { firm_code: firm_code.clone(), ..payout(n, 100) }).collect();
    let outcomes = join_all(payouts.iter().map(|payout| reserve(ledger, payout, 1_000))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Reservation::New).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Reservation::LoanOutstanding).count(), 7);
    assert_eq!(drawn(ledger).await, 100);
}

pub async fn a_firm_whose_payout_failed_may_have_another(ledger: &dyn Ledger) {
    for (n, outcome) in [(1, voided()), (3, Outcome::Expired)] {
        let first = reserved(ledger, n, 100).await;
        resolve(ledger, &first, outcome, Evidence::Lender).await;
        let second = Payout { firm_code: first.firm_code.clone(), ..payout(n + 1, 100) };
        assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    }
}

pub async fn a_closed_payout_can_never_be_reserved_and_moves_nothing(ledger: &dyn Ledger) {
    reserved(ledger, 1, 1_000).await;
    let wanted = payout(2, 300);
    let closed = Payout { closed: Some(Reason::BankLimitReached), ..wanted.clone() };
    assert_eq!(ledger.close(&wanted, Reason::BankLimitReached).await.unwrap(), Reservation::New);
    let again = ledger.close(&wanted, Reason::LoanOutstanding).await.unwrap();
    assert_eq!(again, Reservation::Exists(Box::new(closed.clone())));
    assert_eq!(reserve(ledger, &wanted, 10_000).await, Reservation::Exists(Box::new(closed)));
    assert_eq!(drawn(ledger).await, 1_000);
}

pub async fn what_is_reserved_cannot_be_closed(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    let met = ledger.close(&payout, Reason::BankLimitReached).await.unwrap();
    assert_eq!(met, Reservation::Exists(Box::new(payout)));
}

pub async fn what_is_reserved_stays_reserved_when_the_limit_is_full_or_lowered(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 1_000).await;
    for ceiling in [1_000, 1_500, 10, 0] {
        assert_eq!(reserve(ledger, &first, ceiling).await, Reservation::Exists(Box::new(first.clone())));
    }
    assert_eq!(drawn(ledger).await, 1_000);
}

pub async fn fault_18_concurrent_reservations_never_exceed_the_limit(ledger: &dyn Ledger) {
    let payouts: Vec<Payout> = (1..=20).map(|n| payout(n, 150)).collect();
    let outcomes = join_all(payouts.iter().map(|payout| reserve(ledger, payout, 1_000))).await;
    let new = outcomes.iter().filter(|outcome| **outcome == Reservation::New).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == Reservation::LimitReached).count();
    assert_eq!((new, refused), (6, 14));
    assert_eq!(drawn(ledger).await, 900);
}

pub async fn each_product_has_accounts_of_its_own(ledger: &dyn Ledger) {
    reserved(ledger, 1, 1_000).await;
    let other = Payout { product: "quick".to_owned(), ..payout(2, 1_000) };
    assert_eq!(reserve(ledger, &other, 1_000).await, Reservation::New);
    assert_eq!(ledger.drawn(BANK, "quick").await.unwrap(), 1_000);
    assert_eq!(drawn(ledger).await, 1_000);
}

pub async fn the_largest_amount_is_kept_to_the_fen(ledger: &dyn Ledger) {
    let largest = payout(1, u64::MAX);
    assert_eq!(reserve(ledger, &largest, u64::MAX).await, Reservation::New);
    assert_eq!(reserve(ledger, &payout(2, 1), u64::MAX).await, Reservation::LimitReached);
    assert_eq!(read(ledger, &largest).await.amount_fen, Fen(u64::MAX));
    assert_eq!(drawn(ledger).await, i128::from(u64::MAX));
    resolve(ledger, &largest, voided(), word(1)).await;
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn posting_moves_the_money_to_paid_and_twice_is_once(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    assert_eq!(resolve(ledger, &payout, posted("R1"), word(1)).await, Next::Move(Movement::Post));
    assert_eq!(resolve(ledger, &payout, posted("R2"), word(2)).await, Next::Agrees);
    let now = read(ledger, &payout).await;
    let first = Resolution { outcome: posted("R1"), evidence: word(1), at: at(50) };
    assert_eq!((now.status(), now.resolutions), (PayoutStatus::Posted, vec![first]));
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn voiding_gives_the_amount_back_and_twice_is_once(ledger: &dyn Ledger) {
    reserved(ledger, 1, 500).await;
    let payout = reserved(ledger, 2, 300).await;
    assert_eq!(resolve(ledger, &payout, voided(), word(1)).await, Next::Move(Movement::Void));
    assert_eq!(resolve(ledger, &payout, voided(), word(2)).await, Next::Agrees);
    assert_eq!(read(ledger, &payout).await.outcome(), Some(&voided()));
    assert_eq!(drawn(ledger).await, 500);
}

pub async fn racing_resolutions_move_the_money_once(ledger: &dyn Ledger) {
    reserved(ledger, 1, 500).await;
    let payout = reserved(ledger, 2, 300).await;
    join_all((0..8).map(|n| resolve(ledger, &payout, voided(), word(n)))).await;
    assert_eq!(read(ledger, &payout).await.resolutions.len(), 1);
    assert_eq!(drawn(ledger).await, 500);
}

pub async fn fault_16_a_post_and_a_void_that_race_agree_on_one_outcome(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    let race =
        join(resolve(ledger, &payout, posted("R1"), word(1)), resolve(ledger, &payout, voided(), word(2)));
    let paid = match race.await {
        (Next::Move(Movement::Post), Next::Contradicts) => 300,
        (Next::Contradicts, Next::Move(Movement::Void)) => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(drawn(ledger).await, paid);
    assert_eq!(read(ledger, &payout).await.resolutions.len(), 1);
}

pub async fn a_resolution_under_a_number_that_is_taken_changes_nothing(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    resolve(ledger, &payout, posted("R1"), word(1)).await;
    let late = Resolution { outcome: voided(), evidence: word(2), at: at(60) };
    assert_eq!(ledger.resolve(&payout, &late, Movement::Void).await.unwrap(), Resolved::Taken);
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn the_banks_own_answer_corrects_the_ledger_with_a_transfer_of_its_own(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    resolve(ledger, &payout, voided(), word(1)).await;
    assert_eq!(resolve(ledger, &payout, posted("R1"), word(2)).await, Next::Contradicts);
    let late = resolve(ledger, &payout, posted("R1"), Evidence::Answer).await;
    assert_eq!(late, Next::Move(Movement::PostLate));
    assert_eq!(drawn(ledger).await, 300);
    let back = resolve(ledger, &payout, voided(), Evidence::Answer).await;
    assert_eq!(back, Next::Move(Movement::Reverse));
    assert_eq!(drawn(ledger).await, 0);
    let now = read(ledger, &payout).await;
    assert_eq!((now.status(), now.resolutions.len()), (PayoutStatus::Voided, 3));
    let movements = [Movement::Reserve, Movement::Void, Movement::PostLate, Movement::Reverse];
    assert_eq!(now.movements(), movements);
}

pub async fn a_correction_never_takes_a_firm_away_from_another_loan(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 100).await;
    resolve(ledger, &first, voided(), word(1)).await;
    let second = Payout { firm_code: first.firm_code.clone(), ..payout(2, 100) };
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    resolve(ledger, &first, posted("R1"), Evidence::Answer).await;
    resolve(ledger, &first, voided(), Evidence::Answer).await;
    let third = Payout { firm_code: first.firm_code.clone(), ..payout(3, 100) };
    assert_eq!(reserve(ledger, &third, 1_000).await, Reservation::LoanOutstanding);
    assert_eq!(drawn(ledger).await, 100);
}

pub async fn a_loan_that_was_paid_late_has_its_firm_again_until_it_is_reversed(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 100).await;
    resolve(ledger, &first, voided(), word(1)).await;
    resolve(ledger, &first, posted("R1"), Evidence::Answer).await;
    let second = Payout { firm_code: first.firm_code.clone(), ..payout(2, 100) };
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::LoanOutstanding);
    assert_eq!(drawn(ledger).await, 100);
    resolve(ledger, &first, voided(), Evidence::Answer).await;
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
}

pub async fn loans_that_were_paid_late_keep_the_firm_after_the_one_that_has_it_is_void(ledger: &dyn Ledger) {
    // Two are paid late while a third has the firm.
    let [first, second] = [reserved(ledger, 1, 100).await, payout(2, 100)];
    resolve(ledger, &first, voided(), word(1)).await;
    let of_the_same_firm = |payout: Payout| Payout { firm_code: first.firm_code.clone(), ..payout };
    let (second, third) = (of_the_same_firm(second), of_the_same_firm(payout(3, 100)));
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    resolve(ledger, &second, voided(), word(2)).await;
    assert_eq!(reserve(ledger, &third, 1_000).await, Reservation::New);
    resolve(ledger, &first, posted("R1"), Evidence::Answer).await;
    resolve(ledger, &second, posted("R2"), Evidence::Answer).await;
    let fourth = of_the_same_firm(payout(4, 100));
    // Each gives way to the next, be it void or reversed, and the firm is free after the last.
    for void in [&third, &first, &second] {
        assert_eq!(reserve(ledger, &fourth, 1_000).await, Reservation::LoanOutstanding);
        resolve(ledger, void, voided(), Evidence::Answer).await;
    }
    assert_eq!(reserve(ledger, &fourth, 1_000).await, Reservation::New);
}

pub async fn a_loan_that_is_paid_late_while_the_one_that_has_the_firm_is_void_has_the_firm_in_the_end(
    ledger: &dyn Ledger,
) {
    for round in 0..8 {
        let [late, holder, next] = [1, 2, 3].map(|n| 3 * round + n);
        let late = reserved(ledger, late, 100).await;
        resolve(ledger, &late, voided(), word(1)).await;
        let of_the_same_firm = |n| Payout { firm_code: late.firm_code.clone(), ..payout(n, 100) };
        let (holder, next) = (of_the_same_firm(holder), of_the_same_firm(next));
        assert_eq!(reserve(ledger, &holder, 1_000).await, Reservation::New);
        join(
            resolve(ledger, &late, posted("R1"), Evidence::Answer),
            resolve(ledger, &holder, voided(), word(2)),
        )
        .await;
        assert_eq!(reserve(ledger, &next, 1_000).await, Reservation::LoanOutstanding, "round {round}");
        resolve(ledger, &late, voided(), Evidence::Answer).await;
        assert_eq!(reserve(ledger, &next, 1_000).await, Reservation::New, "round {round}");
        resolve(ledger, &next, voided(), word(3)).await;
    }
}

pub async fn a_loan_that_was_paid_late_and_reversed_waits_for_no_firm(ledger: &dyn Ledger) {
    let first = reserved(ledger, 1, 100).await;
    resolve(ledger, &first, voided(), word(1)).await;
    let second = Payout { firm_code: first.firm_code.clone(), ..payout(2, 100) };
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    resolve(ledger, &first, posted("R1"), Evidence::Answer).await;
    resolve(ledger, &first, voided(), Evidence::Answer).await;
    resolve(ledger, &second, voided(), word(2)).await;
    let third = Payout { firm_code: first.firm_code.clone(), ..payout(3, 100) };
    assert_eq!(reserve(ledger, &third, 1_000).await, Reservation::New);
}

pub async fn what_is_voided_is_never_reserved_again(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    resolve(ledger, &payout, voided(), word(1)).await;
    let Reservation::Exists(met) = reserve(ledger, &payout, 1_000).await else { panic!("must be there") };
    assert_eq!(met.status(), PayoutStatus::Voided);
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn a_payout_that_another_worker_took_over_is_not_void_on_our_own_word(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    for n in 0..2 {
        assert_eq!(ledger.announce(payout.id, at(60 + n)).await.unwrap(), Announced::Done);
    }
    let void = Resolution { outcome: voided(), evidence: Evidence::Lender, at: at(70) };
    let refused = ledger.resolve(&payout, &void, Movement::Void).await.unwrap();
    assert_eq!(refused, Resolved::Announced);
    assert_eq!(read(ledger, &payout).await.status(), PayoutStatus::Reserved);
    assert_eq!(drawn(ledger).await, 300);
    resolve(ledger, &payout, voided(), word(1)).await;
    assert_eq!(
        read(ledger, &payout).await.status(),
        PayoutStatus::Voided,
        "the bank's word is another matter"
    );
}

pub async fn nobody_takes_over_a_payout_that_is_resolved(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    let void = Resolution { outcome: voided(), evidence: Evidence::Lender, at: at(70) };
    assert_eq!(ledger.resolve(&payout, &void, Movement::Void).await.unwrap(), Resolved::Done);
    assert_eq!(ledger.announce(payout.id, at(71)).await.unwrap(), Announced::Resolved);
}

pub async fn a_contradicting_word_is_kept_once_and_not_without_end(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    resolve(ledger, &payout, posted("R1"), word(1)).await;
    let dispute = Dispute { says_paid: false, message_id: "msg_2".to_owned(), resolution: 1, at: at(1) };
    for _ in 0..2 {
        ledger.dispute(payout.id, &dispute).await.unwrap();
    }
    let now = read(ledger, &payout).await;
    assert_eq!(now.disputes, std::slice::from_ref(&dispute));
    assert!(now.is_disputed());
    for n in 0..MAX_DISPUTES + 5 {
        let another = Dispute { message_id: format!("msg_{}", n + 10), ..dispute.clone() };
        ledger.dispute(payout.id, &another).await.unwrap();
    }
    assert_eq!(read(ledger, &payout).await.disputes.len(), MAX_DISPUTES);
    assert_eq!(drawn(ledger).await, 300);
}

pub async fn the_resolutions_of_a_day_in_china_are_found_by_bank(ledger: &dyn Ledger) {
    let payout = reserved(ledger, 1, 300).await;
    let elsewhere = Payout { bank: "lake-bank".to_owned(), ..self::payout(2, 200) };
    assert_eq!(reserve(ledger, &elsewhere, 1_000).await, Reservation::New);
    resolve(ledger, &payout, posted("R1"), word(1)).await;
    resolve(ledger, &elsewhere, voided(), word(2)).await;
    let day = day_in_china(at(50));
    let found = ledger.resolved_on(BANK, day).await.unwrap();
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.id, only.amount_fen, only.product.as_str()), (payout.id, Fen(300), PRODUCT));
    assert_eq!(only.resolution, Resolution { outcome: posted("R1"), evidence: word(1), at: at(50) });
    assert_eq!(ledger.resolved_on(BANK, day.tomorrow().unwrap()).await.unwrap(), []);
    assert_eq!(ledger.resolved_on("lake-bank", day).await.unwrap().len(), 1);
}

pub async fn a_payout_that_was_never_reserved_is_not_there(ledger: &dyn Ledger) {
    assert_eq!(ledger.get(payout(1, 300).id).await.unwrap(), None);
    assert_eq!(drawn(ledger).await, 0);
}
