use super::*;

const HEAD: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  PublicUrl: {Type: String}
  Days: {Type: Number, Default: 90}
Globals:
  Function: {Timeout: 10, MemorySize: 512}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  VerifyFaceRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: verify-face
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: dynamodb:Query, Resource: !Sub "${Journeys.Arn}/index/due"}
  Journeys:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: due_at, AttributeType: N}
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: due
          KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: due_at, KeyType: RANGE}]
          Projection: {ProjectionType: KEYS_ONLY}
  FaceChecks:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: {deadLetterTargetArn: !GetAtt FaceChecksDeadLetters.Arn, maxReceiveCount: 5}
  FaceChecksDeadLetters: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 1209600}}
"#;

const FUNCTION: &str = r#"
  VerifyFace:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: verify-face}}
    Properties:
      CodeUri: ../functions/verify-face/
      Role: !GetAtt VerifyFaceRole.Arn
      Timeout: 20
      Environment:
        Variables:
          TABLE: !Ref Journeys
          CALLBACK: !Sub "${PublicUrl}/v1/${!literal}"
      Events:
        Batch:
          Type: SQS
          Properties:
            Queue: !GetAtt FaceChecks.Arn
            BatchSize: 10
            FunctionResponseTypes: [ReportBatchItemFailures]
        Callback:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: POST, Path: "/v1/callbacks/{kind}"}
        Often:
          Type: Schedule
          Properties: {Schedule: rate(2 minutes)}
"#;

fn template() -> Template {
    Template::parse(&format!("{HEAD}{FUNCTION}")).unwrap()
}

fn error_with(from: &str, to: &str) -> String {
    let text = format!("{HEAD}{FUNCTION}");
    assert!(text.contains(from), "the test replaces {from}");
    Template::parse(&text.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn a_function_carries_its_routes_queues_schedules_and_grants() {
    let template = template();
    let function = template.function("verify-face").unwrap();
    assert_eq!((function.timeout, function.memory_mb), (Duration::from_secs(20), 512));
    assert_eq!(function.routes[0].key(), "POST /v1/callbacks/{kind}");
    assert_eq!(function.queue_sources[0].queue, "face-checks");
    assert_eq!((function.queue_sources[0].batch_size, function.queue_sources[0].report_partial), (10, true));
    assert_eq!(function.schedules[0].every, Duration::from_secs(120));
    assert_eq!(function.grants[0].actions, ["dynamodb:Query"]);
    assert_eq!(function.grants[0].resources[0].to_string(), "${Journeys.Arn}/index/due");
}

#[test]
fn tables_and_queues_are_what_the_engines_make() {
    let template = template();
    let table = &template.tables[0].spec;
    assert_eq!(table.name, "journeys");
    assert_eq!(table.indexes[0].key.sort.as_ref().unwrap().kind, crate::engines::AttributeType::Number);
    let queue = &template.queue("face-checks").unwrap().spec;
    assert_eq!(queue.visibility_timeout_s, 60);
    assert_eq!(queue.dlq, Some(("face-checks-dead-letters".to_owned(), 5)));
}

#[test]
fn settings_take_their_values_from_parameters_and_resources() {
    let template = template();
    let settings = &template.function("verify-face").unwrap().environment;
    let values = |name: &str| match name {
        "Journeys" => Some("journeys"),
        "PublicUrl" => Some("https://here"),
        _ => None,
    };
    assert_eq!(settings["TABLE"].resolve(values).unwrap(), "journeys");
    assert_eq!(settings["CALLBACK"].resolve(values).unwrap(), "https://here/v1/${literal}");
    assert_eq!(settings["TABLE"].resolve(|_| None), Err(NoSuchName("Journeys".to_owned())));
    assert_eq!(template.parameters["Days"].as_deref(), Some("90"));
    assert_eq!(template.parameters["PublicUrl"], None);
}

#[test]
fn what_the_runner_does_not_know_is_an_error_and_not_skipped() {
    assert!(error_with("AWS::SQS::Queue", "AWS::Kinesis::Stream").contains("AWS::Kinesis::Stream"));
    assert!(error_with("!Ref Journeys", "!ImportValue Journeys").contains("!ImportValue"));
    assert!(error_with("VisibilityTimeout: 60", "DelaySeconds: 60").contains("FaceChecks"));
    assert!(error_with("rate(2 minutes)", "cron(0 8 * * ? *)").contains("cron"));
    assert!(error_with("{kind}", "{proxy+}").contains("{proxy+}"));
    assert!(error_with("Method: POST", "Method: ANY").contains("ANY"));
    assert!(error_with("Effect: Allow", "Effect: Deny").contains("VerifyFaceRole"));
    assert!(error_with("BatchSize: 10", "BatchSize: 100").contains("VerifyFace"));
    assert!(error_with("Type: Schedule", "Type: S3").contains("VerifyFace"));
}

#[test]
fn a_name_that_leads_nowhere_is_an_error() {
    assert!(error_with("!Ref Journeys", "!Ref Journals").contains("Journals"));
    assert!(error_with("!GetAtt FaceChecks.Arn", "!GetAtt Checks.Arn").contains("checks"));
    assert!(error_with("!GetAtt VerifyFaceRole.Arn", "!GetAtt OtherRole.Arn").contains("role"));
    assert!(error_with("!GetAtt FaceChecksDeadLetters.Arn", "!GetAtt Lost.Arn").contains("lost"));
}

#[test]
fn a_function_is_built_from_the_folder_of_its_name() {
    assert!(error_with("../functions/verify-face/", "../functions/score/").contains("verify-face"));
    assert!(error_with("Binary: verify-face", "Binary: score").contains("verify-face"));
}

#[test]
fn one_route_belongs_to_one_function() {
    let second = FUNCTION.replace("Batch:", "Callback2:").replace(
        "          Type: SQS
          Properties:
            Queue: !GetAtt FaceChecks.Arn
            BatchSize: 10
            FunctionResponseTypes: [ReportBatchItemFailures]",
        "          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: POST, Path: \"/v1/callbacks/{kind}\"}",
    );
    let error = Template::parse(&format!("{HEAD}{second}")).unwrap_err().to_string();
    assert!(error.contains("taken"), "{error}");
}

#[test]
fn a_share_of_concurrency_may_stand_under_a_condition_and_nothing_else_that_runs_here_may() {
    let with = |share: &str| {
        let share = format!("Timeout: 20\n      ReservedConcurrentExecutions: {share}");
        Template::parse(&format!("{HEAD}{}", FUNCTION.replace("Timeout: 20", &share)))
    };
    for share in ["30", "!If [Reserve, 30, !Ref AWS::NoValue]"] {
        let template = with(share).unwrap();
        assert_eq!(template.function("verify-face").unwrap().reserved_concurrency, Some(30), "{share}");
    }
    assert!(with("!If [Reserve, 30, 5]").is_err());
    assert!(error_with("!Ref Journeys", "!If [Reserve, a, b]").contains("VerifyFace"));
}

#[test]
fn what_runs_here_depends_on_no_condition_and_on_no_policy_that_is_not_written_here() {
    let with = |from: &str, to: &str| Template::parse(&format!("{HEAD}{FUNCTION}").replace(from, to));
    let error =
        with("Type: AWS::DynamoDB::Table", "Type: AWS::DynamoDB::Table\n    Condition: InChina").unwrap_err();
    assert!(error.to_string().starts_with("Journeys depends on a condition"), "{error}");
    let policies = "      Policies:\n";
    let error = with(policies, &format!("      ManagedPolicyArns: [\"arn:p\"]\n{policies}")).unwrap_err();
    assert!(error.to_string().starts_with("VerifyFace has a role"), "{error}");
    let mail = "  Mail: {Type: AWS::SNS::Subscription, Condition: TellsByMail, Properties: {Endpoint: e}}\n  FaceChecks:\n";
    assert!(with("  FaceChecks:\n", mail).is_ok());
}

#[test]
fn a_grant_may_be_limited_to_rows_and_by_nothing_else() {
    let limited = |condition: &str| {
        let grant = "Action: dynamodb:Query";
        let text = HEAD.replace(grant, &format!("Condition: {condition}, {grant}"));
        Template::parse(&format!("{text}{FUNCTION}"))
    };
    let rows = r#"{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["loan#*"]}}"#;
    let template = limited(rows).unwrap();
    let grant = &template.function("verify-face").unwrap().grants[0];
    assert_eq!(grant.leading_keys.as_deref(), Some(["loan#*".to_owned()].as_slice()));
    assert!(limited(r#"{"StringEquals": {"aws:SourceVpc": "vpc"}}"#).is_err());
}

#[test]
fn iam_guards_the_routes_that_say_so_where_the_api_knows_it_and_nothing_else_guards_any() {
    let with = |api: &str, route: &str| {
        let head = HEAD.replace(
            "Api: {Type: AWS::Serverless::HttpApi}",
            &format!("Api: {{Type: AWS::Serverless::HttpApi, {api}}}"),
        );
        let open = r#"Path: "/v1/callbacks/{kind}"}"#;
        let function = FUNCTION.replace(open, &format!("{}, {route}}}", open.trim_end_matches('}')));
        Template::parse(&format!("{head}{function}"))
    };
    let api = "Properties: {Auth: {EnableIamAuthorizer: true}}";
    let signed = with(api, "Auth: {Authorizer: AWS_IAM}").unwrap();
    assert!(signed.function("verify-face").unwrap().routes[0].is_signed);
    assert!(!template().function("verify-face").unwrap().routes[0].is_signed);
    let unknown = "Properties: {Auth: {EnableIamAuthorizer: false}}";
    let error = with(unknown, "Auth: {Authorizer: AWS_IAM}").unwrap_err().to_string();
    assert!(error.contains("POST /v1/callbacks/{kind}"), "{error}");
    assert!(with(api, "Auth: {Authorizer: Cognito}").is_err());
    assert!(
        with(
            "Properties: {Auth: {EnableIamAuthorizer: true, DefaultAuthorizer: AWS_IAM}}",
            "Auth: {Authorizer: AWS_IAM}"
        )
        .is_err()
    );
}
