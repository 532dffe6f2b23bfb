//! The loop: waits for a change, shows the world what is so, plans, carries out.
//!
//! Invariant: one cycle at a time, at most one every [`Config::min_interval`], and one that had to look at much is followed later; what
//! failed is planned again a second later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::access::Access;
use cluster::admin::Heartbeat;
use cluster::clock;
use cluster::events::Events;
use cluster::index::Index;
use cluster::pace::apart;
use cluster::policies::Policies;
use cluster::shutdown::Shutdown;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use model::clock::{Moment, Now, Steady};
use model::plan::{Launch, Plan, Retire};
use outputs::KubeOutputs;
use planning::world::{News, World};
use tokio::time;

use crate::context::Context;
use crate::door::{ApiDoor, Decided, LeadersStore, Limits};
use crate::dumps::Asked;
use crate::kept;
use crate::labels::Labels;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::positions::{Positions, Told};
use crate::rights::{DENIED_FOR, Rights};
use crate::said::Said;
use crate::{jobs, pods, report, status};

/// After a failed action the plan is made again this much later, even if nothing changes.
const RETRY: Duration = Duration::from_secs(1);
/// Before the first plan, a store that failed is asked again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// Something is planned at least this often: a guard against a wake-up that was computed wrongly.
const IDLE: Duration = Duration::from_secs(15);

/// How the loop runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between the starts of two cycles; changes in between are seen together.
    pub min_interval: Duration,
    /// The cluster ignores labels on a Binding (Kubernetes before 1.35): they are patched when a pod is seen bound without them.
    pub label_after_bind: bool,
    /// How the API's jobs are served.
    pub limits: Limits,
    /// Machines that are launched at a time, of all environments; the next ones follow when these are stored.
    pub launches_at_once: usize,
}

/// Carries out the part of a plan that concerns nodes. Answers false if something failed and should be planned again.
pub type NodeOrders = Box<dyn Fn(Vec<Launch>, Vec<Retire>) -> BoxFuture<'static, bool> + Send + Sync>;

/// What the loop works with.
pub struct Parts {
    /// Must not repeat requests by itself: refused bindings are planned again.
    pub client: Client,
    /// The same as user `aws-batch`, in whose name pods of the API are made.
    pub batch: Client,
    /// What is seen.
    pub index: Index,
    /// What is seen of network policies.
    pub policies: Policies,
    /// Where it is told.
    pub events: Events,
    /// Who carries out what concerns nodes.
    pub nodes: NodeOrders,
    /// What is counted.
    pub metrics: Metrics,
    /// Beats once a cycle.
    pub heartbeat: Heartbeat,
    /// The record store; without it everything works but the API's jobs.
    pub store: LeadersStore,
    /// Who wants to know what plans are made of.
    pub dumps: Asked,
    /// Where it is told after each plan who comes next in each queue.
    pub fronts: Told,
}

/// Runs the loop until `shutdown` stops. Whoever starts it has looked at the cluster after it was elected. The error says that another
/// leads by now.
pub async fn run(parts: Parts, config: Config, shutdown: Shutdown) -> Result<(), records::Error> {
    let Parts { client, batch, index, policies, events, nodes, metrics, heartbeat, store, mut dumps, fronts } = parts;
    let (rights, access) = (Rights::new(client.clone()), Access::new(client.clone()));
    let Config { min_interval, label_after_bind, limits, launches_at_once } = config;
    let context = Context { client, batch, rights, access, index, events, policies, label_after_bind };
    let outputs = Arc::new(KubeOutputs::new(context.batch.clone()));
    let mut door = ApiDoor::new(store, limits, outputs);
    let mut version = context.index.version();
    let mut world = World::default();
    let mut shown = Shown { launches_at_once, positions: Positions::new(fronts), ..Shown::default() };
    let stopped = shutdown.stopped();
    tokio::pin!(stopped);
    let begun = Instant::now();
    while door.is_awaited(begun.elapsed()) {
        heartbeat.beat();
        let pause = if door.read(&context, clock::now()).await { min_interval } else { AGAIN };
        tokio::select! {
            biased;
            () = &mut stopped => return Ok(()),
            () = time::sleep(pause) => {}
        }
    }
    while !door.is_late() {
        let started = Instant::now();
        version.borrow_and_update();
        heartbeat.beat();
        let Done { wake_at, failed, thought, at } =
            cycle(&context, &mut door, &mut world, &nodes, &metrics, &mut shown).await;
        heartbeat.beat();
        dumps.give(&world, at);
        if door.is_late() {
            break;
        }
        let pause = pause(wake_at, failed, clock::moment());
        // However early something is due: what it asks for may be impossible just now.
        let next = async {
            // The index outlives the loop, so the channel cannot close.
            tokio::select! {
                _ = version.changed() => {}
                () = door.changed() => {}
                () = context.rights.changed() => {}
                () = shown.orders.done() => {}
                () = dumps.next() => {}
                () = time::sleep(pause) => {}
            }
            time::sleep_until((started + apart(min_interval, thought)).into()).await;
        };
        tokio::select! {
            biased;
            () = &mut stopped => return Ok(()),
            () = next => {}
        }
    }
    Err(records::Error::Late)
}

/// What the loop remembers of what it has written, ordered and kept room for, and how much it orders at a time.
#[derive(Default)]
struct Shown {
    status: status::Shown,
    labels: Labels,
    said: Said,
    orders: Orders,
    kept: kept::Kept,
    positions: Positions,
    steady: Steady,
    launches_at_once: usize,
}

/// What came of a cycle.
struct Done {
    /// When to wake up at the latest.
    wake_at: Option<Moment>,
    /// Something failed.
    failed: bool,
    /// How long looking and planning took.
    thought: Duration,
    /// When the plan was made, as the world has it.
    at: Timestamp,
}

/// One cycle.
async fn cycle(
    context: &Context,
    door: &mut ApiDoor,
    world: &mut World<'static>,
    nodes: &NodeOrders,
    metrics: &Metrics,
    shown: &mut Shown,
) -> Done {
    // 1. what is seen
    let read = door.read(context, clock::now()).await;
    let (looked, now) = (Instant::now(), clock::now());
    let (news, steady) = look(context, door, world, shown, now).await;
    // 2. decide
    let began = Instant::now();
    world.show(news);
    let mut plan = world.plan(steady.wall);
    leave_nodes(&mut plan, door.is_blind(), shown);
    metrics.planned(began.elapsed(), &plan);
    let thought = looked.elapsed();
    log(&plan);
    if !door.is_blind() {
        shown.positions.tell(world, &plan, (|uid: &str| context.index.job_id(uid), &door.hidden()), steady);
    }
    // 3. do: what starts work first, then what explains it
    let Plan {
        release,
        dispatch,
        hold,
        launch,
        retire,
        status: changes,
        probe,
        unwritten,
        explain,
        mut queues,
        pods,
        keeps,
        wake_at,
    } = plan;
    shown.kept.take(&keeps, now.moment);
    door.count(world, &mut queues);
    let (attempts, dispatch): (Vec<_>, Vec<_>) = dispatch.into_iter().partition(|one| one.record.is_some());
    report::launches(context, &launch);
    let (choices, given): (Vec<_>, Vec<_>) = hold.into_iter().partition(|one| one.record.is_some());
    let decided = Decided { world, dispatch: &attempts, hold: &choices, explain: &explain };
    // What the cluster refuses of these is planned again when its time has come.
    let (nodes_ok, bound, (), (), (), (), recorded) = tokio::join!(
        shown.orders.give(nodes, launch, retire),
        pods::bind_all(context, &dispatch),
        pods::hold_all(context, &given),
        pods::look_all(context),
        jobs::release_all(context, &release),
        jobs::probe_all(context, &probe),
        door.after(context, decided, now),
    );
    report::dispatches(context, &bound);
    jobs::show_only(context, &unwritten, &changes);
    jobs::write_all(context, &changes).await;
    jobs::finish_all(context).await;
    shown.labels.look(context);
    let says_more = shown.said.write(context, pods, now);
    let next_status = shown.status.update(context, world, &queues, now.moment).await;
    let failed = !read || !recorded || !nodes_ok || says_more;
    let next_doubt = context.index.next_doubt(now);
    let next_try = context.index.next_try(clock::moment());
    let next_record = door.wake_at(now);
    let next_right = (!world.closed().is_empty()).then(|| now.moment.plus(DENIED_FOR));
    let planned = wake_at.map(|due| steady.moment_of(due));
    let wake_at = [planned, next_status, next_doubt, next_try, next_record, next_right].into_iter().flatten().min();
    Done { wake_at, failed, thought, at: steady.wall }
}

/// What is new since the world was shown something last, and the time as all of that has it.
async fn look(context: &Context, door: &mut ApiDoor, world: &World<'_>, shown: &mut Shown, now: Now) -> (News, Now) {
    // What is as it was has the same times as before, or all would be news.
    let steady = shown.steady.at(now);
    // Pods and what they leave free are of one moment, or a pod that appears in between takes no room anywhere.
    let (mut news, attempts) = context.index.look(steady);
    door.observe(context, world, (&mut news, attempts), now, steady);
    context.rights.look(&context.index, &mut news).await;
    news.kept_since = shown.kept.since(steady);
    (news, steady)
}

/// Takes out of a plan what it may not ask of nodes yet: while jobs of the API are not known, or what was asked before is not done; and
/// more than may be asked at a time.
fn leave_nodes(plan: &mut Plan, blind: bool, shown: &Shown) {
    let busy = shown.orders.are_under_way();
    plan.launch.truncate(if busy { 0 } else { shown.launches_at_once });
    if busy || blind {
        plan.retire.clear();
    }
}

fn pause(wake_at: Option<Moment>, failed: bool, now: Moment) -> Duration {
    let retry = failed.then(|| now.plus(RETRY));
    let pause = wake_at.into_iter().chain(retry).min().map_or(IDLE, |due| due.since(now));
    // A millisecond more, so that a wake-up is never a moment early and planned in vain.
    pause.min(IDLE) + Duration::from_millis(1)
}

fn log(plan: &Plan) {
    let count = plan.release.len() + plan.dispatch.len() + plan.hold.len() + plan.launch.len() + plan.retire.len();
    if count > 0 {
        tracing::info!(
            release = plan.release.len(),
            dispatch = plan.dispatch.len(),
            hold = plan.hold.len(),
            launch = plan.launch.len(),
            retire = plan.retire.len(),
            "planned"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_wakes_at_the_earliest_reason() {
        let now = Moment::after(Duration::from_secs(100));
        let milli = Duration::from_millis(1);
        let at = |seconds: u64| Some(Moment::after(Duration::from_secs(seconds)));
        for (wake_at, failed, expected) in [
            (None, false, IDLE),
            (None, true, Duration::from_secs(1)),
            (at(105), false, Duration::from_secs(5)),
            (at(105), true, Duration::from_secs(1)),
            (at(95), false, Duration::ZERO),
            (at(600), false, IDLE),
        ] {
            assert_eq!(pause(wake_at, failed, now), expected + milli, "{wake_at:?} {failed}");
        }
    }
}
