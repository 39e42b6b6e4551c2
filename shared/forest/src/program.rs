//! An ensemble's graph as a list of steps on rows of numbers: read from the ONNX file by [`crate::graph`], or from its
//! packed form, and run.
//!
//! Numbers are f32, as in the graph; sums are kept in f64, in one order, and rounded once. So a row gives the same bits
//! on every processor (tract and onnxruntime choose kernels by it), alone and in a batch.

use crate::{
    graph::Output,
    trees::{Keys, TreeError, Trees},
};

/// Most steps, and most numbers of one value in a row.
pub(crate) const MAX_STEPS: usize = 64;
const MAX_WIDTH: usize = 4096;

/// One operator of the graph. It makes the value that has the step's own number; operands are values made before.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The features through trees.
    Trees(Trees),
    /// `value * weights + bias`; weights have a row for each number of the value, a column for each of the bias.
    Gemm {
        value: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    Mul(usize, usize),
    Add(usize, usize),
    Sigmoid(usize),
}

/// The whole graph, checked: no step reads what is not there or has another width.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    steps: Vec<Step>,
    /// Where each value's numbers start, for one row; and behind them, how many there are in all.
    starts: Vec<usize>,
    features: usize,
    outputs: [usize; Output::ALL.len()],
}

/// Room for the values of some rows. Kept between calls, so that a call need not allocate.
#[derive(Debug, Default)]
pub(crate) struct State {
    values: Vec<f32>,
    sums: Vec<f64>,
    keys: Keys,
}

/// Why steps do not make a program.
#[derive(Debug)]
pub(crate) enum Unsound {
    Tree(TreeError),
    Graph(String),
}

impl Program {
    /// Checks the steps. `outputs` are the values that the graph gives away, in the order of [`Output::ALL`].
    pub fn new(
        features: usize,
        learners: usize,
        steps: Vec<Step>,
        outputs: [usize; Output::ALL.len()],
    ) -> Result<Self, Unsound> {
        let refuse = |why: String| Err(Unsound::Graph(why));
        if steps.len() > MAX_STEPS {
            return refuse(format!("a graph has at most {MAX_STEPS} operators"));
        }
        let mut widths = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            match step.width(features, &widths)? {
                width @ 1..=MAX_WIDTH => widths.push(width),
                width => return refuse(format!("operator {at} gives {width} numbers a row")),
            }
        }
        for (output, name) in Output::ALL {
            let width = output.width(learners);
            if widths.get(outputs[output as usize]) != Some(&width) {
                return refuse(format!("output {name} does not have {width} columns"));
            }
        }
        let mut starts = vec![0];
        widths.iter().for_each(|width| starts.push(starts[starts.len() - 1] + width));
        Ok(Self { steps, starts, features, outputs })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of the value that is an output.
    pub fn output(&self, output: Output) -> usize {
        self.outputs[output as usize]
    }

    /// The trees behind the margins.
    pub fn margins(&self) -> Result<&Trees, Unsound> {
        match &self.steps[self.output(Output::Margins)] {
            Step::Trees(trees) => Ok(trees),
            _ => Err(Unsound::Graph("the margins do not come from trees".to_owned())),
        }
    }

    /// Runs whole rows of features; the values stay in `state`.
    pub fn run(&self, features: &[f32], state: &mut State) -> Result<(), TreeError> {
        let rows = features.len() / self.features;
        state.values.resize(rows * self.starts[self.steps.len()], 0.0);
        for (at, step) in self.steps.iter().enumerate() {
            let (before, value) = state.values.split_at_mut(rows * self.starts[at]);
            let value = &mut value[..rows * self.width(at)];
            let of = |at: usize| &before[rows * self.starts[at]..rows * self.starts[at + 1]];
            match step {
                Step::Trees(trees) => {
                    state.sums.resize(value.len(), 0.0);
                    trees.aggregate(features, self.features, &mut state.keys, &mut state.sums)?;
                    round(&state.sums, value);
                }
                Step::Gemm { value: from, weights, bias } => {
                    let rows = of(*from).chunks_exact(self.width(*from));
                    for (row, result) in rows.zip(value.chunks_exact_mut(bias.len())) {
                        state.sums.clear();
                        state.sums.extend(bias.iter().map(|bias| f64::from(*bias)));
                        for (x, weights) in row.iter().zip(weights.chunks_exact(bias.len())) {
                            let products = weights.iter().map(|weight| f64::from(*x) * f64::from(*weight));
                            state.sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
                        }
                        round(&state.sums, result);
                    }
                }
                Step::Mul(one, other) => pairs(value, of(*one), of(*other), |x, y| x * y),
                Step::Add(one, other) => pairs(value, of(*one), of(*other), |x, y| x + y),
                Step::Sigmoid(from) => {
                    for (result, x) in value.iter_mut().zip(of(*from)) {
                        *result = (1.0 / (1.0 + libm::exp(-f64::from(*x)))) as f32;
                    }
                }
            }
        }
        Ok(())
    }

    /// One output of the rows that were run, row after row.
    pub fn read<'a>(&self, output: Output, rows: usize, state: &'a State) -> &'a [f32] {
        let at = self.output(output);
        &state.values[rows * self.starts[at]..rows * self.starts[at + 1]]
    }

    fn width(&self, at: usize) -> usize {
        self.starts[at + 1] - self.starts[at]
    }
}

impl Step {
    /// How many numbers a row it gives, when the values before it have those widths.
    fn width(&self, features: usize, before: &[usize]) -> Result<usize, Unsound> {
        let of = |value: &usize| {
            before.get(*value).copied().ok_or_else(|| {
                Unsound::Graph(format!("operator {} reads what was not made yet", before.len()))
            })
        };
        match self {
            Self::Trees(trees) if trees.width() > features => {
                Err(Unsound::Tree(TreeError::Width { found: features, needed: trees.width() - 1 }))
            }
            Self::Trees(trees) => Ok(trees.targets()),
            Self::Gemm { value, weights, bias } => {
                let numbers = weights.iter().chain(bias);
                if !numbers.into_iter().all(|number| number.is_finite()) {
                    return Err(Unsound::Graph("a weight of the fuser is not finite".to_owned()));
                }
                match of(value)?.checked_mul(bias.len()) {
                    Some(expected) if expected == weights.len() => Ok(bias.len()),
                    _ => Err(Unsound::Graph("a Gemm's weights do not fit".to_owned())),
                }
            }
            Self::Mul(one, other) | Self::Add(one, other) => match (of(one)?, of(other)?) {
                (one, other) if one == other => Ok(one),
                (one, other) => {
                    Err(Unsound::Graph(format!("{one} and {other} numbers a row do not go together")))
                }
            },
            Self::Sigmoid(value) => of(value),
        }
    }
}

fn round(sums: &[f64], results: &mut [f32]) {
    results.iter_mut().zip(sums).for_each(|(result, sum)| *result = *sum as f32);
}

fn pairs(results: &mut [f32], one: &[f32], other: &[f32], of: impl Fn(f32, f32) -> f32) {
    for (result, (x, y)) in results.iter_mut().zip(one.iter().zip(other)) {
        *result = of(*x, *y);
    }
}
