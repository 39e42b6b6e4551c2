//! What is read of an ONNX file, in the words of the standard's `onnx.proto`; of everything else that may stand in one
//! nothing is kept.
//!
//! [`Model::parse`] takes the file apart, and [`Node::regressor_trees`] reads what an operator says of its trees.

use prost::Message;

use crate::{
    LoadError,
    trees::{Aggregate, Attributes, TreeError},
};

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Named>,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<Named>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<Named>,
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<Nothing>,
}

/// `ValueInfoProto` and `FunctionProto`: only the name.
#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Of what is only asked whether it is there.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// `NodeProto`: one operator.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// `AttributeProto`, without floats, tensors, graphs and types, which no operator that we know has.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of the others holds the value: an [`AttributeType`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// `AttributeProto.AttributeType`, those that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    Int = 2,
    String = 3,
    Floats = 6,
    Ints = 7,
    Strings = 8,
}

/// `TensorProto`, of floats.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// [`Tensor::FLOAT`], or another type.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    pub name: String,
    /// The numbers as little-endian bytes, in the place of `float_data`.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    /// 1 where the numbers lie in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

impl AttributeType {
    const ALL: [Self; 5] = [Self::Int, Self::String, Self::Floats, Self::Ints, Self::Strings];
}

impl Tensor {
    /// `TensorProto.DataType.FLOAT`.
    pub const FLOAT: i32 = 1;
}

impl Model {
    /// # Errors
    /// [`LoadError::Graph`]: the bytes are no ONNX file.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::decode(bytes).map_err(|error| LoadError::Graph(format!("it is no ONNX file: {error}")))
    }
}

/// Attributes of tree ensembles that are read, or cannot change a result.
const OF_TREES: [&str; 11] = [
    "base_values",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "post_transform",
];
/// And those of the one operator, and of the other.
const OF_REGRESSORS: [&str; 6] =
    ["aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids", "target_weights"];
const OF_CLASSIFIERS: [&str; 6] = [
    "class_ids",
    "class_nodeids",
    "class_treeids",
    "class_weights",
    "classlabels_int64s",
    "classlabels_strings",
];

impl Node {
    /// What a `TreeEnsembleRegressor` says of its trees.
    ///
    /// # Errors
    /// [`LoadError`]: an attribute is missing, unknown or of another type, or asks for what we do not do.
    pub fn regressor_trees(&self) -> Result<Attributes<'_>, LoadError> {
        let aggregate = self.aggregate()?;
        Ok(Attributes { targets: self.int("n_targets")?, aggregate, ..self.trees("target", &OF_REGRESSORS)? })
    }

    /// What a `TreeEnsembleClassifier` says of them. `targets` are left at zero: they are as many as its labels.
    ///
    /// # Errors
    /// As for [`Node::regressor_trees`].
    pub fn classifier_trees(&self) -> Result<Attributes<'_>, LoadError> {
        self.trees("class", &OF_CLASSIFIERS)
    }

    fn trees(&self, leaves: &str, own: &[&str]) -> Result<Attributes<'_>, LoadError> {
        let is_known = |name: &str| OF_TREES.contains(&name) || own.contains(&name);
        if let Some(other) = self.attribute.iter().find(|attribute| !is_known(&attribute.name)) {
            return Err(TreeError::Unsupported { name: "attribute", value: other.name.clone() }.into());
        }
        let of_leaves = |what: &str| format!("{leaves}_{what}");
        Ok(Attributes {
            tree_ids: self.ints("nodes_treeids")?,
            node_ids: self.ints("nodes_nodeids")?,
            feature_ids: self.ints("nodes_featureids")?,
            values: self.floats("nodes_values")?,
            hit_rates: self.optional("nodes_hitrates", Self::floats)?.unwrap_or_default(),
            modes: self.texts("nodes_modes")?,
            true_ids: self.ints("nodes_truenodeids")?,
            false_ids: self.ints("nodes_falsenodeids")?,
            missing_tracks_true: self
                .optional("nodes_missing_value_tracks_true", Self::ints)?
                .unwrap_or_default(),
            target_tree_ids: self.ints(&of_leaves("treeids"))?,
            target_node_ids: self.ints(&of_leaves("nodeids"))?,
            target_ids: self.ints(&of_leaves("ids"))?,
            target_weights: self.floats(&of_leaves("weights"))?,
            targets: 0,
            base_values: self.optional("base_values", Self::floats)?.unwrap_or_default(),
            aggregate: Aggregate::Sum,
        })
    }

    fn aggregate(&self) -> Result<Aggregate, LoadError> {
        let name = "aggregate_function";
        match self.optional(name, Self::text)?.unwrap_or("SUM") {
            "SUM" => Ok(Aggregate::Sum),
            "AVERAGE" => Ok(Aggregate::Average),
            "MIN" => Ok(Aggregate::Min),
            "MAX" => Ok(Aggregate::Max),
            value => Err(TreeError::Unsupported { name, value: value.to_owned() }.into()),
        }
    }

    /// An attribute that may be left out, read by one of the functions below.
    ///
    /// # Errors
    /// [`LoadError::Graph`]: it is there and of another type.
    pub fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl FnOnce(&'a Self, &str) -> Result<T, LoadError>,
    ) -> Result<Option<T>, LoadError> {
        let there = self.attribute.iter().any(|attribute| attribute.name == name);
        there.then(|| read(self, name)).transpose()
    }

    /// # Errors
    /// [`LoadError::Graph`]: it is not there, or of another type; so for all that follow.
    pub fn int(&self, name: &str) -> Result<i64, LoadError> {
        Ok(self.of_type(name, AttributeType::Int)?.i)
    }

    /// # Errors
    /// As for [`Node::int`].
    pub fn ints(&self, name: &str) -> Result<&[i64], LoadError> {
        Ok(&self.of_type(name, AttributeType::Ints)?.ints)
    }

    /// # Errors
    /// As for [`Node::int`].
    pub fn floats(&self, name: &str) -> Result<&[f32], LoadError> {
        Ok(&self.of_type(name, AttributeType::Floats)?.floats)
    }

    /// # Errors
    /// As for [`Node::int`].
    pub fn text(&self, name: &str) -> Result<&str, LoadError> {
        self.utf8(name, &self.of_type(name, AttributeType::String)?.s)
    }

    /// # Errors
    /// As for [`Node::int`].
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, LoadError> {
        let texts = &self.of_type(name, AttributeType::Strings)?.strings;
        texts.iter().map(|text| self.utf8(name, text)).collect()
    }

    fn of_type(&self, name: &str, expected: AttributeType) -> Result<&Attribute, LoadError> {
        let mut found = self.attribute.iter().filter(|attribute| attribute.name == name);
        let attribute = found.next().ok_or_else(|| self.refuse(name, "is missing"))?;
        if found.next().is_some() {
            return Err(self.refuse(name, "is there twice"));
        }
        let has_a_value_of = |kind| match kind {
            AttributeType::Int => attribute.i != 0,
            AttributeType::String => !attribute.s.is_empty(),
            AttributeType::Floats => !attribute.floats.is_empty(),
            AttributeType::Ints => !attribute.ints.is_empty(),
            AttributeType::Strings => !attribute.strings.is_empty(),
        };
        let others = AttributeType::ALL.into_iter().filter(|kind| *kind != expected);
        if attribute.r#type != expected as i32 || others.into_iter().any(has_a_value_of) {
            return Err(self.refuse(name, &format!("is not of type {expected:?}")));
        }
        Ok(attribute)
    }

    fn utf8<'a>(&self, name: &str, text: &'a [u8]) -> Result<&'a str, LoadError> {
        str::from_utf8(text).map_err(|_| self.refuse(name, "is not UTF-8"))
    }

    fn refuse(&self, name: &str, why: &str) -> LoadError {
        LoadError::Graph(format!("{}: attribute {name} {why}", self.op_type))
    }
}
