//! What the record of quotas promises.

use crate::quotas::{Counted, Quota, QuotaKind, Quotas};
use futures::future::join_all;
use jiff::civil::date;

fn quota(most: u32) -> Quota {
    Quota { kind: QuotaKind::Phone, of: "phone-hash".to_owned(), day: date(2026, 11, 2), most }
}

async fn count(quotas: &dyn Quotas, quota: &Quota, attempt: &str) -> Counted {
    quotas.count(quota, attempt).await.unwrap()
}

pub async fn a_quota_holds_as_many_attempts_as_it_says_and_the_same_again(quotas: &dyn Quotas) {
    for attempt in ["a", "b", "a", "c"] {
        assert_eq!(count(quotas, &quota(3), attempt).await, Counted::Within, "{attempt}");
    }
    for (attempt, expected) in [("d", Counted::Full), ("b", Counted::Within), ("d", Counted::Full)] {
        assert_eq!(count(quotas, &quota(3), attempt).await, expected, "{attempt}");
    }
    assert_eq!(count(quotas, &quota(4), "d").await, Counted::Within, "what was refused was not counted");
}

pub async fn each_quota_and_each_day_counts_by_itself(quotas: &dyn Quotas) {
    let full = quota(1);
    assert_eq!(count(quotas, &full, "a").await, Counted::Within);
    let others = [
        Quota { kind: QuotaKind::Person, ..full.clone() },
        Quota { of: "other".to_owned(), ..full.clone() },
        Quota { day: date(2026, 11, 3), ..full.clone() },
    ];
    for other in &others {
        assert_eq!(count(quotas, other, "b").await, Counted::Within, "{other:?}");
    }
    assert_eq!(count(quotas, &full, "b").await, Counted::Full);
}

pub async fn racing_attempts_never_pass_a_quota(quotas: &dyn Quotas) {
    let (quota, attempts) = (quota(5), (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    let outcomes = join_all(attempts.iter().map(|attempt| count(quotas, &quota, attempt))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Counted::Within).count(), 5);
}
