//! `-- models`: puts models into their bucket, signed, and says which of them scores a product. On a laptop the bucket is
//! a folder of the state; `--models-url s3://…` and `--keys` do the same for a deployment.

mod golden;

use crate::{
    keys::Keys,
    lending::{Files, Lending},
};
use buckets::ModelBucket;
use clap::{Args, Subcommand};
use comfy_table::Table;
use domain::{checks::DIMENSIONS, product::Catalogue};
use forest::Ensemble;
use model::{Assigned, Assignment, Challenger};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Place};
use ports::SystemClock;
use score::{ASSIGNMENT, Models, SIGNATURE, SignedAssignment, folder};
use signing::{ArtifactSigner, ArtifactVerifier};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is done with the models.
#[derive(Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
    /// The bucket of models, for example s3://lending-prod-models-1abc; that of the state folder without it.
    #[arg(long, global = true, value_name = "URL")]
    models_url: Option<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Print the public key whose models are trusted: the template's parameter ModelSigners.
    Key,
    /// List the models in the bucket, and what scores each product.
    List,
    /// Run a model on its golden rows, sign it, and put it into the bucket.
    Put {
        /// A folder as models/registry holds them.
        folder: PathBuf,
    },
    /// Let a model score a product from now on; running instances follow within a minute.
    Assign {
        product: String,
        /// Version of the model.
        model: String,
        /// Version of a model that scores in shadow.
        #[arg(long, value_name = "VERSION", requires = "share")]
        challenger: Option<String>,
        /// Per cent of the product's applications that the challenger scores, in whole hundredths at most.
        #[arg(long, value_name = "PERCENT", requires = "challenger", value_parser = basis_points)]
        share: Option<u16>,
        /// Also where a model looks at other dimensions than those of the product's firms, and so knows nothing of them.
        #[arg(long)]
        other_dimensions: bool,
    },
}

fn basis_points(text: &str) -> Result<u16, String> {
    let wrong = || "must be 0.01 to 100 per cent, with two decimals at most".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 2 {
        return Err(wrong());
    }
    let digits = format!("{whole}{part:0<2}");
    let points = digits.parse::<u16>().map_err(|_| wrong())?;
    if (1..=10_000).contains(&points) { Ok(points) } else { Err(wrong()) }
}

/// How long the bucket may take.
const BUCKET_WITHIN: Duration = Duration::from_secs(60);

/// The bucket with the key that signs what goes into it.
struct Shelf {
    bucket: Arc<dyn ObjectStore>,
    signer: ArtifactSigner,
    models: Models,
    products: Catalogue,
}

/// Does what was asked for, and prints what came of it.
pub async fn run(
    args: &ModelsArgs,
    state: &Path,
    keys: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let shelf = Shelf::open(args.models_url.as_deref(), state, keys)?;
    match &args.action {
        Action::Key => writeln!(out, "{}", shelf.signer.public())?,
        Action::List => shelf.list(out).await?,
        Action::Put { folder } => {
            let (version, rows) = shelf.put(folder).await?;
            writeln!(
                out,
                "Version {version} is in the bucket, signed; it agrees with its {rows} golden rows."
            )?;
        }
        Action::Assign { product, model, challenger, share, other_dimensions } => {
            let challenger = challenger.clone().zip(*share);
            let challenger = challenger.map(|(model, share_bp)| Challenger { model, share_bp });
            let assigned = Assigned { model: model.clone(), challenger };
            let serial = shelf.assign(product, assigned, *other_dimensions).await?;
            writeln!(out, "Assignment {serial}: {product} is scored by {model} within a minute.")?;
        }
    }
    Ok(())
}

/// Puts a model into the bucket of a running product.
pub async fn put(lending: &Lending, folder: &Path) -> Result<(), AnyError> {
    let shelf = Shelf::of(&lending.keys, &lending.files.models_url(), lending.products.clone())?;
    shelf.put(folder).await.map(drop)
}

impl Shelf {
    fn open(url: Option<&str>, state: &Path, keys: Option<&Path>) -> Result<Self, AnyError> {
        std::fs::create_dir_all(state)?;
        let products = wiring::products()?;
        let keys = Keys::given_or_own(keys, state, products.iter().map(|product| product.bank.as_str()))?;
        let url = match url {
            Some(url) => url.to_owned(),
            None => Files::at(Some(state))?.models_url(),
        };
        Self::of(&keys, &url, products)
    }

    fn of(keys: &Keys, url: &str, products: Catalogue) -> Result<Self, AnyError> {
        let signer = ArtifactSigner::parse(&keys.models)?;
        let bucket = buckets::open(url, BUCKET_WITHIN)?;
        let verifier = ArtifactVerifier::parse(&signer.public())?;
        let models = Models::new(
            score::ensemble()?,
            ModelBucket::new(bucket.clone(), verifier),
            Arc::new(SystemClock),
        );
        Ok(Self { bucket, signer, models, products })
    }

    /// Loads a model, holds it to its golden rows, and puts it into the bucket; gives its version and the rows.
    async fn put(&self, source: &Path) -> Result<(String, usize), AnyError> {
        let ensemble = Ensemble::load(source)?;
        let rows = golden::check(&ensemble, source)?;
        let manifest = ensemble.manifest();
        let folder = folder(&manifest.version);
        let bytes = std::fs::read(source.join("manifest.json"))?;
        let place = Place::from(format!("{folder}/manifest.json"));
        if let Ok(there) = self.bucket.get(&place).await
            && there.bytes().await? != bytes
        {
            let version = &manifest.version;
            let told = "another model of that version is in the bucket: a version never changes, give this one its own";
            return Err(format!("{version}: {told}").into());
        }
        // The manifest comes last: a model without one is not there yet.
        for name in manifest.sha256.keys() {
            self.write(&format!("{folder}/{name}"), std::fs::read(source.join(name))?).await?;
        }
        let signature = self.signer.sign(&folder, &bytes);
        self.write(&format!("{folder}/{SIGNATURE}"), signature.into_bytes()).await?;
        self.write(&format!("{folder}/manifest.json"), bytes).await?;
        Ok((manifest.version.clone(), rows))
    }

    async fn assign(
        &self,
        product: &str,
        assigned: Assigned,
        other_dimensions: bool,
    ) -> Result<u64, AnyError> {
        if self.products.get(product).is_none() {
            let known: Vec<&str> = self.products.iter().map(|p| p.id.as_str()).collect();
            return Err(format!("there is no product {product:?}; there are {}", known.join(", ")).into());
        }
        let decides = self.models.get(&assigned.model).await?;
        let theirs = &decides.manifest().dimensions;
        if !other_dimensions && theirs.iter().any(|name| !DIMENSIONS.contains(&name.as_str())) {
            let (version, known) = (&assigned.model, DIMENSIONS.join(", "));
            let named = theirs.join(", ");
            let told = "a firm of this archive would have no data for it; --other-dimensions assigns it all the same";
            return Err(format!("{version} looks at {named} and not at {known}: {told}").into());
        }
        let mut assignment = self.models.assignment().await?;
        assignment.serial += 1;
        assignment.products.insert(product.to_owned(), assigned);
        assignment.check()?;
        for version in assignment.versions() {
            self.models.get(version).await?;
        }
        let text = serde_json::to_string(&assignment)?;
        let signature = self.signer.sign(ASSIGNMENT, text.as_bytes());
        let signed = SignedAssignment { assignment: text, signature };
        self.write(ASSIGNMENT, serde_json::to_vec(&signed)?).await?;
        Ok(assignment.serial)
    }

    async fn list(&self, out: &mut impl Write) -> Result<(), AnyError> {
        let assignment = self.models.assignment().await?;
        writeln!(out, "In the bucket:")?;
        let found = self.bucket.list_with_delimiter(Some(&Place::from("registry"))).await?;
        for place in &found.common_prefixes {
            let version = place.filename().unwrap_or_default();
            match self.models.get(version).await {
                Ok(model) => writeln!(out, "  {version}: {}", model.manifest().target)?,
                Err(error) => writeln!(out, "  {version}: {}", lambda_kit::chain(&error))?,
            }
        }
        if found.common_prefixes.is_empty() {
            writeln!(out, "  nothing but what is packaged: {}", score::ensemble()?.manifest().version)?;
        }
        writeln!(out, "{}", self.table(&assignment))?;
        Ok(())
    }

    fn table(&self, assignment: &Assignment) -> Table {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["product", "scored by", "said by", "challenger"]);
        for product in self.products.iter() {
            let assigned = assignment.products.get(&product.id);
            let challenger = assigned.and_then(|a| a.challenger.as_ref());
            let said_by =
                assigned.map_or("catalogue".to_owned(), |_| format!("assignment {}", assignment.serial));
            table.add_row([
                product.id.clone(),
                assigned.map_or(&product.model, |a| &a.model).clone(),
                said_by,
                challenger.map_or("none".to_owned(), |c| {
                    format!("{}, {:.2} %", c.model, f64::from(c.share_bp) / 100.0)
                }),
            ]);
        }
        table
    }

    async fn write(&self, place: &str, bytes: Vec<u8>) -> Result<(), object_store::Error> {
        self.bucket.put(&Place::from(place), bytes.into()).await.map(drop)
    }
}
