//! One question at a time about one thing, however many want the answer.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

/// The questions under way.
#[derive(Debug)]
pub struct Flights<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Waits for the answer of whoever asks about this already, or asks. If whoever asks gives up, one of those who
    /// wait asks in its place.
    pub async fn join(&self, about: K, ask: impl Future<Output = V>) -> V {
        let flight = Arc::clone(self.under_way().entry(about.clone()).or_default());
        let passenger = Passenger { flights: self, about, flight };
        passenger.flight.get_or_init(|| ask).await.clone()
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for an answer.
struct Passenger<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    about: K,
    flight: Arc<OnceCell<V>>,
}

impl<K: Eq + Hash, V> Drop for Passenger<'_, K, V> {
    /// The first to leave with an answer ends the flight, so that whoever comes later asks anew; so does the last one who
    /// gives up.
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way();
        let is_listed = under_way.get(&self.about).is_some_and(|listed| Arc::ptr_eq(listed, &self.flight));
        // Shared by the table and by those aboard, who come and go under this lock.
        let is_last = Arc::strong_count(&self.flight) <= 2;
        if is_listed && (self.flight.initialized() || is_last) {
            under_way.remove(&self.about);
        }
        self.flight = Arc::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn many_ask_once_and_nothing_is_left_over() {
        let (flights, asked, gate) = (Flights::default(), AtomicUsize::new(0), Semaphore::new(0));
        let ask = || {
            flights.join("it", async {
                let _permit = gate.acquire().await;
                asked.fetch_add(1, Ordering::SeqCst)
            })
        };
        let open = async { gate.add_permits(9) };
        assert_eq!(tokio::join!(ask(), ask(), ask(), open), (0, 0, 0, ()));
        assert_eq!(ask().await, 1, "a later one asks anew");
        assert!(flights.under_way().is_empty());
    }

    #[tokio::test]
    async fn another_asks_when_the_first_gives_up() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join("it", std::future::pending()));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(flights.join("it", async { 2 }));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await, 2);
        assert!(flights.under_way().is_empty());
    }
}
