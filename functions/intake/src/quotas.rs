//! Quotas on applications. Each application has a face and a phone check started, which are paid for and reach the person
//! named; and its answer tells whether that person represents the firm. So each is counted before anything is written or
//! started for it: by the account and the device that the session proves, then by the person, the phone and the card that
//! the borrower names. What is only named must not fill up either: a crowd of claims at somebody's card or phone would hide
//! a ring behind it in the relation graph.

use crate::{Borrower, Intake, Refusal, terms::Terms};
use contract::http::Problem;
use domain::{
    ApplicationId,
    calendar::{day_in_china, end_of_day_in_china},
};
use futures::future::{try_join, try_join3};
use jiff::Timestamp;
use lambda_kit::http::problem;
use ports::quotas::{Counted, Quota, QuotaKind};

/// Applications of one account on one day in China. Somebody who mistypes, thinks again or tries the next product needs a few;
/// a firm has one loan at a time.
pub const MOST_OF_ACCOUNT: u32 = 10;
/// A device may be shared by a family or an office. A ring on one device is for the relation graph to see and not for this.
pub const MOST_OF_DEVICE: u32 = 20;
/// Person, phone and card are only named, so somebody else may use up their day. One account cannot: these are higher
/// than its own quota.
pub const MOST_OF_PERSON: u32 = 15;
pub const MOST_OF_PHONE: u32 = 15;
pub const MOST_OF_CARD: u32 = 15;

impl Intake {
    /// Counts a request, which its id and digest tell from every other one: a repetition counts once.
    pub(crate) async fn check_quotas(
        &self,
        id: ApplicationId,
        digest: &str,
        terms: &Terms,
        borrower: &Borrower,
    ) -> Result<(), Refusal> {
        let session = &borrower.claims.session;
        let account = self.account_hash(borrower.channel, &session.sub);
        let person = self.hasher.person(&terms.person.resident_id);
        let phone = self.hasher.phone(&terms.person.phone);
        let card = self.hasher.bank_card(&terms.person.bank_card);
        let attempt = self.hasher.hash("attempt", &format!("{id}\n{digest}")).to_string();
        let now = self.clock.now();
        let count = |kind, of: String, most| self.count(kind, of, most, &attempt, now);
        // What is refused to an account or a device takes nothing from the person that it names.
        try_join(
            count(QuotaKind::Account, account, MOST_OF_ACCOUNT),
            count(QuotaKind::Device, session.device.to_string(), MOST_OF_DEVICE),
        )
        .await?;
        try_join3(
            count(QuotaKind::Person, person.to_string(), MOST_OF_PERSON),
            count(QuotaKind::Phone, phone.to_string(), MOST_OF_PHONE),
            count(QuotaKind::Card, card.to_string(), MOST_OF_CARD),
        )
        .await?;
        Ok(())
    }

    async fn count(
        &self,
        kind: QuotaKind,
        of: String,
        most: u32,
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let quota = Quota { kind, of, day: day_in_china(now), most };
        match self.quotas.count(&quota, attempt).await? {
            Counted::Within => Ok(()),
            Counted::Full => Err(full(&quota, now)),
        }
    }
}

/// Says which quota, and never whether there is such a person, phone or card: the day of one that nobody has is as full.
fn full(quota: &Quota, now: Timestamp) -> Refusal {
    let (by, by_zh) = match quota.kind {
        QuotaKind::Account => ("account", "同一账号"),
        QuotaKind::Device => ("device", "同一设备"),
        QuotaKind::Person => ("person", "同一人"),
        QuotaKind::Phone => ("phone", "同一手机号"),
        QuotaKind::Card => ("card", "同一银行卡"),
    };
    let most = quota.most;
    let detail = format!(
        "At most {most} applications on one day by one {by}. Apply again tomorrow. {by_zh}每天最多申请{most}次,请明天再试。"
    );
    let wait = end_of_day_in_china(quota.day).duration_since(now);
    let problem = problem(429, "quota-reached", "There were too many applications today");
    Refusal::Later { problem: Box::new(Problem { detail: Some(detail), ..problem }), wait }
}
