use super::*;
use domain::{
    BasisPoints, Fen, Reason,
    decision::{Decision, Offer},
    journey::{AcceptedBy, Event},
};
use ports::{journal::Entry, observer::Stage};
use serde_json::{Value, json};
use std::{
    net::UdpSocket,
    sync::{Mutex, PoisonError},
    time::Duration,
};

#[derive(Default)]
struct Lines(Mutex<Vec<Value>>);

impl MetricLog for Lines {
    fn line(&self, text: &str) {
        let line = serde_json::from_str(text).unwrap();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

fn at() -> Timestamp {
    "2026-11-23T02:00:00.25Z".parse().unwrap()
}

fn id() -> ApplicationId {
    "4efaaf4d-1e87-80b3-9541-901950019ee5".parse().unwrap()
}

fn entry(events: Vec<Event>) -> Entry {
    Entry { number: 7, at: at(), by: "decide/0.1.0".to_owned(), events, commands: Vec::new() }
}

fn offered_and_accepted() -> Entry {
    let offer =
        Offer { amount_fen: Fen(1), annual_rate_bp: BasisPoints(1), term_months: 1, expires_at: at() };
    let decision = Decision::Approved { offer, reasons: Vec::new() };
    entry(vec![
        Event::Decided { revision: 2, strategy: "s".to_owned(), decision },
        Event::Accepted { by: AcceptedBy::InAdvance, revision: 2 },
    ])
}

fn decided_in_250_ms() -> StageTime {
    let from = at() - jiff::SignedDuration::from_millis(250);
    StageTime { stage: Stage::Decide, cause: 6, from, to: at() }
}

fn told(recorded: &Recorded<'_>, tracer: Option<Tracer>) -> Vec<Value> {
    let lines = Arc::new(Lines::default());
    Telemetry { lines: lines.clone(), tracer, namespace: "Lending/prod".into(), by: "decide/0.1.0".into() }
        .recorded(recorded);
    std::mem::take(&mut *lines.0.lock().unwrap())
}

#[test]
fn an_entry_is_one_line_with_its_stage_and_its_step_as_metrics() {
    let entry = offered_and_accepted();
    let stages = vec![decided_in_250_ms()];
    let lines = told(
        &Recorded { application: id(), entry: &entry, stages, reached: vec![Milestone::Approved] },
        None,
    );
    assert_eq!(
        lines,
        [json!({
            "_aws": { "Timestamp": 1795399200250_i64, "CloudWatchMetrics": [
                { "Namespace": "Lending/prod", "Dimensions": [["Stage"]],
                  "Metrics": [{ "Name": "StageMs", "Unit": "Milliseconds" }] },
                { "Namespace": "Lending/prod", "Dimensions": [["Step"]],
                  "Metrics": [{ "Name": "Reached", "Unit": "Count" }] },
            ]},
            "Stage": "decide", "StageMs": 250.0, "Step": "approved", "Reached": 1,
            "application_id": id().to_string(), "trace_id": id().trace_id().to_string(),
            "by": "decide/0.1.0", "entry": 7, "event": "decided accepted",
        })]
    );
}

#[test]
fn a_second_step_has_a_line_of_its_own() {
    let entry = offered_and_accepted();
    let reached = vec![Milestone::Approved, Milestone::Accepted];
    let lines = told(
        &Recorded { application: id(), entry: &entry, stages: vec![decided_in_250_ms()], reached },
        None,
    );
    let steps: Vec<&Value> = lines.iter().map(|line| &line["Step"]).collect();
    assert_eq!(steps, ["approved", "accepted"]);
    assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 1, "the stage counts once");
}

#[test]
fn an_entry_that_reaches_nothing_is_a_line_all_the_same() {
    let entry = entry(vec![Event::PayoutRequested { payout_id: id().payout_id() }]);
    let lines = told(&Recorded { application: id(), entry: &entry, stages: vec![], reached: vec![] }, None);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "payout_requested");
    assert!(lines[0].get("_aws").is_none());
}

#[test]
fn no_payout_in_doubt_is_told_as_zero() {
    let lines = Arc::new(Lines::default());
    Telemetry {
        lines: lines.clone(),
        tracer: None,
        namespace: "Lending/prod".into(),
        by: "sweeper/0.1.0".into(),
    }
    .unknown_payouts(0, at());
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines[0]["UnknownPayouts"], 0);
    assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
}

#[test]
fn how_far_behind_the_sweeper_is_is_told_in_whole_seconds() {
    let lines = Arc::new(Lines::default());
    let telemetry = Telemetry {
        lines: lines.clone(),
        tracer: None,
        namespace: "Lending/prod".into(),
        by: "sweeper/0.1.0".into(),
    };
    for lag in [SignedDuration::from_millis(90_700), SignedDuration::ZERO] {
        telemetry.swept(lag, at());
    }
    let lines = lines.0.lock().unwrap();
    let told: Vec<&Value> = lines.iter().map(|line| &line["SweeperLagSeconds"]).collect();
    assert_eq!(told, [90, 0]);
    assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"], "Seconds");
}

/// The segment that the X-Ray daemon receives, without the header before it.
fn segment(daemon: &UdpSocket) -> Value {
    let mut datagram = [0; 8 * 1024];
    let length = daemon.recv(&mut datagram).unwrap();
    let text = std::str::from_utf8(&datagram[..length]).unwrap();
    let (header, document) = text.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(header).unwrap(), json!({ "format": "json", "version": 1 }));
    serde_json::from_str(document).unwrap()
}

fn daemon() -> UdpSocket {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    daemon
}

#[tokio::test]
async fn the_spans_of_two_functions_meet_in_the_trace_of_the_application() {
    let daemon = daemon();
    let tracer = || Tracer::new(daemon.local_addr().unwrap(), 100).unwrap();
    let sixth = Entry { number: 6, ..entry(vec![Event::Cancelled]) };
    told(&Recorded { application: id(), entry: &sixth, stages: vec![], reached: vec![] }, Some(tracer()));
    let first = segment(&daemon);
    let decided = offered_and_accepted();
    let stages = vec![decided_in_250_ms()];
    let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    Invocation::new("r-1", Some(header))
        .serve(async {
            told(&Recorded { application: id(), entry: &decided, stages, reached: vec![] }, Some(tracer()))
        })
        .await;
    let second = segment(&daemon);
    assert_eq!(first["trace_id"], "1-4efaaf4d-1e8780b39541901950019ee5");
    assert_eq!(second["trace_id"], first["trace_id"]);
    assert_eq!(second["parent_id"], first["id"], "what was asked for hangs below what asked for it");
    assert_eq!(second["name"], "decide");
    let lasted = second["end_time"].as_f64().unwrap() - second["start_time"].as_f64().unwrap();
    assert!((lasted - 0.25).abs() < 0.001, "{second}");
    let annotations = &second["annotations"];
    assert_eq!(annotations["stage"], "decide", "{second}");
    assert_eq!(annotations["application_id"], id().to_string());
    assert_eq!(annotations["lambda_trace"], "1-5759e988-bd862e3fe1be46a994272793");
}

#[test]
fn all_functions_agree_on_which_applications_are_traced() {
    let tracer = |percent| Tracer::new("127.0.0.1:2000".parse().unwrap(), percent).unwrap();
    let ids = (0..2_000_u32).map(|n| {
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        ApplicationId::from_bytes(bytes)
    });
    let (some, all, none) = (tracer(TRACED_PERCENT), tracer(100), tracer(0));
    let followed = ids.filter(|id| {
        assert!(all.follows(*id) && !none.follows(*id));
        some.follows(*id)
    });
    assert!((50..150).contains(&followed.count()), "about one in twenty");
}

#[test]
fn the_trace_of_an_invocation_is_read_from_its_header_and_nothing_else_is() {
    fn trace(header: &str) -> Option<String> {
        Invocation::new("r-1", Some(header)).trace_id
    }
    let root = "1-5759e988-bd862e3fe1be46a994272793";
    assert_eq!(trace(&format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=0")).as_deref(), Some(root));
    assert_eq!(trace(&format!("Self=1;Root={root}")).as_deref(), Some(root));
    for bad in ["", "Root=", "Root=1-\"}{", "Parent=1", &"Root=".repeat(40)] {
        assert_eq!(trace(bad), None, "{bad}");
    }
}

#[test]
fn a_reason_to_decline_is_no_part_of_a_line() {
    let declined = Decision::Declined { reasons: vec![Reason::ScoreLow] };
    let entry = entry(vec![Event::Decided { revision: 2, strategy: "s".to_owned(), decision: declined }]);
    let recorded =
        Recorded { application: id(), entry: &entry, stages: vec![], reached: vec![Milestone::Declined] };
    assert!(!told(&recorded, None)[0].to_string().contains("SCORE_LOW"));
}
