//! What was found, as a table and as JSON.
//!
//! A rule's text stands in `BANKS.md` and nowhere else; the page is part of the program.

use comfy_table::{Cell, ContentArrangement, Table, TableComponent, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

const PAGE: &str = include_str!("../../../bank-kit/BANKS.md");

/// Width of the table, in characters.
const WIDTH: u16 = 132;

/// A rule of `BANKS.md`, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[rustfmt::skip]
pub enum Rule {
    P1,
    S1, S2, S3, S4, S5, S6, S7, S8,
    I1, I2, I3, I4,
    T1, T2,
    Q1, Q2, Q3, Q4,
    C1, C2, C3, C4, C5, C6,
    A1, A2, A3, A4, A5, A6,
}

impl Rule {
    #[rustfmt::skip]
    pub const ALL: [Self; 31] = {
        use Rule::*;
        [
            P1,
            S1, S2, S3, S4, S5, S6, S7, S8,
            I1, I2, I3, I4,
            T1, T2,
            Q1, Q2, Q3, Q4,
            C1, C2, C3, C4, C5, C6,
            A1, A2, A3, A4, A5, A6,
        ]
    };

    /// Whether a bank fails when the rule could not be tested. One that was tested and is not met always fails.
    fn is_required(self, allow_local: bool) -> bool {
        match self {
            // Only a bank that throttles can be seen to name a time.
            Self::A6 => false,
            Self::A5 => !allow_local,
            _ => true,
        }
    }

    /// The line of the page that states the rule, from 1, and what it says.
    fn on_the_page(self) -> (usize, &'static str) {
        let start = format!("| {self} | ");
        let found =
            PAGE.lines().enumerate().find_map(|(at, line)| Some((at + 1, line.strip_prefix(&start)?)));
        let (line, text) = found.unwrap_or_default();
        (line, text.trim_end_matches('|').trim())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Met,
    NotMet,
    NotTested,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::NotMet => "NOT MET",
            Self::NotTested => "not tested",
        })
    }
}

/// One rule and what was seen of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub rule: Rule,
    pub verdict: Verdict,
    pub required: bool,
    /// What the rule demands, as the page has it.
    pub demands: &'static str,
    /// One line.
    pub seen: String,
    /// `BANKS.md:<line>`.
    pub page: String,
}

impl Finding {
    fn is_in_order(&self) -> bool {
        match self.verdict {
            Verdict::Met => true,
            Verdict::NotMet => false,
            Verdict::NotTested => !self.required,
        }
    }
}

/// What the check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub url: String,
    /// Every required rule is met, and no other is broken.
    pub certified: bool,
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(url: String, allow_local: bool, mut found: BTreeMap<Rule, (Verdict, String)>) -> Self {
        let finding = |rule: Rule| {
            let (verdict, seen) = found
                .remove(&rule)
                .unwrap_or_else(|| (Verdict::NotTested, "the check did not come this far".to_owned()));
            let (line, demands) = rule.on_the_page();
            let required = rule.is_required(allow_local);
            Finding { rule, verdict, required, demands, seen, page: format!("BANKS.md:{line}") }
        };
        let findings: Vec<Finding> = Rule::ALL.into_iter().map(finding).collect();
        Self { url, certified: findings.iter().all(Finding::is_in_order), findings }
    }

    /// The rules with this verdict.
    pub fn rules(&self, verdict: Verdict) -> Vec<Rule> {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .map(|finding| finding.rule)
            .collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH)
            .set_header(["rule", "", "demands", "seen", "page"]);
        // One line for each rule where it fits, without a rule between them.
        for line in [
            TableComponent::HorizontalLines,
            TableComponent::LeftBorderIntersections,
            TableComponent::MiddleIntersections,
            TableComponent::RightBorderIntersections,
        ] {
            table.remove_style(line);
        }
        for finding in &self.findings {
            table.add_row([
                Cell::new(finding.rule),
                Cell::new(finding.verdict),
                Cell::new(finding.demands),
                Cell::new(&finding.seen),
                Cell::new(&finding.page),
            ]);
        }
        table.to_string()
    }

    /// One line that says it all.
    pub fn summary(&self) -> String {
        let of = |verdict| self.rules(verdict).iter().map(Rule::to_string).collect::<Vec<_>>().join(", ");
        let met = self.rules(Verdict::Met).len();
        let mut text = format!("{met} of {} rules are met.", self.findings.len());
        for (verdict, name) in [(Verdict::NotMet, "Not met"), (Verdict::NotTested, "Not tested")] {
            if !self.rules(verdict).is_empty() {
                text.push_str(&format!(" {name}: {}.", of(verdict)));
            }
        }
        text.push_str(if self.certified {
            " Every required rule is met."
        } else {
            " The endpoint is not ready."
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_stands_on_the_page_once_and_the_page_has_no_other() {
        let on_page: Vec<&str> = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | ").map(|(id, _)| id))
            .filter(|id| {
                id.len() == 2 && id.starts_with(char::is_uppercase) && id.ends_with(char::is_numeric)
            })
            .collect();
        assert_eq!(on_page, Rule::ALL.map(|rule| rule.to_string()));
        assert!(Rule::ALL.iter().all(|rule| !rule.on_the_page().1.is_empty()));
    }

    #[test]
    fn a_required_rule_that_was_not_tested_fails_and_one_that_is_not_required_does_not() {
        let all = |not: Rule, verdict: Verdict| {
            let found = Rule::ALL.map(|rule| (rule, (Verdict::Met, String::new())));
            let mut found = BTreeMap::from(found);
            found.insert(not, (verdict, String::new()));
            found
        };
        let certified = |not, verdict, local| Report::new(String::new(), local, all(not, verdict)).certified;
        assert!(certified(Rule::P1, Verdict::Met, false));
        assert!(!certified(Rule::C4, Verdict::NotTested, true));
        assert!(!certified(Rule::A5, Verdict::NotTested, false));
        assert!(certified(Rule::A5, Verdict::NotTested, true));
        assert!(certified(Rule::A6, Verdict::NotTested, false));
        assert!(!certified(Rule::A6, Verdict::NotMet, true));
        assert!(!Report::new(String::new(), true, BTreeMap::new()).certified);
    }
}
