//! Reads a body: as much as is allowed, in as much time as there is.
//!
//! Invariant: what is kept was paid for before, byte by byte as it came; what is only announced costs nothing.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt as _;
use tokio::time::timeout;

/// So many bytes of a body that is too long are read nevertheless, in so much time.
const DRAIN: usize = 4 << 20;
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is longer than is allowed.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// It did not come in time.
    #[error("it did not come within {0:?}")]
    Late(Duration),
    /// There is no room for more of it.
    #[error("there is no room for it")]
    NoRoom,
    /// It ended before its end, or is none.
    #[error("it cannot be read")]
    Broken(#[source] axum::Error),
}

/// Reads a body of at most `most` bytes. `pay` is asked with the number of all bytes so far before they are kept; false: there is no room.
pub async fn read(
    body: Body,
    most: usize,
    patience: Duration,
    mut pay: impl FnMut(usize) -> bool,
) -> Result<Bytes, Unread> {
    let mut pieces = body.into_data_stream();
    let read = timeout(patience, keep(&mut pieces, most, &mut pay)).await.unwrap_or(Err(Unread::Late(patience)));
    if matches!(read, Err(Unread::TooLong(_))) {
        drop_rest(pieces).await;
    }
    read
}

/// Reads a body that is refused for what is said of it, and keeps nothing of it.
pub async fn decline(body: Body) {
    drop_rest(body.into_data_stream()).await;
}

async fn keep(pieces: &mut BodyDataStream, most: usize, pay: &mut impl FnMut(usize) -> bool) -> Result<Bytes, Unread> {
    let mut whole = Bytes::new();
    let mut several: Vec<u8> = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Unread::Broken)?;
        let length = whole.len().max(several.len()).saturating_add(piece.len());
        if length > most {
            return Err(Unread::TooLong(most));
        }
        if !pay(length) {
            return Err(Unread::NoRoom);
        }
        // Most bodies come as one piece, which needs no copy.
        if whole.is_empty() && several.is_empty() {
            whole = piece;
        } else {
            if several.is_empty() {
                several.extend_from_slice(&std::mem::take(&mut whole));
            }
            several.extend_from_slice(&piece);
        }
    }
    Ok(if several.is_empty() { whole } else { several.into() })
}

/// Whoever is still sending when the answer comes and the connection ends sees it break, and not the answer; so does `kubectl port-forward`,
/// and ends. So a little more is read.
async fn drop_rest(mut pieces: BodyDataStream) {
    let dropping = async {
        let mut dropped = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            dropped += piece.len();
            if dropped > DRAIN {
                break;
            }
        }
    };
    // It may never end.
    let _ended = timeout(DRAIN_PATIENCE, dropping).await;
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::stream;

    use super::*;

    fn pieces(texts: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(texts.iter().map(|text| Ok::<_, io::Error>(*text)).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn pieces_become_a_whole_that_is_paid_for_as_it_comes() {
        for (texts, expect) in
            [(&[][..], ""), (&["abc"], "abc"), (&["ab", "", "c"], "abc"), (&["", "a", "b", "c"], "abc")]
        {
            let mut paid = 0;
            let read = read(pieces(texts), 3, Duration::MAX, |length| {
                paid = length;
                true
            });
            assert_eq!((read.await.unwrap(), paid), (Bytes::from_static(expect.as_bytes()), expect.len()), "{texts:?}");
        }
        assert!(matches!(read(pieces(&["ab", "cd"]), 3, Duration::MAX, |_| true).await, Err(Unread::TooLong(3))));
        assert!(matches!(read(pieces(&["ab", "cd"]), 9, Duration::MAX, |it| it < 3).await, Err(Unread::NoRoom)));
        let broken = Body::from_stream(stream::iter([Ok("a"), Err(io::Error::other("cut"))]));
        assert!(matches!(read(broken, 9, Duration::MAX, |_| true).await, Err(Unread::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_late_as_a_whole() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, io::Error>("x"), ()))
        });
        let mut got = 0;
        let read = read(Body::from_stream(drops), 1_000, Duration::from_millis(3500), |length| {
            got = length;
            true
        });
        assert!(matches!(read.await, Err(Unread::Late(_))));
        assert_eq!(got, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_long_is_read_to_its_end_within_limits() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let megabytes = |count: usize, ends: bool| {
            let sent = Arc::new(AtomicUsize::new(0));
            let counter = sent.clone();
            let some = stream::iter(0..count).map(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok::<_, io::Error>(Bytes::from(vec![0; 1 << 20]))
            });
            let rest = if ends { stream::empty().boxed() } else { stream::pending().boxed() };
            (Body::from_stream(some.chain(rest)), sent)
        };
        for (count, ends, expected) in [(3, true, 3), (3, false, 3), (100, true, 6)] {
            let (body, sent) = megabytes(count, ends);
            assert!(matches!(read(body, 9, Duration::MAX, |_| true).await, Err(Unread::TooLong(9))), "{count}");
            assert_eq!(sent.load(Ordering::Relaxed), expected, "{count} {ends}");
        }
        let (body, sent) = megabytes(3, true);
        decline(body).await;
        assert_eq!(sent.load(Ordering::Relaxed), 3);
    }
}
