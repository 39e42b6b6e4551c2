//! What the book of rings promises.

use super::{application, at};
use crate::ring_names::{RingNames, Settlement};
use crate::rings::{Glimpse, RingBook, Sighting};
use domain::{
    RingId,
    checks::GraphFeatures,
    ring::{RingLabel, RingProfile, RingVerdict},
    samples::graph_features,
};

fn ring(n: u8) -> RingId {
    application(n).ring_id()
}

fn sighting(of: u8, finder: u8, merged: &[u8]) -> Sighting {
    let verdict = RingVerdict {
        ring: ring(of),
        label: RingLabel::DeviceFarm,
        labels: "labels-1".to_owned(),
        profile: RingProfile { persons: 5, ..RingProfile::default() },
        findings: vec![],
    };
    let features =
        GraphFeatures { device_applications: 5, verdict: Some(verdict), ..graph_features(finder.into()) };
    Sighting {
        ring: ring(of),
        finder: application(finder),
        at: at(i64::from(finder) * 1_000),
        features,
        members: vec![application(finder), application(of)],
        merged: merged.iter().map(|n| ring(*n)).collect(),
    }
}

pub async fn a_book_is_empty_at_first(book: &dyn RingBook) {
    assert_eq!(book.list().await.unwrap(), []);
    assert_eq!(book.history(ring(1), 10).await.unwrap(), []);
}

pub async fn a_ring_keeps_its_history_and_is_listed_as_it_was_seen_last(book: &dyn RingBook) {
    let seen = [sighting(1, 3, &[]), sighting(1, 4, &[]), sighting(1, 5, &[])];
    // Out of order, and one of them twice.
    for place in [2, 0, 1, 0] {
        book.record(&seen[place]).await.unwrap();
    }
    let mut latest_first = seen.clone();
    latest_first.reverse();
    assert_eq!(book.history(ring(1), 10).await.unwrap(), latest_first);
    assert_eq!(book.history(ring(1), 2).await.unwrap(), latest_first[..2]);
    let listed = book.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    let latest = Glimpse::from(&seen[2]);
    assert_eq!((listed[0].ring, &listed[0].latest, listed[0].merged.len()), (ring(1), &latest, 0));
}

pub async fn rings_that_turn_out_to_be_one_keep_the_smallest_name_in_whatever_order_it_shows(
    book: &dyn RingBook,
) {
    // 3 was found to be 2, and another check that knew nothing of it found 3 to be 1.
    book.record(&sighting(2, 9, &[3])).await.unwrap();
    book.record(&sighting(1, 8, &[3])).await.unwrap();
    book.record(&sighting(3, 10, &[])).await.unwrap();
    book.record(&sighting(4, 11, &[])).await.unwrap();
    let listed = book.list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|listed| (listed.ring, listed.merged.clone())).collect();
    assert_eq!(names, [(ring(1), vec![ring(2), ring(3)]), (ring(4), vec![])]);
    assert_eq!(listed[0].latest, Glimpse::from(&sighting(3, 10, &[])), "the latest under any name");
    assert_eq!(book.history(ring(2), 10).await.unwrap().len(), 1, "no history is lost");
}

/// The book of rings and its names.
pub trait Both: RingBook + RingNames {}
impl<T: RingBook + RingNames> Both for T {}

fn settlement(name: u8, stands: u8, second: i64) -> Settlement {
    Settlement { name: ring(name), stands: ring(stands), at: at(second * 1_000) }
}

pub async fn a_settlement_undoes_earlier_merges_and_no_later_one_whatever_is_written_first(book: &dyn Both) {
    let listed = async || -> Vec<(RingId, Vec<RingId>)> {
        book.list().await.unwrap().into_iter().map(|listed| (listed.ring, listed.merged)).collect()
    };
    book.record(&sighting(2, 3, &[])).await.unwrap();
    book.settle(&settlement(1, 1, 20)).await.unwrap();
    book.settle(&settlement(2, 2, 20)).await.unwrap();
    // A check that began before the whole graph was looked at, and ended after it.
    book.record(&sighting(1, 19, &[2])).await.unwrap();
    assert_eq!(listed().await, [(ring(1), vec![]), (ring(2), vec![])]);
    book.record(&sighting(1, 21, &[2])).await.unwrap();
    book.record(&sighting(1, 18, &[2])).await.unwrap();
    assert_eq!(listed().await, [(ring(1), vec![ring(2)])], "they met again");
    book.settle(&settlement(2, 2, 15)).await.unwrap();
    assert_eq!(book.names().await.unwrap().settled, [settlement(1, 1, 20), settlement(2, 2, 20)]);
    book.settle(&settlement(2, 2, 30)).await.unwrap();
    assert_eq!(listed().await, [(ring(1), vec![]), (ring(2), vec![])]);
    assert_eq!(book.history(ring(1), 10).await.unwrap().len(), 3, "no history is lost");
}
