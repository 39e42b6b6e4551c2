use super::*;
use crate::engines::{EngineOptions, Engines, RUNNER, Retries};
use aws_sdk_dynamodb::{Client, error::ProvideErrorMetadata as _, types::AttributeValue};

const TEMPLATE: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Key: {Type: AWS::KMS::Key, Properties: {}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      SSESpecification: {SSEEnabled: true, SSEType: KMS, KMSMasterKeyId: !GetAtt Key.Arn}
  Pages:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Orders: {Type: AWS::SQS::Queue, Properties: {KmsMasterKeyId: !GetAtt Key.Arn}}
  Files: {Type: AWS::S3::Bucket, Properties: {}}
  Sheets:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Clerk:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: clerk}}
    Properties:
      CodeUri: ../functions/clerk/
      Role: !GetAtt ClerkRole.Arn
      Events: {}
  ClerkRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: clerk
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: dynamodb:Query, Resource: !Sub "${Rows.Arn}/index/due"}
              - {Effect: Allow, Action: [dynamodb:PutItem, dynamodb:ConditionCheckItem], Resource: !GetAtt Rows.Arn}
              - Effect: Allow
                Action: dynamodb:GetItem
                Resource: !GetAtt Rows.Arn
                Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["loan#*"]}}
              - Effect: Allow
                Action: dynamodb:BatchWriteItem
                Resource: !GetAtt Pages.Arn
                Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["loan#*"]}}
              - {Effect: Allow, Action: kms:Decrypt, Resource: !GetAtt Key.Arn}
              - {Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Orders.Arn}
              - {Effect: Allow, Action: s3:PutObject, Resource: !Sub "${Files.Arn}/reports/*"}
              - Effect: Allow
                Action: dynamodb:Query
                Resource: !GetAtt Sheets.Arn
                Condition: {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["ring#*"]}}
"#;

fn roles() -> Roles {
    Roles::of(&Template::parse(TEMPLATE).unwrap())
}

/// What the clerk's role says of a call to DynamoDB: nothing, or what is missing.
fn missing(roles: &Roles, operation: &str, body: &str) -> Option<String> {
    let asked = asked(roles.names(), "dynamodb", operation, body.as_bytes());
    let denied = roles.check("clerk", &asked).err()?;
    Some(format!("{} {}", denied.action, denied.resource))
}

#[test]
fn an_index_and_its_table_are_two_things() {
    let roles = roles();
    assert_eq!(missing(&roles, "Query", r#"{"TableName":"rows","IndexName":"due"}"#), None);
    let table = missing(&roles, "Query", r#"{"TableName":"rows"}"#);
    assert_eq!(table.as_deref(), Some("dynamodb:Query ${Rows.Arn}"));
    let other = missing(&roles, "Query", r#"{"TableName":"others","IndexName":"due"}"#);
    assert_eq!(other.as_deref(), Some("dynamodb:Query ${others.Arn}/index/due"));
}

#[test]
fn a_transaction_needs_what_is_in_it_and_a_batch_its_own_permission() {
    let roles = roles();
    let allowed =
        r#"{"TransactItems":[{"Put":{"TableName":"rows"}},{"ConditionCheck":{"TableName":"rows"}}]}"#;
    assert_eq!(missing(&roles, "TransactWriteItems", allowed), None);
    let deletes = r#"{"TransactItems":[{"Put":{"TableName":"rows"}},{"Delete":{"TableName":"rows"}}]}"#;
    let deletes = missing(&roles, "TransactWriteItems", deletes);
    assert_eq!(deletes.as_deref(), Some("dynamodb:DeleteItem ${Rows.Arn}"));
    let batch = missing(&roles, "BatchWriteItem", r#"{"RequestItems":{"rows":[]}}"#);
    assert_eq!(batch.as_deref(), Some("dynamodb:BatchWriteItem ${Rows.Arn}"));
}

#[test]
fn a_grant_that_is_limited_to_some_rows_covers_no_other_and_none_that_is_not_named() {
    let roles = roles();
    let get = |key: &str| missing(&roles, "GetItem", &format!(r#"{{"TableName":"rows","Key":{key}}}"#));
    assert_eq!(get(r#"{"pk":{"S":"loan#1"},"sk":{"S":"loan"}}"#), None);
    assert!(get(r#"{"pk":{"S":"payout#1"}}"#).is_some());
    assert!(get(r#"{"sk":{"S":"loan#1"}}"#).is_some());
    assert!(missing(&roles, "GetItem", "not JSON").is_some());
}

#[test]
fn a_grant_that_is_limited_to_some_rows_covers_a_batch_only_when_it_covers_each_of_its_rows() {
    let roles = roles();
    let batch = |keys: &[&str]| {
        let puts: Vec<String> = keys
            .iter()
            .map(|key| format!(r#"{{"PutRequest":{{"Item":{{"pk":{{"S":"{key}"}}}}}}}}"#))
            .collect();
        missing(&roles, "BatchWriteItem", &format!(r#"{{"RequestItems":{{"pages":[{}]}}}}"#, puts.join(",")))
    };
    assert_eq!(batch(&["loan#1", "loan#2"]), None);
    assert_eq!(batch(&["loan#1", "payout#1"]).as_deref(), Some("dynamodb:BatchWriteItem ${Pages.Arn}"));
    assert!(batch(&[]).is_some(), "what names no row is allowed to nobody");
}

#[test]
fn to_send_to_an_encrypted_queue_needs_its_key() {
    let roles = roles();
    let asked = asked(roles.names(), "sqs", "SendMessageBatch", br#"{"QueueUrl":"http://local/000/orders"}"#);
    let denied = roles.check("clerk", &asked).unwrap_err();
    assert_eq!((denied.action.as_str(), denied.resource.as_str()), ("kms:GenerateDataKey", "${Key.Arn}"));
}

#[test]
fn a_query_asks_for_the_rows_of_the_key_that_it_names() {
    let roles = roles();
    let query = |condition: &str, key: &str, more: &str| {
        let values = format!(r#"{{":pk":{{"S":"{key}"}}}}"#);
        let body = format!(
            r#"{{"TableName":"sheets","KeyConditionExpression":"{condition}","ExpressionAttributeValues":{values}{more}}}"#
        );
        missing(&roles, "Query", &body)
    };
    assert_eq!(query("pk = :pk", "ring#1", ""), None);
    assert_eq!(query("pk = :pk AND sk BETWEEN :from AND :to", "ring#1", ""), None);
    for (condition, key, more) in [
        ("pk = :pk", "phone#1", ""),
        ("pk = :other", "ring#1", ""),
        ("other = :pk", "ring#1", ""),
        ("pk = :pk", "ring#1", r#","IndexName":"due""#),
    ] {
        assert!(query(condition, key, more).is_some(), "{condition} {key} {more}");
    }
}

#[test]
fn a_key_and_a_secret_are_called_by_their_names() {
    let roles = roles();
    let asks = |service, operation, body: &str| asked(roles.names(), service, operation, body.as_bytes());
    let decrypt = asks("kms", "Decrypt", r#"{"KeyId":"key","CiphertextBlob":""}"#);
    assert!(roles.check("clerk", &decrypt).is_ok());
    let denied = roles.check("clerk", &asks("kms", "GenerateDataKey", r#"{"KeyId":"key"}"#)).unwrap_err();
    assert_eq!(denied.resource, "${Key.Arn}");
    let secret = asks("secretsmanager", "GetSecretValue", r#"{"SecretId":"secrets"}"#);
    assert_eq!(secret[0].resource, "${secrets}");
}

#[test]
fn a_folder_of_a_bucket_is_not_the_bucket() {
    let roles = roles();
    let written = |key| roles.check("clerk", &roles.names().object_written("Files", key));
    assert!(written("reports/river-bank/day.json").is_ok());
    assert!(written("statements/day.csv").is_err());
    assert!(roles.check("clerk", &roles.names().object_read("Files", "reports/day.json")).is_err());
}

#[test]
fn a_function_without_a_role_may_do_nothing_and_what_was_used_is_told_apart() {
    let roles = roles();
    let put = asked(roles.names(), "dynamodb", "PutItem", br#"{"TableName":"rows"}"#);
    assert!(roles.check("stranger", &put).is_err());
    assert!(roles.unused().iter().any(|permission| permission.action == "dynamodb:PutItem"));
    roles.check("clerk", &put).unwrap();
    let unused: Vec<String> = roles.unused().iter().map(ToString::to_string).collect();
    assert!(!unused.iter().any(|permission| permission.contains("dynamodb:PutItem")), "{unused:?}");
    assert!(unused.contains(&"clerk dynamodb:GetItem ${Rows.Arn} loan#*".to_owned()), "{unused:?}");
}

#[tokio::test]
async fn fault_34_a_call_that_a_role_does_not_allow_is_refused_as_iam_would_and_has_no_effect() {
    let template = Template::parse(TEMPLATE).unwrap();
    let engines = Engines::start(EngineOptions::default()).unwrap();
    let rows = template.tables.iter().find(|table| table.spec.name == "rows").unwrap();
    engines.create_table(&rows.spec).await.unwrap();
    engines.enforce(&template);
    let client = |caller| Client::new(&engines.sdk_config_for(caller, Retries::None));
    let put = |caller| {
        let put = client(caller).put_item().table_name("rows");
        put.item("pk", AttributeValue::S(format!("loan#{caller}"))).send()
    };
    put("clerk").await.unwrap();
    let stranger = put("stranger").await.unwrap_err();
    assert_eq!(stranger.code(), Some("AccessDeniedException"));
    let scan = client("clerk").scan().table_name("rows").send().await.unwrap_err();
    assert_eq!(scan.code(), Some("AccessDeniedException"));
    let rows = client(RUNNER).scan().table_name("rows").send().await.unwrap();
    assert_eq!(rows.count(), 1);
    engines.stop().await;
}
