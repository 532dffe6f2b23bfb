//! All connections to one address, and which of them goes when there are too many.
//!
//! Invariant: a connection whose request was received whole does not go before its answer has left, unless its client takes none of it; of the others one goes of whoever has
//! most connections: a slow one, else one that rests, else one that has just begun, and of these the oldest. So who opens many takes room from himself alone, and who shares an
//! address with him and is quick is answered.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::pace::{Pace, Rank};

/// The connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    most: usize,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    members: HashMap<u64, Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    peer: IpAddr,
    pace: Arc<Mutex<Pace>>,
    sent_away: Arc<Notify>,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    shared: Shared,
    crowd: Crowd,
}

impl Crowd {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Arc::default() }
    }

    /// A place for one more connection; `None` if all others are being answered.
    pub(super) fn enter(&self, peer: IpAddr, now: Instant) -> Option<Place> {
        let mut inner = self.lock();
        // Several go if some stayed that had been chosen.
        while inner.members.len() >= self.most {
            let gone =
                choose(inner.members.iter().map(|(id, member)| (*id, member.peer, lock(&member.pace).waits(now))))?;
            if let Some(member) = inner.members.remove(&gone) {
                tracing::debug!(peer = %member.peer, "too many connections: this one goes");
                member.sent_away.notify_one();
            }
        }
        let id = inner.next;
        inner.next += 1;
        let shared = Shared { peer, pace: Arc::new(Mutex::new(Pace::new(now))), sent_away: Arc::default() };
        inner.members.insert(id, shared.clone());
        drop(inner);
        Some(Place { id, shared, crowd: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Place {
    /// The connection's pace.
    pub(super) fn pace(&self) -> &Arc<Mutex<Pace>> {
        &self.shared.pace
    }

    /// It was chosen to make room, and a request has come since: it counts until it has ended, and others go instead.
    pub(super) fn stay(&self) {
        self.crowd.lock().members.insert(self.id, self.shared.clone());
    }

    /// Resolves when the connection has to make room.
    pub(super) async fn sent_away(&self) {
        self.shared.sent_away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().members.remove(&self.id);
    }
}

/// Which connection goes: given are those who are there, with since when their client is awaited.
fn choose(all: impl Iterator<Item = (u64, IpAddr, Option<(Rank, Instant)>)> + Clone) -> Option<u64> {
    let mut of_peer = HashMap::<IpAddr, usize>::new();
    for (_, peer, _) in all.clone() {
        *of_peer.entry(peer).or_default() += 1;
    }
    let waiting = all.filter_map(|(id, peer, waits)| Some((id, peer, waits?)));
    waiting.min_by_key(|(id, peer, waits)| (usize::MAX - of_peer[peer], *waits, *id)).map(|(id, _, _)| id)
}

/// Every change is a single assignment, so a panic leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_has_most_and_keeps_waiting_longest_goes() {
        use Rank::{Fresh, Resting, Slow};
        let start = Instant::now();
        let peer = |last: u8| IpAddr::from([10, 0, 0, last]);
        let since = |second: u64| start + Duration::from_secs(second);
        let check = |all: &[(u8, Option<(Rank, u64)>)], expect: Option<u64>| {
            let numbered = all.iter().enumerate();
            let all = numbered
                .map(|(id, (last, waits))| (id as u64, peer(*last), waits.map(|(rank, second)| (rank, since(second)))));
            assert_eq!(choose(all), expect);
        };
        check(&[], None);
        check(&[(1, None), (2, None)], None);
        check(&[(1, Some((Slow, 9))), (1, Some((Slow, 3))), (1, Some((Slow, 5)))], Some(1));
        // Who has most loses one, although another has waited longer.
        check(&[(1, Some((Slow, 0))), (2, Some((Slow, 8))), (2, Some((Resting, 5)))], Some(1));
        // Of the same client, what is slow goes before what rests, and that before what has just begun.
        check(&[(1, Some((Resting, 0))), (1, Some((Slow, 8)))], Some(1));
        check(&[(1, Some((Fresh, 8))), (1, Some((Resting, 9)))], Some(1));
        check(&[(1, Some((Fresh, 9))), (1, Some((Fresh, 8)))], Some(1));
        // What is being answered stays, but counts.
        check(&[(1, Some((Resting, 0))), (2, None), (2, None), (2, Some((Resting, 9)))], Some(3));
        check(&[(1, Some((Resting, 7))), (2, None), (2, None)], Some(0));
    }

    #[test]
    fn places_are_given_back() {
        let (crowd, peer, now) = (Crowd::new(2), IpAddr::from([127, 0, 0, 1]), Instant::now());
        let (first, second) = (crowd.enter(peer, now).unwrap(), crowd.enter(peer, now).unwrap());
        for place in [&first, &second] {
            lock(place.pace()).begun(false, now);
        }
        assert!(crowd.enter(peer, now).is_none());
        drop(first);
        let third = crowd.enter(peer, now).unwrap();
        // It waits, so it makes room; its own end changes nothing any more.
        let fourth = crowd.enter(peer, now).unwrap();
        lock(third.pace()).begun(false, now);
        third.stay();
        assert!(crowd.enter(peer, now).is_none() && crowd.lock().members.len() == 2, "the fourth has made room");
        fourth.stay();
        drop(third);
        assert_eq!(crowd.lock().members.len(), 2);
        drop((second, fourth));
        assert_eq!(crowd.lock().members.len(), 0);
    }
}
