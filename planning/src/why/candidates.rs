//! Changes that may let something start.
//!
//! Invariant: only what an admin or user can bring about, or what time brings. Does not know whether it helps.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::placement::{Shape, Taint, Toleration};
use model::quantity::format_milli;
use model::resources::{Resources, describe};
use model::snapshot::{Environment, Job, Node, Offer, Place, Queue, Scaling, Snapshot};

use super::Seen;
use super::change::Change;
use super::subject::{Wanted, is_of};
use crate::cycle::choose::is_allowed;
use crate::explain::taint_text;
use crate::promise::Promise;

/// What may be changed.
#[derive(Default)]
pub(super) struct Candidates<'c> {
    /// Of itself, its queue, and the environments of that.
    pub(super) near: Vec<Change<'c>>,
    /// What has more to do with others.
    pub(super) far: Vec<Change<'c>>,
}

/// All that may help.
pub(super) fn candidates<'c>(seen: &Seen<'c>, wanted: &Wanted<'c>) -> Candidates<'c> {
    let mut all = Candidates { near: own(seen, wanted), far: Vec::new() };
    let uid = wanted.uid;
    let queue = seen.snapshot.queues.iter().find(|queue| queue.name == wanted.queue);
    of_queue(seen, wanted, &mut all);
    all.near.push(Change::new("nothing else waits", move |one| alone_in_line(one, uid)));
    for (index, environment) in seen.snapshot.environments.iter().enumerate() {
        let is_own = queue.is_none_or(|queue| names(queue, environment));
        let some = if is_own { &mut all.near } else { &mut all.far };
        of_environment(seen, wanted, (index, environment), some);
    }
    all
}

fn of_queue<'c>(seen: &Seen<'c>, wanted: &Wanted<'c>, all: &mut Candidates<'c>) {
    let (snapshot, name) = (seen.snapshot, wanted.queue);
    let Some((index, queue)) = snapshot.queues.iter().enumerate().find(|(_, queue)| queue.name == name) else {
        all.near.push(Change::new(
            format!("there is a job queue {name} that may use all compute environments"),
            move |one| {
                one.queues.push(Queue {
                    name: name.to_owned(),
                    aws_name: name.to_owned(),
                    priority: 0,
                    enabled: true,
                    environments: snapshot.environments.iter().map(|one| one.name.clone()).collect(),
                    strict_fifo: false,
                });
            },
        ));
        return;
    };
    if !queue.enabled {
        all.near.push(Change::new(format!("queue {name} is ENABLED"), move |one| one.queues[index].enabled = true));
    }
    if queue.strict_fifo {
        let apply = move |one: &mut Snapshot| one.queues[index].strict_fifo = false;
        all.near.push(Change::new(format!("queue {name} is not strictFifo"), apply));
    }
    for environment in snapshot.environments.iter().filter(|one| !names(queue, one)) {
        let text = format!("queue {name} may use compute environment {}, too", environment.aws_name);
        let apply = move |one: &mut Snapshot| one.queues[index].environments.push(environment.name.clone());
        all.far.push(Change::new(text, apply));
    }
}

fn names(queue: &Queue, environment: &Environment) -> bool {
    queue.environments.iter().any(|name| *name == environment.name || *name == environment.aws_name)
}

/// What its user, or whoever rules the cluster, can do about it.
fn own<'c>(seen: &Seen<'c>, wanted: &Wanted<'c>) -> Vec<Change<'c>> {
    let (snapshot, uid) = (seen.snapshot, wanted.uid);
    let mut all = Vec::new();
    let of_job = move |change: fn(&mut Job)| {
        move |one: &mut Snapshot| one.jobs.iter_mut().filter(|job| job.uid == uid).for_each(change)
    };
    if let Some(job) = wanted.unreleased() {
        if job.held {
            all.push(Change::new("its spec.suspend is set to false", of_job(|job| job.held = false)));
        }
        if job.parallelism == 0 {
            all.push(Change::new("its parallelism is raised", of_job(|job| job.parallelism = 1)));
        }
    }
    if let Some(reason) = wanted.barred(snapshot) {
        all.push(Change::new(format!("this is no longer so: {}", reason.message), move |one| {
            one.jobs.iter_mut().filter(|job| job.uid == uid).for_each(|job| job.barred = None);
            one.units.iter_mut().filter(|unit| is_of(unit, uid)).for_each(|unit| unit.barred = None);
        }));
    }
    if snapshot.hooks_missing {
        all.push(Change::new("Bulkhead's webhook configurations are there again", |one| one.hooks_missing = false));
    }
    if wanted.refusal(snapshot).is_some() {
        let of = wanted.of(snapshot);
        all.push(Change::new("the cluster takes the Job's pods", move |one| {
            let jobs = one.jobs.iter_mut().filter(|job| of.is_some_and(|of| of.uid == job.uid));
            jobs.for_each(|job| job.refusal = None);
        }));
    }
    let own = wanted.refused(snapshot);
    if !own.is_empty() {
        let apply = move |one: &mut Snapshot| one.refused.retain(|refused| !own.contains(&refused));
        all.push(Change::new("the cluster takes what Bulkhead writes to it", apply));
    }
    let own_nodes = snapshot
        .nodes
        .iter()
        .filter(|node| snapshot.environments.iter().any(|environment| environment.uuid == node.environment_uuid));
    let taints: BTreeSet<&Taint> = own_nodes.filter_map(|node| wanted.shape.kept_away_by(&node.taints)).collect();
    for taint in taints {
        let toleration =
            Toleration { key: Some(taint.key.clone()), value: Some(taint.value.clone()), effect: Some(taint.effect) };
        all.push(Change::new(format!("it tolerates the taint {}", taint_text(taint)), move |one| {
            reshape(one, uid, |shape| shape.tolerations.push(toleration.clone()));
        }));
    }
    if wanted.shape.node_selector.len() + wanted.shape.affinity.len() > 0 {
        all.push(Change::new("it asks for no labels of nodes", move |one| {
            reshape(one, uid, |shape| {
                shape.node_selector.clear();
                shape.affinity.clear();
            });
        }));
    }
    all
}

fn of_environment<'c>(
    seen: &Seen<'c>,
    wanted: &Wanted<'c>,
    (index, environment): (usize, &'c Environment),
    all: &mut Vec<Change<'c>>,
) {
    let name = environment.aws_name.as_str();
    if !environment.enabled {
        all.push(Change::new(format!("compute environment {name} is ENABLED"), move |one| {
            one.environments[index].enabled = true;
        }));
    }
    if let Some(namespace) = wanted.api_namespace(environment).filter(|name| seen.snapshot.closed.contains_key(*name)) {
        let text = format!("the API may make pods in namespace {namespace} (bulkhead namespace enable {namespace})");
        all.push(Change::new(text, move |one| drop(one.closed.remove(namespace))));
    }
    let nodes: Vec<&Node> =
        seen.snapshot.nodes.iter().filter(|node| node.environment_uuid == environment.uuid).collect();
    if nodes.iter().any(|node| node.used != node.foreign) {
        let uuid = environment.uuid.as_str();
        all.push(Change::new(format!("what runs in {name} has ended"), move |one| end_all(one, uuid)));
    }
    if let Some(scaling) = &environment.scaling {
        of_scaling(seen, wanted, (index, environment, scaling), all);
    } else {
        let (text, node) = example(&nodes, wanted).map_or_else(
            || {
                (
                    format!("{name} has a node with room for it, and with the labels it asks for"),
                    fitting(environment, wanted),
                )
            },
            |node| (format!("{name} has another node like {}", node.name), another(node)),
        );
        all.push(Change::new(text, move |one| one.nodes.push(node.clone())));
    }
    let rooms = nodes.iter().map(|node| {
        let mut room = node.allocatable.clone();
        room.sub(&node.foreign);
        room
    });
    if let Some(most) = rooms.chain(promises(environment)).max_by_key(|room| (room.cpu, room.memory)) {
        let uid = wanted.uid;
        let short: Vec<(String, i64)> =
            wanted.shape.requests.shortages(&most).map(|(name, _, there)| (name.to_owned(), there.max(0))).collect();
        if !short.is_empty() {
            let told = |(name, there): &(String, i64)| match there {
                0 => format!("no {name}"),
                _ => format!("no more than {}", describe(name, *there)),
            };
            let told: Vec<String> = short.iter().map(told).collect();
            all.push(Change::new(format!("it asks for {}", told.join(" and ")), move |one| {
                reshape(one, uid, |shape| short.iter().for_each(|(name, there)| shape.requests.set(name, *there)));
            }));
        }
    }
}

fn of_scaling<'c>(
    seen: &Seen<'c>,
    wanted: &Wanted<'c>,
    (index, environment, scaling): (usize, &'c Environment, &'c Scaling),
    all: &mut Vec<Change<'c>>,
) {
    let name = environment.aws_name.as_str();
    let change = move |apply: fn(&mut Scaling)| {
        move |one: &mut Snapshot| one.environments[index].scaling.iter_mut().for_each(apply)
    };
    if let Some(until) = scaling.setbacks.iter().map(|one| one.until).filter(|until| *until > seen.now).max() {
        let text = format!("launches in {name} go through, which are tried again by {until}");
        all.push(Change::new(text, change(|scaling| scaling.setbacks.clear())).at(until));
    }
    if !scaling.instance_types.is_empty() || scaling.spot {
        all.push(Change::new(
            format!("{name} may use any offer of its provider (instanceTypes, type)"),
            change(|scaling| {
                scaling.instance_types.clear();
                scaling.spot = false;
            }),
        ));
    }
    let used: i64 = seen
        .snapshot
        .machines
        .iter()
        .filter(|machine| machine.environment == environment.name)
        .map(|machine| machine.milli_vcpus)
        .sum();
    let fits = |offer: &&Offer| {
        let given = scaling.learned.get(&offer.name);
        let promise = Promise::new(&offer.allocatable, &offer.labels, given, &environment.uuid);
        wanted.shape.requests.fits(&promise.room) && promise.selected_by(wanted.shape)
    };
    let offers = scaling.offers.as_deref().unwrap_or_default();
    let fitting = || offers.iter().filter(fits);
    if fitting().next().is_none() {
        let offer = Offer {
            name: "another".to_owned(),
            milli_vcpus: wanted.shape.requests.cpu.max(1),
            allocatable: wanted.shape.requests.clone(),
            price_micros: 1,
            spot: true,
            labels: wanted.shape.node_selector.clone(),
        };
        let text = format!("the provider of {name} offers a machine that is large enough, with the labels it asks for");
        all.push(Change::new(text, move |one| {
            one.environments[index].scaling.iter_mut().for_each(|scaling| scaling.offers = Ok(vec![offer.clone()]));
        }));
    }
    let allowed = fitting().filter(|offer| is_allowed(scaling, offer)).map(|offer| offer.milli_vcpus).min();
    let least = allowed.or_else(|| fitting().map(|offer| offer.milli_vcpus).min());
    let most = used.saturating_add(least.unwrap_or(wanted.shape.requests.cpu));
    // It is said in whole vCPUs.
    let most = most.saturating_add(999) / 1000 * 1000;
    if most > scaling.max_milli {
        let text = format!("maxvCpus of {name} is {}", format_milli(most));
        all.push(Change::new(text, move |one| {
            one.environments[index].scaling.iter_mut().for_each(|scaling| scaling.max_milli = most);
        }));
    }
}

/// What machines of an environment would give to units.
fn promises(environment: &Environment) -> Vec<Resources> {
    let Some(scaling) = &environment.scaling else { return Vec::new() };
    let room = |offer: &Offer| {
        Promise::new(&offer.allocatable, &offer.labels, scaling.learned.get(&offer.name), &environment.uuid).room
    };
    let offers = scaling.offers.as_deref().unwrap_or_default();
    offers.iter().filter(|offer| is_allowed(scaling, offer)).map(room).collect()
}

/// The largest node that would take a unit, were it empty.
fn example<'c>(own: &[&'c Node], wanted: &Wanted<'_>) -> Option<&'c Node> {
    let suits = |node: &&Node| {
        let mut room = node.allocatable.clone();
        room.sub(&node.daemons);
        let shape = wanted.shape;
        shape.requests.fits(&room) && shape.selects("", &node.labels) && shape.kept_away_by(&node.taints).is_none()
    };
    own.iter().copied().filter(suits).max_by_key(|node| (node.allocatable.cpu, node.allocatable.memory))
}

/// A node that is made for it.
fn fitting(environment: &Environment, wanted: &Wanted<'_>) -> Node {
    let name = format!("{}-another", environment.name);
    Node {
        uid: name.clone(),
        name,
        environment_uuid: environment.uuid.clone(),
        ready: true,
        labels: wanted.shape.node_selector.clone(),
        allocatable: wanted.shape.requests.clone(),
        ..Node::default()
    }
}

fn another(node: &Node) -> Node {
    let name = format!("{}-another", node.name);
    Node {
        uid: name.clone(),
        name,
        ready: true,
        cordoned: false,
        retiring: false,
        used: node.daemons.clone(),
        foreign: node.daemons.clone(),
        units: 0,
        ..node.clone()
    }
}

/// Takes out what waits and is not `own`, or of it.
fn alone_in_line(snapshot: &mut Snapshot, own: &str) {
    let job = snapshot.units.iter().find(|unit| unit.uid == own).and_then(|unit| unit.job.clone());
    snapshot.units.retain(|unit| {
        matches!(unit.place, Place::Bound { .. })
            || unit.uid == own
            || unit.job.as_ref().is_some_and(|job| job.uid == own)
    });
    let is_own = |uid: &str| uid == own || job.as_ref().is_some_and(|job| job.uid == uid);
    snapshot.jobs.retain(|one| is_own(&one.uid));
}

/// Takes the units out that are on nodes of an environment.
fn end_all(snapshot: &mut Snapshot, uuid: &str) {
    let own: Vec<String> = snapshot
        .nodes
        .iter_mut()
        .filter(|node| node.environment_uuid == uuid)
        .map(|node| {
            node.used = node.foreign.clone();
            node.units = 0;
            node.name.clone()
        })
        .collect();
    snapshot.units.retain(|unit| !matches!(&unit.place, Place::Bound { node, .. } if own.contains(node)));
}

/// Changes what it, and each of its units, needs.
fn reshape(snapshot: &mut Snapshot, uid: &str, change: impl Fn(&mut Shape)) {
    snapshot.jobs.iter_mut().filter(|job| job.uid == uid).for_each(|job| change(Arc::make_mut(&mut job.shape)));
    for unit in snapshot.units.iter_mut().filter(|unit| is_of(unit, uid)) {
        change(Arc::make_mut(&mut unit.shape));
    }
}
