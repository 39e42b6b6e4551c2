use super::*;
use domain::{ApplicationId, Reason};
use proptest::prelude::*;

const HEADER: &str = "payout_id,bank_reference,amount_fen,state,at";

fn day() -> Date {
    "2026-11-24".parse().unwrap()
}

/// Noon of the day in China.
fn noon() -> Timestamp {
    "2026-11-24T04:00:00Z".parse().unwrap()
}

fn id(n: u8) -> PayoutId {
    ApplicationId::from_bytes([n; 16]).payout_id()
}

fn posted(n: u8) -> Resolution {
    let outcome = Outcome::Posted { bank_reference: format!("R{n}") };
    Resolution { outcome, evidence: Evidence::Callback(format!("msg_{n}")), at: noon() }
}

fn voided(evidence: Evidence) -> Resolution {
    Resolution { outcome: Outcome::Voided { reason: Reason::BankFailed }, evidence, at: noon() }
}

/// `paid` payouts that both sides have, and one that failed.
fn both(paid: u8) -> (BTreeMap<PayoutId, Held>, Vec<[String; 5]>) {
    let mut held = BTreeMap::new();
    let mut rows = Vec::new();
    for n in 1..=paid {
        let amount_fen = Fen(1_000 * u64::from(n));
        held.insert(id(n), Held { amount_fen, standing: Standing::Resolved(posted(n)) });
        rows.push([
            id(n).to_string(),
            format!("R{n}"),
            amount_fen.0.to_string(),
            "paid".into(),
            noon().to_string(),
        ]);
    }
    let failed = paid + 1;
    held.insert(
        id(failed),
        Held { amount_fen: Fen(7), standing: Standing::Resolved(voided(Evidence::Answer)) },
    );
    rows.push([id(failed).to_string(), String::new(), "7".into(), "failed".into(), noon().to_string()]);
    (held, rows)
}

fn csv(rows: &[[String; 5]]) -> String {
    let lines = rows.iter().map(|row| format!("{}\r\n", row.join(",")));
    format!("{HEADER}\r\n{}", lines.collect::<String>())
}

fn json_lines(rows: &[[String; 5]]) -> String {
    let line = |[payout_id, bank_reference, amount, state, at]: &[String; 5]| {
        let amount_fen: u64 = amount.parse().unwrap();
        let line = serde_json::json!({ "payout_id": payout_id, "bank_reference": bank_reference,
            "amount_fen": amount_fen, "state": state, "at": at });
        format!("{line}\n")
    };
    rows.iter().map(line).collect()
}

fn report(held: &BTreeMap<PayoutId, Held>, text: &str, format: Format) -> Report {
    reconcile("river-bank", day(), &Statement::parse(text.as_bytes(), format).unwrap(), held)
}

fn kinds(held: &BTreeMap<PayoutId, Held>, rows: &[[String; 5]]) -> Vec<Kind> {
    report(held, &csv(rows), Format::Csv).differences.into_iter().map(|difference| difference.kind).collect()
}

#[test]
fn a_file_that_says_what_the_ledger_says_has_no_difference() {
    let (held, rows) = both(3);
    let report = report(&held, &csv(&rows), Format::Csv);
    assert_eq!(report.differences, []);
    assert_eq!((report.lines, report.agreed), (4, 4));
    assert_eq!(report.paid_at_bank, Paid { payouts: 3, sum_fen: 6_000 });
    assert_eq!(report.paid_at_bank, report.paid_here);
}

#[test]
fn an_empty_file_on_a_day_without_payouts_agrees_in_both_forms() {
    let none = BTreeMap::new();
    assert_eq!(report(&none, &csv(&[]), Format::Csv).differences, []);
    assert_eq!(report(&none, "", Format::JsonLines).differences, []);
}

#[test]
fn what_we_gave_up_ourselves_the_bank_need_not_have() {
    let (mut held, rows) = both(1);
    held.insert(id(9), Held { amount_fen: Fen(5), standing: Standing::Resolved(voided(Evidence::Lender)) });
    assert_eq!(kinds(&held, &rows), []);
}

#[test]
fn what_we_hold_without_an_end_is_a_difference_in_state_and_the_bank_should_be_asked() {
    let (mut held, rows) = both(1);
    held.get_mut(&id(1)).unwrap().standing = Standing::Open;
    let report = report(&held, &csv(&rows), Format::Csv);
    assert_eq!(report.differences.len(), 1);
    assert_eq!(report.contradicted().collect::<Vec<_>>(), [(id(1), true)]);
}

#[test]
fn of_what_we_hold_as_paid_and_the_file_lacks_the_bank_should_be_asked() {
    let (held, mut rows) = both(2);
    let lacking = rows.remove(0);
    let found = report(&held, &csv(&rows), Format::Csv);
    assert_eq!(found.differences.iter().map(|d| d.kind).collect::<Vec<_>>(), [Kind::MissingAtBank]);
    assert_eq!(found.contradicted().collect::<Vec<_>>(), [(id(1), false)], "{lacking:?}");
    let turned_down = Held { amount_fen: Fen(5), standing: Standing::Resolved(voided(Evidence::Answer)) };
    let found = report(&BTreeMap::from([(id(9), turned_down)]), &csv(&[]), Format::Csv);
    assert_eq!(found.differences[0].kind, Kind::MissingAtBank);
    assert_eq!(found.contradicted().count(), 0, "nobody says that it was paid");
}

#[test]
fn what_was_never_instructed_the_bank_must_not_have_paid() {
    let (mut held, mut rows) = both(1);
    held.get_mut(&id(1)).unwrap().standing = Standing::Closed;
    let found = report(&held, &csv(&rows), Format::Csv);
    assert_eq!(found.differences[0].kind, Kind::State);
    assert_eq!(found.differences[0].ledger.as_ref().unwrap().state, "closed");
    rows[0][3] = "refused".into();
    assert_eq!(kinds(&held, &rows), []);
}

#[test]
fn the_day_is_a_day_in_china() {
    let (mut held, rows) = both(1);
    let mut resolved_at = |at: &str| {
        let resolution = Resolution { at: at.parse().unwrap(), ..posted(1) };
        held.get_mut(&id(1)).unwrap().standing = Standing::Resolved(resolution);
        kinds(&held, &rows)
    };
    assert_eq!(resolved_at("2026-11-24T15:59:59.999Z"), []);
    assert_eq!(resolved_at("2026-11-24T16:00:00Z"), [Kind::Date]);
}

#[test]
fn lines_that_cannot_be_read_are_named_by_number_and_field_and_cost_nothing_else() {
    let (held, mut rows) = both(1);
    for (column, text, field) in [
        (0, "somebody", Some("payout_id")),
        (2, "-1", Some("amount_fen")),
        (2, "10.00", Some("amount_fen")),
        (3, "PAID", Some("state")),
        (4, "yesterday", Some("at")),
        (1, "x\u{7f}", Some("bank_reference")),
    ] {
        let mut bad = rows[0].clone();
        bad[column] = text.to_owned();
        rows.insert(1, bad);
        let difference = report(&held, &csv(&rows), Format::Csv).differences.remove(0);
        assert_eq!(
            (difference.kind, difference.line, difference.field),
            (Kind::UnreadableLine, Some(3), field)
        );
        rows.remove(1);
    }
    let short = format!("{}only,three,fields\r\n", csv(&rows));
    assert_eq!(report(&held, &short, Format::Csv).differences[0].field, None);
    let broken = format!("{}{{\"payout_id\":1}}\n", json_lines(&rows));
    assert_eq!(report(&held, &broken, Format::JsonLines).differences[0].line, Some(3));
}

#[test]
fn a_file_with_another_header_is_refused_as_a_whole() {
    for text in ["", "id,amount\n", "payout_id,bank_reference,amount_fen,state\n"] {
        assert_eq!(Statement::parse(text.as_bytes(), Format::Csv), Err(BadStatement::Header), "{text}");
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let long = vec![b'\n'; MAX_BYTES + 1];
    assert_eq!(Statement::parse(&long, Format::JsonLines), Err(BadStatement::TooLong));
    let many = "x\n".repeat(MAX_LINES + 1);
    assert_eq!(Statement::parse(many.as_bytes(), Format::JsonLines), Err(BadStatement::TooManyLines));
}

#[test]
fn the_page_shows_every_difference_and_takes_nothing_from_the_file_as_html() {
    let (held, mut rows) = both(2);
    rows[0][1] = "<script>alert(1)</script>".to_owned();
    rows.remove(1);
    let page = page(&report(&held, &csv(&rows), Format::Csv));
    assert!(page.contains("2 differences") && page.contains("reference") && page.contains("missing_at_bank"));
    assert!(page.contains("<br>2026-11-24 12:00:00"), "noon in China: {page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
}

proptest! {
    #[test]
    fn whatever_one_change_is_made_to_a_right_file_exactly_it_is_named(
        paid in 1_u8..20, at in 0_usize..20, change in 0_usize..7, turned in 0_usize..20,
    ) {
        let (mut held, mut rows) = both(paid);
        let at = at % usize::from(paid);
        let expected = match change {
            0 => { rows.remove(at); Kind::MissingAtBank }
            1 => { held.remove(&rows[at][0].parse().unwrap()); Kind::MissingHere }
            2 => { rows[at][2] = "1".into(); Kind::Amount }
            3 => { rows[at][4] = "2026-11-23T15:59:59Z".into(); Kind::Date }
            4 => { rows[at][3] = "refused".into(); Kind::State }
            5 => { rows[at][1].push('x'); Kind::Reference }
            _ => { rows.push(rows[at].clone()); Kind::Duplicate }
        };
        let many = rows.len();
        rows.rotate_left(turned % many);
        prop_assert_eq!(kinds(&held, &rows), vec![expected]);
        let (mut of_csv, mut of_json) =
            (report(&held, &csv(&rows), Format::Csv), report(&held, &json_lines(&rows), Format::JsonLines));
        for difference in of_csv.differences.iter_mut().chain(&mut of_json.differences) {
            difference.line = None;
        }
        prop_assert_eq!(of_csv, of_json);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_and_every_line_is_counted(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut text = format!("{HEADER}\n").into_bytes();
        text.extend(&bytes);
        let _ = Statement::parse(&text, Format::Csv).unwrap();
        let read = Statement::parse(&bytes, Format::JsonLines).unwrap();
        let written = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(read.lines.len() + read.unreadable.len(), written);
    }
}
