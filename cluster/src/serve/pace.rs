//! How long a connection may wait for its client, and since when it does.
//!
//! Invariant: pure. While a client is awaited there is always a time at which its connection ends; a request that was received whole has none, it is up to who answers it.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// What a connection is doing. HTTP/1.1: one request at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// The first request, or the handshake before it, is on its way.
    Opening,
    /// A request was answered; nothing has come since.
    Idle,
    /// The head of the next request is on its way.
    Head,
    /// A body is on its way.
    Body,
    /// The answer is being made.
    Working,
    /// There is one, and not all of it has left.
    Answering,
}

/// How a connection that waits for its client stands before the others when one has to go; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its client has begun something, or takes an answer, and could have ended it by now.
    Slow,
    /// Nothing is under way.
    Resting,
    /// Its client has just begun.
    Fresh,
}

/// A client that means it has said all within this time.
const FRESH: Duration = Duration::from_secs(1);

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    doing: Doing,
    since: Instant,
    /// The client takes no more of an answer since then.
    stalled: Option<Instant>,
}

impl Pace {
    /// Of a connection that was opened now.
    pub(super) fn new(now: Instant) -> Self {
        Self { doing: Doing::Opening, since: now, stalled: None }
    }

    fn to(&mut self, doing: Doing, now: Instant) {
        (self.doing, self.since) = (doing, now);
    }

    /// The handshake is done: the head of the first request has its own time.
    pub(super) fn shaken(&mut self, now: Instant) {
        self.to(Doing::Opening, now);
    }

    /// Bytes have come.
    pub(super) fn received(&mut self, now: Instant) {
        if self.doing == Doing::Idle {
            self.to(Doing::Head, now);
        }
    }

    /// A head was received.
    pub(super) fn begun(&mut self, has_body: bool, now: Instant) {
        self.to(if has_body { Doing::Body } else { Doing::Working }, now);
    }

    /// The body was received.
    pub(super) fn whole(&mut self, now: Instant) {
        if self.doing == Doing::Body {
            self.to(Doing::Working, now);
        }
    }

    /// There is an answer.
    pub(super) fn answered(&mut self, now: Instant) {
        self.to(Doing::Answering, now);
    }

    /// The client takes no bytes.
    pub(super) fn stalled(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// It has taken all that there was.
    pub(super) fn taken(&mut self, now: Instant) {
        self.stalled = None;
        if self.doing == Doing::Answering {
            self.to(Doing::Idle, now);
        }
    }

    /// When the connection ends, if nothing happens until then.
    pub(super) fn ends(&self, limits: &Limits) -> Option<Instant> {
        let patience = |limit: Duration| self.since.checked_add(limit);
        let awaited = match self.doing {
            Doing::Opening | Doing::Head => patience(limits.head),
            Doing::Body => patience(limits.body),
            Doing::Idle => patience(limits.idle),
            Doing::Working | Doing::Answering => None,
        };
        let answer = self.stalled.and_then(|since| since.checked_add(limits.answer));
        awaited.into_iter().chain(answer).min()
    }

    /// Since when its client is awaited, if it is.
    pub(super) fn waits(&self, now: Instant) -> Option<(Rank, Instant)> {
        let since = match (self.doing, self.stalled) {
            (_, Some(since)) => since,
            (Doing::Working | Doing::Answering, None) => return None,
            (Doing::Idle, None) => return Some((Rank::Resting, self.since)),
            (Doing::Opening | Doing::Head | Doing::Body, None) => self.since,
        };
        let rank = if now.duration_since(since) < FRESH { Rank::Fresh } else { Rank::Slow };
        Some((rank, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        head: Duration::from_secs(5),
        body: Duration::from_secs(10),
        answer: Duration::from_secs(30),
        idle: Duration::from_mins(2),
    };

    #[test]
    fn whatever_a_client_does_slowly_has_an_end() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut pace = Pace::new(start);
        let ends = |pace: &Pace| pace.ends(&LIMITS).map(|end| (end - start).as_secs());
        assert_eq!(ends(&pace), Some(5));
        // More bytes of the head do not prolong it.
        pace.received(at(4));
        assert_eq!(ends(&pace), Some(5));
        pace.shaken(at(4));
        assert_eq!(ends(&pace), Some(9));
        pace.begun(true, at(6));
        assert_eq!(ends(&pace), Some(16));
        pace.received(at(15));
        assert_eq!(
            (ends(&pace), pace.waits(at(6)), pace.waits(at(15))),
            (Some(16), Some((Rank::Fresh, at(6))), Some((Rank::Slow, at(6))))
        );
        pace.whole(at(15));
        assert_eq!((ends(&pace), pace.waits(at(15))), (None, None));
        // An answer that has not left yet is no reason to wait for the client.
        pace.answered(at(19));
        assert_eq!((ends(&pace), pace.waits(at(19))), (None, None));
        pace.taken(at(20));
        assert_eq!((ends(&pace), pace.waits(at(99))), (Some(140), Some((Rank::Resting, at(20)))));
        pace.received(at(100));
        assert_eq!(ends(&pace), Some(105));
        pace.begun(false, at(101));
        assert_eq!(ends(&pace), None);
        // An answer that the client does not take, however much of it there is and however little it takes.
        pace.stalled(at(102));
        pace.stalled(at(110));
        assert_eq!((ends(&pace), pace.waits(at(110))), (Some(132), Some((Rank::Slow, at(102)))));
        pace.answered(at(111));
        assert_eq!(ends(&pace), Some(132));
        pace.taken(at(112));
        assert_eq!(ends(&pace), Some(232));
    }
}
