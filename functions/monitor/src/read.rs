//! Reading what is known of an application: its journal, and its loan.

use domain::{
    ApplicationId, PayoutId,
    calendar::day_in_china,
    checks::Score,
    journey::{Journey, Status},
    loan::Loan,
};
use drift::OutcomeSettings;
use jiff::civil::Date;
use ports::{PortError, journal::Journal, loans::Loans};

/// An application, as far as models are concerned.
#[derive(Debug)]
pub(crate) struct Application {
    pub product: String,
    /// In China.
    pub received_on: Date,
    /// `None` when it ended before it was scored.
    pub score: Option<Score>,
    /// Where it became a loan.
    pub loan: Option<PayoutId>,
}

/// What reading came to. A journal that cannot be read now is an error; one that never can is no reason to tell nothing
/// about the others.
pub(crate) type Readable<T> = Result<Option<T>, PortError>;

/// Reads an application; `None` when its journal is not one.
pub(crate) async fn application(journal: &dyn Journal, id: ApplicationId) -> Readable<Application> {
    let entries = match journal.load(id).await {
        Ok(entries) => entries,
        Err(error) if error.is_retryable() => return Err(error),
        Err(error) => return Ok(unreadable(id, &error)),
    };
    let events = entries.iter().flat_map(|entry| entry.events.iter().map(move |event| (event, entry.at)));
    let journey = match Journey::fold(events) {
        Ok(Some(journey)) => journey,
        Ok(None) => return Ok(None),
        Err(error) => return Ok(unreadable(id, &error)),
    };
    let is_loan = journey.status == Status::PaidOut;
    Ok(Some(Application {
        received_on: day_in_china(journey.received_at),
        loan: is_loan.then(|| journey.application.id.payout_id()),
        score: journey.facts.score,
        product: journey.application.product,
    }))
}

/// Reads a loan; `None` when the bank has not reported anything of it, or it is not one.
pub(crate) async fn loan(loans: &dyn Loans, id: PayoutId) -> Readable<Loan> {
    match loans.get(id).await {
        Ok(kept) => Ok(kept.map(|kept| kept.loan)),
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => Ok(unreadable(id.application_id(), &error)),
    }
}

fn unreadable<T>(id: ApplicationId, error: &dyn std::error::Error) -> Option<T> {
    tracing::warn!(application_id = %id, error = lambda_kit::chain(error), "an application cannot be read");
    None
}

/// Whether a loan defaulted within the horizon of the model: it became so many days overdue no later than so many days
/// after its application was received. As the latest report has it: a loan that was as late and has been repaid since
/// counts as good, because only its present state is kept.
pub(crate) fn defaulted(loan: &Loan, received_on: Date, settings: &OutcomeSettings) -> bool {
    let Some(overdue) = loan.overdue.filter(|overdue| overdue.days >= settings.overdue_days) else {
        return false;
    };
    let longer = i64::from(overdue.days - settings.overdue_days);
    let reported = day_in_china(overdue.as_of).duration_since(received_on).as_hours() / 24;
    reported - longer <= i64::from(settings.within_days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Fen, loan::Overdue};
    use jiff::civil::date;

    const SETTINGS: OutcomeSettings =
        OutcomeSettings { overdue_days: 90, within_days: 365, least_of_each: 20 };

    fn overdue(days: u32, as_of: &str) -> bool {
        let loan = Loan::paid_out(ApplicationId::from_bytes([7; 16]).payout_id(), Fen(1_000));
        let overdue = Overdue { days, amount_fen: Fen(10), as_of: as_of.parse().unwrap() };
        defaulted(&Loan { overdue: Some(overdue), ..loan }, date(2025, 11, 23), &SETTINGS)
    }

    #[test]
    fn a_loan_defaults_on_the_day_that_it_is_ninety_days_overdue() {
        assert!(!overdue(89, "2026-06-01T00:00:00Z") && overdue(90, "2026-06-01T00:00:00Z"));
    }

    #[test]
    fn a_default_after_the_horizon_is_none_of_the_models() {
        // 365 days after the application is 2026-11-23.
        assert!(overdue(90, "2026-11-23T00:00:00Z") && !overdue(90, "2026-11-24T00:00:00Z"));
        assert!(overdue(100, "2026-12-03T00:00:00Z") && !overdue(100, "2026-12-04T00:00:00Z"));
    }

    #[test]
    fn a_loan_that_is_not_overdue_has_not_defaulted() {
        let loan = Loan::paid_out(ApplicationId::from_bytes([7; 16]).payout_id(), Fen(1_000));
        assert!(!defaulted(&loan, date(2025, 11, 23), &SETTINGS));
        assert!(!overdue(0, "2026-06-01T00:00:00Z"));
    }
}
