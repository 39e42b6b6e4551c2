use super::*;
use domain::product::Catalogue;
use model::SIGNATURE;
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use ports::FixedClock;
use signing::{ArtifactSigner, ArtifactVerifier, artifact::artifact_key};
use std::path::PathBuf;

/// Longer than an assignment is believed.
const LATER: SignedDuration = SignedDuration::from_secs(61);
const OTHER: &str = "2099.1.1";
const PRODUCT: &str = "river-quick";

/// A bucket, its signer, and an instance that reads it.
struct World {
    bucket: Arc<InMemory>,
    signer: ArtifactSigner,
    clock: Arc<FixedClock>,
    models: Models,
}

impl World {
    fn new() -> Self {
        let bucket = Arc::new(InMemory::new());
        let signer = ArtifactSigner::parse(&artifact_key().unwrap()).unwrap();
        let clock = Arc::new(FixedClock::at("2026-11-23T02:00:00Z".parse().unwrap()));
        let models = instance(&bucket, &signer, &clock);
        Self { bucket, signer, clock, models }
    }

    /// Another instance, which has read nothing yet.
    fn cold(&self) -> Models {
        instance(&self.bucket, &self.signer, &self.clock)
    }

    async fn put(&self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.bucket.put(&Path::from(place), bytes.into().into()).await.unwrap();
    }

    /// The packaged model under another version, signed; `change` may damage it after it was signed.
    async fn put_model(&self, version: &str, change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        let (mut manifest, mut graph) = (manifest_of(version), packaged("ensemble.onnx"));
        let signature = self.signer.sign(&folder(version), &manifest);
        change(&mut manifest, &mut graph);
        self.put(&format!("{}/manifest.json", folder(version)), manifest).await;
        self.put(&format!("{}/{SIGNATURE}", folder(version)), signature).await;
        self.put(&format!("{}/ensemble.onnx", folder(version)), graph).await;
    }

    async fn assign(&self, serial: u64, model: &str, challenger: Option<(&str, u16)>) {
        self.put(ASSIGNMENT, self.signed(serial, model, challenger)).await;
    }

    fn signed(&self, serial: u64, model: &str, challenger: Option<(&str, u16)>) -> Vec<u8> {
        let challenger =
            challenger.map(|(model, share_bp)| model::Challenger { model: model.to_owned(), share_bp });
        let assigned = Assigned { model: model.to_owned(), challenger };
        let assignment = Assignment { serial, products: [(PRODUCT.to_owned(), assigned)].into() };
        let assignment = serde_json::to_string(&assignment).unwrap();
        let signature = self.signer.sign(ASSIGNMENT, assignment.as_bytes());
        serde_json::to_vec(&SignedAssignment { assignment, signature }).unwrap()
    }
}

fn instance(bucket: &Arc<InMemory>, signer: &ArtifactSigner, clock: &Arc<FixedClock>) -> Models {
    let signers = ArtifactVerifier::parse(&signer.public()).unwrap();
    Models::new(crate::ensemble().unwrap(), ModelBucket::new(bucket.clone(), signers), clock.clone())
}

fn packaged_version() -> String {
    crate::ensemble().unwrap().manifest().version.clone()
}

fn packaged(file: &str) -> Vec<u8> {
    let registry = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/registry"));
    std::fs::read(registry.join(packaged_version()).join(file)).unwrap()
}

fn manifest_of(version: &str) -> Vec<u8> {
    let mut manifest: serde_json::Value = serde_json::from_slice(&packaged("manifest.json")).unwrap();
    manifest["version"] = version.into();
    serde_json::to_vec(&manifest).unwrap()
}

fn product() -> Product {
    let products: Catalogue = wiring::products().unwrap();
    products.get(PRODUCT).unwrap().clone()
}

fn application(number: u64) -> ApplicationId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ApplicationId::from_bytes(bytes)
}

async fn scoring(models: &Models) -> Result<String, ModelError> {
    let chosen = models.choose(&product(), application(1)).await?;
    Ok(chosen.model.manifest().version.clone())
}

#[tokio::test]
async fn without_an_assignment_the_catalogues_model_scores() {
    let world = World::new();
    assert_eq!(scoring(&world.models).await.unwrap(), packaged_version());
    assert_eq!(packaged_version(), product().model);
}

#[tokio::test]
async fn an_older_assignment_that_is_put_back_scores_nobody_where_the_settings_name_the_newest() {
    let world = World::new();
    world.put_model("2099.1.1", |_, _| ()).await;
    world.assign(4, "2099.1.1", None).await;
    let cold = |least| instance(&world.bucket, &world.signer, &world.clock).not_before(least);
    for least in [0, 3, 4] {
        assert_eq!(scoring(&cold(least)).await.unwrap(), "2099.1.1", "from {least} on");
    }
    let refused = scoring(&cold(5)).await;
    assert!(matches!(refused, Err(ModelError::Superseded { least: 5, found: 4 })), "{refused:?}");
    let emptied = instance(&Arc::new(InMemory::new()), &world.signer, &world.clock).not_before(1);
    assert!(matches!(scoring(&emptied).await, Err(ModelError::Gone)), "nor does its absence");
}

#[tokio::test]
async fn an_assigned_model_takes_over_in_a_running_instance_within_a_minute_and_goes_again() {
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    assert_eq!(scoring(&world.models).await.unwrap(), packaged_version());
    world.assign(1, OTHER, None).await;
    assert_eq!(scoring(&world.models).await.unwrap(), packaged_version(), "believed for a minute");
    world.clock.advance(LATER);
    assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
    assert_eq!(scoring(&world.cold()).await.unwrap(), OTHER);
    world.assign(2, &packaged_version(), None).await;
    world.clock.advance(LATER);
    assert_eq!(scoring(&world.models).await.unwrap(), packaged_version());
}

#[tokio::test]
async fn a_catalogues_model_that_is_not_packaged_comes_from_the_bucket() {
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    let product = Product { model: OTHER.to_owned(), ..product() };
    let chosen = world.models.choose(&product, application(1)).await.unwrap();
    assert_eq!(chosen.model.manifest().version, OTHER);
    let nowhere = Product { model: "2099.9.9".to_owned(), ..product };
    let error = world.models.choose(&nowhere, application(1)).await.unwrap_err();
    assert!(matches!(error, ModelError::File(ModelFileError::Absent { .. })), "{error}");
}

#[tokio::test]
async fn fault_27_an_assignment_that_is_not_signed_by_us_stops_a_cold_instance_and_does_not_touch_a_warm_one()
{
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    world.assign(1, OTHER, None).await;
    assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
    let strangers = World::new().signed(2, &packaged_version(), None);
    let changed =
        String::from_utf8(world.signed(2, &packaged_version(), None)).unwrap().replace("river", "lakes");
    for forged in [strangers, changed.into_bytes(), b"{}".to_vec(), Vec::new()] {
        world.put(ASSIGNMENT, forged).await;
        let error = scoring(&world.cold()).await.unwrap_err();
        assert!(
            matches!(error, ModelError::File(ModelFileError::Signature { .. }) | ModelError::Form(_)),
            "{error}"
        );
        world.clock.advance(LATER);
        assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
    }
}

#[tokio::test]
async fn an_older_assignment_and_none_at_all_do_not_undo_a_newer_one() {
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    world.assign(7, OTHER, None).await;
    assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
    world.assign(6, &packaged_version(), None).await;
    world.clock.advance(LATER);
    assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
    world.bucket.delete(&Path::from(ASSIGNMENT)).await.unwrap();
    world.clock.advance(LATER);
    assert_eq!(scoring(&world.models).await.unwrap(), OTHER);
}

#[tokio::test]
async fn fault_27_a_damaged_or_unsigned_model_never_scores() {
    let refused = async |change: fn(&mut Vec<u8>, &mut Vec<u8>)| {
        let world = World::new();
        world.put_model(OTHER, change).await;
        world.assign(1, OTHER, None).await;
        scoring(&world.models).await.unwrap_err()
    };
    let graph = refused(|_, graph| graph[1_000] ^= 1).await;
    assert!(matches!(graph, ModelError::Load { source: LoadError::Hash { .. }, .. }), "{graph}");
    let manifest = refused(|manifest, _| manifest.push(b' ')).await;
    assert!(matches!(manifest, ModelError::File(ModelFileError::Signature { .. })), "{manifest}");
    let empty = refused(|manifest, graph| (*manifest, *graph) = Default::default()).await;
    assert!(matches!(empty, ModelError::File(ModelFileError::Signature { .. })), "{empty}");

    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    world.bucket.delete(&Path::from(format!("{}/{SIGNATURE}", folder(OTHER)))).await.unwrap();
    world.assign(1, OTHER, None).await;
    let unsigned = scoring(&world.models).await.unwrap_err();
    assert!(matches!(unsigned, ModelError::File(ModelFileError::Absent { .. })), "{unsigned}");
}

#[tokio::test]
async fn one_model_cannot_be_passed_off_as_another() {
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    for file in ["manifest.json", SIGNATURE, "ensemble.onnx"] {
        let [from, to] = [OTHER, "2099.2.2"].map(|version| Path::from(format!("{}/{file}", folder(version))));
        world.bucket.copy(&from, &to).await.unwrap();
    }
    world.assign(1, "2099.2.2", None).await;
    let error = scoring(&world.models).await.unwrap_err();
    assert!(
        matches!(error, ModelError::File(ModelFileError::Signature { .. })),
        "the name is signed with it: {error}"
    );
    // Signed under a name that it does not have.
    let manifest = manifest_of(OTHER);
    let signature = world.signer.sign(&folder("2099.2.2"), &manifest);
    world.put(&format!("{}/{SIGNATURE}", folder("2099.2.2")), signature).await;
    let error = scoring(&world.models).await.unwrap_err();
    assert!(matches!(error, ModelError::File(ModelFileError::OtherVersion { .. })), "{error}");
}

#[tokio::test]
async fn a_challenger_scores_its_share_of_applications_and_is_passed_over_where_it_cannot_be_had() {
    let world = World::new();
    world.put_model(OTHER, |_, _| {}).await;
    world.assign(1, &packaged_version(), Some((OTHER, 2_500))).await;
    let mut tried = 0;
    for number in 0..400 {
        let chosen = world.models.choose(&product(), application(number * 7_919)).await.unwrap();
        assert_eq!(chosen.model.manifest().version, packaged_version());
        tried += usize::from(chosen.challenger.is_some_and(|c| c.manifest().version == OTHER));
    }
    assert!((80..=120).contains(&tried), "{tried} of 400");
    world.assign(2, &packaged_version(), Some(("2099.9.9", 10_000))).await;
    world.clock.advance(LATER);
    let chosen = world.models.choose(&product(), application(1)).await.unwrap();
    assert!(chosen.challenger.is_none());
}
