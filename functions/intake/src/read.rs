//! Reading an application, explaining it, accepting its offer, cancelling it; products and the firm's summary.

use crate::{Borrower, Intake, Refusal, apply::unknown_firm};
use contract::http::{
    AcceptRequest, ApplicationAnswer, DimensionBody, Explanation, FirmSummary, LoanBody, OfferBody,
    ProductBody, ReasonBody, ScoreReasonBody, TimelineStep,
};
use domain::{
    BasisPoints, Fen, FirmCode, FirmRecord, Reason,
    checks::ScoreReason,
    journey::{AcceptedBy, Event, Journey, Status},
    loan::Loan,
};
use lambda_kit::{
    http::{Request, Response, problem},
    json,
};
use steps::Loaded;

impl Intake {
    pub(crate) fn products(&self) -> Response {
        let products: Vec<ProductBody> = self
            .products
            .iter()
            .map(|p| ProductBody {
                id: p.id.clone(),
                name_zh: p.name_zh.clone(),
                name_en: p.name_en.clone(),
                bank: p.bank.clone(),
                min_amount_fen: p.min_amount_fen.0,
                max_amount_fen: p.max_amount_fen.0,
                terms_months: p.terms_months.clone(),
                min_rate_bp: p.min_rate_bp.0,
                max_rate_bp: p.max_rate_bp.0,
            })
            .collect();
        Response::json(200, &products)
    }

    /// What the archive fills in once the firm is named.
    pub(crate) async fn firm(&self, request: &Request) -> Result<Response, Refusal> {
        let code: Option<FirmCode> = request.path_parameter("code").and_then(|code| code.parse().ok());
        let record = match &code {
            Some(code) => self.firms.get(code).await?,
            None => None,
        };
        match record {
            Some(record) => Ok(Response::json(200, &firm_summary(&record.firm_code, Some(&record)))),
            None => Err(contract::http::Problem { status: 404, ..unknown_firm() }.into()),
        }
    }

    pub(crate) async fn read(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let journey = self.own(request, borrower).await?.journey;
        let loan = self.loan(&journey).await?;
        Ok(Response::json(200, &ApplicationAnswer { loan, ..self.summary(&journey, None) }))
    }

    /// How the loan of a journey does that is paid out; whole until its bank has reported anything.
    async fn loan(&self, journey: &Journey) -> Result<Option<LoanBody>, Refusal> {
        let (Status::PaidOut, Some(offer)) = (journey.status, &journey.offer) else { return Ok(None) };
        let payout = journey.application.id.payout_id();
        let kept = self.loans.get(payout).await?.map(|kept| kept.loan);
        let loan = kept.unwrap_or_else(|| Loan::paid_out(payout, offer.amount_fen));
        Ok(Some(LoanBody {
            outstanding_principal_fen: loan.outstanding_fen(),
            overdue_days: loan.overdue_days(),
            settled: loan.settled_at.is_some(),
        }))
    }

    /// The borrower accepts the offer that they saw; another one, for example after a ring was found, is refused.
    pub(crate) async fn accept(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let body: AcceptRequest = json::parse(&request.body)?;
        let loaded = self.own(request, borrower).await?;
        if let Some(offer) = &loaded.journey.offer {
            let seen = (Fen(body.amount_fen), BasisPoints(body.annual_rate_bp), body.term_months);
            if seen != (offer.amount_fen, offer.annual_rate_bp, offer.term_months) {
                return Err(
                    problem(409, "offer-changed", "The offer is not the one that was accepted").into()
                );
            }
        }
        let id = loaded.journey.application.id;
        if loaded.journey.status == Status::Offered && loaded.journey.has_expired(self.clock.now()) {
            self.journeys.advance(id, &Event::Expired).await?;
            return Err(problem(409, "offer-expired", "The offer has expired").into());
        }
        let accepted = Event::Accepted { by: AcceptedBy::Borrower, revision: loaded.journey.revision };
        let journey = self.journeys.advance_from(loaded, &[accepted]).await?;
        Ok(Response::json(200, &self.summary(journey.journey(), None)))
    }

    pub(crate) async fn cancel(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let loaded = self.own(request, borrower).await?;
        let journey = self.journeys.advance_from(loaded, &[Event::Cancelled]).await?;
        Ok(Response::json(200, &self.summary(journey.journey(), None)))
    }

    pub(crate) async fn explain(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let loaded = self.own(request, borrower).await?;
        Ok(Response::json(200, &explanation(&loaded)))
    }

    pub(crate) fn summary(&self, journey: &Journey, firm: Option<&FirmRecord>) -> ApplicationAnswer {
        let application = &journey.application;
        ApplicationAnswer {
            application_id: application.id.to_string(),
            status: journey.status,
            firm: firm_summary(&application.firm_code, firm),
            product: application.product.clone(),
            amount_fen: application.amount_fen.0,
            term_months: application.term_months,
            offer: journey.offer.as_ref().map(|offer| OfferBody {
                amount_fen: offer.amount_fen,
                annual_rate_bp: offer.annual_rate_bp,
                term_months: offer.term_months,
                expires_at: offer.expires_at.to_string(),
            }),
            reasons: reasons(&journey.reasons),
            score_reasons: match journey.reasons.contains(&Reason::ScoreLow) {
                true => score_reasons(journey),
                false => Vec::new(),
            },
            bank_reference: journey.bank_reference.clone(),
            loan: None,
            updated_at: journey.updated_at.to_string(),
        }
    }
}

fn firm_summary(code: &FirmCode, record: Option<&FirmRecord>) -> FirmSummary {
    FirmSummary {
        firm_code: code.to_string(),
        name: record.and_then(FirmRecord::name).map(str::to_owned),
        industry: record.and_then(FirmRecord::industry).map(str::to_owned),
        address: record.and_then(FirmRecord::address).map(str::to_owned),
    }
}

fn reasons(reasons: &[Reason]) -> Vec<ReasonBody> {
    reasons.iter().map(|r| ReasonBody { code: r.code(), zh: r.zh(), en: r.en() }).collect()
}

fn score_reasons(journey: &Journey) -> Vec<ScoreReasonBody> {
    let score = journey.facts.score.iter();
    let body = |r: &ScoreReason| ScoreReasonBody {
        code: r.code.clone(),
        zh: r.zh.clone(),
        en: r.en.clone(),
        points: r.points,
    };
    score.flat_map(|score| &score.reasons).map(body).collect()
}

fn explanation(loaded: &Loaded) -> Explanation {
    let journey = &loaded.journey;
    // The firm's record speaks to nobody who has not proven to represent it.
    let score = journey.facts.score.as_ref().filter(|_| journey.is_proven());
    let dimensions = score.map(|s| s.dimensions.as_slice()).unwrap_or_default();
    Explanation {
        application_id: journey.application.id.to_string(),
        status: journey.status,
        reasons: reasons(&journey.reasons),
        score_reasons: if score.is_some() { score_reasons(journey) } else { Vec::new() },
        strategy: journey.strategy.clone(),
        model: score.map(|s| s.model.clone()),
        score_points: score.map(|s| s.points),
        dimensions: dimensions
            .iter()
            .map(|d| DimensionBody { dimension: d.dimension.clone(), margin: d.margin, points: d.points })
            .collect(),
        timeline: loaded
            .entries
            .iter()
            .flat_map(|entry| {
                let step = |event: &Event| TimelineStep {
                    at: entry.at.to_string(),
                    event: event.name(),
                    by: entry.by.clone(),
                };
                entry.events.iter().map(step)
            })
            .collect(),
    }
}
