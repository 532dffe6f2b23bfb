//! Reads a body: as much as is allowed, in as much time as there is.
//!
//! Invariant: what is kept was paid for before, byte by byte as it came; what is only announced costs nothing.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use tokio::time::timeout;

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
    let reading = async {
        let mut pieces = body.into_data_stream();
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
    };
    timeout(patience, reading).await.unwrap_or(Err(Unread::Late(patience)))
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
}
