//! What the template does for whoever operates the system: encryption, shares of concurrency, releases, alarms, dashboard.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use local::template::Template;
use serde_json::Value;
use std::{fs, path::Path};

/// Lambda keeps this much of an account's usual 1,000 for functions without a share.
const MOST_RESERVED: u32 = 900;
const STAGES: [&str; 7] = ["face", "phone", "score", "graph", "decide", "instruct", "settle"];

fn written() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/template.yaml");
    fs::read_to_string(path).unwrap()
}

fn template() -> Template {
    Template::parse(&written()).expect("the runner knows the template")
}

/// The text of each alarm.
fn alarms(written: &str) -> Vec<&str> {
    let resources = written.split("\n  ").map(|text| text.lines().next().unwrap_or_default());
    let is_alarm = |name: &&str| name.ends_with("Alarm:") && !name.starts_with(' ');
    let names: Vec<&str> = resources.filter(is_alarm).collect();
    names
        .into_iter()
        .map(|name| {
            let (_, rest) = written.split_once(&format!("\n  {name}\n")).unwrap();
            rest.split_once("\n\n").map_or(rest, |(text, _)| text)
        })
        .collect()
}

/// How many alarms have all of these lines.
fn with(written: &str, lines: &[&str]) -> usize {
    alarms(written).iter().filter(|alarm| lines.iter().all(|line| alarm.contains(line))).count()
}

#[test]
fn everything_that_is_kept_is_encrypted_with_a_key_of_our_own() {
    let template = template();
    for table in &template.tables {
        assert_eq!(table.key.as_deref(), Some("TablesKey"), "{}", table.logical_id);
    }
    for queue in &template.queues {
        assert_eq!(queue.key.as_deref(), Some("QueuesKey"), "{}", queue.logical_id);
    }
    for bucket in &template.buckets {
        // S3 writes its access logs into no bucket under such a key.
        let expected = (bucket.logical_id != "BucketLogs").then_some("FilesKey");
        assert_eq!(bucket.key.as_deref(), expected, "{}", bucket.logical_id);
    }
}

#[test]
fn the_shares_of_concurrency_fit_an_account_and_each_queue_fits_its_readers_share() {
    let template = template();
    let mut sum = 0;
    for function in &template.functions {
        let share = function.reserved_concurrency.unwrap();
        sum += share;
        let queues = function.queue_sources.iter().map(|source| source.max_concurrency.unwrap());
        let queues: usize = queues.sum();
        assert!(queues <= share as usize, "{}: {queues} of {share}", function.name);
    }
    assert!(sum <= MOST_RESERVED, "{sum}");
    let described = format!("The shares come to {sum};");
    assert!(written().contains(&described), "the parameter says what the shares come to: {sum}");
}

/// What the API lets through of a route, a second.
fn rate(written: &str, route: &str) -> u32 {
    throttle(written, route, "ThrottlingRateLimit: ")
}

/// What it lets through at once.
fn burst(written: &str, route: &str) -> u32 {
    throttle(written, route, "ThrottlingBurstLimit: ")
}

fn throttle(written: &str, route: &str, limit: &str) -> u32 {
    let (_, rest) = written.split_once(&format!("\"{route}\": {{")).unwrap();
    let (_, rest) = rest.split_once(limit).unwrap();
    rest.split_once([',', '}']).unwrap().0.parse().unwrap()
}

#[test]
fn sign_ins_at_a_channel_that_hangs_leave_room_for_acceptances() {
    let written = written();
    let template = template();
    let intake = template.functions.iter().find(|function| function.name == "intake").unwrap();
    let waits_ms: u32 = intake.environment["COUNTERPARTY_TIMEOUT_MS"].to_string().parse().unwrap();
    let most = burst(&written, "POST /v1/sessions") + rate(&written, "POST /v1/sessions") * waits_ms / 1_000;
    let share = intake.reserved_concurrency.unwrap();
    assert!(most < share, "{most} of {share} invocations may wait for a channel");
}

/// What one partition takes, a second.
const PARTITION_WRITES: u32 = 1_000;
const PARTITION_READ_UNITS: u32 = 3_000;
/// Strongly consistent, and links are smaller than 1 KB.
const LINKS_IN_READ_UNIT: u32 = 4;

#[test]
fn everybody_on_one_network_writes_and_reads_no_faster_than_its_node_takes() {
    let written = written();
    let applications = rate(&written, "POST /v1/applications");
    // An application is linked, once more where it waited for its proof, once more without its claims when these came to
    // nothing. How a loan does is written at strong nodes alone, which quotas of a day guard.
    let writes = 3 * applications;
    assert!(writes <= PARTITION_WRITES, "{writes} writes a second: nodes of the relation graph need shards");
    // One check each: on a network alone no ring hangs, so that few of its applications are checked twice.
    let reads = applications * (relations::FAN_OUT + 1).div_ceil(LINKS_IN_READ_UNIT);
    assert!(
        reads <= PARTITION_READ_UNITS,
        "{reads} read units a second: nodes of the relation graph need shards"
    );
}

#[test]
fn every_table_can_be_restored_and_not_be_deleted_by_mistake() {
    let written = written();
    let tables = template().tables.len();
    for line in ["PointInTimeRecoveryEnabled: true", "DeletionProtectionEnabled: true"] {
        assert_eq!(written.matches(line).count(), tables, "{line}");
    }
}

#[test]
fn alarms_and_dashboard_look_where_the_functions_of_their_own_deployment_tell() {
    const OWN: &str = "Lending/${AWS::StackName}";
    let written = written();
    for function in template().functions {
        if let Some(namespace) = function.environment.get(contract::names::setting::METRICS_NAMESPACE) {
            assert_eq!(namespace.to_string(), OWN, "{}", function.name);
        }
    }
    for rest in written.split("      Namespace: ").skip(1) {
        let (namespace, rest) = rest.split_once("\n      MetricName: ").unwrap();
        let (metric, rest) = rest.split_once('\n').unwrap();
        match metric {
            "Reached" | "StageMs" | "UnknownPayouts" | "SweeperLagSeconds" => {
                assert_eq!(namespace, format!("!Sub {OWN}"))
            }
            // A function's name is that of its deployment with something behind it.
            _ if namespace.starts_with("Lending") => {
                assert!(rest.trim_start().starts_with("Dimensions: [{Name: FunctionName"))
            }
            _ => assert!(namespace.starts_with("AWS/"), "{namespace} {metric}"),
        }
    }
    assert!(!written.contains("[\"Lending\""), "the dashboard");
    assert!(written.contains(&format!("[\"{OWN}\",\"Reached\"")));
}

#[test]
fn every_queue_has_an_alarm_on_the_age_of_its_oldest_message() {
    let written = written();
    for queue in template().queues.iter().filter(|queue| queue.spec.dlq.is_some()) {
        let name = format!("Value: !GetAtt {}.QueueName", queue.logical_id);
        assert_eq!(with(&written, &["ApproximateAgeOfOldestMessage", &name]), 1, "{}", queue.logical_id);
    }
}

#[test]
fn every_function_is_released_by_its_alias_and_taken_back_on_what_fails_of_its_own() {
    let written = written();
    for function in template().functions {
        let id = &function.logical_id;
        let (_, text) = written.split_once(&format!("\n  {id}:\n")).unwrap();
        let (text, _) = text.split_once(&format!("\n  {id}Role:\n")).unwrap();
        assert!(text.contains("AutoPublishCodeSha256: !Ref Release"), "{id}");
        let preference = text.lines().find(|line| line.trim_start().starts_with("DeploymentPreference:"));
        let preference = preference.unwrap();
        // By name, or they would wait for each other. Without a canary no alarm is asked.
        let of_the_api = r#"{Alarms: !If [IsGradual, [!Sub "${AWS::StackName}-api-errors", "#;
        assert!(preference.contains(of_the_api) && preference.ends_with("], []]}"), "{id}");
        let alarms = preference.split("!Ref ").skip(1).map(|rest| {
            let name = rest.split([',', ']']).next().unwrap();
            let (_, alarm) = written.split_once(&format!("\n  {name}:\n")).unwrap();
            let (alarm, _) = alarm.split_once("\n\n").unwrap();
            assert!(alarm.contains(&format!("Value: !Ref {id}}}")), "{id} is taken back on its own failures");
            let (_, metric) = alarm.split_once("MetricName: ").unwrap();
            metric.lines().next().unwrap().to_owned()
        });
        // Lambda does not count a record that its reader names as failed.
        let reads = !function.queue_sources.is_empty();
        let expected: &[&str] = if reads { &["Errors", "FailedRecords"] } else { &["Errors"] };
        assert_eq!(alarms.collect::<Vec<_>>(), expected, "{id}");
    }
}

#[test]
fn every_alarm_tells_when_it_goes_off_and_when_it_is_over() {
    let written = written();
    for alarm in alarms(&written) {
        for action in ["AlarmActions: [!Ref OperatorAlarms]", "OKActions: [!Ref OperatorAlarms]"] {
            assert!(alarm.contains(action), "{alarm}");
        }
    }
}

#[test]
fn no_alarm_goes_off_before_what_it_waits_for_can_have_come() {
    let written = written();
    let daily = alarms(&written).into_iter().filter(|alarm| alarm.contains("MetricName: Invocations"));
    for alarm in daily.filter(|alarm| alarm.contains("Period: 86400")) {
        assert!(alarm.contains("TreatMissingData: missing"), "{alarm}");
        assert!(alarm.contains("InsufficientDataActions: [!Ref OperatorAlarms]"), "{alarm}");
    }
}

#[test]
fn every_stage_has_an_alarm_on_its_slow_ones_however_few_there_are_and_a_line_on_the_dashboard() {
    let written = written();
    let (_, body) = written.split_once("DashboardBody: !Sub |\n").unwrap();
    let (body, _) = body.split_once("\n\n").unwrap();
    let dashboard: Value = serde_json::from_str(body).expect("the dashboard is JSON");
    let shown = dashboard.to_string();
    for stage in STAGES {
        // The borrower or a counterparty sets the time of these.
        let is_theirs = ["face", "phone", "settle"].contains(&stage.to_string().as_str());
        for (statistic, expected) in [("p99", 1), ("p90", usize::from(is_theirs))] {
            let slow = format!("ExtendedStatistic: {statistic}");
            let judged = "EvaluateLowSampleCountPercentile: evaluate";
            let lines = ["MetricName: StageMs", &slow, judged, &format!("Value: {stage}}}")];
            assert_eq!(with(&written, &lines), expected, "{stage}");
        }
        assert!(shown.contains(&format!(r#""StageMs","Stage","{stage}""#)), "{stage}");
    }
    for queue in template().queues {
        assert!(shown.contains(&format!("${{{}.QueueName}}", queue.logical_id)), "{}", queue.logical_id);
    }
    for step in
        ["applied", "approved", "declined", "accepted", "paid_out", "payout_failed", "cancelled", "expired"]
    {
        assert!(shown.contains(&format!(r#""Reached","Step","{step}""#)), "{step}");
    }
}

#[test]
fn payouts_that_fail_or_whose_outcome_nobody_knows_have_alarms() {
    let written = written();
    assert_eq!(with(&written, &["MetricName: Reached", "Value: payout_failed}"]), 1);
    assert_eq!(with(&written, &["MetricName: UnknownPayouts"]), 1);
    assert_eq!(with(&written, &["MetricName: SweeperLagSeconds"]), 1);
}
