//! A ring as the book tells it, by any of its names.

use domain::RingId;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ports::{
    PortError,
    rings::{ListedRing, RingBook, Sighting},
};

/// Most sightings that are told of a ring, the latest ones.
pub const MOST_SIGHTINGS: usize = 200;
/// Most names that sightings are looked up under; a ring that was merged out of more has an abridged history.
const MOST_NAMES: usize = 50;
/// Names that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// A ring with its history.
#[derive(Clone, Debug)]
pub struct ToldRing {
    pub ring: ListedRing,
    /// The last sighting, whole.
    pub latest: Sighting,
    /// The sightings under all of its names, the latest first; that of `latest` is the first.
    pub history: Vec<Sighting>,
    /// There are more sightings than the history has.
    pub cut_off: bool,
}

/// Every ring, the one that was seen last first.
pub async fn newest_first(book: &dyn RingBook) -> Result<Vec<ListedRing>, PortError> {
    let mut rings = book.list().await?;
    rings.sort_by_key(|ring| std::cmp::Reverse((ring.latest.at, ring.ring)));
    Ok(rings)
}

/// The ring of that name, or `None` when none has ever been called so.
pub async fn told(book: &dyn RingBook, name: RingId) -> Result<Option<ToldRing>, PortError> {
    let listed = book.list().await?;
    let found = listed.into_iter().find(|listed| listed.ring == name || listed.merged.contains(&name));
    let Some(ring) = found else { return Ok(None) };
    let names = std::iter::once(ring.ring).chain(ring.merged.iter().copied()).take(MOST_NAMES);
    // One more than is told, so that it shows whether there are more.
    let histories: Vec<_> = names.map(|name| book.history(name, MOST_SIGHTINGS + 1)).collect();
    let histories: Vec<Vec<Sighting>> = stream::iter(histories).buffered(READS_AT_ONCE).try_collect().await?;
    let mut history: Vec<Sighting> = histories.into_iter().flatten().collect();
    history.sort_by_key(|sighting| std::cmp::Reverse((sighting.at, sighting.finder)));
    let cut_off = history.len() > MOST_SIGHTINGS || ring.merged.len() >= MOST_NAMES;
    history.truncate(MOST_SIGHTINGS);
    // A sighting is written before its ring is listed.
    let latest = history.first().cloned();
    let latest =
        latest.ok_or_else(|| PortError::broken("reading a ring", "it is listed and was never seen"))?;
    Ok(Some(ToldRing { ring, latest, history, cut_off }))
}
