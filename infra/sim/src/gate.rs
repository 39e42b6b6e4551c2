//! A gate before callbacks, so that whoever drives everything by hand sees them in one order.

use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Holds callbacks back, and lets them out one at a time in the order in which they came.
#[derive(Clone, Debug)]
pub struct Gate {
    waiting: Arc<watch::Sender<usize>>,
    let_out: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { waiting: Arc::new(watch::Sender::new(0)), let_out: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// How many callbacks stand before it.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Lets the first of them out. Says whether there was one.
    pub fn let_one_out(&self) -> bool {
        let waited = self.waiting.send_if_modified(|waiting| {
            let any = *waiting > 0;
            *waiting -= usize::from(any);
            any
        });
        self.let_out.add_permits(usize::from(waited));
        waited
    }

    pub(crate) async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        // It is never closed.
        if let Ok(permit) = self.let_out.acquire().await {
            permit.forget();
        }
    }
}
