//! What Jobs that wait will request: `LimitRanges`, `RuntimeClasses`, and what their pods turned out to request.

use super::*;

fn limit_range(name: &str, namespace: &str, cpu: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}")},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": cpu}, "defaultRequest": {"cpu": cpu}}]},
    })
}

fn cpu(index: &Index, job: &str) -> i64 {
    index.snapshot(even(at(0))).jobs.iter().find(|one| one.key.name == job).unwrap().shape.requests.cpu
}

#[test]
fn waiting_jobs_see_limit_ranges_that_come_change_and_go() {
    let index = index();
    apply::<JobQueue>(&index, &queue("q"));
    apply::<Job>(&index, &job("j"));
    assert_eq!(cpu(&index, "j"), 250);
    let before = version(&index);
    apply::<LimitRange>(&index, &limit_range("a", "n", "600m"));
    assert_eq!((cpu(&index, "j"), version(&index)), (600, before + 1));
    apply::<LimitRange>(&index, &limit_range("b", "n", "300m"));
    apply::<LimitRange>(&index, &limit_range("c", "n2", "4"));
    assert_eq!(cpu(&index, "j"), 600, "the largest of its own namespace");
    apply::<LimitRange>(&index, &limit_range("a", "n", "400m"));
    apply::<Job>(&index, &job("later"));
    assert_eq!((cpu(&index, "j"), cpu(&index, "later")), (400, 400));
    delete::<LimitRange>(&index, &limit_range("a", "n", "400m"));
    assert_eq!(cpu(&index, "j"), 300);
    list::<LimitRange>(&index, &[]);
    assert_eq!(cpu(&index, "j"), 250);
}

#[test]
fn waiting_jobs_see_their_runtime_class() {
    let index = index();
    let mut job = job("j");
    job["spec"]["template"]["spec"]["runtimeClassName"] = json!("kata");
    apply::<Job>(&index, &job);
    assert_eq!(cpu(&index, "j"), 0);
    let class = json!({"metadata": {"name": "kata"}, "handler": "h", "overhead": {"podFixed": {"cpu": "100m"}}});
    apply::<RuntimeClass>(&index, &class);
    assert_eq!(cpu(&index, "j"), 100);
    delete::<RuntimeClass>(&index, &class);
    assert_eq!(cpu(&index, "j"), 0);
}

#[test]
fn what_the_newest_pod_really_requests_is_expected_of_the_next() {
    let index = index();
    apply::<Job>(&index, &job("j"));
    assert_eq!(cpu(&index, "j"), 0);
    // Somebody's webhook made it one CPU.
    apply::<Pod>(&index, &pod("p1", "j"));
    assert_eq!(cpu(&index, "j"), 1000);
    // A change of the Job keeps that, a pod of another Job and a resize of its own teach nothing.
    apply::<Job>(&index, &annotated(job("j"), "a", "b"));
    apply::<Job>(&index, &job("other"));
    let asking = |mut pod: Value, cpu: &str| {
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        pod
    };
    apply::<Pod>(&index, &asking(pod("p1", "j"), "3"));
    assert_eq!((cpu(&index, "j"), cpu(&index, "other")), (1000, 0));
    // Pods of the same second: the larger. A newer one: what it says, also if that is what was expected.
    apply::<Pod>(&index, &asking(pod("p2", "j"), "500m"));
    assert_eq!(cpu(&index, "j"), 1000);
    apply::<Pod>(&index, &created(asking(pod("p3", "j"), "500m"), at(1)));
    assert_eq!(cpu(&index, "j"), 500);
    apply::<Pod>(&index, &asking(pod("p0", "j"), "2"));
    assert_eq!(cpu(&index, "j"), 500, "an older one is found later");
    let mut plain = created(pod("p4", "j"), at(2));
    plain["spec"]["containers"] = json!([{"name": "c"}]);
    apply::<Pod>(&index, &plain);
    assert_eq!(cpu(&index, "j"), 0);
}

#[test]
fn what_was_learned_holds_until_something_else_is_expected() {
    let index = index();
    list::<Pod>(&index, &[pod("p1", "j")]);
    list::<Job>(&index, &[job("j")]);
    assert_eq!(cpu(&index, "j"), 1000, "the pod was listed before its Job");
    apply::<LimitRange>(&index, &limit_range("a", "n", "600m"));
    assert_eq!(cpu(&index, "j"), 600);
    list::<Job>(&index, &[]);
    list::<LimitRange>(&index, &[]);
    apply::<Job>(&index, &job("j"));
    assert_eq!(cpu(&index, "j"), 0, "a Job that was gone is another one");
}
