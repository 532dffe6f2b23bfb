//! Events about objects, as `kubectl describe` shows them.
//!
//! Invariant: telling never waits and never fails the teller. Events go through a bounded queue to one task; what does not
//! fit or is refused is logged. The same sentence about the same object within five minutes counts up one Event; another
//! sentence is another Event, even for the same reason.
//!
//! It does not know what happened. (kube's own `Recorder` is not used because it keeps the first note of a reason: "waits
//! for 3 nodes" would still be shown when it has become "waits for 1 node".)

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{shutdown::Shutdown, telemetry::chain};

/// Events that wait to be written; a burst of some hundred Jobs fits.
const QUEUE: usize = 4096;
/// How long a repeated sentence counts up the Event it started with.
const SERIES: Duration = Duration::from_mins(5);
/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1024;
/// One Event may not hold up the others for longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// What is still queued when the process stops is written within this time, or lost.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether an event is news or trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Things go as they should.
    Normal,
    /// Somebody may have to do something.
    Warning,
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The component: `bulkhead.dev/queue` for example.
    pub controller: String,
    /// The process: the pod's name.
    pub instance: String,
}

/// Where the rest of the process tells its events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Said>,
}

#[derive(Clone, Debug)]
struct Said {
    about: ObjectReference,
    kind: Kind,
    reason: String,
    note: String,
}

/// Writes what [`Events`] are told; has to be run.
pub struct Writer {
    client: Client,
    reporter: Reporter,
    queue: mpsc::Receiver<Said>,
    recent: Recent,
}

/// Makes the two ends.
pub fn channel(client: Client, reporter: Reporter) -> (Events, Writer) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let writer = Writer { client, reporter, queue, recent: Recent::default() };
    (Events { queue: sender }, writer)
}

impl Events {
    /// Tells that something went as it should. `about` is `object.object_ref(&())`, with its namespace and uid.
    pub fn normal(&self, about: &ObjectReference, reason: &str, note: impl Into<String>) {
        self.tell(about, Kind::Normal, reason, note.into());
    }

    /// Tells that somebody may have to do something.
    pub fn warning(&self, about: &ObjectReference, reason: &str, note: impl Into<String>) {
        self.tell(about, Kind::Warning, reason, note.into());
    }

    fn tell(&self, about: &ObjectReference, kind: Kind, reason: &str, note: String) {
        let said = Said { about: about.clone(), kind, reason: reason.to_owned(), note: shorten(note) };
        if let Err(error) = self.queue.try_send(said) {
            let name = about.name.as_deref().unwrap_or_default();
            tracing::warn!(%error, object = name, reason, "an event is lost");
        }
    }
}

impl Writer {
    /// Writes until `shutdown` stops, then what is still queued.
    pub async fn run(mut self, shutdown: Shutdown) {
        let stopped = shutdown.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                said = self.queue.recv() => match said {
                    Some(said) => self.write(said).await,
                    // Nobody is left who could tell anything.
                    None => return (&mut stopped).await,
                },
            }
        }
        self.queue.close();
        let flush = async {
            while let Some(said) = self.queue.recv().await {
                self.write(said).await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, flush).await.is_err() {
            tracing::warn!("some events were not written before the end");
        }
    }

    async fn write(&mut self, said: Said) {
        let now = Instant::now();
        let written = match self.recent.again(&said, now) {
            Some((name, count)) => self.repeat(&said, &name, count).await,
            None => self.create(&said, now).await,
        };
        if let Err(error) = written {
            let object = said.about.name.as_deref().unwrap_or_default();
            let namespace = said.about.namespace.as_deref().unwrap_or_default();
            tracing::warn!(
                error = chain(&error),
                object,
                namespace,
                reason = said.reason,
                "an event cannot be written"
            );
        }
    }

    async fn create(&mut self, said: &Said, now: Instant) -> Result<(), WriteError> {
        let event = event(said, &self.reporter, Timestamp::now());
        let name = event.metadata.name.clone().unwrap_or_default();
        within(self.api(said).create(&PostParams::default(), &event)).await?;
        self.recent.remember(said, name, now);
        Ok(())
    }

    async fn repeat(&mut self, said: &Said, name: &str, count: i32) -> Result<(), WriteError> {
        let series = EventSeries { count, last_observed_time: MicroTime(Timestamp::now()) };
        let patch = Patch::Merge(json!({ "series": series }));
        match within(self.api(said).patch(name, &PatchParams::default(), &patch)).await {
            // Events expire; then the sentence starts again.
            Err(WriteError::Api(error)) if is_not_found(&error) => self.create(said, Instant::now()).await,
            other => other.map(drop),
        }
    }

    fn api(&self, said: &Said) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace_of(&said.about))
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the API server refused")]
    Api(#[source] Box<kube::Error>),
    #[error("the API server did not answer within {WRITE_TIMEOUT:?}")]
    Timeout,
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match tokio::time::timeout(WRITE_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| WriteError::Api(Box::new(error))),
        Err(_) => Err(WriteError::Timeout),
    }
}

/// The sentences of the last minutes and the Events they are counted in.
#[derive(Debug, Default)]
struct Recent {
    known: HashMap<Key, Series>,
    swept: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    object: String,
    kind: Kind,
    reason: String,
    note: String,
}

#[derive(Debug)]
struct Series {
    event: String,
    count: i32,
    begun: Instant,
}

impl Key {
    fn of(said: &Said) -> Self {
        let about = &said.about;
        let name = [&about.kind, &about.namespace, &about.name, &about.uid];
        Self {
            object: name.map(|part| part.as_deref().unwrap_or_default()).join("/"),
            kind: said.kind,
            reason: said.reason.clone(),
            note: said.note.clone(),
        }
    }
}

impl Recent {
    /// The Event that this sentence repeats, and how often it was said by now.
    fn again(&mut self, said: &Said, now: Instant) -> Option<(String, i32)> {
        self.sweep(now);
        let series = self.known.get_mut(&Key::of(said))?;
        if now.saturating_duration_since(series.begun) >= SERIES {
            return None;
        }
        series.count = series.count.saturating_add(1);
        Some((series.event.clone(), series.count))
    }

    fn remember(&mut self, said: &Said, event: String, now: Instant) {
        let series = Series { event, count: 1, begun: now };
        self.known.insert(Key::of(said), series);
    }

    /// Forgets what is over, at most once per series length, so that the cost per event stays small.
    fn sweep(&mut self, now: Instant) {
        let due = self.swept.is_none_or(|last| now.saturating_duration_since(last) >= SERIES);
        if due {
            self.known.retain(|_, series| now.saturating_duration_since(series.begun) < SERIES);
            self.swept = Some(now);
        }
    }
}

/// Events about objects outside namespaces live in `default`; the API server accepts nothing else.
fn namespace_of(about: &ObjectReference) -> &str {
    about.namespace.as_deref().unwrap_or("default")
}

fn event(said: &Said, reporter: &Reporter, now: Timestamp) -> Event {
    let about = said.about.name.as_deref().unwrap_or("bulkhead");
    Event {
        metadata: ObjectMeta {
            // Unique per object: two events of one process never carry the same nanosecond.
            name: Some(format!("{about}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace_of(&said.about).to_owned()),
            ..ObjectMeta::default()
        },
        action: Some(said.reason.clone()),
        reason: Some(said.reason.clone()),
        note: Some(said.note.clone()),
        type_: Some(format!("{:?}", said.kind)),
        event_time: Some(MicroTime(now)),
        regarding: Some(said.about.clone()),
        reporting_controller: Some(reporter.controller.clone()),
        reporting_instance: Some(reporter.instance.clone()),
        ..Event::default()
    }
}

fn shorten(mut note: String) -> String {
    if note.len() > NOTE_LIMIT {
        note.truncate(note.floor_char_boundary(NOTE_LIMIT - '…'.len_utf8()));
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(note: &str) -> Said {
        Said {
            about: ObjectReference {
                kind: Some("Job".to_owned()),
                namespace: Some("team".to_owned()),
                name: Some("train".to_owned()),
                uid: Some("1".to_owned()),
                ..ObjectReference::default()
            },
            kind: Kind::Warning,
            reason: "Waiting".to_owned(),
            note: note.to_owned(),
        }
    }

    #[test]
    fn the_same_sentence_is_counted_and_another_one_is_not() {
        let mut recent = Recent::default();
        let now = Instant::now();
        assert_eq!(recent.again(&said("for 3 nodes"), now), None);
        recent.remember(&said("for 3 nodes"), "train.1".to_owned(), now);
        assert_eq!(recent.again(&said("for 3 nodes"), now), Some(("train.1".to_owned(), 2)));
        assert_eq!(recent.again(&said("for 3 nodes"), now), Some(("train.1".to_owned(), 3)));
        assert_eq!(recent.again(&said("for 1 node"), now), None);
    }

    #[test]
    fn a_sentence_starts_again_after_its_time_and_is_forgotten() {
        let mut recent = Recent::default();
        let now = Instant::now();
        recent.remember(&said("for 3 nodes"), "train.1".to_owned(), now);
        assert_eq!(recent.again(&said("for 3 nodes"), now + SERIES), None);
        assert!(recent.known.is_empty());
    }

    #[test]
    fn an_event_carries_what_the_api_server_demands() {
        let reporter =
            Reporter { controller: "bulkhead.dev/queue".to_owned(), instance: "bulkhead-controller-0".to_owned() };
        let made = event(&said("for 3 nodes"), &reporter, Timestamp::from_second(1).unwrap());
        assert_eq!(made.metadata.name.as_deref(), Some("train.3b9aca00"));
        assert_eq!(made.metadata.namespace.as_deref(), Some("team"));
        assert_eq!(made.type_.as_deref(), Some("Warning"));
        assert_eq!(made.action.as_deref(), Some("Waiting"));
        let mut of_a_node = said("gone");
        of_a_node.about.namespace = None;
        let made = event(&of_a_node, &reporter, Timestamp::UNIX_EPOCH);
        assert_eq!(made.metadata.namespace.as_deref(), Some("default"));
    }

    #[test]
    fn notes_are_cut_at_what_the_api_server_takes() {
        assert_eq!(shorten("short".to_owned()), "short");
        let cut = shorten("ö".repeat(2000));
        assert!(cut.len() <= NOTE_LIMIT && cut.ends_with('…'), "{}", cut.len());
    }
}
