//! The template as it is written. Each structure lists the properties that the runner knows and refuses others.

mod stores;

use super::{Expression, TemplateError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use stores::{Bucket, Queue, Table};

/// Types of which a function is told the name, and no more is read here.
const NAMED: [&str; 2] = ["AWS::KMS::Key", "AWS::SecretsManager::Secret"];
/// Types that a deployment needs and a runner has nothing to run for.
const NOTHING_TO_RUN: [&str; 7] = [
    // Who is given it signs; here that is whoever has the key file.
    "AWS::IAM::ManagedPolicy",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SNS::Subscription",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::S3::BucketPolicy",
];

pub(super) struct Document {
    pub parameters: BTreeMap<String, Parameter>,
    pub globals: Globals,
    pub resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    #[serde(rename = "AWSTemplateFormatVersion")]
    _format_version: String,
    #[serde(rename = "Transform")]
    _transform: String,
    #[serde(rename = "Description", default)]
    _description: String,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    /// Nothing that runs here depends on one.
    #[serde(rename = "Conditions", default)]
    _conditions: Value,
    #[serde(default)]
    globals: Globals,
    resources: BTreeMap<String, WrittenResource>,
    /// For whoever deploys.
    #[serde(rename = "Outputs", default)]
    _outputs: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenResource {
    r#type: String,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    properties: Value,
    #[serde(default)]
    metadata: Value,
    #[serde(rename = "DeletionPolicy", default)]
    _deletion_policy: Value,
    #[serde(rename = "UpdateReplacePolicy", default)]
    _update_replace_policy: Value,
}

/// A parameter. Its type, pattern and allowed values are CloudFormation's to check.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Parameter {
    #[serde(rename = "Type")]
    _type: String,
    pub default: Option<Plain>,
    #[serde(rename = "Description", default)]
    _description: String,
    #[serde(rename = "AllowedPattern", default)]
    _allowed_pattern: String,
    #[serde(rename = "ConstraintDescription", default)]
    _constraint: String,
    #[serde(rename = "AllowedValues", default)]
    _allowed_values: Vec<Value>,
    #[serde(rename = "MinValue", default)]
    _min_value: Value,
    #[serde(rename = "MaxValue", default)]
    _max_value: Value,
    #[serde(rename = "MaxLength", default)]
    _max_length: Value,
}

/// Text, or a number that stands for its digits.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Plain(pub String);

impl TryFrom<Value> for Plain {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err("neither text nor a number"),
        }
    }
}

/// A resource by its type.
pub(super) enum Resource {
    Function(Function, Metadata),
    HttpApi(HttpApi),
    Queue(Queue),
    Table(Table),
    Bucket(Bucket),
    Role(Role),
    Named,
    NothingToRun,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Globals {
    pub function: FunctionDefaults,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct FunctionDefaults {
    pub timeout: Option<u64>,
    pub memory_size: Option<u32>,
    #[serde(rename = "Runtime", default)]
    _runtime: Value,
    #[serde(rename = "Architectures", default)]
    _architectures: Value,
    #[serde(rename = "Handler", default)]
    _handler: Value,
    #[serde(rename = "LoggingConfig", default)]
    _logging: Value,
    #[serde(rename = "Tracing", default)]
    _tracing: Value,
    /// There is one version here.
    #[serde(rename = "AutoPublishAlias", default)]
    _alias: Value,
    #[serde(rename = "DeploymentPreference", default)]
    _deployment: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Metadata {
    pub build_method: String,
    pub build_properties: BuildProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BuildProperties {
    pub binary: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Function {
    pub code_uri: String,
    pub role: Expression,
    pub timeout: Option<u64>,
    pub memory_size: Option<u32>,
    #[serde(default)]
    pub reserved_concurrent_executions: Reserved,
    #[serde(default)]
    pub environment: Variables,
    pub events: BTreeMap<String, EventSource>,
    #[serde(rename = "AutoPublishCodeSha256", default)]
    _release: Value,
    #[serde(rename = "DeploymentPreference", default)]
    _deployment: Value,
}

/// A share of the account's concurrency, in an account that has enough of it.
#[derive(Default, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Reserved(pub Option<u32>);

impl TryFrom<Value> for Reserved {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let nothing = serde_json::json!({ "Ref": "AWS::NoValue" });
        let share = match value["Fn::If"].as_array().map(Vec::as_slice) {
            Some([Value::String(_), share, otherwise]) if *otherwise == nothing => share,
            _ => &value,
        };
        let share = share.as_u64().and_then(|share| share.try_into().ok());
        share.map(|share| Self(Some(share))).ok_or("neither a number nor one under a condition")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Variables {
    pub variables: BTreeMap<String, Expression>,
}

#[derive(Deserialize)]
#[serde(tag = "Type", content = "Properties", deny_unknown_fields)]
pub(super) enum EventSource {
    HttpApi(HttpRoute),
    #[serde(rename = "SQS")]
    Sqs(SqsSource),
    Schedule(ScheduleSource),
    EventBridgeRule(RuleSource),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct HttpRoute {
    #[serde(rename = "ApiId")]
    _api_id: Expression,
    pub method: String,
    pub path: String,
    /// Open to everybody without one; the function may ask for a token.
    pub auth: Option<RouteAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RouteAuth {
    pub authorizer: Authorizer,
}

/// The one authorizer that is known.
#[derive(Deserialize)]
pub(super) enum Authorizer {
    #[serde(rename = "AWS_IAM")]
    Iam,
}

/// Throttle and access log are API Gateway's; the routes stand with the functions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct HttpApi {
    auth: Option<ApiAuth>,
    #[serde(rename = "FailOnWarnings", default)]
    _fail_on_warnings: Value,
    #[serde(rename = "DefaultRouteSettings", default)]
    _default_settings: Value,
    #[serde(rename = "RouteSettings", default)]
    _settings: Value,
    #[serde(rename = "AccessLogSettings", default)]
    _access_log: Value,
}

/// Without an authorizer for all routes, which would close the borrowers' as well.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ApiAuth {
    enable_iam_authorizer: bool,
}

impl HttpApi {
    pub fn knows_iam(&self) -> bool {
        self.auth.as_ref().is_some_and(|auth| auth.enable_iam_authorizer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SqsSource {
    pub queue: Expression,
    pub batch_size: u32,
    #[serde(default)]
    pub function_response_types: Vec<String>,
    pub scaling_config: Option<ScalingConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ScalingConfig {
    pub maximum_concurrency: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ScheduleSource {
    pub schedule: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RuleSource {
    pub pattern: RulePattern,
}

/// The one pattern that is known: objects that are created in one bucket, under one prefix.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RulePattern {
    pub source: [String; 1],
    pub detail_type: [String; 1],
    pub detail: ObjectPattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectPattern {
    pub bucket: NamePattern,
    pub object: KeyPattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamePattern {
    pub name: [Expression; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPattern {
    pub key: [PrefixPattern; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrefixPattern {
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Role {
    #[serde(rename = "AssumeRolePolicyDocument")]
    _trust: Value,
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Policies of AWS's own, of which nobody here knows what they allow: for whoever deploys, and no function has them.
    #[serde(default)]
    pub managed_policy_arns: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(rename = "PolicyName")]
    _name: String,
    pub policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PolicyDocument {
    #[serde(rename = "Version")]
    _version: String,
    pub statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Statement {
    pub effect: String,
    pub action: OneOrMore<String>,
    pub resource: OneOrMore<Expression>,
    pub condition: Option<Condition>,
}

/// The one condition that is known: the rows that a call may name, by their partition keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    #[serde(rename = "ForAllValues:StringLike")]
    pub for_all_values: LeadingKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeadingKeys {
    #[serde(rename = "dynamodb:LeadingKeys")]
    pub leading_keys: Vec<String>,
}

/// A list, or its only member without the brackets.
#[derive(Deserialize)]
#[serde(try_from = "Value", bound = "T: DeserializeOwned")]
pub(super) struct OneOrMore<T>(pub Vec<T>);

impl<T: DeserializeOwned> TryFrom<Value> for OneOrMore<T> {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Array(_) => serde_json::from_value(value).map(Self),
            one => serde_json::from_value(one).map(|one| Self(vec![one])),
        }
    }
}

impl Document {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let written: Written = typed("the template", plain(yaml_serde::from_str(text)?)?)?;
        let mut resources = BTreeMap::new();
        for (id, resource) in written.resources {
            let resource = resource.typed(&id)?;
            resources.insert(id, resource);
        }
        Ok(Self { parameters: written.parameters, globals: written.globals, resources })
    }
}

impl WrittenResource {
    fn typed(self, id: &str) -> Result<Resource, TemplateError> {
        if self.condition.is_some() && !NOTHING_TO_RUN.contains(&self.r#type.as_str()) {
            return Err(TemplateError::resource(id, "depends on a condition, and the runner asks none"));
        }
        Ok(match self.r#type.as_str() {
            "AWS::Serverless::Function" => {
                Resource::Function(typed(id, self.properties)?, typed(id, self.metadata)?)
            }
            "AWS::Serverless::HttpApi" if self.properties.is_null() => Resource::HttpApi(HttpApi::default()),
            "AWS::Serverless::HttpApi" => Resource::HttpApi(typed(id, self.properties)?),
            "AWS::SQS::Queue" => Resource::Queue(typed(id, self.properties)?),
            "AWS::DynamoDB::Table" => Resource::Table(typed(id, self.properties)?),
            "AWS::S3::Bucket" => Resource::Bucket(typed(id, self.properties)?),
            "AWS::IAM::Role" => Resource::Role(typed(id, self.properties)?),
            kind if NAMED.contains(&kind) => Resource::Named,
            kind if NOTHING_TO_RUN.contains(&kind) => Resource::NothingToRun,
            kind => return Err(TemplateError::Type { resource: id.to_owned(), kind: kind.to_owned() }),
        })
    }
}

fn typed<T: DeserializeOwned>(of: &str, value: Value) -> Result<T, TemplateError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = format!("{of}: {}", error.path());
        TemplateError::Shape { at, source: error.into_inner() }
    })
}

/// YAML with CloudFormation's short tags, as the JSON that it stands for.
fn plain(yaml: yaml_serde::Value) -> Result<Value, TemplateError> {
    use yaml_serde::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., number) => number.into(),
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let Yaml::String(key) = key else { return Err(TemplateError::Key) };
                object.insert(key, plain(value)?);
            }
            object.into()
        }
        Yaml::Tagged(tagged) => {
            let function = match tagged.tag.to_string().as_str() {
                "!Ref" => "Ref",
                "!GetAtt" => "Fn::GetAtt",
                "!Sub" => "Fn::Sub",
                "!If" => "Fn::If",
                "!Equals" => "Fn::Equals",
                "!Not" => "Fn::Not",
                other => return Err(TemplateError::Intrinsic(other.to_owned())),
            };
            serde_json::json!({ function: plain(tagged.value)? })
        }
    })
}
