//! Tables: what the Job hook makes of Jobs.

use super::*;
use crate::admission::size::MOST_TEMPLATE_BYTES;
use crate::admission::{Allowed, Outcome};
use model::keys;
use serde_json::json;

/// What the hook made of a Job: the Job afterwards, and what was said.
struct Seen {
    job: Value,
    outcome: Outcome,
    operations: usize,
    warnings: Vec<String>,
}

fn hook(job: &Value, old: Option<&Value>, requester: &str) -> Seen {
    let namespace = NamespaceFacts { queue: Some("q".into()), ..NamespaceFacts::default() };
    let context = JobContext {
        fresh_id: "fresh",
        namespace: &namespace,
        requester,
        manager: None,
        queue_exists: true,
        most_template: MOST_TEMPLATE_BYTES,
    };
    match mutate(job, old, &context) {
        Admit::Allowed(Allowed { outcome, patch, warnings }) => {
            let mut patched = job.clone();
            json_patch::patch(&mut patched, &patch).expect("the patch applies");
            Seen { job: patched, outcome, operations: patch.len(), warnings }
        }
        Admit::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn create(job: &Value) -> Seen {
    hook(job, None, "alice")
}

fn update(old: &Value, new: &Value) -> Seen {
    hook(new, Some(old), "alice")
}

/// The documents' Indexed Job, as the API server shows it to the hook.
fn indexed() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "indexed-job", "creationTimestamp": null},
        "spec": {"completions": 5, "parallelism": 3, "completionMode": "Indexed", "suspend": false, "template": {
            "metadata": {"creationTimestamp": null},
            "spec": {"restartPolicy": "Never", "schedulerName": "default-scheduler", "containers": [{"name": "worker"}]}}}
    })
}

fn with(mut job: Value, path: &str, value: Value) -> Value {
    let mut tokens: Vec<&str> = path.split(' ').collect();
    let last = tokens.pop().unwrap();
    let mut place = &mut job;
    for token in tokens {
        place = &mut place[token];
    }
    place[last] = value;
    job
}

fn without(mut job: Value, pointer: &str, key: &str) -> Value {
    job.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    job
}

/// A Job in the queue, one that the plan released, and one that also started.
fn queued() -> Value {
    create(&indexed()).job
}

fn released() -> Value {
    with(with(queued(), "spec suspend", json!(false)), "metadata annotations bulkhead.dev/released", json!("true"))
}

#[test]
fn a_plain_job_is_identified_and_held_back_and_nothing_else() {
    let seen = create(&indexed());
    let mut expected = indexed();
    expected["metadata"]["labels"] = json!({keys::JOB_ID: "fresh", keys::QUEUE: "q"});
    expected["spec"]["suspend"] = json!(true);
    expected["spec"]["template"]["metadata"]["labels"] = json!({keys::JOB_ID: "fresh", keys::QUEUE: "q"});
    expected["metadata"]["annotations"] = json!({keys::QUEUED: "fresh"});
    expected["spec"]["template"]["metadata"]["annotations"] = json!({keys::ARRAY_SIZE: "5", keys::QUEUED: "fresh"});
    assert_eq!(seen.job, expected);
    assert_eq!((seen.outcome, seen.warnings), (Outcome::Queued, vec![]));
}

#[test]
fn a_second_pass_changes_nothing() {
    for job in [indexed(), with(indexed(), "spec suspend", json!(true)), with(indexed(), "spec", json!({}))] {
        assert_eq!(create(&create(&job).job).operations, 0);
    }
}

#[test]
fn a_job_that_others_have_changed_since_is_taken_again() {
    let spoilt = with(queued(), "spec suspend", json!(false));
    let spoilt = with(spoilt, "metadata labels bulkhead.dev/queue", json!("other"));
    let seen = create(&spoilt).job;
    assert_eq!(seen["spec"]["template"]["metadata"]["labels"], json!({keys::JOB_ID: "fresh", keys::QUEUE: "other"}));
    assert_eq!((&seen["spec"]["suspend"], seen["metadata"]["annotations"].get(keys::SUSPEND)), (&json!(true), None));
    let held = with(indexed(), "spec suspend", json!(true));
    let moved = with(create(&held).job, "metadata labels bulkhead.dev/queue", json!("other"));
    assert_eq!(create(&moved).job["metadata"]["annotations"][keys::SUSPEND], "true", "the user's own hold stays");
}

#[test]
fn the_users_own_suspension_becomes_a_hold() {
    let seen = create(&with(indexed(), "spec suspend", json!(true)));
    assert_eq!(seen.job["metadata"]["annotations"], json!({keys::QUEUED: "fresh", keys::SUSPEND: "true"}));
    let seen = create(&with(indexed(), "metadata annotations", json!({keys::SUSPEND: "true"})));
    assert_eq!(seen.job["metadata"]["annotations"], json!({keys::QUEUED: "fresh", keys::SUSPEND: "true"}));
}

#[test]
fn a_copied_manifest_brings_no_identity_no_state_and_no_hold() {
    let annotations =
        json!({keys::RELEASED: "true", keys::STATUS: "{}", keys::ARRAY_SIZE: "9", keys::QUEUED: "old", "mine": "x"});
    let copied = with(queued(), "metadata annotations", annotations);
    let copied = with(copied, "metadata labels", json!({keys::JOB_ID: "old", keys::QUEUE: "q", keys::ARRAY_SIZE: "9"}));
    let copied = with(copied, "spec template metadata labels batch.amazonaws.com/job-id", json!("old"));
    let copied = with(copied, "spec template metadata annotations bulkhead.dev/attempt", json!("7"));
    let seen = create(&copied).job;
    assert_eq!(seen["metadata"]["labels"], json!({keys::JOB_ID: "fresh", keys::QUEUE: "q"}));
    assert_eq!(seen["spec"]["template"]["metadata"]["labels"][keys::JOB_ID], "fresh");
    assert_eq!(seen["metadata"]["annotations"], json!({keys::QUEUED: "fresh", "mine": "x"}));
    let template = &seen["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(template, &json!({keys::ARRAY_SIZE: "5", keys::QUEUED: "fresh"}));
}

/// What the hook says to a Job in a namespace without a queue, if it refuses it.
fn refused_without_queue(job: &Value) -> Option<String> {
    let namespace = NamespaceFacts::default();
    let context = JobContext {
        fresh_id: "fresh",
        namespace: &namespace,
        requester: "alice",
        manager: None,
        queue_exists: true,
        most_template: MOST_TEMPLATE_BYTES,
    };
    match mutate(job, None, &context) {
        Admit::Refused(refusal) => Some(refusal.message),
        Admit::Allowed(_) => None,
    }
}

#[test]
fn an_id_without_a_queue_is_refused() {
    assert_eq!(refused_without_queue(&indexed()), None);
    for mut labels in [json!({}), json!({keys::QUEUE: ""}), json!({keys::QUEUE: "none"})] {
        assert_eq!(refused_without_queue(&with(indexed(), "metadata labels", labels.clone())), None);
        labels[keys::JOB_ID] = json!("forged");
        let said = refused_without_queue(&with(indexed(), "metadata labels", labels)).unwrap();
        assert!(said.contains(keys::JOB_ID) && said.contains("reserved for Bulkhead"), "{said}");
    }
    let copy = with(indexed(), "metadata labels", json!({keys::JOB_ID: "forged", keys::QUEUE: "q"}));
    assert_eq!(refused_without_queue(&copy), None, "a copy gets an id of its own");
}

#[test]
fn a_job_left_outside_takes_no_toleration_of_ours_along() {
    let theirs = json!({"operator": "Exists", "effect": "NoExecute"});
    let ours = json!({"key": keys::BATCH_TAINT, "operator": "Exists"});
    let named = with(indexed(), "spec template spec nodeName", json!("n1"));
    let seen = create(&with(named, "spec template spec tolerations", json!([ours, theirs])));
    assert_eq!(seen.outcome, Outcome::LeftOutside);
    assert_eq!(seen.job["spec"]["template"]["spec"]["tolerations"], json!([theirs]));
}

#[test]
fn none_only_puts_none_on_the_template() {
    let job = with(indexed(), "metadata labels", json!({keys::QUEUE: "none"}));
    let seen = create(&job);
    assert_eq!(seen.job, with(job, "spec template metadata labels", json!({keys::QUEUE: "none"})));
    assert_eq!(seen.outcome, Outcome::OptedOut);
}

#[test]
fn a_job_left_outside_is_not_changed_and_the_user_hears_why() {
    let job = with(indexed(), "spec template spec nodeName", json!("n1"));
    let seen = create(&job);
    assert_eq!((seen.operations, seen.outcome), (0, Outcome::LeftOutside));
    assert!(seen.warnings[0].contains("nodeName"), "{:?}", seen.warnings);
    // A template copied from a queued Job must not send its pods in.
    let seen = create(&with(queued(), "spec managedBy", json!("example.com/x"))).job;
    assert_eq!(seen["spec"]["template"]["metadata"]["labels"], json!({}));
    assert_eq!(seen["metadata"]["labels"], json!({}), "it is in no queue, and stored as in none");
}

#[test]
fn a_selector_on_our_own_labels_is_refused() {
    let job = with(indexed(), "spec selector", json!({"matchLabels": {keys::JOB_ID: "x"}}));
    let namespace = NamespaceFacts { queue: Some("q".into()), ..NamespaceFacts::default() };
    let context = JobContext {
        fresh_id: "f",
        namespace: &namespace,
        requester: "a",
        manager: None,
        queue_exists: true,
        most_template: MOST_TEMPLATE_BYTES,
    };
    assert!(matches!(mutate(&job, None, &context), Admit::Refused(refusal) if refusal.code == 422));
}

#[test]
fn a_template_that_is_too_large_is_refused_where_it_would_go_through_a_queue() {
    let large = with(indexed(), "spec template spec containers", json!([{"name": "a", "args": ["x".repeat(70_000)]}]));
    let namespace = NamespaceFacts { queue: Some("q".into()), ..NamespaceFacts::default() };
    let context = |most_template| JobContext {
        fresh_id: "f",
        namespace: &namespace,
        requester: "a",
        manager: None,
        queue_exists: true,
        most_template,
    };
    let decided = |job: &Value, old: Option<&Value>, most| matches!(mutate(job, old, &context(most)), Admit::Refused(refusal) if refusal.code == 422);
    assert!(decided(&large, None, MOST_TEMPLATE_BYTES));
    assert!(!decided(&large, None, 100_000), "the installation may allow more");
    let taken = with(large.clone(), "metadata labels", json!({keys::JOB_ID: "x", keys::QUEUE: "q"}));
    assert!(!decided(&taken, Some(&taken), MOST_TEMPLATE_BYTES), "one that was taken stays");
    assert!(decided(&taken, Some(&queued()), MOST_TEMPLATE_BYTES), "and does not grow into one");
    let outside = with(large, "metadata labels", json!({keys::QUEUE: "none"}));
    assert!(!decided(&outside, None, MOST_TEMPLATE_BYTES));
}

#[track_caller]
fn check_host_network(job: &Value, stamped: Option<&str>) {
    let seen = create(job).job;
    let stamp = seen["spec"]["template"]["metadata"]["annotations"].get(keys::HOST_NETWORK).and_then(Value::as_str);
    assert_eq!(stamp, stamped);
}

#[test]
fn an_explicit_choice_about_the_host_network_is_stamped_where_it_can_be_seen() {
    let applied = |operation: &str| json!([{"operation": operation, "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}}}}}}]);
    let last_applied = |manifest: &str| json!({"kubectl.kubernetes.io/last-applied-configuration": manifest});
    let explicit = r#"{"spec":{"template":{"spec":{"hostNetwork":false}}}}"#;
    check_host_network(&indexed(), None);
    check_host_network(&with(indexed(), "metadata managedFields", applied("Apply")), Some("false"));
    check_host_network(&with(indexed(), "metadata managedFields", applied("Update")), None);
    check_host_network(&with(indexed(), "metadata annotations", last_applied(explicit)), Some("false"));
    check_host_network(&with(indexed(), "metadata annotations", last_applied(r#"{"spec":{}}"#)), None);
    check_host_network(&with(indexed(), "metadata annotations", last_applied("garbage")), None);
    check_host_network(&with(indexed(), "metadata annotations", json!({keys::HOST_NETWORK: "false"})), Some("false"));
    let both = with(indexed(), "metadata annotations", json!({keys::HOST_NETWORK: "false"}));
    check_host_network(
        &with(both, "spec template metadata annotations", json!({keys::HOST_NETWORK: "true"})),
        Some("true"),
    );
}

#[test]
fn reserved_variables_are_warned_of_once() {
    let env =
        json!([{"name": "AWS_BATCH_JOB_ID", "value": "x"}, {"name": "AWS_BATCH_MINE", "value": "y"}, {"name": "A"}]);
    let job =
        with(indexed(), "spec template spec containers", json!([{"name": "a", "env": env}, {"name": "b", "env": env}]));
    let expected = "variable AWS_BATCH_JOB_ID and 1 more: names that begin with AWS_BATCH_ are reserved, Bulkhead's values replace yours";
    assert_eq!(create(&job).warnings, [expected]);
}

#[test]
fn false_re_applied_by_a_sync_leaves_a_queued_job_as_it_is() {
    let old = queued();
    let seen = update(&old, &with(old.clone(), "spec suspend", json!(false)));
    assert_eq!(seen.job, old);
}

#[test]
fn replacing_with_the_original_manifest_leaves_a_queued_job_as_it_is() {
    let old = queued();
    let mut manifest = indexed();
    manifest["metadata"]["labels"] = json!({});
    manifest["spec"]["template"]["metadata"]["annotations"] = json!({});
    assert_eq!(update(&old, &manifest).job, old);
}

#[test]
fn false_clears_the_users_hold_and_releases_nothing() {
    let held = create(&with(indexed(), "spec suspend", json!(true))).job;
    let seen = update(&held, &with(held.clone(), "spec suspend", json!(false))).job;
    assert_eq!(seen["spec"]["suspend"], true);
    assert_eq!(seen["metadata"]["annotations"], json!({keys::QUEUED: "fresh"}));
}

#[test]
fn true_in_a_manifest_that_did_not_say_so_holds_a_waiting_job_and_false_lets_it_go() {
    let applied = |job: Value, suspend: bool| {
        let manifest = json!({"spec": {"suspend": suspend}}).to_string();
        let job = with(job, "metadata annotations kubectl.kubernetes.io/last-applied-configuration", json!(manifest));
        with(job, "spec suspend", json!(suspend))
    };
    let queued = create(&applied(indexed(), false)).job;
    let held = update(&queued, &applied(queued.clone(), true)).job;
    assert_eq!(held["metadata"]["annotations"][keys::SUSPEND], "true");
    assert_eq!(update(&held, &applied(held.clone(), true)).job, held, "applied again");
    let again = update(&held, &applied(held.clone(), false)).job;
    assert_eq!((&again["spec"]["suspend"], again["metadata"]["annotations"].get(keys::SUSPEND)), (&json!(true), None));
}

#[test]
fn the_annotation_removed_from_what_is_stored_lets_go_and_a_manifest_without_it_does_not() {
    let held = create(&with(indexed(), "spec suspend", json!(true))).job;
    let removed = without(held.clone(), "/metadata/annotations", keys::SUSPEND);
    assert!(update(&held, &removed).job["metadata"]["annotations"].get(keys::SUSPEND).is_none());
    let manifest = with(indexed(), "spec suspend", json!(true));
    assert_eq!(update(&held, &manifest).job["metadata"]["annotations"][keys::SUSPEND], "true");
}

#[test]
fn writing_back_what_was_read_holds_nothing() {
    let queued = queued();
    let kept = json!({"metadata": {"labels": queued["metadata"]["labels"]}, "spec": {"suspend": true}}).to_string();
    let key = "metadata annotations kubectl.kubernetes.io/last-applied-configuration";
    let replaced = with(queued.clone(), key, json!(kept));
    assert!(update(&queued, &replaced).job["metadata"]["annotations"].get(keys::SUSPEND).is_none());
}

#[test]
fn true_after_release_suspends_and_false_queues_again() {
    let suspended = update(&released(), &with(released(), "spec suspend", json!(true))).job;
    assert_eq!(suspended["metadata"]["annotations"], json!({keys::QUEUED: "fresh", keys::SUSPEND: "true"}));
    assert_eq!(suspended["spec"]["suspend"], true);
    let again = update(&suspended, &with(suspended.clone(), "spec suspend", json!(false))).job;
    assert_eq!(again["spec"]["suspend"], true);
    assert_eq!(again["metadata"]["annotations"], json!({keys::QUEUED: "fresh"}));
}

#[test]
fn a_finished_job_is_not_suspended_again() {
    let done = with(released(), "status conditions", json!([{"type": "Complete", "status": "True"}]));
    let new = with(done.clone(), "spec suspend", json!(true));
    assert_eq!(update(&done, &new).operations, 0);
}

#[test]
fn nobody_but_the_controller_writes_our_keys() {
    let old = released();
    let forged = with(
        without(old.clone(), "/metadata/annotations", keys::RELEASED),
        "metadata labels bulkhead.dev/queue",
        json!("p"),
    );
    let forged = with(forged, "metadata annotations bulkhead.dev/status", json!("fine"));
    let seen = update(&old, &forged);
    assert_eq!(seen.job, old);
    assert_eq!(seen.warnings.len(), 1);
    let release = released();
    assert_eq!(hook(&release, Some(&queued()), keys::CONTROLLER_USER).operations, 0);
}

/// Managed fields as the API server shows them to the hook: it has listed who wrote what just now.
fn managed(job: Value, managers: &[(&str, &str, Value)]) -> Value {
    let entries = managers
        .iter()
        .map(|(manager, operation, fields)| json!({"manager": manager, "operation": operation, "fieldsV1": fields}));
    with(job, "metadata managedFields", entries.collect())
}

#[test]
fn nobody_owns_suspend_after_any_write() {
    let (whole, rest) =
        (json!({"f:spec": {"f:suspend": {}, "f:completions": {}}}), json!({"f:spec": {"f:completions": {}}}));
    let only = json!({"f:spec": {"f:suspend": {}}});
    let check = |seen: &Value, managers: &[(&str, &str, Value)]| {
        assert_eq!(seen["metadata"]["managedFields"], managed(json!({}), managers)["metadata"]["managedFields"]);
    };
    let created = create(&managed(indexed(), &[("helm", "Update", whole.clone())])).job;
    check(&created, &[("helm", "Update", rest.clone())]);
    let applied = managed(
        with(created.clone(), "spec suspend", json!(false)),
        &[("helm", "Update", rest.clone()), ("helm", "Apply", whole.clone()), ("edit", "Update", only.clone())],
    );
    let again = update(&created, &applied).job;
    check(&again, &[("helm", "Update", rest.clone()), ("helm", "Apply", rest.clone())]);
    assert_eq!(again["spec"], created["spec"]);
    // Our own release is a write, too.
    let release = managed(released(), &[("helm", "Update", rest.clone()), ("bulkhead", "Update", only)]);
    let seen = hook(&release, Some(&created), keys::CONTROLLER_USER);
    check(&seen.job, &[("helm", "Update", rest)]);
    assert_eq!(seen.job["spec"]["suspend"], false);
}

#[test]
fn who_owns_suspend_of_a_job_outside_is_not_ours_to_say() {
    let owned = managed(indexed(), &[("helm", "Update", json!({"f:spec": {"f:suspend": {}}}))]);
    assert_eq!(update(&owned, &owned).operations, 0);
    assert_eq!(create(&with(owned, "metadata labels", json!({keys::QUEUE: "none"}))).operations, 2);
}

#[test]
fn a_job_older_than_the_label_is_left_alone() {
    let old = indexed();
    let new = with(old.clone(), "metadata labels", json!({"mine": "x"}));
    assert_eq!(update(&old, &new).operations, 0);
    let late = with(old.clone(), "metadata labels", json!({keys::QUEUE: "q"}));
    let seen = update(&old, &late);
    assert_eq!((seen.outcome, seen.warnings.len()), (Outcome::LeftAlone, 1));
    assert_eq!(seen.job["metadata"]["labels"], json!({}), "it is in no queue, and stored as in none");
    let outside = with(old.clone(), "metadata labels", json!({keys::QUEUE: "none"}));
    assert_eq!(update(&old, &outside).operations, 0);
    assert_eq!(update(&late, &late).operations, 0, "what was stored before Bulkhead was there stays");
}

#[test]
fn none_survives_a_replace() {
    let manifest = with(indexed(), "metadata labels", json!({keys::QUEUE: "none"}));
    let old = create(&manifest).job;
    let mut again = manifest;
    again["spec"]["template"]["metadata"]["labels"] = json!({});
    assert_eq!(update(&old, &again).job, old);
}

#[test]
fn the_number_of_children_follows_the_job_only_while_its_template_may_change() {
    let resize = |old: Value| {
        let new = with(old.clone(), "spec completions", json!(7));
        update(&old, &new).job["spec"]["template"]["metadata"]["annotations"][keys::ARRAY_SIZE].clone()
    };
    assert_eq!(resize(queued()), "7");
    assert_eq!(resize(released()), "5");
    assert_eq!(resize(with(queued(), "status startTime", json!("2026-01-01T00:00:00Z"))), "5");
}
