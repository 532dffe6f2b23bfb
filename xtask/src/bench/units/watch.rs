//! Pods of one namespace, as the client sees them, with the time at which it did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use super::lean::{self, Lean};
use super::sight::{Seen, Sight};

/// Without any news for so long, nothing more comes.
const PATIENCE: Duration = Duration::from_mins(2);

enum News {
    /// The watch is open.
    Open,
    Pod(Instant, Seen),
}

/// A watch in a task of its own, so that the time is right whatever else the client does.
pub(super) struct Watch {
    news: UnboundedReceiver<News>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to watch, and returns when whatever happens from now on is seen.
    pub(super) async fn begin(client: &Client, namespace: &str) -> Result<Self> {
        let (sender, mut news) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch(lean::pods(client, namespace), sender));
        let open = tokio::time::timeout(PATIENCE, news.recv()).await;
        match open.context("the pods cannot be watched")? {
            Some(News::Open) => Ok(Self { news, task }),
            _ => bail!("there are pods in {namespace} already"),
        }
    }

    /// Takes in what is seen, with the time since then, until it is enough.
    pub(super) async fn until(
        &mut self,
        begin: Instant,
        sight: &mut Sight,
        enough: impl Fn(&Sight) -> bool,
    ) -> Result<()> {
        while !enough(sight) {
            let next = tokio::time::timeout(PATIENCE, self.news.recv()).await;
            let next = next.with_context(|| {
                let (bound, running) = (sight.bound().len(), sight.running().len());
                format!("nothing happens any more: {bound} pods are on a node, {running} run")
            })?;
            if let News::Pod(at, seen) = next.context("the watch has ended")? {
                sight.saw(at.saturating_duration_since(begin), seen);
            }
        }
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(pods: Api<Lean>, sender: UnboundedSender<News>) {
    let events = watcher::watcher(pods, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let now = Instant::now();
        let news = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => News::Pod(now, lean::seen(pod)),
            Ok(Event::InitDone) => News::Open,
            // A watch that broke is begun again; what it missed is in its next list.
            Ok(Event::Init | Event::Delete(_)) | Err(_) => continue,
        };
        if sender.send(news).is_err() {
            return;
        }
    }
}
