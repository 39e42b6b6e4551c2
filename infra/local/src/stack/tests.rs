use super::*;
use crate::{engines::EngineOptions, poller::Delivered, template::FunctionSpec};
use async_trait::async_trait;
use aws::Aws;
use lambda_kit::{Environment, Failure, Function};
use serde_json::json;
use tokio::sync::mpsc;

const TEMPLATE: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  PublicUrl: {Type: String}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  ClerkRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: clerk
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: [sqs:ReceiveMessage, sqs:DeleteMessage], Resource: !GetAtt Orders.Arn}
              - {Effect: Allow, Action: [secretsmanager:GetSecretValue], Resource: !Ref ClerkSecrets}
  ClerkSecrets: {Type: AWS::SecretsManager::Secret}
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: {deadLetterTargetArn: !GetAtt OrdersDeadLetters.Arn, maxReceiveCount: 3}
  OrdersDeadLetters: {Type: AWS::SQS::Queue, Properties: {}}
  Clerk:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: clerk}}
    Properties:
      CodeUri: ../functions/clerk/
      Role: !GetAtt ClerkRole.Arn
      Timeout: 1
      Environment:
        Variables:
          PUBLIC_URL: !Ref PublicUrl
          ORDERS_QUEUE: !Ref Orders
          SECRETS_ARN: !Ref ClerkSecrets
      Events:
        Order:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: POST, Path: "/v1/orders/{id}"}
        List:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: POST, Path: /v1/orders/all}
        Batch:
          Type: SQS
          Properties:
            Queue: !GetAtt Orders.Arn
            BatchSize: 10
            FunctionResponseTypes: [ReportBatchItemFailures]
        Nightly:
          Type: Schedule
          Properties: {Schedule: rate(1 day)}
"#;

/// Does what a message or a path says, and tells what it was called with.
struct Clerk {
    calls: mpsc::UnboundedSender<Value>,
    key: String,
}

#[async_trait]
impl Function for Clerk {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let _ = self.calls.send(event.clone());
        let Some(records) = event["Records"].as_array() else {
            return match event["pathParameters"]["id"].as_str() {
                Some("fail") => Err(Failure::new("taking an order", "as the test wants it")),
                Some("panic") => panic!("as the test wants it"),
                Some("hang") => std::future::pending().await,
                Some("nonsense") => Ok(json!({"statusCode": "nonsense"})),
                _ => Ok(json!({"statusCode": 202, "headers": {"X-Key": self.key}, "body": event["body"]})),
            };
        };
        assert!(records.iter().all(|record| record["body"] != "panic"), "as the test wants it");
        let failures = records.iter().filter(|record| record["body"] == "poison");
        let failures: Vec<Value> =
            failures.map(|record| json!({"itemIdentifier": record["messageId"]})).collect();
        Ok(json!({ "batchItemFailures": failures }))
    }
}

struct Clerks {
    stack: Stack,
    calls: mpsc::UnboundedReceiver<Value>,
    engines: Engines,
}

fn options() -> StackOptions {
    let text = |pair: (&str, &str)| BTreeMap::from([(pair.0.to_owned(), pair.1.to_owned())]);
    StackOptions { parameters: text(("PublicUrl", "http://127.0.0.1:1")), ..StackOptions::default() }
}

fn registry() -> (Registry, mpsc::UnboundedReceiver<Value>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let build = move |environment: &Environment, _: &Aws| -> Result<Clerk, lambda_kit::EnvironmentError> {
        assert!(environment.get("ORDERS_QUEUE")?.ends_with("/orders"));
        assert_eq!(environment.get("PUBLIC_URL")?, "http://127.0.0.1:1");
        Ok(Clerk { calls: sender.clone(), key: environment.get("KEY")?.to_owned() })
    };
    (Registry::new().with("clerk", build), calls)
}

async fn clerks() -> Clerks {
    clerks_with(options()).await
}

async fn clerks_with(options: StackOptions) -> Clerks {
    let template = Template::parse(TEMPLATE).unwrap();
    let engines = Engines::start(EngineOptions::default()).unwrap();
    engines.put_secret("clerk-secrets", r#"{"KEY":"local key"}"#);
    let (registry, calls) = registry();
    let stack = Stack::start(&template, &engines, &Arc::new(registry), options).await.unwrap();
    Clerks { stack, calls, engines }
}

impl Clerks {
    fn seen(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn a_request_reaches_its_function_and_the_answer_comes_back() {
    let clerks = clerks().await;
    let headers = [("content-type", "application/json")];
    let answer = clerks.stack.request("POST", "/v1/orders/7?now=1", &headers, "{\"a\":1}").await;
    assert_eq!((answer.status, answer.json()), (202, json!({"a": 1})));
    assert_eq!(answer.header("x-key"), Some("local key"));
}

#[tokio::test]
async fn the_gateway_says_itself_what_api_gateway_says_itself() {
    let clerks = clerks().await;
    for (method, path, status, message) in [
        ("POST", "/v1/nowhere", 404, "Not Found"),
        ("GET", "/v1/orders/7", 404, "Not Found"),
        ("POST", "/v1/orders/fail", 500, "Internal Server Error"),
        ("POST", "/v1/orders/panic", 500, "Internal Server Error"),
        ("POST", "/v1/orders/nonsense", 500, "Internal Server Error"),
    ] {
        let answer = clerks.stack.request(method, path, &[], "").await;
        assert_eq!(
            (answer.status, answer.json()),
            (status, json!({ "message": message })),
            "{method} {path}"
        );
    }
    let answer = clerks.stack.request("POST", "/v1/orders/7", &[], vec![0; 10 * 1024 * 1024 + 1]).await;
    assert_eq!((answer.status, answer.json()), (413, json!({"message": "Request Entity Too Large"})));
}

#[tokio::test]
async fn a_function_that_runs_into_its_time_out_is_ended() {
    let template = Template::parse(TEMPLATE).unwrap();
    let brief = Duration::from_millis(10);
    let spec = FunctionSpec { timeout: brief, ..template.function("clerk").unwrap().clone() };
    let (calls, _seen) = mpsc::unbounded_channel();
    let hanging = Deployed::new(spec, Arc::new(Clerk { calls, key: String::new() }));
    let event = json!({"pathParameters": {"id": "hang"}});
    let error = hanging.invoke(event).await.unwrap_err();
    assert!(matches!(error, InvocationError::TimedOut(after) if after == brief));
}

#[tokio::test]
async fn a_route_without_parameters_comes_first() {
    let mut clerks = clerks().await;
    clerks.stack.request("POST", "/v1/orders/all", &[], "").await;
    assert_eq!(clerks.seen()[0]["routeKey"], "POST /v1/orders/all");
}

#[tokio::test]
async fn fault_3_a_poison_message_alone_fails_and_reaches_the_dead_letter_queue() {
    let mut clerks = clerks().await;
    for body in ["good", "poison", "good too"] {
        clerks.stack.send("orders", body).await.unwrap();
    }
    let delivered = clerks.stack.drain().await.unwrap();
    assert_eq!(delivered, Delivered { handled: 2, failed: 3 });
    assert_eq!(clerks.stack.dead_letters("orders").await.unwrap(), ["poison"]);
    let calls = clerks.seen();
    assert_eq!(calls.len(), 3, "received three times, the queue's limit");
    assert_eq!(calls[0]["Records"].as_array().unwrap().len(), 3);
    assert_eq!(calls[2]["Records"][0]["attributes"]["ApproximateReceiveCount"], "3");
}

#[tokio::test]
async fn a_panic_fails_the_whole_batch() {
    let clerks = clerks().await;
    clerks.stack.send("orders", "good").await.unwrap();
    clerks.stack.send("orders", "panic").await.unwrap();
    let delivered = clerks.stack.deliver("orders").await.unwrap();
    assert_eq!(delivered, Some(Delivered { handled: 0, failed: 2 }));
    assert_eq!(clerks.stack.deliver("orders").await.unwrap(), None, "hidden for the visibility time-out");
}

#[tokio::test]
async fn dead_letters_can_be_looked_at_twice_and_sent_again() {
    let clerks = clerks().await;
    clerks.stack.send("orders", "poison").await.unwrap();
    clerks.stack.drain().await.unwrap();
    assert_eq!(clerks.stack.dead_letters("orders").await.unwrap().len(), 1);
    assert_eq!(clerks.stack.redrive("orders").await.unwrap(), 1);
    assert!(clerks.stack.dead_letters("orders").await.unwrap().is_empty());
    assert_eq!(clerks.stack.drain().await.unwrap().failed, 3);
    assert_eq!(clerks.stack.dead_letters("orders").await.unwrap(), ["poison"]);
}

#[tokio::test]
async fn a_tick_of_the_schedule_is_a_scheduled_event() {
    let mut clerks = clerks().await;
    clerks.stack.run_schedule("clerk").await.unwrap();
    let event = clerks.seen().remove(0);
    assert_eq!((&event["detail-type"], &event["source"]), (&json!("Scheduled Event"), &json!("aws.events")));
    assert!(matches!(clerks.stack.run_schedule("nobody").await, Err(StackError::Unknown(_))));
}

#[tokio::test]
async fn a_running_stack_delivers_by_itself_and_answers_over_http() {
    let mut clerks = clerks().await;
    let address = clerks.stack.serve(gateway::bind(0).await.unwrap()).unwrap();
    clerks.stack.run();
    clerks.stack.send("orders", "good").await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(30), clerks.calls.recv()).await.unwrap().unwrap();
    assert_eq!(event["Records"][0]["body"], "good");

    let client = reqwest::Client::new();
    let answer = client.post(format!("http://{address}/v1/orders/7")).body("hello").send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.text().await.unwrap(), STANDARD_HELLO, "no content type: handed on in base64");
    drop(client);
    clerks.stack.stop().await;
}

/// `hello` in base64.
const STANDARD_HELLO: &str = "aGVsbG8=";

async fn start_with(registry: Registry, options: StackOptions) -> StackError {
    start_with_secret(registry, options, r#"{"KEY":"local key"}"#).await
}

async fn start_with_secret(registry: Registry, options: StackOptions, secret: &str) -> StackError {
    let template = Template::parse(TEMPLATE).unwrap();
    let engines = Engines::start(EngineOptions::default()).unwrap();
    engines.put_secret("clerk-secrets", secret);
    let Err(error) = Stack::start(&template, &engines, &Arc::new(registry), options).await else {
        panic!("the stack must not start");
    };
    error
}

#[tokio::test]
async fn a_stack_does_not_start_on_settings_that_do_not_fit() {
    let no_parameter = StackOptions { parameters: BTreeMap::new(), ..options() };
    assert!(matches!(start_with(registry().0, no_parameter).await, StackError::Setting { .. }));
    let mut typo = options();
    typo.settings.insert("KEYS".to_owned(), String::new());
    assert!(
        matches!(start_with(registry().0, typo).await, StackError::UnknownOverride(name) if name == "KEYS")
    );
}

#[tokio::test]
async fn a_stack_does_not_start_without_its_secrets_and_tells_nothing_of_them() {
    for secret in [r#"{"OTHER":"sesame"}"#, r#"{"KEY":7,"sesame":"sesame"}"#, "sesame"] {
        let error = start_with_secret(registry().0, options(), secret).await;
        assert!(matches!(&error, StackError::Build { function, .. } if function == "clerk"), "{error:?}");
        assert!(!format!("{error:?} {}", lambda_kit::chain(&error)).contains("sesame"));
    }
}

#[tokio::test]
async fn a_rotated_secret_reaches_a_running_function_after_five_minutes() {
    let clock = Arc::new(ports::FixedClock::at("2026-11-23T02:00:00Z".parse().unwrap()));
    let clerks = clerks_with(StackOptions { clock: clock.clone(), ..options() }).await;
    let key = async || {
        let answer = clerks.stack.request("POST", "/v1/orders/7", &[], "{}").await;
        answer.header("x-key").map(str::to_owned)
    };
    clerks.engines.put_secret("clerk-secrets", r#"{"KEY":"rotated"}"#);
    assert_eq!(key().await.as_deref(), Some("local key"));
    clock.advance(wiring::READ_AGAIN_AFTER);
    assert_eq!(key().await.as_deref(), Some("rotated"));
    let reads = clerks.engines.calls()["secretsmanager:GetSecretValue"].calls;
    assert_eq!(reads, 2, "at the start, and once since");
}

#[tokio::test]
async fn template_and_code_name_the_same_functions() {
    let error = start_with(Registry::new(), options()).await;
    assert!(matches!(error, StackError::NoCode(name) if name == "clerk"));
    let (registry, _calls) = registry();
    let build =
        |_: &Environment, _: &Aws| -> Result<Clerk, Failure> { Err(Failure::new("building", "never")) };
    let error = start_with(registry.with("extra", build), options()).await;
    assert!(matches!(error, StackError::NotWired(name) if name == "extra"));
}
