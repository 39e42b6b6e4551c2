//! The demo: a mix of applications through the HTTP API, and whether each became what it should.
//!
//! Nothing in the product knows these cases. They are steered from outside: by picking firms that the model finds good
//! or weak, by phones and amounts that simulated counterparties answer in a known way, and by sharing a device.

mod loans;

use crate::{
    borrower::{Applicant, Borrower, BorrowerError, ENDS, Pace, Wish},
    people::{self, Owner},
};
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use loans::PaidOut;
use ports::relation::{Tie, TieKind};
use reqwest::Client;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

/// What the borrower does once there is an offer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The offer was accepted in advance, or none is expected.
    Wait,
    Accept,
    Cancel,
    /// Lets the offer lie until the rest of the ring has applied; it must be taken back.
    LetLie,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// One application and what should become of it.
pub struct Case {
    pub name: &'static str,
    pub applicant: Applicant,
    pub wish: Wish,
    pub then: Then,
    pub expected: &'static str,
    pub reason: Option<&'static str>,
}

/// What became of it.
struct Outcome {
    case: Case,
    result: Result<Played, BorrowerError>,
}

/// The end of an application, as its borrower sees it.
struct Played {
    borrower: Borrower,
    answer: Value,
    explanation: Value,
}

impl Outcome {
    fn as_expected(&self) -> bool {
        let Ok(Played { answer, .. }) = &self.result else { return false };
        let reason = answer["reasons"][0]["code"].as_str();
        answer["status"] == self.case.expected && (self.case.reason.is_none() || reason == self.case.reason)
    }

    /// The application, if it has this status.
    fn id_if(&self, status: &str) -> Option<&str> {
        let answer = &self.result.as_ref().ok()?.answer;
        (answer["status"] == status).then(|| answer["application_id"].as_str()).flatten()
    }
}

/// There are too few firms of a kind among those that were loaded.
#[derive(Debug, thiserror::Error)]
#[error("the loaded firms hold too few that are {0}; the demo needs the first city")]
pub struct TooFewFirms(&'static str);

/// Where the demo is played.
pub struct Place {
    /// Base URL of the API.
    pub url: String,
    pub channel_url: String,
    /// Product → URL of the simulated bank that pays it out. Loans of real banks are left to them.
    pub banks: BTreeMap<String, String>,
    pub pace: Pace,
}

/// Runs all cases at once and prints the table, then lets the simulated banks, whose URLs `banks` holds by product, report
/// the loans to their end. `Ok(true)` when everything became what it should.
pub async fn run(
    url: &str,
    channel_url: &str,
    banks: &BTreeMap<String, String>,
    owners: &[Owner],
    ties: &[Tie],
    run: u32,
    out: &mut impl std::io::Write,
) -> Result<bool, AnyError> {
    let (url, channel_url, banks) = (url.to_owned(), channel_url.to_owned(), banks.clone());
    let place = Place { url, channel_url, banks, pace: Pace::default() };
    run_at(&place, owners, ties, run, out).await
}

/// The same, anywhere.
pub async fn run_at(
    place: &Place,
    owners: &[Owner],
    ties: &[Tie],
    run: u32,
    out: &mut impl std::io::Write,
) -> Result<bool, AnyError> {
    let cases = cases(owners, ties, run)?;
    let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} applications at rest  {wide_msg}")?;
    let progress = ProgressBar::new(cases.len() as u64).with_style(style);
    let mut running = JoinSet::new();
    for (number, case) in (0..).zip(cases) {
        let (client, pace) = (client.clone(), place.pace);
        let (url, channel_url) = (place.url.clone(), place.channel_url.clone());
        running.spawn(async move {
            tokio::time::sleep(pace.come_every * number).await;
            let key = format!("demo-{run}-{number}");
            let result = play(&client, &url, &channel_url, &case, &key, pace).await;
            (number, Outcome { case, result })
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = running.join_next().await {
        let (number, outcome) = done?;
        progress.set_message(outcome.case.name);
        progress.inc(1);
        outcomes.push((number, outcome));
    }
    progress.finish_and_clear();
    outcomes.sort_by_key(|(number, _)| *number);
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    writeln!(out, "{}", table(&outcomes))?;
    let unexpected = outcomes.iter().filter(|o| !o.as_expected()).count();
    match unexpected {
        0 => writeln!(out, "All {} applications became what they should.", outcomes.len())?,
        n => writeln!(out, "{n} of {} applications did not become what they should.", outcomes.len())?,
    }
    for status in ["paid_out", "declined"] {
        let id = outcomes.iter().find_map(|outcome| outcome.id_if(status));
        writeln!(out, "One that is {status}: {}", id.unwrap_or("none"))?;
    }
    let paid_out = outcomes.into_iter().filter_map(|Outcome { case, result }| {
        let Played { borrower, answer, .. } = result.ok()?;
        (answer["status"] == "paid_out").then_some(PaidOut { name: case.name, borrower, answer })
    });
    let (table, all_settled) = loans::play(&client, place, paid_out.collect()).await;
    writeln!(out, "\n{table}")?;
    match all_settled {
        true => writeln!(out, "All loans of simulated banks are repaid and settled.")?,
        false => writeln!(out, "Not every loan was repaid and settled as its bank reported.")?,
    }
    Ok(unexpected == 0 && all_settled)
}

async fn play(
    client: &Client,
    url: &str,
    channel_url: &str,
    case: &Case,
    key: &str,
    pace: Pace,
) -> Result<Played, BorrowerError> {
    let borrower = Borrower::sign_in(client, url, channel_url, case.applicant.clone()).await?;
    let borrower = borrower.looking_every(pace.look_every);
    let id = borrower.apply(&case.wish, key).await?;
    if matches!(case.then, Then::Accept | Then::Cancel) {
        let offered: Vec<&str> = ENDS.into_iter().chain(["offered"]).collect();
        let answer = borrower.wait_for(&id, &offered, pace.patience).await?;
        if answer["status"] == "offered" {
            match case.then {
                Then::Accept => borrower.accept(&id, &answer).await?,
                _ => borrower.cancel(&id).await?,
            };
        }
    }
    let answer = borrower.wait_for(&id, &ENDS, pace.patience).await?;
    let explanation = borrower.explain(&id).await?;
    Ok(Played { borrower, answer, explanation })
}

fn case(
    name: &'static str,
    applicant: Applicant,
    wish: &Wish,
    then: Then,
    expected: &'static str,
    reason: Option<&'static str>,
) -> Case {
    Case { name, applicant, wish: wish.clone(), then, expected, reason }
}

/// The applications of the `run`th run of the demo, by owners of the first city.
pub fn cases(owners: &[Owner], ties: &[Tie], run: u32) -> Result<Vec<Case>, TooFewFirms> {
    let sound = |o: &&Owner| {
        !o.firm.is_banned() && o.age_days > 730 && o.supported_fen >= 30_000_000 && o.firm.sources.len() == 8
    };
    // Each run of the demo takes other firms, so that yesterday's applications do not colour today's.
    // Who answers for others is kept for the circle.
    let answers =
        |o: &&Owner| ties.iter().any(|tie| tie.kind == TieKind::Guarantee && tie.firm == o.firm.firm_code);
    let mut good = owners.iter().filter(|o| sound(o) && !answers(o)).skip(run as usize % 8 * 24);
    let mut good = || good.next().ok_or(TooFewFirms("sound"));
    let young = |o: &&Owner| o.age_days > 730 && !o.firm.is_banned() && o.firm.sources.len() >= 6;
    let weak = owners.iter().rev().filter(young).nth(run as usize % 8).ok_or(TooFewFirms("weak"))?;
    let banned: Vec<&Owner> = owners.iter().filter(|o| o.firm.is_banned()).collect();
    let banned = banned.get(run as usize % banned.len().max(1)).ok_or(TooFewFirms("banned"))?;

    let mut serial = run * 1_000;
    let mut who = |owner: &Owner, ending: u16| {
        serial += 1;
        owner.applicant(serial, ending)
    };
    let quick = Wish {
        product: "river-quick",
        amount_fen: 10_000_000,
        term_months: 12,
        face_recognition: true,
        accept_up_to_bp: Some(1_500),
    };
    let steady = Wish { product: "lake-steady", accept_up_to_bp: None, ..quick.clone() };
    let asks = |yuan: u64| Wish { amount_fen: yuan * 100, ..quick.clone() };
    use Then::{Accept, Cancel, LetLie, Wait};
    let mut cases = vec![
        case("good firm, accepted in advance", who(good()?, 1000), &quick, Wait, "paid_out", None),
        case("good firm, bank confirms", who(good()?, 1000), &steady, Accept, "paid_out", None),
        case("good firm, borrower cancels", who(good()?, 1000), &steady, Cancel, "cancelled", None),
        case("weak firm", who(weak, 1000), &quick, Wait, "declined", Some("SCORE_LOW")),
        case("banned firm", who(banned, 1000), &quick, Wait, "declined", Some("FIRM_BANNED")),
        case("phone unknown once", who(good()?, 2), &quick, Wait, "paid_out", None),
        case("phone unknown always", who(good()?, 1), &quick, Wait, "declined", Some("PHONE_UNVERIFIED")),
        case("phone of somebody else", who(good()?, 3), &quick, Wait, "declined", Some("PHONE_MISMATCH")),
        case("face of somebody else", who(good()?, 4), &quick, Wait, "declined", Some("FACE_MISMATCH")),
        case("bank times out after paying", who(good()?, 1000), &asks(100_077), Wait, "paid_out", None),
        case("bank answers 500 once", who(good()?, 1000), &asks(100_078), Wait, "paid_out", None),
        case("bank refuses", who(good()?, 1000), &asks(100_079), Wait, "payout_failed", Some("BANK_REFUSED")),
        case("bank pays, says nothing", who(good()?, 1000), &asks(100_085), Wait, "paid_out", None),
    ];
    let refuses = Wish { face_recognition: false, ..quick.clone() };
    let refused = Some("FACE_CONSENT_REFUSED");
    cases.push(case("no face, mini-program", who(good()?, 1000), &refuses, Wait, "declined", refused));
    let known = Applicant { channel: "online_bank", identified: true, ..who(good()?, 1000) };
    cases.push(case("no face, known to the bank", known, &refuses, Wait, "paid_out", None));
    let stranger = good()?;
    let other = Applicant { name: "王伟".into(), ..who(stranger, 1000) };
    cases.push(case("not the representative", other, &quick, Wait, "declined", Some("IDENTITY_MISMATCH")));
    let sound: Vec<&Owner> = owners.iter().filter(sound).collect();
    let circles = people::circles(&sound, ties);
    let circle =
        circles.get(run as usize % circles.len().max(1)).ok_or(TooFewFirms("a circle of guarantees"))?;
    // The offers lie until the rest of the ring has applied.
    let asks = Wish { accept_up_to_bp: None, ..quick.clone() };
    let ring = |name, member| case(name, member, &asks, LetLie, "declined", Some("RING_SUSPECTED"));
    let device = who(good()?, 1000).device;
    for _ in 0..5 {
        let bank_card = people::card(run * 1_000 + 900);
        let member = Applicant { device: device.clone(), bank_card, ..who(good()?, 1000) };
        cases.push(ring("ring of five", member));
    }
    cases.extend(circle.iter().map(|owner| ring("circle of guarantees", who(owner, 1000))));
    Ok(cases)
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "application",
        "outcome",
        "reason",
        "points",
        "checks ms",
        "decide ms",
        "payout ms",
        "",
        "as expected",
    ]);
    for outcome in outcomes {
        let verdict = if outcome.as_expected() { "yes" } else { "NO" };
        match &outcome.result {
            Ok(Played { answer, explanation, .. }) => {
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                let times = Times::of(explanation);
                let right = |t: Option<f64>| {
                    Cell::new(t.map_or(String::new(), |ms| format!("{ms:.0}")))
                        .set_alignment(CellAlignment::Right)
                };
                let points = explanation["score_points"].as_i64().map_or(String::new(), |p| p.to_string());
                table.add_row(vec![
                    Cell::new(outcome.case.name),
                    Cell::new(text(&answer["status"])),
                    Cell::new(text(&answer["reasons"][0]["code"])),
                    Cell::new(points).set_alignment(CellAlignment::Right),
                    right(times.checks),
                    right(times.decide),
                    right(times.payout),
                    Cell::new(""),
                    Cell::new(verdict),
                ]);
            }
            Err(error) => {
                table.add_row([outcome.case.name, &error.to_string(), "", "", "", "", "", "", verdict]);
            }
        }
    }
    table
}

/// Milliseconds between the steps of a journey.
struct Times {
    /// Received until the last fact, or until the end when it came first.
    checks: Option<f64>,
    /// Last fact until the decision.
    decide: Option<f64>,
    /// Accepted until the bank's word.
    payout: Option<f64>,
}

impl Times {
    fn of(explanation: &Value) -> Self {
        let steps: Vec<(Timestamp, &str)> = explanation["timeline"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|step| Some((step["at"].as_str()?.parse().ok()?, step["event"].as_str()?)))
            .collect();
        let last = |names: &[&str]| steps.iter().rev().find(|(_, e)| names.contains(e)).map(|(at, _)| *at);
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
            Some(to?.duration_since(from?).as_secs_f64() * 1_000.0)
        };
        let facts =
            ["elements_checked", "face_checked", "phone_checked", "scored", "graph_checked", "ring_found"];
        let received = steps.first().map(|(at, _)| *at);
        Self {
            checks: between(received, last(&facts)),
            decide: between(last(&facts), last(&["decided"])),
            payout: between(last(&["accepted"]), last(&["paid_out", "payout_failed"])),
        }
    }
}
