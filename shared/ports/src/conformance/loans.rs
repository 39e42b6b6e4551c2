//! What loans after their payout promise, on the ledger that holds their payouts.

use super::{
    at, firm_code,
    ledger::{drawn, payout, posted, reserve, reserved, resolve, voided, word},
};
use crate::{
    ledger::{Ledger, Reservation, Resolved},
    loans::{KeptLoan, LoanReports, Loans, ReportRecorded},
};
use domain::{
    Fen,
    ledger::{Evidence, Movement, Next, Payout, PayoutStatus, Resolution},
    loan::{Loan, Refused, Report},
};
use futures::future::{join, join_all};

/// Both ports of one adapter.
pub trait Both: Loans + LoanReports {}
impl<T: Loans + LoanReports> Both for T {}

/// The nth payout, paid out.
async fn paid_out(ledger: &dyn Ledger, n: u8, amount: u64) -> Payout {
    let payout = reserved(ledger, n, amount).await;
    resolve(ledger, &payout, posted("R1"), word(n)).await;
    ledger.get(payout.id).await.unwrap().unwrap()
}

fn repaid(reference: &str, principal: u64, interest: u64) -> Report {
    Report::Repaid {
        bank_reference: reference.to_owned().try_into().unwrap(),
        principal_fen: Fen(principal),
        interest_fen: Fen(interest),
        at: at(100),
    }
}

fn overdue(message: &str, days: u32) -> Report {
    Report::Overdue { message_id: message.to_owned(), days, overdue_fen: Fen(7), at: at(200) }
}

fn settled(reference: &str) -> Report {
    Report::Settled { bank_reference: reference.to_owned().try_into().unwrap(), at: at(300) }
}

async fn kept(loans: &dyn Both, payout: &Payout) -> KeptLoan {
    loans.get(payout.id).await.unwrap().unwrap_or_else(|| KeptLoan::unreported(payout))
}

/// Records by the domain's rule, reading first, as every caller does. `Ok(false)` when the report is there already.
async fn tell(loans: &dyn Both, payout: &Payout, report: &Report) -> Result<bool, Refused> {
    loop {
        let before = kept(loans, payout).await;
        let known = loans.find(payout.id, &report.key()).await.unwrap();
        if let Some(known) = known {
            assert!(report.repeats(&known));
            return Ok(false);
        }
        let after = before.loan.after(report)?;
        if loans.record(payout, report, &before, &after).await.unwrap() == ReportRecorded::Done {
            return Ok(true);
        }
    }
}

pub async fn a_loan_is_not_there_before_its_first_report(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    assert_eq!(loans.get(payout.id).await.unwrap(), None);
    assert_eq!(loans.find(payout.id, &repaid("P1", 1, 0).key()).await.unwrap(), None);
}

pub async fn every_kind_of_report_reads_back_and_so_does_the_loan(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    let reports = [overdue("m1", 31), repaid("P1", 300, 12), settled("S1")];
    let mut expected = KeptLoan::unreported(&payout);
    for report in &reports {
        assert_eq!(tell(loans, &payout, report).await, Ok(true));
        let loan = expected.loan.after(report).unwrap();
        expected = KeptLoan { loan, version: expected.version + 1 };
        assert_eq!(loans.get(payout.id).await.unwrap(), Some(expected.clone()));
        assert_eq!(loans.find(payout.id, &report.key()).await.unwrap().as_ref(), Some(report));
    }
    assert_eq!(
        ledger.get(payout.id).await.unwrap(),
        Some(payout),
        "the ledger's own rows are what they were"
    );
}

pub async fn repaid_principal_goes_back_to_the_limit_and_interest_does_not(
    ledger: &dyn Ledger,
    loans: &dyn Both,
) {
    let payout = paid_out(ledger, 1, 300).await;
    tell(loans, &payout, &repaid("P1", 100, 9)).await.unwrap();
    assert_eq!(drawn(ledger).await, 200);
    tell(loans, &payout, &repaid("P2", 0, 9)).await.unwrap();
    tell(loans, &payout, &overdue("m1", 3)).await.unwrap();
    assert_eq!(drawn(ledger).await, 200);
    tell(loans, &payout, &repaid("P3", 200, 0)).await.unwrap();
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn a_report_under_a_key_that_is_taken_changes_nothing(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    tell(loans, &payout, &repaid("P1", 100, 0)).await.unwrap();
    let before = kept(loans, &payout).await;
    for again in [repaid("P1", 100, 0), repaid("P1", 50, 0)] {
        let after = before.loan.after(&again).unwrap();
        let recorded = loans.record(&payout, &again, &before, &after).await.unwrap();
        assert_eq!(recorded, ReportRecorded::Overtaken);
    }
    assert_eq!(kept(loans, &payout).await, before);
    assert_eq!(drawn(ledger).await, 200);
}

pub async fn a_report_on_a_loan_that_has_moved_on_is_overtaken(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    for (first, second) in [("P1", "P2"), ("P3", "P4")] {
        let before = kept(loans, &payout).await;
        tell(loans, &payout, &repaid(first, 100, 0)).await.unwrap();
        let report = repaid(second, 200, 0);
        let after = before.loan.after(&report).unwrap_or_else(|_| before.loan.clone());
        let recorded = loans.record(&payout, &report, &before, &after).await.unwrap();
        assert_eq!(recorded, ReportRecorded::Overtaken);
    }
    assert_eq!(kept(loans, &payout).await.loan.outstanding_fen(), Fen(100));
    assert_eq!(drawn(ledger).await, 100);
}

pub async fn racing_copies_of_one_repayment_are_recorded_once(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    let report = repaid("P1", 100, 1);
    let told = join_all((0..8).map(|_| tell(loans, &payout, &report))).await;
    assert_eq!(told.iter().filter(|told| **told == Ok(true)).count(), 1);
    assert_eq!(drawn(ledger).await, 200);
    assert_eq!(kept(loans, &payout).await.version, 1);
}

pub async fn racing_repayments_all_count_and_never_exceed_the_principal(
    ledger: &dyn Ledger,
    loans: &dyn Both,
) {
    let payout = paid_out(ledger, 1, 300).await;
    let reports: Vec<Report> = (0..5).map(|n| repaid(&format!("P{n}"), 100, 0)).collect();
    let told = join_all(reports.iter().map(|report| tell(loans, &payout, report))).await;
    assert_eq!(told.iter().filter(|told| **told == Ok(true)).count(), 3);
    assert_eq!(told.iter().filter(|told| **told == Err(Refused::AboveOutstanding)).count(), 2);
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn a_firm_has_an_outstanding_loan_from_its_reservation_to_its_settlement(
    ledger: &dyn Ledger,
    loans: &dyn Both,
) {
    let firm = firm_code(1);
    assert_eq!(loans.outstanding(&firm).await.unwrap(), None);
    let payout = paid_out(ledger, 1, 300).await;
    let second = Payout { firm_code: firm.clone(), ..self::payout(2, 100) };
    tell(loans, &payout, &repaid("P1", 300, 0)).await.unwrap();
    assert_eq!(loans.outstanding(&firm).await.unwrap(), Some(payout.id));
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::LoanOutstanding);
    tell(loans, &payout, &settled("S1")).await.unwrap();
    assert_eq!(loans.outstanding(&firm).await.unwrap(), None);
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    assert_eq!(loans.outstanding(&firm).await.unwrap(), Some(second.id));
}

pub async fn a_settlement_never_takes_a_firm_away_from_another_loan(ledger: &dyn Ledger, loans: &dyn Both) {
    // Paid after all, when the firm was claimed for another loan already.
    let first = reserved(ledger, 1, 100).await;
    resolve(ledger, &first, voided(), word(1)).await;
    let second = Payout { firm_code: first.firm_code.clone(), ..payout(2, 100) };
    assert_eq!(reserve(ledger, &second, 1_000).await, Reservation::New);
    resolve(ledger, &first, posted("R1"), Evidence::Answer).await;
    let first = ledger.get(first.id).await.unwrap().unwrap();
    tell(loans, &first, &repaid("P1", 100, 0)).await.unwrap();
    assert_eq!(tell(loans, &first, &settled("S1")).await, Ok(true));
    assert_eq!(loans.outstanding(&first.firm_code).await.unwrap(), Some(second.id));
    assert!(kept(loans, &first).await.loan.settled_at.is_some());
}

/// What becomes of a reversal that the bank's own answer asks for.
async fn reverse(ledger: &dyn Ledger, payout: &Payout) -> Resolved {
    let payout = ledger.get(payout.id).await.unwrap().unwrap();
    let next = payout.next(&voided(), &Evidence::Answer);
    assert_eq!(next, Next::Move(Movement::Reverse));
    let resolution = Resolution { outcome: voided(), evidence: Evidence::Answer, at: at(60) };
    ledger.resolve(&payout, &resolution, Movement::Reverse).await.unwrap()
}

pub async fn a_payout_whose_loan_was_reported_on_cannot_be_reversed(ledger: &dyn Ledger, loans: &dyn Both) {
    for (n, report) in [(1, repaid("P1", 100, 0)), (2, overdue("m1", 3))] {
        let payout = paid_out(ledger, n, 300).await;
        let other = paid_out(ledger, n + 10, 100).await;
        tell(loans, &payout, &report).await.unwrap();
        let before = drawn(ledger).await;
        assert_eq!(reverse(ledger, &payout).await, Resolved::LoanReported);
        assert_eq!(drawn(ledger).await, before);
        assert_eq!(ledger.get(payout.id).await.unwrap().unwrap().status(), PayoutStatus::Posted);
        assert_eq!(reverse(ledger, &other).await, Resolved::Done, "of which nothing was reported");
    }
}

pub async fn a_reversed_payout_takes_no_report(ledger: &dyn Ledger, loans: &dyn Both) {
    let payout = paid_out(ledger, 1, 300).await;
    assert_eq!(reverse(ledger, &payout).await, Resolved::Done);
    let before = KeptLoan::unreported(&payout);
    let report = repaid("P1", 100, 0);
    let after: Loan = before.loan.after(&report).unwrap();
    let recorded = loans.record(&payout, &report, &before, &after).await.unwrap();
    assert_eq!(recorded, ReportRecorded::Overtaken);
    assert_eq!(loans.get(payout.id).await.unwrap(), None);
    assert_eq!(drawn(ledger).await, 0);
}

pub async fn of_a_first_report_and_a_reversal_that_race_exactly_one_happens(
    ledger: &dyn Ledger,
    loans: &dyn Both,
) {
    for n in 1..=8 {
        let payout = paid_out(ledger, n, 100).await;
        let before = KeptLoan::unreported(&payout);
        let report = repaid("P1", 100, 0);
        let after = before.loan.after(&report).unwrap();
        let race = join(loans.record(&payout, &report, &before, &after), reverse(ledger, &payout)).await;
        let won = match (race.0.unwrap(), race.1) {
            (ReportRecorded::Done, Resolved::LoanReported) => PayoutStatus::Posted,
            (ReportRecorded::Overtaken, Resolved::Done) => PayoutStatus::Voided,
            both => panic!("{both:?}"),
        };
        assert_eq!(ledger.get(payout.id).await.unwrap().unwrap().status(), won);
        assert_eq!(drawn(ledger).await, 0, "the money is back once, either way");
    }
}
