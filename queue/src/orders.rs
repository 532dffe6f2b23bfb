//! Hands what a plan says about nodes to whoever carries it out, beside the loop if that takes long.
//!
//! Invariant: nothing more is ordered until what was ordered is done, because what it brings is not seen before: the same would be launched
//! twice. Does not know what is done.

use model::plan::{Launch, Retire};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cycle::NodeOrders;
use crate::write::PATIENCE;

/// What was ordered, while it is under way.
#[derive(Debug, Default)]
pub(crate) struct Orders(Option<JoinHandle<bool>>);

impl Orders {
    /// Whether nothing can be ordered now.
    pub(crate) fn are_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Orders something, unless something is under way. False: it failed, and the plan is to be made again.
    pub(crate) async fn give(&mut self, nodes: &NodeOrders, launches: Vec<Launch>, retires: Vec<Retire>) -> bool {
        if self.are_under_way() || (launches.is_empty() && retires.is_empty()) {
            return true;
        }
        let mut work = tokio::spawn(nodes(launches, retires));
        if let Ok(done) = timeout(PATIENCE, &mut work).await {
            return done.unwrap_or(false);
        }
        tracing::warn!("what is planned for nodes takes long; nothing more is launched or retired until it is done");
        self.0 = Some(work);
        true
    }

    /// Waits until what takes long is done.
    pub(crate) async fn done(&mut self) {
        match &mut self.0 {
            Some(work) => {
                // What failed is planned again, as what did not.
                let _failed = work.await;
                self.0 = None;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt as _;
    use model::resources::Resources;
    use model::snapshot::Offer;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::*;

    fn launches() -> Vec<Launch> {
        let offer = Offer {
            name: "m".into(),
            milli_vcpus: 1000,
            allocatable: Resources::default(),
            price_micros: 1,
            spot: false,
            labels: BTreeMap::new(),
        };
        let (environment, aws_name, environment_uuid) = ("ce".into(), "CE".into(), "u".into());
        vec![Launch { environment, aws_name, environment_uuid, offer, job: None }]
    }

    #[tokio::test(start_paused = true)]
    async fn orders_that_hang_keep_nobody_and_are_not_given_twice() {
        let (given, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let nodes: NodeOrders = {
            let (given, gate) = (given.clone(), gate.clone());
            Box::new(move |_, _| {
                given.fetch_add(1, Ordering::Relaxed);
                let gate = gate.clone();
                async move { gate.acquire_owned().await.is_ok() }.boxed()
            })
        };
        let (mut orders, begun) = (Orders::default(), Instant::now());
        assert!(orders.give(&nodes, vec![], vec![]).await, "nothing to do");
        assert!(orders.give(&nodes, launches(), vec![]).await, "it goes on by itself");
        assert!(orders.give(&nodes, launches(), vec![]).await && orders.are_under_way());
        assert_eq!((given.load(Ordering::Relaxed), begun.elapsed()), (1, PATIENCE));
        gate.add_permits(2);
        orders.done().await;
        assert!(orders.give(&nodes, launches(), vec![]).await);
        assert_eq!((given.load(Ordering::Relaxed), begun.elapsed()), (2, PATIENCE));
    }
}
