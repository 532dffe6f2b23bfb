//! Hostile clients: what each does with its connection.
//!
//! Invariant: whoever reads, gets whole answers and an end.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use crate::address::{Address, Stream};
use crate::answer::judge;
use crate::words::{Request, words};

/// Longest time for the words of one that does not want to be slow: the server may not take them.
const SPEECH: Duration = Duration::from_millis(200);
/// The hostile clients' addresses; the first is also an honest one's.
const ADDRESSES: u8 = 8;

/// What a client does after its words, or with them.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// It stays and reads nothing.
    Stays,
    /// It says so many bytes at a time, with so many milliseconds between them.
    Trickles(usize, u64),
    /// It reads to the end.
    Reads,
    /// It says that nothing more comes, and reads to the end.
    Ends,
    /// It goes.
    Goes,
}

/// How it begins where there is a handshake.
#[derive(Clone, Debug)]
enum Begin {
    /// As it should.
    Handshake,
    /// Part of one, and then its words in the middle of it.
    Cut(Index),
    /// None.
    Bare,
}

/// A hostile client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    from: u8,
    begin: Begin,
    manner: Manner,
    words: Vec<u8>,
}

/// Any hostile client.
pub(crate) fn clients(honest: &Request, own: BoxedStrategy<Request>) -> impl Strategy<Value = Client> + use<> {
    let begin = prop_oneof![
        6 => Just(Begin::Handshake),
        1 => any::<Index>().prop_map(Begin::Cut),
        1 => Just(Begin::Bare),
    ];
    let manner = prop_oneof![
        3 => Just(Manner::Stays),
        1 => (1_usize..16, 1_u64..200).prop_map(|(bytes, pause)| Manner::Trickles(bytes, pause)),
        3 => Just(Manner::Reads),
        1 => Just(Manner::Ends),
        1 => Just(Manner::Goes),
    ];
    (1..=ADDRESSES, begin, manner, words(honest, own)).prop_map(|(from, begin, manner, words)| Client {
        from,
        begin,
        manner,
        words,
    })
}

impl Client {
    /// Does what it does until it is sent away; an error says what was wrong with an answer. The permit is given back when it has begun.
    pub(crate) async fn act(self, to: Address, permit: OwnedSemaphorePermit) -> Result<(), String> {
        let from = Ipv4Addr::new(127, 0, 0, self.from);
        let narrow = matches!(self.manner, Manner::Stays);
        let Ok(tcp) = to.open(from, narrow).await else { return Ok(()) };
        let hello = to.hello();
        let connection: Box<dyn Stream> = match &self.begin {
            Begin::Handshake => match timeout(SPEECH, to.secured(tcp)).await {
                Ok(Ok(connection)) => connection,
                // Sent away before.
                _ => return Ok(()),
            },
            Begin::Cut(end) if !hello.is_empty() => {
                let mut tcp = tcp;
                let _sent_away = tcp.write_all(&hello[..end.index(hello.len())]).await;
                Box::new(tcp)
            }
            Begin::Cut(_) | Begin::Bare => Box::new(tcp),
        };
        let speaks_http = to.tls.is_none() || matches!(self.begin, Begin::Handshake);
        self.speak(connection, permit, speaks_http).await
    }

    async fn speak(
        self,
        mut connection: Box<dyn Stream>,
        permit: OwnedSemaphorePermit,
        speaks_http: bool,
    ) -> Result<(), String> {
        if let Manner::Trickles(bytes, pause) = self.manner {
            drop(permit);
            for piece in self.words.chunks(bytes) {
                if connection.write_all(piece).await.is_err() || connection.flush().await.is_err() {
                    return Ok(());
                }
                sleep(Duration::from_millis(pause)).await;
            }
            return read(connection, false, speaks_http).await;
        }
        let spoken = timeout(SPEECH, async {
            connection.write_all(&self.words).await?;
            connection.flush().await
        });
        let all_said = matches!(spoken.await, Ok(Ok(())));
        drop(permit);
        match self.manner {
            Manner::Goes => Ok(()),
            Manner::Stays | Manner::Trickles(..) => {
                std::future::pending::<()>().await;
                Ok(())
            }
            Manner::Reads => read(connection, all_said, speaks_http).await,
            Manner::Ends => {
                let _already_closed = connection.shutdown().await;
                read(connection, all_said, speaks_http).await
            }
        }
    }
}

/// Reads to the end, and judges what came.
async fn read(mut connection: Box<dyn Stream>, all_said: bool, speaks_http: bool) -> Result<(), String> {
    let mut answers = Vec::new();
    let ended = connection.read_to_end(&mut answers).await;
    // What is a TLS alert, or an answer whose end was lost because words lay unread when the server closed, is none to judge.
    if speaks_http { judge(&answers, ended.is_err() || !all_said) } else { Ok(()) }
}
