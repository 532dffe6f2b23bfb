//! Output that is kept, in a directory.
//!
//! Invariant: what is there is whole: it is written beside its place first. Each output is bounded by [`MOST`], and all together by what may be
//! kept, but for what is being written at the same time. Does not know when something has to be kept.

use std::fmt;
use std::io;
use std::path::Path as Directory;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncWriteExt as _;

use crate::sweep::Limits;
use crate::{Error, Key, Lines};

/// Bytes of one output that are kept, from its beginning.
pub const MOST: u64 = 64 << 20;
/// What stands behind as much; it has no time, and so is of the line before.
const CUT: &str = "Bulkhead keeps the first 64 MiB of what a container prints\n";
/// Bytes that are held of an output that is being written.
const PIECE: usize = 256 << 10;

/// How much of an output is wanted.
pub enum Keep {
    /// All of it, or nothing is kept.
    All,
    /// What comes until then, or until it cannot be read any more.
    Until(BoxFuture<'static, ()>),
}

/// Where output is kept.
#[derive(Clone)]
pub struct Kept {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) limits: Limits,
    /// Bytes that are there, as far as it was counted.
    pub(crate) bytes: Arc<AtomicU64>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.store)
    }
}

impl Kept {
    /// Keeps output in a directory, which is made if it is not there. It is one process's: what another has begun to write there is deleted.
    pub fn in_directory(directory: &Directory, limits: Limits) -> Result<Self, Error> {
        let place = |source: io::Error| Error::Place { place: directory.display().to_string(), source };
        std::fs::create_dir_all(directory).map_err(place)?;
        remove_unfinished(directory).map_err(place)?;
        let store = LocalFileSystem::new_with_prefix(directory)?.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self { store: Arc::new(store), limits, bytes: Arc::default() })
    }

    /// Whether as much is kept as may be; [`sweep`](Self::sweep) makes room.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.limits.bytes
    }

    /// Whether output is kept.
    pub async fn has(&self, key: &Key) -> Result<bool, Error> {
        match self.store.head(&key.path()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps output, in place of what was kept of the same container. Returns how many bytes that are. Dropped before its end, it keeps nothing.
    pub async fn keep(&self, key: &Key, lines: Lines, keep: Keep) -> Result<u64, Error> {
        if self.is_full() {
            return Err(Error::Full);
        }
        let mut writer = BufWriter::with_capacity(self.store.clone(), key.path(), PIECE).with_max_concurrency(1);
        let size = match copy(&mut writer, lines, keep, MOST).await {
            Ok(size) => size,
            Err(error) => {
                // What was begun is given up either way.
                let _given_up = writer.abort().await;
                return Err(error);
            }
        };
        writer.shutdown().await.map_err(|error| Error::Store(Box::new(generic(error))))?;
        self.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(size)
    }

    /// Output that was kept; `None`: there is none.
    pub async fn read(&self, key: &Key) -> Result<Option<Lines>, Error> {
        match self.store.get(&key.path()).await {
            Ok(found) => Ok(Some(Box::pin(found.into_stream().map_err(io::Error::other).into_async_read()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes at most so many bytes of an output, and behind them that there was more.
async fn copy(writer: &mut BufWriter, mut lines: Lines, keep: Keep, most: u64) -> Result<u64, Error> {
    let (mut until, is_partial): (BoxFuture<'static, ()>, bool) = match keep {
        Keep::All => (Box::pin(std::future::pending()), false),
        Keep::Until(until) => (until, true),
    };
    let (mut size, mut last) = (0_u64, b'\n');
    loop {
        let piece = tokio::select! {
            biased;
            piece = lines.fill_buf() => piece,
            () = &mut until => break,
        };
        let piece = match piece {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(_) if is_partial => break,
            Err(error) => return Err(Error::Output(error)),
        };
        let room = usize::try_from(most - size).unwrap_or(usize::MAX);
        let taken = piece.len().min(room);
        last = piece.get(taken.wrapping_sub(1)).copied().unwrap_or(last);
        writer.put(Bytes::copy_from_slice(&piece[..taken])).await?;
        size += taken as u64;
        let is_cut = taken < piece.len();
        Pin::as_mut(&mut lines).consume(taken);
        if is_cut {
            let text = if last == b'\n' { CUT.to_owned() } else { format!("\n{CUT}") };
            size += text.len() as u64;
            writer.put(Bytes::from(text)).await?;
            break;
        }
    }
    Ok(size)
}

/// What the writer's interface makes of the store's errors, as one of these again.
fn generic(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "outputs", source: Box::new(error) }
}

/// Removes what was begun and not finished: files that end with `#` and a number, which no output's name has.
fn remove_unfinished(directory: &Directory) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_unfinished(&entry.path())?;
        } else if is_unfinished(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
