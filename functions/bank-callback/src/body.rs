//! The body of a bank's callback: an outcome of a payout, or a report on its loan. Everything that can be wrong with it
//! by itself is found here.

use contract::{
    bank::{BankCallback, BankMessage, OverdueReport, RepaidReport, ReportKind, SettledReport},
    http::{FieldError, Problem},
};
use domain::{
    ApplicationId, Fen, Label, PayoutId,
    loan::{MAX_OVERDUE_DAYS, Report},
};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{http::invalid, json};
use serde::{Deserialize, de::IgnoredAny};
use steps::BankWord;

/// How far the bank's clock may be ahead of ours: as far as for its signatures.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// What a bank says, about which payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub payout_id: PayoutId,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Word(BankWord),
    Report(Report),
}

/// The fields that tell what a body is; the others are read once that is known.
#[derive(Deserialize)]
pub struct Kind {
    outcome: Option<IgnoredAny>,
    report: Option<ReportKind>,
}

/// Reads a body whose signature holds and whose `kind` has been read.
pub fn read(body: &[u8], kind: &Kind, message_id: &str, now: Timestamp) -> Result<Said, Problem> {
    let message = match (&kind.outcome, kind.report) {
        (Some(_), Some(_)) => return Err(field("/report", "cannot stand beside an outcome")),
        (_, None) => BankMessage::Outcome(json::parse(body)?),
        (None, Some(ReportKind::Repaid)) => BankMessage::Repaid(json::parse(body)?),
        (None, Some(ReportKind::Overdue)) => BankMessage::Overdue(json::parse(body)?),
        (None, Some(ReportKind::Settled)) => BankMessage::Settled(json::parse(body)?),
    };
    match message {
        BankMessage::Outcome(callback) => outcome(callback),
        BankMessage::Repaid(report) => repaid(report, now),
        BankMessage::Overdue(report) => overdue(report, message_id, now),
        BankMessage::Settled(report) => settled(report, now),
    }
}

fn outcome(body: BankCallback) -> Result<Said, Problem> {
    belongs(body.payout_id, body.application_id)?;
    let word = BankWord::from_outcome(body.outcome, body.bank_reference, body.amount_fen)
        .map_err(|error| field("/bank_reference", &error.to_string()))?;
    Ok(Said { payout_id: body.payout_id, what: What::Word(word) })
}

fn repaid(body: RepaidReport, now: Timestamp) -> Result<Said, Problem> {
    belongs(body.payout_id, body.application_id)?;
    if (body.principal_fen, body.interest_fen) == (Fen::ZERO, Fen::ZERO) {
        return Err(field("/principal_fen", "a repayment of nothing is none"));
    }
    let (principal_fen, interest_fen) = (body.principal_fen, body.interest_fen);
    let (bank_reference, at) = (reference(body.bank_reference)?, time(body.at, now)?);
    let report = Report::Repaid { bank_reference, principal_fen, interest_fen, at };
    Ok(Said { payout_id: body.payout_id, what: What::Report(report) })
}

fn overdue(body: OverdueReport, message_id: &str, now: Timestamp) -> Result<Said, Problem> {
    belongs(body.payout_id, body.application_id)?;
    let OverdueReport { days, overdue_fen, .. } = body;
    if days > MAX_OVERDUE_DAYS {
        return Err(field("/days", "is more than a hundred years"));
    }
    if (days == 0) != (overdue_fen == Fen::ZERO) {
        return Err(field("/overdue_fen", "days and amount are both zero or both not"));
    }
    let message_id = message_id.to_owned();
    let report = Report::Overdue { message_id, days, overdue_fen, at: time(body.at, now)? };
    Ok(Said { payout_id: body.payout_id, what: What::Report(report) })
}

fn settled(body: SettledReport, now: Timestamp) -> Result<Said, Problem> {
    belongs(body.payout_id, body.application_id)?;
    let report = Report::Settled { bank_reference: reference(body.bank_reference)?, at: time(body.at, now)? };
    Ok(Said { payout_id: body.payout_id, what: What::Report(report) })
}

fn belongs(payout: PayoutId, application: ApplicationId) -> Result<(), Problem> {
    if payout.application_id() == application {
        return Ok(());
    }
    Err(field("/application_id", "is not the application of this payout"))
}

fn reference(text: String) -> Result<Label, Problem> {
    Label::try_from(text).map_err(|error| field("/bank_reference", &error.to_string()))
}

/// A time in the future would outlast every later report.
fn time(at: Timestamp, now: Timestamp) -> Result<Timestamp, Problem> {
    if at.duration_since(now) > AHEAD {
        return Err(field("/at", "is in the future"));
    }
    Ok(at)
}

pub(crate) fn field(pointer: &str, detail: &str) -> Problem {
    invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Reason;
    use serde_json::{Value, json};

    const ID: &str = "07070707-0707-8707-8707-070707070707";

    fn now() -> Timestamp {
        "2026-11-02T08:00:00Z".parse().unwrap()
    }

    /// A body with these fields changed or, where they are null, taken away.
    fn said(change: &Value, of: &Value) -> Result<Said, Problem> {
        let mut body = json!({ "payout_id": ID, "application_id": ID, "at": "2026-11-02T08:00:00Z" });
        for fields in [of, change] {
            for (name, value) in fields.as_object().unwrap() {
                body[name] = value.clone();
            }
        }
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let body = body.to_string();
        let kind: Kind = json::parse(body.as_bytes())?;
        read(body.as_bytes(), &kind, "msg_1", now())
    }

    fn outcome_body(outcome: &str, reference: &str) -> Value {
        json!({ "outcome": outcome, "bank_reference": reference, "amount_fen": 10_000_000 })
    }

    fn repaid_body() -> Value {
        json!({ "report": "repaid", "bank_reference": "R1-1", "principal_fen": 5, "interest_fen": 1 })
    }

    fn overdue_body() -> Value {
        json!({ "report": "overdue", "days": 3, "overdue_fen": 7 })
    }

    fn settled_body() -> Value {
        json!({ "report": "settled", "bank_reference": "R1-2" })
    }

    fn wrong(change: &Value, of: &Value) -> String {
        said(change, of).unwrap_err().errors[0].pointer.clone()
    }

    #[test]
    fn outcome_and_reports_are_told_apart() {
        let what = |body: &Value| said(&json!({}), body).unwrap().what;
        let refused = BankWord::NotPaid { reason: Reason::BankRefused, amount_fen: Some(Fen(10_000_000)) };
        assert_eq!(what(&outcome_body("refused", "")), What::Word(refused));
        let label = |text: &str| Label::try_from(text.to_owned()).unwrap();
        let at = now();
        let (principal_fen, interest_fen) = (Fen(5), Fen(1));
        let repaid = Report::Repaid { bank_reference: label("R1-1"), principal_fen, interest_fen, at };
        assert_eq!(what(&repaid_body()), What::Report(repaid));
        let overdue = Report::Overdue { message_id: "msg_1".into(), days: 3, overdue_fen: Fen(7), at };
        assert_eq!(what(&overdue_body()), What::Report(overdue));
        assert_eq!(
            what(&settled_body()),
            What::Report(Report::Settled { bank_reference: label("R1-2"), at })
        );
    }

    #[test]
    fn an_outcome_and_a_report_in_one_body_are_refused() {
        for body in [repaid_body(), overdue_body(), settled_body()] {
            assert_eq!(wrong(&outcome_body("paid", "R1"), &body), "/report");
        }
        assert_eq!(wrong(&json!({ "report": "sold" }), &repaid_body()), "/report");
        assert_eq!(said(&json!({ "report": null }), &repaid_body()).unwrap_err().status, 422);
    }

    #[test]
    fn unknown_missing_and_doubled_fields_are_refused() {
        for body in [repaid_body(), overdue_body(), settled_body(), outcome_body("paid", "R1")] {
            assert_eq!(wrong(&json!({ "note": "x" }), &body), "/note");
            assert_eq!(said(&json!({ "at": null }), &body).unwrap_err().status, 422);
        }
        assert_eq!(wrong(&json!({ "days": 3 }), &repaid_body()), "/days");
        assert_eq!(wrong(&json!({ "principal_fen": -1 }), &repaid_body()), "/principal_fen");
        assert_eq!(wrong(&json!({ "days": 1.5 }), &overdue_body()), "/days");
        let doubled = br#"{"report":"settled","report":"repaid"}"#;
        assert_eq!(json::parse::<Kind>(doubled).err().unwrap().errors[0].pointer, "/report");
    }

    #[test]
    fn a_callback_that_names_two_applications_is_refused() {
        let other = json!({ "application_id": "08080808-0808-8808-8808-080808080808" });
        for body in [repaid_body(), overdue_body(), settled_body(), outcome_body("paid", "R1")] {
            assert_eq!(wrong(&other, &body), "/application_id");
        }
    }

    #[test]
    fn money_needs_a_reference_that_can_be_kept() {
        for reference in ["", "R\u{0}1", "参考"] {
            let change = json!({ "bank_reference": reference });
            for body in [repaid_body(), settled_body(), outcome_body("paid", "R1")] {
                assert_eq!(wrong(&change, &body), "/bank_reference", "{reference:?}");
            }
        }
        let nothing_was_paid = said(&json!({}), &outcome_body("refused", ""));
        assert!(nothing_was_paid.is_ok(), "so there is nothing to refer to");
    }

    #[test]
    fn a_report_that_makes_no_sense_is_refused() {
        assert_eq!(
            wrong(&json!({ "principal_fen": 0, "interest_fen": 0 }), &repaid_body()),
            "/principal_fen"
        );
        assert_eq!(wrong(&json!({ "days": 0 }), &overdue_body()), "/overdue_fen");
        assert_eq!(wrong(&json!({ "overdue_fen": 0 }), &overdue_body()), "/overdue_fen");
        assert!(said(&json!({ "days": 0, "overdue_fen": 0 }), &overdue_body()).is_ok());
        assert_eq!(wrong(&json!({ "days": MAX_OVERDUE_DAYS + 1 }), &overdue_body()), "/days");
        for body in [repaid_body(), overdue_body(), settled_body()] {
            assert!(said(&json!({ "at": "2026-11-02T08:05:00Z" }), &body).is_ok());
            assert_eq!(wrong(&json!({ "at": "2026-11-02T08:05:01Z" }), &body), "/at");
        }
    }
}
