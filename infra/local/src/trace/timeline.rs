//! The timeline of one application, from what is kept of it. Pure.

use domain::{
    ApplicationId,
    journey::{Command, Event, Journey, Status},
    ledger::{Outcome, Payout},
};
use jiff::Timestamp;
use ports::{
    journal::Entry,
    notices::{Notice, NoticeState},
    observer::Stage,
};
use serde::Serialize;
use steps::stages_ended;

/// Everything that is known of one application's way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    pub application_id: String,
    pub trace_id: String,
    pub status: Status,
    pub product: String,
    pub bank: String,
    pub received_at: Timestamp,
    /// From the first row to the last.
    pub took_ms: f64,
    /// In the order of time.
    pub rows: Vec<Row>,
    /// What stood still, and for what.
    pub waits: Vec<Wait>,
}

/// Something that was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The journal's number; `None` of what stands in the ledger or among the notices.
    pub entry: Option<u32>,
    pub at: Timestamp,
    /// Milliseconds since the application was received.
    pub after_ms: f64,
    /// Function and version, or the table that holds it.
    pub by: String,
    pub what: Vec<String>,
    /// The commands that were sent after it.
    pub sent: Vec<String>,
    /// The stage that ended with it.
    pub stage: Option<StageRow>,
}

/// A stage that ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageRow {
    pub name: &'static str,
    /// The entry that asked for it.
    pub cause: u32,
    /// Milliseconds since the application was received.
    pub from_ms: f64,
    pub took_ms: f64,
}

/// One thing that waited for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wait {
    pub what: String,
    pub waited_for: String,
    pub ms: f64,
}

fn milliseconds(from: Timestamp, to: Timestamp) -> f64 {
    let ms = to.duration_since(from).as_secs_f64() * 1_000.0;
    (ms * 1_000.0).round() / 1_000.0
}

impl Timeline {
    /// Of a journal that has begun, with the payout's rows and the notices that are kept.
    pub fn of(
        id: ApplicationId,
        journey: &Journey,
        entries: &[Entry],
        payout: Option<&Payout>,
        notices: &[Notice],
    ) -> Self {
        let begun = journey.received_at;
        let mut rows: Vec<Row> =
            entries.iter().enumerate().map(|(place, entry)| row(&entries[..place], entry, begun)).collect();
        rows.extend(payout.into_iter().flat_map(|payout| ledger_rows(payout, begun)));
        rows.extend(notices.iter().map(|notice| notice_row(notice, begun)));
        rows.sort_by_key(|row| row.at);
        Self {
            application_id: id.to_string(),
            trace_id: id.trace_id().to_string(),
            status: journey.status,
            product: journey.application.product.clone(),
            bank: journey.application.bank.clone(),
            received_at: begun,
            took_ms: rows.last().map_or(0.0, |row| row.after_ms),
            waits: waits(entries),
            rows,
        }
    }
}

fn row(before: &[Entry], entry: &Entry, begun: Timestamp) -> Row {
    let stage = stages_ended(before, entry).into_iter().next().map(|time| StageRow {
        name: time.stage.as_str(),
        cause: time.cause,
        from_ms: milliseconds(begun, time.from),
        took_ms: milliseconds(time.from, time.to.max(time.from)),
    });
    Row {
        entry: Some(entry.number),
        at: entry.at,
        after_ms: milliseconds(begun, entry.at),
        by: entry.by.clone(),
        what: entry.events.iter().map(event).collect(),
        sent: entry.commands.iter().map(command).collect(),
        stage,
    }
}

/// An event with what tells it from others of its kind, and nothing of anybody.
fn event(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::FaceChecked { attempt, answer, .. } | Event::PhoneChecked { attempt, answer, .. } => {
            format!("{name} {answer:?} (attempt {attempt})").to_lowercase()
        }
        Event::ElementsChecked { answer } => format!("{name} {answer:?}").to_lowercase(),
        Event::Scored { score } => format!("{name} {} points", score.points),
        Event::GraphChecked { features } => format!("{name} ring of {}", features.ring_size),
        Event::RingFound { ring, .. } => format!("{name} ring of {}", ring.ring_size),
        Event::Decided { decision, .. } => match decision {
            domain::decision::Decision::Approved { .. } => format!("{name} approved"),
            domain::decision::Decision::Declined { reasons } => {
                let reasons: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
                format!("{name} declined {}", reasons.join(" "))
            }
        },
        Event::PayoutFailed { reason, resolution } => format!("{name} {} ({resolution})", reason.code()),
        Event::PaidOut { resolution, .. } if *resolution > 1 => format!("{name} (resolution {resolution})"),
        _ => name.to_owned(),
    }
}

fn command(command: &Command) -> String {
    match command {
        Command::StartFaceCheck { attempt } => format!("face check {attempt}"),
        Command::StartPhoneCheck { attempt } => format!("phone check {attempt}"),
        Command::Score => "score".to_owned(),
        Command::CheckGraph => "graph check".to_owned(),
        Command::UnlinkClaims => "claims taken back".to_owned(),
        Command::Decide => "decide".to_owned(),
        Command::PayOut => "pay out".to_owned(),
        Command::Notify { status, .. } => format!("notice {status}"),
    }
}

fn beside(at: Timestamp, begun: Timestamp, by: &str, what: String) -> Row {
    let after_ms = milliseconds(begun, at);
    Row { entry: None, at, after_ms, by: by.to_owned(), what: vec![what], sent: Vec::new(), stage: None }
}

fn ledger_rows(payout: &Payout, begun: Timestamp) -> Vec<Row> {
    let row = |at, what| beside(at, begun, "ledger", what);
    let reserved = match payout.closed {
        Some(reason) => row(payout.reserved_at, format!("closed {}", reason.code())),
        None => row(payout.reserved_at, "reserved".to_owned()),
    };
    let resolutions = payout.resolutions.iter().map(|resolution| {
        let outcome = match &resolution.outcome {
            Outcome::Posted { .. } => "posted",
            Outcome::Voided { .. } => "voided",
            Outcome::Expired => "expired",
        };
        // The evidence may name the bank's message; its kind is enough here.
        let evidence = resolution.evidence.to_string();
        row(resolution.at, format!("{outcome}, by {}", evidence.split(':').next().unwrap_or_default()))
    });
    let disputes = payout.disputes.iter().map(|dispute| {
        row(dispute.at, format!("contradicted: {}", if dispute.says_paid { "paid" } else { "not paid" }))
    });
    std::iter::once(reserved).chain(resolutions).chain(disputes).collect()
}

fn notice_row(notice: &Notice, begun: Timestamp) -> Row {
    let (at, state) = match notice.state {
        NoticeState::Pending { .. } => (notice.begun_at, "to be tried again"),
        NoticeState::Delivered { at } => (at, "delivered"),
        NoticeState::Dead { since } => (since, "given up"),
    };
    let tries = match notice.attempts {
        1 => "1 try".to_owned(),
        tries => format!("{tries} tries"),
    };
    beside(at, begun, "notices", format!("notice {} {state}, {tries}", notice.id.status))
}

/// What stood still: facts that waited for the last of them, an offer that waited for its borrower.
fn waits(entries: &[Entry]) -> Vec<Wait> {
    let mut waits = Vec::new();
    let mut facts: Vec<(Stage, Timestamp)> = Vec::new();
    let mut offered: Option<Timestamp> = None;
    for (place, entry) in entries.iter().enumerate() {
        let ended = stages_ended(&entries[..place], entry).into_iter().map(|time| (time.stage, time.to));
        facts.extend(ended.filter(|(stage, _)| *stage < Stage::Decide));
        if entry.commands.contains(&Command::Decide) {
            let last = facts.last().map(|(stage, _)| *stage);
            for (stage, at) in facts.drain(..).filter(|(stage, _)| Some(*stage) != last) {
                let waited_for = last.map(Stage::as_str).unwrap_or_default().to_owned();
                waits.push(Wait {
                    what: stage.as_str().to_owned(),
                    waited_for,
                    ms: milliseconds(at, entry.at),
                });
            }
        }
        let accepted = entry.events.iter().any(|event| matches!(event, Event::Accepted { .. }));
        if let (true, Some(since)) = (accepted, offered) {
            let ms = milliseconds(since, entry.at);
            waits.push(Wait { what: "the offer".to_owned(), waited_for: "its borrower".to_owned(), ms });
        }
        offered = entry.commands.iter().find_map(|command| match command {
            Command::Notify { status: Status::Offered, .. } => Some(entry.at),
            _ => None,
        });
    }
    waits
}
