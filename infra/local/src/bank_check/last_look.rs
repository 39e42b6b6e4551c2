//! What can be judged only when nothing more is on its way.

use super::{Check, CheckError, Rule, TestPayout, receiver::Way};
use std::collections::BTreeSet;

impl Check {
    /// Listens for a while, asks about every payout once more, and judges what was left open.
    pub(super) async fn last_look(&mut self) -> Result<(), CheckError> {
        tokio::time::sleep(self.options.quiet).await;
        for (rule, payout) in std::mem::take(&mut self.open.repeated) {
            self.paid_once(rule, &payout).await?;
        }
        if let Some(payout) = self.open.changed.take() {
            self.unchanged(&payout).await?;
        }
        for (rule, payout) in std::mem::take(&mut self.open.spoiled) {
            let told = self.ask(&payout).await?;
            if told.is_known() || self.receiver.count(payout.id) > 0 {
                self.judge(rule, false, format!("the payout is {} at the end", told.shown()));
            }
        }
        self.taken_once();
        self.signed();
        if self.open.moved.is_some() {
            let followed =
                self.receiver.all().iter().filter(|received| received.way == Way::Elsewhere).count();
            self.judge(Rule::C6, followed == 0, format!("{followed} callbacks at the other address"));
        }
        Ok(())
    }

    /// I1, I2, I4, T2: one payout, one bank reference.
    async fn paid_once(&mut self, rule: Rule, payout: &TestPayout) -> Result<(), CheckError> {
        let told = self.ask(payout).await?;
        let references = self.references(payout.id);
        let amounts: BTreeSet<u64> = told.amount_fen.into_iter().chain([payout.amount_fen]).collect();
        match references.len() {
            0 => self.not_tested(rule, format!("{}, and no bank reference was seen", told.shown())),
            count => {
                let seen = match amounts.len() {
                    1 => format!(
                        "{}, {count} bank reference{}",
                        told.shown(),
                        if count == 1 { "" } else { "s" }
                    ),
                    _ => format!("{}, with another amount", told.shown()),
                };
                self.judge(rule, count == 1 && amounts.len() == 1, seen);
            }
        }
        Ok(())
    }

    /// I3: the instruction with another amount was answered already; here it must have changed nothing.
    async fn unchanged(&mut self, payout: &TestPayout) -> Result<(), CheckError> {
        let told = self.ask(payout).await?;
        let amount_changed = told.amount_fen.is_some_and(|amount| amount != payout.amount_fen);
        let references = self.references(payout.id).len();
        let called_back_other = self.receiver.received(payout.id).iter().any(|received| {
            received.form.as_ref().is_ok_and(|said| said.amount_fen.0 == payout.amount_fen + 1)
        });
        if amount_changed || called_back_other || references > 1 {
            self.judge(Rule::I3, false, "the second instruction changed the payout");
        }
        Ok(())
    }

    /// C5: what was answered 200 does not come again.
    fn taken_once(&mut self) {
        let Some(first) = &self.open.first else { return };
        let received = self.receiver.received(first.id);
        if !received.iter().any(|received| received.answered == 200) {
            return self.not_tested(Rule::C5, "no callback could be answered 200");
        }
        let seen = match received.len() {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        self.judge(Rule::C5, received.len() == 1, seen);
    }

    /// C2: over every callback of the check.
    fn signed(&mut self) {
        let all = self.receiver.all();
        let forged = all.iter().find_map(|received| received.genuine.err());
        match (all.len(), forged) {
            (0, _) => self.not_tested(Rule::C2, "no callback came"),
            (count, None) => self.judge(Rule::C2, true, format!("all of {count} callbacks")),
            (_, Some(error)) => self.judge(Rule::C2, false, error.to_string()),
        }
    }
}
