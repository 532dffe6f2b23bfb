//! What is kept is read as it was, is whole or not there, and goes when it is old or too much.

use super::*;
use crate::Swept;
use futures::AsyncReadExt as _;
use futures::io::{AsyncRead, BufReader, Cursor};
use jiff::{SignedDuration, Timestamp};

const LINE: &str = "2026-11-30T21:00:00.5Z some\n";
const ALL: Limits = Limits { bytes: 1 << 30 };

fn key(job: u128, attempt: u32) -> Whose {
    let pod = format!("aws-batch.{job}-{attempt}");
    Whose { namespace: "ns".to_owned(), pod, container: "main".to_owned(), is_over: true }
}

fn lines(text: impl Into<Vec<u8>>) -> Lines {
    Box::pin(BufReader::new(Cursor::new(text.into())))
}

async fn text(kept: &Kept, key: &Whose) -> Option<String> {
    let mut all = String::new();
    kept.read(key).await.unwrap()?.read_to_string(&mut all).await.unwrap();
    Some(all)
}

/// Output that breaks off after some of it, or never ends.
struct Breaks(Cursor<Vec<u8>>, bool);

impl AsyncRead for Breaks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut [u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            std::task::Poll::Ready(Ok(0)) if self.1 => std::task::Poll::Ready(Err(io::Error::other("broken"))),
            std::task::Poll::Ready(Ok(0)) => std::task::Poll::Pending,
            answer => answer,
        }
    }
}

fn files(directory: &Directory) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    all
}

#[tokio::test]
async fn what_was_kept_is_read_as_it_was_also_by_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("deep/logs");
    let kept = Kept::in_directory(&place, ALL).unwrap();
    assert_eq!(text(&kept, &key(1, 1)).await, None);
    let large = "2026-11-30T21:00:00Z a line\n".repeat(100_000);
    for (key, printed) in
        [(key(1, 1), ""), (key(1, 2), "2026-11-30T21:00:00Z a\n2026-11-30T21:00:00Z b"), (key(2, 1), &large)]
    {
        assert!(!kept.has(&key).await.unwrap());
        let size = Size { bytes: printed.len() as u64, is_partial: false };
        assert_eq!(kept.keep(&key, lines(printed), Keep::All).await.unwrap(), size);
        for one in [kept.clone(), Kept::in_directory(&place, ALL).unwrap()] {
            assert!(one.has(&key).await.unwrap());
            assert_eq!(text(&one, &key).await.as_deref(), Some(printed));
        }
    }
}

#[tokio::test]
async fn output_that_breaks_off_is_kept_only_where_that_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::in_directory(directory.path(), ALL).unwrap();
    for printed in [LINE.to_owned(), LINE.repeat(PIECE / 8)] {
        let breaks = |breaks| Box::pin(BufReader::new(Breaks(Cursor::new(printed.clone().into_bytes()), breaks)));
        let answer = kept.keep(&key(1, 1), breaks(true), Keep::All).await;
        assert!(matches!(answer, Err(Error::Output(_))), "{answer:?}");
        assert_eq!(text(&kept, &key(1, 1)).await, None);
        assert!(files(directory.path()).is_empty(), "{:?}", files(directory.path()));
        let never = || Keep::Until(Box::pin(std::future::pending()));
        let size = kept.keep(&key(2, 1), breaks(true), never()).await.unwrap();
        assert_eq!(size, Size { bytes: printed.len() as u64, is_partial: true });
        assert_eq!(text(&kept, &key(2, 1)).await.as_ref(), Some(&printed));
        let now = Keep::Until(Box::pin(std::future::ready(())));
        kept.keep(&key(2, 2), breaks(false), now).await.unwrap();
        assert_eq!(text(&kept, &key(2, 2)).await.as_ref(), Some(&printed));
        kept.sweep(Some(Timestamp::now() + SignedDuration::from_hours(1))).await.unwrap();
    }
}

#[tokio::test]
async fn of_a_long_output_the_beginning_is_kept_and_its_end_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::in_directory(directory.path(), ALL).unwrap();
    let begin = "2026-11-30T21:00:00Z ";
    for at_once in [1, 7, 100] {
        for (printed, expect) in [
            ("12345678\n", "12345678\n".to_owned()),
            ("123456789\n", "123456789\n".to_owned()),
            ("123456789\n\n", format!("123456789\n{CUT}")),
            ("1234567890\n", format!("1234567890\n{CUT}")),
        ] {
            let (printed, expect) = (format!("{begin}{printed}"), format!("{begin}{expect}"));
            let mut writer = BufWriter::new(kept.store.clone(), key(1, 1).path());
            let lines = Box::pin(BufReader::with_capacity(at_once, Cursor::new(printed.as_bytes().to_vec())));
            let mut count = Count { all: &kept, bytes: 0 };
            let most = begin.len() as u64 + 10;
            let size = copy(&mut writer, lines, Keep::All, (most, &mut count)).await.unwrap();
            writer.shutdown().await.unwrap();
            assert_eq!(text(&kept, &key(1, 1)).await.as_ref(), Some(&expect), "{at_once} bytes at once");
            assert_eq!((size.bytes, count.bytes), (expect.len() as u64, expect.len() as u64));
        }
    }
}

#[tokio::test]
async fn what_was_begun_when_the_process_died_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::in_directory(directory.path(), ALL).unwrap();
    kept.keep(&key(1, 1), lines(LINE), Keep::All).await.unwrap();
    let namespace = directory.path().join("ns");
    for begun in ["aws-batch.1-1.main#12", "aws-batch.1-1.other#1"] {
        std::fs::write(namespace.join(begun), "half").unwrap();
    }
    remove_begun(namespace.join("aws-batch.1-1.main")).await;
    let mut left = files(directory.path());
    left.sort();
    assert_eq!(left, ["aws-batch.1-1.main", "aws-batch.1-1.other#1"]);
    let kept = Kept::in_directory(directory.path(), ALL).unwrap();
    assert_eq!(files(directory.path()), ["aws-batch.1-1.main"]);
    assert_eq!(text(&kept, &key(1, 1)).await.as_deref(), Some(LINE));
    for (name, is) in [("main#1", true), ("main", false), ("main#", false), ("m#1x", false), ("#7", true)] {
        assert_eq!(is_unfinished(name), is, "{name}");
    }
}

#[tokio::test]
async fn what_is_old_goes_and_nothing_more_is_kept_than_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let most = 2 * AROUND + 2 * LINE.len() as u64;
    let kept = Kept::in_directory(directory.path(), Limits { bytes: most }).unwrap();
    for job in 1..=2 {
        kept.keep(&key(job, 1), lines(LINE), Keep::All).await.unwrap();
    }
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    let path = directory.path().join(key(1, 1).path().to_string());
    std::fs::File::open(path).unwrap().set_modified(hour_ago).unwrap();
    let full = kept.keep(&key(3, 1), lines("x"), Keep::All).await;
    assert!(matches!(full, Err(Error::Full)), "{full:?}");
    let less = Kept { limits: Limits { bytes: most - 1 }, ..kept.clone() };
    let swept = less.sweep(None).await.unwrap();
    assert_eq!(swept, Swept { stay: 1, bytes: most / 2, old: 0, surplus: 1 });
    assert!(!kept.has(&key(1, 1)).await.unwrap() && kept.has(&key(2, 1)).await.unwrap());
    // It is full while it is being written: nothing of it stays.
    let full = kept.keep(&key(3, 1), lines(LINE.repeat(PIECE)), Keep::All).await;
    assert!(matches!(full, Err(Error::Full)), "{full:?}");
    assert_eq!((files(directory.path()).len(), kept.bytes.load(Ordering::Relaxed)), (1, most / 2));
    kept.keep(&key(3, 1), lines(LINE), Keep::All).await.unwrap();
    // Who begins counts what is there.
    let again = Kept::in_directory(directory.path(), Limits { bytes: 50 }).unwrap();
    assert_eq!(again.sweep(Some(Timestamp::now() - SignedDuration::from_hours(2))).await.unwrap().surplus, 2);
    let swept = kept.sweep(Some(Timestamp::now() + SignedDuration::from_hours(1))).await.unwrap();
    assert_eq!(swept, Swept::default());
    assert!(files(directory.path()).is_empty() && directory.path().is_dir());
}

#[tokio::test]
async fn what_a_kubelet_says_at_the_end_of_what_is_followed_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::in_directory(directory.path(), ALL).unwrap();
    let error = "rpc error: code = NotFound desc = an error occurred when try to find container";
    let never = || Keep::Until(Box::pin(std::future::pending()));
    for (printed, expect) in [
        (format!("{LINE}{error}"), LINE.to_owned()),
        (format!("{LINE}{LINE}{error}\n"), LINE.repeat(2)),
        (error.to_owned(), String::new()),
        (LINE.trim_end().to_owned(), LINE.trim_end().to_owned()),
        (format!("{LINE}2026-11-30T21:00:00Z"), format!("{LINE}2026-11-30T21:00:00Z")),
        (String::new(), String::new()),
        // A line in the middle is the container's.
        (format!("{error}\n{LINE}"), format!("{error}\n{LINE}")),
    ] {
        for at_once in [1, 5, 1000] {
            let lines = Box::pin(BufReader::with_capacity(at_once, Cursor::new(printed.clone().into_bytes())));
            let size = kept.keep(&key(1, 1), lines, never()).await.unwrap();
            assert_eq!(text(&kept, &key(1, 1)).await.as_ref(), Some(&expect), "{at_once} bytes at once");
            assert_eq!(size, Size { bytes: expect.len() as u64, is_partial: false });
        }
    }
    let long = format!("2026-11-30T21:00:00Z {}", "x".repeat(PIECE));
    kept.keep(&key(1, 1), lines(long.clone()), never()).await.unwrap();
    assert_eq!(text(&kept, &key(1, 1)).await, Some(long));
}

#[tokio::test]
async fn a_place_that_is_none_is_said_with_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let place = file.path().join("logs");
    let error = Kept::in_directory(&place, ALL).unwrap_err().to_string();
    assert!(error.contains(place.to_str().unwrap()), "{error}");
}
