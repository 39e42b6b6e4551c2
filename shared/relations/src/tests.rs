//! Rings drawn by hand, and properties over random graphs.

use crate::*;
use domain::{
    ApplicationId, FirmCode,
    ring::{RingLabel, RingProfile},
};
use jiff::Timestamp;
use ports::relation::{LoanOutcome, Neighbours, Window};
use proptest::prelude::*;
use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// A firm code by number: any stem with its right check character will do.
pub(crate) fn firm(number: usize) -> FirmCode {
    let stem = format!("91420100MA4K{number:05}");
    "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().find_map(|check| format!("{stem}{check}").parse().ok()).unwrap()
}

pub(crate) fn id(number: u8) -> ApplicationId {
    ApplicationId::from_bytes([number; 16])
}

pub(crate) fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + number * 86_400).unwrap()
}

#[test]
fn acts_are_kept_for_as_long_as_they_count() {
    assert_eq!(ports::relation::ACTS_KEPT_FOR, WINDOW);
}

/// `link(1, 2, "device a, card b", day)`: application 1 of firm 2 with these nodes and its firm.
pub(crate) fn link(application: u8, of_firm: usize, nodes: &str, at: i64) -> Link {
    let kind = |name: &str| match name {
        "card" => NodeKind::Card,
        "device" => NodeKind::Device,
        "phone" => NodeKind::Phone,
        "person" => NodeKind::Person,
        "address" => NodeKind::Address,
        "network" => NodeKind::Network,
        other => panic!("{other}"),
    };
    let mut all: Vec<Node> = nodes
        .split(", ")
        .filter_map(|node| node.split_once(' '))
        .map(|(name, hash)| Node { kind: kind(name), hash: hash.to_owned() })
        .collect();
    all.push(Node { kind: NodeKind::Firm, hash: firm(of_firm).to_string() });
    Link {
        application: id(application),
        firm: firm(of_firm),
        nodes: all,
        at: day(at),
        amount_fen: 1_000 * u64::from(application),
        bank: "river-bank".to_owned(),
        place: None,
        account_days: None,
    }
}

/// Reads a graph as the function does: all hops, each node once, at most the newest [`FAN_OUT`] applications at a node.
fn ring(graph: &[Link], own: &Link) -> Ring {
    ring_with_loans(graph, own, &[])
}

fn ring_with_loans(graph: &[Link], own: &Link, loans: &[(u8, u32)]) -> Ring {
    Ring::of(&spread(graph, own, loans), labels())
}

/// The same with loans of these applications that are overdue for so many days.
pub(crate) fn spread(graph: &[Link], own: &Link, loans: &[(u8, u32)]) -> Spread {
    let mut around = Spread::around(own.clone());
    let window = around.window();
    let at = |node: &Node| {
        let here = graph.iter().filter(|l| l.nodes.contains(node) && window.holds(l.at));
        let mut links: Vec<Arc<Link>> = here.cloned().map(Arc::new).collect();
        let cut_off = links.len() > FAN_OUT as usize;
        if cut_off {
            links.sort_by_key(|l| (Reverse(l.at), l.application));
            links.truncate(FAN_OUT as usize);
        }
        let at_node =
            |loan: &&(u8, u32)| graph.iter().any(|l| l.application == id(loan.0) && l.nodes.contains(node));
        let outcome = |(application, overdue_days): &(u8, u32)| LoanOutcome {
            payout: id(*application).payout_id(),
            overdue_days: *overdue_days,
            at: day(0),
            version: 1,
        };
        let mut outcomes: Vec<LoanOutcome> = loans.iter().filter(at_node).map(outcome).collect();
        let outcomes_cut_off = outcomes.len() > FAN_OUT as usize;
        outcomes.truncate(FAN_OUT as usize);
        Neighbours { links, outcomes, cut_off, outcomes_cut_off }
    };
    loop {
        let nodes = around.next_hop();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            let found = at(&node);
            around.add(node, found);
        }
    }
    assert!(around.reads() + MAX_JUDGED <= MAX_READS);
    around
}

fn sizes(ring: &Ring) -> (u32, u32) {
    (ring.features.ring_size, ring.features.ring_firms)
}

#[test]
fn an_application_alone_is_a_ring_of_one() {
    let own = link(1, 1, "device a, card a, phone a, person a, network n, address s", 0);
    let ring = ring(std::slice::from_ref(&own), &own);
    assert_eq!(sizes(&ring), (1, 1));
    assert_eq!((ring.others, ring.features.evidence, ring.features.cut_off), (vec![], vec![], false));
}

#[test]
fn five_firms_on_one_device_are_a_ring_of_five_and_all_are_told() {
    let graph: Vec<Link> =
        (1..=5).map(|n| link(n, n.into(), &format!("device d, card {n}, person {n}"), n.into())).collect();
    let ring = ring(&graph, &graph[4]);
    assert_eq!(sizes(&ring), (5, 5));
    assert_eq!(ring.to_notify(), [id(4), id(3), id(2), id(1)], "the newest first");
    assert_eq!(ring.features.device_applications, 5);
    assert_eq!(ring.features.evidence.len(), 1);
    assert_eq!(ring.features.evidence[0].kind, "device");
    assert_eq!(ring.features.evidence[0].applications, [id(1), id(2), id(3), id(4), id(5)]);
}

#[test]
fn a_ring_reaches_over_three_hops_and_no_further() {
    let graph = [
        link(1, 1, "device a", 0),
        link(2, 2, "device a, card b", 0),
        link(3, 3, "card b, phone c", 0),
        link(4, 4, "phone c, person d", 0),
        link(5, 5, "person d", 0),
    ];
    assert_eq!(sizes(&ring(&graph, &graph[0])), (4, 4));
    assert_eq!(sizes(&ring(&graph, &graph[1])), (5, 5));
}

#[test]
fn a_path_tells_over_which_nodes_an_application_was_reached_by_the_shortest_way() {
    let graph = [
        link(1, 1, "device a", 0),
        link(2, 2, "device a, card b, phone c", 0),
        link(3, 3, "card b, phone c, person d", 0),
        link(4, 4, "person d, network n", 0),
    ];
    let around = spread(&graph, &graph[0], &[]);
    let told = |to| -> Vec<_> {
        let step = |step: Step| (step.via.map_or("seed", |node| node.kind.as_str()), step.application);
        around.path(id(to)).into_iter().map(step).collect()
    };
    assert_eq!(told(4), [("seed", id(1)), ("device", id(2)), ("card", id(3)), ("person", id(4))]);
    assert_eq!(told(1), [("seed", id(1))]);
    assert_eq!(told(9), []);
}

#[test]
fn a_spread_from_a_node_reaches_whom_its_kinds_hops_and_window_allow() {
    let graph = [
        link(1, 1, "network cafe, device a", 0),
        link(2, 2, "device a, card b", 1),
        link(3, 3, "card b", 2),
        link(4, 4, "network cafe", -3),
    ];
    let reached = |kinds: &[NodeKind], hops: u32, from: i64| -> Vec<ApplicationId> {
        let window = Window { from: day(from), to: Some(day(2)) };
        let scope = Scope { window, kinds: kinds.iter().copied().collect(), hops, reads: MAX_READS };
        let seed = Node { kind: NodeKind::Network, hash: "cafe".to_owned() };
        let mut around = Spread::from_node(seed, scope);
        loop {
            let nodes = around.next_hop();
            if nodes.is_empty() {
                break;
            }
            for node in nodes {
                let links = graph.iter().filter(|l| l.nodes.contains(&node)).cloned().map(Arc::new).collect();
                around.add(node, Neighbours { links, ..Neighbours::default() });
            }
        }
        around.members().iter().map(|member| member.link.application).collect()
    };
    let all = NodeKind::ALL.as_slice();
    assert_eq!(reached(all, 3, -9), [id(1), id(2), id(3), id(4)]);
    assert_eq!(reached(all, 3, 0), [id(1), id(2), id(3)], "the window has an edge");
    assert_eq!(reached(all, 2, 0), [id(1), id(2)], "a hop less");
    assert_eq!(reached(&[NodeKind::Network, NodeKind::Card], 3, 0), [id(1)], "no devices");
    assert_eq!(reached(all, 99, 0), [id(1), id(2), id(3)]);
}

pub(crate) fn labels() -> &'static Labels {
    static LABELS: OnceLock<Labels> = OnceLock::new();
    LABELS.get_or_init(|| Labels::in_force().unwrap())
}

/// The label that a ring gets.
fn label(ring: &Ring) -> Option<RingLabel> {
    ring.features.verdict.as_ref().map(|verdict| verdict.label)
}

/// Reads a graph, and judges the journeys of those that are doubtful.
fn judged(graph: &[Link], own: &Link, proof: impl Fn(ApplicationId) -> Proof) -> Ring {
    Ring::of(&judge(graph, own, Proof::Pending, proof), labels())
}

/// The same where only what is proven counts.
fn proven(graph: &[Link], own: &Link, of_own: Proof, proof: impl Fn(ApplicationId) -> Proof) -> Ring {
    let mut around = judge(graph, own, of_own, proof);
    around.doubt_pending();
    Ring::of(&around, labels())
}

fn judge(graph: &[Link], own: &Link, of_own: Proof, proof: impl Fn(ApplicationId) -> Proof) -> Spread {
    let mut around = spread(graph, own, &[]);
    let standing =
        |id| (id, Standing { proof: proof(id), declined: false, points: None, costs: [0; 5], ring: None });
    let doubtful = around.doubtful();
    assert!(around.reads() + doubtful.len() <= MAX_READS);
    around.judge(of_own, doubtful.into_iter().map(standing));
    around
}

#[test]
fn fault_30_a_victim_that_others_claim_to_be_is_in_no_ring_with_them() {
    // An attacker writes the victim's phone, card and person into applications of six firms.
    let mut graph: Vec<Link> = (1..=6)
        .map(|n| link(n, n.into(), &format!("device attacker, phone v, card v, person v, network {n}"), 0))
        .collect();
    graph.push(link(9, 9, "device own, phone v, card v, person v, network home", 1));
    let victim = &graph[6];
    let suspected = ring(&graph, victim);
    assert!(suspected.is_doubtful(), "{suspected:?}");
    let cleared = judged(&graph, victim, |_| Proof::Void);
    assert_eq!((sizes(&cleared), cleared.features.verdict.as_ref()), ((1, 1), None));
    let features = &cleared.features;
    assert_eq!((features.phone_applications, features.card_applications), (1, 1));
    assert_eq!((features.unproven_claims, cleared.to_notify()), (6, [].as_slice()));
    // Had they proven it, it would be a ring. As long as they may still do so it is one that waits.
    for proof in [Proof::Proven, Proof::Pending] {
        assert_eq!(sizes(&judged(&graph, victim, |_| proof)), (7, 7));
    }
    assert_eq!(sizes(&proven(&graph, victim, Proof::Proven, |_| Proof::Proven)), (7, 7));
    assert_eq!(sizes(&proven(&graph, victim, Proof::Proven, |_| Proof::Pending)), (1, 1));
}

#[test]
fn what_the_members_scored_stands_in_the_profile() {
    let graph: Vec<Link> = (1..=4).map(|n| link(n, n.into(), "device d", n.into())).collect();
    let mut around = spread(&graph, &graph[3], &[]);
    let standing =
        |points, costs| Standing { proof: Proof::Proven, declined: true, points, costs, ring: None };
    around.judge(
        Proof::Pending,
        [
            (id(1), standing(Some(500), [40, 0, 0, 10, 0])),
            (id(2), standing(Some(601), [1, 0, 7, 0, 0])),
            (id(3), standing(None, [0; 5])),
        ],
    );
    let profile = Ring::of(&around, labels()).features.verdict.unwrap().profile;
    assert_eq!((profile.judged, profile.declined), (3, 3));
    assert_eq!((profile.mean_points, profile.lowest_points), (550, 500));
    let costs = [profile.business_cost, profile.finance_cost, profile.government_cost];
    assert_eq!(
        (costs, profile.tax_cost, profile.risk_cost),
        ([20, 0, 3], 5, 0),
        "who was not scored counts for nothing"
    );
}

/// The ring of so many firms of one person, a day each, once the journeys of the others said this.
fn firms_of_one_person(firms: u8, standing: Standing) -> Ring {
    let graph: Vec<Link> = (1..=firms)
        .map(|n| Link {
            amount_fen: 10_000_000,
            ..link(n, n.into(), &format!("person p, device {n}"), n.into())
        })
        .collect();
    let mut around = spread(&graph, &graph[graph.len() - 1], &[]);
    assert!(Ring::of(&around, labels()).is_doubtful(), "a label could fit yet");
    let doubtful = around.doubtful();
    around.judge(Proof::Proven, doubtful.into_iter().map(|id| (id, standing)));
    let seen = Ring::of(&around, labels());
    assert_eq!(seen.is_doubtful(), seen.is_suspicious(), "their journeys were looked at");
    seen
}

const CLEAN: [u32; 5] = [0; 5];
const COSTLY: [u32; 5] = [12, 15, 5, 20, 0];

#[test]
fn what_the_members_scored_decides_whether_five_firms_of_one_person_are_shells() {
    let scored = |proof, costs| Standing { proof, declined: false, points: Some(600), costs, ring: None };
    for (standing, label) in [
        (scored(Proof::Proven, CLEAN), RingLabel::Ordinary),
        (scored(Proof::Proven, COSTLY), RingLabel::ShellFirms),
        (Standing { points: None, ..scored(Proof::Pending, CLEAN) }, RingLabel::Ordinary),
    ] {
        let seen = firms_of_one_person(5, standing).features.verdict.unwrap();
        assert_eq!((seen.label, seen.profile.scored > 0), (label, standing.points.is_some()));
    }
}

#[test]
fn fault_28_members_that_nobody_has_scored_yet_are_not_taken_for_clean_ones() {
    let unscored =
        Standing { proof: Proof::Pending, declined: false, points: None, costs: CLEAN, ring: None };
    let seen = firms_of_one_person(7, unscored).features.verdict.unwrap();
    assert_eq!((seen.label, seen.profile.unscored), (RingLabel::ShellFirms, 6));
}

#[test]
fn whatever_the_journeys_will_say_a_label_that_could_fit_is_known_before() {
    for (firms, cost, unscored) in each_with_each(&[3, 4, 5, 6, 8, 20], &[0, 2, 7, 20], &[0, 2, 5]) {
        let before =
            RingProfile { firms_of_person: 3, persons: 2, span_hours: 100, ..RingProfile::default() };
        let after = RingProfile {
            scored: 5 - unscored,
            unscored,
            business_cost: cost,
            finance_cost: cost,
            government_cost: cost,
            tax_cost: cost,
            risk_cost: cost,
            ..before
        };
        let size = Size { applications: firms, firms };
        let fits = labels().findings(size, &after)[0].label.is_suspicious();
        assert!(!fits || labels().could_fit(size, &before), "{firms} firms, {cost}, {unscored}");
    }
}

/// Each of these with each of those.
fn each_with_each<'a>(
    some: &'a [u32],
    others: &'a [u32],
    more: &'a [u32],
) -> impl Iterator<Item = (u32, u32, u32)> + 'a {
    let pairs = some.iter().flat_map(move |a| others.iter().map(move |b| (*a, *b)));
    pairs.flat_map(move |(a, b)| more.iter().map(move |c| (a, b, *c)))
}

#[test]
fn labels_that_need_journeys_before_these_are_read_are_refused() {
    let whole = crate::label::IN_FORCE;
    for broken in [
        whole.replacen(
            r#"{"feature": "firms_of_person", "at_least": 6}"#,
            r#"{"feature": "tax_cost", "at_least": 6}"#,
            1,
        ),
        whole.replacen(
            r#""feature": "tax_cost", "at_least": 10, "points": "#,
            r#""feature": "tax_cost", "at_least": 10, "points": -"#,
            1,
        ),
    ] {
        assert_ne!(broken, whole);
        assert!(matches!(Labels::read(&broken), Err(LabelsError::Journeys(RingLabel::ShellFirms))));
    }
}

#[test]
fn one_firm_that_asks_three_banks_within_a_day_is_stacking() {
    let profile = RingProfile { stacked_lenders: 3, span_hours: 24, persons: 1, ..RingProfile::default() };
    let found = labels().findings(Size { applications: 3, firms: 1 }, &profile);
    assert_eq!(found[0].label, RingLabel::LoanStacking);
}

#[test]
fn fault_30_what_the_firms_of_void_claims_scored_speaks_against_nobody() {
    let graph: Vec<Link> = (1..=4).map(|n| link(n, n.into(), "device d", n.into())).collect();
    let mut around = spread(&graph, &graph[3], &[]);
    let standing = |proof, costs| Standing { proof, declined: false, points: Some(500), costs, ring: None };
    around.judge(
        Proof::Proven,
        [
            (id(1), standing(Proof::Void, [90; 5])),
            (id(2), standing(Proof::Pending, [8; 5])),
            (id(3), standing(Proof::Proven, [2; 5])),
        ],
    );
    let tax = |around: &Spread| {
        let profile = Ring::of(around, labels()).features.verdict.unwrap().profile;
        (profile.scored, profile.unscored, profile.tax_cost)
    };
    assert_eq!(tax(&around), (1, 1, 2), "nor those of claims that are still being checked");
    around.doubt_pending();
    assert_eq!(tax(&around), (1, 1, 2));
}

#[test]
fn accounts_younger_than_a_week_are_new_and_those_of_unknown_age_are_not() {
    let ages = [Some(0), Some(6), Some(7), None];
    let graph: Vec<Link> = (1..=4_u8)
        .zip(ages)
        .map(|(n, account_days)| Link { account_days, ..link(n, n.into(), "device d", n.into()) })
        .collect();
    let verdict = ring(&graph, &graph[3]).features.verdict.unwrap();
    assert_eq!(verdict.profile.new_accounts, 2);
    let size = Size { applications: 4, firms: 4 };
    assert_eq!(Feature::NewAccounts.of(size, &verdict.profile), 50);
}

#[test]
fn fault_30_who_claims_a_victims_card_tells_the_victim_of_nothing_before_it_has_proven_the_claim() {
    let mut graph: Vec<Link> =
        (1..=3).map(|n| link(n, n.into(), &format!("device attacker, card {n}"), 0)).collect();
    graph.push(link(4, 4, "device attacker, card v", 1));
    graph.push(link(9, 9, "device own, card v", 1));
    let others = |own: Proof| proven(&graph, &graph[3], own, |_| Proof::Pending).others;
    assert_eq!(others(Proof::Pending), [1, 2, 3].map(id).to_vec(), "the device was seen by the channel");
    let victim_is_proven = |asked: ApplicationId| if asked == id(9) { Proof::Proven } else { Proof::Pending };
    let told = proven(&graph, &graph[3], Proof::Proven, victim_is_proven).others;
    assert!(told.contains(&id(9)), "a card that both have proven to be theirs");
}

#[test]
fn fault_30_a_crowd_at_a_card_or_phone_counts_unless_its_claims_came_to_nothing() {
    for node in ["phone v", "card v"] {
        let mut graph: Vec<Link> =
            (1..=200).map(|n| link(n, n.into(), &format!("device {n}, {node}"), 1)).collect();
        graph.push(link(255, 9, &format!("device own, {node}"), 0));
        let own = &graph[200];
        assert!(ring(&graph, own).is_doubtful());
        for (proof, least, most) in [(Proof::Void, 2, 2), (Proof::Proven, FAN_OUT, FAN_OUT + 2)] {
            let seen = judged(&graph, own, |_| proof).features;
            let busiest = seen.phone_applications.max(seen.card_applications);
            assert!((least..=most).contains(&busiest) && seen.cut_off, "{seen:?}");
        }
    }
}

#[test]
fn claims_that_were_dropped_do_not_hide_a_proven_ring_behind_them() {
    let on_the_card = |n: u8| format!("device {n}, card c, person {n}");
    let proven = (1..=10).map(|n| link(n, n.into(), &on_the_card(n), 1));
    let dropped = (11..=26).map(|n| link(n, n.into(), &on_the_card(n), 59));
    let mut graph: Vec<Link> = proven.chain(dropped).collect();
    graph.push(link(200, 90, "device own, card c, person own", 60));
    let late = &graph[26];
    let is_dropped = |asked: ApplicationId| (11..=26).any(|n| id(n) == asked);
    let seen = judged(&graph, late, |asked| if is_dropped(asked) { Proof::Void } else { Proof::Proven });
    assert_eq!(sizes(&seen), (11, 11));
    assert!(seen.is_suspicious());
}

#[test]
fn who_shares_a_device_belongs_together_whatever_was_proven() {
    let graph: Vec<Link> = (1..=4).map(|n| link(n, n.into(), &format!("device d, person {n}"), 0)).collect();
    let ring = judged(&graph, &graph[0], |_| Proof::Void);
    assert_eq!((sizes(&ring), label(&ring)), ((4, 4), Some(RingLabel::DeviceFarm)));
}

#[test]
fn a_ring_keeps_its_name_when_it_grows_and_the_smallest_when_rings_merge() {
    let graph: Vec<Link> =
        (1..=6).map(|n| link(n, n.into(), &format!("device d, person {n}"), (9 - n).into())).collect();
    let named = |known: &[(u8, u8)]| {
        let mut around = spread(&graph, &graph[0], &[]);
        let knows = |id_: ApplicationId| {
            let known = known.iter().find(|(member, _)| id(*member) == id_);
            known.map(|(_, ring)| id(*ring).ring_id())
        };
        let standing = |id| {
            (
                id,
                Standing {
                    proof: Proof::Proven,
                    declined: true,
                    points: None,
                    costs: [0; 5],
                    ring: knows(id),
                },
            )
        };
        let doubtful = around.doubtful();
        around.judge(Proof::Pending, doubtful.into_iter().map(standing));
        let ring = Ring::of(&around, labels());
        (ring.notice().ring.unwrap(), ring.merged)
    };
    assert_eq!(named(&[]), (id(6).ring_id(), vec![]), "called after its first application");
    assert_eq!(named(&[(3, 6), (4, 6)]), (id(6).ring_id(), vec![]));
    let merged = vec![id(5).ring_id(), id(6).ring_id()];
    assert_eq!(named(&[(3, 6), (4, 5), (2, 4)]), (id(4).ring_id(), merged));
}

#[test]
fn one_person_with_two_firms_and_one_firm_that_applies_again_are_told_nothing() {
    let two_firms = [link(1, 1, "person p, device d", 0), link(2, 2, "person p, device d", 0)];
    let pair = ring(&two_firms, &two_firms[0]);
    assert_eq!((sizes(&pair), pair.to_notify()), ((2, 2), [].as_slice()));
    let again: Vec<Link> = (1..=4).map(|n| link(n, 1, &format!("device {n}"), n.into())).collect();
    let same = ring(&again, &again[3]);
    assert_eq!((sizes(&same), same.to_notify()), ((4, 1), [].as_slice()));
}

#[test]
fn a_shared_network_or_address_joins_nobody_and_is_counted() {
    let graph: Vec<Link> = (1..=40).map(|n| link(n, n.into(), "network cafe, address tower", 0)).collect();
    let ring = ring(&graph, &graph[0]);
    assert_eq!(sizes(&ring), (1, 1));
    assert_eq!((ring.features.network_applications, ring.features.cut_off), (40, false));
}

#[test]
fn fault_30_a_crowd_on_one_network_is_cut_off_and_harms_nobody() {
    let graph: Vec<Link> = (1..=200).map(|n| link(n, n.into(), "network airport", 0)).collect();
    let ring = ring(&graph, &graph[199]);
    assert_eq!(sizes(&ring), (1, 1));
    assert!(ring.features.cut_off && ring.features.network_applications >= FAN_OUT);
}

#[test]
fn a_crowd_on_one_device_joins_nobody_and_shows_in_the_count() {
    let graph: Vec<Link> = (1..=200).map(|n| link(n, n.into(), "device hall", 0)).collect();
    let ring = ring(&graph, &graph[0]);
    assert_eq!((sizes(&ring), ring.features.evidence.len()), ((1, 1), 0));
    assert!(ring.features.cut_off && ring.features.device_applications >= FAN_OUT);
}

#[test]
fn a_person_joins_in_any_crowd() {
    let graph: Vec<Link> = (1..=200).map(|n| link(n, n.into(), "person p", 0)).collect();
    let ring = ring(&graph, &graph[0]);
    assert!(ring.features.ring_size >= FAN_OUT && ring.features.cut_off);
    assert!(ring.features.evidence.iter().any(|e| e.kind == "person"));
}

#[test]
fn links_older_than_the_window_do_not_count() {
    let graph = [link(1, 1, "device a", 0), link(2, 2, "device a", 90), link(3, 3, "device a", 91)];
    let latest = ring(&graph, &graph[2]);
    assert_eq!((sizes(&latest), latest.features.device_applications), ((2, 2), 2));
    assert_eq!(sizes(&ring(&graph, &graph[1])), (3, 3));
}

fn overdue(graph: &[Link], own: &Link, loans: &[(u8, u32)]) -> (u32, u32) {
    let features = ring_with_loans(graph, own, loans).features;
    (features.overdue_neighbours, features.longest_overdue_days)
}

#[test]
fn an_overdue_loan_counts_for_who_shares_a_strong_node_with_it_and_once() {
    let graph = [
        link(1, 1, "person p, card a", 0),
        link(2, 2, "person p, card a", 1),
        link(3, 3, "card a", 1),
        link(4, 4, "network n, address s", 1),
        link(5, 5, "network n, address s", 1),
        link(6, 1, "device x", 1),
    ];
    let loans = [(1, 31), (2, 5), (4, 90)];
    assert_eq!(overdue(&graph, &graph[1], &loans), (1, 31), "its own loan and another node make no second");
    assert_eq!(overdue(&graph, &graph[2], &loans), (2, 31));
    assert_eq!(overdue(&graph, &graph[4], &loans), (0, 0), "network and address tie nobody");
    assert_eq!(overdue(&graph, &graph[5], &loans), (1, 31), "the firm itself does");
}

#[test]
fn a_loan_that_was_repaid_or_is_two_hops_away_is_held_against_nobody() {
    let graph = [link(1, 1, "device a", 0), link(2, 2, "device a, card b", 0), link(3, 3, "card b", 0)];
    assert_eq!(overdue(&graph, &graph[1], &[(1, 0)]), (0, 0));
    assert_eq!(overdue(&graph, &graph[2], &[(1, 31)]), (0, 0));
}

#[test]
fn a_loan_is_overdue_however_long_ago_its_application_was() {
    let graph = [link(1, 1, "person p", 0), link(2, 2, "person p", 300)];
    assert_eq!(overdue(&graph, &graph[1], &[(1, 200)]), (1, 200));
}

#[test]
fn an_overdue_loan_in_a_crowd_ties_nobody_but_its_person() {
    let mut graph: Vec<Link> =
        (1..=100).map(|n| link(n, n.into(), &format!("device hall, person {}", n % 50), 0)).collect();
    assert_eq!(overdue(&graph, &graph[0], &[(2, 31)]), (0, 0));
    graph[1] = link(2, 2, "device hall, person 1", 0);
    assert_eq!(overdue(&graph, &graph[0], &[(2, 31)]), (1, 31));
}

#[test]
fn more_overdue_loans_than_are_read_at_a_card_hide_none_of_those_that_are() {
    let graph: Vec<Link> =
        (1..=60).map(|n| link(n, n.into(), "card c", if n == 1 { 0 } else { -365 })).collect();
    let loans: Vec<(u8, u32)> = (2..=60).map(|n| (n, 31)).collect();
    let spread = spread(&graph, &graph[0], &loans);
    assert_eq!(spread.overdue(), (FAN_OUT, 31));
    assert!(spread.cut_off(), "and it says that there may be more");
}

#[test]
fn fault_30_the_read_budget_holds_and_says_that_it_did() {
    // Forty members with four nodes of their own each: 160 nodes for 53 reads.
    let graph: Vec<Link> = (1..=40)
        .map(|n| link(n, n.into(), &format!("device d, card {n}, phone {n}, person {n}"), 0))
        .collect();
    let ring = ring(&graph, &graph[0]);
    assert!(ring.features.cut_off);
    assert_eq!(ring.features.ring_size, 40);
}

#[test]
fn evidence_is_bounded_and_names_the_application_itself() {
    let graph: Vec<Link> = (1..=40)
        .map(|n| {
            let pairs: Vec<String> = (0..6).map(|k| format!("phone {}", (n / 2) * 10 + k)).collect();
            link(n, n.into(), &format!("device d, {}", pairs.join(", ")), 0)
        })
        .collect();
    let ring = ring(&graph, &graph[39]);
    assert_eq!(ring.features.evidence.len(), MAX_EVIDENCE);
    let device = &ring.features.evidence[0];
    assert_eq!((device.kind.as_str(), device.applications.len()), ("device", MAX_EVIDENCE_APPLICATIONS));
    assert!(device.applications.contains(&id(40)));
}

fn any_graph() -> impl Strategy<Value = Vec<Link>> {
    let node =
        (prop::sample::select(vec!["card", "device", "phone", "person", "address", "network"]), 0_u8..6);
    let one = (0_usize..6, prop::collection::vec(node, 1..5), 0_i64..120);
    prop::collection::vec(one, 1..24).prop_map(|all| {
        let number = |place: usize| u8::try_from(place + 1).unwrap();
        all.into_iter()
            .enumerate()
            .map(|(place, (firm, nodes, at))| {
                let nodes: Vec<String> = nodes.iter().map(|(kind, hash)| format!("{kind} {hash}")).collect();
                link(number(place), firm, &nodes.join(", "), at)
            })
            .collect()
    })
}

#[test]
fn the_labels_in_force_are_read_and_broken_ones_are_refused() {
    let whole = serde_json::to_value(labels()).unwrap();
    let broken = |change: &dyn Fn(&mut Vec<serde_json::Value>)| {
        let mut broken = whole.clone();
        change(broken["rules"].as_array_mut().unwrap());
        Labels::read(&broken.to_string()).unwrap_err().to_string()
    };
    assert_eq!(broken(&|rules| drop(rules.pop())), "the label loan_stacking must have one rule, and has 0");
    let twice = broken(&|rules| rules.push(rules[0].clone()));
    assert_eq!(twice, "the label device_farm must have one rule, and has 2");
    let open = broken(&|rules| rules[1]["gate"] = serde_json::json!([]));
    assert_eq!(open, "the rule of shell_firms has no gate, so that it could fit anybody");
    let unknown = broken(&|rules| rules[0]["gate"][0]["feature"] = "moon".into());
    assert!(unknown.contains("unknown variant `moon`"), "{unknown}");
}

/// The label of so many firms, each of a person of its own, but for the change.
fn labelled(firms: u32, change: impl Fn(&mut RingProfile)) -> RingLabel {
    let mut profile =
        RingProfile { persons: firms, devices: firms, cards: firms, addresses: firms, ..Default::default() };
    change(&mut profile);
    labels().findings(Size { applications: firms, firms }, &profile)[0].label
}

#[test]
fn a_family_in_one_house_is_ordinary_and_strangers_on_one_device_are_not() {
    let family = |p: &mut RingProfile| {
        (p.persons_on_device, p.devices, p.addresses) = (3, 1, 1);
        (p.shared_device_percent, p.shared_address_percent, p.density_percent) = (100, 100, 100);
        p.span_hours = 900;
    };
    assert_eq!(labelled(3, family), RingLabel::Ordinary);
    let strangers = |p: &mut RingProfile| {
        (p.persons_on_device, p.devices, p.shared_device_percent, p.density_percent) = (5, 1, 100, 100);
    };
    assert_eq!(labelled(5, strangers), RingLabel::DeviceFarm);
}

#[test]
fn what_a_label_is_sure_of_no_innocent_sign_takes_away() {
    let slow = |p: &mut RingProfile| p.span_hours = 2_000;
    assert_eq!(
        labelled(6, |p| {
            slow(p);
            p.persons_on_device = 6
        }),
        RingLabel::DeviceFarm
    );
    assert_eq!(
        labelled(6, |p| {
            slow(p);
            p.firms_of_person = 6
        }),
        RingLabel::ShellFirms
    );
    assert_eq!(
        labelled(6, |p| {
            slow(p);
            p.firms_on_card = 5
        }),
        RingLabel::Agency
    );
    assert_eq!(
        labelled(1, |p| {
            slow(p);
            p.stacked_lenders = 5
        }),
        RingLabel::LoanStacking
    );
    assert_eq!(labelled(6, slow), RingLabel::Ordinary);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_links_and_nodes_changes_nothing(
        (graph, shuffled) in any_graph().prop_flat_map(|g| (Just(g.clone()), Just(g).prop_shuffle())),
        turned in any::<bool>(),
    ) {
        let mut shuffled = shuffled;
        if turned {
            shuffled.iter_mut().for_each(|link| link.nodes.reverse());
        }
        let own = shuffled.iter().find(|l| l.application == graph[0].application).unwrap();
        prop_assert_eq!(ring(&graph, &graph[0]), ring(&shuffled, own));
    }

    #[test]
    fn a_weak_link_never_changes_the_ring(graph in any_graph(), firm in 10_usize..14, hash in 0_u8..6) {
        let before = ring(&graph, &graph[0]);
        let mut after = graph.clone();
        after.push(link(200, firm, &format!("network {hash}, address {hash}, device new, card new"), 0));
        let after = ring(&after, &graph[0]);
        prop_assert_eq!(sizes(&before), sizes(&after));
        prop_assert_eq!(before.others, after.others);
    }

    #[test]
    fn evidence_names_members_only_and_a_ring_has_evidence(graph in any_graph()) {
        let ring = ring(&graph, &graph[0]);
        let mut members: BTreeSet<ApplicationId> = ring.others.iter().copied().collect();
        members.insert(graph[0].application);
        prop_assert_eq!(members.len(), ring.features.ring_size as usize);
        prop_assert!(ring.features.ring_firms <= ring.features.ring_size);
        prop_assert_eq!(ring.features.evidence.is_empty(), ring.others.is_empty());
        prop_assert!(ring.features.evidence.len() <= MAX_EVIDENCE);
        for evidence in &ring.features.evidence {
            prop_assert!((2..=MAX_EVIDENCE_APPLICATIONS).contains(&evidence.applications.len()));
            prop_assert!(evidence.applications.iter().all(|a| members.contains(a)));
            prop_assert!(evidence.applications.is_sorted());
        }
    }

    #[test]
    fn of_two_direct_neighbours_each_sees_the_other(graph in any_graph()) {
        for other in ring(&graph, &graph[0]).others {
            let link = graph.iter().find(|l| l.application == other).unwrap();
            let direct = link.nodes.iter().any(|n| is_strong(n.kind) && graph[0].nodes.contains(n));
            if direct {
                prop_assert!(ring(&graph, link).others.contains(&graph[0].application));
            }
        }
    }
}

#[test]
fn fault_10_a_link_with_a_kind_of_node_that_only_a_newer_version_knows_is_read_without_it() {
    let nodes =
        r#"[{"kind":"device","hash":"d"},{"kind":"starship","hash":"s"},{"kind":"account","hash":"a"}]"#;
    let application = r#""application":"00000001-0000-8000-8000-000000000000""#;
    let firm = r#""firm":"91350100M000100Y43","at":"2026-11-02T08:00:00Z""#;
    let link: Link = serde_json::from_str(&format!("{{{application},{firm},\"nodes\":{nodes}}}")).unwrap();
    let kinds: Vec<NodeKind> = link.nodes.iter().map(|node| node.kind).collect();
    assert_eq!(kinds, [NodeKind::Device, NodeKind::Account]);
}
