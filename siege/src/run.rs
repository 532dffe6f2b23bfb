//! The siege: hostile clients come one after the other and stay, honest ones ask beside them.
//!
//! Invariant: hostile clients stay as long as the server lets them, up to [`HELD`] at once; the server has room for far fewer.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::Router;
use proptest::strategy::BoxedStrategy;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::address::Address;
use crate::cases::inputs;
use crate::honest::{Tally, ask};
use crate::hostile::{Client, clients};
use crate::server::{Server, THREAD};
use crate::words::Request;

/// Hostile clients that are there at once.
const HELD: usize = 200;
/// Of which so many speak.
const SPEAKING: usize = 8;
/// Honest clients: the address, and whether it keeps its connection. The first shares its address with hostile ones, as behind a proxy.
const HONEST: [(u8, bool); 2] = [(1, false), (100, true)];
/// Hostile clients unless `PROPTEST_CASES` says otherwise.
const FEW: u32 = 64;
/// Findings that are shown.
const SHOWN: usize = 5;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A door to besiege.
#[derive(Debug)]
pub struct Door {
    /// Whether it is behind TLS.
    pub tls: bool,
    /// What honest clients ask; the answer is 200.
    pub honest: Request,
    /// What hostile clients say who speak HTTP as they should.
    pub hostile: BoxedStrategy<Request>,
}

/// Besieges a door. Panics unless every honest request is answered in time, every answer is well formed, and nothing in the server panics.
pub fn lay(door: &Door, router: impl FnOnce() -> Router) {
    let panics_before = count_panics();
    let server = Server::start(router, door.tls);
    let over = AtomicBool::new(false);
    let (tally, hostile, findings) = thread::scope(|scope| {
        let asking = HONEST.map(|(from, keeps)| {
            let (address, request, over) = (server.address.clone(), door.honest.clone(), &over);
            let from = Ipv4Addr::new(127, 0, 0, from);
            let until = move |asked| over.load(Ordering::Relaxed) && asked > 0;
            scope.spawn(move || single().block_on(ask(address, from, keeps, request, until)))
        });
        let (hostile, findings) = attack(&server.address, &clients(&door.honest, door.hostile.clone()));
        over.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for one in asking {
            tally.add(one.join().expect("an honest client does not panic"));
        }
        (tally, hostile, findings)
    });
    let panics = PANICS.load(Ordering::Relaxed) - panics_before;
    let Tally { asked, answered, late, starved, failed } = &tally;
    let count = format!(
        "{hostile} hostile clients; of {asked} honest requests {answered} answered, {late} late, {starved} without a processor, {} failed; {panics} panics",
        failed.len()
    );
    println!("{count}");
    let failed: Vec<_> = failed.iter().take(SHOWN).collect();
    assert!(answered + starved == *asked && findings.is_empty() && panics == 0, "{count}: {failed:?} {findings:#?}");
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Sends all hostile clients. How many there were, and what was wrong with answers to them.
fn attack(to: &Address, clients: &impl proptest::strategy::Strategy<Value = Client>) -> (usize, Vec<String>) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (speaking, findings) = (Arc::new(Semaphore::new(SPEAKING)), Arc::new(Mutex::new(Vec::new())));
    let (mut held, mut count) = (VecDeque::<AbortHandle>::new(), 0);
    for client in inputs(FEW, clients) {
        let permit = runtime.block_on(speaking.clone().acquire_owned()).expect("it is never closed");
        let (to, findings) = (to.clone(), findings.clone());
        let task = runtime.spawn(async move {
            let said = format!("{client:?}");
            if let Err(wrong) = client.act(to, permit).await {
                findings.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{wrong}, to {said}"));
            }
        });
        held.push_back(task.abort_handle());
        if held.len() > HELD {
            held.pop_front().iter().for_each(AbortHandle::abort);
        }
        count += 1;
    }
    runtime.shutdown_background();
    let mut findings = std::mem::take(&mut *findings.lock().unwrap_or_else(PoisonError::into_inner));
    findings.truncate(SHOWN);
    (count, findings)
}

/// Counts panics of servers' threads from now on; how many there were before.
fn count_panics() -> usize {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if thread::current().name() == Some(THREAD) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(info);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}
