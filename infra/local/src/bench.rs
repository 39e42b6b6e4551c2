//! Measures the product on this machine: how long the steps take, how many applications a second, what is called and
//! what that would cost. Counterparties answer at once, so that what is left is ours.

pub mod cold_start;
mod hanging_bank;
pub mod memory;
pub mod models;
pub mod rings;
mod webhooks;

use crate::{
    borrower::{Borrower, BorrowerError, ENDS, Wish},
    counterparties::CounterpartyOptions,
    engines::CallCount,
    lending::{Lending, LendingOptions},
    load,
    people::{self, Owner},
    prices,
};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use domain::FirmCode;
use hdrhistogram::Histogram;
use jiff::{Timestamp, civil::Date};
use ports::Clock as _;
use reqwest::Client;
use serde_json::Value;
use sim::bank::{PayoutState, Report};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Borrowers at once.
const BORROWERS: [u32; 3] = [1, 8, 64];
const PATIENCE: Duration = Duration::from_secs(60);

/// What borrowers apply for, and how far they follow it.
#[derive(Clone, Copy)]
struct Game {
    product: &'static str,
    until: &'static [&'static str],
}

const QUICK: Game = Game { product: "river-quick", until: &ENDS };

/// Runs all measurements and prints their tables.
pub async fn run(applications: u32, out: &mut impl Write) -> Result<(), AnyError> {
    let counterparties = CounterpartyOptions { delay: Some(sim::Delay::NONE), ..Default::default() };
    let lending = Arc::new(Lending::start(LendingOptions { counterparties, ..Default::default() }).await?);
    let today = domain::calendar::day_in_china(ports::SystemClock.now());
    let good = Arc::new(sound_owners(&lending, today).await?);
    let serial = Arc::new(AtomicU32::new(1));
    // A firm has one loan at a time, and gives it back between the measurements only.
    let applications = applications.min(u32::try_from(good.len()).unwrap_or(u32::MAX));
    writeln!(out, "{applications} applications at each number of borrowers; 8 warm up.\n")?;
    let mut given_back = HashSet::new();
    play(&lending, &good, &serial, 8, 8, QUICK).await?;
    give_back(&lending, &mut given_back).await?;

    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "borrowers",
        "applications/s",
        "callback → decision",
        "decision → bank",
        "callback → bank",
        "received → paid out",
        "paid out",
    ]);
    let mut calls = BTreeMap::new();
    for borrowers in BORROWERS {
        lending.engines.reset_calls();
        let played = play(&lending, &good, &serial, borrowers, applications, QUICK).await?;
        if borrowers == 8 {
            calls = lending.engines.calls();
        }
        table.add_row(played.row(borrowers)?);
        give_back(&lending, &mut given_back).await?;
    }
    writeln!(out, "Milliseconds, p50 / p99:\n{table}\n")?;
    score_speed(&good, today, out)?;
    print_calls(&calls, applications, out)?;
    webhooks::measure(out).await?;
    hanging_bank::measure(today, applications, out).await?;
    if let Ok(lending) = Arc::try_unwrap(lending).map_err(|_| "the product is still in use") {
        lending.stop().await;
    }
    Ok(())
}

/// Stores the firms of the city, and gives the owners of 400 sound ones.
async fn sound_owners(lending: &Lending, today: Date) -> Result<Vec<Owner>, AnyError> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/city"));
    let key = signing::keys::decode_base64(&lending.keys.hash_key)?;
    let loaded = load::load(folder, &signing::KeyedHasher::new(&key)?, today)?;
    lending.store(&loaded).await?;
    let owners = people::owners(folder, &loaded, today)?;
    let sound = owners
        .into_iter()
        .filter(|o| !o.firm.is_banned() && o.age_days > 730 && o.supported_fen >= 30_000_000);
    Ok(sound.take(400).collect())
}

/// Lets the banks report every loan as repaid and settled that is not among those `given_back` before, so that its firm
/// may borrow again.
async fn give_back(lending: &Lending, given_back: &mut HashSet<String>) -> Result<(), AnyError> {
    for bank in lending.counterparties.banks.values() {
        let mut paid = bank.book();
        paid.retain(|entry| entry.state == PayoutState::Paid && given_back.insert(entry.payout_id.clone()));
        for entry in &paid {
            let principal_fen = entry.amount_fen;
            bank.report(&entry.payout_id, Report::Repaid { principal_fen, interest_fen: 0 })?;
        }
        bank.idle().await;
        for entry in &paid {
            bank.report(&entry.payout_id, Report::Settled)?;
        }
        bank.idle().await;
    }
    Ok(())
}

/// The times of many applications, in microseconds.
struct Played {
    elapsed: Duration,
    applications: u32,
    paid_out: u32,
    callback_to_decision: Histogram<u64>,
    decision_to_bank: Histogram<u64>,
    callback_to_bank: Histogram<u64>,
    whole: Histogram<u64>,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
async fn play(
    lending: &Arc<Lending>,
    owners: &Arc<Vec<Owner>>,
    serial: &Arc<AtomicU32>,
    borrowers: u32,
    applications: u32,
    game: Game,
) -> Result<Played, AnyError> {
    let left = Arc::new(AtomicU32::new(applications));
    let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..borrowers {
        let (lending, owners, serial, left) = (lending.clone(), owners.clone(), serial.clone(), left.clone());
        let client = client.clone();
        running.spawn(async move {
            let mut done = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let serial = serial.fetch_add(1, Ordering::Relaxed);
                let owner = &owners[serial as usize % owners.len()];
                done.push(one(&client, &lending, owner, serial, game).await?);
            }
            Ok::<_, BorrowerError>(done)
        });
    }
    let mut explanations = Vec::new();
    while let Some(done) = running.join_next().await {
        explanations.extend(done??);
    }
    let elapsed = started.elapsed();
    let at_bank: HashMap<String, Timestamp> = lending
        .counterparties
        .banks
        .values()
        .flat_map(|bank| bank.book())
        .map(|entry| (entry.application_id, entry.at))
        .collect();
    tally(&explanations, &at_bank, elapsed)
}

async fn one(
    client: &Client,
    lending: &Lending,
    owner: &Owner,
    serial: u32,
    game: Game,
) -> Result<Value, BorrowerError> {
    let url = lending.url();
    let wish = Wish {
        product: game.product,
        amount_fen: 10_000_000,
        term_months: 12,
        face_recognition: true,
        accept_up_to_bp: Some(1_500),
    };
    let applicant = owner.applicant(serial, 1000);
    let borrower = Borrower::sign_in(client, &url, &lending.counterparties.channel_url, applicant).await?;
    let id = borrower.apply(&wish, &format!("bench-{serial}")).await?;
    borrower.wait_for(&id, game.until, PATIENCE).await?;
    borrower.explain(&id).await
}

fn tally(
    explanations: &[Value],
    at_bank: &HashMap<String, Timestamp>,
    elapsed: Duration,
) -> Result<Played, AnyError> {
    let histogram = || Histogram::<u64>::new_with_bounds(1, 120_000_000, 3);
    let mut played = Played {
        elapsed,
        applications: explanations.len() as u32,
        paid_out: 0,
        callback_to_decision: histogram()?,
        decision_to_bank: histogram()?,
        callback_to_bank: histogram()?,
        whole: histogram()?,
    };
    for explanation in explanations {
        let at = |names: &[&str]| -> Option<Timestamp> {
            let steps = explanation["timeline"].as_array()?;
            let step =
                steps.iter().rev().find(|s| names.contains(&s["event"].as_str().unwrap_or_default()))?;
            step["at"].as_str()?.parse().ok()
        };
        if explanation["status"] == "paid_out" {
            played.paid_out += 1;
        }
        let callback = at(&["face_checked", "phone_checked"]);
        let bank = explanation["application_id"].as_str().and_then(|id| at_bank.get(id)).copied();
        record(&mut played.callback_to_decision, callback, at(&["decided"]));
        record(&mut played.decision_to_bank, at(&["decided"]), bank);
        record(&mut played.callback_to_bank, callback, bank);
        record(&mut played.whole, at(&["received"]), at(&["paid_out"]));
    }
    Ok(played)
}

fn record(histogram: &mut Histogram<u64>, from: Option<Timestamp>, to: Option<Timestamp>) {
    if let (Some(from), Some(to)) = (from, to) {
        let micros = u64::try_from(to.duration_since(from).as_micros()).unwrap_or(0);
        histogram.saturating_record(micros);
    }
}

/// p50 and p99 in milliseconds.
fn show(histogram: &Histogram<u64>) -> String {
    let ms = |q: f64| histogram.value_at_quantile(q) as f64 / 1_000.0;
    format!("{:.1} / {:.1}", ms(0.5), ms(0.99))
}

impl Played {
    fn decision_to_bank(&self) -> String {
        show(&self.decision_to_bank)
    }

    fn paid_out_of(&self) -> String {
        format!("{} of {}", self.paid_out, self.applications)
    }

    fn row(&self, borrowers: u32) -> Result<Vec<String>, AnyError> {
        Ok(vec![
            borrowers.to_string(),
            format!("{:.1}", f64::from(self.applications) / self.elapsed.as_secs_f64()),
            show(&self.callback_to_decision),
            show(&self.decision_to_bank),
            show(&self.callback_to_bank),
            show(&self.whole),
            self.paid_out_of(),
        ])
    }
}

/// The code of the nth made-up firm.
fn firm_code(n: u32) -> Option<FirmCode> {
    let stem = format!("914201{:02}MA{:07}", n / 10_000_000, n % 10_000_000);
    "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().find_map(|check| format!("{stem}{check}").parse().ok())
}

/// Time per row of the packaged ensemble: all sub-models and the fuser, features already extracted.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn score_speed(owners: &[Owner], today: Date, out: &mut impl Write) -> Result<(), AnyError> {
    let ensemble = score::ensemble()?;
    let rows: Vec<Vec<f32>> =
        owners.iter().map(|o| model::extract(ensemble.manifest(), &o.firm.sources, today)).collect();
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3)?;
    for row in rows.iter().cycle().take(20_000) {
        let started = Instant::now();
        std::hint::black_box(ensemble.score(row)?);
        histogram.saturating_record(started.elapsed().as_nanos() as u64);
    }
    let us = |q: f64| histogram.value_at_quantile(q) as f64 / 1_000.0;
    writeln!(out, "Score per row, 20,000 rows: p50 {:.1} µs, p99 {:.1} µs\n", us(0.5), us(0.99))?;
    Ok(())
}

fn print_calls(
    calls: &BTreeMap<String, CallCount>,
    applications: u32,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let per = |n: f64| n / f64::from(applications);
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["call", "calls", "read units", "write units"]);
    let mut sum = CallCount::default();
    let mut sqs = 0;
    for (name, count) in calls {
        table.add_row([
            name.clone(),
            format!("{:.2}", per(count.calls as f64)),
            format!("{:.2}", per(count.read_units)),
            format!("{:.2}", per(count.write_units)),
        ]);
        sum.calls += count.calls;
        sum.read_units += count.read_units;
        sum.write_units += count.write_units;
        sqs += if name.starts_with("sqs:") { count.calls } else { 0 };
    }
    table.add_row([
        "sum".to_owned(),
        format!("{:.2}", per(sum.calls as f64)),
        format!("{:.2}", per(sum.read_units)),
        format!("{:.2}", per(sum.write_units)),
    ]);
    writeln!(
        out,
        "Per application, counted at the SDK with 8 borrowers (status polls and empty receives of this\nmachine's pollers included):\n{table}\n"
    )?;
    let usage = prices::Usage {
        read_units: per(sum.read_units),
        write_units: per(sum.write_units),
        sqs_requests: per(sqs as f64),
        ..prices::Usage::default()
    };
    let prices = prices::TABLE[0];
    let money = prices.of_calls(&usage).amount * 1e6;
    writeln!(
        out,
        "{} {money:.2} for a million applications in {}; `-- cost` tells the rest.",
        prices.currency, prices.region
    )?;
    Ok(())
}
