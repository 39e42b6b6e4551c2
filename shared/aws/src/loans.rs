//! Loans after their payout, in the table `payouts`.
//!
//! | `pk` | `sk` | |
//! |---|---|---|
//! | `loan#<payout id>` | `report#repayment#<bank reference>` | a repayment, written once |
//! | `loan#<payout id>` | `report#overdue#<message id>` | days overdue, written once |
//! | `loan#<payout id>` | `report#settlement#<bank reference>` | the settlement, written once |
//! | `loan#<payout id>` | `loan` | what the reports add up to, with the number of reports as its version |
//!
//! A report, the loan, the balance of the limit (`accounts#…`) and the firm's claim (`firm#…`, see [`crate::DynamoLedger`]) change in
//! one transaction or not at all. It hangs on the report's condition (*not there yet*) and on the loan's version.
//!
//! The first report of a loan also needs that the payout has not been resolved anew since it was read, and a reversal
//! of the payout needs that there is no loan. Both are conditions of transactions, so of a first report and a reversal
//! that meet exactly one happens.

use crate::{
    failure::port_error,
    item::{Item, Reader, Unreadable, number, text},
    ledger_rows::{LOAN, firm_key, keyed, loan_key, payout_key, resolution_key},
    ledger_writes::{CLAIM_TRIES, Wish, contested, give_back, give_up_claim},
    transaction::{self, NOT_THERE_YET, write_once},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    types::{AttributeValue, ConditionCheck, Put, TransactWriteItem},
};
use domain::{
    Fen, FirmCode, Label, PayoutId,
    ledger::Payout,
    loan::{Loan, Overdue, Report, ReportKey},
};
use ports::{
    PortError,
    loans::{KeptLoan, LoanReports, Loans, ReportRecorded},
};

const READING: &str = "reading a loan";
const FINDING: &str = "reading a report on a loan";
const RECORDING: &str = "recording a report on a loan";
const ASKING: &str = "asking whether a firm has a loan";

/// The loans of the table `payouts`.
#[derive(Clone, Debug)]
pub struct DynamoLoans {
    client: Client,
    table: String,
}

/// A part of a transaction; the report always comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Report,
    Loan,
    /// Nothing has been written of the payout since it was read.
    Payout,
    Balance,
    Claim,
}

/// Less has been drawn than what is repaid. Principal that is outstanding has been drawn, so somebody else wrote that.
#[derive(Debug, thiserror::Error)]
#[error("less has been drawn on the limit of {bank}/{product} than what is repaid on {id}")]
struct Inconsistent {
    id: PayoutId,
    bank: String,
    product: String,
}

impl DynamoLoans {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Report, loan and what changes with them.
    fn parts(
        &self,
        payout: &Payout,
        report: &Report,
        before: &KeptLoan,
        after: &Loan,
    ) -> Result<Vec<(Part, TransactWriteItem)>, BuildError> {
        let mut parts = vec![
            (Part::Report, write_once(&self.table, report_row(payout.id, report))?),
            (Part::Loan, self.write_loan(before, after)?),
        ];
        if before.version == 0 {
            parts.push((Part::Payout, self.not_resolved_anew(payout)?));
        }
        let principal = report.principal_fen();
        if principal > Fen::ZERO {
            parts.push((Part::Balance, give_back(&self.table, payout, principal)?));
        }
        if after.settled_at.is_some() {
            parts.push((Part::Claim, give_up_claim(&self.table, payout)?));
        }
        Ok(parts)
    }

    /// Writes the loan over the state that it was read in.
    fn write_loan(&self, before: &KeptLoan, after: &Loan) -> Result<TransactWriteItem, BuildError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(loan_row(after, before.version.saturating_add(1))));
        let put = match before.version {
            0 => put.condition_expression(NOT_THERE_YET),
            version => put
                .condition_expression("version = :before")
                .expression_attribute_values(":before", number(version)),
        };
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn not_resolved_anew(&self, payout: &Payout) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key("pk", text(payout_key(payout.id)))
            .key("sk", text(resolution_key(payout.resolved_times() + 1)))
            .condition_expression(NOT_THERE_YET)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Makes the transaction; tells whose conditions failed.
    async fn transact(
        &self,
        id: PayoutId,
        parts: &[(Part, TransactWriteItem)],
    ) -> Result<Option<Vec<Part>>, PortError> {
        let items = parts.iter().map(|(_, item)| item.clone()).collect();
        let failed = transaction::transact(&self.client, RECORDING, id, items).await?;
        Ok(failed.map(|failed| {
            let parts = parts.iter().enumerate().filter(|(place, _)| failed.at(*place));
            parts.map(|(_, (part, _))| *part).collect()
        }))
    }

    async fn row(
        &self,
        attempted: &'static str,
        pk: String,
        sk: String,
        consistent: bool,
    ) -> Result<Option<Item>, PortError> {
        let get = self.client.get_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk));
        let answer = get.consistent_read(consistent).send().await;
        Ok(answer.map_err(|error| port_error(attempted, &error))?.item)
    }
}

#[async_trait]
impl Loans for DynamoLoans {
    /// Calls `GetItem`, strongly consistent.
    async fn get(&self, id: PayoutId) -> Result<Option<KeptLoan>, PortError> {
        let found = self.row(READING, loan_key(id), LOAN.to_owned(), true).await?;
        found.map(|item| kept_loan(Reader { item: &item, attempted: READING })).transpose()
    }

    /// Calls `GetItem`, eventually consistent.
    async fn outstanding(&self, firm: &FirmCode) -> Result<Option<PayoutId>, PortError> {
        let found = self.row(ASKING, firm_key(firm), LOAN.to_owned(), false).await?;
        found.map(|item| Reader { item: &item, attempted: ASKING }.parsed("payout_id")).transpose()
    }
}

#[async_trait]
impl LoanReports for DynamoLoans {
    /// Calls `GetItem`, strongly consistent.
    async fn find(&self, id: PayoutId, key: &ReportKey) -> Result<Option<Report>, PortError> {
        let found = self.row(FINDING, loan_key(id), report_key(key), true).await?;
        found.map(|item| report(Reader { item: &item, attempted: FINDING })).transpose()
    }

    /// Calls `TransactWriteItems` (which needs `PutItem`, `UpdateItem`, `DeleteItem` and `ConditionCheckItem`), again
    /// when it met another transaction, and with `GetItem` before it when another loan waits behind the firm's claim or
    /// has it.
    async fn record(
        &self,
        payout: &Payout,
        report: &Report,
        before: &KeptLoan,
        after: &Loan,
    ) -> Result<ReportRecorded, PortError> {
        let mut parts =
            self.parts(payout, report, before, after).map_err(|error| PortError::broken(RECORDING, error))?;
        let uncontested = parts.iter().find(|(part, _)| *part == Part::Claim).cloned();
        let mut failed = self.transact(payout.id, &parts).await?;
        for _ in 0..CLAIM_TRIES {
            let is_contested = failed.as_deref() == Some(&[Part::Claim]);
            let Some((_, claim)) = uncontested.as_ref().filter(|_| is_contested) else { break };
            let given_up = (Wish::GiveUp, claim);
            let instead = contested(&self.client, &self.table, RECORDING, payout, given_up).await?;
            parts.retain(|(part, _)| *part != Part::Claim);
            parts.extend(instead.map(|item| (Part::Claim, item)));
            failed = self.transact(payout.id, &parts).await?;
        }
        match failed.as_deref() {
            None => Ok(ReportRecorded::Done),
            Some([Part::Balance]) => {
                let Payout { id, bank, product, .. } = payout.clone();
                Err(PortError::broken(RECORDING, Inconsistent { id, bank, product }))
            }
            Some(_) => Ok(ReportRecorded::Overtaken),
        }
    }
}

fn report_key(key: &ReportKey) -> String {
    format!("report#{key}")
}

fn put(row: &mut Item, name: &str, value: AttributeValue) {
    row.insert(name.to_owned(), value);
}

fn report_row(id: PayoutId, report: &Report) -> Item {
    let mut row = keyed(loan_key(id), report_key(&report.key()));
    put(&mut row, "at", text(report.at().to_string()));
    let kind = match report {
        Report::Repaid { bank_reference, principal_fen, interest_fen, .. } => {
            put(&mut row, "bank_reference", text(bank_reference.as_str()));
            put(&mut row, "principal_fen", number(principal_fen.0));
            put(&mut row, "interest_fen", number(interest_fen.0));
            "repaid"
        }
        Report::Overdue { message_id, days, overdue_fen, .. } => {
            put(&mut row, "message_id", text(message_id));
            put(&mut row, "days", number(days));
            put(&mut row, "overdue_fen", number(overdue_fen.0));
            "overdue"
        }
        Report::Settled { bank_reference, .. } => {
            put(&mut row, "bank_reference", text(bank_reference.as_str()));
            "settled"
        }
    };
    put(&mut row, "report", text(kind));
    row
}

fn report(reader: Reader<'_>) -> Result<Report, PortError> {
    let at = reader.parsed("at")?;
    Ok(match reader.text("report")? {
        "repaid" => Report::Repaid {
            bank_reference: label(reader)?,
            principal_fen: Fen(reader.integer("principal_fen")?),
            interest_fen: Fen(reader.integer("interest_fen")?),
            at,
        },
        "overdue" => Report::Overdue {
            message_id: reader.text("message_id")?.to_owned(),
            days: reader.integer("days")?,
            overdue_fen: Fen(reader.integer("overdue_fen")?),
            at,
        },
        "settled" => Report::Settled { bank_reference: label(reader)?, at },
        _ => return Err(reader.broken(Unreadable::Value("report"))),
    })
}

fn label(reader: Reader<'_>) -> Result<Label, PortError> {
    let text = reader.text("bank_reference")?.to_owned();
    Label::try_from(text).map_err(|_| reader.broken(Unreadable::Value("bank_reference")))
}

fn loan_row(loan: &Loan, version: u64) -> Item {
    let mut row = keyed(loan_key(loan.id), LOAN.to_owned());
    put(&mut row, "payout_id", text(loan.id.to_string()));
    put(&mut row, "version", number(version));
    put(&mut row, "principal_fen", number(loan.principal_fen.0));
    put(&mut row, "repaid_principal_fen", number(loan.repaid_principal_fen.0));
    put(&mut row, "repaid_interest_fen", number(loan.repaid_interest_fen.0));
    if let Some(overdue) = loan.overdue {
        put(&mut row, "overdue_days", number(overdue.days));
        put(&mut row, "overdue_fen", number(overdue.amount_fen.0));
        put(&mut row, "overdue_as_of", text(overdue.as_of.to_string()));
    }
    if let Some(at) = loan.settled_at {
        put(&mut row, "settled_at", text(at.to_string()));
    }
    row
}

fn kept_loan(reader: Reader<'_>) -> Result<KeptLoan, PortError> {
    let has = |name: &str| reader.item.contains_key(name);
    let overdue = |reader: Reader<'_>| -> Result<Overdue, PortError> {
        Ok(Overdue {
            days: reader.integer("overdue_days")?,
            amount_fen: Fen(reader.integer("overdue_fen")?),
            as_of: reader.parsed("overdue_as_of")?,
        })
    };
    let loan = Loan {
        id: reader.parsed("payout_id")?,
        principal_fen: Fen(reader.integer("principal_fen")?),
        repaid_principal_fen: Fen(reader.integer("repaid_principal_fen")?),
        repaid_interest_fen: Fen(reader.integer("repaid_interest_fen")?),
        overdue: has("overdue_as_of").then(|| overdue(reader)).transpose()?,
        settled_at: has("settled_at").then(|| reader.parsed("settled_at")).transpose()?,
    };
    Ok(KeptLoan { loan, version: reader.integer("version")? })
}
