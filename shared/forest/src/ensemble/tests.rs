use super::*;
use onnx::{Attribute, Model, Named, Node, Nothing};
use prost::Message as _;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/registry/2026.11.3");

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(FOLDER).join(name)).unwrap()
}

fn manifest() -> Manifest {
    Manifest::parse(&file("manifest.json")).unwrap()
}

fn committed() -> Model {
    Model::parse(&file("ensemble.onnx")).unwrap()
}

/// The committed graph with one thing changed, past the hash that would have caught it.
fn refused(change: impl FnOnce(&mut Model)) -> LoadError {
    let mut proto = committed();
    change(&mut proto);
    Ensemble::from_model(manifest(), &proto).unwrap_err()
}

fn node<'a>(proto: &'a mut Model, operator: &str) -> &'a mut Node {
    proto.graph.as_mut().unwrap().node.iter_mut().find(|n| n.op_type == operator).unwrap()
}

fn attribute<'a>(proto: &'a mut Model, name: &str) -> &'a mut Attribute {
    let attributes = &mut node(proto, "TreeEnsembleRegressor").attribute;
    attributes.iter_mut().find(|a| a.name == name).unwrap()
}

fn graph_error(error: LoadError) -> String {
    match error {
        LoadError::Graph(why) => why,
        other => panic!("expected a graph error, got {other:?}"),
    }
}

fn tree_error(error: LoadError) -> TreeError {
    match error {
        LoadError::Tree(why) => why,
        other => panic!("expected a tree error, got {other:?}"),
    }
}

fn ensemble() -> Ensemble {
    Ensemble::load(Path::new(FOLDER)).unwrap()
}

#[test]
fn a_model_may_be_built_into_the_binary() {
    let built_in = Ensemble::from_bytes(&file("manifest.json"), &file("ensemble.onnx")).unwrap();
    let row = vec![1.0; built_in.manifest().features.len()];
    assert_eq!(built_in.score(&row), ensemble().score(&row));
}

#[test]
fn fault_27_one_changed_byte_is_refused() {
    let mut onnx = file("ensemble.onnx");
    let middle = onnx.len() / 2;
    onnx[middle] ^= 1;
    let error = Ensemble::from_bytes(&file("manifest.json"), &onnx).unwrap_err();
    assert!(matches!(error, LoadError::Hash { .. }), "{error}");
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let error = Ensemble::load(&Path::new(FOLDER).join("nowhere")).unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }), "{error}");
}

#[test]
fn bytes_that_are_no_graph_are_refused_even_with_a_matching_hash() {
    let onnx = file("ensemble.onnx");
    for bytes in [&b""[..], &b"not a model"[..], &onnx[..onnx.len() / 2]] {
        let mut json: serde_json::Value = serde_json::from_slice(&file("manifest.json")).unwrap();
        json["sha256"]["ensemble.onnx"] = hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref()).into();
        let error = Ensemble::from_bytes(json.to_string().as_bytes(), bytes).unwrap_err();
        assert!(matches!(error, LoadError::Graph(_)), "{error}");
    }
}

#[test]
fn fault_27_features_in_another_order_are_refused() {
    let mut swapped = manifest();
    swapped.features.swap(0, 1);
    let error = Ensemble::from_model(swapped, &committed()).unwrap_err();
    assert!(graph_error(error).contains("another order"));
    let mut swapped = manifest();
    swapped.learners.swap(0, 1);
    let error = Ensemble::from_model(swapped, &committed()).unwrap_err();
    assert!(graph_error(error).contains("another order"));
    assert!(graph_error(refused(|proto| proto.metadata_props.clear())).contains("another order"));
}

#[test]
fn damaged_trees_are_refused_with_the_reason() {
    let mode = tree_error(refused(|p| attribute(p, "nodes_modes").strings[0] = b"BRANCH_MEMBER".to_vec()));
    assert!(matches!(mode, TreeError::Mode { .. }), "{mode}");
    let child = tree_error(refused(|p| attribute(p, "nodes_truenodeids").ints[0] = 9999));
    assert!(matches!(child, TreeError::Child { child: 9999, .. }), "{child}");
    let cycle = tree_error(refused(|p| attribute(p, "nodes_truenodeids").ints[0] = 0));
    assert!(matches!(cycle, TreeError::Root { .. }), "{cycle}");
    let threshold = tree_error(refused(|p| attribute(p, "nodes_values").floats[0] = f32::NAN));
    assert!(matches!(threshold, TreeError::Threshold { .. }), "{threshold}");
    let length = tree_error(refused(|p| {
        attribute(p, "nodes_values").floats.pop();
    }));
    assert!(matches!(length, TreeError::Length { name: "nodes_values", .. }), "{length}");
    let beyond = manifest().features.len();
    let feature = tree_error(refused(|p| attribute(p, "nodes_featureids").ints[0] = beyond as i64));
    assert!(matches!(feature, TreeError::Width { needed, .. } if needed == beyond), "{feature}");
    let targets = tree_error(refused(|p| attribute(p, "n_targets").i = 4));
    assert!(matches!(targets, TreeError::Target { target: 4, .. }), "{targets}");
}

#[test]
fn settings_that_we_do_not_implement_are_refused() {
    for (name, value) in [("aggregate_function", "MEDIAN"), ("post_transform", "PROBIT")] {
        let error = tree_error(refused(|p| attribute(p, name).s = value.as_bytes().to_vec()));
        assert_eq!(error, TreeError::Unsupported { name, value: value.to_owned() });
    }
    let error =
        tree_error(refused(|p| attribute(p, "nodes_hitrates").name = "nodes_values_as_tensor".to_owned()));
    assert!(matches!(error, TreeError::Unsupported { name: "attribute", .. }), "{error}");
    let of_classifiers = Attribute { name: "class_ids".to_owned(), r#type: 7, ..Default::default() };
    let error = tree_error(refused(|p| node(p, "TreeEnsembleRegressor").attribute.push(of_classifiers)));
    assert!(matches!(error, TreeError::Unsupported { name: "attribute", .. }), "{error}");
}

#[test]
fn a_missing_attribute_is_refused() {
    let without =
        |name: &str| refused(|p| node(p, "TreeEnsembleRegressor").attribute.retain(|a| a.name != name));
    for name in ["nodes_modes", "nodes_values", "target_weights", "n_targets"] {
        assert!(graph_error(without(name)).contains(name));
    }
}

#[test]
fn an_attribute_of_another_type_is_refused_and_not_taken_for_an_empty_one() {
    for name in ["nodes_missing_value_tracks_true", "nodes_values", "n_targets", "post_transform"] {
        let of_another = graph_error(refused(|p| attribute(p, name).r#type = 9));
        assert!(of_another.contains(name) && of_another.contains("type"), "{of_another}");
    }
    let elsewhere = graph_error(refused(|p| {
        let base = attribute(p, "nodes_missing_value_tracks_true");
        base.floats = std::mem::take(&mut base.ints).into_iter().map(|n| n as f32).collect();
    }));
    assert!(elsewhere.contains("nodes_missing_value_tracks_true is not of type Ints"), "{elsewhere}");
    let text = graph_error(refused(|p| attribute(p, "nodes_modes").strings[0] = vec![0xff]));
    assert!(text.contains("nodes_modes is not UTF-8"), "{text}");
}

#[test]
fn what_is_there_twice_or_could_be_read_in_two_ways_is_refused() {
    let attribute = graph_error(refused(|p| {
        let attributes = &mut node(p, "TreeEnsembleRegressor").attribute;
        let again = attributes.iter().find(|a| a.name == "nodes_values").unwrap().clone();
        attributes.push(again);
    }));
    assert!(attribute.contains("nodes_values is there twice"), "{attribute}");
    let constants = |p: &mut Model| std::mem::take(&mut p.graph.as_mut().unwrap().initializer);
    let constant = graph_error(refused(|p| {
        let all = constants(p);
        p.graph.as_mut().unwrap().initializer = [all.clone(), vec![all[0].clone()]].concat();
    }));
    assert!(constant.contains("is there twice"), "{constant}");
    let forms = graph_error(refused(|p| {
        let weights = &mut p.graph.as_mut().unwrap().initializer[0];
        weights.float_data = vec![1.0; weights.raw_data.len() / 4 + weights.float_data.len()];
        weights.raw_data = weights.float_data.iter().flat_map(|x| x.to_le_bytes()).collect();
    }));
    assert!(forms.contains("another shape"), "{forms}");
    let factor = Attribute { name: "alpha".to_owned(), r#type: 1, ..Default::default() };
    for operator in ["Gemm", "Mul", "Add", "Sigmoid"] {
        let known = graph_error(refused(|p| node(p, operator).attribute.push(factor.clone())));
        assert!(known.contains("alpha"), "{known}");
    }
    let domain = graph_error(refused(|p| node(p, "Sigmoid").domain = "com.example".to_owned()));
    assert!(domain.contains("com.example"), "{domain}");
    assert!(graph_error(refused(|p| p.functions.push(Named::default()))).contains("functions"));
    let sparse = refused(|p| p.graph.as_mut().unwrap().sparse_initializer.push(Nothing {}));
    assert!(graph_error(sparse).contains("sparse"));
}

#[test]
fn a_graph_is_refused_before_its_constants_are_copied_for_more_operators_than_there_may_be() {
    let many = graph_error(refused(|p| {
        let nodes = &mut p.graph.as_mut().unwrap().node;
        let gemm = nodes.iter().find(|n| n.op_type == "Gemm").unwrap().clone();
        nodes.extend(std::iter::repeat_n(gemm, 64));
    }));
    assert!(many.contains("at most 64 operators"), "{many}");
    let large = graph_error(refused(|p| {
        let weights = &mut p.graph.as_mut().unwrap().initializer[0];
        weights.raw_data.clear();
        weights.dims = vec![1 << 20, 1];
        weights.float_data = vec![1.0; 1 << 20];
    }));
    assert!(large.contains("another shape"), "{large}");
}

/// tract has the standard's own declarations.
#[test]
fn what_guards_stands_under_the_numbers_of_the_standard() {
    use tract_onnx::{pb, prelude::Framework as _};
    let mut theirs = tract_onnx::onnx().proto_model_for_read(&mut &*file("ensemble.onnx")).unwrap();
    let graph = theirs.graph.as_mut().unwrap();
    let entry = |key: &str| pb::StringStringEntryProto { key: key.to_owned(), value: "v".to_owned() };
    graph.node[0].domain = "a domain".to_owned();
    graph.sparse_initializer = vec![pb::SparseTensorProto::default()];
    let tensor = &mut graph.initializer[0];
    tensor.external_data = vec![entry("location")];
    tensor.data_location = Some(1);
    tensor.data_type = 7;
    tensor.float_data = vec![0.5];
    theirs.functions = vec![pb::FunctionProto { name: Some("f".to_owned()), ..Default::default() }];
    theirs.metadata_props.push(entry("k"));
    let ours = Model::parse(&theirs.encode_to_vec()).unwrap();
    let (graph, theirs_graph) = (ours.graph.unwrap(), theirs.graph.unwrap());
    let (tensor, their_tensor) = (&graph.initializer[0], &theirs_graph.initializer[0]);
    assert_eq!(graph.node[0].domain, "a domain");
    assert_eq!((graph.sparse_initializer.len(), ours.functions.len()), (1, 1));
    assert_eq!(tensor.external_data[0].key, "location");
    assert_eq!((tensor.data_location, tensor.data_type), (1, 7));
    assert_eq!((&tensor.dims, &tensor.float_data), (&their_tensor.dims, &vec![0.5]));
    assert_eq!((&tensor.name, &tensor.raw_data), (&their_tensor.name, &their_tensor.raw_data));
    assert_eq!(ours.metadata_props.last().unwrap().key, "k");
    for (ours, theirs) in graph.node.iter().zip(&theirs_graph.node) {
        assert_eq!(
            (&ours.op_type, &ours.input, &ours.output),
            (&theirs.op_type, &theirs.input, &theirs.output)
        );
        for (ours, theirs) in ours.attribute.iter().zip(&theirs.attribute) {
            assert_eq!((&ours.name, ours.r#type, ours.i), (&theirs.name, theirs.r#type, theirs.i));
            assert_eq!((&ours.s, &ours.floats), (&theirs.s, &theirs.floats));
            assert_eq!((&ours.ints, &ours.strings), (&theirs.ints, &theirs.strings));
        }
    }
}

#[test]
fn a_graph_of_another_make_is_refused() {
    let operator = graph_error(refused(|p| node(p, "Sigmoid").op_type = "Loop".to_owned()));
    assert!(operator.contains("Loop"));
    let output = graph_error(refused(|p| p.graph.as_mut().unwrap().output.swap(0, 1)));
    assert!(output.contains("outputs"));
    let nowhere = graph_error(refused(|p| node(p, "Sigmoid").output[0] = "elsewhere".to_owned()));
    assert!(nowhere.contains("pd"));
    let input = graph_error(refused(|p| p.graph.as_mut().unwrap().input[0].name = "x".to_owned()));
    assert!(input.contains("features"));
    let external = graph_error(refused(|p| p.graph.as_mut().unwrap().initializer[0].data_location = 1));
    assert!(external.contains("outside"));
    assert!(graph_error(refused(|p| p.graph = None)).contains("no graph"));
}

#[test]
fn a_fuser_that_is_not_made_of_numbers_is_refused() {
    for broken in [f32::NAN, f32::INFINITY] {
        let as_list = graph_error(refused(|p| {
            let weights = &mut p.graph.as_mut().unwrap().initializer[0];
            weights.raw_data.clear();
            weights.float_data = vec![broken; 100];
        }));
        assert!(as_list.contains("finite"));
        let as_bytes = graph_error(refused(|p| {
            let weights = &mut p.graph.as_mut().unwrap().initializer[0];
            weights.float_data.clear();
            weights.raw_data = broken.to_le_bytes().repeat(100);
        }));
        assert!(as_bytes.contains("finite"));
    }
}

#[test]
fn fuser_weights_of_the_wrong_shape_are_refused() {
    let error = refused(|p| {
        let weights = &mut p.graph.as_mut().unwrap().initializer[0];
        weights.raw_data.clear();
        weights.dims = vec![8, 1];
        weights.float_data = vec![1.0; 8];
    });
    graph_error(error);
}

#[test]
fn a_model_prints_its_version_and_not_its_trees() {
    assert_eq!(format!("{:?}", ensemble()), "Ensemble { version: \"2026.11.3\", .. }");
}

#[test]
fn a_row_of_the_wrong_length_is_refused() {
    let ensemble = ensemble();
    let expected = ensemble.manifest().features.len();
    for found in [0, expected - 1, expected + 1] {
        assert_eq!(ensemble.score(&vec![0.0; found]), Err(ScoreError::Length { expected, found }));
    }
}

#[test]
fn fault_27_an_infinite_value_is_refused_by_name() {
    let ensemble = ensemble();
    for infinite in [f32::INFINITY, f32::NEG_INFINITY] {
        let mut row = vec![0.0; ensemble.manifest().features.len()];
        row[2] = infinite;
        let name = ensemble.manifest().features[2].name.clone();
        assert_eq!(ensemble.score(&row), Err(ScoreError::Infinite(name)));
    }
}

#[test]
fn fault_27_a_firm_of_which_nothing_is_known_still_gets_a_score() {
    let ensemble = ensemble();
    let scored = ensemble.score(&vec![f32::NAN; ensemble.manifest().features.len()]).unwrap();
    assert!(scored.dimensions.iter().all(Option::is_none));
    assert!(scored.pd > 0.0 && scored.pd < 1.0);
}

#[test]
fn hit_rates_of_trees_that_are_not_explained_are_not_looked_at() {
    let mut proto = committed();
    let nodes = &mut proto.graph.as_mut().unwrap().node;
    let known = nodes.iter_mut().find(|n| n.output[0] == "known").unwrap();
    known.attribute.iter_mut().find(|a| a.name == "nodes_hitrates").unwrap().floats[0] = f32::NAN;
    let ensemble = Ensemble::from_model(manifest(), &proto).unwrap();
    let again = Ensemble::from_packed(&file("manifest.json"), &ensemble.pack()).unwrap();
    let row = vec![1.0; ensemble.manifest().features.len()];
    assert_eq!(ensemble.explain(&row), again.explain(&row));
}

#[test]
fn a_graph_whose_margins_cannot_be_explained_is_refused() {
    let elsewhere = graph_error(refused(|p| {
        let nodes = &mut p.graph.as_mut().unwrap().node;
        nodes[0].output[0] = "said".to_owned();
        nodes
            .iter_mut()
            .flat_map(|n| &mut n.input)
            .filter(|i| *i == "margins")
            .for_each(|i| *i = "said".to_owned());
        let gemm = nodes.iter_mut().find(|n| n.output[0] == "offsets").unwrap().clone();
        nodes.push(Node { output: vec!["margins".to_owned()], ..gemm });
    }));
    assert!(elsewhere.contains("do not come from trees"), "{elsewhere}");
    let rate = tree_error(refused(|p| attribute(p, "nodes_hitrates").floats[1] = 0.0));
    assert!(matches!(rate, TreeError::HitRate { .. }), "{rate}");
    let transform = tree_error(refused(|p| attribute(p, "post_transform").s = b"LOGISTIC".to_vec()));
    assert!(matches!(transform, TreeError::Unsupported { name: "post_transform", .. }), "{transform}");
}
