//! The command `models` on the bucket of an application under test, and another model to put there.

use crate::TestApp;
use local::models::{self, ModelsArgs};
use std::path::{Path, PathBuf};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    models: ModelsArgs,
}

/// Runs `models` as from a command line, on the bucket and the keys of the application under test.
pub async fn command(app: &TestApp, line: &[&str]) -> Result<String, String> {
    let url = app.lending.files.models_url();
    let folder = tempfile::tempdir().expect("a model's file");
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, serde_json::to_vec(&app.lending.keys).expect("a model's file"))
        .expect("a model's file");
    let line = [&["models", "--models-url", &url], line].concat();
    let args = <Line as clap::Parser>::try_parse_from(line).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    let done = models::run(&args.models, folder.path(), Some(&keys), &mut out).await;
    done.map_err(|e| lambda_kit::chain(e.as_ref()))?;
    Ok(String::from_utf8(out).expect("a model's file"))
}

fn packaged() -> PathBuf {
    let version = score::ensemble().expect("a model's file").manifest().version.clone();
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/registry").join(version)
}

/// The packaged model under another version, with ten points more for everybody.
pub fn another_model(version: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a model's file");
    for file in std::fs::read_dir(packaged()).expect("a model's file") {
        let file = file.expect("a model's file");
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("a model's file");
    }
    let path = folder.path().join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a model's file")).expect("a model's file");
    manifest["version"] = version.into();
    manifest["scale"]["points_at_odds"] = 610.into();
    std::fs::write(&path, manifest.to_string()).expect("a model's file");
    folder
}
