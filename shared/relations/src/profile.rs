//! What a ring looks like, in numbers.

use crate::{Member, Spread, spread::Proof};
use domain::{
    ApplicationId, FirmCode,
    ring::{RingProfile, STACKING_DAYS},
};
use jiff::SignedDuration;
use ports::relation::{Link, Node, NodeKind, TieKind};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Most members that are compared with each other, the newest first; a profile of more is a profile of these.
pub(crate) const MAX_COMPARED: usize = 128;
/// Most steps in looking for a circle of firms.
const MAX_CIRCLE_STEPS: u32 = 10_000;
/// Longest circle that is looked for.
const MAX_CIRCLE: usize = 32;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const STACKING: SignedDuration = SignedDuration::from_hours(24 * STACKING_DAYS);

/// The nodes of a kind among the members, each with the members that touch it and are believed to.
type Sharers<'a> = BTreeMap<&'a Node, Vec<&'a Link>>;

/// The profile of the ring that these members of a spread are.
pub fn profile(spread: &Spread, members: &BTreeMap<ApplicationId, Member<'_>>) -> RingProfile {
    let mut compared: Vec<&Link> = members.values().map(|member| member.link).collect();
    compared.sort_unstable_by_key(|link| (Reverse(link.at), link.application));
    compared.truncate(MAX_COMPARED);
    let at = |kind| sharers(spread, &compared, kind);
    let (devices, cards, phones, persons) =
        (at(NodeKind::Device), at(NodeKind::Card), at(NodeKind::Phone), at(NodeKind::Person));
    let (addresses, networks) = (at(NodeKind::Address), at(NodeKind::Network));
    let share = |kind: &Sharers| percent(shared_by_firms(spread, kind).len(), compared.len());
    let (overdue_loans, overdue_distance) = spread.overdue_around(members);
    let standings: Vec<_> = spread.standings().filter(|(id, _)| members.contains_key(id)).collect();
    let points: Vec<u32> = standings.iter().filter_map(|(_, s)| u32::try_from(s.points?).ok()).collect();
    RingProfile {
        persons: count(persons.len()),
        devices: count(devices.len()),
        cards: count(cards.len()),
        phones: count(phones.len()),
        addresses: count(addresses.len()),
        networks: count(networks.len()),
        lenders: different(&compared, |link| (!link.bank.is_empty()).then_some(&link.bank)),
        places: different(&compared, |link| link.place.as_ref()),
        density_percent: density(spread, &compared),
        shared_device_percent: share(&devices),
        shared_card_percent: share(&cards),
        shared_phone_percent: share(&phones),
        shared_person_percent: share(&persons),
        shared_address_percent: share(&addresses),
        shared_network_percent: shared_network(spread, &networks, compared.len()),
        same_amount_percent: same_amount(&compared),
        persons_on_device: most(&devices, |link| nodes_of(link, NodeKind::Person)),
        firms_on_card: most(&cards, |link| vec![link.firm.as_str()]),
        firms_on_phone: most(&phones, |link| vec![link.firm.as_str()]),
        firms_of_person: most(&persons, |link| vec![link.firm.as_str()]),
        stacked_lenders: stacked(&persons).max(stacked(&at(NodeKind::Firm))),
        burst: within(&compared, HOUR, |link| link.firm.as_str()),
        span_hours: span_hours(&compared),
        guarantee_circle: circle(spread, TieKind::Guarantee, members),
        invoice_circle: circle(spread, TieKind::Invoice, members),
        firms_of_owner: firms_at(spread, &[TieKind::Shareholder, TieKind::Director]),
        firms_on_registered_phone: firms_at(spread, &[TieKind::RegisteredPhone]),
        overdue_loans,
        overdue_distance,
        judged: count(standings.len()),
        declined: count(standings.iter().filter(|(_, s)| s.declined && s.proof == Proof::Proven).count()),
        mean_points: points.iter().sum::<u32>().checked_div(count(points.len())).unwrap_or(0),
        lowest_points: points.iter().copied().min().unwrap_or(0),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn percent(part: usize, whole: usize) -> u32 {
    count(100 * part / whole.max(1))
}

fn nodes_of(link: &Link, kind: NodeKind) -> Vec<&str> {
    link.nodes.iter().filter(|node| node.kind == kind).map(|node| node.hash.as_str()).collect()
}

fn sharers<'a>(spread: &Spread, links: &[&'a Link], kind: NodeKind) -> Sharers<'a> {
    let mut sharers = Sharers::new();
    for link in links.iter().filter(|link| spread.holds(kind, link.application)) {
        let nodes: BTreeSet<&Node> = link.nodes.iter().filter(|node| node.kind == kind).collect();
        for node in nodes {
            sharers.entry(node).or_default().push(link);
        }
    }
    sharers
}

fn firms<'a>(links: &[&'a Link]) -> BTreeSet<&'a FirmCode> {
    links.iter().map(|link| &link.firm).collect()
}

/// The members that share a node of the kind with another firm. A strong node that is a crowd ties nobody.
fn shared_by_firms(spread: &Spread, kind: &Sharers<'_>) -> BTreeSet<ApplicationId> {
    let counts = |node: &Node| spread.joins(node) || !crate::is_strong(node.kind);
    let shared = kind.iter().filter(|(node, links)| counts(node) && firms(links).len() > 1);
    shared.flat_map(|(_, links)| links.iter().map(|link| link.application)).collect()
}

/// Each member of a network that it shares with another firm counts by the share of that network's applications that
/// are members.
fn shared_network(spread: &Spread, networks: &Sharers<'_>, members: usize) -> u32 {
    let shared = networks.iter().filter(|(_, links)| firms(links).len() > 1);
    let weigh = |(node, links): (&&Node, &Vec<&Link>)| {
        let here = links.len() as u64;
        1_000 * here * here / spread.degree(node).max(here)
    };
    let weight: u64 = shared.map(weigh).sum();
    u32::try_from(weight / (10 * members.max(1) as u64)).unwrap_or(u32::MAX)
}

fn different<'a, T: Ord>(links: &[&'a Link], of: impl Fn(&'a Link) -> Option<T>) -> u32 {
    count(links.iter().filter_map(|link| of(link)).collect::<BTreeSet<_>>().len())
}

fn same_amount(links: &[&Link]) -> u32 {
    let mut amounts: BTreeMap<u64, usize> = BTreeMap::new();
    for link in links.iter().filter(|link| link.amount_fen > 0) {
        *amounts.entry(link.amount_fen).or_default() += 1;
    }
    percent(amounts.into_values().max().unwrap_or(0), links.len())
}

/// The most different things that the applications at one node name.
fn most<'a>(kind: &Sharers<'a>, of: impl Fn(&'a Link) -> Vec<&'a str>) -> u32 {
    let things =
        |links: &Vec<&'a Link>| links.iter().flat_map(|link| of(link)).collect::<BTreeSet<_>>().len();
    count(kind.values().map(things).max().unwrap_or(0))
}

/// The most different things named within a time.
fn within<'a>(links: &[&'a Link], time: SignedDuration, of: impl Fn(&'a Link) -> &'a str) -> u32 {
    let mut links: Vec<&Link> = links.to_vec();
    links.sort_unstable_by_key(|link| link.at);
    let from = |first: usize| {
        let until = links[first].at.saturating_add(time).unwrap_or(jiff::Timestamp::MAX);
        let near = links[first..].iter().take_while(|link| link.at <= until);
        near.map(|link| of(link)).collect::<BTreeSet<_>>().len()
    };
    count((0..links.len()).map(from).max().unwrap_or(0))
}

/// The most banks that the applications at one node ask within days.
fn stacked(kind: &Sharers<'_>) -> u32 {
    kind.values().map(|links| within(links, STACKING, |link| &link.bank)).max().unwrap_or(0)
}

fn span_hours(links: &[&Link]) -> u32 {
    let times = links.iter().map(|link| link.at);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return 0 };
    u32::try_from(last.duration_since(first).as_hours()).unwrap_or(u32::MAX)
}

fn density(spread: &Spread, links: &[&Link]) -> u32 {
    let held = |link: &Link| -> BTreeSet<Node> {
        let held = |node: &&Node| spread.joins(node) && spread.holds(node.kind, link.application);
        link.nodes.iter().filter(held).cloned().collect()
    };
    let nodes: Vec<BTreeSet<Node>> = links.iter().map(|link| held(link)).collect();
    let pairs = nodes.len() * nodes.len().saturating_sub(1) / 2;
    let joined = |first: usize| nodes[first + 1..].iter().filter(|n| !n.is_disjoint(&nodes[first])).count();
    percent((0..nodes.len()).map(joined).sum(), pairs)
}

fn firms_at(spread: &Spread, kinds: &[TieKind]) -> u32 {
    spread.ties().map_or(0, |ties| ties.firms_at(kinds))
}

/// Least firms of members in a circle: the others in it need not have applied.
const MEMBERS_IN_CIRCLE: usize = 3;

/// The firms in the longest circle, with enough of the members' firms, that a bounded search finds. Firms that are tied in
/// pairs make no circle.
fn circle(spread: &Spread, kind: TieKind, members: &BTreeMap<ApplicationId, Member<'_>>) -> u32 {
    let firms: BTreeSet<&str> = members.values().map(|member| member.link.firm.as_str()).collect();
    let mut debtors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in spread.ties().into_iter().flat_map(|ties| ties.between_firms(kind)) {
        debtors.entry(from.as_str()).or_default().insert(to);
    }
    let mut steps = 0;
    let counts =
        |path: &[&str]| path.iter().filter(|firm| firms.contains(*firm)).count() >= MEMBERS_IN_CIRCLE;
    let longest = debtors.keys().map(|start| walk(&debtors, &counts, &mut vec![*start], &mut steps));
    count(longest.max().unwrap_or(0))
}

/// The longest way from the end of `path` back to its start over firms after the start only, so that each circle is walked
/// from one of its firms.
fn walk<'a>(
    debtors: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    counts: &impl Fn(&[&str]) -> bool,
    path: &mut Vec<&'a str>,
    steps: &mut u32,
) -> usize {
    let mut longest = 0;
    let Some(start) = path.first().copied() else { return 0 };
    let Some(next) = path.last().and_then(|last| debtors.get(last)) else { return 0 };
    for firm in next {
        *steps += 1;
        if *steps > MAX_CIRCLE_STEPS {
            break;
        }
        if *firm == start && path.len() > 2 && counts(path) {
            longest = longest.max(path.len());
        } else if *firm > start && path.len() < MAX_CIRCLE && !path.contains(firm) {
            path.push(firm);
            longest = longest.max(walk(debtors, counts, path, steps));
            path.pop();
        }
    }
    longest
}
