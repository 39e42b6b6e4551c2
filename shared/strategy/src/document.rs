//! Reading a strategy document and refusing what has no place in one.
//!
//! The engine itself is lenient: it skips expressions that do not compile, calls unknown fields null, runs JavaScript,
//! and validates against schemas that it may fetch. All that is refused here. One leniency cannot be seen in a document:
//! a table cell that fails while it is evaluated counts as one that does not match. So a table that refuses must read
//! only values that an expression node has computed before, where a failure ends the evaluation; see *Terms* in
//! `models/strategies`.

use crate::{
    Strategy, StrategyError,
    facts::{FirmFacts, GraphFacts, Input, ProductFacts, Requested, RingFacts, ScoreFacts},
};
use aws_lc_rs::digest::{SHA256, digest as sha};
use domain::decision::Decision;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use zen_engine::{
    Decision as Engine,
    model::{DecisionNodeKind, DecisionTableContent, GraphContent, TransformAttributes},
};
use zen_expression::{
    ExpressionKind, Isolate,
    compiler::Opcode,
    functions::{FunctionKind, InternalFunction},
};

/// Largest document.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Most nodes in a document.
pub const MAX_NODES: usize = 64;

/// Node types that only compute.
const ALLOWED_NODES: [&str; 5] =
    ["inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode"];

/// Why a document is not a strategy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("a strategy's name is 1 to 64 of a-z, 0-9, '.' and '-'")]
    Name,
    #[error("the document is larger than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    #[error("the document has more than {MAX_NODES} nodes")]
    TooManyNodes,
    #[error("the document is not JDM: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the document is not a decision graph: policies and imports are refused")]
    NotAGraph,
    #[error("node {node}: the type {kind:?} is refused; only tables, expressions and switches may decide")]
    NodeType { node: String, kind: String },
    #[error("two nodes share the id {0}")]
    DoubleId(String),
    #[error("node {0}: schemas are refused, the program types the facts")]
    Schema(String),
    #[error("the graph is broken: {0}")]
    Graph(String),
    #[error("node {node}: {expression:?} does not compile: {problem}")]
    Expression { node: String, expression: String, problem: String },
    #[error("node {node}: {expression:?} calls {function}, which is refused")]
    Function { node: String, expression: String, function: String },
    #[error("the trial on {case} failed: {problem}")]
    Trial { case: &'static str, problem: StrategyError },
    #[error("the trial on {0} was approved")]
    TrialApproved(&'static str),
}

/// The first 16 hexadecimal digits of the SHA-256 of a document.
pub(crate) fn digest(json: &str) -> String {
    sha(&SHA256, json.as_bytes()).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads and compiles a document, or says why it is refused.
pub(crate) fn read(name: &str, json: &str) -> Result<GraphContent, LoadError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(LoadError::Name);
    }
    if json.len() > MAX_DOCUMENT_BYTES {
        return Err(LoadError::TooLarge);
    }
    let document: Value = serde_json::from_str(json)?;
    check_node_types(&document)?;
    let mut content: GraphContent = serde_json::from_value(document)?;
    check_graph(&content)?;
    for node in &content.nodes {
        check_expressions(&node.id, &node.kind)?;
    }
    content.compile();
    Ok(content)
}

/// Looks at the raw document, before the engine's own types could read an unknown node as something else.
fn check_node_types(document: &Value) -> Result<(), LoadError> {
    let imports = document.get("imports").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let nodes = document.get("nodes").and_then(Value::as_array).ok_or(LoadError::NotAGraph)?;
    if imports || document.get("blocks").is_some() {
        return Err(LoadError::NotAGraph);
    }
    if nodes.len() > MAX_NODES {
        return Err(LoadError::TooManyNodes);
    }
    let text = |node: &Value, field: &str| node.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut ids = BTreeSet::new();
    for node in nodes {
        let (id, kind) = (text(node, "id"), text(node, "type"));
        if !ALLOWED_NODES.contains(&kind.as_str()) {
            return Err(LoadError::NodeType { node: id, kind });
        }
        // A schema may refer to an address that the engine would fetch.
        let schema = node.get("content").and_then(|content| content.get("schema"));
        if schema.is_some_and(|schema| !schema.is_null() && schema.as_str() != Some("")) {
            return Err(LoadError::Schema(id));
        }
        if !ids.insert(id.clone()) {
            return Err(LoadError::DoubleId(id));
        }
    }
    Ok(())
}

/// One input, one output, no cycle, no edge into nothing.
fn check_graph(content: &GraphContent) -> Result<(), LoadError> {
    Engine::from(content.clone()).validate().map_err(|e| LoadError::Graph(e.to_string()))?;
    let outputs =
        content.nodes.iter().filter(|n| matches!(n.kind, DecisionNodeKind::OutputNode { .. })).count();
    if outputs == 1 {
        Ok(())
    } else {
        Err(LoadError::Graph(format!("there must be one output node, there are {outputs}")))
    }
}

fn check_expressions(node: &str, kind: &DecisionNodeKind) -> Result<(), LoadError> {
    match kind {
        DecisionNodeKind::DecisionTableNode { content } => {
            check_transform(node, &content.transform_attributes)?;
            check_table(node, content)
        }
        DecisionNodeKind::ExpressionNode { content } => {
            check_transform(node, &content.transform_attributes)?;
            content
                .expressions
                .iter()
                .try_for_each(|e| check_expression(node, &e.value, ExpressionKind::Standard))
        }
        DecisionNodeKind::SwitchNode { content } => content
            .statements
            .iter()
            .try_for_each(|s| check_expression(node, &s.condition, ExpressionKind::Standard)),
        _ => Ok(()),
    }
}

fn check_transform(node: &str, transform: &TransformAttributes) -> Result<(), LoadError> {
    let field = transform.input_field.as_deref().unwrap_or("");
    check_expression(node, field, ExpressionKind::Standard)
}

fn check_table(node: &str, table: &DecisionTableContent) -> Result<(), LoadError> {
    for input in table.inputs.iter() {
        check_expression(node, input.field.as_deref().unwrap_or(""), ExpressionKind::Standard)?;
    }
    for rule in table.rules.iter() {
        for input in table.inputs.iter() {
            // A cell under a field is a test of it; a cell without one is an expression of its own.
            let kind = if input.field.is_some() { ExpressionKind::Unary } else { ExpressionKind::Standard };
            check_expression(node, rule.get(&input.id).map_or("", |cell| &**cell), kind)?;
        }
        for output in table.outputs.iter() {
            let cell = rule.get(&output.id).map_or("", |cell| &**cell);
            check_expression(node, cell, ExpressionKind::Standard)?;
        }
    }
    Ok(())
}

/// An expression must compile, and may call only functions whose result depends on their arguments alone.
fn check_expression(node: &str, expression: &str, kind: ExpressionKind) -> Result<(), LoadError> {
    if expression.trim().is_empty() {
        return Ok(());
    }
    let mut isolate = Isolate::new();
    let compiled = match kind {
        ExpressionKind::Standard => isolate.compile_standard(expression).map(|e| e.bytecode().clone()),
        ExpressionKind::Unary => isolate.compile_unary(expression).map(|e| e.bytecode().clone()),
    };
    let (node, expression) = (node.to_owned(), expression.to_owned());
    let code = match compiled {
        Ok(code) => code,
        Err(error) => {
            return Err(LoadError::Expression { node, expression, problem: error.to_string() });
        }
    };
    match code.iter().find_map(refused_call) {
        Some(function) => Err(LoadError::Function { node, expression, function }),
        None => Ok(()),
    }
}

/// The name of the function that an instruction calls, unless it is one of those that only compute. Dates are refused
/// whole, because `d()` is the present moment; ages come in as numbers of days.
fn refused_call(instruction: &Opcode) -> Option<String> {
    use InternalFunction as F;
    match instruction {
        Opcode::CallFunction {
            kind:
                FunctionKind::Internal(
                    F::Len
                    | F::Contains
                    | F::Flatten
                    | F::Upper
                    | F::Lower
                    | F::Trim
                    | F::StartsWith
                    | F::EndsWith
                    | F::Abs
                    | F::Sum
                    | F::Avg
                    | F::Min
                    | F::Max
                    | F::Median
                    | F::Floor
                    | F::Ceil
                    | F::Round
                    | F::Trunc
                    | F::IsNumeric
                    | F::String
                    | F::Number
                    | F::Bool
                    | F::Type
                    | F::Keys
                    | F::Values,
                )
                | FunctionKind::Closure(_),
            ..
        } => None,
        Opcode::CallFunction { kind, .. } => Some(kind.to_string()),
        Opcode::CallMethod { kind, .. } => Some(kind.to_string()),
        _ => None,
    }
}

/// Tries a strategy out. A plain good firm must get a well-formed answer, and four that nobody may lend to must be
/// declined: this also finds the misspelt field in a table that refuses, which would quietly refuse nobody.
pub(crate) fn try_out(strategy: &Strategy) -> Result<(), LoadError> {
    let but = |change: fn(&mut Input)| {
        let mut input = good_firm();
        change(&mut input);
        input
    };
    let unknown = but(|input| {
        input.score.missing_dimensions = std::mem::take(&mut input.score.dimensions_present);
        input.firm = FirmFacts { age_days: None, supported_amount_fen: None };
    });
    let hopeless = but(|input| (input.score.points, input.score.default_probability) = (300, 0.999));
    let ring = but(|input| input.ring = RingFacts { size: 50, firms: 50, label: None });
    let idle = but(|input| input.firm.supported_amount_fen = Some(0));
    let trials = [
        ("a plain good firm", good_firm(), true),
        ("a firm of which nothing is known", unknown, false),
        ("a firm with the lowest score", hopeless, false),
        ("a ring of fifty firms", ring, false),
        ("a firm without revenue", idle, false),
    ];
    for (case, input, may_approve) in trials {
        match strategy.decide(&input, Timestamp::UNIX_EPOCH) {
            Ok(Decision::Approved { .. }) if !may_approve => return Err(LoadError::TrialApproved(case)),
            Ok(_) => {}
            Err(problem) => return Err(LoadError::Trial { case, problem }),
        }
    }
    Ok(())
}

pub(crate) fn good_firm() -> Input {
    Input {
        product: ProductFacts {
            id: "trial".to_owned(),
            min_amount_fen: 1_000_000,
            max_amount_fen: 50_000_000,
            terms_months: vec![3, 6, 12],
            min_rate_bp: 435,
            max_rate_bp: 1_500,
        },
        requested: Requested { amount_fen: 20_000_000, term_months: 12 },
        score: ScoreFacts {
            points: 650,
            default_probability: 0.005_88,
            dimensions_present: ["business", "finance", "government", "tax", "risk"]
                .map(str::to_owned)
                .to_vec(),
            missing_dimensions: Vec::new(),
        },
        firm: FirmFacts { age_days: Some(2_000), supported_amount_fen: Some(100_000_000) },
        ring: RingFacts { size: 1, firms: 1, label: None },
        graph: GraphFacts {
            device_applications: 1,
            card_applications: 1,
            phone_applications: 1,
            network_applications: 1,
            overdue_neighbours: 0,
            longest_overdue_days: 0,
            unproven_claims: 0,
            device_mismatches: 0,
            device_sign_ups: 0,
            cut_off: false,
        },
    }
}
