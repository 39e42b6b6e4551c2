//! What a ring is called, and what it looks like.

use crate::{ids::RingId, reason::Reason};
use serde::{Deserialize, Serialize};

macro_rules! labels {
    ($($(#[$doc:meta])* $variant:ident $name:literal $reason:expr, $zh:literal $en:literal)*) => {
        /// What a ring is, the least suspicious first. Of what several checks say of a ring, the last one stays.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum RingLabel {
            $($(#[$doc])* $variant,)*
        }

        impl RingLabel {
            /// Every label, the least suspicious first.
            pub const ALL: &[RingLabel] = &[$(RingLabel::$variant),*];

            /// The name that documents, journals and strategies spell.
            pub const fn as_str(self) -> &'static str {
                match self { $(RingLabel::$variant => $name,)* }
            }

            /// What an analyst reads, in Chinese.
            pub const fn zh(self) -> &'static str {
                match self { $(RingLabel::$variant => $zh,)* }
            }

            /// What an analyst reads, in English.
            pub const fn en(self) -> &'static str {
                match self { $(RingLabel::$variant => $en,)* }
            }

            /// The reason that a borrower is declined for; `None` where nobody is.
            pub const fn reason(self) -> Option<Reason> {
                match self { $(RingLabel::$variant => $reason,)* }
            }
        }
    };
}

labels! {
    /// Nothing of the below: an ordinary family firm or office.
    Ordinary "ordinary" None, "普通家族企业或同址办公" "Ordinary family firm or office"
    /// One person or firm asks many lenders within days.
    LoanStacking "loan_stacking" Some(Reason::RingLoanStacking), "多头集中借款" "Loan stacking"
    /// Firms that guarantee each other in a circle.
    GuaranteeCircle "guarantee_circle" Some(Reason::RingGuaranteeCircle), "互保圈" "Guarantee circle"
    /// Several members, or those close to them, have loans that are overdue.
    OverdueLinked "overdue_linked" Some(Reason::RingOverdueLinked), "逾期关联团伙" "Linked with overdue loans"
    /// Somebody applies for firms of strangers.
    Agency "agency" Some(Reason::RingAgency), "中介代办团伙" "Loan agency"
    /// Many firms in few hands.
    ShellFirms "shell_firms" Some(Reason::RingShellFirms), "空壳企业集群" "Cluster of shell firms"
    /// Many persons on few devices.
    DeviceFarm "device_farm" Some(Reason::RingDeviceFarm), "设备农场" "Device farm"
}

impl RingLabel {
    /// Whether nobody with this label is lent to, so that its members have to hear of each other.
    pub const fn is_suspicious(self) -> bool {
        self.reason().is_some()
    }
}

/// Why a ring fits a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub label: RingLabel,
    /// By how many points it is beyond the least with which it fits.
    pub points: u32,
    /// What was seen, in Chinese, with its figures and nothing personal.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// What a ring looks like. Counts are of different things among its members; shares are percent of its members;
/// everything is a lower bound where the traversal was cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RingProfile {
    pub persons: u32,
    pub devices: u32,
    pub cards: u32,
    pub phones: u32,
    pub addresses: u32,
    pub networks: u32,
    /// Banks that were asked.
    pub lenders: u32,
    /// Places of the sign-ins.
    pub places: u32,
    /// Pairs of members that share a joining node, of all pairs.
    pub density_percent: u32,
    /// Members that share such a node with a member of another firm; an account is as good as a device.
    pub shared_device_percent: u32,
    pub shared_card_percent: u32,
    pub shared_phone_percent: u32,
    pub shared_person_percent: u32,
    pub shared_address_percent: u32,
    /// The same for networks, each member weighed by its network's degree: a network that the ring has to itself counts
    /// whole, one that it shares with thousands counts nothing.
    pub shared_network_percent: u32,
    /// Members that ask for the commonest amount.
    pub same_amount_percent: u32,
    /// Members whose account was opened less than [`NEW_ACCOUNT_DAYS`] days before they applied.
    pub new_accounts: u32,
    /// Most persons on one device, or of one account.
    pub persons_on_device: u32,
    /// Most firms that gave one card.
    pub firms_on_card: u32,
    /// Most firms that gave one phone.
    pub firms_on_phone: u32,
    /// Most firms of one person.
    pub firms_of_person: u32,
    /// Most banks that one person or firm asked within [`STACKING_DAYS`].
    pub stacked_lenders: u32,
    /// Most applications of different firms within one hour.
    pub burst: u32,
    /// From the first application to the last.
    pub span_hours: u32,
    /// Firms in the longest circle of guarantees that was found; 0 without any.
    pub guarantee_circle: u32,
    /// Firms in the longest circle of invoices: what is sold in a circle was sold to raise cash.
    pub invoice_circle: u32,
    /// Most firms, by the record, that one owner or director of the application's firm stands behind.
    pub firms_of_owner: u32,
    /// Most firms, by the record, with the phone that the application's firm registered.
    pub firms_on_registered_phone: u32,
    /// Loans that are overdue by [`OVERDUE_DAYS`] or more at the members' nodes.
    pub overdue_loans: u32,
    /// Steps to the nearest of them: 1 shares a node with it; 0 when there is none.
    pub overdue_distance: u32,
    /// Members whose journeys were looked at.
    pub judged: u32,
    /// Those of them that were declined.
    pub declined: u32,
    /// Those of them, but for the application itself, that have proven their claims and were scored. What stands below is of
    /// these alone.
    pub scored: u32,
    /// Those of them, but for the application itself, whose score is not known yet, or whose claims are not proven yet.
    pub unscored: u32,
    /// The mean of the points that they scored, and the lowest; 0 when none of them was scored.
    pub mean_points: u32,
    pub lowest_points: u32,
    /// The points that each dimension of a firm's portrait took from those that were scored, on average.
    pub business_cost: u32,
    pub finance_cost: u32,
    pub government_cost: u32,
    pub tax_cost: u32,
    pub risk_cost: u32,
}

/// For so many days an account is new.
pub const NEW_ACCOUNT_DAYS: u32 = 7;

/// Within how many days the banks that somebody asks are counted together.
pub const STACKING_DAYS: i64 = 7;
/// From how many days on a loan counts as overdue for a ring.
pub const OVERDUE_DAYS: u32 = 30;

/// A ring as somebody's check saw it: its name and its label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingVerdict {
    pub ring: RingId,
    pub label: RingLabel,
    /// Version of the rules that gave the label.
    pub labels: String,
    pub profile: RingProfile,
    /// Every label that fits, the best fitting first.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_speaks_both_languages_and_all_but_the_ordinary_one_have_a_reason() {
        for label in RingLabel::ALL {
            assert!(!label.zh().is_ascii() && label.en().is_ascii(), "{label:?}");
            assert_eq!(serde_json::to_value(label).unwrap(), label.as_str());
            assert_eq!(label.is_suspicious(), *label != RingLabel::Ordinary, "{label:?}");
        }
    }
}
