//! Whether everything was as it should be: pure, from the evidence.
//!
//! Invariant: what was not seen is not right: every check fails on empty evidence.

use super::evidence::{Evidence, PodSeen};
use super::forms::{FORMS, Form, MAX_VCPUS, ORDINARY};

/// One thing that was checked.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// What should be.
    pub(super) what: String,
    /// What was expected and seen instead.
    pub(super) problem: Option<String>,
}

/// Checks everything.
pub(super) fn check(evidence: &Evidence) -> Vec<Check> {
    let of_forms = FORMS.iter().flat_map(|form| [output(evidence, form), complete(evidence, form)]);
    let of_all = [
        on_batch_nodes(evidence),
        contract(evidence),
        tainted(evidence),
        within_limits(evidence),
        nothing_left(evidence),
    ];
    of_forms.chain(of_all).collect()
}

fn said(what: String, problems: &[String]) -> Check {
    Check { what, problem: (!problems.is_empty()).then(|| problems.join("; ")) }
}

fn pods<'a>(evidence: &'a Evidence, form: &Form) -> Vec<&'a PodSeen> {
    let namespace = form.namespace;
    evidence.pods.values().filter(|pod| pod.namespace == namespace).collect()
}

/// The output of the pod that succeeded for each index.
fn output(evidence: &Evidence, form: &Form) -> Check {
    let pods = pods(evidence, form);
    let seen: Vec<String> = (0..form.expect.len())
        .map(|index| {
            let pod = pods.iter().find(|pod| pod.index == Some(index) && pod.ended.as_deref() == Some("Succeeded"));
            match pod.and_then(|pod| pod.output.as_ref()) {
                Some(Ok(text)) => text.clone(),
                Some(Err(problem)) => format!("(no output: {problem})"),
                None => "(nothing seen)".to_owned(),
            }
        })
        .collect();
    let what = format!("{} printed, by index: {}", form.namespace, quoted(&form.expect));
    let same = seen == form.expect;
    said(what, &if same { Vec::new() } else { vec![format!("seen: {}", quoted(&seen))] })
}

fn quoted<S: AsRef<str>>(all: &[S]) -> String {
    all.iter().map(|one| format!("`{}`", one.as_ref())).collect::<Vec<_>>().join(" ")
}

/// The Job is complete, with one pod for each index and none that failed.
fn complete(evidence: &Evidence, form: &Form) -> Check {
    let count = form.expect.len();
    let pods = pods(evidence, form);
    let job = evidence.jobs.get(form.namespace).cloned().unwrap_or_default();
    let (ended, indexes) = (job.ended.unwrap_or_else(|| "not ended".to_owned()), job.completed_indexes);
    let mut problems = Vec::new();
    let expect = format!("0-{}", count - 1);
    if ended != "Complete" || indexes != expect {
        problems.push(format!("the Job is {ended}, its completed indexes are `{indexes}`, not `{expect}`"));
    }
    let failed: Vec<&str> =
        pods.iter().filter(|pod| pod.ended.as_deref() == Some("Failed")).map(|pod| pod.name.as_str()).collect();
    if pods.len() != count || !failed.is_empty() {
        problems.push(format!("there were {} pods, of which failed: [{}]", pods.len(), failed.join(", ")));
    }
    said(format!("{} is complete: {count} indexes, one pod each, none failed", form.namespace), &problems)
}

fn on_batch_nodes(evidence: &Evidence) -> Check {
    let count = FORMS.iter().map(|form| form.expect.len()).sum::<usize>();
    let mut problems = Vec::new();
    for pod in evidence.pods.values() {
        let node = pod.node.as_deref().unwrap_or("no node");
        let label = evidence.nodes.get(node).and_then(|seen| seen.environment_uuid.as_deref());
        if node == ORDINARY || label != Some(&evidence.environment_uuid) {
            let label = label.map_or_else(|| "without the label".to_owned(), |label| format!("labelled {label}"));
            problems.push(format!("{}/{} ran on {node} ({label})", pod.namespace, pod.name));
        }
    }
    if evidence.pods.len() < count {
        problems.push(format!("only {} pods were seen", evidence.pods.len()));
    }
    said(
        format!(
            "all {count} pods ran on nodes labelled with the environment's UUID {}, none on node {ORDINARY}",
            evidence.environment_uuid
        ),
        &problems,
    )
}

fn contract(evidence: &Evidence) -> Check {
    let mut problems = Vec::new();
    for pod in evidence.pods.values() {
        let uid = pod.node.as_ref().and_then(|node| evidence.nodes.get(node)).map(|node| node.uid.as_str());
        let environment = pod.environment_uuid.as_deref();
        if environment != Some(&evidence.environment_uuid) || uid.is_none() || pod.node_uid.as_deref() != uid {
            problems.push(format!(
                "{}/{}: environment {environment:?}, node {:?} (its node's UID: {uid:?})",
                pod.namespace, pod.name, pod.node_uid
            ));
        }
    }
    if evidence.pods.is_empty() {
        problems.push("no pod was seen".to_owned());
    }
    said("every pod carries its environment's UUID and its node's UID as labels".to_owned(), &problems)
}

fn tainted(evidence: &Evidence) -> Check {
    let ours = || evidence.nodes.iter().filter(|(_, node)| node.environment_uuid.is_some());
    let taint = |effect: &str| format!("{}={}:{effect}", model::keys::BATCH_TAINT, model::keys::BATCH_TAINT_VALUE);
    let missing = |taints: &[String]| ["NoSchedule", "NoExecute"].iter().any(|one| !taints.contains(&taint(one)));
    let mut problems: Vec<String> = ours()
        .filter(|(_, node)| missing(&node.taints))
        .map(|(name, node)| format!("{name} had the taints [{}]", node.taints.join(", ")))
        .collect();
    if ours().next().is_none() {
        problems.push("no batch node was seen".to_owned());
    }
    said("every batch node had the batch taint, so nothing else could run there".to_owned(), &problems)
}

fn within_limits(evidence: &Evidence) -> Check {
    let mut problems = Vec::new();
    if evidence.machines_ever == 0 {
        problems.push("no machine was seen".to_owned());
    }
    if evidence.peak_milli > 1000 * MAX_VCPUS {
        problems.push(format!("there were {} thousandths of a vCPU at one time", evidence.peak_milli));
    }
    said(format!("machines came, never more than maxvCpus ({MAX_VCPUS}) at a time"), &problems)
}

fn nothing_left(evidence: &Evidence) -> Check {
    let mut problems = Vec::new();
    if evidence.machines_ever == 0 {
        problems.push("no machine was seen".to_owned());
    }
    if !evidence.left.is_nothing() {
        problems.push(format!("left: {}", evidence.left));
    }
    said("afterwards no node, no BatchNode and no instance at the provider was left".to_owned(), &problems)
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{JobSeen, Left, NodeSeen};
    use super::*;

    fn good() -> Evidence {
        let mut evidence = Evidence { environment_uuid: "ce-uuid".into(), ..Evidence::default() };
        let taints = ["NoSchedule", "NoExecute"].map(|effect| format!("batch.amazonaws.com/batch-node=true:{effect}"));
        let node = NodeSeen { uid: "n-uid".into(), environment_uuid: Some("ce-uuid".into()), taints: taints.into() };
        evidence.nodes.insert("n".into(), node);
        evidence.nodes.insert(ORDINARY.into(), NodeSeen { uid: "o-uid".into(), ..NodeSeen::default() });
        (evidence.machines_ever, evidence.peak_milli) = (1, 2000);
        for form in FORMS {
            let job = JobSeen { ended: Some("Complete".into()), completed_indexes: "0-4".into() };
            evidence.jobs.insert(form.namespace.into(), job);
            for (index, text) in form.expect.iter().enumerate() {
                let pod = PodSeen {
                    namespace: form.namespace.into(),
                    name: format!("p-{index}"),
                    index: Some(index),
                    node: Some("n".into()),
                    environment_uuid: Some("ce-uuid".into()),
                    node_uid: Some("n-uid".into()),
                    ended: Some("Succeeded".into()),
                    output: Some(Ok((*text).into())),
                };
                evidence.pods.insert(format!("{}-{index}", form.namespace), pod);
            }
        }
        evidence
    }

    /// The problems of good evidence that was spoilt.
    fn check_spoilt(spoil: impl FnOnce(&mut Evidence), expect: &[&str]) {
        let mut evidence = good();
        spoil(&mut evidence);
        let problems: Vec<String> = check(&evidence).into_iter().filter_map(|check| check.problem).collect();
        assert_eq!(problems.len(), expect.len(), "{problems:?}");
        for (problem, expect) in problems.iter().zip(expect) {
            assert!(problem.contains(expect), "{problem}");
        }
    }

    fn pod<'a>(evidence: &'a mut Evidence, uid: &str) -> &'a mut PodSeen {
        evidence.pods.get_mut(uid).unwrap()
    }

    #[test]
    fn good_evidence_has_no_problem() {
        check_spoilt(|_| {}, &[]);
    }

    #[test]
    fn without_evidence_every_check_fails() {
        assert!(check(&Evidence::default()).iter().all(|check| check.problem.is_some()));
    }

    #[test]
    fn a_wrong_or_missing_output_is_shown_by_index() {
        check_spoilt(|all| pod(all, "form-1-3").output = Some(Ok("qux".into())), &["`oof` `rab` `zab` `qux` `zyx`"]);
        check_spoilt(|all| pod(all, "form-2-0").output = Some(Err("gone".into())), &["(no output: gone)` `1`"]);
    }

    #[test]
    fn a_pod_on_the_ordinary_node_is_named() {
        let spoil = |all: &mut Evidence| pod(all, "form-1-0").node = Some(ORDINARY.into());
        check_spoilt(spoil, &["form-1/p-0 ran on ordinary (without the label)", "o-uid"]);
    }

    #[test]
    fn a_failed_or_repeated_pod_is_a_problem_even_if_the_job_completes() {
        let again = |all: &mut Evidence| {
            let failed = PodSeen { name: "p-x".into(), ended: Some("Failed".into()), ..pod(all, "form-1-0").clone() };
            all.pods.insert("z".into(), failed);
        };
        check_spoilt(again, &["there were 6 pods, of which failed: [p-x]"]);
        let unfinished = |all: &mut Evidence| all.jobs.get_mut("form-2").unwrap().completed_indexes = "0-3".into();
        check_spoilt(unfinished, &["completed indexes are `0-3`, not `0-4`"]);
    }

    #[test]
    fn machines_too_many_or_left_are_problems() {
        check_spoilt(|all| all.peak_milli = 4500, &["4500 thousandths"]);
        let left = |all: &mut Evidence| all.left = Left { instances: vec!["m-1".into()], ..Left::default() };
        check_spoilt(left, &["nodes: none; BatchNodes: none; instances at the provider: m-1"]);
        check_spoilt(|all| all.nodes.get_mut("n").unwrap().taints.truncate(1), &["n had the taints"]);
    }
}
