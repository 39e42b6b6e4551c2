//! What a journal promises.

use super::{application, at};
use crate::journal::{AppendError, Entry, Journal};
use domain::{
    FeatureRow,
    checks::{ChallengerScore, DimensionScore, Score},
    journey::{Command, Event},
};
use futures::future::{join, join_all};

/// An entry with numbers that a decimal detour would change.
fn entry(number: u32, by: &str) -> Entry {
    let margins = [Some(0.1 + 0.2), Some(f64::MIN_POSITIVE), Some(-1.0 / 3.0), None];
    let dimensions = margins.map(|margin| DimensionScore { dimension: "tax".to_owned(), margin, points: -7 });
    let challenger = ChallengerScore { model: "next".to_owned(), default_probability: 1.0 / 3.0, points: 0 };
    let score = Score {
        model: "2026-11-02".to_owned(),
        default_probability: 0.012_345_678_901_234_567,
        points: -7,
        dimensions: dimensions.to_vec(),
        reasons: Vec::new(),
        firm_age_days: Some(-1),
        supported_amount_fen: Some(u64::MAX),
        features: FeatureRow::new(vec![f32::NAN, -0.0, f32::MIN_POSITIVE]),
        challenger: Some(challenger),
    };
    let commands = vec![Command::StartPhoneCheck { attempt: 2 }, Command::Decide];
    let events = vec![Event::Scored { score }, Event::Expired];
    Entry { number, at: at(i64::from(number)), by: by.to_owned(), events, commands }
}

pub async fn a_journal_that_nobody_wrote_is_empty(journal: &dyn Journal) {
    assert_eq!(journal.load(application(1)).await.unwrap(), []);
}

pub async fn an_entry_reads_back_bit_for_bit(journal: &dyn Journal) {
    let written = entry(1, "score/0.1.0");
    journal.append(application(1), &written, Some(at(5))).await.unwrap();
    let read = journal.load(application(1)).await.unwrap();
    assert_eq!(read, std::slice::from_ref(&written));
    let bytes = |entry: &Entry| serde_json::to_vec(entry).unwrap();
    assert_eq!(bytes(&read[0]), bytes(&written));
}

pub async fn a_number_is_written_once_and_the_first_entry_stays(journal: &dyn Journal) {
    let first = entry(1, "first");
    journal.append(application(1), &first, None).await.unwrap();
    let second = journal.append(application(1), &entry(1, "second"), Some(at(5))).await;
    assert!(matches!(second, Err(AppendError::Taken)), "{second:?}");
    assert_eq!(journal.load(application(1)).await.unwrap(), [first]);
}

pub async fn the_same_entry_written_again_is_taken(journal: &dyn Journal) {
    let entry = entry(1, "intake/0.1.0");
    journal.append(application(1), &entry, None).await.unwrap();
    let again = journal.append(application(1), &entry, None).await;
    assert!(matches!(again, Err(AppendError::Taken)), "{again:?}");
}

pub async fn of_two_racing_appends_exactly_one_wins(journal: &dyn Journal) {
    for round in 1..=9 {
        let (left, right) = (entry(round, "left"), entry(round, "right"));
        let race =
            join(journal.append(application(1), &left, None), journal.append(application(1), &right, None));
        let winner = match race.await {
            (Ok(()), Err(AppendError::Taken)) => left,
            (Err(AppendError::Taken), Ok(())) => right,
            other => panic!("{other:?}"),
        };
        assert_eq!(journal.load(application(1)).await.unwrap().last(), Some(&winner));
    }
}

pub async fn entries_load_in_order_beyond_the_ninth(journal: &dyn Journal) {
    let entries: Vec<Entry> = (1..=120).map(|number| entry(number, "verify-phone/0.1.0")).collect();
    for entry in &entries {
        journal.append(application(1), entry, None).await.unwrap();
    }
    assert_eq!(journal.load(application(1)).await.unwrap(), entries);
}

pub async fn a_journal_of_several_megabytes_loads_whole(journal: &dyn Journal) {
    let big = "x".repeat(300_000);
    let entries: Vec<Entry> = (1..=12).map(|number| entry(number, &big)).collect();
    for entry in &entries {
        journal.append(application(1), entry, None).await.unwrap();
    }
    assert!(journal.load(application(1)).await.unwrap() == entries);
}

pub async fn applications_do_not_see_each_other(journal: &dyn Journal) {
    let appends = (1..=8).map(|n| async move {
        journal.append(application(n), &entry(1, &format!("writer {n}")), None).await.unwrap();
    });
    join_all(appends).await;
    for n in 1..=8 {
        assert_eq!(journal.load(application(n)).await.unwrap(), [entry(1, &format!("writer {n}"))]);
    }
}

pub async fn a_number_that_would_break_the_order_is_refused(journal: &dyn Journal) {
    for number in [0, 10_000] {
        let refused = journal.append(application(1), &entry(number, "intake/0.1.0"), None).await;
        assert!(matches!(refused, Err(AppendError::Port(error)) if !error.is_retryable()));
    }
    assert_eq!(journal.load(application(1)).await.unwrap(), []);
}

pub async fn a_journal_with_a_gap_is_not_loaded(journal: &dyn Journal) {
    journal.append(application(1), &entry(1, "intake/0.1.0"), None).await.unwrap();
    journal.append(application(1), &entry(3, "intake/0.1.0"), None).await.unwrap();
    assert!(!journal.load(application(1)).await.unwrap_err().is_retryable());
}
