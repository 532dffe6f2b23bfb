//! Lines of what containers printed, one by one.
//!
//! Invariant: one line is held at a time, and no more of it than [`LONGEST_LINE`].

use futures::AsyncBufReadExt as _;
use outputs::{Lines, NoOutput};

/// Bytes of a line; what is longer is shown as several.
const LONGEST_LINE: usize = 256 << 10;

/// Gives `take` each line until it has enough. Lines are cut where they are too long, and what is no text is shown as such.
pub(crate) async fn each(mut lines: Lines, mut take: impl FnMut(&str) -> bool + Send) -> Result<(), NoOutput> {
    let unavailable = |error: std::io::Error| NoOutput::Unavailable(Box::new(error));
    let (mut line, mut was_cut) = (Vec::new(), false);
    loop {
        let read = lines.fill_buf().await.map_err(unavailable)?;
        let is_end = read.is_empty();
        let newline = read.iter().position(|byte| *byte == b'\n');
        let room = LONGEST_LINE - line.len();
        let piece = newline.unwrap_or(read.len()).min(room);
        line.extend_from_slice(&read[..piece]);
        let is_whole = newline == Some(piece);
        let consumed = piece + usize::from(is_whole);
        lines.consume_unpin(consumed);
        // Of a line that was cut at its end nothing is left.
        let is_rest = std::mem::take(&mut was_cut) && line.is_empty();
        if (is_whole && !is_rest) || line.len() == LONGEST_LINE || (is_end && !line.is_empty()) {
            was_cut = !is_whole;
            let text = String::from_utf8_lossy(&line);
            if !take(&text) {
                return Ok(());
            }
            line.clear();
        }
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::{BufReader, Cursor};

    use super::*;

    async fn read(text: &[u8], at_once: usize, most: usize) -> Result<Vec<String>, NoOutput> {
        let mut all = Vec::new();
        let lines = BufReader::with_capacity(at_once, Cursor::new(text.to_vec()));
        each(Box::pin(lines), |line| {
            all.push(line.to_owned());
            all.len() < most
        })
        .await?;
        Ok(all)
    }

    #[tokio::test]
    async fn lines_are_those_that_were_written_however_they_come() {
        let long = "x".repeat(LONGEST_LINE + 10);
        for (text, expect) in [
            (&b""[..], vec![]),
            (b"a\n\nb\n", vec!["a", "", "b"]),
            (b"a\nb", vec!["a", "b"]),
            ("é\n\u{20ac}\n".as_bytes(), vec!["é", "€"]),
            (b"\xff\n", vec!["\u{fffd}"]),
            (b"a\r\n", vec!["a\r"]),
            (long.as_bytes(), vec![&long[..LONGEST_LINE], &long[LONGEST_LINE..]]),
        ] {
            for at_once in [1, 3, 1 << 20] {
                assert_eq!(read(text, at_once, usize::MAX).await.unwrap(), expect, "{at_once} bytes at once");
            }
        }
        assert_eq!(read(b"a\nb\nc\n", 2, 2).await.unwrap(), ["a", "b"]);
        let exact = format!("{}\nb", &long[..LONGEST_LINE]);
        assert_eq!(read(exact.as_bytes(), 1000, 9).await.unwrap(), [&long[..LONGEST_LINE], "b"]);
    }
}
