//! Hostile input through the whole route, as whoever reaches the port may send it. Every test here is a target.
//!
//! Invariant: whatever comes in, nothing panics and the answer is well formed; [`verdict`] says what that means.
//! `cargo test` runs a few cases of each target, `cargo xtask fuzz` many.

mod hostile;
mod junk;
mod sent;
mod valid;
mod verdict;

use axum::body::to_bytes;
use prometheus_client::registry::Registry;
use proptest::prelude::Strategy;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use super::tests::{client_answering, stored};
use super::*;
use crate::look_up::Facts;
use sent::Sent;
use verdict::verdict;

/// Cases of each target unless `PROPTEST_CASES` says otherwise.
const FEW: u32 = 32;

/// The route, with facts from canned answers, and time that passes at once where everybody waits.
struct Server {
    runtime: Runtime,
    router: Router,
}

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let router = {
            let _entered = runtime.enter();
            webhook()
        };
        Self { runtime, router }
    }

    fn ask(&self, sent: &Sent) -> (StatusCode, Vec<u8>) {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(sent.request()).await.unwrap();
            let code = response.status();
            (code, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
        })
    }

    /// Asks, and asks again about what came out, as the API server may.
    fn check(&self, sent: &Sent) -> Result<(), String> {
        let (code, answer) = self.ask(sent);
        if let Some(review) = verdict(sent, code, &answer)? {
            let again = sent.with_body(review.to_string());
            let (code, answer) = self.ask(&again);
            verdict(&again, code, &answer).map_err(|error| format!("asked about its own result: {error}"))?;
        }
        Ok(())
    }
}

fn webhook() -> Router {
    let look_up = LookUp::new(Facts::fixed(&[], &[]).unwrap(), client_answering(stored()));
    router(Webhook::new(look_up, Metrics::new(&mut Registry::default())))
}

fn check(inputs: impl Strategy<Value = Sent>) {
    let server = Server::start();
    siege::check(FEW, &inputs, |sent| server.check(&sent));
}

#[test]
fn arbitrary_bytes() {
    check(hostile::arbitrary_bytes());
}

#[test]
fn cut_and_flipped_reviews() {
    check(hostile::cut_and_flipped());
}

#[test]
fn text_that_is_not_utf8() {
    check(hostile::not_utf8());
}

#[test]
fn wrong_shapes() {
    check(hostile::wrong_shapes());
}

#[test]
fn odd_objects() {
    check(hostile::odd_objects());
}

#[test]
fn deep_nesting() {
    check(hostile::deep());
}

#[test]
fn huge_strings_and_numbers() {
    check(hostile::huge());
}

#[test]
fn long_lists() {
    check(hostile::long_lists());
}

#[test]
fn duplicate_keys() {
    check(hostile::duplicate_keys());
}

#[test]
fn odd_uids() {
    check(hostile::odd_uids());
}

#[test]
fn odd_heads() {
    check(hostile::odd_heads());
}

#[test]
fn bodies_that_stop_or_break_off() {
    check(hostile::halves());
}

/// Over real connections.
#[test]
fn hostile_connections() {
    let honest = siege::Request { path: "/pods?timeout=3s".into(), body: valid::ordinary().to_string().into() };
    siege::lay(&siege::Door { tls: true, honest, hostile: hostile::requests().boxed() }, webhook);
}

/// Without the route around it, which would hide a panic behind an answer.
#[test]
fn the_decoder_alone() {
    siege::check(FEW, &hostile::any_of_them(), |sent| {
        let decoded = review::decode(&sent.body);
        match (decoded, sent.review()) {
            (Ok(request), Some(review)) if review["request"]["uid"] == request.uid => Ok(()),
            (Err(Undecodable::Request { uid, .. }), Some(review)) if review["request"]["uid"] == uid => Ok(()),
            (Err(Undecodable::Garbage(message)), None) if !message.is_empty() => Ok(()),
            (decoded, review) => Err(format!("{decoded:?}, but the review is {review:?}")),
        }
    });
}
