//! What must hold when a run has come to rest.

use super::{
    counterparties::{Truth, application_of},
    tables::entry_text,
    world::World,
};
use aws::DynamoLedger;
use domain::{
    ApplicationId, Fen,
    journey::{Command, Journey, Status},
    ledger::{Balances, Evidence, Payout, PayoutStatus},
};
use ports::{journal::Entry, ledger::Ledger as _};
use std::collections::BTreeMap;

type Journeys = BTreeMap<ApplicationId, Journey>;

impl World<'_> {
    /// Adds a violation for everything that does not hold.
    pub(super) fn check(&mut self) {
        let journeys = self.journeys();
        self.check_applications(&journeys);
        let payouts = self.payouts(&journeys);
        self.check_bank(&journeys, &payouts);
        self.check_ledger(&payouts);
        self.check_notices();
        for (id, journey) in &journeys {
            self.trace.push_str(&format!("{id} {}\n", journey.status));
        }
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// The journeys as their journals tell them.
    fn journeys(&mut self) -> Journeys {
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for item in self.tables.items("journeys") {
            let Some(text) = entry_text(&item) else { continue };
            let key = (item["pk"]["S"].to_string(), item["sk"]["S"].to_string());
            if self.entries.get(&key).is_some_and(|first| *first != text) {
                self.violation(format!("entry {} of {} was written twice", key.1, key.0));
            }
            if let Ok(entry) = serde_json::from_str::<Entry>(&text) {
                entries
                    .entry(item["pk"]["S"].as_str().unwrap_or_default().to_owned())
                    .or_default()
                    .push(entry);
            }
        }
        let mut journeys = Journeys::new();
        for (id, mut entries) in entries {
            entries.sort_by_key(|entry| entry.number);
            let events = entries.iter().flat_map(|e| e.events.iter().map(move |event| (event, e.at)));
            match (id.parse(), Journey::fold(events)) {
                (Ok(id), Ok(Some(journey))) => drop(journeys.insert(id, journey)),
                _ => self.violation(format!("the journal of {id} cannot be read")),
            }
        }
        journeys
    }

    /// No application is lost, and each is at an end. What waits for something that is due is swept to its end before.
    fn check_applications(&mut self, journeys: &Journeys) {
        let known: Vec<String> = self.borrowers.iter().filter_map(|b| b.application.clone()).collect();
        for id in known {
            if !id.parse().is_ok_and(|id| journeys.contains_key(&id)) {
                self.violation(format!("application {id} was taken and is lost"));
            }
        }
        for (id, journey) in journeys {
            // An offer that nobody accepts is swept when it expires, so nothing but an end is at rest.
            if !journey.status.is_end() {
                self.violation(format!("application {id} is stuck: {}", journey.status));
            }
        }
    }

    /// The notice of where each journey ended was delivered, or is kept as dead; and what counts as delivered, the
    /// channel has.
    fn check_notices(&mut self) {
        let mut owed: BTreeMap<String, (u32, String)> = BTreeMap::new();
        for item in self.tables.items("journeys") {
            let Some(entry) = entry_text(&item) else { continue };
            let Ok(entry) = serde_json::from_str::<Entry>(&entry) else { continue };
            let id = item["pk"]["S"].as_str().unwrap_or_default();
            for command in &entry.commands {
                if let Command::Notify { status, entry } = command {
                    let last = owed.entry(id.to_owned()).or_default();
                    *last = last.clone().max((*entry, format!("{id}.{status}.{entry}")));
                }
            }
        }
        let mut rows: BTreeMap<String, bool> = BTreeMap::new();
        for row in self.tables.items("notices") {
            let name = row["pk"]["S"].as_str().unwrap_or_default().to_owned();
            let is_delivered = row["delivered_at"].is_object();
            if is_delivered && !self.far.told.contains_key(&name) {
                self.violation(format!("the notice {name} counts as delivered and never came"));
            }
            rows.insert(name, is_delivered || row["due_shard"]["S"] == "dead");
        }
        for (_, name) in owed.into_values() {
            if rows.get(&name) != Some(&true) {
                self.violation(format!("the notice {name} was forgotten"));
            }
        }
    }

    fn payouts(&mut self, journeys: &Journeys) -> BTreeMap<ApplicationId, Payout> {
        let ledger = DynamoLedger::new(self.machine.aws.dynamodb.clone(), "payouts");
        let mut payouts = BTreeMap::new();
        for id in journeys.keys() {
            match self.machine.ask(&self.tables, ledger.get(id.payout_id())) {
                Some(Ok(Some(payout))) => drop(payouts.insert(*id, payout)),
                Some(Ok(None)) => {}
                _ => self.violation(format!("the payout of {id} cannot be read")),
            }
        }
        payouts
    }

    /// The bank's book says what ledger and journal say; nothing is paid twice, and nothing that was declined.
    fn check_bank(&mut self, journeys: &Journeys, payouts: &BTreeMap<ApplicationId, Payout>) {
        let mut paid: BTreeMap<String, u32> = BTreeMap::new();
        for (payout_id, entry) in self.far.book.clone() {
            if entry.truth != Truth::Paid {
                continue;
            }
            let count = paid.entry(entry.application.clone()).or_default();
            *count += 1;
            if *count > 1 {
                self.violation(format!("application {} was paid {count} times", entry.application));
            }
            let Some(id) = application_of(&payout_id) else { continue };
            let status = journeys.get(&id).map(|journey| journey.status);
            if status != Some(Status::PaidOut) {
                self.violation(format!("the bank paid {id}, which is {status:?}"));
            }
            let payout = payouts.get(&id);
            let agrees = payout
                .is_some_and(|p| p.status() == PayoutStatus::Posted && p.amount_fen.0 == entry.amount_fen);
            if !agrees {
                self.violation(format!("the bank paid {id} and the ledger does not say so"));
            }
            let given_up = payout.and_then(|p| p.resolutions.first()).is_some_and(|first| {
                first.evidence == Evidence::Lender || (!entry.lied && !first.outcome.is_paid())
            });
            if given_up {
                self.violation(format!("the payout {id} was given up while the bank was paying it"));
            }
        }
        for (id, journey) in journeys {
            let is_paid = self.far.book.get(&id.to_string()).is_some_and(|e| e.truth == Truth::Paid);
            if journey.status == Status::PaidOut && !is_paid {
                self.violation(format!("{id} is paid out and the bank has not paid"));
            }
        }
    }

    /// What has been drawn is what the transfers add up to, within the limit, and a firm has one loan; but for what the bank paid
    /// late while the firm had got another one, which nothing of ours can undo.
    fn check_ledger(&mut self, payouts: &BTreeMap<ApplicationId, Payout>) {
        let mut expected: BTreeMap<(String, String), Balances> = BTreeMap::new();
        let mut loans: BTreeMap<String, u32> = BTreeMap::new();
        for (id, payout) in payouts {
            let balances = expected.entry((payout.bank.clone(), payout.product.clone())).or_default();
            for movement in payout.movements() {
                match balances.after(movement, payout.amount_fen, Fen(u64::MAX)) {
                    Ok(after) => *balances = after,
                    Err(error) => self.violation(format!("the transfers of {id} do not add up: {error}")),
                }
            }
            if payout.status() == PayoutStatus::Reserved {
                self.violation(format!("the payout {id} is still reserved"));
            }
            if payout.status() == PayoutStatus::Posted && !self.met_another_loan.contains(&id.to_string()) {
                *loans.entry(payout.firm_code.to_string()).or_default() += 1;
            }
        }
        for (firm, count) in loans {
            if count > 1 {
                self.violation(format!("the firm {firm} has {count} loans"));
            }
        }
        let ledger = DynamoLedger::new(self.machine.aws.dynamodb.clone(), "payouts");
        for product in &self.machine.products {
            let key = (product.bank.clone(), product.id.clone());
            let Some(Ok(drawn)) = self.machine.ask(&self.tables, ledger.drawn(&key.0, &key.1)) else {
                self.violation(format!("what has been drawn on {} cannot be read", product.id));
                continue;
            };
            let wanted = expected.get(&key).copied().unwrap_or_default();
            if drawn != wanted.drawn() || wanted.sum() != 0 {
                self.violation(format!("{drawn} fen are drawn on {} where {wanted:?} are due", product.id));
            }
            if drawn > i128::from(product.limit_fen.0) {
                self.violation(format!("{drawn} fen are drawn on {}, more than its limit", product.id));
            }
        }
    }
}
