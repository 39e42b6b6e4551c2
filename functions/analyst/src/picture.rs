//! One readable picture of a ring: applications and the things that hold them together, laid out by forces.
//!
//! The layout begins with the things on a circle and every application near one of its own, so that the same sighting
//! always gives the same picture. Nothing personal is in it: things are keyed hashes, applications are ids.

use crate::told::ToldRing;
use domain::{ApplicationId, ring::RingLabel};
use fjadra::{Collide, Link, ManyBody, Node, PositionX, PositionY, SimulationBuilder};
use html_escape::encode_text;
use ports::rings::Sighting;
use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::TAU,
    fmt::Write as _,
};

/// The plane of the graph; the panel with the words is to the right of it.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 720.0;
const PANEL: f64 = 400.0;
const MARGIN: f64 = 56.0;
const STEPS: usize = 400;

/// A kind of thing: its colour, and its shape around the origin as a path.
struct Kind {
    name: &'static str,
    zh: &'static str,
    colour: &'static str,
    path: &'static str,
}

const KINDS: [Kind; 7] = [
    Kind { name: "card", zh: "银行卡", colour: "#b35900", path: "M-17,-11H17V11H-17Z M-17,-5H17" },
    Kind { name: "device", zh: "设备", colour: "#1f5fa8", path: "M-10,-17H10V17H-10Z M-4,13H4" },
    Kind {
        name: "account",
        zh: "账号",
        colour: "#35506b",
        path: "M0,-16A8,8 0 1 1 0,0A8,8 0 1 1 0,-16 M-15,17A15,15 0 0 1 15,17Z",
    },
    Kind { name: "phone", zh: "手机号", colour: "#00796b", path: "M0,-17L16,12H-16Z" },
    Kind { name: "person", zh: "个人", colour: "#7b3fa0", path: "M0,-18L18,0L0,18L-18,0Z" },
    Kind { name: "firm", zh: "企业", colour: "#8a6d00", path: "M-9,-16H9L18,0L9,16H-9L-18,0Z" },
    Kind { name: "guarantee", zh: "担保", colour: "#a8324a", path: "M0,-17L16,-5L10,14H-10L-16,-5Z" },
];

/// What is drawn: applications first, then things.
struct Graph<'a> {
    applications: Vec<ApplicationId>,
    things: Vec<(&'a Kind, &'a str, usize)>,
    edges: Vec<(usize, usize)>,
}

/// The latest sighting of a ring as an SVG document.
pub fn svg(told: &ToldRing) -> String {
    let latest = &told.latest;
    let graph = graph(latest);
    let places = layout(&graph);
    let (width, half) = (WIDTH + PANEL, WIDTH);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" font-family="'Noto Sans CJK SC','Noto Sans SC','WenQuanYi Zen Hei',sans-serif" font-size="12">
<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/><rect x="{half}" width="{PANEL}" height="{HEIGHT}" fill="#f4f5f7"/>
"##
    );
    edges(&graph, &places, &mut svg);
    things(&graph, &places, &mut svg);
    applications(&graph, &places, latest.finder, &mut svg);
    panel(told, &graph, &mut svg);
    svg.push_str("</svg>\n");
    svg
}

fn graph(seen: &Sighting) -> Graph<'_> {
    let mut known: BTreeSet<ApplicationId> = seen.members.iter().copied().collect();
    known.extend(seen.features.evidence.iter().flat_map(|evidence| &evidence.applications));
    let applications: Vec<ApplicationId> = known.into_iter().collect();
    let mut things = Vec::new();
    let mut edges = Vec::new();
    for evidence in &seen.features.evidence {
        let Some(kind) = KINDS.iter().find(|kind| kind.name == evidence.kind) else { continue };
        let thing = applications.len() + things.len();
        things.push((kind, evidence.node.as_str(), evidence.applications.len()));
        let places = evidence.applications.iter().filter_map(|id| applications.binary_search(id).ok());
        edges.extend(places.map(|application| (application, thing)));
    }
    Graph { applications, things, edges }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has a hundred nodes")]
fn layout(graph: &Graph<'_>) -> Vec<(f64, f64)> {
    let count = graph.applications.len() + graph.things.len();
    let on_circle = |place: usize, of: usize, radius: f64| {
        let angle = TAU * place as f64 / of.max(1) as f64;
        (radius * angle.cos(), radius * angle.sin())
    };
    let first = graph.applications.len();
    let begin = (0..count).map(|place| match place.checked_sub(first) {
        Some(thing) => on_circle(thing, graph.things.len(), 120.0),
        None => on_circle(place, first, 260.0),
    });
    let nodes = begin.map(|(x, y)| Node::default().position(x, y));
    let mut simulation = SimulationBuilder::default()
        .build(nodes)
        .add_force("link", Link::new(graph.edges.iter().copied()).distance(110.0).iterations(2))
        .add_force("charge", ManyBody::new().strength(-420.0))
        .add_force("collide", Collide::new().radius(|_| 34.0).iterations(2))
        .add_force("x", PositionX::new().strength(0.05))
        .add_force("y", PositionY::new().strength(0.07));
    simulation.tick(STEPS);
    fit(&simulation.positions().map(|[x, y]| (x, y)).collect::<Vec<_>>())
}

/// Stretches the places over the plane, by no more than half as much again.
fn fit(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = places.iter().map(of);
        (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max))
    };
    let ((left, right), (top, bottom)) = (range(|place| place.0), range(|place| place.1));
    let scale = |from: f64, to: f64, room: f64| (room / (to - from).max(1.0)).min(1.5);
    let scale = scale(left, right, WIDTH - 2.0 * MARGIN).min(scale(top, bottom, HEIGHT - 2.0 * MARGIN));
    let centre = |from: f64, to: f64, room: f64, at: f64| room / 2.0 + (at - f64::midpoint(from, to)) * scale;
    places.iter().map(|(x, y)| (centre(left, right, WIDTH, *x), centre(top, bottom, HEIGHT, *y))).collect()
}

fn edges(graph: &Graph<'_>, places: &[(f64, f64)], svg: &mut String) {
    let first = graph.applications.len();
    for (application, thing) in &graph.edges {
        let (Some((x1, y1)), Some((x2, y2))) = (places.get(*application), places.get(*thing)) else {
            continue;
        };
        let Some((kind, hash, _)) = graph.things.get(thing - first) else { continue };
        let (colour, name, hash) = (kind.colour, kind.name, encode_text(hash));
        let (x, y) = (f64::midpoint(*x1, *x2), f64::midpoint(*y1, *y2));
        // Reads along the edge and never upside down.
        let turn = ((y2 - y1) / (x2 - x1)).atan().to_degrees();
        let turn = if turn.is_finite() { turn } else { 0.0 };
        _ = writeln!(
            svg,
            r#"<g><title>{name} {hash}</title><line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="1.6" stroke-opacity="0.6"/>"#
        );
        if graph.edges.len() <= 60 {
            _ = writeln!(
                svg,
                r##"<text x="{x:.1}" y="{y:.1}" transform="rotate({turn:.1} {x:.1} {y:.1})" dy="-3" text-anchor="middle" font-size="9" fill="{colour}">{name}</text>"##
            );
        }
        svg.push_str("</g>\n");
    }
}

fn things(graph: &Graph<'_>, places: &[(f64, f64)], svg: &mut String) {
    for ((kind, hash, sharers), (x, y)) in graph.things.iter().zip(&places[graph.applications.len()..]) {
        let (colour, path, name) = (kind.colour, kind.path, kind.name);
        let short = short(kind.name, hash);
        let (short, hash) = (encode_text(&short), encode_text(hash));
        _ = writeln!(
            svg,
            r##"<g transform="translate({x:.1} {y:.1})"><title>{name} {hash}</title><path d="{path}" fill="#ffffff" stroke="{colour}" stroke-width="2.5"/><text y="33" text-anchor="middle" fill="{colour}" font-weight="bold" stroke="#ffffff" stroke-width="3" paint-order="stroke">{name} {short} ×{sharers}</text></g>"##
        );
    }
}

/// Enough of a thing's name to tell it from others: the codes of firms begin alike where the firms are of one district.
fn short(kind: &str, name: &str) -> String {
    let end = |text: &str, count: usize| -> String {
        let skipped = text.chars().count().saturating_sub(count);
        text.chars().skip(skipped).collect()
    };
    match kind {
        "guarantee" => name.split('>').map(|code| end(code, 5)).collect::<Vec<_>>().join("→"),
        "firm" => end(name, 6),
        _ => name.chars().take(6).collect(),
    }
}

fn applications(graph: &Graph<'_>, places: &[(f64, f64)], finder: ApplicationId, svg: &mut String) {
    for (number, (id, (x, y))) in graph.applications.iter().zip(places).enumerate() {
        let (fill, ink) = if *id == finder { ("#333f50", "#ffffff") } else { ("#e3e7ee", "#1b2430") };
        let number = number + 1;
        _ = writeln!(
            svg,
            r##"<g transform="translate({x:.1} {y:.1})"><title>{id}</title><circle r="15" fill="{fill}" stroke="#333f50" stroke-width="1.5"/><text dy="4" text-anchor="middle" fill="{ink}">{number}</text></g>"##
        );
    }
}

/// Words: what the ring is, why, its figures, and what the shapes mean.
fn panel(told: &ToldRing, graph: &Graph<'_>, svg: &mut String) {
    let latest = &told.latest;
    let features = &latest.features;
    let verdict = features.verdict.as_ref();
    let label = verdict.map_or(RingLabel::Ordinary, |verdict| verdict.label);
    let mut y = 36.0;
    let mut line = |text: &str, size: u32, weight: &str, step: f64| {
        let text = encode_text(text);
        _ = writeln!(
            svg,
            r#"<text x="{:.0}" y="{y:.0}" font-size="{size}" font-weight="{weight}">{text}</text>"#,
            WIDTH + 22.0
        );
        y += step;
    };
    line(&format!("{} · {}", label.zh(), label.en()), 17, "bold", 24.0);
    line(&format!("ring {}", told.ring.ring), 12, "normal", 18.0);
    let seen = format!("{:.0}", latest.at);
    let times = format!("{}{} times", if told.cut_off { "at least " } else { "" }, told.history.len());
    line(&format!("seen {times}, last at {seen}"), 12, "normal", 26.0);
    for finding in verdict.into_iter().flat_map(|verdict| &verdict.findings) {
        line(&finding.zh, 13, "normal", 17.0);
        line(&finding.en, 12, "normal", 24.0);
    }
    let mut figures =
        vec![("applications, firms", format!("{}, {}", features.ring_size, features.ring_firms))];
    if let Some(profile) = verdict.map(|verdict| &verdict.profile) {
        let percent = |share: u32| format!("{share} %");
        figures.extend([
            (
                "persons, devices, cards, phones",
                format!("{}, {}, {}, {}", profile.persons, profile.devices, profile.cards, profile.phones),
            ),
            ("pairs that share something", percent(profile.density_percent)),
            (
                "share a device, card, phone",
                format!(
                    "{}, {}, {} %",
                    profile.shared_device_percent, profile.shared_card_percent, profile.shared_phone_percent
                ),
            ),
            (
                "share an address, network",
                format!("{}, {} %", profile.shared_address_percent, profile.shared_network_percent),
            ),
            ("ask for the same amount", percent(profile.same_amount_percent)),
            ("firms within one hour; hours in all", format!("{}; {}", profile.burst, profile.span_hours)),
            (
                "overdue loans, steps to the nearest",
                format!("{}, {}", profile.overdue_loans, profile.overdue_distance),
            ),
        ]);
    }
    if features.cut_off {
        figures.push(("cut off", "lower bounds only".to_owned()));
    }
    for (name, value) in figures {
        line(&format!("{name}: {value}"), 12, "normal", 18.0);
    }
    y += 14.0;
    legend(graph, latest.finder, y, svg);
}

fn legend(graph: &Graph<'_>, finder: ApplicationId, mut y: f64, svg: &mut String) {
    let x = WIDTH + 42.0;
    let mut seen: BTreeMap<&str, &Kind> = BTreeMap::new();
    seen.extend(graph.things.iter().map(|(kind, _, _)| (kind.name, *kind)));
    for kind in seen.values() {
        let (colour, path, name, zh) = (kind.colour, kind.path, kind.name, kind.zh);
        let told = match name {
            "guarantee" => "guarantor → debtor, ends of their codes",
            "firm" => "end of its code × applications",
            _ => "its hash × applications there",
        };
        _ = writeln!(
            svg,
            r##"<g transform="translate({x} {y})"><path d="{path}" fill="#ffffff" stroke="{colour}" stroke-width="2.5" transform="scale(0.7)"/><text x="26" dy="4">{zh} · {name}: {told}</text></g>"##
        );
        y += 32.0;
    }
    let of_finder = graph.applications.binary_search(&finder).map_or(0, |place| place + 1);
    for (fill, text) in [
        ("#e3e7ee", "申请 · application".to_owned()),
        ("#333f50", format!("最后发现者 · found it last: {of_finder}")),
    ] {
        _ = writeln!(
            svg,
            r##"<g transform="translate({x} {y})"><circle r="11" fill="{fill}" stroke="#333f50"/><text x="26" dy="4">{text}</text></g>"##
        );
        y += 30.0;
    }
}
