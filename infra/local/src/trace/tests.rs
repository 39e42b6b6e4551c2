use super::timeline::{Row, StageRow, Timeline, Wait};
use super::waterfall;
use domain::journey::Status;
use jiff::Timestamp;

fn row(entry: u32, after_ms: f64, stage: Option<(&'static str, f64)>) -> Row {
    let stage =
        stage.map(|(name, from_ms)| StageRow { name, cause: 1, from_ms, took_ms: after_ms - from_ms });
    Row {
        entry: Some(entry),
        at: Timestamp::UNIX_EPOCH,
        after_ms,
        by: "score/0.1.0".into(),
        what: vec!["scored".into()],
        sent: vec!["decide".into()],
        stage,
    }
}

/// Two stages of 100 ms, and an offer that lay for a day between them.
fn timeline() -> Timeline {
    let day = 86_400_000.0;
    Timeline {
        application_id: "4efaaf4d-1e87-80b3-9541-901950019ee5".into(),
        trace_id: "1-4efaaf4d-1e8780b39541901950019ee5".into(),
        status: Status::PaidOut,
        product: "river-quick".into(),
        bank: "river-bank".into(),
        received_at: Timestamp::UNIX_EPOCH,
        took_ms: day + 100.0,
        rows: vec![
            row(1, 0.0, None),
            row(2, 100.0, Some(("score", 0.0))),
            row(3, day, None),
            row(4, day + 100.0, Some(("settle", day))),
        ],
        waits: vec![Wait { what: "the offer".into(), waited_for: "its borrower".into(), ms: day - 100.0 }],
    }
}

/// The bars of the rows that have one: from and to, in columns.
fn bars(text: &str) -> Vec<(usize, usize)> {
    let bar = |line: &str| {
        let chars: Vec<char> = line.chars().collect();
        let first = chars.iter().position(|c| *c == '█')?;
        Some((first, chars.iter().rposition(|c| *c == '█')?))
    };
    text.lines().filter_map(bar).collect()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 100, 160] {
        let text = waterfall(&timeline(), width);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} in {width}:\n{text}");
    }
}

#[test]
fn an_offer_that_lay_for_a_day_leaves_room_for_the_stages() {
    let text = waterfall(&timeline(), 100);
    let bars = bars(&text);
    assert_eq!(bars.len(), 2, "{text}");
    for (from, to) in &bars {
        assert!(to - from > 20, "{text}");
    }
    assert!(bars[0].1 < bars[1].0, "one came after the other\n{text}");
    assert!(text.contains("the offer waited 24.0 h for its borrower"), "{text}");
    assert!(text.contains("drawn shorter"), "{text}");
}
