//! Bytes as tree ensembles: attribute lists that may be anything, and whole graphs and packed forms.

use aws_lc_rs::digest::{SHA256, digest};
use forest::{
    Ensemble, Explainer,
    trees::{Aggregate, Attributes, Keys, Trees},
};
use serde_json::json;

/// Takes bytes off the front; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Small numbers most of the time, any number some of the time.
    fn number(&mut self) -> i64 {
        match self.byte() {
            small @ 0..=239 => i64::from(small),
            240..=247 => -1,
            248..=251 => i64::from(u32::MAX),
            _ => i64::from_le_bytes([0; 8].map(|_: u8| self.byte())),
        }
    }

    fn float(&mut self) -> f32 {
        match self.byte() {
            small @ 0..=247 => f32::from(small) / 4.0 - 20.0,
            248 => f32::NAN,
            249 => f32::INFINITY,
            250 => f32::NEG_INFINITY,
            _ => f32::from_le_bytes([0; 4].map(|_: u8| self.byte())),
        }
    }
}

const MODES: [&str; 8] = [
    "LEAF",
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GT",
    "BRANCH_GTE",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "BRANCH_MEMBER",
];

#[derive(Default)]
struct Lists {
    numbers: [Vec<i64>; 6],
    modes: Vec<&'static str>,
    values: Vec<f32>,
    rates: Vec<f32>,
    leaves: [Vec<i64>; 3],
    weights: Vec<f32>,
    base: Vec<f32>,
    targets: i64,
    aggregate: Aggregate,
}

impl Lists {
    fn read(bytes: &mut Bytes) -> Self {
        let mut lists = Self { targets: bytes.number(), ..Self::default() };
        let form = bytes.byte();
        lists.aggregate =
            [Aggregate::Sum, Aggregate::Average, Aggregate::Min, Aggregate::Max][usize::from(form % 4)];
        for _ in 0..form >> 6 {
            lists.base.push(bytes.float());
        }
        for _ in 0..bytes.byte() {
            lists.modes.push(MODES[usize::from(bytes.byte() % 8)]);
            lists.numbers.iter_mut().for_each(|list| list.push(bytes.number()));
            lists.values.push(bytes.float());
            if form & 4 != 0 {
                lists.rates.push(bytes.float());
            }
        }
        for _ in 0..bytes.byte() {
            lists.leaves.iter_mut().for_each(|list| list.push(bytes.number()));
            lists.weights.push(bytes.float());
        }
        // One list is shorter than the others.
        if form & 8 != 0 {
            let at = usize::from(bytes.byte() % 6);
            lists.numbers[at].pop();
        }
        if form & 16 != 0 {
            lists.numbers[5].clear();
        }
        lists
    }

    fn attributes(&self) -> Attributes<'_> {
        let [tree_ids, node_ids, feature_ids, true_ids, false_ids, missing_tracks_true] = &self.numbers;
        let [target_tree_ids, target_node_ids, target_ids] = &self.leaves;
        Attributes {
            tree_ids,
            node_ids,
            feature_ids,
            values: &self.values,
            hit_rates: &self.rates,
            modes: self.modes.clone(),
            true_ids,
            false_ids,
            missing_tracks_true,
            target_tree_ids,
            target_node_ids,
            target_ids,
            target_weights: &self.weights,
            targets: self.targets,
            base_values: &self.base,
            aggregate: self.aggregate,
        }
    }

    fn find(&self, tree: i64, node: i64) -> usize {
        let ids = self.numbers[0].iter().zip(&self.numbers[1]);
        ids.into_iter()
            .position(|ids| ids == (&tree, &node))
            .expect("an accepted tree has the nodes that it names")
    }

    /// What the standard says of a row, word for word.
    fn expected(&self, row: &[f32]) -> Vec<f64> {
        let mut told: Vec<Vec<f64>> = vec![Vec::new(); self.targets as usize];
        let mut trees = 0;
        for (root, tree) in self.numbers[0].iter().enumerate() {
            if self.numbers[0].iter().position(|other| other == tree) != Some(root) {
                continue;
            }
            trees += 1;
            let mut at = root;
            while self.modes[at] != "LEAF" {
                let (x, t) = (row[self.numbers[2][at] as usize], self.values[at]);
                let holds = match self.modes[at] {
                    _ if x.is_nan() => self.numbers[5].get(at) == Some(&1),
                    "BRANCH_LEQ" => x <= t,
                    "BRANCH_LT" => x < t,
                    "BRANCH_GT" => x > t,
                    "BRANCH_GTE" => x >= t,
                    "BRANCH_EQ" => x == t,
                    _ => x != t,
                };
                at = self.find(*tree, self.numbers[if holds { 3 } else { 4 }][at]);
            }
            for (leaf, weight) in self.weights.iter().enumerate() {
                if self.find(self.leaves[0][leaf], self.leaves[1][leaf]) == at {
                    told[self.leaves[2][leaf] as usize].push(f64::from(*weight));
                }
            }
        }
        let base = |target: usize| self.base.get(target).map_or(0.0, |base| f64::from(*base));
        let each = told.into_iter().enumerate().map(|(target, told)| {
            let sum: f64 = told.iter().sum();
            base(target)
                + match self.aggregate {
                    Aggregate::Sum => sum,
                    Aggregate::Average => sum / f64::from(trees),
                    Aggregate::Min => told.into_iter().reduce(f64::min).unwrap_or(0.0),
                    Aggregate::Max => told.into_iter().reduce(f64::max).unwrap_or(0.0),
                }
        });
        each.collect()
    }
}

/// Attribute lists, and rows for them where they are trees.
pub fn trees(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let lists = Lists::read(&mut bytes);
    let attributes = lists.attributes();
    let Ok(trees) = Trees::build(&attributes) else { return };
    let (width, targets) = (trees.width().max(1), trees.targets());
    let rows: Vec<f32> = (0..11 * width).map(|_| bytes.float()).collect();
    let (mut keys, mut together) = (Keys::default(), vec![0.0; 11 * targets]);
    trees.aggregate(&rows, width, &mut keys, &mut together).expect("rows are wide enough");
    for (row, together) in rows.chunks(width).zip(together.chunks(targets)) {
        let mut alone = vec![0.0; targets];
        trees.aggregate(row, width, &mut keys, &mut alone).expect("a row is wide enough");
        assert_eq!(alone, together, "a row alone and in a batch");
        for (found, expected) in alone.iter().zip(lists.expected(row)) {
            // Sums are made in another order.
            assert!(
                (found - expected).abs() <= 1e-9 * expected.abs().max(1e39),
                "{found} instead of {expected}"
            );
        }
    }
    let Ok(explainer) = Explainer::build(&attributes) else { return };
    let (weights, mut contributions) = (vec![1.0; targets], vec![0.0; width]);
    explainer.explain(&rows[..width], &weights, &mut contributions).expect("a row is wide enough");
}

/// A manifest that fits a model of two features and one learner, whatever bytes it is made of.
fn manifest(model: &[u8]) -> Vec<u8> {
    let hash: String = digest(&SHA256, model).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let feature = |name: &str| {
        json!({
            "name": name, "dimension": "d", "unit": "1", "direction": 0, "missing": "unknown", "range": [null, null],
            "reason": "R1", "extract": { "kind": "value", "source": "s", "field": name },
        })
    };
    let text = json!({ "zh": "一", "en": "one" });
    let manifest = json!({
        "version": "fuzzed", "target": "default", "model": "ensemble.onnx", "dimensions": ["d"],
        "learners": [{ "name": "k", "dimension": "d" }], "features": [feature("a"), feature("b")],
        "reasons": { "R1": text, "R2": text }, "reason_missing": "R2",
        "scale": {
            "points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300, "highest": 900,
        },
        "sha256": { "ensemble.onnx": hash }, "metrics": {},
    });
    manifest.to_string().into_bytes()
}

fn rows() -> [[f32; 2]; 5] {
    [[f32::NAN; 2], [0.0; 2], [1.5, -2.0], [f32::NAN, f32::MAX], [f32::MIN, f32::NAN]]
}

/// A whole ONNX graph, with a manifest that names its hash; and the bytes as a packed form.
pub fn graph(bytes: &[u8]) {
    let manifest = manifest(bytes);
    // The bytes behind a packed form's header, with the header that fits them.
    let packed = [b"forest\0\x01", digest(&SHA256, bytes).as_ref(), bytes].concat();
    run(Ensemble::from_packed(&manifest, &packed).ok());
    let Ok(ensemble) = Ensemble::from_bytes(&manifest, bytes) else { return };
    let again = Ensemble::from_packed(&manifest, &ensemble.pack()).expect("what was packed can be read");
    for row in rows() {
        assert_eq!(ensemble.score(&row), again.score(&row));
    }
    run(Some(ensemble));
}

/// A row gets a score or a clear no, alone and among others.
fn run(ensemble: Option<Ensemble>) {
    let Some(ensemble) = ensemble else { return };
    let alone: Vec<_> = rows().iter().map(|row| ensemble.score(row)).collect();
    if let Ok(together) = ensemble.score_all(&rows().concat()) {
        assert!(alone.into_iter().zip(together).all(|(alone, together)| alone == Ok(together)));
    }
    for row in rows() {
        let _ = ensemble.explain(&row);
    }
}
