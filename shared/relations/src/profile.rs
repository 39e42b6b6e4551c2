//! What a ring looks like, in numbers.

use crate::{Members, Spread, found::Number, is_strong, spread::Proof};
use domain::ring::{NEW_ACCOUNT_DAYS, RingProfile, STACKING_DAYS};
use jiff::{SignedDuration, Timestamp};
use ports::relation::{Link, NodeKind, TieKind};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Most members that are compared with each other, the newest first; a profile of more is a profile of these.
pub(crate) const MAX_COMPARED: usize = u128::BITS as usize;
/// Most steps in looking for a circle of firms.
const MAX_CIRCLE_STEPS: u32 = 10_000;
/// What somebody signs in with or on: several persons at one of them are the same sign.
const LOGINS: [NodeKind; 2] = [NodeKind::Device, NodeKind::Account];
/// Longest circle that is looked for.
const MAX_CIRCLE: usize = 32;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const STACKING: SignedDuration = SignedDuration::from_hours(24 * STACKING_DAYS);

/// The profile of the ring that these members of a spread are.
pub fn profile(spread: &Spread, members: &Members<'_>) -> RingProfile {
    let compared = Compared::of(spread, members);
    let (device, card, phone) = (NodeKind::Device, NodeKind::Card, NodeKind::Phone);
    let (overdue_loans, overdue_distance) = spread.overdue_around(members);
    let standings: Vec<_> = spread.standings().filter(|(id, _)| members.get(**id).is_some()).collect();
    let scores = spread.scores().filter(|(id, _)| members.get(*id).is_some());
    let (scored, unscored): (Vec<_>, Vec<_>) = scores.map(|(_, scored)| scored).partition(Option::is_some);
    let scored: Vec<_> = scored.into_iter().flatten().collect();
    let points = scored.iter().map(|scored| scored.points);
    let mean = |sum: u32| sum.checked_div(count(scored.len())).unwrap_or(0);
    let cost = |dimension: usize| mean(scored.iter().map(|scored| scored.costs[dimension]).sum());
    let [business_cost, finance_cost, government_cost, tax_cost, risk_cost] = std::array::from_fn(cost);
    RingProfile {
        persons: compared.nodes(NodeKind::Person),
        devices: compared.nodes(device),
        cards: compared.nodes(card),
        phones: compared.nodes(phone),
        addresses: compared.nodes(NodeKind::Address),
        networks: compared.nodes(NodeKind::Network),
        lenders: different(compared.links().map(|link| &link.bank).filter(|bank| !bank.is_empty())),
        places: different(compared.links().filter_map(|link| link.place.as_ref())),
        density_percent: compared.density(),
        shared_device_percent: compared.share(&LOGINS),
        shared_card_percent: compared.share(&[card]),
        shared_phone_percent: compared.share(&[phone]),
        shared_person_percent: compared.share(&[NodeKind::Person]),
        shared_address_percent: compared.share(&[NodeKind::Address]),
        shared_network_percent: compared.shared_network(),
        same_amount_percent: compared.same_amount(),
        new_accounts: count(compared.links().filter(|link| is_new(link)).count()),
        persons_on_device: compared.most(&LOGINS, |of| compared.persons(of)),
        firms_on_card: compared.most(&[card], |of| compared.firms(of)),
        firms_on_phone: compared.most(&[phone], |of| compared.firms(of)),
        firms_of_person: compared.most(&[NodeKind::Person], |of| compared.firms(of)),
        stacked_lenders: compared.stacked(&[NodeKind::Person, NodeKind::Firm]),
        burst: compared.within(Set::MAX, HOUR, &compared.firms),
        span_hours: compared.span_hours(),
        guarantee_circle: circle(spread, TieKind::Guarantee, members),
        invoice_circle: circle(spread, TieKind::Invoice, members),
        firms_of_owner: firms_at(spread, &[TieKind::Shareholder, TieKind::Director]),
        firms_on_registered_phone: firms_at(spread, &[TieKind::RegisteredPhone]),
        overdue_loans,
        overdue_distance,
        judged: count(standings.len()),
        declined: count(standings.iter().filter(|(_, s)| s.declined && s.proof == Proof::Proven).count()),
        scored: count(scored.len()),
        unscored: count(unscored.len()),
        mean_points: mean(points.clone().sum()),
        lowest_points: points.min().unwrap_or(0),
        business_cost,
        finance_cost,
        government_cost,
        tax_cost,
        risk_cost,
    }
}

fn is_new(link: &Link) -> bool {
    link.account_days.is_some_and(|days| days < NEW_ACCOUNT_DAYS)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn percent(part: u32, whole: usize) -> u32 {
    100 * part / count(whole).max(1)
}

fn different<T: Ord>(things: impl Iterator<Item = T>) -> u32 {
    let mut things: Vec<T> = things.collect();
    things.sort_unstable();
    things.dedup();
    count(things.len())
}

/// Numbers equal things equally, from 0 on.
fn numbered<T: Ord>(things: impl Iterator<Item = T> + Clone) -> Vec<u8> {
    let mut known: Vec<T> = things.clone().collect();
    known.sort_unstable();
    known.dedup();
    let place = |thing| known.binary_search(&thing).unwrap_or_default();
    things.map(|thing| u8::try_from(place(thing)).unwrap_or(u8::MAX)).collect()
}

/// Members that are compared: a bit for each.
type Set = u128;

fn bits(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (place < MAX_COMPARED).then_some(place)
    })
}

/// The members that are compared, in the order of time, and who of them stands at each of their nodes.
struct Compared<'a> {
    spread: &'a Spread,
    members: Vec<(&'a Link, Number)>,
    /// Numbers of their firms and banks.
    firms: Vec<u8>,
    banks: Vec<u8>,
    /// Each node with those who are believed to stand there.
    at: Vec<(Number, NodeKind, Set)>,
}

impl<'a> Compared<'a> {
    fn of(spread: &'a Spread, members: &Members<'a>) -> Self {
        let mut members: Vec<_> = members.iter().map(|member| (member.link, member.number)).collect();
        if members.len() > MAX_COMPARED {
            members.sort_unstable_by_key(|(link, _)| (Reverse(link.at), link.application));
            members.truncate(MAX_COMPARED);
        }
        members.sort_unstable_by_key(|(link, _)| link.at);
        let found = spread.found();
        let mut sets: Vec<Set> = vec![0; found.nodes()];
        for (place, (link, number)) in members.iter().enumerate() {
            for node in found.touched(*number) {
                if spread.holds(found.node(*node).kind, link.application) {
                    sets[*node as usize] |= 1 << place;
                }
            }
        }
        let at = (0..).zip(sets).filter(|(_, set)| *set != 0);
        let at = at.map(|(node, set)| (node, found.node(node).kind, set)).collect();
        let firms = numbered(members.iter().map(|(link, _)| &link.firm));
        let banks = numbered(members.iter().map(|(link, _)| &link.bank));
        Self { spread, members, firms, banks, at }
    }

    fn links(&self) -> impl Iterator<Item = &'a Link> {
        self.members.iter().map(|(link, _)| *link)
    }

    fn at(&self, kind: NodeKind) -> impl Iterator<Item = (Number, Set)> {
        self.at.iter().filter(move |(_, of, _)| *of == kind).map(|(node, _, set)| (*node, *set))
    }

    fn nodes(&self, kind: NodeKind) -> u32 {
        count(self.at(kind).count())
    }

    fn firms(&self, of: Set) -> u32 {
        let firms = bits(of).filter_map(|place| self.firms.get(place));
        firms.fold(0, |seen: Set, firm| seen | 1 << firm).count_ones()
    }

    fn persons(&self, of: Set) -> u32 {
        let found = self.spread.found();
        let nodes = bits(of)
            .filter_map(|place| self.members.get(place))
            .flat_map(|(_, number)| found.touched(*number));
        different(nodes.filter(|node| found.node(**node).kind == NodeKind::Person))
    }

    fn most(&self, kinds: &[NodeKind], of: impl Fn(Set) -> u32) -> u32 {
        let at = self.at.iter().filter(|(_, kind, _)| kinds.contains(kind));
        at.map(|(_, _, set)| of(*set)).max().unwrap_or(0)
    }

    /// The share of those who share a node of the kinds with another firm. A strong node that is a crowd ties nobody.
    fn share(&self, kinds: &[NodeKind]) -> u32 {
        let counts = |node, kind| self.spread.joins(node) || !is_strong(kind);
        let shared = self.at.iter().filter(|(node, kind, set)| {
            kinds.contains(kind) && set.count_ones() > 1 && counts(*node, *kind) && self.firms(*set) > 1
        });
        percent(shared.fold(0, |all: Set, (_, _, set)| all | set).count_ones(), self.members.len())
    }

    /// Each member of a network that it shares with another firm counts by the share of that network's applications that
    /// are members.
    fn shared_network(&self) -> u32 {
        let shared = self.at(NodeKind::Network).filter(|(_, set)| self.firms(*set) > 1);
        let weigh = |(node, set): (Number, Set)| {
            let here = u64::from(set.count_ones());
            1_000 * here * here / self.spread.degree(node).max(here)
        };
        let weight: u64 = shared.map(weigh).sum();
        u32::try_from(weight / (10 * self.members.len().max(1) as u64)).unwrap_or(u32::MAX)
    }

    fn same_amount(&self) -> u32 {
        let mut amounts: Vec<u64> = self.links().map(|link| link.amount_fen).filter(|fen| *fen > 0).collect();
        amounts.sort_unstable();
        let most = amounts.chunk_by(|one, other| one == other).map(<[u64]>::len).max();
        percent(count(most.unwrap_or(0)), self.members.len())
    }

    /// The most different things, by their numbers, that some of the members name within a time.
    fn within(&self, of: Set, time: SignedDuration, things: &[u8]) -> u32 {
        let mut named = [0_u8; MAX_COMPARED];
        let (mut different, mut most) = (0, 0);
        let mut oldest = bits(of);
        let mut left = oldest.next();
        for place in bits(of).take_while(|place| *place < self.members.len()) {
            let at = self.members[place].0.at;
            let is_past =
                |before: usize| self.members[before].0.at.saturating_add(time).unwrap_or(Timestamp::MAX) < at;
            while let Some(before) = left.filter(|before| is_past(*before)) {
                let still = &mut named[usize::from(things[before])];
                *still -= 1;
                different -= u32::from(*still == 0);
                left = oldest.next();
            }
            let now = &mut named[usize::from(things[place])];
            *now += 1;
            different += u32::from(*now == 1);
            most = most.max(different);
        }
        most
    }

    /// The most banks that those at one node ask within days.
    fn stacked(&self, kinds: &[NodeKind]) -> u32 {
        self.most(kinds, |set| self.within(set, STACKING, &self.banks))
    }

    fn span_hours(&self) -> u32 {
        let (Some((first, _)), Some((last, _))) = (self.members.first(), self.members.last()) else {
            return 0;
        };
        u32::try_from(last.at.duration_since(first.at).as_hours()).unwrap_or(u32::MAX)
    }

    /// The pairs that share a joining node, of all pairs.
    fn density(&self) -> u32 {
        let mut joined: Vec<Set> = vec![0; self.members.len()];
        for (_, _, set) in
            self.at.iter().filter(|(node, _, set)| set.count_ones() > 1 && self.spread.joins(*node))
        {
            for place in bits(*set) {
                joined[place] |= set;
            }
        }
        // Each pair stands there twice, and each with itself.
        let with_others = joined.iter().filter(|set| **set != 0).map(|set| set.count_ones() - 1);
        let pairs = self.members.len() * self.members.len().saturating_sub(1) / 2;
        percent(with_others.sum::<u32>() / 2, pairs)
    }
}

fn firms_at(spread: &Spread, kinds: &[TieKind]) -> u32 {
    spread.ties().map_or(0, |ties| ties.firms_at(kinds))
}

/// Least firms of members in a circle: the others in it need not have applied.
const MEMBERS_IN_CIRCLE: usize = 3;

/// The firms in the longest circle, with enough of the members' firms, that a bounded search finds. Firms that are tied in
/// pairs make no circle.
fn circle(spread: &Spread, kind: TieKind, members: &Members<'_>) -> u32 {
    let mut debtors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in spread.ties().into_iter().flat_map(|ties| ties.between_firms(kind)) {
        debtors.entry(from.as_str()).or_default().insert(to);
    }
    if debtors.is_empty() {
        return 0;
    }
    let firms: BTreeSet<&str> = members.iter().map(|member| member.link.firm.as_str()).collect();
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
