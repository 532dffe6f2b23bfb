//! Explanations of small worlds, whole, and of any, as properties.

use std::fmt::Write as _;

use model::placement::{Effect, Taint};
use model::snapshot::Snapshot;
use model::status::Code;
use proptest::prelude::*;

use super::follow::{Step, follow};
use super::subject::{Subject, Wanted};
use super::{Asked, Check, What, explain};
use crate::tests::any::worlds;
use crate::tests::build::{World, bound, noon, waiting, world};

fn asked(name: &str) -> Asked<'_> {
    Asked { what: None, namespace: None, name }
}

fn tree(out: &mut String, depth: usize, checks: &[Check]) {
    for check in checks {
        let mark = match check.holds {
            Some(true) => "+",
            Some(false) => "-",
            None => "·",
        };
        writeln!(out, "{}{mark} {}", "  ".repeat(depth), check.text).unwrap();
        tree(out, depth + 1, &check.below);
    }
}

fn text(snapshot: &Snapshot, name: &str) -> String {
    let found = match explain(snapshot, noon(), &asked(name)) {
        Ok(found) => found,
        Err(error) => return error,
    };
    let mut out = found.title;
    if let Some(reason) = found.reason {
        write!(out, "\n{}: {}", reason.code.as_str(), reason.message).unwrap();
    }
    out.push('\n');
    tree(&mut out, 0, &found.checks);
    for change in found.changes {
        writeln!(out, "if {change}").unwrap();
    }
    out
}

fn check(world: &World, name: &str, expected: &str) {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    };
    let found = text(&world.0, name);
    assert_eq!(lines(&found), lines(expected), "\nfound:\n{found}");
}

#[test]
fn a_full_environment_at_its_limit_says_what_is_missing_and_what_would_do() {
    let full = world()
        .managed("m", 4)
        .queue("q", 1, &["m"])
        .machine("m", "a", 2000, model::snapshot::Stage::Serving, 0)
        .machine("m", "b", 2000, model::snapshot::Stage::Serving, 0)
        .job("q", "old", 2, 1500, 100)
        .pods(&[bound("a"), bound("b")])
        .job("q", "new", 1, 1000, 10);
    check(
        &full,
        "new",
        "job ns/new in queue q: RUNNABLE
        LIMIT:MAX_VCPUS: compute environment M is at its limit: its machines have 4 of 4 vCPUs (maxvCpus), another one needs 1
        · each of its pods asks for 1 cpu, 1000Mi memory
        + job queue q is ENABLED
        + nothing waits before it
        · compute environment M (MANAGED):
        + it is ENABLED
        - 2 nodes (a, b): full: 1 cpu requested, 500m cpu free
        · its machines have 4 of 4 vCPUs (maxvCpus)
        - 1 offer (local.medium): 1 vCPUs, of which 0 are left
        - 1 offer (m5.large): 2 vCPUs, of which 0 are left
        - 1 offer (local.small): too small: 1 cpu requested, 500m cpu on such a node
        if what runs in M has ended
        if maxvCpus of M is 5 (machines are launched for it)",
    );
}

#[test]
fn a_queue_shows_its_environments_and_its_line() {
    let some = world()
        .unmanaged("u")
        .queue("q", 1, &["u", "x"])
        .node("u", "n", 1000)
        .job("q", "first", 1, 600, 100)
        .job("q", "second", 1, 600, 50)
        .job("q", "third", 1, 1600, 40);
    check(
        &some,
        "q",
        "queue q: ENABLED, priority 1; 3 units wait, 0 are on nodes
        · compute environment U (UNMANAGED):
        + it is ENABLED
        · 1 node (n): 1 cpu, 4000Mi memory free, 0 units
        · nodes are added by whoever labels them with its UUID
        - compute environment x exists
        · in line:
        · 1. job ns/first: starts
        · 2. job ns/second: CAPACITY:NO_ROOM: compute environment U: none of its 1 nodes has room for 600m cpu, 600Mi memory now; compute environment x does not exist
        · 3. job ns/third: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT: compute environment U can never run it: 1600m cpu requested, 1 cpu on its largest node; compute environment x does not exist",
    );
}

#[test]
fn whatever_cannot_be_found_or_does_not_wait_is_said() {
    let some = world()
        .unmanaged("u")
        .queue("q", 1, &["u"])
        .node("u", "n", 1000)
        .job("q", "runs", 1, 600, 100)
        .pods(&[bound("n")])
        .job("q", "twice", 1, 5000, 50)
        .job("q", "twice", 1, 5000, 40)
        .that_job(|job| job.key.namespace = "other".into());
    check(&some, "runs", "job ns/runs in queue q: RUNNING");
    check(&some, "runs-0", "pod ns/runs-0 in queue q: runs on n");
    check(
        &some,
        "gone",
        "no job, pod or queue gone is planned for: it has ended, is in no queue, waits for other jobs (dependsOn), or for somebody else's scheduling gate, or is one of very many in its queue and not looked at yet; `bulkhead jobs show` and `kubectl describe` tell",
    );
    check(&some, "twice", "there are ns/twice and other/twice: say which namespace is meant");
}

#[test]
fn taints_labels_and_closed_nodes_are_told_apart() {
    let taint = Taint { key: "gpu".into(), value: "yes".into(), effect: Effect::NoSchedule };
    let mut some = world().unmanaged("u").queue("q", 1, &["u"]);
    for name in ["a", "b", "c", "d", "e"] {
        some = some.node("u", name, 1000);
    }
    some.0.nodes[0].taints.push(taint);
    some.0.nodes[1].ready = false;
    some.0.nodes[1].cordoned = true;
    some.0.nodes[2].ready = false;
    some.0.nodes[3].retiring = true;
    let some = some.job("q", "old", 1, 800, 20).pods(&[bound("e")]).job("q", "two", 2, 500, 10).pods(&[waiting()]);
    check(
        &some,
        "two",
        "job ns/two in queue q: RUNNABLE
        CAPACITY:NO_ROOM: compute environment U: none of its 2 nodes has room for 500m cpu, 500Mi memory now
        · each of its pods asks for 500m cpu, 500Mi memory
        + job queue q is ENABLED
        + nothing waits before it
        · compute environment U (UNMANAGED):
        + it is ENABLED
        - 1 node (b): closed to new pods (kubectl cordon)
        - 1 node (e): full: 500m cpu requested, 200m cpu free
        - 1 node (c): not Ready
        - 1 node (d): on its way out
        - 1 node (a): the pod does not tolerate the taint gpu=yes:NoSchedule
        · nodes are added by whoever labels them with its UUID
        if it tolerates the taint gpu=yes:NoSchedule
        if what runs in U has ended
        if U has another node like e",
    );
}

/// Whether it starts by itself, when machines have joined.
fn will_start(snapshot: &Snapshot, asked: &Asked<'_>) -> bool {
    let plan = crate::plan(snapshot, noon());
    let wanted = match super::subject::find(snapshot, asked).unwrap() {
        Subject::Job(job) => Wanted::of_job(snapshot, job),
        Subject::Unit(unit) => Wanted::of_unit(unit),
        Subject::Queue(_) => return false,
    };
    follow(snapshot.clone(), noon(), &wanted, wanted.started(&plan)) > Step::Waits
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// Whatever waits says why, and something is known that lets it start, or a machine is on its way.
    #[test]
    fn what_waits_can_be_helped(any in worlds()) {
        let snapshot = any.snapshot();
        let jobs = snapshot.jobs.iter().map(|job| (What::Job, Some(job.key.namespace.as_str()), job.key.name.clone()));
        let units = snapshot.units.iter().map(|unit| match unit.record {
            Some(id) => (What::Job, None, id.to_string()),
            None => (What::Pod, Some(unit.key.namespace.as_str()), unit.key.name.clone()),
        });
        for (what, namespace, name) in jobs.chain(units) {
            let asked = Asked { what: Some(what), namespace, name: &name };
            let found = explain(&snapshot, noon(), &asked).unwrap();
            let waits = !found.checks.is_empty();
            prop_assert!(!waits || found.reason.is_some(), "{name} says nothing");
            // kube-scheduler says itself what it misses; and some only wait until machines have joined.
            let is_others = found.reason.as_ref().is_some_and(|reason| reason.code == Code::KubeScheduler)
                || will_start(&snapshot, &asked);
            prop_assert!(!waits || is_others || !found.changes.is_empty(), "{name}: {found:?}");
        }
    }
}
