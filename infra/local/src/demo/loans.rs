//! The end of the demo: what was paid out is repaid and settled, one loan after having been overdue, so that the firms
//! may borrow again in the next run. The simulated banks report; the borrowers see it.

use super::Place;
use crate::borrower::{Borrower, BorrowerError, Pace};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// What the one loan that goes overdue is overdue with, in fen, and for how long.
const OVERDUE_FEN: u64 = 900_000;
const OVERDUE_DAYS: u64 = 3;
/// What every borrower pays for the loan, in fen.
const INTEREST_FEN: u64 = 50_000;

/// A loan that was paid out.
pub(super) struct PaidOut {
    pub name: &'static str,
    pub borrower: Borrower,
    /// The borrower's own answer, which names the product.
    pub answer: Value,
}

/// A loan as its borrower sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    outstanding_fen: u64,
    overdue_days: u64,
    settled: bool,
}

/// What a bank reported and what the borrower saw then.
struct Row {
    name: &'static str,
    reported: &'static str,
    seen: Result<Seen, BorrowerError>,
    expected: Seen,
}

impl Row {
    fn as_expected(&self) -> bool {
        self.seen.as_ref().is_ok_and(|seen| *seen == self.expected)
    }
}

/// Lets the simulated banks report all loans to their end. Gives the table, and whether every borrower saw what was
/// reported. Loans of real banks are left to them.
pub(super) async fn play(client: &Client, place: &Place, loans: Vec<PaidOut>) -> (Table, bool) {
    let mut running = JoinSet::new();
    for (number, loan) in loans.into_iter().enumerate() {
        let product = loan.answer["product"].as_str().unwrap_or_default();
        let Some(bank) = place.banks.get(product).cloned() else { continue };
        let (client, pace) = (client.clone(), place.pace);
        running.spawn(async move { (number, to_its_end(&client, &bank, &loan, number == 0, pace).await) });
    }
    let mut rows = BTreeMap::new();
    let mut all_right = true;
    while let Some(done) = running.join_next().await {
        match done {
            Ok((number, seen)) => drop(rows.insert(number, seen)),
            Err(_) => all_right = false,
        }
    }
    let rows: Vec<Row> = rows.into_values().flatten().collect();
    all_right &= rows.iter().all(Row::as_expected);
    (table(&rows), all_right)
}

/// Has one loan repaid and settled; with days overdue before, if that is wanted.
async fn to_its_end(client: &Client, bank: &str, loan: &PaidOut, goes_overdue: bool, pace: Pace) -> Vec<Row> {
    let principal = loan.answer["loan"]["outstanding_principal_fen"].as_u64().unwrap_or_default();
    let seen = |outstanding_fen, overdue_days, settled| Seen { outstanding_fen, overdue_days, settled };
    let overdue = (
        "overdue",
        json!({ "report": "overdue", "days": OVERDUE_DAYS, "overdue_fen": OVERDUE_FEN }),
        seen(principal, OVERDUE_DAYS, false),
    );
    let repaid = (
        "repaid",
        json!({ "report": "repaid", "principal_fen": principal, "interest_fen": INTEREST_FEN }),
        seen(0, 0, false),
    );
    let settled = ("settled", json!({ "report": "settled" }), seen(0, 0, true));
    let mut rows = Vec::new();
    for (reported, report, expected) in goes_overdue.then_some(overdue).into_iter().chain([repaid, settled]) {
        let seen = report_and_see(client, bank, loan, &report, expected, pace).await;
        rows.push(Row { name: loan.name, reported, seen, expected });
    }
    // Of a loan with nothing special the end tells everything.
    if !goes_overdue && rows.iter().all(Row::as_expected) { rows.split_off(1) } else { rows }
}

/// Lets the bank report, and reads as the borrower until the report shows. Gives what the borrower sees in the end.
async fn report_and_see(
    client: &Client,
    bank: &str,
    loan: &PaidOut,
    report: &Value,
    expected: Seen,
    pace: Pace,
) -> Result<Seen, BorrowerError> {
    let id = loan.answer["application_id"].as_str().unwrap_or_default();
    let control = client.post(format!("{bank}/loans/{id}/reports")).json(report);
    control.send().await?.error_for_status()?;
    let mut seen = read(&loan.borrower, id).await?;
    let reading = async {
        while seen != expected {
            tokio::time::sleep(pace.look_every).await;
            seen = read(&loan.borrower, id).await?;
        }
        Ok(())
    };
    match tokio::time::timeout(pace.patience, reading).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(seen),
    }
}

async fn read(borrower: &Borrower, id: &str) -> Result<Seen, BorrowerError> {
    let answer = borrower.read(id).await?;
    let loan = &answer["loan"];
    Ok(Seen {
        outstanding_fen: loan["outstanding_principal_fen"].as_u64().unwrap_or_default(),
        overdue_days: loan["overdue_days"].as_u64().unwrap_or_default(),
        settled: loan["settled"].as_bool().unwrap_or_default(),
    })
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["loan", "bank reports", "outstanding CNY", "overdue days", "settled", "as expected"]);
    for row in rows {
        let verdict = if row.as_expected() { "yes" } else { "NO" };
        match &row.seen {
            Ok(seen) => table.add_row([
                row.name.to_owned(),
                row.reported.to_owned(),
                (seen.outstanding_fen / 100).to_string(),
                seen.overdue_days.to_string(),
                if seen.settled { "yes" } else { "no" }.to_owned(),
                verdict.to_owned(),
            ]),
            Err(error) => table.add_row([row.name, row.reported, &error.to_string(), "", "", verdict]),
        };
    }
    table
}
