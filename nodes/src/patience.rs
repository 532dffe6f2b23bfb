//! Writes that the queue loop asks for, and how long it waits for them.
//!
//! Invariant: the loop waits two seconds at most, whatever somebody's webhook does; a write that takes longer goes on by itself, and nothing
//! more is written about the same thing until it has ended and a pause is over. Decides nothing else.

use std::collections::HashMap;
use std::time::Duration;

use model::clock::Moment;
use planning::machine::setback::back_off;

/// Somebody else's webhook may hold a write for 30 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs a write. One that takes long goes on by itself: `None`.
pub(crate) async fn patient<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::time::timeout(PATIENCE, tokio::spawn(work)).await.ok()?.ok()
}

/// What is being written, or was refused, by name.
#[derive(Debug, Default)]
pub(crate) struct Writes(HashMap<String, Write>);

#[derive(Clone, Copy, Debug, Default)]
struct Write {
    under_way: usize,
    failures: u32,
    not_before: Option<Moment>,
}

impl Writes {
    /// Whether nothing is to be written about it now.
    pub(crate) fn rests(&self, name: &str, now: Moment) -> bool {
        let write = self.0.get(name).copied().unwrap_or_default();
        write.under_way > 0 || write.not_before.is_some_and(|time| now < time)
    }

    /// A write begins.
    pub(crate) fn begin(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default().under_way += 1;
    }

    /// A write has ended.
    pub(crate) fn end(&mut self, name: &str, is_written: bool, now: Moment) {
        let write = self.0.entry(name.to_owned()).or_default();
        write.under_way = write.under_way.saturating_sub(1);
        if is_written {
            (write.failures, write.not_before) = (0, None);
        } else {
            write.failures = write.failures.saturating_add(1);
            write.not_before = Duration::try_from(back_off(write.failures)).ok().map(|pause| now.plus(pause));
        }
    }

    /// Forgets what has ended long ago.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, write| write.under_way > 0 || is_there(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_is_written_twice_at_a_time_nor_before_a_pause_is_over() {
        let mut writes = Writes::default();
        assert!(!writes.rests("m", at(0)));
        (0..2).for_each(|_| writes.begin("m"));
        writes.end("m", true, at(1));
        assert!(writes.rests("m", at(100)), "one of the two hangs");
        assert!(!writes.rests("n", at(100)));
        writes.keep(|_| false);
        writes.end("m", false, at(101));
        assert_eq!([105, 106].map(|second| writes.rests("m", at(second))), [true, false]);
        writes.begin("m");
        writes.end("m", false, at(110));
        assert_eq!([119, 120].map(|second| writes.rests("m", at(second))), [true, false], "in a row");
        writes.begin("m");
        writes.end("m", true, at(120));
        writes.begin("m");
        writes.end("m", false, at(120));
        assert_eq!([124, 125].map(|second| writes.rests("m", at(second))), [true, false], "anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_is_not_waited_for_and_goes_on() {
        assert_eq!(patient(async { 1 }).await, Some(1));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            let _heard = sender.send(());
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(patient(work).await, None);
        assert_eq!(begun.elapsed(), PATIENCE);
        receiver.await.unwrap();
    }
}
