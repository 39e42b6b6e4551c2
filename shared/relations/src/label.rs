//! What a ring is called.
//!
//! Each label has a gate, without which it does not fit at all, and signs that add points or take them away. A label fits
//! from [`Thresholds::fits`] points on. The numbers are tuned on the training seed of `models/training/rings.py` and
//! measured on another in `models/reports/rings.md`.

use domain::ring::{Finding, RingLabel, RingProfile};
use serde::{Deserialize, Serialize};

/// Every number that the rules turn on. Shares are percent of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Points from which on a label fits.
    pub fits: i32,
    /// Fewest firms in a ring that more than one person applies for.
    pub firms: u32,
    /// Persons on one device: from here on it is nobody's own device.
    pub farm_persons: u32,
    /// Firms on one phone or card that somebody may apply for as an agent.
    pub agency_firms: u32,
    /// Firms of one person that are no longer a family's.
    pub shell_firms: u32,
    /// Firms in a circle of guarantees.
    pub circle_firms: u32,
    /// Banks that one person or firm asks within a week.
    pub stacked_lenders: u32,
    /// Loans overdue around a ring.
    pub overdue_loans: u32,
    /// Firms that gave one card.
    pub card_firms: u32,
    /// From here on most members share a thing.
    pub most: u32,
    /// Up to here few members share a thing.
    pub few: u32,
    /// Firms that apply within one hour.
    pub burst: u32,
    /// Hours in which an ordinary group does not all apply.
    pub short_hours: u32,
}

impl Thresholds {
    /// The thresholds in force.
    pub const IN_FORCE: Thresholds = Thresholds {
        fits: 60,
        firms: 3,
        farm_persons: 3,
        agency_firms: 4,
        shell_firms: 4,
        circle_firms: 3,
        stacked_lenders: 3,
        overdue_loans: 2,
        card_firms: 3,
        most: 60,
        few: 34,
        burst: 3,
        short_hours: 72,
    };
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::IN_FORCE
    }
}

/// What is known of the ring beside its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub applications: u32,
    pub firms: u32,
}

/// The labels that fit a ring, the most suspicious first; [`RingLabel::Ordinary`] alone when none does.
pub fn findings(size: Size, profile: &RingProfile, thresholds: &Thresholds) -> Vec<Finding> {
    let mut found: Vec<Finding> = points(size, profile, thresholds)
        .into_iter()
        .filter(|(_, points)| *points >= thresholds.fits)
        .map(|(label, points)| {
            let points = u32::try_from(points).unwrap_or(0).min(100);
            finding(label, points, size, profile)
        })
        .collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.label));
    if found.is_empty() {
        found.push(finding(RingLabel::Ordinary, 0, size, profile));
    }
    found
}

/// How well each suspicious label fits: 0 where its gate is shut.
pub fn points(size: Size, profile: &RingProfile, thresholds: &Thresholds) -> [(RingLabel, i32); 6] {
    let t = thresholds;
    let p = profile;
    // What makes a group of strangers: they live apart, and yet they move together.
    let apart = p.shared_address_percent <= t.few;
    let together = [
        (p.burst >= t.burst, 10),
        (p.same_amount_percent >= t.most, 15),
        (p.span_hours <= t.short_hours, 10),
        (p.firms_on_card >= t.card_firms, 20),
        (p.shared_network_percent >= t.most && apart, 10),
        (p.declined >= 2, 10),
        (p.overdue_loans > 0, 10),
    ];
    let together: i32 = sum(&together);
    let gate = |is_open: bool, points: i32| if is_open { points } else { 0 };
    let beyond = |number: u32, from: u32, each: i32| {
        each.saturating_mul(i32::try_from(number.saturating_sub(from).min(5)).unwrap_or(0))
    };
    let many = size.firms >= t.firms;
    let farm = 40
        + together
        + beyond(p.persons_on_device, t.farm_persons, 10)
        + sum(&[(apart, 15), (p.shared_address_percent >= t.most, -25)]);
    let agency_firms = p.firms_on_phone.max(p.firms_on_card);
    let agency = 25
        + together
        + sum(&[
            (p.shared_device_percent >= t.most, 15),
            (p.firms_on_card >= t.agency_firms, 10),
            (p.shared_person_percent >= t.most, -30),
        ]);
    let shells = 40
        + together
        + beyond(p.firms_of_person, t.shell_firms, 10)
        + sum(&[(p.shared_address_percent >= t.most, 10)]);
    let circle = 60 + beyond(p.guarantee_circle, t.circle_firms, 10);
    let stacking = 60 + beyond(p.stacked_lenders, t.stacked_lenders, 15);
    let overdue = 50
        + beyond(p.overdue_loans, t.overdue_loans, 20)
        + sum(&[(apart, 10), (p.overdue_distance == 1, 10), (p.shared_address_percent >= t.most, -10)]);
    [
        (RingLabel::DeviceFarm, gate(many && p.persons_on_device >= t.farm_persons, farm)),
        (RingLabel::ShellFirms, gate(many && p.firms_of_person >= t.shell_firms, shells)),
        (RingLabel::Agency, gate(many && agency_firms >= t.agency_firms, agency)),
        (RingLabel::OverdueLinked, gate(many && p.overdue_loans >= t.overdue_loans, overdue)),
        (RingLabel::GuaranteeCircle, gate(many && p.guarantee_circle >= t.circle_firms, circle)),
        (RingLabel::LoanStacking, gate(p.stacked_lenders >= t.stacked_lenders, stacking)),
    ]
}

fn sum(signs: &[(bool, i32)]) -> i32 {
    signs.iter().filter(|(is_seen, _)| *is_seen).map(|(_, points)| points).sum()
}

fn finding(label: RingLabel, points: u32, size: Size, profile: &RingProfile) -> Finding {
    let (p, n, firms) = (profile, size.applications, size.firms);
    let (zh, en) = match label {
        RingLabel::DeviceFarm => (
            format!("{}名申请人共用一台设备，关联{firms}家企业{n}笔申请", p.persons_on_device),
            format!("{} persons on one device, {n} applications of {firms} firms", p.persons_on_device),
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
