//! Exports as they are written, and what may be wrong with them.

use super::*;
use object_store::{ObjectStore, local::LocalFileSystem};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const TABLE: &str = "arn:aws:dynamodb:local:000000000000:table/relations";

fn time(millisecond: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millisecond).unwrap()
}

/// An export of so many items, three in a file.
fn written(bucket: &Path, items: usize, at: i64) -> String {
    let mut writer = ExportWriter::begin(bucket, TABLE, time(at)).unwrap().with_items_per_file(3);
    (0..items).for_each(|n| writer.item(&format!(r#"{{"pk":{{"S":"{n}"}}}}"#)).unwrap());
    writer.finish().unwrap()
}

struct Numbers;

impl Rows for Numbers {
    type Row = String;

    fn row(&mut self, line: &[u8]) -> Result<Option<String>, String> {
        let item: serde_json::Value = serde_json::from_slice(line).map_err(|_| "not JSON".to_owned())?;
        Ok(item["Item"]["pk"]["S"].as_str().map(str::to_owned))
    }
}

async fn all(bucket: &Path) -> Result<BTreeSet<String>, ExportError> {
    let bucket: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(bucket).unwrap());
    let export = newest(&*bucket, TABLE).await?.expect("an export");
    let take = |all: &mut BTreeSet<String>, row| match all.insert(row) {
        true => Ok(()),
        false => Err("twice".to_owned()),
    };
    read(&bucket, &export, || Numbers, BTreeSet::new(), take).await
}

fn file(bucket: &Path, id: &str, name: &str) -> PathBuf {
    bucket.join("AWSDynamoDB").join(id).join(name)
}

#[tokio::test]
async fn every_item_of_the_newest_finished_export_is_read_once() {
    let bucket = tempfile::tempdir().unwrap();
    written(bucket.path(), 4, 1_000);
    written(bucket.path(), 10, 2_000);
    let unfinished = written(bucket.path(), 20, 3_000);
    fs::remove_file(file(bucket.path(), &unfinished, "manifest-summary.json")).unwrap();
    let expected = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(all(bucket.path()).await.unwrap(), expected);
    let store = LocalFileSystem::new_with_prefix(bucket.path()).unwrap();
    assert_eq!(first_begun(&store).await.unwrap(), Some(time(1_000)));
}

#[tokio::test]
async fn an_empty_table_and_an_empty_bucket_are_no_errors() {
    let bucket = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(bucket.path()).unwrap();
    assert_eq!(newest(&store, TABLE).await.unwrap(), None);
    assert_eq!(first_begun(&store).await.unwrap(), None);
    mark_the_first(&store).await.unwrap();
    assert!(first_begun(&store).await.unwrap().is_some());
    assert_eq!(newest(&store, TABLE).await.unwrap(), None);
    written(bucket.path(), 0, 1_000);
    assert_eq!(all(bucket.path()).await.unwrap(), BTreeSet::new());
}

#[tokio::test]
async fn a_file_that_is_damaged_short_or_missing_is_refused_by_its_name() {
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 4] = [
        (|file| fs::remove_file(file).unwrap(), "is not there"),
        (|file| fs::write(file, &fs::read(file).unwrap()[..40]).unwrap(), "is damaged"),
        (|file| fs::write(file, b"").unwrap(), "its MD5 is another"),
        // As good as the other one, and not what was exported.
        (|file| _ = fs::copy(file.with_file_name("000000.json.gz"), file).unwrap(), "its MD5 is another"),
    ];
    for (damage, why) in damages {
        let bucket = tempfile::tempdir().unwrap();
        let id = written(bucket.path(), 10, 1_000);
        damage(&file(bucket.path(), &id, "data/000002.json.gz"));
        let error = all(bucket.path()).await.unwrap_err().to_string();
        assert!(error.contains("data/000002.json.gz") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn manifests_that_do_not_agree_are_refused_by_their_names() {
    type Change = fn(String) -> String;
    let changes: [(&str, Change, bool, &str); 6] = [
        (
            "manifest-files.json",
            |text| text.replacen("\"itemCount\":3", "\"itemCount\":2", 1),
            false,
            "its MD5 is another",
        ),
        (
            "manifest-files.json",
            |text| text.replacen("\"itemCount\":3", "\"itemCount\":2", 1),
            true,
            "holds 9 items",
        ),
        (
            "manifest-files.json",
            |text| text.lines().skip(1).map(|l| format!("{l}\n")).collect(),
            true,
            "holds 7 items",
        ),
        ("manifest-files.json", |text| text.replace("md5Checksum", "md"), true, "at line 1"),
        (
            "manifest-summary.json",
            |text| text.replace("table/relations", "table/journeys"),
            true,
            "another kind",
        ),
        (
            "manifest-summary.json",
            |text| text.replace("FULL_EXPORT", "INCREMENTAL_EXPORT"),
            true,
            "another kind",
        ),
    ];
    for (name, change, summed, why) in changes {
        let bucket = tempfile::tempdir().unwrap();
        let id = written(bucket.path(), 10, 1_000);
        let path = file(bucket.path(), &id, name);
        let changed = change(fs::read_to_string(&path).unwrap());
        if summed {
            use md5::Digest as _;
            fs::write(path.with_extension("checksum"), md5_text(md5::Md5::digest(&changed))).unwrap();
        }
        fs::write(&path, changed).unwrap();
        let error = all(bucket.path()).await.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_checksum_that_is_missing_is_no_reason_to_go_without() {
    let bucket = tempfile::tempdir().unwrap();
    let id = written(bucket.path(), 10, 1_000);
    fs::remove_file(file(bucket.path(), &id, "manifest-summary.checksum")).unwrap();
    assert!(
        all(bucket.path()).await.unwrap_err().to_string().contains("manifest-summary.checksum is not there")
    );
}

#[tokio::test]
async fn a_number_of_items_that_is_not_the_files_is_found_when_it_is_read() {
    let bucket = tempfile::tempdir().unwrap();
    let id = written(bucket.path(), 6, 1_000);
    let path = file(bucket.path(), &id, "manifest-files.json");
    // The sum is right, and neither file is.
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replacen("\"itemCount\":3", "\"itemCount\":2", 1).replacen(
        "\"itemCount\":3",
        "\"itemCount\":4",
        1,
    );
    use md5::Digest as _;
    fs::write(path.with_extension("checksum"), md5_text(md5::Md5::digest(&changed))).unwrap();
    fs::write(&path, changed).unwrap();
    let error = all(bucket.path()).await.unwrap_err();
    assert!(matches!(error, ExportError::Items { found: 3, .. }), "{error}");
}
