//! An ensemble's graph as [`Program`] has it, in one file that is read in a fraction of a millisecond.
//!
//! The ONNX file is the truth, and this is its shadow: it says which form it is written in, its own SHA-256, and that of
//! the file that it was made from. Numbers are little-endian. Whatever else is wrong with the bytes is found
//! while they are read, so that a walk through the trees can neither leave them nor go round in them.

use model::Manifest;

use crate::{
    ensemble::sha256,
    graph::Output,
    program::{Program, Step, Unsound},
    trees::Trees,
};

/// What the file starts with. The last byte counts the changes of the form.
const MAGIC: [u8; 8] = *b"forest\0\x01";

/// Why a packed model was refused. It has to be packed again from its ONNX file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PackedError {
    #[error("it is not a packed model, or of a form that this version does not read")]
    Form,
    #[error("it was packed from another graph than the manifest lists")]
    Graph,
    #[error("it does not have the SHA-256 that it names")]
    Hash,
    #[error("the manifest lists other features or learners, or in another order")]
    Names,
    #[error("{0} is damaged")]
    Damaged(&'static str),
    #[error("its steps are no program: {0}")]
    Program(String),
}

/// The packed form of a program; the same bytes for the same one.
pub(crate) fn write(manifest: &Manifest, program: &Program) -> Vec<u8> {
    let mut body = Writer::default();
    body.text(listed(manifest));
    names(manifest).iter().for_each(|name| body.text(name));
    Output::ALL.iter().for_each(|(output, _)| body.number(program.output(*output)));
    body.number(program.steps().len());
    for step in program.steps() {
        match step {
            Step::Trees(trees) => {
                body.number(0);
                trees.write(&mut body);
            }
            Step::Gemm { value, weights, bias } => {
                [1, *value, bias.len(), weights.len()].into_iter().for_each(|number| body.number(number));
                body.list(weights.iter().chain(bias).map(|weight| weight.to_bits()));
            }
            Step::Mul(one, other) => [2, *one, *other].into_iter().for_each(|number| body.number(number)),
            Step::Add(one, other) => [3, *one, *other].into_iter().for_each(|number| body.number(number)),
            Step::Sigmoid(value) => [4, *value].into_iter().for_each(|number| body.number(number)),
        }
    }
    [&MAGIC, &sha256(&body.bytes)[..], &body.bytes].concat()
}

/// Reads what [`write`] wrote.
pub(crate) fn read(manifest: &Manifest, bytes: &[u8]) -> Result<Program, PackedError> {
    let mut header = Reader { rest: bytes };
    let mut part = |length| header.bytes(length).ok_or(PackedError::Form);
    let (magic, hash) = (part(MAGIC.len())?, part(32)?);
    if magic != MAGIC {
        return Err(PackedError::Form);
    }
    let mut body = Reader { rest: header.rest };
    if hash != sha256(body.rest) {
        return Err(PackedError::Hash);
    }
    if body.text()? != listed(manifest).as_bytes() {
        return Err(PackedError::Graph);
    }
    for name in names(manifest) {
        if body.text()? != name.as_bytes() {
            return Err(PackedError::Names);
        }
    }
    let mut outputs = [0; Output::ALL.len()];
    for output in &mut outputs {
        *output = body.number()?;
    }
    let count = body.number()?;
    let mut steps = Vec::new();
    for _ in 0..count {
        steps.push(step(&mut body)?);
    }
    if !body.rest.is_empty() {
        return Err(PackedError::Damaged("the end"));
    }
    let program = Program::new(manifest.features.len(), manifest.learners.len(), steps, outputs);
    program.map_err(|unsound| match unsound {
        Unsound::Tree(tree) => PackedError::Program(tree.to_string()),
        Unsound::Graph(why) => PackedError::Program(why),
    })
}

fn step(body: &mut Reader) -> Result<Step, PackedError> {
    match body.number()? {
        0 => Ok(Step::Trees(Trees::read(body)?)),
        1 => {
            let (value, bias, weights) = (body.number()?, body.number()?, body.number()?);
            let mut floats = |count| Ok(body.list(count)?.map(f32::from_bits).collect());
            let weights = floats(weights)?;
            Ok(Step::Gemm { value, weights, bias: floats(bias)? })
        }
        2 => Ok(Step::Mul(body.number()?, body.number()?)),
        3 => Ok(Step::Add(body.number()?, body.number()?)),
        4 => Ok(Step::Sigmoid(body.number()?)),
        _ => Err(PackedError::Damaged("a step")),
    }
}

/// The SHA-256 of the graph, in hexadecimal.
fn listed(manifest: &Manifest) -> &str {
    manifest.sha256.get(&manifest.model).map_or("", String::as_str)
}

/// What a graph says of the manifest that it was made for.
fn names(manifest: &Manifest) -> [String; 2] {
    let features: Vec<&str> = manifest.features.iter().map(|f| f.name.as_str()).collect();
    let learners: Vec<&str> = manifest.learners.iter().map(|l| l.name.as_str()).collect();
    [features.join("\n"), learners.join("\n")]
}

#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A count or a place. None of them is near four thousand million, or a program would not have been made of it.
    pub fn number(&mut self, number: usize) {
        self.list([number as u32]);
    }

    pub fn list(&mut self, numbers: impl IntoIterator<Item = u32>) {
        self.bytes.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend(text.as_bytes());
    }
}

/// What was not read yet.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(part)
    }

    pub fn number(&mut self) -> Result<usize, PackedError> {
        Ok(self.list(1)?.next().unwrap_or_default() as usize)
    }

    /// So many numbers. They are there before anything is allocated for them.
    pub fn list(
        &mut self,
        count: usize,
    ) -> Result<impl ExactSizeIterator<Item = u32> + use<'a>, PackedError> {
        let length = count.checked_mul(4).ok_or(PackedError::Damaged("a length"))?;
        let (numbers, _) = self.bytes(length).ok_or(PackedError::Damaged("a length"))?.as_chunks::<4>();
        Ok(numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)))
    }

    /// So many pairs of numbers.
    pub fn pairs(
        &mut self,
        count: usize,
    ) -> Result<impl ExactSizeIterator<Item = [u32; 2]> + use<'a>, PackedError> {
        let length = count.checked_mul(8).ok_or(PackedError::Damaged("a length"))?;
        let (pairs, _) = self.bytes(length).ok_or(PackedError::Damaged("a length"))?.as_chunks::<8>();
        Ok(pairs.iter().map(|[a, b, c, d, e, f, g, h]| {
            [u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h])]
        }))
    }

    fn text(&mut self) -> Result<&'a [u8], PackedError> {
        let length = self.number()?;
        self.bytes(length).ok_or(PackedError::Damaged("a name"))
    }
}

#[cfg(test)]
mod tests;
