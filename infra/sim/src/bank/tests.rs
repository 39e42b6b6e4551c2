use super::*;
use crate::testing::{self, Lender, Received, SECRET};
use serde_json::{Value, json};

async fn start_with(change: impl FnOnce(&mut BankConfig)) -> BankHandle {
    let mut config = BankConfig::new("harbour", testing::keys(SECRET));
    config.delay = Delay::NONE;
    config.redelivery_pause = Duration::ZERO;
    config.clock = testing::clock();
    change(&mut config);
    start(config).await.unwrap()
}

async fn lender_and_bank() -> (Lender, BankHandle) {
    (Lender::start(SECRET).await, start_with(|_| ()).await)
}

fn instruction(lender: &Lender, amount_fen: u64) -> Value {
    json!({
        "payout_id": "p-1",
        "application_id": "a-1",
        "amount_fen": amount_fen,
        "annual_rate_bp": 850,
        "term_months": 12,
        "product": "harbour-quick",
        "payee": {"name": "张三", "bank_card": "6222020000000000000", "firm_code": "91350211M000100Y43"},
        "approval": "delegated",
        "callback_url": lender.callback_url,
    })
}

async fn instruct(lender: &Lender, bank: &BankHandle, body: &Value) -> reqwest::Response {
    let response = lender.post(&format!("{}/payouts", bank.url()), body).await;
    bank.idle().await;
    response
}

async fn ask(lender: &Lender, bank: &BankHandle) -> Value {
    let response = lender.post(&format!("{}/payouts/query", bank.url()), &json!({"payout_id": "p-1"})).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn outcomes(received: &[Received]) -> Vec<&str> {
    received.iter().map(|callback| callback.body["outcome"].as_str().unwrap()).collect()
}

fn states(bank: &BankHandle) -> Vec<PayoutState> {
    bank.book().iter().map(|entry| entry.state).collect()
}

#[tokio::test]
async fn a_payout_is_taken_paid_and_called_back() {
    let (lender, bank) = lender_and_bank().await;
    assert_eq!(ask(&lender, &bank).await, json!({"payout_id": "p-1", "state": "unknown_to_us"}));
    assert_eq!(instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await.status(), 202);
    let expected = json!({
        "payout_id": "p-1", "application_id": "a-1", "outcome": "paid", "bank_reference": "harbour-00000001",
        "amount_fen": 50_000_00, "at": "2027-01-15T08:00:00Z",
    });
    assert_eq!(lender.received().iter().map(|callback| &callback.body).collect::<Vec<_>>(), [&expected]);
    let state = ask(&lender, &bank).await;
    assert_eq!(
        state,
        json!({
            "payout_id": "p-1", "state": "paid", "bank_reference": "harbour-00000001", "amount_fen": 50_000_00,
        })
    );
    bank.stop().await;
}

#[tokio::test]
async fn a_repeated_instruction_pays_once_and_says_the_same_under_the_same_id() {
    let (lender, bank) = lender_and_bank().await;
    for _ in 0..3 {
        assert_eq!(instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await.status(), 202);
    }
    assert_eq!(bank.book().len(), 1);
    let received = lender.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|callback| *callback == received[0]));
}

#[tokio::test]
async fn instructions_that_arrive_together_pay_once() {
    let (lender, bank) = lender_and_bank().await;
    let url = format!("{}/payouts", bank.url());
    let body = instruction(&lender, 50_000_00);
    let answers = futures::future::join_all((0..20).map(|_| lender.post(&url, &body))).await;
    bank.idle().await;
    assert!(answers.iter().all(|answer| answer.status() == 202));
    assert_eq!(states(&bank), [PayoutState::Paid]);
}

#[tokio::test]
async fn the_same_payout_with_other_terms_is_a_conflict_and_changes_nothing() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    let good = instruction(&lender, 50_000_00);
    for (pointer, value) in [
        ("/amount_fen", json!(50_000_01)),
        ("/annual_rate_bp", json!(851)),
        ("/term_months", json!(24)),
        ("/application_id", json!("a-2")),
        ("/payee/bank_card", json!("6222020000000000018")),
        ("/approval", json!("bank_confirms")),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(instruct(&lender, &bank, &other).await.status(), 409, "{pointer}");
    }
    assert_eq!(bank.book().len(), 1);
    assert_eq!(bank.book()[0].amount_fen, 50_000_00);
}

#[tokio::test]
async fn a_repeated_instruction_may_name_a_new_callback_address() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    let moved = Lender::start(SECRET).await;
    assert_eq!(instruct(&moved, &bank, &instruction(&moved, 50_000_00)).await.status(), 202);
    assert_eq!(moved.received(), lender.received());
}

#[tokio::test]
async fn a_bank_that_confirms_refuses_what_is_above_its_limit() {
    let lender = Lender::start(SECRET).await;
    for (amount_fen, outcome) in [(30_000_00, "paid"), (30_000_01, "refused")] {
        let bank = start_with(|config| config.limit_fen = 30_000_00).await;
        let mut body = instruction(&lender, amount_fen);
        body["approval"] = json!("bank_confirms");
        assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
        assert_eq!(outcomes(&lender.received()).last(), Some(&outcome));
        assert_eq!(ask(&lender, &bank).await["state"], outcome);
    }
}

#[tokio::test]
async fn a_bank_that_has_delegated_pays_above_its_limit() {
    let lender = Lender::start(SECRET).await;
    let bank = start_with(|config| config.limit_fen = 1).await;
    instruct(&lender, &bank, &instruction(&lender, 30_000_00)).await;
    assert_eq!(states(&bank), [PayoutState::Paid]);
}

#[tokio::test]
async fn yuan_ending_in_77_are_paid_while_the_answer_is_held_back_and_only_the_query_tells() {
    let lender = Lender::start(SECRET).await;
    let bank = start_with(|config| config.hold = Duration::from_secs(3600)).await;
    let url = format!("{}/payouts", bank.url());
    let body = instruction(&lender, 50_077_00);
    let first = tokio::time::timeout(Duration::from_millis(200), lender.post(&url, &body)).await;
    assert!(first.is_err(), "the answer was not held back");
    assert_eq!(ask(&lender, &bank).await["state"], "paid");
    assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
    assert_eq!(states(&bank), [PayoutState::Paid]);
    assert_eq!(lender.received(), []);
}

#[tokio::test]
async fn stopping_ends_an_answer_that_is_held_back() {
    let lender = Arc::new(Lender::start(SECRET).await);
    let bank = start_with(|config| config.hold = Duration::from_secs(3600)).await;
    let (url, body) = (format!("{}/payouts", bank.url()), instruction(&lender, 50_077_00));
    let waiting = tokio::spawn({
        let lender = Arc::clone(&lender);
        async move { lender.post(&url, &body).await.status() }
    });
    while bank.book().is_empty() {
        tokio::task::yield_now().await;
    }
    bank.stop().await;
    assert_eq!(waiting.await.unwrap(), 202);
}

#[tokio::test]
async fn yuan_ending_in_78_fail_with_500_once_and_are_paid_on_the_second_try() {
    let (lender, bank) = lender_and_bank().await;
    let body = instruction(&lender, 50_078_00);
    assert_eq!(instruct(&lender, &bank, &body).await.status(), 500);
    assert_eq!(ask(&lender, &bank).await["state"], "unknown_to_us");
    assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
    assert_eq!(outcomes(&lender.received()), ["paid"]);
}

#[tokio::test]
async fn a_bank_that_no_amount_steers_pays_them_all() {
    let lender = Lender::start(SECRET).await;
    for yuan in 77..=89 {
        let bank = start_with(|config| config.steered_by_amount = false).await;
        let body = instruction(&lender, (50_000 + yuan) * 100);
        assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
        assert_eq!(states(&bank), [PayoutState::Paid], "{yuan}");
    }
}

#[tokio::test]
async fn yuan_ending_in_79_are_refused_and_in_80_fail() {
    for (amount_fen, outcome) in [(50_079_00, "refused"), (50_080_00, "failed")] {
        let (lender, bank) = lender_and_bank().await;
        assert_eq!(instruct(&lender, &bank, &instruction(&lender, amount_fen)).await.status(), 202);
        assert_eq!(outcomes(&lender.received()), [outcome]);
        assert_eq!(ask(&lender, &bank).await["state"], outcome);
    }
}

#[tokio::test]
async fn yuan_ending_in_81_are_throttled_once() {
    let (lender, bank) = lender_and_bank().await;
    let body = instruction(&lender, 50_081_00);
    let response = instruct(&lender, &bank, &body).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
    assert_eq!(outcomes(&lender.received()), ["paid"]);
}

#[tokio::test]
async fn yuan_ending_in_82_are_answered_with_garbage_and_paid() {
    let (lender, bank) = lender_and_bank().await;
    let response = instruct(&lender, &bank, &instruction(&lender, 50_082_00)).await;
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    assert_eq!(outcomes(&lender.received()), ["paid"]);
}

#[tokio::test]
async fn yuan_ending_in_83_are_redirected_and_in_84_gone_and_neither_is_in_the_book() {
    for (amount_fen, status) in [(50_083_00, 307), (50_084_00, 410)] {
        let (lender, bank) = lender_and_bank().await;
        assert_eq!(instruct(&lender, &bank, &instruction(&lender, amount_fen)).await.status(), status);
        assert_eq!(bank.book(), []);
        assert_eq!(ask(&lender, &bank).await["state"], "unknown_to_us");
        assert_eq!(lender.received(), []);
    }
}

#[tokio::test]
async fn yuan_ending_in_85_are_paid_without_a_callback() {
    let (lender, bank) = lender_and_bank().await;
    assert_eq!(instruct(&lender, &bank, &instruction(&lender, 50_085_00)).await.status(), 202);
    assert_eq!(ask(&lender, &bank).await["state"], "paid");
    assert_eq!(lender.received(), []);
}

#[tokio::test]
async fn yuan_ending_in_86_are_paid_once_and_called_back_twice() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_086_00)).await;
    let received = lender.received();
    assert_eq!(outcomes(&received), ["paid", "paid"]);
    assert_eq!(received[0], received[1]);
    assert_eq!(states(&bank), [PayoutState::Paid]);
}

#[tokio::test]
async fn yuan_ending_in_87_are_paid_and_the_answer_never_ends() {
    let (lender, bank) = lender_and_bank().await;
    let body = instruction(&lender, 50_087_00);
    let response = lender.post(&format!("{}/payouts", bank.url()), &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(ask(&lender, &bank).await["state"], "paid");
    let reading = tokio::time::timeout(Duration::from_millis(50), response.bytes()).await;
    assert!(reading.is_err(), "the answer came to an end");
    assert_eq!(instruct(&lender, &bank, &body).await.status(), 202);
    assert_eq!(lender.received(), []);
}

#[tokio::test]
async fn a_marker_counts_only_on_a_whole_number_of_yuan() {
    for (amount_fen, expected) in [
        (77_00, Behaviour::TimeOutAfterPaying),
        (1_234_579_00, Behaviour::Refuse),
        (50_077_01, Behaviour::Usual),
        (50_000_77, Behaviour::Usual),
        (50_000_00, Behaviour::Usual),
    ] {
        assert_eq!(Behaviour::by_amount(amount_fen), expected, "{amount_fen}");
    }
}

#[tokio::test]
async fn a_named_payout_is_treated_as_configured_whatever_its_amount() {
    let lender = Lender::start(SECRET).await;
    let behaviours = BTreeMap::from([("p-1".to_owned(), Behaviour::Refuse)]);
    let bank = start_with(|config| config.behaviours = behaviours).await;
    instruct(&lender, &bank, &instruction(&lender, 50_077_00)).await;
    assert_eq!(outcomes(&lender.received()), ["refused"]);
}

#[tokio::test]
async fn a_callback_that_is_never_taken_is_given_up_after_five_redeliveries() {
    let (lender, bank) = lender_and_bank().await;
    lender.answer_next(&[500; 20]);
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    assert_eq!(lender.received().len(), 6);
    assert_eq!(states(&bank), [PayoutState::Paid]);
}

#[tokio::test]
async fn an_unsigned_malformed_or_unusable_instruction_is_not_in_the_book() {
    let (lender, bank) = lender_and_bank().await;
    let url = format!("{}/payouts", bank.url());
    let good = instruction(&lender, 50_000_00);
    assert_eq!(lender.post_plain(&url, &good).await.status(), 401);
    let query = format!("{}/payouts/query", bank.url());
    assert_eq!(lender.post_plain(&query, &json!({"payout_id": "p-1"})).await.status(), 401);
    let stranger = Lender::start(testing::OTHER_SECRET).await;
    assert_eq!(stranger.post(&url, &good).await.status(), 401);
    assert_eq!(lender.post(&url, &json!({"payout_id": "p-1"})).await.status(), 400);
    for (field, value) in [
        ("amount_fen", json!(0)),
        ("term_months", json!(0)),
        ("payout_id", json!("")),
        ("callback_url", json!("here")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(lender.post(&url, &bad).await.status(), 422, "{field}");
    }
    for amount in [json!(-1), json!(1.5), json!("1"), json!(null)] {
        let mut bad = good.clone();
        bad["amount_fen"] = amount;
        assert_eq!(lender.post(&url, &bad).await.status(), 400);
    }
    assert_eq!(bank.book(), []);
}

#[tokio::test]
async fn a_bank_may_have_a_key_pair_and_know_only_the_lenders_public_key() {
    for pair in [signing::keys::webhook_key_pair, signing::keys::sm2_key_pair] {
        let ((banks, bank_public), (lenders, lender_public)) = (pair().unwrap(), pair().unwrap());
        let keys = Keys::parse(&format!("{banks}\n{lender_public}\n")).unwrap();
        let other_side = Keys::parse(&format!("{lenders} {bank_public}")).unwrap();
        let (id, now) = ("msg_1".parse().unwrap(), testing::clock()());
        let verified = |signer: &Keys, verifier: &Keys| {
            verifier.lender.verify(&signer.own.sign(&id, now, b"{}"), b"{}", now).is_ok()
        };
        assert!(verified(&keys, &other_side) && verified(&other_side, &keys));
        assert!(!verified(&keys, &keys));
        assert!(Keys::parse(&banks).is_err() && Keys::parse(&bank_public).is_err());
    }
    assert!(Keys::parse("whsec_c2hvcnQ=").is_err() && Keys::parse("secret").is_err());
}

#[tokio::test]
async fn the_book_can_be_read_over_http() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    let book = lender.get(&format!("{}/book", bank.url())).await;
    assert_eq!(book, serde_json::to_value(bank.book()).unwrap());
    assert_eq!(book[0]["state"], "paid");
    assert!(!book.to_string().contains("6222"));
}

#[tokio::test]
async fn a_bank_that_restarts_knows_what_it_has_paid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.jsonl");
    let lender = Lender::start(SECRET).await;
    let first = start_with(|config| config.book = Some(path.clone())).await;
    instruct(&lender, &first, &instruction(&lender, 50_000_00)).await;
    let before = first.book();
    first.stop().await;

    let second = start_with(|config| config.book = Some(path.clone())).await;
    second.idle().await;
    assert_eq!(second.book(), before);
    assert_eq!(instruct(&lender, &second, &instruction(&lender, 50_000_00)).await.status(), 202);
    assert_eq!(instruct(&lender, &second, &instruction(&lender, 60_000_00)).await.status(), 409);
    assert_eq!(second.book(), before);
    assert!(!std::fs::read_to_string(path).unwrap().contains("6222"));
}

#[tokio::test]
async fn a_bank_that_dies_before_paying_pays_after_its_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.jsonl");
    let lender = Lender::start(SECRET).await;
    let hour = Duration::from_secs(3600);
    let first = start_with(|config| {
        config.book = Some(path.clone());
        config.delay = Delay { shortest: hour, longest: hour };
    })
    .await;
    let body = instruction(&lender, 50_000_00);
    assert_eq!(lender.post(&format!("{}/payouts", first.url()), &body).await.status(), 202);
    assert_eq!(ask(&lender, &first).await["state"], "received");
    first.stop().await;
    assert_eq!(lender.received(), []);

    let second = start_with(|config| config.book = Some(path)).await;
    second.idle().await;
    assert_eq!(states(&second), [PayoutState::Paid]);
    assert_eq!(outcomes(&lender.received()), ["paid"]);
}

#[tokio::test]
async fn a_half_written_last_line_is_left_out_and_a_damaged_one_before_it_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.jsonl");
    let lender = Lender::start(SECRET).await;
    let bank = start_with(|config| config.book = Some(path.clone())).await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    let before = bank.book();
    bank.stop().await;

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"payout_id\":\"p-2\",")).unwrap();
    let bank = start_with(|config| config.book = Some(path.clone())).await;
    assert_eq!(bank.book(), before);
    bank.stop().await;

    std::fs::write(&path, format!("junk\n{text}")).unwrap();
    let mut config = BankConfig::new("harbour", testing::keys(SECRET));
    config.book = Some(path);
    assert!(matches!(start(config).await, Err(StartError::Book(_))));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_in_the_error() {
    let bank = start_with(|_| ()).await;
    let port: u16 = bank.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut config = BankConfig::new("other", testing::keys(SECRET));
    config.port = port;
    let Err(error) = start(config).await else { panic!("two banks on one port") };
    assert_eq!(error.to_string(), format!("port {port} on the loopback interface could not be opened"));
}

fn ids(received: &[Received]) -> std::collections::HashSet<&str> {
    received.iter().map(|callback| callback.message_id.as_str()).collect()
}

#[tokio::test]
async fn yuan_ending_in_88_are_paid_and_the_bank_says_paid_then_failed_then_paid() {
    let (lender, bank) = lender_and_bank().await;
    assert_eq!(instruct(&lender, &bank, &instruction(&lender, 50_088_00)).await.status(), 202);
    let received = lender.received();
    assert_eq!(outcomes(&received), ["paid", "failed", "paid"]);
    assert_eq!(ids(&received).len(), 3, "each word is a message of its own");
    assert_eq!(states(&bank), [PayoutState::Paid]);
    assert_eq!(ask(&lender, &bank).await["state"], "paid");

    instruct(&lender, &bank, &instruction(&lender, 50_088_00)).await;
    assert_eq!(lender.received()[3..], received, "said again, it is the same three messages");
}

#[tokio::test]
async fn yuan_ending_in_89_are_called_failed_and_then_paid() {
    let (lender, bank) = lender_and_bank().await;
    lender.answer_next(&[503]);
    assert_eq!(instruct(&lender, &bank, &instruction(&lender, 50_089_00)).await.status(), 202);
    let received = lender.received();
    assert_eq!(outcomes(&received), ["failed", "failed", "paid"], "the first was delivered again");
    assert_eq!(ids(&received).len(), 2);
    assert_eq!(states(&bank), [PayoutState::Paid]);
    assert_eq!(ask(&lender, &bank).await["state"], "paid");

    instruct(&lender, &bank, &instruction(&lender, 50_089_00)).await;
    assert_eq!(lender.received()[3..], received[2..], "once it has paid it does not say failed any more");
}

async fn report(lender: &Lender, bank: &BankHandle, payout_id: &str, report: Value) -> reqwest::Response {
    let url = format!("{}/loans/{payout_id}/reports", bank.url());
    let response = lender.post_plain(&url, &report).await;
    bank.idle().await;
    response
}

#[tokio::test]
async fn reports_on_a_loan_are_called_back_each_with_its_own_id_and_reference() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    let repaid = json!({"report": "repaid", "principal_fen": 1_000_00, "interest_fen": 50_00});
    let reports = [
        repaid.clone(),
        repaid,
        json!({"report": "overdue", "days": 3, "overdue_fen": 1_050_00}),
        json!({"report": "overdue", "days": 0, "overdue_fen": 0}),
        json!({"report": "settled"}),
    ];
    for body in reports {
        assert_eq!(report(&lender, &bank, "p-1", body).await.status(), 202);
    }
    let expected = |report: Value| {
        let mut body = json!({"payout_id": "p-1", "application_id": "a-1", "at": "2027-01-15T08:00:00Z"});
        body.as_object_mut().unwrap().extend(report.as_object().unwrap().clone());
        body
    };
    let received = &lender.received()[1..];
    let bodies: Vec<_> = received.iter().map(|callback| callback.body.clone()).collect();
    assert_eq!(
        bodies,
        [
            json!({"report": "repaid", "bank_reference": "harbour-00000001-1", "principal_fen": 1_000_00, "interest_fen": 50_00}),
            json!({"report": "repaid", "bank_reference": "harbour-00000001-2", "principal_fen": 1_000_00, "interest_fen": 50_00}),
            json!({"report": "overdue", "days": 3, "overdue_fen": 1_050_00}),
            json!({"report": "overdue", "days": 0, "overdue_fen": 0}),
            json!({"report": "settled", "bank_reference": "harbour-00000001-5"}),
        ]
        .map(expected)
    );
    assert_eq!(ids(&lender.received()).len(), 6);
}

#[tokio::test]
async fn a_report_that_is_not_taken_comes_again_as_the_same_message() {
    let (lender, bank) = lender_and_bank().await;
    instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
    lender.answer_next(&[503, 503]);
    report(&lender, &bank, "p-1", json!({"report": "settled"})).await;
    let received = &lender.received()[1..];
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|callback| *callback == received[0]));
}

#[tokio::test]
async fn what_was_never_paid_or_makes_no_sense_cannot_be_reported() {
    let (lender, bank) = lender_and_bank().await;
    let settled = json!({"report": "settled"});
    assert_eq!(report(&lender, &bank, "p-1", settled.clone()).await.status(), 404);
    instruct(&lender, &bank, &instruction(&lender, 50_079_00)).await;
    assert_eq!(report(&lender, &bank, "p-1", settled).await.status(), 409);
    for (body, status) in [
        (json!({"report": "repaid", "principal_fen": 0, "interest_fen": 0}), 422),
        (json!({"report": "overdue", "days": 0, "overdue_fen": 1}), 422),
        (json!({"report": "repaid", "principal_fen": 1}), 400),
        (json!({"report": "forgiven"}), 400),
    ] {
        assert_eq!(report(&lender, &bank, "p-1", body.clone()).await.status(), status, "{body}");
    }
    assert_eq!(lender.received().len(), 1, "only the refusal of the payout was called back");
}

#[tokio::test]
async fn a_bank_that_restarts_gives_no_reference_of_a_report_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.jsonl");
    let lender = Lender::start(SECRET).await;
    let mut references = Vec::new();
    for _ in 0..2 {
        let bank = start_with(|config| config.book = Some(path.clone())).await;
        instruct(&lender, &bank, &instruction(&lender, 50_000_00)).await;
        references.push(bank.report("p-1", Report::Settled).unwrap().bank_reference.unwrap());
        bank.stop().await;
    }
    assert_eq!(references, ["harbour-00000001-1", "harbour-00000001-2"]);
}

async fn text(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn the_statement_holds_what_was_finished_on_a_day_in_china() {
    let lender = Lender::start(SECRET).await;
    let time = Arc::new(Mutex::new("2026-11-02T15:59:59Z".parse::<jiff::Timestamp>().unwrap()));
    let bank = start_with(|config| {
        let time = Arc::clone(&time);
        config.clock = Arc::new(move || *time.lock().unwrap());
    })
    .await;
    // The test's lender signs with a clock of its own, so these are entered as the bank's handlers would enter them.
    let enter = |payout_id: &str, amount_fen| {
        let mut body = instruction(&lender, amount_fen);
        body["payout_id"] = json!(payout_id);
        let instruction: Instruction = serde_json::from_value(body).unwrap();
        let behaviour = bank.bank.behaviour(&instruction);
        bank.bank.receive(instruction, behaviour).unwrap();
    };
    enter("p-1", 50_000_00);
    enter("p,\"2\"", 50_079_00);
    enter("p-3", 50_080_00);
    enter("p-4", 50_000_00);
    for payout_id in ["p-1", "p,\"2\""] {
        bank.bank.settle(payout_id);
    }
    *time.lock().unwrap() = "2026-11-02T16:00:00Z".parse().unwrap();
    bank.bank.settle("p-3");

    let url = |rest: &str| format!("{}/statement?{rest}", bank.url());
    let header = "payout_id,bank_reference,amount_fen,state,at\r\n";
    assert_eq!(
        text(&url("day=2026-11-02&format=csv")).await,
        (
            200,
            format!(
                "{header}p-1,harbour-00000001,5000000,paid,2026-11-02T15:59:59Z\r\n\
                 \"p,\"\"2\"\"\",harbour-00000002,5007900,refused,2026-11-02T15:59:59Z\r\n"
            )
        )
    );
    assert_eq!(
        text(&url("format=jsonl&day=2026-11-03")).await,
        (
            200,
            "{\"payout_id\":\"p-3\",\"bank_reference\":\"harbour-00000003\",\"amount_fen\":5008000,\
             \"state\":\"failed\",\"at\":\"2026-11-02T16:00:00Z\"}\n"
                .to_owned()
        )
    );
    assert_eq!(text(&url("day=2026-11-04")).await, (200, header.to_owned()));
    assert_eq!(text(&url("day=2026-11-04&format=jsonl")).await, (200, String::new()));
    for bad in
        ["", "day=yesterday", "day=2026-11-31", "day=2026-11-02&day=2026-11-03", "day=2026-11-02&format=xml"]
    {
        assert_eq!(text(&url(bad)).await.0, 400, "{bad}");
    }
    assert_eq!(bank.statement("2026-11-03".parse().unwrap()).lines.len(), 1);
}
