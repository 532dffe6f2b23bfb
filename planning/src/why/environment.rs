//! One environment: whether it takes work, what its nodes have, and what it may launch.
//!
//! Invariant: like nodes and like offers are told together, each with what is missing. Looks at what the plan looks at, by itself, node by
//! node.

use std::collections::BTreeMap;

use model::placement::Shape;
use model::quantity::format_milli;
use model::resources::{Resources, describe};
use model::snapshot::{Environment, Node, Offer, Scaling, Stage};

use super::subject::Wanted;
use super::{Check, Seen};
use crate::cycle::choose::{is_allowed, may_come, setback};
use crate::explain::taint_text;
use crate::promise::Promise;
use crate::rights;

/// So many names are told of like ones.
const NAMES: usize = 3;

/// An environment, as a queue names it, for what wants room in it.
pub(super) fn check(seen: &Seen<'_>, name: &str, wanted: Option<&Wanted<'_>>) -> Check {
    let found = seen.snapshot.environments.iter().find(|one| one.name == name || one.aws_name == name);
    let Some(environment) = found else { return Check::new(false, format!("compute environment {name} exists")) };
    let kind = if environment.scaling.is_some() { "MANAGED" } else { "UNMANAGED" };
    let mut below = vec![Check::new(environment.enabled, "it is ENABLED")];
    let namespace = wanted.and_then(|wanted| wanted.api_namespace(environment));
    if let Some((namespace, why)) = namespace.and_then(|name| Some((name, seen.snapshot.closed.get(name)?))) {
        below.push(Check::new(false, format!("its pod can be made: {}", rights::closed(namespace, why))));
    }
    let shape = wanted.map(|wanted| wanted.shape);
    below.extend(nodes(seen, environment, shape));
    match &environment.scaling {
        None => below.push(Check::new(None, "nodes are added by whoever labels them with its UUID")),
        Some(scaling) => below.extend(machines(seen, environment, scaling, shape)),
    }
    Check::new(None, format!("compute environment {} ({kind}):", environment.aws_name)).with(below)
}

/// Nodes in groups, each with why it takes no unit.
fn nodes(seen: &Seen<'_>, environment: &Environment, shape: Option<&Shape>) -> Vec<Check> {
    let own = seen.snapshot.nodes.iter().filter(|node| node.environment_uuid == environment.uuid);
    let mut groups: BTreeMap<(Option<bool>, String), Vec<&str>> = BTreeMap::new();
    for node in own {
        groups.entry(verdict(seen, node, shape)).or_default().push(&node.name);
    }
    if groups.is_empty() {
        // For one that is MANAGED they come.
        return vec![match environment.scaling {
            Some(_) => Check::new(None, "it has no node now"),
            None => Check::new(false, "it has a node"),
        }];
    }
    let told = |((holds, text), names): ((Option<bool>, String), Vec<&str>)| {
        Check::new(holds, format!("{}: {text}", counted(names.len(), "node", &names)))
    };
    groups.into_iter().map(told).collect()
}

fn verdict(seen: &Seen<'_>, node: &Node, shape: Option<&Shape>) -> (Option<bool>, String) {
    if node.retiring {
        return (Some(false), "on its way out".to_owned());
    }
    if !node.ready {
        let why = if node.cordoned { "closed to new pods (kubectl cordon)" } else { "not Ready" };
        return (Some(false), why.to_owned());
    }
    let free = seen.free.get(node.name.as_str());
    let Some(shape) = shape else {
        let left = free.map_or_else(String::new, |free| format!("{} free", left(free)));
        return (None, format!("{left}, {} units", node.units));
    };
    if let Some(taint) = shape.kept_away_by(&node.taints) {
        return (Some(false), format!("the pod does not tolerate the taint {}", taint_text(taint)));
    }
    if !shape.selects(&node.name, &node.labels) {
        return (Some(false), "without the labels that the pod asks for".to_owned());
    }
    let mut whole = node.allocatable.clone();
    whole.sub(&node.foreign);
    if let Some(short) = short(&shape.requests, &whole, "there when nothing else runs") {
        return (Some(false), format!("too small: {short}"));
    }
    match free.and_then(|free| short(&shape.requests, free, "free")) {
        Some(short) => (Some(false), format!("full: {short}")),
        None => (Some(true), "room for it".to_owned()),
    }
}

/// What may be launched, and why it is not.
fn machines(seen: &Seen<'_>, environment: &Environment, scaling: &Scaling, shape: Option<&Shape>) -> Vec<Check> {
    let own = || seen.snapshot.machines.iter().filter(|machine| machine.environment == environment.name);
    let coming: Vec<&str> = own().filter(|one| one.stage == Stage::Coming).map(|one| one.name.as_str()).collect();
    let used: i64 = own().map(|machine| machine.milli_vcpus).sum();
    let mut checks = Vec::new();
    if !coming.is_empty() {
        checks.push(Check::new(None, format!("{}: on its way", counted(coming.len(), "machine", &coming))));
    }
    let (used_text, most) = (format_milli(used), format_milli(scaling.max_milli));
    checks.push(Check::new(None, format!("its machines have {used_text} of {most} vCPUs (maxvCpus)")));
    let most = may_come(scaling.delivered);
    if coming.len() >= most {
        let text = format!("fewer than {most} machines are on their way; more follow when its provider has delivered");
        checks.push(Check::new(false, text));
    }
    match (setback(scaling, None, seen.now), &scaling.offers) {
        (Some(setback), _) => {
            let text =
                format!("launches are tried: the last failed ({}); again from {}", setback.message, setback.until);
            checks.push(Check::new(false, text));
        }
        (None, Err(message)) => checks.push(Check::new(false, format!("its provider says what it offers: {message}"))),
        (None, Ok(offers)) => {
            let Some(shape) = shape else { return checks };
            checks.extend(sold(seen, environment, (scaling, offers), shape, used));
        }
    }
    checks
}

/// Offers in groups, each with why none is launched.
fn sold(
    seen: &Seen<'_>,
    environment: &Environment,
    (scaling, offers): (&Scaling, &[Offer]),
    shape: &Shape,
    used: i64,
) -> Vec<Check> {
    let mut groups: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for offer in offers {
        let why = refusal(seen, environment, (scaling, offer), shape, used);
        let key = (why.is_none(), why.unwrap_or_else(|| "can be launched for it".to_owned()));
        groups.entry(key).or_default().push(&offer.name);
    }
    if groups.is_empty() {
        return vec![Check::new(false, "its provider offers machines")];
    }
    let told = |((holds, text), names): ((bool, String), Vec<&str>)| {
        Check::new(holds, format!("{}: {text}", counted(names.len(), "offer", &names)))
    };
    groups.into_iter().map(told).collect()
}

fn refusal(
    seen: &Seen<'_>,
    environment: &Environment,
    (scaling, offer): (&Scaling, &Offer),
    shape: &Shape,
    used: i64,
) -> Option<String> {
    if !is_allowed(scaling, offer) {
        let spot = if scaling.spot && !offer.spot { "no spot machine" } else { "not among instanceTypes" };
        return Some(spot.to_owned());
    }
    let given = scaling.learned.get(&offer.name);
    let promise = Promise::new(&offer.allocatable, &offer.labels, given, &environment.uuid);
    if let Some(short) = short(&shape.requests, &promise.room, "on such a node") {
        return Some(format!("too small: {short}"));
    }
    if let Some(taint) = promise.keeps_away(shape) {
        return Some(format!("the pod does not tolerate the taint {} of such nodes", taint_text(taint)));
    }
    if !promise.selected_by(shape) {
        return Some("without the labels that the pod asks for".to_owned());
    }
    if let Some(setback) = setback(scaling, Some(&offer.name), seen.now) {
        return Some(format!("the last launch failed ({}); again from {}", setback.message, setback.until));
    }
    let (needs, left) = (offer.milli_vcpus, scaling.max_milli - used);
    (needs > left).then(|| format!("{} vCPUs, of which {} are left", format_milli(needs), format_milli(left.max(0))))
}

/// What of some requests is not there.
fn short(requests: &Resources, there: &Resources, word: &str) -> Option<String> {
    let short: Vec<String> = requests
        .shortages(there)
        .map(|(name, wanted, there)| {
            format!("{} requested, {} {word}", describe(name, wanted), describe(name, there.max(0)))
        })
        .collect();
    (!short.is_empty()).then(|| short.join("; "))
}

fn left(free: &Resources) -> String {
    format!("{}, {}", describe("cpu", free.cpu.max(0)), describe("memory", free.memory.max(0)))
}

fn counted(count: usize, what: &str, names: &[&str]) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let more = if count > NAMES { ", …" } else { "" };
    format!("{count} {what}{plural} ({}{more})", names[..count.min(NAMES)].join(", "))
}
