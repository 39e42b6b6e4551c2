//! A report as a page: one file, no script, nothing loaded from elsewhere.

use crate::{
    Applications, BandOutcome, BandShare, Bin, ChallengerReport, FeatureReport, Finding, Interval, Measure,
    Outcomes, PointsReport, Report,
};
use html_escape::encode_text;
use std::fmt::{self, Write as _};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1a1a1a}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%;margin-top:1rem}\
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}th{background:#f5f5f5}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.quiet{color:#176b2c}.notice{color:#3c4a8a}\
.attention{color:#8a5a00}.warning{color:#a3161b}.bar{display:inline-block;height:.7rem;background:#8aa5c9}\
.then{background:#d5d5d5}small{color:#555}";
/// Width of a bar that stands for everything, in pixels.
const BAR: f64 = 300.0;

/// The report as HTML.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    // Writing to a string does not fail.
    let _ = write(report, &mut html);
    html
}

fn write(report: &Report, html: &mut String) -> fmt::Result {
    let (model, day) = (encode_text(&report.model), report.day);
    let (class, headline) = match report.level {
        None if report.enough => ("quiet", "nothing to tell"),
        None => ("notice", "too few applications to tell"),
        Some(level) => (level.as_str(), level.as_str()),
    };
    write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Model {model}, {day}</title>\
         <style>{STYLE}</style></head>\
         <body><h1>Model {model}, {day}: <span class=\"{class}\">{headline}</span></h1>"
    )?;
    findings(html, &report.findings)?;
    for note in &report.notes {
        write!(html, "<p>{}</p>", encode_text(note))?;
    }
    html.push_str("<h2>Applications</h2>");
    applications(html, &report.window)?;
    let (scored, empty, other) = (report.scored, report.without_features, report.of_another_shape);
    write!(html, "<p>{scored} scored by this model, {empty} of them without the model's input, ")?;
    write!(html, "{other} with an input of another length.</p>")?;
    if let Some(report) = &report.points {
        points(html, report)?;
    }
    features(html, report)?;
    outcomes(html, &report.outcomes)?;
    for report in &report.challengers {
        challenger(html, report)?;
    }
    html.push_str("</body></html>\n");
    Ok(())
}

fn findings(html: &mut String, findings: &[Finding]) -> fmt::Result {
    if findings.is_empty() {
        return Ok(());
    }
    html.push_str(
        "<table><tr><th>level</th><th>what</th><th class=\"n\">value</th><th class=\"n\">threshold</th></tr>",
    );
    for finding in findings {
        let (class, what) = (finding.level.as_str(), measure(finding.measure));
        let of = finding.of.as_deref().map(|of| format!(" <code>{}</code>", encode_text(of)));
        let (of, value, threshold) = (of.unwrap_or_default(), finding.value, finding.threshold);
        write!(html, "<tr><td class=\"{class}\">{class}</td><td>{what}{of}</td>")?;
        write!(html, "<td class=\"n\">{value:.4}</td><td class=\"n\">{threshold}</td></tr>")?;
    }
    html.push_str("</table>");
    Ok(())
}

/// What a measure is called.
fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::PointsPsi => "the points have moved from training (PSI)",
        Measure::CalibrationChance => {
            "as many defaults by chance if the predictions were right (probability)"
        }
        Measure::AucLoss => "AUC in training above the AUC now",
        Measure::FeaturePsi => "a feature has moved from training (PSI):",
    }
}

fn applications(html: &mut String, window: &Applications) -> fmt::Result {
    let Applications { from, to, listed, read, outside, unreadable, unscored, .. } = window;
    write!(
        html,
        "<p>Received {from} to {to}, days in China: {listed} listed, {read} read, {outside} of these "
    )?;
    write!(html, "received on another day, {unscored} never scored, {unreadable} unreadable.</p>")
}

fn percent(share: f64) -> String {
    format!("{:.2}&nbsp;%", 100.0 * share)
}

fn percent_or_none(share: Option<f64>) -> String {
    share.map(percent).unwrap_or_default()
}

fn interval(interval: &Interval) -> String {
    format!("{:.3} ({:.3} to {:.3})", interval.value, interval.low, interval.high)
}

fn bar(class: &str, share: f64) -> String {
    format!("<span class=\"bar {class}\" style=\"width:{:.0}px\"></span>", BAR * share.clamp(0.0, 1.0))
}

fn points(html: &mut String, report: &PointsReport) -> fmt::Result {
    let (mean, chance) = (report.mean, percent(report.mean_default_probability));
    write!(html, "<h2>Points</h2><p>Mean {mean:.1}, mean predicted chance to default {chance}")?;
    match &report.shift {
        Some(shift) => {
            let (psi, chance) = (shift.psi, shift.by_chance);
            write!(html, ", PSI {psi:.4} (as far by chance: {chance:.4}).</p>")?;
        }
        None => html.push_str(".</p>"),
    }
    if !report.bins.is_empty() {
        html.push_str(
            "<table><tr><th>points</th><th class=\"n\">training</th><th class=\"n\">now</th><th></th></tr>",
        );
        for Bin { above, up_to, then, now } in &report.bins {
            let range = match (above, up_to) {
                (Some(above), Some(up_to)) => format!("above {above}, up to {up_to}"),
                (Some(above), None) => format!("above {above}"),
                (None, Some(up_to)) => format!("up to {up_to}"),
                (None, None) => "all".to_owned(),
            };
            let (bars, then, now) =
                (format!("{}<br>{}", bar("then", *then), bar("", *now)), percent(*then), percent(*now));
            write!(html, "<tr><td>{range}</td><td class=\"n\">{then}</td>")?;
            write!(html, "<td class=\"n\">{now}</td><td>{bars}</td></tr>")?;
        }
        html.push_str("</table>");
    }
    html.push_str(
        "<table><tr><th>decision band</th><th class=\"n\">applications</th><th class=\"n\">share</th></tr>",
    );
    for BandShare { from, applications, share } in &report.bands {
        let (name, share) = (band_name(*from), percent(*share));
        write!(
            html,
            "<tr><td>{name}</td><td class=\"n\">{applications}</td><td class=\"n\">{share}</td></tr>"
        )?;
    }
    html.push_str("</table>");
    Ok(())
}

fn band_name(from: Option<i32>) -> String {
    from.map_or_else(|| "lowest".to_owned(), |from| format!("from {from}"))
}

fn features(html: &mut String, report: &Report) -> fmt::Result {
    if report.features.is_empty() {
        return Ok(());
    }
    html.push_str(
        "<h2>Features</h2><table><tr><th>feature</th><th>dimension</th><th class=\"n\">PSI</th>\
         <th class=\"n\">by chance</th><th class=\"n\">missing in training</th><th class=\"n\">missing now</th>\
         <th class=\"n\">outside the range of training</th></tr>",
    );
    for FeatureReport { name, dimension, shift, missing_then, missing_now, outside_range, .. } in
        &report.features
    {
        let (psi, chance) = match shift {
            Some(shift) => (format!("{:.4}", shift.psi), format!("{:.4}", shift.by_chance)),
            None => Default::default(),
        };
        let (name, dimension) = (encode_text(name), encode_text(dimension));
        let (then, now, outside) =
            (percent_or_none(*missing_then), percent(*missing_now), percent(*outside_range));
        write!(html, "<tr><td><code>{name}</code></td><td>{dimension}</td><td class=\"n\">{psi}</td>")?;
        write!(html, "<td class=\"n\">{chance}</td><td class=\"n\">{then}</td><td class=\"n\">{now}</td>")?;
        write!(html, "<td class=\"n\">{outside}</td></tr>")?;
    }
    html.push_str("</table><table><tr><th>dimension</th><th class=\"n\">without any value now</th></tr>");
    for dimension in &report.dimensions {
        let (name, missing) = (encode_text(&dimension.name), percent(dimension.missing_now));
        write!(html, "<tr><td>{name}</td><td class=\"n\">{missing}</td></tr>")?;
    }
    html.push_str("</table>");
    Ok(())
}

fn outcomes(html: &mut String, report: &Outcomes) -> fmt::Result {
    html.push_str("<h2>Outcomes</h2>");
    applications(html, &report.window)?;
    let told = &report.calibration;
    let (loans, defaulted, predicted) = (told.loans, told.defaulted, told.predicted);
    write!(
        html,
        "<p>{loans} loans with an outcome, {defaulted} defaulted, {predicted:.1} were predicted to; "
    )?;
    write!(html, "of {} loans the bank has never reported.", report.window.unreported)?;
    if let (Some(z), Some(chance)) = (told.z, told.by_chance) {
        write!(html, " Spiegelhalter's z {z:.2} (as far by chance: {chance:.4}).")?;
    }
    if let Some(rate) = report.base_rate {
        write!(html, " In training {} defaulted.", percent(rate))?;
    }
    html.push_str("</p>");
    if let Some(told) = &report.discrimination {
        write!(html, "<p>AUC {}, KS {}, 95 % intervals; ", interval(&told.auc), interval(&told.ks))?;
        html.push_str("of loans that were granted, so lower than of all who applied.");
        if let Some(then) = report.auc_then {
            write!(html, " AUC on what was held out of training: {then:.3}.")?;
        }
        html.push_str("</p>");
    }
    if loans == 0 {
        return Ok(());
    }
    html.push_str(
        "<table><tr><th>decision band</th><th class=\"n\">loans</th><th class=\"n\">defaulted</th>\
         <th class=\"n\">share</th><th class=\"n\">95 % interval</th><th class=\"n\">predicted</th></tr>",
    );
    for BandOutcome { from, loans, defaulted, observed, interval: [low, high], predicted } in &report.bands {
        let (name, observed, predicted) =
            (band_name(*from), percent_or_none(*observed), percent_or_none(*predicted));
        let (low, high) = (percent(*low), percent(*high));
        write!(html, "<tr><td>{name}</td><td class=\"n\">{loans}</td><td class=\"n\">{defaulted}</td>")?;
        write!(html, "<td class=\"n\">{observed}</td><td class=\"n\">{low} to {high}</td>")?;
        write!(html, "<td class=\"n\">{predicted}</td></tr>")?;
    }
    html.push_str("</table>");
    Ok(())
}

fn challenger(html: &mut String, report: &ChallengerReport) -> fmt::Result {
    let number = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    let psi = number(report.shift.map(|shift| shift.psi));
    write!(
        html,
        "<h2>Challenger {}</h2><p>{} applications were scored by both. Where a difference is told, it is the \
         challenger's value less the deciding model's.</p><table>",
        encode_text(&report.model),
        report.applications
    )?;
    let mut row =
        |name: &str, value: &str| write!(html, "<tr><td>{name}</td><td class=\"n\">{value}</td></tr>");
    row("PSI between the points of both", &psi)?;
    row("mean difference, points", &number(report.mean_difference_points))?;
    row("mean difference, chance to default", &number(report.mean_difference_probability))?;
    row("rank correlation (Spearman)", &number(report.rank_correlation))?;
    for crossing in &report.crossings {
        let (up, down) = (percent(crossing.up), percent(crossing.down));
        row(&format!("would cross {} points", crossing.edge), &format!("{up} up, {down} down"))?;
    }
    row("loans with an outcome", &format!("{}, {} defaulted", report.loans, report.defaulted))?;
    if let Some(auc) = &report.auc {
        row("AUC of the deciding model", &interval(&auc.one))?;
        row("AUC of the challenger", &interval(&auc.other))?;
        row("difference", &interval(&auc.difference))?;
    }
    html.push_str("</table>");
    Ok(())
}
