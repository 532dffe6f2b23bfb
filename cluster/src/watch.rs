//! The watches that feed the index, one per kind.
//!
//! Invariant: a watch never ends while the process runs: whatever goes wrong (a kind that is not installed yet, a lost
//! connection, an expired version) is logged and tried again with growing pauses. Who asks for a fresh look ([`Sight`]) gets lists that
//! were begun after he asked. Does not know what is kept of an object.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use api::convert::mount;
use api::{BatchNode, ComputeEnvironment, JobQueue};
use futures::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as CoreEvent, LimitRange, Namespace, Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::DeserializeGuard;
use kube::runtime::watcher as watch;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Client, Resource};
use model::keys;
use serde::de::DeserializeOwned;
use tokio::sync::watch as watch_channel;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::index::{Change, Index};
use crate::lean::{Lean, map};
use crate::tasks::Tasks;

/// Short: a watch that broke is blindness.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// So that a cluster that comes back, or a manifest that is applied, is seen within seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Between two lists that are wanted because there is room for more: whoever fills and frees it again and again causes no more of them, and
/// none is broken off by the next.
const REST: Duration = Duration::from_mins(1);
/// Objects in one page of a list. Each may have a megabyte and a half, and a page is held three times while it is read.
const PAGE: u32 = 24;

/// A way to ask all watches to look again. However long they have been silent or have lagged behind, what they show then is not older
/// than the question; also where nothing ever changes.
#[derive(Debug)]
pub struct Sight {
    /// Number of the last question.
    asked: watch_channel::Sender<u64>,
    /// Of each kind that a plan depends on: number of the question that its last complete list answers.
    answered: Vec<watch_channel::Receiver<u64>>,
}

impl Sight {
    /// Has everything listed anew, and waits until the index has all of it.
    pub async fn renew(&mut self) {
        self.asked.send_modify(|number| *number += 1);
        let number = *self.asked.borrow();
        for answered in &mut self.answered {
            // A watch that is gone takes the process with it.
            let _last = answered.wait_for(|answered| *answered >= number).await;
        }
    }
}

/// Starts all watches. Readers wait for [`Index::wait_synced`].
pub fn spawn_watches(client: &Client, index: &Index, tasks: &mut Tasks) -> Sight {
    let sight = Sight { asked: watch_channel::Sender::new(0), answered: Vec::new() };
    // Pages of one list at a time: what users write is large where they want it to be.
    let lists = Arc::new(Semaphore::new(1));
    let mut watches = Watches { client, index, tasks, sight, lists };
    // All pods, not only those of queues: others take room on batch nodes too; and ended ones, because failures are counted.
    let wanted = index.pods_wanted();
    watches.spawn_again::<Pod>(Config::default(), |event| Change::Pod(Box::new(event)), wanted);
    watches.spawn::<Job>(Config::default().labels(keys::QUEUE));
    watches.spawn::<Node>(Config::default());
    watches.spawn::<ComputeEnvironment>(Config::default());
    watches.spawn::<JobQueue>(Config::default());
    watches.spawn::<BatchNode>(Config::default());
    watches.spawn::<Namespace>(Config::default());
    // What they add to pods is counted before a Job is released.
    watches.spawn::<LimitRange>(Config::default());
    watches.spawn::<RuntimeClass>(Config::default());
    // Those that follow only help to explain: nobody waits for them.
    let answered = std::mem::take(&mut watches.sight.answered);
    let refused = format!("reason={},involvedObject.kind=Job", api::convert::refusal::REASON);
    watches.spawn::<CoreEvent>(Config::default().fields(&refused));
    // A field selector knows no "or".
    let about_pods = |reason| Config::default().fields(&format!("reason={reason},involvedObject.kind=Pod"));
    watches.spawn_as::<CoreEvent>(about_pods(mount::MOUNT), |event| Change::Mount(Box::new(guarded(event))));
    watches.spawn_as::<CoreEvent>(about_pods(mount::ATTACH), |event| Change::Attach(Box::new(guarded(event))));
    let named = |name| Config::default().fields(&format!("metadata.name={name}"));
    watches.spawn::<MutatingWebhookConfiguration>(named(keys::WEBHOOK_CONFIGURATION));
    watches.spawn_as::<MutatingWebhookConfiguration>(named(keys::LATE_WEBHOOK_CONFIGURATION), |event| {
        Change::LateHooks(Box::new(guarded(event)))
    });
    Sight { answered, ..watches.sight }
}

struct Watches<'a> {
    client: &'a Client,
    index: &'a Index,
    tasks: &'a mut Tasks,
    sight: Sight,
    lists: Arc<Semaphore>,
}

impl Watches<'_> {
    fn spawn<K>(&mut self, config: Config)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
        Change: From<Event<DeserializeGuard<K>>>,
    {
        self.spawn_as::<K>(config, |event| Change::from(guarded(event)));
    }

    /// Of a kind that is watched more than once.
    fn spawn_as<K>(&mut self, config: Config, change: fn(Event<Lean<K>>) -> Change)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        // Nobody wants it listed anew.
        let (_, again) = watch_channel::channel(());
        self.spawn_again(config, change, again);
    }

    /// Of a kind that is listed anew also when `again` changes.
    fn spawn_again<K>(
        &mut self,
        config: Config,
        change: fn(Event<Lean<K>>) -> Change,
        again: watch_channel::Receiver<()>,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let (api, index, lists) = (Api::all(self.client.clone()), self.index.clone(), self.lists.clone());
        let config = config.page_size(PAGE);
        let kind = K::kind(&()).into_owned();
        let (answers, answered) = watch_channel::channel(0);
        self.sight.answered.push(answered);
        let asked = (self.sight.asked.subscribe(), again);
        self.tasks.spawn_interruptible(&format!("watch of {kind}"), async move {
            let look = || watch(api.clone(), config.clone());
            run(&kind, look, |event| index.feed(change(event)), asked, answers, lists).await;
        });
    }
}

/// Resolves when a list is wanted, not before its time.
async fn wanted(
    again: &mut watch_channel::Receiver<()>,
    rested: Instant,
) -> Result<(), watch_channel::error::RecvError> {
    tokio::time::sleep_until(rested).await;
    again.changed().await
}

/// Feeds what one look after the other shows; each lasts until the next is asked for.
async fn run<K, S: Stream<Item = watcher::Result<Event<K>>>>(
    kind: &str,
    look: impl Fn() -> S,
    feed: impl Fn(Event<K>),
    (mut asked, mut again): (watch_channel::Receiver<u64>, watch_channel::Receiver<()>),
    answers: watch_channel::Sender<u64>,
    lists: Arc<Semaphore>,
) {
    let (mut failing, mut pause) = (false, FIRST_PAUSE);
    loop {
        let mut turn: Option<OwnedSemaphorePermit> = None;
        let number = *asked.borrow_and_update();
        // The stream goes on after errors and has no end of its own.
        let events = look();
        let rested = Instant::now() + REST;
        pin_mut!(events);
        loop {
            let event = tokio::select! {
                biased;
                Ok(()) = asked.changed() => break,
                Ok(()) = wanted(&mut again, rested) => break,
                Some(event) = events.next() => event,
            };
            match event {
                Ok(event) => {
                    // A list that only begins proves nothing: the request is still to come.
                    if !matches!(event, Event::Init) {
                        pause = FIRST_PAUSE;
                        if std::mem::take(&mut failing) {
                            tracing::info!(kind, "watch works again");
                        }
                    }
                    let complete = matches!(event, Event::InitDone);
                    match &event {
                        // The first page is asked for when the next event is.
                        Event::Init => turn = lists.clone().acquire_owned().await.ok(),
                        Event::InitDone => turn = None,
                        _ => {}
                    }
                    feed(event);
                    if complete {
                        answers.send_replace(number);
                    }
                }
                Err(error) => {
                    // Others go on while this one pauses.
                    drop(turn.take());
                    failing = report(kind, &error, pause) || failing;
                    tokio::time::sleep(pause).await;
                    pause = longer(pause);
                }
            }
        }
    }
}

fn guarded<K>(event: Event<Lean<K>>) -> Event<DeserializeGuard<K>> {
    map(event, |lean| lean.object)
}

/// Logs a failure. Returns whether there was one to log.
fn report(kind: &str, error: &watcher::Error, pause: Duration) -> bool {
    // Versions expire whenever the API server has been busy for a while; the watch lists again by itself.
    if let watcher::Error::WatchError(status) = error
        && status.code == 410
    {
        tracing::debug!(kind, "watch starts again");
        return false;
    }
    let hint = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "this kind is not installed: apply Bulkhead's manifest"
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403 => {
            "the service account may not list it: apply Bulkhead's manifest"
        }
        _ => "",
    };
    tracing::warn!(kind, error = %crate::telemetry::chain(error), hint, next_try = ?pause, "watch failed");
    true
}

/// The pause after the next failure in a row.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures::FutureExt as _;
    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use std::cell::{Cell, RefCell};

    type Events = UnboundedSender<watcher::Result<Event<&'static str>>>;

    #[tokio::test(start_paused = true)]
    async fn a_fresh_look_is_a_list_that_was_begun_after_the_question() {
        let (asked, questions) = watch_channel::channel(0);
        let (answers, answered) = watch_channel::channel(0);
        let mut sight = Sight { asked, answered: vec![answered] };
        let (looks, seen) = (RefCell::new(Vec::<Events>::new()), Cell::new(0));
        let look = || {
            let (events, stream) = unbounded();
            looks.borrow_mut().push(events);
            stream
        };
        let (want, wanted) = watch_channel::channel(());
        let feed = |_| seen.set(seen.get() + 1);
        let watching = run("thing", look, feed, (questions, wanted), answers, Arc::new(Semaphore::new(1)));
        pin_mut!(watching);
        assert_eq!(watching.as_mut().now_or_never(), None);
        let send = |look: usize, event| looks.borrow()[look].unbounded_send(Ok(event)).is_ok();
        for event in [Event::Init, Event::InitApply("a"), Event::InitDone] {
            assert!(send(0, event));
        }
        assert_eq!((watching.as_mut().now_or_never(), seen.get()), (None, 3));
        let renewing = sight.renew();
        pin_mut!(renewing);
        assert_eq!(renewing.as_mut().now_or_never(), None);
        // What the old look would have shown does not count any more.
        assert!(send(0, Event::Init) && send(0, Event::InitDone));
        assert_eq!((watching.as_mut().now_or_never(), looks.borrow().len(), seen.get()), (None, 2, 3));
        assert!(!send(0, Event::InitDone), "nobody listens");
        assert!(send(1, Event::Init) && send(1, Event::InitApply("b")));
        assert_eq!((watching.as_mut().now_or_never(), renewing.as_mut().now_or_never()), (None, None));
        assert!(send(1, Event::InitDone));
        assert_eq!(watching.as_mut().now_or_never(), None);
        assert_eq!(renewing.as_mut().now_or_never(), Some(()));
        want.send_replace(());
        assert_eq!((watching.as_mut().now_or_never(), looks.borrow().len()), (None, 2), "not so soon");
        tokio::time::advance(REST).await;
        assert_eq!((watching.as_mut().now_or_never(), looks.borrow().len()), (None, 3), "listed anew");
        want.send_replace(());
        assert_eq!((watching.as_mut().now_or_never(), looks.borrow().len()), (None, 3), "the list is not broken off");
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause))).take(6).collect();
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [500, 1000, 2000, 4000, 8000, 8000]);
    }
}
