//! What passes through a connection, as far as its [`Pace`] depends on it.
//!
//! Invariant: bytes and frames pass unchanged.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{crowd::lock, pace::Pace};

/// A stream.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    pace: Arc<Mutex<Pace>>,
    /// Something was to be written since all of it had left.
    writes: bool,
}

impl<S> Stream<S> {
    /// A stream whose pace is that.
    pub(super) fn new(inner: S, pace: Arc<Mutex<Pace>>) -> Self {
        Self { inner, pace, writes: false }
    }

    fn written<T>(&mut self, result: Poll<T>) -> Poll<T> {
        self.writes = true;
        if result.is_pending() {
            lock(&self.pace).stalled(Instant::now());
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(context, buffer);
        if buffer.filled().len() > before {
            lock(&self.pace).received(Instant::now());
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(context);
        if result.is_pending() {
            return self.written(result);
        }
        // The server flushes when it has handed over all that it has, and whenever it is woken.
        if std::mem::take(&mut self.writes) {
            lock(&self.pace).taken(Instant::now());
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(context);
        self.written(result)
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) inner: Incoming,
    pub(super) pace: Arc<Mutex<Pace>>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let result = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(result, Poll::Ready(None)) || (result.is_ready() && self.inner.is_end_stream()) {
            lock(&self.pace).whole(Instant::now());
        }
        result
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
