//! Whole graphs drawn by hand, and their difference from a book.

use super::*;
use crate::{Labels, Proof, Ring, Spread, Standing, TieSpread};
use domain::{RingId, ring::RingLabel};
use jiff::ToSpan as _;
use ports::{
    relation::{Neighbours, TieKind},
    ring_names::{Merge, NamesInBook},
};
use std::{collections::BTreeSet, sync::Arc};

fn labels() -> Labels {
    Labels::in_force().unwrap()
}

fn firm(number: u32) -> FirmCode {
    let stem = format!("91420100MA4K{number:05}");
    "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().find_map(|check| format!("{stem}{check}").parse().ok()).unwrap()
}

fn id(number: u32) -> ApplicationId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ApplicationId::from_bytes(bytes)
}

fn name(number: u32) -> RingId {
    id(number).ring_id()
}

fn minute(number: u32) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + i64::from(number) * 60).unwrap()
}

/// When the export was made: an hour after the last of the story.
fn now() -> Timestamp {
    minute(2_000) + 1.hour()
}

fn node(text: &str) -> Node {
    let (kind, hash) = text.split_once(' ').unwrap();
    let kind = NodeKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap();
    Node { kind, hash: hash.to_owned() }
}

/// Application n, of the nth firm, in the nth minute, at these nodes beside its firm.
fn link(n: u32, nodes: &[&str]) -> Link {
    let mut nodes: Vec<Node> = nodes.iter().map(|text| node(text)).collect();
    nodes.push(Node { kind: NodeKind::Firm, hash: firm(n).as_str().to_owned() });
    nodes.sort_unstable();
    let bank = "river-bank".to_owned();
    Link {
        application: id(n),
        firm: firm(n),
        nodes,
        at: minute(n),
        amount_fen: 10_000_000,
        bank,
        place: None,
        account_days: None,
    }
}

/// Person, phone and card of one's own, on a device.
fn on_device(n: u32, device: &str) -> Link {
    link(n, &[device, &format!("person {n}"), &format!("phone {n}"), &format!("card {n}"), "network home"])
}

fn whole(links: &[Link]) -> Whole {
    let mut builder = WholeBuilder::at(now());
    links.iter().for_each(|link| builder.link(link.clone()).unwrap());
    builder.finish().unwrap()
}

fn void(numbers: &[u32]) -> BTreeMap<ApplicationId, Standing> {
    let standing = Standing { proof: Proof::Void, declined: false, points: None, costs: [0; 5], ring: None };
    numbers.iter().map(|n| (id(*n), standing)).collect()
}

/// What changes in a book, given what the journeys said, and the book when it is written.
fn write(links: &[Link], voided: &[u32], book: &NamesInBook) -> (Differences, NamesInBook) {
    write_at(links, voided, book, now())
}

fn write_at(links: &[Link], voided: &[u32], book: &NamesInBook, at: Timestamp) -> (Differences, NamesInBook) {
    let (whole, standings) = (whole(links), void(voided));
    let labelled = whole.label(&standings, &labels()).unwrap();
    let found = differences(&whole, &labelled, (&standings, &labels()), book, at);
    let mut after = book.clone();
    for seen in &found.sightings {
        after.merges.extend(seen.merged.iter().map(|from| Merge {
            from: *from,
            into: seen.ring,
            at: seen.at,
        }));
        after.latest.retain(|(name, _)| *name != seen.ring);
        after.latest.push((seen.ring, seen.into()));
    }
    for settled in &found.settled {
        after.settled.retain(|before| before.name != settled.name);
        after.settled.push(*settled);
    }
    (found, after)
}

fn members(found: &Differences) -> Vec<(RingId, BTreeSet<ApplicationId>)> {
    found.sightings.iter().map(|seen| (seen.ring, seen.members.iter().copied().collect())).collect()
}

fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<ApplicationId> {
    numbers.into_iter().map(id).collect()
}

#[test]
fn a_ring_looks_as_it_does_to_the_check_of_its_newest_member() {
    let links: Vec<Link> = (1..=5).map(|n| on_device(n, "device d")).collect();
    let loan = LoanOutcome { payout: id(2).payout_id(), overdue_days: 45, at: minute(9), version: 3 };
    let mut builder = WholeBuilder::at(now());
    for link in &links {
        builder.link(link.clone()).unwrap();
        builder.link(link.clone()).unwrap();
    }
    for node in &links[1].nodes {
        builder.outcome(node.clone(), LoanOutcome { overdue_days: 0, version: 2, ..loan }).unwrap();
        builder.outcome(node.clone(), loan).unwrap();
    }
    let whole = builder.finish().unwrap();
    let found = whole.label(&BTreeMap::new(), &labels()).unwrap();

    let mut spread = Spread::around(links[4].clone());
    loop {
        let hop = spread.next_hop();
        if hop.is_empty() {
            break;
        }
        for node in hop {
            let links =
                links.iter().filter(|link| link.nodes.contains(&node)).cloned().map(Arc::new).collect();
            let outcomes = Vec::from_iter(links_at(&node, &[2]).then_some(loan));
            spread.add(node, Neighbours { links, outcomes, ..Neighbours::default() });
        }
    }
    let no_ties = TieSpread::around(links[4].firm.clone(), now());
    assert_eq!(spread.tie(all_of(no_ties)), []);
    let live = Ring::of(&spread, &labels());
    assert_eq!(live.features.verdict.as_ref().unwrap().label, RingLabel::DeviceFarm);
    assert_eq!((found.rings, found.largest, found.cut), (1, 5, 0));
    assert_eq!(found.suspicious, [WholeRing { finder: id(5), first: id(1), ring: live }]);
}

#[test]
fn the_journeys_of_a_ring_that_could_be_suspicious_are_looked_at_as_well() {
    let of_one_person: Vec<Link> =
        (1..=5).map(|n| link(100 * n, &["person p", &format!("device {n}")])).collect();
    let whole = whole(&of_one_person);
    let found = whole.label(&BTreeMap::new(), &labels()).unwrap();
    assert_eq!(found.suspicious, []);
    let doubtful = found.doubtful(100);
    assert_eq!(doubtful.len(), 5, "what they scored may show shells");
    let (proof, costs) = (Proof::Proven, [12, 15, 5, 20, 0]);
    let standing = Standing { proof, declined: false, points: Some(580), costs, ring: None };
    let standings = doubtful.into_iter().map(|id| (id, standing)).collect();
    let found = whole.label(&standings, &labels()).unwrap();
    let seen = found.suspicious.iter().filter_map(|found| found.ring.notice().label);
    assert_eq!(seen.collect::<Vec<_>>(), [RingLabel::ShellFirms]);
}

/// The record around a firm of which it says nothing.
fn all_of(mut ties: TieSpread) -> TieSpread {
    for node in ties.next_hop() {
        ties.add(node, Ties::default());
    }
    ties
}

/// Whether one of these applications of the device farm stands at a node.
fn links_at(node: &Node, numbers: &[u32]) -> bool {
    numbers.iter().any(|n| on_device(*n, "device d").nodes.contains(node))
}

#[test]
fn who_is_joined_over_any_number_of_steps_is_one_ring() {
    let chain = |n: u32| {
        let joined = [format!("phone {n}"), format!("card {}", n - n % 2), format!("phone {}", n + n % 2)];
        // The first few are a device farm.
        let of_farm = [format!("person {n}"), "device of the farm".to_owned()];
        let seen = if n <= 6 { of_farm.as_slice() } else { &[] };
        link(n, &joined.iter().chain(seen).map(String::as_str).collect::<Vec<_>>())
    };
    let links: Vec<Link> = (1..=40).map(chain).collect();
    let found = whole(&links).label(&BTreeMap::new(), &labels()).unwrap();
    assert_eq!((found.rings, found.largest, found.suspicious.len()), (1, 40, 1));
    assert_eq!(found.suspicious[0].ring.features.ring_size, 40);
}

#[test]
fn the_order_of_lines_makes_no_difference_and_neither_does_finding_one_twice() {
    let device = |n: u32| on_device(n, &format!("device {}", n % 40));
    // Some share a phone beside, and one large component has to be cut.
    let market =
        |n: u32| link(n, &[&format!("phone {}", n % 30), &format!("card {}", n % 7), &format!("person {n}")]);
    let mut links: Vec<Link> = (0..200).map(device).chain((200..400).map(market)).collect();
    let (expected, _) = write(&links, &[3, 211], &NamesInBook::default());
    assert!(expected.sightings.len() > 40, "{}", expected.sightings.len());
    let mut random = 7_u64;
    for _ in 0..5 {
        links.extend_from_within(..40);
        for place in (1..links.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            links.swap(place, (random >> 33) as usize % (place + 1));
        }
        assert_eq!(write(&links, &[3, 211], &NamesInBook::default()).0, expected);
    }
}

#[test]
fn a_second_look_at_the_same_graph_changes_nothing() {
    let links: Vec<Link> = (0..90).map(|n| on_device(n, &format!("device {}", n % 9))).collect();
    let (first, book) = write(&links, &[], &NamesInBook::default());
    assert_eq!(first.sightings.len(), 9);
    assert_eq!(write_at(&links, &[], &book, now() + 24.hours()).0, Differences::default());
}

#[test]
fn a_ring_that_a_void_claim_held_together_falls_apart_and_the_half_with_its_first_member_keeps_the_name() {
    // 7 only claimed the phone of 1 and the card of 4.
    let mut links: Vec<Link> = (1..=3).map(|n| on_device(n, "device a")).collect();
    links.extend((4..=6).map(|n| on_device(n, "device b")));
    links.push(link(7, &["device c", "phone 1", "card 4"]));
    let (first, book) = write(&links, &[], &NamesInBook::default());
    assert_eq!(members(&first), [(name(1), ids(1..=7))]);

    let (later, book) = write_at(&links, &[7], &book, now() + 24.hours());
    assert_eq!(members(&later), [(name(1), ids(1..=3)), (name(4), ids(4..=6))]);
    assert_eq!(later.settled, [], "4 never went under another name");
    assert_eq!(write_at(&links, &[7], &book, now() + 48.hours()).0, Differences::default());
}

#[test]
fn rings_that_met_over_a_node_that_became_a_crowd_get_their_own_names_back() {
    let mut links: Vec<Link> = (1..=3).map(|n| on_device(n, "device a")).collect();
    links.extend((4..=6).map(|n| on_device(n, "device b")));
    let (_, apart) = write(&links, &[], &NamesInBook::default());
    // A service hall's phone.
    links.extend([link(7, &["device a", "phone hall"]), link(8, &["device b", "phone hall"])]);
    let (met, joined) = write_at(&links, &[], &apart, now() + 1.hour());
    assert_eq!(members(&met), [(name(1), ids(1..=8))]);
    assert_eq!(joined.standing()[&name(4)], name(1));

    links.extend((100..149).map(|n| link(n, &["phone hall"])));
    let (parted, book) = write_at(&links, &[], &joined, now() + 2.hours());
    let expected = [(name(1), ids([1, 2, 3, 7])), (name(4), ids([4, 5, 6, 8]))];
    assert_eq!(members(&parted), expected);
    assert_eq!(parted.split, 1);
    assert_eq!(book.standing(), BTreeMap::from([(name(1), name(1)), (name(4), name(4))]));
    assert_eq!(write_at(&links, &[], &book, now() + 3.hours()).0, Differences::default());

    // They meet again, and later than they were settled.
    links.push(link(9, &["device a", "device b"]));
    let (again, book) = write_at(&links, &[], &book, now() + 4.hours());
    assert_eq!(members(&again), [(name(1), ids(1..=9))]);
    assert_eq!(book.standing()[&name(4)], name(1));
}

#[test]
fn a_merge_that_a_check_saw_before_the_settlement_and_wrote_after_it_does_not_hold() {
    let settled = |n| ports::ring_names::Settlement { name: name(n), stands: name(n), at: minute(10) };
    let merge = |at| Merge { from: name(2), into: name(1), at: minute(at) };
    let standing = |merge| {
        let book = NamesInBook { merges: vec![merge], settled: vec![settled(1), settled(2)], latest: vec![] };
        book.standing()[&name(2)]
    };
    assert_eq!((standing(merge(10)), standing(merge(11))), (name(2), name(1)));
}

#[test]
fn a_ring_that_is_none_any_more_is_written_down_as_what_it_is_and_once() {
    let mut links: Vec<Link> = (1..=3).map(|n| on_device(n, "device a")).collect();
    let (_, book) = write(&links, &[], &NamesInBook::default());
    links.extend((100..160).map(|n| link(n, &["device a"])));
    let (gone, book) = write_at(&links, &[], &book, now() + 24.hours());
    assert_eq!(members(&gone), [(name(1), ids([1]))]);
    assert_eq!(gone.sightings[0].features.verdict, None);
    assert_eq!(write_at(&links, &[], &book, now() + 48.hours()).0, Differences::default());
}

#[test]
fn a_ring_whose_members_have_left_the_window_is_left_as_it_stands() {
    let links: Vec<Link> = (1..=3).map(|n| on_device(n, "device a")).collect();
    let (_, book) = write(&links, &[], &NamesInBook::default());
    let mut builder = WholeBuilder::at(now() + (91 * 24).hours());
    links.iter().for_each(|link| builder.link(link.clone()).unwrap());
    let whole = builder.finish().unwrap();
    let labelled = whole.label(&BTreeMap::new(), &labels()).unwrap();
    assert_eq!(whole.applications(), 0);
    let none = BTreeMap::new();
    assert!(differences(&whole, &labelled, (&none, &labels()), &book, now()).is_empty());
}

#[test]
fn a_ring_whose_founder_has_left_the_window_keeps_its_name_with_most_of_its_members() {
    let links: Vec<Link> = (1..=6).map(|n| on_device(n, "device a")).collect();
    let (_, book) = write(&links, &[], &NamesInBook::default());
    let left: Vec<Link> =
        (2..=6).map(|n| on_device(n, if n < 4 { "device b" } else { "device a" })).collect();
    let (found, _) = write_at(&left, &[], &book, now() + 24.hours());
    assert_eq!(members(&found), [(name(1), ids(4..=6))]);
}

#[test]
fn three_firms_that_answer_for_each_other_in_a_circle_are_a_ring_and_two_of_them_are_none() {
    let firms = |numbers: &[u32], pairs: &[(u32, u32)]| {
        let mut builder = WholeBuilder::at(now());
        numbers.iter().for_each(|n| builder.link(on_device(*n, &format!("device {n}"))).unwrap());
        for (guarantor, debtor) in pairs {
            let party = Node { kind: NodeKind::Firm, hash: firm(*debtor).as_str().to_owned() };
            let day = domain::calendar::day_in_china(minute(0));
            let (firm, source) = (firm(*guarantor), "related_parties".to_owned());
            let kind = TieKind::Guarantee;
            builder.tie(Tie { kind, firm, party, first_seen: day, last_seen: day, count: 1, source });
        }
        let whole = builder.finish().unwrap();
        let found = whole.label(&BTreeMap::new(), &labels()).unwrap();
        let label = found.suspicious.first().and_then(|found| found.ring.notice().label);
        (found.rings, label, found.suspicious.first().map(|found| found.ring.features.ring_size))
    };
    let circle = [(1, 2), (2, 3), (3, 1)];
    let ring = (1, Some(RingLabel::GuaranteeCircle), Some(3));
    assert_eq!(firms(&[1, 2, 3, 4], &circle), ring);
    let guarded = firms(&[1, 2, 3, 4], &[(4, 1), (1, 2), (2, 3), (3, 1)]);
    assert_eq!(
        guarded,
        (1, ring.1, Some(4)),
        "as a check counts it, a guarantor of the circle is seen with it"
    );
    assert_eq!(firms(&[1, 2, 4], &circle), (0, None, None), "the third one has not applied");
    assert_eq!(
        firms(&[1, 2, 3], &[(1, 2), (2, 1), (2, 3), (3, 2)]).0,
        1,
        "pairs make no circle, and are looked at"
    );
    assert_eq!(firms(&[1, 2, 3], &[(1, 2), (2, 3)]), (0, None, None));
}

/// Two crowded markets of 90 firms each, on 30 phones and 30 cards, that one phone joins.
fn markets() -> Vec<Link> {
    let stall = |n: u32| {
        let market = n / 90;
        let (phone, card) = (format!("phone {market}-{}", n % 30), format!("card {market}-{}", n * 7 % 31));
        link(n, &[&phone, &card])
    };
    let mut links: Vec<Link> = (0..180).map(stall).collect();
    links.push(link(500, &["phone 0-1", "phone 1-1"]));
    links
}

#[test]
fn a_component_that_is_too_large_to_be_compared_is_cut_where_it_hangs_together_least() {
    let whole = whole(&markets());
    let found = whole.label(&BTreeMap::new(), &labels()).unwrap();
    assert_eq!(found.cut, 1);
    assert!(found.rings >= 2 && found.largest <= 91, "{} rings, the largest {}", found.rings, found.largest);
    // Nobody of one market is in a part with anybody of the other, but for the one that joins them.
    let market = |at: usize| (at < 180).then_some(at / 90);
    for part in unions::groups(&found.parts) {
        let markets: BTreeSet<usize> = part.iter().filter_map(|at| market(*at as usize)).collect();
        assert_eq!(markets.len(), 1, "{part:?}");
    }
}

#[test]
fn the_same_component_is_cut_in_the_same_way_on_every_processor() {
    let found = whole(&markets()).label(&BTreeMap::new(), &labels()).unwrap();
    let sizes: Vec<(u32, usize)> =
        unions::groups(&found.parts).iter().map(|part| (part[0], part.len())).collect();
    // As they came out on x86-64.
    let expected = [13, 18, 18, 11, 13, 18, 17, 8, 22, 16, 12, 15];
    let firsts = [0, 3, 10, 15, 19, 23, 90, 95, 97, 105, 110, 114];
    assert_eq!(sizes, firsts.into_iter().zip(expected).collect::<Vec<_>>());
}
