//! Times the ensembles against other runtimes: the same models, the same rows, one thread each, taking turns.
//!
//! The others are Python's (`models/training/speed.py`), which is asked for their times line by line.

use super::AnyError;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use forest::Ensemble;
use hdrhistogram::Histogram;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

const TURNS: usize = 10;
const BATCH: usize = 256;
/// What ours does in one turn.
const ROWS: usize = 1000;
const BATCHES: usize = 20;
const EXPLAINED: usize = 50;
const LOADS: usize = 20;

/// Other runtimes as `speed.py` names them, and as the table does.
const OTHERS: [(&str, &str); 5] = [
    ("treelite", "Treelite, compiled C"),
    ("lightgbm", "LightGBM, C interface"),
    ("lightgbm python", "LightGBM from Python"),
    ("onnxruntime", "onnxruntime from Python"),
    ("shap", "shap.TreeExplainer"),
];

#[derive(clap::Args)]
pub struct ModelsArgs {
    /// Python of the virtual environment of models/training. Without it only ours is measured.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Folders of models; the one that score carries when none is given, and with --python also one of five learners of
    /// 200 trees of 31 leaves.
    #[arg(long, value_name = "FOLDER")]
    model: Vec<PathBuf>,
}

/// Measures each model and prints a table for it.
pub fn run(args: &ModelsArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let scratch = tempfile::tempdir()?;
    let mut folders = args.model.clone();
    if folders.is_empty() {
        folders.push(packaged()?);
        if let Some(python) = &args.python {
            let reference = scratch.path().join("reference");
            writeln!(out, "Training five learners of 200 trees of 31 leaves …")?;
            let trained = Command::new(python).arg(script()).arg("reference").arg(&reference).status()?;
            if !trained.success() {
                return Err("the reference model was not trained".into());
            }
            folders.push(reference);
        }
    }
    for folder in folders {
        let measured = measure(&folder, args.python.as_deref())?;
        writeln!(out, "\n{}, microseconds a row (p50 / p99, times ours):\n{measured}", folder.display())?;
    }
    Ok(())
}

fn training() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"))
}

fn script() -> PathBuf {
    training().join("training/speed.py")
}

/// The model that `score` carries.
fn packaged() -> Result<PathBuf, AnyError> {
    Ok(training().join("registry").join(&score::ensemble()?.manifest().version))
}

/// What was measured of one runtime: nanoseconds a row.
struct Runtime {
    name: &'static str,
    load_ms: Option<f64>,
    row: Histogram<u64>,
    batch: Histogram<u64>,
    explained: Histogram<u64>,
}

impl Runtime {
    fn new(name: &'static str, load_ms: Option<f64>) -> Result<Self, AnyError> {
        let histogram = || Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3);
        Ok(Self { name, load_ms, row: histogram()?, batch: histogram()?, explained: histogram()? })
    }

    fn cells(&self, ours: &Self) -> Vec<String> {
        let mut cells =
            vec![self.name.to_owned(), self.load_ms.map_or_else(String::new, |load| format!("{load:.2}"))];
        let pairs = [(&self.row, &ours.row), (&self.batch, &ours.batch), (&self.explained, &ours.explained)];
        cells.extend(pairs.map(|(times, ours)| show(times, ours)));
        cells
    }
}

fn show(times: &Histogram<u64>, ours: &Histogram<u64>) -> String {
    if times.is_empty() {
        return String::new();
    }
    let us = |q: f64| times.value_at_quantile(q) as f64 / 1_000.0;
    let ratio = times.value_at_quantile(0.5) as f64 / ours.value_at_quantile(0.5) as f64;
    format!("{:.1} / {:.1}  ×{ratio:.1}", us(0.5), us(0.99))
}

fn measure(folder: &Path, python: Option<&Path>) -> Result<Table, AnyError> {
    let mut ours = Ours::load(folder)?;
    let mut others = python.map(|python| Others::start(python, folder)).transpose()?;
    let mut runtimes = Vec::new();
    if let Some(others) = &others {
        for (key, name) in OTHERS {
            runtimes.push((key, Runtime::new(name, others.loads.get(key).copied())?));
        }
    }
    for _ in 0..TURNS {
        ours.take_a_turn()?;
        let Some(others) = &mut others else { continue };
        for (key, runtime) in &mut runtimes {
            let parts = [
                ("row", &mut runtime.row, 1),
                ("batch", &mut runtime.batch, BATCH),
                ("explain", &mut runtime.explained, 1),
            ];
            for (what, times, rows) in parts {
                for nanoseconds in others.ask(&format!("{key} {what}"))? {
                    times.saturating_record(nanoseconds / rows as u64);
                }
            }
        }
    }
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "runtime",
        "load, ms",
        "single row",
        "batch of 256",
        "explained",
    ]);
    table.add_row(ours.packed.cells(&ours.packed));
    table.add_row(vec!["ours, from ONNX".to_owned(), format!("{:.2}", ours.onnx_ms)]);
    for (_, runtime) in &runtimes {
        table.add_row(runtime.cells(&ours.packed));
    }
    Ok(table)
}

struct Ours {
    ensemble: Ensemble,
    packed: Runtime,
    onnx_ms: f64,
    rows: Vec<f32>,
    width: usize,
    at: usize,
}

impl Ours {
    /// Loads the model from both its forms, more than once, and holds it to the answers of its golden rows.
    fn load(folder: &Path) -> Result<Self, AnyError> {
        let manifest = std::fs::read(folder.join("manifest.json"))?;
        let onnx = std::fs::read(folder.join("ensemble.onnx"))?;
        let packed = Ensemble::from_bytes(&manifest, &onnx)?.pack();
        let onnx_ms = median_ms(|| Ensemble::from_bytes(&manifest, &onnx).map(drop))?;
        let packed_ms = median_ms(|| Ensemble::from_packed(&manifest, &packed).map(drop))?;
        let ensemble = Ensemble::from_packed(&manifest, &packed)?;
        let width = ensemble.manifest().features.len();
        let mut file = csv::Reader::from_path(folder.join("golden.csv"))?;
        let answer = file.headers()?.iter().position(|name| name == "onnxruntime.pd");
        let answer = answer.ok_or("golden.csv has no answers")?;
        let mut rows = Vec::new();
        for record in file.records() {
            let record = record?;
            let from = rows.len();
            rows.extend(record.iter().take(width).map(|cell| cell.parse().unwrap_or(f32::NAN)));
            let expected: f64 = record.get(answer).unwrap_or_default().parse()?;
            if (ensemble.score(&rows[from..])?.pd - expected).abs() > 1e-5 {
                return Err("ours does not say what onnxruntime says".into());
            }
        }
        let packed = Runtime::new("ours", Some(packed_ms))?;
        Ok(Self { ensemble, packed, onnx_ms, rows, width, at: 0 })
    }

    fn take_a_turn(&mut self) -> Result<(), AnyError> {
        for _ in 0..ROWS {
            let row = self.next(1);
            let (nanoseconds, scored) = timed(|| self.ensemble.score(&row));
            scored?;
            self.packed.row.saturating_record(nanoseconds);
        }
        for _ in 0..BATCHES {
            let rows = self.next(BATCH);
            let (nanoseconds, scored) = timed(|| self.ensemble.score_all(&rows));
            scored?;
            self.packed.batch.saturating_record(nanoseconds / BATCH as u64);
        }
        for _ in 0..EXPLAINED {
            let row = self.next(1);
            let (nanoseconds, explained) = timed(|| self.ensemble.explain(&row));
            explained?;
            self.packed.explained.saturating_record(nanoseconds);
        }
        Ok(())
    }

    /// The next rows, around and around.
    fn next(&mut self, count: usize) -> Vec<f32> {
        let all = self.rows.len() / self.width;
        let mut rows = Vec::with_capacity(count * self.width);
        for _ in 0..count {
            let at = self.at % all;
            rows.extend(&self.rows[at * self.width..(at + 1) * self.width]);
            self.at += 1;
        }
        rows
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn timed<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let started = Instant::now();
    let result = std::hint::black_box(run());
    (started.elapsed().as_nanos() as u64, result)
}

fn median_ms<E>(mut load: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut times = Vec::with_capacity(LOADS);
    for _ in 0..LOADS {
        let (nanoseconds, loaded) = timed(&mut load);
        loaded?;
        times.push(nanoseconds);
    }
    times.sort_unstable();
    Ok(times[LOADS / 2] as f64 / 1e6)
}

/// `speed.py` on one model. It ends with its standard input.
struct Others {
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    child: Child,
    /// Milliseconds.
    loads: BTreeMap<String, f64>,
}

impl Others {
    fn start(python: &Path, folder: &Path) -> Result<Self, AnyError> {
        let mut command = Command::new(python);
        command.arg(script()).arg("serve").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What compilers say on the way.
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take().ok_or("speed.py has no output")?);
        let mut others = Self { to, from: BufReader::new(from), child, loads: BTreeMap::new() };
        others.loads = serde_json::from_str(&others.line()?)?;
        Ok(others)
    }

    fn line(&mut self) -> Result<String, AnyError> {
        let mut line = String::new();
        match self.from.read_line(&mut line)? {
            0 => Err("speed.py gave up; run it by hand to see why".into()),
            _ => Ok(line),
        }
    }

    /// Nanoseconds for each row or batch; none for what a runtime does not do.
    fn ask(&mut self, what: &str) -> Result<Vec<u64>, AnyError> {
        let to = self.to.as_mut().ok_or("speed.py has no input")?;
        writeln!(to, "{what}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}
