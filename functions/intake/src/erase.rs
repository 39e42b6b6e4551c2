//! `DELETE /v1/applications/{id}/personal-data`: consent is withdrawn. What runs is cancelled, then the person and the
//! borrower's sign-ins are erased, these with their traces in the relation graph. What journal, ledger and links say stays:
//! the firm, the bank and the amount as they are, the person as keyed hashes.

use crate::{Borrower, Intake, Refusal};
use contract::http::{DataBody, ErasureAnswer, Problem};
use domain::{
    erasure::{Erasure, KeptBecause, erasure},
    journey::{Event, Journey, Status},
};
use lambda_kit::http::{Request, Response, problem};
use steps::AdvanceError;

/// How often the journey is looked at again because it moved on while it was being cancelled.
const TRIES: u32 = 4;

const PERSON: DataBody = DataBody {
    code: "PERSON",
    zh: "姓名、身份证号、手机号、银行卡号",
    en: "Name, resident id, phone and bank card",
};
const SIGN_INS: DataBody = DataBody {
    code: "SIGN_INS",
    zh: "登录的时间、地点、设备与网络,包括其在关联记录中的痕迹",
    en: "Time, place, device and network of the sign-ins, with their traces in the relation graph",
};
const JOURNAL: DataBody = DataBody {
    code: "JOURNAL",
    zh: "申请与决定的记录:企业、银行、金额与账号开立天数;本人、账号、手机、银行卡、设备、网络与地点仅为带密钥的散列值;及渠道内的用户代号",
    en: "What was applied for and decided: firm, bank, amount and the age of the account in days; person, account, phone, card, device, network and place as keyed hashes; and the name that the channel has for its user",
};
const RELATIONS: DataBody = DataBody {
    code: "RELATIONS",
    zh: "防范团伙欺诈的关联记录:企业、银行、金额与账号开立天数;本人、账号、手机、银行卡、设备、网络、地址与地点仅为带密钥的散列值。未通过的核验、重复使用的登录码所留痕迹(散列值)90天后删除",
    en: "Links between applications, against fraud: firm, bank, amount and the age of the account in days; person, account, phone, card, device, network, address and place as keyed hashes. What failed checks and codes used twice left at a device, as keyed hashes, goes after 90 days",
};
const LEDGER: DataBody = DataBody {
    code: "LEDGER",
    zh: "放款账目:企业、银行、产品与金额",
    en: "The ledger of payouts: firm, bank, product and amounts",
};

impl Intake {
    pub(crate) async fn erase(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let journey = self.end_for_erasure(request, borrower).await?;
        let id = journey.application.id;
        let erased_at = self.applicants.erase(id, self.clock.now()).await?;
        let who = self.account_hash(borrower.channel, &borrower.claims.session.sub);
        self.erase_sign_ins(&who).await?;
        tracing::info!(application_id = %id, "the personal data of an application was erased");
        let was_paid = matches!(journey.status, Status::PaidOut | Status::PayoutFailed);
        let kept = [Some(JOURNAL), Some(RELATIONS), was_paid.then_some(LEDGER)];
        let answer = ErasureAnswer {
            application_id: id.to_string(),
            status: journey.status,
            erased_at: erased_at.to_string(),
            erased: vec![PERSON, SIGN_INS],
            kept: kept.into_iter().flatten().collect(),
        };
        Ok(Response::json(200, &answer))
    }

    /// The journey once nothing speaks against erasing any more; cancelled, when it was still running.
    async fn end_for_erasure(&self, request: &Request, borrower: &Borrower) -> Result<Journey, Refusal> {
        for _ in 0..TRIES {
            let loaded = self.own(request, borrower).await?;
            let loan = match loaded.journey.status {
                Status::PaidOut => self.loans.get(loaded.journey.application.id.payout_id()).await?,
                _ => None,
            };
            match erasure(&loaded.journey, loan.as_ref().map(|kept| &kept.loan), self.clock.now()) {
                Erasure::Now => return Ok(loaded.journey),
                Erasure::Kept(why) => return Err(kept(why).into()),
                Erasure::CancelFirst => match self.journeys.advance_from(loaded, &[Event::Cancelled]).await {
                    // It moved on meanwhile, for example to the payout: what follows is looked at anew, as after cancelling.
                    Ok(_) | Err(AdvanceError::Transition(_)) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
        Err(AdvanceError::Contended.into())
    }
}

fn kept(why: KeptBecause) -> Problem {
    const WHAT: &str = "Kept: name, resident id, phone and bank card";
    const WHAT_ZH: &str = "保留:姓名、身份证号、手机号、银行卡号";
    let (kind, title, detail) = match why {
        KeptBecause::PayoutUnderWay => (
            "payout-under-way",
            "The bank may be paying at this moment",
            format!(
                "{WHAT}, until the bank has said what became of the payout. {WHAT_ZH},直至银行告知放款结果。"
            ),
        ),
        KeptBecause::PayoutMayBeCorrected { until } => (
            "payout-under-way",
            "The payout failed, and the bank may still correct that",
            format!("{WHAT}, until {until}. {WHAT_ZH},至 {until}。"),
        ),
        KeptBecause::LoanOutstanding => (
            "loan-outstanding",
            "The loan is not settled",
            format!(
                "{WHAT}, until the loan is settled and for as long as the law asks after that. {WHAT_ZH},直至贷款结清及其后法定期限届满。"
            ),
        ),
        KeptBecause::Law { until } => (
            "kept-by-law",
            "The law asks for it to be known who borrowed",
            format!("{WHAT}, until {until}. {WHAT_ZH},至 {until}。"),
        ),
    };
    Problem { detail: Some(detail), ..problem(409, kind, title) }
}
