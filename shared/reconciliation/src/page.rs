//! A report as a page: one file, no script, nothing loaded from elsewhere.

use crate::{Difference, Paid, Report, Side};
use domain::Fen;
use html_escape::encode_text;
use jiff::tz::offset;
use std::fmt::{self, Write as _};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1a1a1a}\
h1{font-size:1.4rem}.good{color:#176b2c}.bad{color:#a3161b}table{border-collapse:collapse;width:100%;margin-top:1rem}\
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}th{background:#f5f5f5}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85rem}";

/// The report as HTML.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    // Writing to a string does not fail.
    let _ = write(report, &mut html);
    html
}

fn write(report: &Report, html: &mut String) -> fmt::Result {
    let bank = encode_text(&report.bank);
    let (day, count) = (report.day, report.differences.len());
    let (class, headline) = match count {
        0 => ("good", "Everything agrees".to_owned()),
        1 => ("bad", "1 difference".to_owned()),
        _ => ("bad", format!("{count} differences")),
    };
    write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{bank}, {day}</title><style>{STYLE}</style></head>\
         <body><h1>{bank}, {day}: <span class=\"{class}\">{headline}</span></h1>\
         <table><tr><th>Paid</th><th class=\"n\">payouts</th><th class=\"n\">CNY</th></tr>"
    )?;
    paid(html, "in the bank's file", report.paid_at_bank)?;
    paid(html, "in our ledger", report.paid_here)?;
    write!(
        html,
        "</table><p>{} lines, {} payouts agree in everything. Times are in China.</p>",
        report.lines, report.agreed
    )?;
    if count > 0 {
        html.push_str(
            "<table><tr><th>difference</th><th>payout</th><th class=\"n\">line</th><th>the bank's file</th>\
             <th>our ledger</th></tr>",
        );
        for difference in &report.differences {
            row(html, difference)?;
        }
        html.push_str("</table>");
    }
    html.push_str("</body></html>\n");
    Ok(())
}

fn paid(html: &mut String, name: &str, paid: Paid) -> fmt::Result {
    let (yuan, fen) = (paid.sum_fen / 100, paid.sum_fen % 100);
    let payouts = paid.payouts;
    write!(html, "<tr><td>{name}</td><td class=\"n\">{payouts}</td><td class=\"n\">{yuan}.{fen:02}</td></tr>")
}

fn row(html: &mut String, difference: &Difference) -> fmt::Result {
    let kind = difference.kind.name();
    let id = difference.payout_id.map(|id| id.to_string()).unwrap_or_default();
    let line = difference.line.map(|line| line.to_string()).unwrap_or_default();
    let field = difference.field.map(|field| format!(": {field}")).unwrap_or_default();
    write!(html, "<tr><td>{kind}{field}</td><td><code>{id}</code></td><td class=\"n\">{line}</td>")?;
    for side in [&difference.bank, &difference.ledger] {
        html.push_str("<td>");
        if let Some(side) = side {
            cell(html, side)?;
        }
        html.push_str("</td>");
    }
    html.push_str("</tr>");
    Ok(())
}

fn cell(html: &mut String, side: &Side) -> fmt::Result {
    let Fen(amount) = side.amount_fen;
    write!(html, "{}, CNY {}.{:02}", side.state, amount / 100, amount % 100)?;
    if !side.bank_reference.is_empty() {
        write!(html, ", <code>{}</code>", encode_text(&side.bank_reference))?;
    }
    match side.at {
        Some(at) => write!(html, "<br>{}", offset(8).to_datetime(at).strftime("%Y-%m-%d %H:%M:%S")),
        None => Ok(()),
    }
}
