//! Writes that stand in more than one transaction of the table `payouts`.

use crate::{
    failure::port_error,
    item::{Reader, number, text},
    ledger_rows as rows,
};
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    types::{AttributeValue, Delete, TransactWriteItem, Update, builders::UpdateBuilder},
};
use domain::{Fen, ledger::Payout};
use ports::PortError;

/// The firm is claimed for nobody, or for this payout and no other loan waits behind it.
pub(crate) const OURS_OR_FREE: &str =
    "attribute_not_exists(pk) OR (payout_id = :payout AND attribute_not_exists(late))";
/// How often a claim that was met by another one is looked at again.
pub(crate) const CLAIM_TRIES: usize = 4;

/// Draws the amount on the limit of the payout's product. `ceiling` is the bank's limit, where the drawing has to respect it.
pub(crate) fn draw(
    table: &str,
    payout: &Payout,
    ceiling: Option<Fen>,
) -> Result<TransactWriteItem, BuildError> {
    let amount = i128::from(payout.amount_fen.0);
    let update = move_limit(table, payout, -amount);
    let Some(ceiling) = ceiling else { return built(update) };
    let least = amount - i128::from(ceiling.0);
    // A limit on which nobody has drawn yet stands at zero.
    let untouched = if least <= 0 { "attribute_not_exists(#limit) OR " } else { "" };
    built(
        update
            .condition_expression(format!("{untouched}#limit >= :least"))
            .expression_attribute_values(":least", number(least)),
    )
}

/// Gives an amount back to the limit of the payout's product. It must have been drawn.
pub(crate) fn give_back(table: &str, payout: &Payout, amount: Fen) -> Result<TransactWriteItem, BuildError> {
    let amount = i128::from(amount.0);
    built(
        move_limit(table, payout, amount)
            .condition_expression("#limit <= :most")
            .expression_attribute_values(":most", number(-amount)),
    )
}

fn move_limit(table: &str, payout: &Payout, change: i128) -> UpdateBuilder {
    Update::builder()
        .table_name(table)
        .key("pk", text(rows::accounts_key(&payout.bank, &payout.product)))
        .key("sk", text(rows::BALANCES))
        .update_expression("ADD #limit :change")
        .expression_attribute_names("#limit", rows::LIMIT)
        .expression_attribute_values(":change", number(change))
}

fn built(update: UpdateBuilder) -> Result<TransactWriteItem, BuildError> {
    Ok(TransactWriteItem::builder().update(update.build()?).build())
}

/// What a loan wants of its firm's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Claim,
    GiveUp,
}

/// What is to be done with a firm's claim once a condition on it has failed, as it stands now; `None` for nothing.
/// `uncontested` is the part for a firm that nobody else wants.
///
/// A loan that was paid late, after it had given the firm up, may find it claimed for another one. Then both are
/// outstanding: it waits behind the other (`late`) and takes the claim over when that one is settled or void.
pub(crate) async fn contested(
    client: &Client,
    table: &str,
    attempted: &'static str,
    payout: &Payout,
    (wish, uncontested): (Wish, &TransactWriteItem),
) -> Result<Option<TransactWriteItem>, PortError> {
    let key = rows::keyed(rows::firm_key(&payout.firm_code), rows::LOAN.to_owned());
    let get = client.get_item().table_name(table).consistent_read(true).set_key(Some(key.clone()));
    let answer = get.send().await.map_err(|error| port_error(attempted, &error))?;
    let Some(item) = answer.item else { return Ok((wish == Wish::Claim).then(|| uncontested.clone())) };
    let holder: String = Reader { item: &item, attempted }.text("payout_id")?.to_owned();
    let late = item.get("late").and_then(|late| late.as_ss().ok()).cloned().unwrap_or_default();
    let ours = payout.id.to_string();
    let (waits, next) = (late.contains(&ours), late.into_iter().min());
    let update = Update::builder().table_name(table).set_key(Some(key));
    let update = match (wish, holder == ours, next) {
        (Wish::Claim, true, _) => return Ok(None),
        (Wish::Claim, false, _) => moving(update, "ADD late :moved", ours),
        (Wish::GiveUp, true, None) => return Ok(Some(uncontested.clone())),
        (Wish::GiveUp, true, Some(next)) => {
            moving(update, "SET payout_id = :next DELETE late :moved", next.clone())
                .expression_attribute_values(":next", text(next))
                .condition_expression("payout_id = :holder AND contains(late, :next)")
        }
        (Wish::GiveUp, false, _) if waits => moving(update, "DELETE late :moved", ours),
        (Wish::GiveUp, false, _) => return Ok(None),
    };
    let update = update.expression_attribute_values(":holder", text(holder)).build();
    let update = update.map_err(|error| PortError::broken(attempted, error))?;
    Ok(Some(TransactWriteItem::builder().update(update).build()))
}

/// Moves a payout into or out of those that wait, as long as the claim has the holder that was read.
fn moving(update: UpdateBuilder, expression: &str, payout: String) -> UpdateBuilder {
    update
        .update_expression(expression)
        .condition_expression("payout_id = :holder")
        .expression_attribute_values(":moved", AttributeValue::Ss(vec![payout]))
}

/// Gives up the claim on the payout's firm, unless the firm is claimed for another loan.
pub(crate) fn give_up_claim(table: &str, payout: &Payout) -> Result<TransactWriteItem, BuildError> {
    let delete = Delete::builder()
        .table_name(table)
        .key("pk", text(rows::firm_key(&payout.firm_code)))
        .key("sk", text(rows::LOAN))
        .condition_expression(OURS_OR_FREE)
        .expression_attribute_values(":payout", text(payout.id.to_string()))
        .build()?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}
