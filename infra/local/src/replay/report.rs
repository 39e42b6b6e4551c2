//! What a replay prints: the sample, what the decisions were worth, the time that they took, and what was kept out.

use super::{
    ReplayArgs,
    figures::{Group, Scored},
    file::Found,
    loan::Outcome,
    offering::{Band, Offered},
    sending::{Ended, SendError},
};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use domain::{decision::Decision, journey::Status};
use drift::Interval;
use hdrhistogram::Histogram;
use jiff::SignedDuration;
use std::{collections::BTreeMap, io::Write, time::Duration};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Most errors that are shown; the others are counted.
const MOST_SHOWN: usize = 3;

/// Applications and what became of the loans in truth, in one order.
pub(super) struct Replayed<'a> {
    pub offered: &'a Offered,
    pub ended: &'a [Result<Ended, SendError>],
    pub outcomes: &'a [Outcome],
    /// From the first sign-in to the last end.
    pub elapsed: Duration,
}

/// One application that was decided, beside the truth.
struct Decided {
    row: Scored,
    points: i32,
    is_approved: bool,
}

/// What the file held and which part of it is sent.
pub(super) fn head(found: &Found, args: &ReplayArgs, out: &mut impl Write) -> std::io::Result<()> {
    let (first, last) = (args.years.start(), args.years.end());
    writeln!(
        out,
        "{} lines; {} loans of the fiscal years {first} to {last} with an outcome, {} without, {} bad lines skipped.",
        found.lines, found.in_years, found.without_outcome, found.bad
    )?;
    for line in &found.named {
        writeln!(out, "  {line}")?;
    }
    writeln!(
        out,
        "{} of them apply, in the order of approval: a fixed sample, the same in every run.\n",
        found.loans.len()
    )
}

/// Prints everything; the number of applications that did not come to an end.
pub(super) fn print(
    replayed: &Replayed<'_>,
    args: &ReplayArgs,
    out: &mut impl Write,
) -> Result<usize, AnyError> {
    let unfinished = print_ends(replayed, out)?;
    let decided = decided(replayed);
    let rows: Vec<Scored> = decided.iter().map(|d| d.row).collect();
    if rows.is_empty() {
        writeln!(out, "No application was decided.")?;
        return Ok(unfinished);
    }
    writeln!(out, "{}\n", decisions(&decided))?;
    let scored: Vec<(f64, bool)> = rows.iter().map(|row| (row.chance, row.defaulted)).collect();
    let told = drift::discrimination(&scored);
    let (auc, ks) = (interval(told.map(|t| t.auc)), interval(told.map(|t| t.ks)));
    writeln!(
        out,
        "AUC {auc} after DeLong, KS {ks} after Dvoretzky, Kiefer and Wolfowitz (95 % intervals)\n"
    )?;
    writeln!(out, "{}\n", bands(&decided, replayed.offered))?;
    print_times(replayed, args, out)?;
    footer(replayed.offered, out)?;
    Ok(unfinished)
}

/// How many came to which end; the number of those that came to none.
fn print_ends(replayed: &Replayed<'_>, out: &mut impl Write) -> std::io::Result<usize> {
    let mut ends = BTreeMap::<String, usize>::new();
    let mut errors = Vec::new();
    for ended in replayed.ended {
        match ended {
            Ok(ended) if ended.status.is_end() => *ends.entry(end(ended)).or_default() += 1,
            Ok(ended) => errors.push(format!("rests at {}", ended.status)),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let ends: Vec<String> = ends.into_iter().map(|(end, count)| format!("{count} {end}")).collect();
    writeln!(out, "Ends: {}.", ends.join(", "))?;
    for error in errors.iter().take(MOST_SHOWN) {
        writeln!(out, "  without an end: {error}")?;
    }
    if errors.len() > MOST_SHOWN {
        writeln!(out, "  … and {} more", errors.len() - MOST_SHOWN)?;
    }
    Ok(errors.len())
}

/// The status, and with a decline its first reason.
fn end(ended: &Ended) -> String {
    let status = ended.status.to_string().replace('_', " ");
    match &ended.decision {
        Some(Decision::Declined { reasons }) if ended.status == Status::Declined => {
            let reason = reasons.first().map_or("", |reason| reason.code());
            format!("{status} ({reason})")
        }
        _ => status,
    }
}

fn decided(replayed: &Replayed<'_>) -> Vec<Decided> {
    let pairs = replayed.ended.iter().zip(replayed.outcomes);
    let decided = pairs.filter_map(|(ended, outcome)| {
        let ended = ended.as_ref().ok()?;
        let (score, decision) = (ended.score.as_ref()?, ended.decision.as_ref()?);
        Some(Decided {
            row: Scored { chance: score.default_probability, defaulted: *outcome == Outcome::ChargedOff },
            points: score.points,
            is_approved: matches!(decision, Decision::Approved { .. }),
        })
    });
    decided.collect()
}

fn decisions(decided: &[Decided]) -> Table {
    let all = Group::of(decided.iter().map(|d| &d.row));
    let of = |approved| Group::of(decided.iter().filter(|d| d.is_approved == approved).map(|d| &d.row));
    let mut table = table(["", "applications", "share", "charged off", "default rate", "expected"]);
    for (name, group) in [("approved", of(true)), ("declined", of(false)), ("all", all)] {
        table.add_row([
            name.to_owned(),
            group.rows.to_string(),
            percent(Some(group.rows as f64 / all.rows as f64)),
            group.defaulted.to_string(),
            percent(group.default_rate()),
            percent(group.expected_rate()),
        ]);
    }
    table
}

fn bands(decided: &[Decided], offered: &Offered) -> Table {
    let all = Group::of(decided.iter().map(|d| &d.row));
    let mut table = table([
        "band",
        "points",
        "applications",
        "share",
        "default rate",
        "expected",
        "lift",
        "charge-offs so far",
    ]);
    let mut so_far = 0;
    // The worst band first: what lending without it would have spared.
    for (place, band) in offered.bands.iter().enumerate().rev() {
        let of = decided.iter().filter(|d| offered.band_of(d.points) == place);
        let group = Group::of(of.map(|d| &d.row));
        so_far += group.defaulted;
        let verdict = if band.is_accepted { "" } else { ", declined" };
        table.add_row([
            format!("{}{verdict}", band.name),
            points(band, place.checked_sub(1).map(|better| &offered.bands[better])),
            group.rows.to_string(),
            percent(Some(group.rows as f64 / all.rows as f64)),
            percent(group.default_rate()),
            percent(group.expected_rate()),
            group.lift(&all).map_or("–".to_owned(), |lift| format!("{lift:.2}")),
            percent((all.defaulted > 0).then(|| so_far as f64 / all.defaulted as f64)),
        ]);
    }
    table
}

fn points(band: &Band, better: Option<&Band>) -> String {
    match (band.lowest, better.and_then(|better| better.lowest)) {
        (Some(lowest), Some(above)) => format!("{lowest} to {}", above - 1),
        (Some(lowest), None) => format!("{lowest} and more"),
        (None, Some(above)) => format!("below {above}"),
        (None, None) => "any".to_owned(),
    }
}

fn print_times(replayed: &Replayed<'_>, args: &ReplayArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let mut to_decision = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    let mut to_end = to_decision.clone();
    for ended in replayed.ended.iter().flatten() {
        let micros = |time: SignedDuration| u64::try_from(time.as_micros()).unwrap_or_default();
        if let Some(time) = ended.to_decision {
            to_decision.saturating_record(micros(time));
        }
        to_end.saturating_record(micros(ended.to_end));
    }
    let show = |times: &Histogram<u64>| {
        let ms = |q: f64| times.value_at_quantile(q) as f64 / 1_000.0;
        format!("{:.0} / {:.0} ms", ms(0.5), ms(0.99))
    };
    let rate = replayed.ended.len() as f64 / replayed.elapsed.as_secs_f64();
    writeln!(
        out,
        "{rate:.1} applications a second with {} borrowers at once, sign-in and payout included.\n\
         Received → decided p50 / p99 {}; received → end {}. Counterparties answer at once.\n",
        args.borrowers,
        show(&to_decision),
        show(&to_end)
    )?;
    Ok(())
}

fn footer(offered: &Offered, out: &mut impl Write) -> std::io::Result<()> {
    let (up_to, product) = (offered.trained_up_to, &offered.product);
    writeln!(
        out,
        "Model {} was trained on loans up to fiscal year {up_to}; strategy {}. Expected is what the model says, at\n\
         the level of those years. Amounts are US cents where the product says fen.\n\
         \n\
         An application knows what was known on the day of approval. Kept out, because it tells the outcome: the term\n\
         (a loan that is charged off keeps the month in which it was: 58.6 % of the terms that do not divide by twelve\n\
         were, 2.5 % of the others), so every application asks for {} months; what was disbursed and when, the\n\
         balance, the date and amount of a charge-off, and the approval year. The outcome meets the score in these tables\n\
         only. Every loan of the file was made in truth, so the default rate of what is declined here is known; what\n\
         lenders turned away then is not in the file. Persons, phones, cards and devices are made up, one for each loan.\n\
         \n\
         Two things flatter the figures, and models/reports/real_loans.md measures them: the model knows the final\n\
         outcomes of its training loans, most of which came after {up_to}; and loans that are guaranteed in full are never\n\
         charged off in this file.",
        product.model,
        product.strategy,
        product.terms_months.first().copied().unwrap_or_default()
    )
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn interval(interval: Option<Interval>) -> String {
    interval.map_or("–".to_owned(), |f| format!("{:.3} ({:.3} to {:.3})", f.value, f.low, f.high))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
