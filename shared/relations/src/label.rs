//! What a ring is called: a scorecard per label, read from `models/rings`.
//!
//! A card's rule has a gate, without which the label does not fit at all (a device farm has a device that several persons
//! use), a base, and signs that add points or take them away. A label fits from the rule's `fits` points on, and where it
//! is sure. More of what is suspicious never takes points away, so that nobody is cleared by sharing more. What the members
//! scored is the mean of those who have proven their claims, which clean firms do lower; that most of them are not scored yet
//! is a sign of its own. The numbers are
//! fitted on the training seeds of `models/training/rings.py` and measured on others in `models/reports/rings.md`.

use domain::ring::{Finding, RingLabel, RingProfile};
use serde::{Deserialize, Serialize};

macro_rules! features {
    ($($variant:ident $name:literal = |$size:ident, $profile:ident| $value:expr;)*) => {
        /// A number that a sign looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Feature {
            $(#[serde(rename = $name)] $variant,)*
        }

        impl Feature {
            /// Every feature with its name.
            pub const ALL: &[(Feature, &str)] = &[$((Feature::$variant, $name)),*];

            /// Its value for a ring.
            pub fn of(self, size: Size, profile: &RingProfile) -> u32 {
                match self { $(Feature::$variant => { let ($size, $profile) = (size, profile); let _ = ($size, $profile); $value })* }
            }

            /// Whether it is known only once the members' journeys were looked at.
            pub const fn is_of_journeys(self) -> bool {
                matches!(
                    self,
                    Feature::Declined
                        | Feature::Unscored
                        | Feature::BusinessCost
                        | Feature::FinanceCost
                        | Feature::GovernmentCost
                        | Feature::TaxCost
                        | Feature::RiskCost
                )
            }
        }
    };
}

features! {
    Applications "applications" = |size, _p| size.applications;
    Firms "firms" = |size, _p| size.firms;
    Persons "persons" = |_s, p| p.persons;
    FirmsPerPerson "firms_per_person_percent" = |size, p| ratio(size.firms, p.persons);
    PersonsPerDevice "persons_per_device_percent" = |_s, p| ratio(p.persons, p.devices);
    FirmsPerAddress "firms_per_address_percent" = |size, p| ratio(size.firms, p.addresses);
    ApplicationsPerFirm "applications_per_firm_percent" = |size, _p| ratio(size.applications, size.firms);
    HoursPerApplication "hours_per_application" = |size, p| p.span_hours / size.applications.max(1);
    Lenders "lenders" = |_s, p| p.lenders;
    Places "places" = |_s, p| p.places;
    Density "density_percent" = |_s, p| p.density_percent;
    SharedDevice "shared_device_percent" = |_s, p| p.shared_device_percent;
    SharedCard "shared_card_percent" = |_s, p| p.shared_card_percent;
    SharedPhone "shared_phone_percent" = |_s, p| p.shared_phone_percent;
    SharedPerson "shared_person_percent" = |_s, p| p.shared_person_percent;
    SharedAddress "shared_address_percent" = |_s, p| p.shared_address_percent;
    SharedNetwork "shared_network_percent" = |_s, p| p.shared_network_percent;
    SameAmount "same_amount_percent" = |_s, p| p.same_amount_percent;
    SameAmountApplications "same_amount_applications" = |size, p| part(size.applications, p.same_amount_percent);
    NewAccounts "new_accounts_percent" = |size, p| ratio(p.new_accounts, size.applications);
    PersonsOnDevice "persons_on_device" = |_s, p| p.persons_on_device;
    FirmsOnCard "firms_on_card" = |_s, p| p.firms_on_card;
    FirmsOnPhone "firms_on_phone" = |_s, p| p.firms_on_phone;
    FirmsOfPerson "firms_of_person" = |_s, p| p.firms_of_person;
    StackedLenders "stacked_lenders" = |_s, p| p.stacked_lenders;
    Burst "burst" = |_s, p| p.burst;
    SpanHours "span_hours" = |_s, p| p.span_hours;
    GuaranteeCircle "guarantee_circle" = |_s, p| p.guarantee_circle;
    InvoiceCircle "invoice_circle" = |_s, p| p.invoice_circle;
    FirmsOfOwner "firms_of_owner" = |_s, p| p.firms_of_owner;
    FirmsOnRegisteredPhone "firms_on_registered_phone" = |_s, p| p.firms_on_registered_phone;
    OverdueLoans "overdue_loans" = |_s, p| p.overdue_loans;
    OverdueDistance "overdue_distance" = |_s, p| p.overdue_distance;
    Declined "declined" = |_s, p| p.declined;
    Unscored "unscored_percent" = |_s, p| (100 * p.unscored).checked_div(p.scored + p.unscored).unwrap_or(0);
    BusinessCost "business_cost" = |_s, p| p.business_cost;
    FinanceCost "finance_cost" = |_s, p| p.finance_cost;
    GovernmentCost "government_cost" = |_s, p| p.government_cost;
    TaxCost "tax_cost" = |_s, p| p.tax_cost;
    RiskCost "risk_cost" = |_s, p| p.risk_cost;
}

/// Where nothing is known of the whole, a ratio says nothing either.
fn ratio(part: u32, whole: u32) -> u32 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100)
}

/// So many of the whole, to the nearest.
fn part(whole: u32, percent: u32) -> u32 {
    whole.saturating_mul(percent).saturating_add(50) / 100
}

/// What is known of a ring beside its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub applications: u32,
    pub firms: u32,
}

/// Seen when the feature is within these bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    pub feature: Feature,
    #[serde(default)]
    pub at_least: u32,
    #[serde(default = "no_bound")]
    pub at_most: u32,
    #[serde(default)]
    pub points: i32,
}

const fn no_bound() -> u32 {
    u32::MAX
}

impl Sign {
    fn is_seen(&self, size: Size, profile: &RingProfile) -> bool {
        (self.at_least..=self.at_most).contains(&self.feature.of(size, profile))
    }
}

/// How one label is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub label: RingLabel,
    /// All of these must be seen, where the label is not sure.
    pub gate: Vec<Sign>,
    /// When all of these are seen the label fits whatever gate and points say: what no fit to made-up cities may ever talk
    /// anybody out of. Empty for none.
    #[serde(default)]
    pub sure: Vec<Sign>,
    pub base: i32,
    pub signs: Vec<Sign>,
    pub fits: i32,
}

impl Rule {
    /// How well the label fits; `None` where the gate is shut.
    pub fn points(&self, size: Size, profile: &RingProfile) -> Option<i32> {
        let is_seen = |sign: &Sign| sign.is_seen(size, profile);
        let signs = self.signs.iter().filter(|sign| is_seen(sign)).map(|sign| sign.points);
        let points = signs.fold(self.base, i32::saturating_add);
        let is_sure = !self.sure.is_empty() && self.sure.iter().all(is_seen);
        match self.gate.iter().all(is_seen) {
            _ if is_sure => Some(points.max(self.fits)),
            true => Some(points),
            false => None,
        }
    }

    /// Whether it could fit, for all that is known before any journey was looked at. Neither gate nor what is sure reads
    /// journeys, and signs that do never speak for anybody ([`Labels::read`]), so this
    /// bounds the points from above. (Claims that came to nothing and leave the ring can still move its shape.)
    fn could_fit(&self, size: Size, profile: &RingProfile) -> bool {
        let unknown = self.signs.iter().filter(|sign| sign.feature.is_of_journeys());
        let unseen = unknown.filter(|sign| !sign.is_seen(size, profile)).map(|sign| sign.points);
        let most = unseen.fold(0, i32::saturating_add);
        self.points(size, profile).is_some_and(|points| points.saturating_add(most) >= self.fits)
    }
}

/// How rings are labelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// As the file is named.
    pub version: String,
    pub rules: Vec<Rule>,
}

/// Why a card is not one.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    #[error("the labels are not the JSON they should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the label {} must have one rule, and has {count}", .label.as_str())]
    Rules { label: RingLabel, count: usize },
    #[error("the rule of {} has no gate, so that it could fit anybody", .0.as_str())]
    NoGate(RingLabel),
    #[error("journeys are looked at once a label could fit: in the rule of {} neither gate nor what is sure may ask for them, and no sign that does may take points away", .0.as_str())]
    Journeys(RingLabel),
}

/// The labels in force, as packaged.
pub(crate) const IN_FORCE: &str = include_str!("../../../models/rings/labels-2026.11.3.json");

impl Labels {
    /// Reads and checks a document: every suspicious label has one rule, and the ordinary one has none.
    pub fn read(json: &str) -> Result<Self, LabelsError> {
        let labels: Self = serde_json::from_str(json)?;
        for label in RingLabel::ALL.iter().copied() {
            let rules = labels.rules.iter().filter(|rule| rule.label == label);
            let count = rules.clone().count();
            if count != usize::from(label.is_suspicious()) {
                return Err(LabelsError::Rules { label, count });
            }
            if rules.clone().any(|rule| rule.gate.is_empty()) {
                return Err(LabelsError::NoGate(label));
            }
            let reads_journeys = |sign: &Sign| sign.feature.is_of_journeys();
            let mut conditions = rules.clone().flat_map(|rule| rule.gate.iter().chain(&rule.sure));
            let mut signs = rules.flat_map(|rule| &rule.signs);
            if conditions.any(reads_journeys) || signs.any(|sign| reads_journeys(sign) && sign.points < 0) {
                return Err(LabelsError::Journeys(label));
            }
        }
        Ok(labels)
    }

    /// The labels in force.
    pub fn in_force() -> Result<Self, LabelsError> {
        Self::read(IN_FORCE)
    }

    /// Whether any suspicious label could fit once the members' journeys were looked at.
    pub(crate) fn could_fit(&self, size: Size, profile: &RingProfile) -> bool {
        self.rules.iter().any(|rule| rule.could_fit(size, profile))
    }

    /// The labels that fit a ring, the best fitting first; [`RingLabel::Ordinary`] alone when none does.
    pub fn findings(&self, size: Size, profile: &RingProfile) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        for rule in &self.rules {
            let fitting = rule.points(size, profile).filter(|points| *points >= rule.fits);
            found.extend(fitting.map(|points| {
                let beyond = u32::try_from(points.saturating_sub(rule.fits)).unwrap_or(0);
                finding(rule.label, beyond, size, profile)
            }));
        }
        found.sort_by_key(|finding| std::cmp::Reverse((finding.points, finding.label)));
        if found.is_empty() {
            found.push(finding(RingLabel::Ordinary, 0, size, profile));
        }
        found
    }
}

fn finding(label: RingLabel, points: u32, size: Size, profile: &RingProfile) -> Finding {
    let (p, n, firms) = (profile, size.applications, size.firms);
    let (zh, en) = match label {
        RingLabel::DeviceFarm => (
            format!("{}名申请人共用一台设备或一个账号，关联{firms}家企业{n}笔申请", p.persons_on_device),
            format!(
                "{} persons on one device or account, {n} applications of {firms} firms",
                p.persons_on_device
            ),
        ),
        RingLabel::ShellFirms => (
            format!("同一人控制{}家企业，关联{firms}家企业{n}笔申请", p.firms_of_person),
            format!("{} firms of one person, {n} applications of {firms} firms", p.firms_of_person),
        ),
        RingLabel::Agency => (
            format!("{}家企业共用一个手机号，{}家企业共用一张银行卡", p.firms_on_phone, p.firms_on_card),
            format!("{} firms on one phone, {} firms on one bank card", p.firms_on_phone, p.firms_on_card),
        ),
        RingLabel::OverdueLinked => (
            format!("关联群体内有{}笔贷款逾期三十天以上，最近相距{}步", p.overdue_loans, p.overdue_distance),
            format!(
                "{} loans around it overdue by 30 days or more, the nearest {} steps away",
                p.overdue_loans, p.overdue_distance
            ),
        ),
        RingLabel::GuaranteeCircle => (
            format!("{}家企业循环担保", p.guarantee_circle),
            format!("{} firms guarantee each other in a circle", p.guarantee_circle),
        ),
        RingLabel::LoanStacking => (
            format!("七天内向{}家银行申请借款", p.stacked_lenders),
            format!("{} banks asked within seven days", p.stacked_lenders),
        ),
        RingLabel::Ordinary => (
            format!("{firms}家企业{n}笔申请，未见异常"),
            format!("{n} applications of {firms} firms, nothing unusual"),
        ),
    };
    Finding { label, points, zh, en }
}
