//! The body of a launch, which is not sent when its time is over.
//!
//! Invariant: whether this process still leads is asked when the bytes are written, after every wait for a connection. A process that was
//! stopped between its decision and its request sends at most a request without its body, which launches nothing. Between the question
//! and the write nothing waits; what comes late all the same (a network can hold it up, too) is refused by the provider, which remembers
//! what it deleted.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cluster::lease::{Over, Tenure};
use http_body::{Body, Frame, SizeHint};

/// Bytes that are sent by a leader only.
pub(super) struct Timely {
    bytes: Option<Bytes>,
    tenure: Tenure,
}

impl Timely {
    pub(super) fn new(bytes: Vec<u8>, tenure: Tenure) -> Self {
        Self { bytes: Some(bytes.into()), tenure }
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = Over;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Over>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(self.tenure.check().map(|()| Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
