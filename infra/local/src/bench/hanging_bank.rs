//! What one bank costs the others when it takes connections and never answers.

use super::{AnyError, Game, QUICK, play, sound_owners};
use crate::{
    counterparties::CounterpartyOptions,
    lending::{Lending, LendingOptions},
};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use jiff::civil::Date;
use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, atomic::AtomicU32},
};
use tokio::net::TcpListener;

/// Where borrowers of the bank that hangs are left.
const REQUESTED: [&str; 4] = ["payout_requested", "paid_out", "payout_failed", "declined"];
const BORROWERS: u32 = 8;

/// Measures one bank alone, and then beside as many applications to another that hangs: before we have noticed, and
/// after.
pub(super) async fn measure(today: Date, most: u32, out: &mut impl Write) -> Result<(), AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let hanging = format!("http://{}", listener.local_addr()?);
    let held = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    let counterparties = CounterpartyOptions {
        delay: Some(sim::Delay::NONE),
        banks: BTreeMap::from([("lake-bank".to_owned(), hanging)]),
        ..CounterpartyOptions::default()
    };
    let lending = Arc::new(Lending::start(LendingOptions { counterparties, ..Default::default() }).await?);
    let owners = &Arc::new(sound_owners(&lending, today).await?);
    let serial = Arc::new(AtomicU32::new(1));
    let each = most.min(u32::try_from(owners.len().saturating_sub(8) / 5).unwrap_or(u32::MAX));
    let waiting = Game { product: "lake-steady", until: &REQUESTED };
    play(&lending, owners, &serial, BORROWERS, BORROWERS, QUICK).await?;
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["the other bank", "decision → bank", "paid out"]);
    let alone = play(&lending, owners, &serial, BORROWERS, each, QUICK).await?;
    table.add_row(["has nothing to do".to_owned(), alone.decision_to_bank(), alone.paid_out_of()]);
    for when in ["begins to hang", "has been hanging"] {
        let hung = tokio::spawn({
            let (lending, owners, serial) = (lending.clone(), owners.clone(), serial.clone());
            async move { play(&lending, &owners, &serial, BORROWERS, each, waiting).await.map(drop) }
        });
        let beside = play(&lending, owners, &serial, BORROWERS, each, QUICK).await?;
        hung.await??;
        table.add_row([when.to_owned(), beside.decision_to_bank(), beside.paid_out_of()]);
    }
    writeln!(
        out,
        "{each} applications to one bank beside as many to another that hangs, {BORROWERS} borrowers each;\nmilliseconds, p50 / p99:\n{table}\n"
    )?;
    if let Ok(lending) = Arc::try_unwrap(lending).map_err(|_| "the product is still in use") {
        lending.stop().await;
    }
    held.abort();
    Ok(())
}
