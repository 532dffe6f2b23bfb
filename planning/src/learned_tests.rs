//! Tests of what nodes teach about those to come.

use model::placement::Effect;
use model::snapshot::{Scaling, Stage};

use super::*;

/// What is remembered, and what time it is.
#[derive(Default)]
struct Memory {
    learned: Learned,
    second: i64,
}

/// A node of offer `o`: when it was created, and the rest.
fn node(name: &str, at: i64) -> (i64, Node) {
    let node = Node {
        name: name.into(),
        ready: true,
        allocatable: Resources::new(1000, 1000).with("pods", 10),
        ..Node::default()
    };
    (at, Node { starting_until: Some(second(at) + START), ..node })
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn labels(labels: &[&str]) -> BTreeMap<String, String> {
    labels.iter().map(|label| ((*label).to_owned(), String::new())).collect()
}

impl Memory {
    /// What is known at this second with these nodes there; they were promised a GPU.
    fn see(&mut self, at: i64, nodes: &[(i64, Node)]) -> Option<Given> {
        self.second = at;
        let machine = |(_, node): &(i64, Node)| Machine {
            name: node.name.clone(),
            environment: "ce".into(),
            offer: "o".into(),
            milli_vcpus: 1000,
            allocatable: Resources::new(1000, 1000).with("gpu", 2),
            labels: labels(&["promised"]),
            stage: Stage::Serving,
        };
        let machines: Vec<Machine> = nodes.iter().map(machine).collect();
        let there: Vec<Node> = nodes.iter().map(|(_, node)| node.clone()).collect();
        let created = |name: &str| second(nodes.iter().find(|(_, node)| node.name == name).unwrap().0);
        let mut environments = [environment()];
        let now = Now { wall: second(at), moment: Moment::after(Duration::from_secs(at.unsigned_abs())) };
        self.learned.update(&mut environments, &machines, &there, created, now);
        environments[0].scaling.as_ref()?.learned.get("o").cloned()
    }
}

fn environment() -> Environment {
    let scaling = Scaling {
        min_milli: 0,
        max_milli: 8000,
        instance_types: vec![],
        spot: false,
        scale_down_delay: SignedDuration::from_secs(60),
        offers: Ok(vec![]),
        setbacks: vec![],
        learned: BTreeMap::new(),
        unsettled_until: None,
        delivered: 0,
    };
    Environment {
        name: "ce".into(),
        aws_name: "CE".into(),
        uuid: "u".into(),
        enabled: true,
        namespace: None,
        scaling: Some(scaling),
    }
}

fn with(node: (i64, Node), change: impl FnOnce(&mut Node)) -> (i64, Node) {
    let (at, mut node) = node;
    change(&mut node);
    (at, node)
}

#[test]
fn the_newest_node_says_what_labels_the_next_one_may_have() {
    let mut memory = Memory::default();
    let labelled = |name: &str, at: i64, label: &str| with(node(name, at), |node| node.labels = labels(&[label]));
    let mut keys = |at: i64, nodes: &[(i64, Node)]| -> Vec<String> {
        let given = memory.see(at, nodes).unwrap();
        assert_eq!(given.promised, labels(&["promised"]));
        given.labels.into_keys().collect()
    };
    assert_eq!(keys(1, &[labelled("a", 1, "plain")]), ["plain"]);
    assert_eq!(keys(299, &[labelled("a", 1, "late")]), ["late"], "whoever makes nodes may take a moment");
    assert_eq!(keys(302, &[labelled("a", 1, "late")]), ["late"]);
    assert_eq!(keys(303, &[labelled("a", 1, "by-hand")]), ["late"], "that is of this node alone");
    // One was launched for that label, and has not got it.
    assert_eq!(keys(400, &[labelled("b", 400, "plain"), labelled("a", 1, "by-hand")]), ["plain"]);
    assert_eq!(keys(401, &[labelled("a", 1, "by-hand")]), ["plain"], "that one is gone; another would be like it");
    assert_eq!(keys(500, &[labelled("c", 500, "kept"), labelled("a", 1, "by-hand")]), ["kept"]);
}

#[test]
fn what_two_nodes_have_the_next_one_surely_has() {
    let mut memory = Memory::default();
    let mut same = |at: i64, nodes: &[(i64, Node)]| -> Vec<String> {
        memory.see(at, nodes).unwrap().same_labels.into_keys().collect()
    };
    let one = with(node("a", 1), |node| node.labels = labels(&["all", "quarantine"]));
    assert_eq!(
        same(1, std::slice::from_ref(&one)),
        Vec::<String>::new(),
        "one node says nothing about what others lack"
    );
    let two = with(node("b", 2), |node| node.labels = labels(&["all", "b"]));
    assert_eq!(same(2, &[two.clone(), one]), ["all"]);
    assert_eq!(same(3, &[two]), ["all"]);
}

#[test]
fn what_a_node_gave_is_remembered_for_an_hour_or_until_another_gives_something_else() {
    let mut memory = Memory::default();
    let daemons = |cpu: i64| {
        with(node("n", 1), |node| (node.daemons.cpu, node.foreign.cpu, node.starting_until) = (cpu, 700, None))
    };
    let mut cpu = |at: i64, nodes: &[(i64, Node)]| memory.see(at, nodes).map(|given| given.room.cpu);
    assert_eq!(cpu(1, &[]), None);
    assert_eq!(cpu(2, &[daemons(200)]), Some(800), "pods of others may be elsewhere next time");
    assert_eq!(cpu(3600, &[]), Some(800), "the node is gone");
    assert_eq!(cpu(3700, &[]), None, "for so long that another may be better");
    assert_eq!(cpu(3701, &[daemons(200)]), Some(800));
    assert_eq!(cpu(3702, &[daemons(0)]), Some(1000), "the DaemonSet is gone");
    memory.learned.update(
        &mut [],
        &[],
        &[],
        |_| second(0),
        Now { wall: second(0), moment: Moment::after(Duration::ZERO) },
    );
    assert_eq!(memory.see(3703, &[]), None, "the environment is gone");
}

#[test]
fn what_was_promised_is_expected_while_a_node_starts_and_not_longer() {
    let mut memory = Memory::default();
    let mut gpus = |at: i64, nodes: &[(i64, Node)]| memory.see(at, nodes).map(|given| given.room.get("gpu"));
    let late = with(node("late", 1), |node| node.allocatable.set("gpu", 1));
    assert_eq!(gpus(1, &[node("late", 1)]), Some(2), "its device plugin is not there yet");
    assert_eq!(gpus(2, std::slice::from_ref(&late)), Some(1), "it gave less than promised");
    assert_eq!(gpus(302, std::slice::from_ref(&late)), Some(1));
    assert_eq!(gpus(310, &[late, node("never", 2)]), Some(1), "one that is broken says nothing about the others");
    assert_eq!(gpus(311, &[node("never", 2)]), Some(0));
    assert_eq!(gpus(312, &[node("next", 312)]), Some(0), "the promise is not believed a second time");
    let mended = with(node("next", 312), |node| node.allocatable.set("gpu", 2));
    assert_eq!(gpus(313, &[mended]), Some(2));
    // One after the other is launched before the start of the one before is over.
    memory = Memory::default();
    let mut gpus = |at: i64, nodes: &[(i64, Node)]| memory.see(at, nodes).map(|given| given.room.get("gpu"));
    assert_eq!(gpus(200, &[node("a", 1), node("b", 200)]), Some(2));
    assert_eq!(gpus(302, &[node("a", 1), node("b", 200), node("c", 300)]), Some(0));
    assert_eq!(gpus(303, &[node("b", 200), node("c", 300)]), Some(0));
}

#[test]
fn taints_that_a_node_keeps_when_it_has_started_are_those_of_the_next_one() {
    let mut memory = Memory::default();
    let tainted = |name: &str, at: i64, keys: &[&str]| {
        with(node(name, at), |node| {
            let taint = |key: &&str| Taint { key: (*key).into(), value: String::new(), effect: Effect::NoSchedule };
            node.taints = keys.iter().map(taint).collect();
        })
    };
    let mut taints = |at: i64, nodes: &[(i64, Node)]| -> Vec<String> {
        memory.see(at, nodes).unwrap().taints.into_iter().map(|taint| taint.key).collect()
    };
    let none = Vec::<String>::new();
    assert_eq!(taints(1, &[tainted("a", 1, &["gpu", "agent-not-ready"])]), none);
    assert_eq!(taints(302, &[tainted("a", 1, &["gpu", "node.kubernetes.io/disk-pressure"])]), ["gpu"]);
    assert_eq!(taints(303, &[tainted("a", 1, &["gpu", "quarantine"])]), ["gpu"], "that is of this node alone");
    assert_eq!(taints(304, &[tainted("a", 1, &["gpu"]), tainted("b", 304, &["starts"])]), ["gpu"]);
    assert_eq!(taints(700, &[tainted("b", 304, &[])]), none);
    assert_eq!(taints(800, &[tainted("c", 800, &["kept"]), tainted("d", 801, &[])]), none);
    assert_eq!(
        taints(1100, &[tainted("c", 800, &["kept"]), tainted("d", 801, &[])]),
        ["kept"],
        "the first that has started"
    );
    // After a restart it is not known whether a taint was there from the start.
    memory = Memory::default();
    let mut taints = |at: i64, nodes: &[(i64, Node)]| memory.see(at, nodes).unwrap().taints;
    assert_eq!(taints(700, &[tainted("a", 1, &["quarantine"])]), []);
}
