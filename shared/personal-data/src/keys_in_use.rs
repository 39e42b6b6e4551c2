//! The data keys in use, for a while and for so many rows.

use crate::envelope::{FieldKey, NotSealed};
use jiff::{SignedDuration, Timestamp};
use ports::{Clock, PortError, data_keys::DataKeys};
use std::{collections::HashMap, fmt, sync::Arc};
use tokio::sync::Mutex;

/// Most rows that are sealed with one data key.
pub const MOST_ROWS: u32 = 1_000;
/// How long a data key is used, to seal or to open, before another one is asked for.
pub const LONGEST_USE: SignedDuration = SignedDuration::from_mins(15);
/// Most keys that are kept to open with. Each writing instance seals with another one.
pub const MOST_OPENING: usize = 256;

/// Seals and opens personal values, and asks for keys as seldom as their limits allow.
pub struct PersonalData {
    keys: Arc<dyn DataKeys>,
    clock: Arc<dyn Clock>,
    /// Both locks are held while a key is asked for, so that callers at the same time ask once.
    sealing: Mutex<Option<Sealing>>,
    opening: Mutex<HashMap<Vec<u8>, InUse>>,
}

#[derive(Clone)]
struct InUse {
    key: Arc<FieldKey>,
    since: Timestamp,
}

struct Sealing {
    key: InUse,
    rows: u32,
}

impl fmt::Debug for PersonalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalData(hidden)")
    }
}

impl InUse {
    fn is_young(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) < LONGEST_USE
    }
}

impl PersonalData {
    pub fn new(keys: Arc<dyn DataKeys>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock, sealing: Mutex::default(), opening: Mutex::default() }
    }

    /// The key to seal the fields of one row with.
    pub async fn sealing_key(&self) -> Result<Arc<FieldKey>, PortError> {
        let mut sealing = self.sealing.lock().await;
        let now = self.clock.now();
        if let Some(Sealing { key, rows }) = sealing.as_mut().filter(|s| s.key.is_young(now))
            && *rows < MOST_ROWS
        {
            *rows += 1;
            return Ok(key.key.clone());
        }
        let given = self.keys.generate().await?;
        let key = FieldKey::new(&given.plain, given.wrapped).map_err(unusable)?;
        let key = InUse { key: Arc::new(key), since: now };
        *sealing = Some(Sealing { key: key.clone(), rows: 1 });
        Ok(key.key)
    }

    /// The key to open the fields of a row with, by the wrapped form that the row carries.
    pub async fn opening_key(&self, wrapped: &[u8]) -> Result<Arc<FieldKey>, PortError> {
        let mut opening = self.opening.lock().await;
        let now = self.clock.now();
        if let Some(known) = opening.get(wrapped).filter(|known| known.is_young(now)) {
            return Ok(known.key.clone());
        }
        let plain = self.keys.unwrap(wrapped).await?;
        let key = Arc::new(FieldKey::new(&plain, wrapped.to_vec()).map_err(unusable)?);
        opening.retain(|_, known| known.is_young(now));
        if opening.len() >= MOST_OPENING {
            let oldest =
                opening.iter().min_by_key(|(_, known)| known.since).map(|(wrapped, _)| wrapped.clone());
            oldest.and_then(|wrapped| opening.remove(&wrapped));
        }
        opening.insert(wrapped.to_vec(), InUse { key: key.clone(), since: now });
        Ok(key)
    }
}

fn unusable(error: NotSealed) -> PortError {
    PortError::broken("making a data key ready", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use ports::{
        FixedClock,
        data_keys::{DataKey, PlainKey},
    };
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Counts what it is asked for. The wrapped form of a key is its number.
    #[derive(Default)]
    struct Counting {
        generated: AtomicU32,
        unwrapped: AtomicU32,
    }

    fn plain(number: u32) -> PlainKey {
        PlainKey::from_slice(&[number.to_be_bytes(); 8].concat()).unwrap()
    }

    #[async_trait]
    impl DataKeys for Counting {
        async fn generate(&self) -> Result<DataKey, PortError> {
            let number = self.generated.fetch_add(1, Ordering::Relaxed);
            // Lets the others run, as a call over the network would.
            tokio::task::yield_now().await;
            Ok(DataKey { plain: plain(number), wrapped: number.to_be_bytes().to_vec() })
        }

        async fn unwrap(&self, wrapped: &[u8]) -> Result<PlainKey, PortError> {
            self.unwrapped.fetch_add(1, Ordering::Relaxed);
            let number = wrapped.try_into().map(u32::from_be_bytes);
            tokio::task::yield_now().await;
            number.map(plain).map_err(|error| PortError::broken("unwrapping", error))
        }
    }

    struct Setup {
        keys: Arc<Counting>,
        clock: Arc<FixedClock>,
        data: PersonalData,
    }

    fn setup() -> Setup {
        let keys = Arc::new(Counting::default());
        let clock = Arc::new(FixedClock::at(Timestamp::UNIX_EPOCH));
        let data = PersonalData::new(keys.clone(), clock.clone());
        Setup { keys, clock, data }
    }

    impl Setup {
        fn asked(&self) -> (u32, u32) {
            (self.keys.generated.load(Ordering::Relaxed), self.keys.unwrapped.load(Ordering::Relaxed))
        }
    }

    #[tokio::test]
    async fn a_key_seals_a_thousand_rows_and_not_one_more() {
        let s = setup();
        for _ in 0..MOST_ROWS {
            s.data.sealing_key().await.unwrap();
        }
        assert_eq!(s.asked(), (1, 0));
        s.data.sealing_key().await.unwrap();
        assert_eq!(s.asked(), (2, 0));
    }

    #[tokio::test]
    async fn a_key_is_used_for_a_quarter_of_an_hour_and_no_longer() {
        let s = setup();
        let wrapped = s.data.sealing_key().await.unwrap().wrapped().to_vec();
        s.data.opening_key(&wrapped).await.unwrap();
        s.clock.advance(LONGEST_USE - SignedDuration::from_nanos(1));
        s.data.sealing_key().await.unwrap();
        s.data.opening_key(&wrapped).await.unwrap();
        assert_eq!(s.asked(), (1, 1));
        s.clock.advance(SignedDuration::from_nanos(1));
        assert_ne!(s.data.sealing_key().await.unwrap().wrapped(), wrapped);
        s.data.opening_key(&wrapped).await.unwrap();
        assert_eq!(s.asked(), (2, 2));
    }

    #[tokio::test]
    async fn callers_at_the_same_time_ask_once() {
        let s = setup();
        let (a, b) = tokio::join!(s.data.sealing_key(), s.data.sealing_key());
        let wrapped = a.unwrap().wrapped().to_vec();
        assert_eq!(b.unwrap().wrapped(), wrapped);
        let (a, b) = tokio::join!(s.data.opening_key(&wrapped), s.data.opening_key(&wrapped));
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(s.asked(), (1, 1));
    }

    #[tokio::test]
    async fn at_most_so_many_keys_are_kept_and_the_oldest_goes_first() {
        let s = setup();
        let most = u32::try_from(MOST_OPENING).unwrap();
        for number in 0..=most {
            s.data.opening_key(&number.to_be_bytes()).await.unwrap();
            s.clock.advance(SignedDuration::from_millis(1));
        }
        assert_eq!(s.asked().1, most + 1);
        s.data.opening_key(&1_u32.to_be_bytes()).await.unwrap();
        assert_eq!(s.asked().1, most + 1, "the second is still known");
        s.data.opening_key(&0_u32.to_be_bytes()).await.unwrap();
        assert_eq!(s.asked().1, most + 2, "the first is not");
    }

    #[tokio::test]
    async fn what_was_sealed_opens_with_the_key_that_its_row_carries() {
        let s = setup();
        let place = crate::Place { table: "t", row: "r", field: "f" };
        let key = s.data.sealing_key().await.unwrap();
        let sealed = key.seal(place, "王伟").unwrap();
        let reader = PersonalData::new(s.keys.clone(), s.clock.clone());
        let opened = reader.opening_key(key.wrapped()).await.unwrap().open(place, &sealed);
        assert_eq!(opened.as_deref(), Ok("王伟"));
    }
}
