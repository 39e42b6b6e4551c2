//! Writes that stand in more than one transaction of the table `payouts`.

use crate::{
    item::{number, text},
    ledger_rows as rows,
};
use aws_sdk_dynamodb::{
    error::BuildError,
    types::{Delete, TransactWriteItem, Update},
};
use domain::{
    Fen,
    ledger::{Movement, Payout},
};

pub(crate) const OURS_OR_FREE: &str = "attribute_not_exists(pk) OR payout_id = :payout";

/// Moves an amount between two accounts of the payout's product. `floor` is the least that the paying account may hold
/// before.
pub(crate) fn move_money(
    table: &str,
    payout: &Payout,
    movement: Movement,
    amount: Fen,
    floor: Option<i128>,
) -> Result<TransactWriteItem, BuildError> {
    let (from, to) = movement.accounts();
    let amount = i128::from(amount.0);
    let update = Update::builder()
        .table_name(table)
        .key("pk", text(rows::accounts_key(&payout.bank, &payout.product)))
        .key("sk", text(rows::BALANCES))
        .update_expression("ADD #from :minus, #to :plus")
        .expression_attribute_names("#from", rows::balance(from))
        .expression_attribute_names("#to", rows::balance(to))
        .expression_attribute_values(":minus", number(-amount))
        .expression_attribute_values(":plus", number(amount));
    let update = match floor {
        None => update,
        // Accounts that nobody has moved yet hold nothing, which is above every floor but a positive one.
        Some(floor) => update
            .condition_expression(if floor <= 0 {
                "attribute_not_exists(#from) OR #from >= :floor"
            } else {
                "#from >= :floor"
            })
            .expression_attribute_values(":floor", number(floor)),
    };
    Ok(TransactWriteItem::builder().update(update.build()?).build())
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
