//! Honest clients, one request after the other, each of which has to be answered in time.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::address::{Address, Stream};
use crate::answer::first;
use crate::processor;
use crate::words::Request;

/// How long an honest client waits for its answer, connecting included.
const DEADLINE: Duration = Duration::from_secs(1);

/// What became of the requests of honest clients.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) asked: u32,
    pub(crate) answered: u32,
    /// Answered late or never.
    pub(crate) late: u32,
    /// The same, while the machine gave the server no processor for most of the time.
    pub(crate) starved: u32,
    /// What the others got.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    fn count(&mut self, who: &str, answer: Result<io::Result<u16>, Elapsed>, waited: Duration) {
        self.asked += 1;
        match answer {
            Ok(Ok(200)) => self.answered += 1,
            Ok(Ok(code)) => self.failed.push(format!("{who}: {code}")),
            Ok(Err(error)) => self.failed.push(format!("{who}: {error}")),
            Err(_) if waited > DEADLINE / 2 => self.starved += 1,
            Err(_) => self.late += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.late += other.late;
        self.starved += other.starved;
        self.failed.extend(other.failed);
    }
}

/// Asks until told to stop. One that `keeps` its connection loses none of them: the server has no reason to end it.
pub(crate) async fn ask(
    to: Address,
    from: Ipv4Addr,
    keeps: bool,
    request: Request,
    until: impl Fn(u32) -> bool,
) -> Tally {
    let (mut tally, mut kept) = (Tally::default(), None);
    let words = request.written(!keeps);
    let who = format!("{from}, {}", if keeps { "one connection" } else { "one each" });
    while !until(tally.asked) {
        let waited = processor::waited();
        let answer = timeout(DEADLINE, async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => to.secured(to.open(from, false).await?).await?,
            };
            let code = exchange(&mut connection, &words).await?;
            if keeps {
                kept = Some(connection);
            }
            Ok(code)
        });
        let answer = answer.await;
        tally.count(&who, answer, processor::waited().saturating_sub(waited));
    }
    tally
}

async fn exchange(connection: &mut Box<dyn Stream>, words: &[u8]) -> io::Result<u16> {
    connection.write_all(words).await?;
    connection.flush().await?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = connection.read(&mut piece).await?;
        if length == 0 {
            return Err(io::Error::other(format!("closed after {} bytes of the answer", answer.len())));
        }
        answer.extend_from_slice(&piece[..length]);
        if let Some((code, _)) = first(&answer).map_err(io::Error::other)? {
            return Ok(code);
        }
    }
}
