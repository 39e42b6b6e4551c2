//! Template and code agree: names, settings, routes, queues, and what each function may call.

use contract::names::{self, setting::SECRETS_ARN};
use local::template::{Expression, ObjectSource, Route, Template, local_name};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn template() -> Template {
    Template::read(&repository().join("infra/template.yaml")).expect("the runner knows the template")
}

/// The constants of `contract::names::setting`, from the source, so that a new one cannot be forgotten here.
fn settings() -> BTreeSet<String> {
    let source = text("shared/contract/src/names.rs");
    let module = source.split_once("pub mod setting {").and_then(|(_, rest)| rest.split_once("\n}"));
    let (module, _) = module.expect("the module of the settings");
    let constants = module.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
    constants
        .map(|constant| {
            let (name, value) = constant.split_once(": &str = ").expect("a text constant");
            assert_eq!(value, format!("\"{name}\";"), "a setting is called by its constant's name");
            name.to_owned()
        })
        .collect()
}

#[test]
fn every_setting_is_given_to_some_function_and_no_function_is_given_any_other() {
    let given: BTreeSet<String> =
        template().functions.iter().flat_map(|function| function.environment.keys().cloned()).collect();
    assert_eq!(given, settings());
}

#[test]
fn a_setting_means_the_same_to_every_function() {
    let mut meanings: BTreeMap<String, String> = BTreeMap::new();
    for function in template().functions {
        for (setting, value) in function.environment.iter().filter(|(name, _)| *name != SECRETS_ARN) {
            let meaning = meanings.entry(setting.clone()).or_insert_with(|| value.to_string());
            assert_eq!(*meaning, value.to_string(), "{setting} of {}", function.name);
        }
    }
    assert_eq!(meanings[names::setting::ALLOW_LOCAL], "false", "the local runner alone sets it");
}

#[test]
fn every_function_that_needs_secrets_has_a_secret_of_its_own_and_no_secret_is_a_setting() {
    let needed: BTreeMap<&str, &[&str]> = names::secret::BY_FUNCTION.into_iter().collect();
    for function in template().functions {
        let own = format!("${{{}Secrets}}", function.logical_id);
        let told = function.environment.get(SECRETS_ARN).map(ToString::to_string);
        assert_eq!(told, needed.contains_key(function.name.as_str()).then_some(own), "{}", function.name);
    }
    assert!(!text("infra/template.yaml").contains("{{resolve:"), "a secret would show in Lambda's console");
    let mut secrets = needed.into_values().flatten();
    assert!(secrets.all(|secret| !settings().contains(*secret)));
}

/// The crates under `functions`.
fn functions() -> BTreeSet<String> {
    fs::read_dir(repository().join("functions"))
        .expect("there is a folder of functions")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn every_crate_under_functions_is_in_the_template_and_the_other_way_round() {
    let wired: BTreeSet<String> = template().functions.into_iter().map(|function| function.name).collect();
    assert_eq!(wired, functions());
}

/// The functions that have `dependency` in their binary, however far down.
fn functions_that_link(dependency: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--invert", dependency])
        .current_dir(repository())
        .output()
        .expect("cargo can be run");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let dependents = String::from_utf8(tree.stdout).expect("cargo writes UTF-8");
    assert!(dependents.lines().count() > 1, "nothing at all links {dependency}");
    let (names, functions) = (dependents.lines().filter_map(|line| line.split(' ').next()), functions());
    names.filter(|name| functions.contains(*name)).map(str::to_owned).collect()
}

#[test]
fn what_is_for_the_laptop_and_for_tests_is_in_no_function_and_the_decision_engine_in_one() {
    for dependency in ["dynoxide-rs", "winterbaume-core", "sim", "tract-onnx"] {
        assert_eq!(functions_that_link(dependency), BTreeSet::new(), "{dependency}");
    }
    assert_eq!(functions_that_link("zen-engine"), ["decide".to_owned()].into());
    assert_eq!(functions_that_link("forest"), ["score".to_owned()].into());
}

#[test]
fn every_queue_is_read_and_has_a_dead_letter_queue_with_an_alarm() {
    let template = template();
    let written = text("infra/template.yaml");
    let dead_letters: BTreeMap<&str, u32> = template
        .queues
        .iter()
        .filter_map(|queue| queue.spec.dlq.as_ref())
        .map(|(name, n)| (name.as_str(), *n))
        .collect();
    for queue in &template.queues {
        let name = queue.spec.name.as_str();
        if let Some(receives) = dead_letters.get(name) {
            assert_eq!(*receives, 5, "{name}");
            assert_eq!(queue.retention, Duration::from_secs(14 * 86_400), "{name}");
            let alarm = format!("Value: !GetAtt {}.QueueName", queue.logical_id);
            assert!(written.contains(&alarm), "{name} has no alarm");
            continue;
        }
        assert!(queue.spec.dlq.is_some(), "{name} has no dead-letter queue");
        let readers = template.functions.iter().flat_map(|f| &f.queue_sources).filter(|s| s.queue == name);
        assert_eq!(readers.count(), 1, "{name} is read by one function");
    }
}

#[test]
fn every_bank_has_a_queue_of_its_own_for_its_payouts() {
    let products: Value = serde_json::from_str(&text("models/products.json")).unwrap();
    let banks: BTreeSet<&str> =
        products.as_array().unwrap().iter().map(|product| product["bank"].as_str().unwrap()).collect();
    let template = template();
    let payout = template.function("payout").unwrap();
    let read: BTreeSet<String> = payout.queue_sources.iter().map(|source| source.queue.clone()).collect();
    assert_eq!(read, banks.iter().map(|bank| format!("{bank}-payouts")).collect());
    let told = template.function("decide").unwrap().environment[names::setting::PAYOUTS_QUEUES].to_string();
    let told: BTreeMap<String, String> = serde_json::from_str(&told).unwrap();
    let expected = banks.iter().map(|bank| {
        let queue = template.queue(&format!("{bank}-payouts")).unwrap();
        ((*bank).to_owned(), format!("${{{}}}", queue.logical_id))
    });
    assert_eq!(told, expected.collect());
}

#[test]
fn a_queue_hides_a_message_for_six_times_its_readers_time_out() {
    let template = template();
    for function in &template.functions {
        for source in &function.queue_sources {
            let queue = template.queue(&source.queue).unwrap();
            let hidden = Duration::from_secs(queue.spec.visibility_timeout_s.into());
            assert!(hidden >= function.timeout * 6, "{} hides for {hidden:?}", source.queue);
        }
    }
}

/// Calls to a counterparty that one invocation makes one after the other at worst; records of a batch are handled side by
/// side. Payout asks, instructs, asks, instructs again and asks (`payout::dealings`).
const CALLS_IN_A_ROW: [(&str, &str, u32); 5] = [
    ("intake", names::setting::COUNTERPARTY_TIMEOUT_MS, 1),
    ("notify", names::setting::COUNTERPARTY_TIMEOUT_MS, 1),
    ("payout", names::setting::BANK_TIMEOUT_MS, 5),
    ("verify-face", names::setting::COUNTERPARTY_TIMEOUT_MS, 1),
    ("verify-phone", names::setting::COUNTERPARTY_TIMEOUT_MS, 1),
];

#[test]
fn counterparties_that_never_answer_and_a_slow_call_to_aws_fit_every_time_out() {
    let functions = template().functions;
    let with_limits = functions.iter().flat_map(|function| {
        let limits = function.environment.keys().filter(|name| name.ends_with("_TIMEOUT_MS"));
        limits.map(|limit| (function.name.as_str(), limit.as_str()))
    });
    let expected: Vec<(&str, &str)> = CALLS_IN_A_ROW.map(|(name, limit, _)| (name, limit)).into();
    assert_eq!(with_limits.collect::<Vec<_>>(), expected);
    for (name, limit, calls) in CALLS_IN_A_ROW {
        let function = functions.iter().find(|function| function.name == name).unwrap();
        let each: u64 = function.environment[limit].to_string().parse().unwrap();
        let worst = Duration::from_millis(each) * calls + aws::CALL_WITHIN;
        assert!(worst < function.timeout, "{name}: {worst:?} of {:?}", function.timeout);
    }
    let payout = functions.iter().find(|function| function.name == "payout").unwrap();
    let each: u64 = payout.environment[names::setting::BANK_TIMEOUT_MS].to_string().parse().unwrap();
    let rules = text("infra/bank-kit/BANKS.md");
    for told in [format!("| nothing in {} s,", each / 1_000), format!("within {} s. |", each / 1_000)] {
        assert!(rules.contains(&told), "banks are not told: {told}");
    }
}

#[test]
fn every_reader_of_a_queue_reports_the_records_that_failed() {
    for function in template().functions {
        for source in &function.queue_sources {
            assert!(source.report_partial, "{} reading {}", function.name, source.queue);
        }
    }
}

#[test]
fn the_routes_are_those_of_the_api_document() {
    let document: Value = serde_json::from_str(&text("infra/openapi.json")).unwrap();
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let functions = template().functions;
    let wired: BTreeSet<String> = functions.iter().flat_map(|f| &f.routes).map(|route| route.key()).collect();
    assert_eq!(wired, documented);
}

#[test]
fn iam_guards_the_analysts_routes_and_no_other_and_the_analysts_policy_opens_exactly_these() {
    let functions = template().functions;
    for function in &functions {
        for route in &function.routes {
            assert_eq!(route.is_signed, function.name == "analyst", "{}", route.key());
        }
    }
    let analyst = functions.iter().find(|function| function.name == "analyst").unwrap();
    let opened = |route: &Route| {
        let path =
            route.path.split_once("/{").map_or(route.path.clone(), |(before, _)| format!("{before}/*"));
        format!("${{Api}}/*/{}{path}", route.method)
    };
    let expected: BTreeSet<String> = analyst.routes.iter().map(opened).collect();
    let written = text("infra/template.yaml");
    let (_, policy) = written.split_once("\n  AnalystPolicy:\n").unwrap();
    let (policy, _) = policy.split_once("\n\n").unwrap();
    let of_the_api = policy.lines().filter_map(|line| line.split_once("${AWS::AccountId}:"));
    let of_the_api: BTreeSet<String> = of_the_api.map(|(_, resource)| resource.to_owned()).collect();
    assert_eq!(of_the_api, expected);
    assert_eq!(policy.matches("Action: [execute-api:Invoke]").count(), 1);
    assert_eq!((policy.matches("Action:").count(), policy.matches("- !Sub").count()), (1, expected.len()));
}

#[test]
fn callbacks_come_in_where_the_counterparties_are_told_to_send_them() {
    let routes = |function: &str| -> Vec<String> {
        template().function(function).unwrap().routes.iter().map(|route| route.key()).collect()
    };
    assert_eq!(routes("verify-face"), [format!("POST {}", names::FACE_CALLBACK_PATH)]);
    assert_eq!(routes("verify-phone"), [format!("POST {}", names::PHONE_CALLBACK_PATH)]);
    assert_eq!(routes("bank-callback"), [format!("POST {}/{{bank}}", names::BANK_CALLBACK_PATH)]);
}

#[test]
fn the_due_indexes_are_there_and_their_readers_run_every_minute() {
    let template = template();
    for name in ["journeys", "notices"] {
        let table = template.tables.iter().find(|table| table.spec.name == name).unwrap();
        let indexes: Vec<&str> = table.spec.indexes.iter().map(|index| index.name.as_str()).collect();
        assert_eq!(indexes, [names::DUE_INDEX], "{name}");
    }
    let scheduled: Vec<(&str, Duration)> = template
        .functions
        .iter()
        .flat_map(|function| function.schedules.iter().map(|s| (function.name.as_str(), s.every)))
        .collect();
    let every_minute = |name| (name, Duration::from_secs(60));
    let every_day = |name| (name, Duration::from_secs(86_400));
    let [label_rings, monitor] = ["label-rings", "monitor"].map(every_day);
    let [notify, sweeper] = ["notify", "sweeper"].map(every_minute);
    assert_eq!(scheduled, [label_rings, monitor, notify, sweeper]);
}

#[test]
fn fault_9_a_banks_statement_wakes_its_reader_and_the_report_on_it_does_not() {
    let template = template();
    for function in &template.functions {
        let expected = ObjectSource { bucket: "Statements".into(), prefix: "statements/".into() };
        let expected = if function.name == "reconcile" { vec![expected] } else { Vec::new() };
        assert_eq!(function.object_sources, expected, "{}", function.name);
    }
}

#[test]
fn a_bank_has_as_long_to_answer_as_it_was_promised_and_as_bank_check_gives_it() {
    let template = template();
    let waits = &template.function("payout").unwrap().environment[names::setting::BANK_TIMEOUT_MS];
    let promised = local::bank_check::ANSWER_WITHIN;
    assert_eq!(waits.to_string(), promised.as_millis().to_string());
    let rules = text("infra/bank-kit/BANKS.md");
    for promise in ["| nothing in {} s, ", "Every answer is complete within {} s."] {
        let promise = promise.replace("{}", &promised.as_secs().to_string());
        assert!(rules.contains(&promise), "{promise}");
    }
}

#[test]
fn payouts_and_journeys_are_kept_for_ever_and_what_forgets_is_known() {
    for table in template().tables {
        let expires = table.spec.ttl_attribute.as_deref();
        // Of relations and applicants only rows that say so.
        let forgets = ["applicants", "notices", "quotas", "relations", "sign-ins"];
        let forgets = forgets.contains(&table.spec.name.as_str());
        let expected = forgets.then_some("expires_at");
        assert_eq!(expires, expected, "{}", table.spec.name);
    }
}

#[test]
fn a_function_is_told_of_the_tables_queues_and_buckets_that_it_may_call_and_of_no_other() {
    let template = template();
    for function in &template.functions {
        let resources = function.environment.values().flat_map(Expression::names);
        let resources =
            resources.filter(|name| !template.parameters.contains_key(*name) && !name.starts_with("AWS::"));
        // By its name or its ARN.
        let told: BTreeSet<&str> = resources.map(|name| name.split('.').next().unwrap()).collect();
        // A queue that is only read comes with Lambda's event and not by a setting.
        let calls = function.grants.iter().filter(|grant| {
            let called = |action: &String| {
                let services = ["dynamodb:", "s3:", "secretsmanager:"];
                services.iter().any(|service| action.starts_with(service)) || action == "sqs:SendMessage"
            };
            grant.actions.iter().any(called)
        });
        let called = calls.flat_map(|grant| &grant.resources).flat_map(Expression::names);
        // Keys of tables, queues and files are used by the services; that of personal data by name.
        let keys = function.grants.iter().filter(|grant| grant.actions.iter().any(|a| a.starts_with("kms:")));
        let keys = keys.flat_map(|grant| &grant.resources).flat_map(Expression::names);
        let keys = keys.filter(|name| name.starts_with("PersonalData."));
        let called: BTreeSet<&str> = called.chain(keys).map(|name| name.split('.').next().unwrap()).collect();
        assert_eq!(told, called, "{}", function.name);
    }
}

/// The tables that a row of the table at the top of a function's crate names.
fn told_of(function: &str, row: &str, tables: &BTreeSet<String>) -> BTreeSet<String> {
    let source = text(&format!("functions/{function}/src/lib.rs"));
    let row = format!("//! | {row} |");
    let told =
        source.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{function}: {row}"));
    told.split('`').filter(|name| tables.contains(*name)).map(str::to_owned).collect()
}

#[test]
fn a_crate_says_of_itself_which_tables_it_reads_and_writes_as_its_role_has_it() {
    const READING: [&str; 3] = ["GetItem", "Query", "BatchGetItem"];
    const WRITING: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"];
    let template = template();
    let tables: BTreeSet<String> = template.tables.iter().map(|table| table.spec.name.clone()).collect();
    let mut other = Vec::new();
    for function in &template.functions {
        let allowed = |actions: &[&str]| -> BTreeSet<String> {
            let does =
                |action: &String| action.strip_prefix("dynamodb:").is_some_and(|a| actions.contains(&a));
            let grants = function.grants.iter().filter(|grant| grant.actions.iter().any(does));
            let resources = grants.flat_map(|grant| &grant.resources).flat_map(Expression::names);
            resources.map(|name| local_name(name.split('.').next().unwrap())).collect()
        };
        let name = function.name.as_str();
        for (row, actions) in [("reads", &READING[..]), ("writes", &WRITING[..])] {
            let (told, allowed) = (told_of(name, row, &tables), allowed(actions));
            if told != allowed {
                other.push(format!("{name} {row} {allowed:?} and says {told:?}"));
            }
        }
    }
    assert!(other.is_empty(), "{}", other.join("\n"));
}
