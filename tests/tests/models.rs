//! Models in their bucket: put there by the command, assigned to a product, and scoring applications.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{checks::Score, journey::Event};
use jiff::SignedDuration;
use ports::journal::Journal as _;
use tests::{
    TestApp,
    models::{another_model, command},
    quick, sound_owners,
};

/// Applies, and gives the score that the journal holds.
async fn score_of_an_application(app: &TestApp, serial: u32) -> Score {
    let owner = app.firm(sound_owners().nth(serial as usize).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(serial, 1000)).await;
    let id = borrower.apply(&quick(), &format!("models-{serial}")).await.unwrap();
    app.settle().await;
    let journal = aws::DynamoJournal::new(app.lending.aws.dynamodb.clone(), "journeys");
    let entries = journal.load(id.parse().unwrap()).await.unwrap();
    let events = entries.into_iter().flat_map(|entry| entry.events);
    let mut scores = events.filter_map(|event| match event {
        Event::Scored { score } => Some(score),
        _ => None,
    });
    scores.next_back().unwrap()
}

#[tokio::test]
async fn an_assigned_model_scores_and_the_one_before_it_scores_in_shadow_without_an_effect() {
    let app = TestApp::start().await;
    let before = score_of_an_application(&app, 1).await;
    let packaged = before.model.clone();
    assert_eq!(before.challenger, None);

    let model = another_model("2099.1.1");
    let put = command(&app, &["put", model.path().to_str().unwrap()]).await.unwrap();
    assert!(put.contains("2099.1.1") && put.contains("golden rows"), "{put}");
    let line = ["assign", "river-quick", "2099.1.1", "--challenger", &packaged, "--share", "100"];
    command(&app, &line).await.unwrap();
    let listed = command(&app, &["list"]).await.unwrap();
    assert!(listed.contains("100.00 %"), "{listed}");

    app.clock.advance(SignedDuration::from_secs(61));
    let after = score_of_an_application(&app, 2).await;
    assert_eq!(after.model, "2099.1.1");
    let shadow = after.challenger.unwrap();
    assert_eq!((shadow.model, shadow.points), (packaged, after.points - 10));
    assert_eq!(shadow.default_probability, after.default_probability);
    app.stop().await;
}

#[tokio::test]
async fn a_score_is_worked_out_again_bit_for_bit_from_the_journal() {
    let app = TestApp::start().await;
    let score = score_of_an_application(&app, 1).await;
    let again = score::ensemble().unwrap().score(score.features.as_slice()).unwrap();
    assert_eq!(again.pd.to_bits(), score.default_probability.to_bits());
    assert_eq!(again.points, score.points);
    app.stop().await;
}

#[tokio::test]
async fn a_model_that_does_not_agree_with_its_golden_rows_is_not_let_in() {
    let app = TestApp::start().await;
    let model = another_model("2099.1.1");
    let path = model.path().join("golden.csv");
    let golden = std::fs::read_to_string(&path).unwrap();
    let (header, first) = golden.split_once('\n').unwrap();
    let row = first.lines().next().unwrap();
    let (front, _) = row.rsplit_once(',').unwrap();
    std::fs::write(&path, format!("{header}\n{front},0.5\n")).unwrap();
    let refused = command(&app, &["put", model.path().to_str().unwrap()]).await.unwrap_err();
    assert!(refused.contains("line 2 of golden.csv"), "{refused}");
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_assigned() {
    let app = TestApp::start().await;
    let unknown = command(&app, &["assign", "ocean-loan", "2099.1.1"]).await.unwrap_err();
    assert!(unknown.contains("river-quick"), "the message names what there is: {unknown}");
    let absent = command(&app, &["assign", "river-quick", "2099.1.1"]).await.unwrap_err();
    assert!(absent.contains("registry/2099.1.1/manifest.json is not there"), "{absent}");
    let share = ["assign", "river-quick", "2099.1.1", "--challenger", "x", "--share", "100.5"];
    assert!(command(&app, &share).await.unwrap_err().contains("0.01 to 100 per cent"));
    app.stop().await;
}

#[tokio::test]
async fn a_version_in_the_bucket_never_changes() {
    let app = TestApp::start().await;
    let model = another_model("2099.1.1");
    command(&app, &["put", model.path().to_str().unwrap()]).await.unwrap();
    command(&app, &["put", model.path().to_str().unwrap()]).await.expect("the same again is no change");
    let path = model.path().join("manifest.json");
    let changed =
        std::fs::read_to_string(&path).unwrap().replace("\"points_at_odds\":610", "\"points_at_odds\":620");
    std::fs::write(&path, changed).unwrap();
    let refused = command(&app, &["put", model.path().to_str().unwrap()]).await.unwrap_err();
    assert!(refused.contains("a version never changes"), "{refused}");
    app.stop().await;
}

#[tokio::test]
async fn a_model_of_other_dimensions_is_assigned_only_where_that_is_meant() {
    let app = TestApp::start().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/registry/sba-2026.11.1");
    command(&app, &["put", folder]).await.unwrap();
    let line = ["assign", "river-quick", "sba-2026.11.1"];
    let refused = command(&app, &line).await.unwrap_err().to_string();
    assert!(refused.contains("dimensions") && refused.contains("business"), "{refused}");
    command(&app, &[&line[..], &["--other-dimensions"]].concat()).await.unwrap();
    app.stop().await;
}
