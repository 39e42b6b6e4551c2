//! No personal value reaches a log line or a dead letter.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use local::borrower::{Applicant, Wish};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tests::{Lines, TestApp, TestOptions, quick, sound_owners};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn fault_31_no_personal_value_reaches_a_log_line_or_a_dead_letter() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .init();
    let lines = Arc::new(Lines::default());
    let options = TestOptions { sdk_retries: true, metrics: Some(lines.clone()), ..TestOptions::default() };
    let app = TestApp::start_with(options).await;
    let mut values = Vec::new();
    // Paid, bank refuses, bank times out, phone mismatch, face mismatch, identity mismatch, ring.
    let endings = ["1000", "1000", "1000", "0003", "0004", "1000", "1000", "1000", "1000"];
    let yuan = [100_000, 100_079, 100_077, 100_000, 100_000, 100_000, 100_000, 100_000, 100_000];
    for (place, (ending, yuan)) in endings.into_iter().zip(yuan).enumerate() {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let mut who = owner.applicant(place as u32 + 1, 1000);
        who = Applicant { phone: format!("{}{ending}", &who.phone[..7]), ..who };
        if place == 5 {
            who.name = "欧阳无名".into();
        }
        if place > 5 {
            who.device = "one-device".into();
        }
        values.extend([who.name.clone(), who.resident_id.clone(), who.phone.clone(), who.bank_card.clone()]);
        let borrower = app.sign_in(who).await;
        borrower.apply(&Wish { amount_fen: yuan * 100, ..quick() }, "key").await.unwrap();
        app.settle().await;
    }
    // A poison message and one for an application that does not exist end as dead letters.
    app.lending.stack.send("score-requests", "{\"application_id\": \"nobody\"}").await.unwrap();
    app.settle().await;
    let letters = app.lending.stack.dead_letters("score-requests").await.unwrap();
    assert_eq!(letters.len(), 1);
    let mut logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("a bank's word was taken"), "the functions' logs were captured");
    logs.extend(lines.take().iter().map(|line| line.to_string()));
    assert!(logs.contains("scored"), "and their metrics");
    for value in values {
        assert!(!logs.contains(&value), "a personal value is in the logs");
        assert!(
            letters.iter().all(|letter| !letter.contains(&value)),
            "a personal value is in a dead letter"
        );
    }
    app.stop().await;
}
