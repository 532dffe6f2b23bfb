//! Output that is kept, in a directory.
//!
//! Invariant: what is there is whole: it is written beside its place first. Each output is bounded by [`MOST`], and all together, those that
//! are being written with them, by what may be kept. Does not know when something has to be kept.

use std::fmt;
use std::io;
use std::path::{Path as Directory, PathBuf};
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
use crate::{Error, Lines, Whose};

/// Bytes of one output that are kept, from its beginning.
pub const MOST: u64 = 64 << 20;
/// What stands behind as much; it has no time, and so is of the line before.
const CUT: &str = "Bulkhead keeps the first 64 MiB of what a container prints\n";
/// Bytes that are held of an output that is being written.
const PIECE: usize = 256 << 10;
/// Bytes that an output counts besides its own: it takes a block, and one of the inodes that a volume has, which are one for each 16 KiB.
pub(crate) const AROUND: u64 = 16 << 10;

/// How much of an output is wanted.
pub enum Keep {
    /// All of it, or nothing is kept.
    All,
    /// What comes until then, or until it cannot be read any more. A line at its end that has no time is not the container's: a kubelet says so
    /// that it can follow no longer.
    Until(BoxFuture<'static, ()>),
}

/// What was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
    /// Reading broke off: there may have been more.
    pub is_partial: bool,
}

/// Where output is kept.
#[derive(Clone)]
pub struct Kept {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) limits: Limits,
    /// Bytes that are there, as far as it was counted.
    pub(crate) bytes: Arc<AtomicU64>,
    directory: Arc<Directory>,
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
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), limits, bytes: Arc::default(), directory: directory.into() })
    }

    /// Whether as much is kept as may be; [`sweep`](Self::sweep) makes room.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.limits.bytes
    }

    /// Whether output is kept.
    pub async fn has(&self, whose: &Whose) -> Result<bool, Error> {
        match self.store.head(&whose.path()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps output, in place of what was kept of the same container. Dropped before its end, it keeps nothing.
    pub async fn keep(&self, whose: &Whose, lines: Lines, keep: Keep) -> Result<Size, Error> {
        let (path, mut count) = (whose.path(), Count { all: self, bytes: 0 });
        count.add(AROUND)?;
        let writer = BufWriter::with_capacity(self.store.clone(), path.clone(), PIECE);
        let mut writer = writer.with_max_concurrency(1);
        let written = match copy(&mut writer, lines, keep, (MOST, &mut count)).await {
            Ok(size) => writer.shutdown().await.map(|()| size).map_err(|error| Error::Store(Box::new(generic(error)))),
            Err(error) => {
                // What was begun is given up either way.
                let _given_up = writer.abort().await;
                Err(error)
            }
        };
        match &written {
            Ok(_) => count.bytes = 0,
            // What cannot be finished is perhaps not removed either.
            Err(_) => remove_begun(self.directory.join(path.as_ref())).await,
        }
        written
    }

    /// Output that was kept; `None`: there is none.
    pub async fn read(&self, whose: &Whose) -> Result<Option<Lines>, Error> {
        match self.store.get(&whose.path()).await {
            Ok(found) => Ok(Some(Box::pin(found.into_stream().map_err(io::Error::other).into_async_read()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Bytes that were added to those that are kept; taken off again if they are not.
struct Count<'k> {
    all: &'k Kept,
    bytes: u64,
}

impl Count<'_> {
    fn add(&mut self, bytes: u64) -> Result<(), Error> {
        if self.all.is_full() {
            return Err(Error::Full);
        }
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Writes at most so many bytes of an output, and behind them that there was more.
async fn copy(
    writer: &mut BufWriter,
    mut lines: Lines,
    keep: Keep,
    (most, count): (u64, &mut Count<'_>),
) -> Result<Size, Error> {
    let (mut until, follows): (BoxFuture<'static, ()>, bool) = match keep {
        Keep::All => (Box::pin(std::future::pending()), false),
        Keep::Until(until) => (until, true),
    };
    let mut size = Size { bytes: 0, is_partial: false };
    // The last line, as long as it may be a kubelet's; and whether what comes next begins one.
    let (mut last, mut begins) = (Vec::new(), true);
    loop {
        let piece = tokio::select! {
            biased;
            piece = lines.fill_buf() => piece,
            () = &mut until => {
                size.is_partial = true;
                break;
            }
        };
        let piece = match piece {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(_) if follows => {
                size.is_partial = true;
                break;
            }
            Err(error) => return Err(Error::Output(error)),
        };
        let read = piece.len();
        last.extend_from_slice(piece);
        Pin::as_mut(&mut lines).consume(read);
        let whole = if follows { begin_of_last(&last) } else { last.len() };
        let room = usize::try_from(most - size.bytes).unwrap_or(usize::MAX);
        let (taken, is_cut) = (whole.min(room), whole > room);
        let text: Vec<u8> = last.drain(..taken).collect();
        begins = text.last().map_or(begins, |byte| *byte == b'\n');
        put(writer, count, &mut size, text).await?;
        if is_cut {
            let text = if begins { CUT.to_owned() } else { format!("\n{CUT}") };
            put(writer, count, &mut size, text.into_bytes()).await?;
            return Ok(size);
        }
    }
    if !last.is_empty() && (!begins || is_timed(&last)) {
        put(writer, count, &mut size, last).await?;
    }
    Ok(size)
}

async fn put(writer: &mut BufWriter, count: &mut Count<'_>, size: &mut Size, text: Vec<u8>) -> Result<(), Error> {
    count.add(text.len() as u64)?;
    size.bytes += text.len() as u64;
    Ok(writer.put(Bytes::from(text)).await?)
}

/// Where the last line begins, whether it has ended or not. One that is long is no kubelet's, and is not waited for.
fn begin_of_last(text: &[u8]) -> usize {
    let before = text.strip_suffix(b"\n").unwrap_or(text);
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    if text.len() - begin > PIECE / 4 { text.len() } else { begin }
}

/// Whether a line has a time before it, as those of containers have.
fn is_timed(line: &[u8]) -> bool {
    let word = line.split(|byte| *byte == b' ' || *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(word).is_ok_and(|word| word.parse::<jiff::Timestamp>().is_ok())
}

/// What the writer's interface makes of the store's errors, as one of these again.
fn generic(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "outputs", source: Box::new(error) }
}

/// Removes what was begun of one output and not finished.
async fn remove_begun(file: PathBuf) {
    let remove = move || {
        let Some((parent, name)) = file.parent().zip(file.file_name()) else { return };
        let begins = format!("{}#", name.to_string_lossy());
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&begins) {
                // Nor is there more to be done if that fails.
                let _removed = std::fs::remove_file(entry.path());
            }
        }
    };
    // It does not panic.
    drop(tokio::task::spawn_blocking(remove).await);
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
