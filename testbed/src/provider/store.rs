//! The instances of a provider and the threads that work on them. Invariant: a record is on disk before the work it asks
//! for begins, and at most one thread works on an instance at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use api::provider::{ErrorCode, Instance, LaunchRequest, Offer, ProviderError};
use sha2::{Digest, Sha256};

use super::faults::Faults;
use super::instance::{Phase, Record};
use super::launch::{self, Decision};
use super::offers::offers;
use crate::cluster::Cluster;
use crate::shape::Machine;
use crate::{files, layout, node, say};

/// Ends the name of the empty file that says that a token was deleted.
const DELETED: &str = ".deleted";

/// All instances of one cluster.
pub(super) struct Store {
    cluster: Cluster,
    machine: Machine,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    records: BTreeMap<String, Record>,
    /// Tokens that a thread works on.
    busy: BTreeSet<String>,
    /// Tokens that were deleted: nothing is launched for them any more, however late a request comes.
    deleted: BTreeSet<String>,
    faults: Faults,
}

impl Store {
    /// Reads the records and goes on with whatever was under way.
    pub(super) fn open(cluster: Cluster) -> Result<Arc<Self>> {
        let (mut records, mut deleted) = (BTreeMap::new(), BTreeSet::new());
        fs::create_dir_all(cluster.layout().instances())?;
        for entry in fs::read_dir(cluster.layout().instances())?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            deleted.extend(name.strip_suffix(DELETED).map(ToOwned::to_owned));
            if let Some(token) = name.strip_suffix(".json")
                && let Some(record) = files::read_json(&entry.path())?
            {
                records.insert(token.to_owned(), record);
            }
        }
        let tokens: Vec<String> = records.keys().cloned().collect();
        let inner = Mutex::new(Inner { records, deleted, ..Inner::default() });
        let store = Arc::new(Self { cluster, machine: Machine::read()?, inner });
        for token in tokens {
            store.work(&token);
        }
        Ok(store)
    }

    /// What can be launched.
    pub(super) fn offers(&self) -> Vec<Offer> {
        offers(self.machine)
    }

    /// The faults in force.
    pub(super) fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Replaces the faults.
    pub(super) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Every instance that is not gone.
    pub(super) fn list(&self) -> Vec<Instance> {
        let records = self.lock().records.clone();
        records.iter().map(|(token, record)| self.view(token, record)).collect()
    }

    /// Whether a token was deleted.
    pub(super) fn is_deleted(&self, token: &str) -> bool {
        self.lock().deleted.contains(token)
    }

    /// Launches an instance, or finds the one that was launched with this token. `deleted`: it was when this was asked for.
    pub(super) fn launch(
        self: &Arc<Self>,
        token: &str,
        request: LaunchRequest,
        deleted: bool,
    ) -> Result<Result<Instance, ProviderError>> {
        let record = {
            let mut inner = self.lock();
            let known = inner.records.get(token);
            match launch::decide(token, &request, known, deleted, &self.offers(), &inner.faults, &self.machine) {
                Decision::Refuse(error) => return Ok(Err(error)),
                Decision::Known => known.cloned(),
                Decision::Make if node::find(self.cluster.layout(), token).is_some() => {
                    let message = format!("`{token}` is the name of a node that this provider did not launch");
                    return Ok(Err(ProviderError { code: ErrorCode::InvalidRequest, message }));
                }
                Decision::Make => {
                    let record = Record { id: fresh_id(token), request, phase: Phase::Pending };
                    files::write_json(&self.file(token), &record)?;
                    inner.records.insert(token.to_owned(), record.clone());
                    Some(record)
                }
            }
        };
        self.work(token);
        Ok(record.map(|record| self.view(token, &record)).ok_or_else(|| gone(token)))
    }

    /// Begins to terminate an instance; `None` if there is none. It is remembered in either case.
    pub(super) fn terminate(self: &Arc<Self>, token: &str) -> Result<Option<Instance>> {
        {
            let mut inner = self.lock();
            let is_name = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if is_name && !inner.deleted.contains(token) {
                fs::write(self.cluster.layout().instances().join(format!("{token}{DELETED}")), [])?;
                inner.deleted.insert(token.to_owned());
            }
        }
        self.turn(token, Phase::Terminating)
    }

    /// Lets an instance's machine die and waits until it is dead; `None` if there is none.
    pub(super) fn vanish(self: &Arc<Self>, token: &str) -> Result<Option<Instance>> {
        let turned = self.turn(token, Phase::Vanishing)?;
        let end = Instant::now() + Duration::from_secs(30);
        while turned.is_some() && self.lock().busy.contains(token) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(turned)
    }

    fn turn(self: &Arc<Self>, token: &str, phase: Phase) -> Result<Option<Instance>> {
        let Some(record) = self.set_phase(token, phase)? else { return Ok(None) };
        self.work(token);
        Ok(Some(self.view(token, &record)))
    }

    /// Stores a new phase. What is being terminated stays so.
    fn set_phase(&self, token: &str, phase: Phase) -> Result<Option<Record>> {
        let mut inner = self.lock();
        let Some(record) = inner.records.get_mut(token) else { return Ok(None) };
        if record.phase != Phase::Terminating {
            let next = Record { phase, ..record.clone() };
            files::write_json(&self.file(token), &next)?;
            *record = next;
        }
        Ok(Some(record.clone()))
    }

    /// Lets a thread do what the instance's phase asks for, unless one does already.
    fn work(self: &Arc<Self>, token: &str) {
        if !self.lock().busy.insert(token.to_owned()) {
            return;
        }
        let (store, token) = (Arc::clone(self), token.to_owned());
        std::thread::spawn(move || {
            while let Some(record) = store.next(&token) {
                if let Err(error) = store.step(&token, &record) {
                    say::say(&format!("instance {token}: {error:#}"));
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        });
    }

    /// The record if there is work left, else gives the token back: both under one lock, so no work is overlooked.
    fn next(&self, token: &str) -> Option<Record> {
        let mut inner = self.lock();
        let work = inner.records.get(token).filter(|r| !matches!(r.phase, Phase::Started | Phase::Failed)).cloned();
        if work.is_none() {
            inner.busy.remove(token);
        }
        work
    }

    fn step(&self, token: &str, record: &Record) -> Result<()> {
        match record.phase {
            Phase::Pending => {
                let phase = match self.boot(token, record) {
                    Ok(true) => Phase::Started,
                    // Something else is asked for by now.
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        say::say(&format!("instance {token} did not boot: {error:#}"));
                        Phase::Failed
                    }
                };
                self.finish(token, Phase::Pending, phase)
            }
            Phase::Vanishing => {
                self.power_off(token)?;
                self.finish(token, Phase::Vanishing, Phase::Failed)
            }
            Phase::Terminating => {
                self.power_off(token)?;
                fs::remove_file(self.file(token))?;
                self.lock().records.remove(token);
                Ok(())
            }
            Phase::Started | Phase::Failed => Ok(()),
        }
    }

    /// Boots the machine; false if the instance was turned away from booting meanwhile.
    fn boot(&self, token: &str, record: &Record) -> Result<bool> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(self.faults().boot_delay_ms) {
            if self.phase(token) != Some(Phase::Pending) {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let offers = self.offers();
        let offer = offers.iter().find(|offer| offer.name == record.request.offer);
        let Some(offer) = offer else { anyhow::bail!("the offer `{}` is gone", record.request.offer) };
        self.cluster.boot_node(&launch::options(token, &record.request, offer))?;
        Ok(true)
    }

    fn power_off(&self, token: &str) -> Result<()> {
        if node::find(self.cluster.layout(), token).is_some() {
            self.cluster.kill_node(token)?;
        }
        Ok(())
    }

    /// Moves on from one phase, unless the instance is in another one by now.
    fn finish(&self, token: &str, from: Phase, to: Phase) -> Result<()> {
        if self.phase(token) == Some(from) {
            self.set_phase(token, to)?;
        }
        Ok(())
    }

    fn phase(&self, token: &str) -> Option<Phase> {
        self.lock().records.get(token).map(|record| record.phase)
    }

    fn view(&self, token: &str, record: &Record) -> Instance {
        record.view(token, || {
            let found = node::find(self.cluster.layout(), token);
            found.is_some_and(|found| node::is_alive(&self.cluster.layout().node(found.index)))
        })
    }

    fn file(&self, token: &str) -> PathBuf {
        self.cluster.layout().instances().join(format!("{token}.json"))
    }

    /// A thread that panicked left a whole map behind: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(token: &str) -> ProviderError {
    ProviderError { code: ErrorCode::TryLater, message: format!("`{token}` has just gone; ask again") }
}

/// An id that no other instance has, also not a later one of the same token.
fn fresh_id(token: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let digest = Sha256::digest(format!("{token} {} {}", now.as_nanos(), std::process::id()).as_bytes());
    format!("i-{}", &layout::hex(&digest)[..17])
}
