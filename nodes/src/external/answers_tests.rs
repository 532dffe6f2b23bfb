//! Tables for the meaning of answers.

use super::*;
use api::provider::Instance;
use serde_json::json;

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { url: "http://p/offers".to_owned(), status, body: body.into() }
}

fn one(offer: &Value) -> Result<Offer, String> {
    let (mut offers, mut problems) = offers(&answer(200, json!({"offers": [offer]}).to_string())).unwrap();
    offers.pop().ok_or_else(|| problems.pop().unwrap())
}

#[test]
fn an_offer_is_what_pods_can_request_and_what_it_costs() {
    let offer = one(&json!({
        "name": "m5.large", "cpu": "2", "memory": "8Gi", "resources": {"nvidia.com/gpu": "1"},
        "allocatable": {"cpu": "1900m", "pods": "29"}, "zone": "z1", "priceMicros": 96_000, "spot": true,
        "labels": {"kubernetes.io/arch": "arm64", "example.com/disk": "ssd", "empty": ""},
    }));
    assert_eq!(
        offer.unwrap(),
        Offer {
            name: "m5.large".to_owned(),
            milli_vcpus: 2000,
            allocatable: Resources::new(1900, 8 << 30).with("nvidia.com/gpu", 1).with(PODS, 29),
            price_micros: 96_000,
            spot: true,
            labels: BTreeMap::from([
                ("beta.kubernetes.io/arch".to_owned(), "arm64".to_owned()),
                ("beta.kubernetes.io/instance-type".to_owned(), "m5.large".to_owned()),
                ("empty".to_owned(), String::new()),
                ("example.com/disk".to_owned(), "ssd".to_owned()),
                ("failure-domain.beta.kubernetes.io/zone".to_owned(), "z1".to_owned()),
                ("kubernetes.io/arch".to_owned(), "arm64".to_owned()),
                ("node.kubernetes.io/instance-type".to_owned(), "m5.large".to_owned()),
                ("topology.kubernetes.io/zone".to_owned(), "z1".to_owned()),
            ]),
        }
    );
}

#[test]
fn a_bare_offer_gets_the_kubelets_pod_limit_and_a_price_by_its_vcpus() {
    let offer = one(&json!({"name": "local.small", "cpu": "500m", "memory": "1Gi"})).unwrap();
    assert_eq!(offer.allocatable, Resources::new(500, 1 << 30).with(PODS, 110));
    assert_eq!((offer.price_micros, offer.spot), (24_000, false));
}

#[test]
fn an_offer_that_cannot_be_understood_is_left_out_and_named() {
    let labelled = |key: &str, value: &str| json!({"name": "a", "cpu": "1", "memory": "1Gi", "labels": {key: value}});
    for (offer, problem) in [
        (json!({"name": "a", "cpu": "two", "memory": "1Gi"}), r#"offer "a": cpu: "two" is not a quantity"#),
        (json!({"name": "a", "cpu": "0", "memory": "1Gi"}), r#"offer "a": cpu "0" must be more than zero"#),
        (json!({"name": "a", "cpu": "1", "memory": "-1Gi"}), r#"offer "a": memory "-1Gi" must not be negative"#),
        (json!({"name": "a", "cpu": "1", "memory": "1Gi", "allocatable": {"cpu": "x"}}), r#"offer "a": cpu: "x""#),
        (json!({"name": "", "cpu": "1", "memory": "1Gi"}), r#"offer "": it has no name"#),
        (json!({"name": "a", "memory": "1Gi"}), r#"offer "a": missing field `cpu`"#),
        (json!({"name": "a", "cpu": 1, "memory": "1Gi"}), r#"offer "a": invalid type: integer"#),
        (json!(7), r#"offer "": invalid type"#),
        (
            labelled("kubernetes.io/hostname", "n"),
            r#"offer "a": label "kubernetes.io/hostname" differs from node to node"#,
        ),
        (labelled("bulkhead.dev/retiring", ""), r#"offer "a": label "bulkhead.dev/retiring" is reserved"#),
        (labelled("batch.amazonaws.com/x", ""), r#"offer "a": label "batch.amazonaws.com/x" is reserved"#),
        (labelled("a b", "c"), r#"offer "a": "a b": "c" cannot be a label"#),
        (labelled("A.com/b", "c"), r#"offer "a": "A.com/b": "c" cannot be a label"#),
        (labelled("b", "c d"), r#"offer "a": "b": "c d" cannot be a label"#),
    ] {
        let said = one(&offer).unwrap_err();
        assert!(said.starts_with(problem), "{offer}: {said}");
    }
}

#[test]
fn a_bad_offer_does_not_take_the_others_with_it() {
    let good = |name: &str| json!({"name": name, "cpu": "1", "memory": "1Gi"});
    let body = json!({"offers": [good("z"), json!({}), good("a"), good("z")]}).to_string();
    let (offers, problems) = offers(&answer(200, body)).unwrap();
    assert_eq!(
        offers.iter().map(|offer| offer.name.as_str()).collect::<Vec<_>>(),
        ["z", "a"],
        "in the provider's order"
    );
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[1], r#"offer "z" is there twice"#);
}

#[test]
fn names_that_are_no_label_values_are_not_promised_as_labels() {
    let offer = one(&json!({"name": "big machine", "cpu": "1", "memory": "1Gi", "zone": ""})).unwrap();
    assert_eq!(offer.labels, BTreeMap::new());
}

#[test]
fn failures_are_told_apart_by_their_code() {
    let coded = |code: &str| json!({"code": code, "message": "none left"}).to_string();
    for (status, body, expected) in [
        (503, coded("InsufficientCapacity"), "the node provider at http://p/offers has no capacity: none left"),
        (400, coded("InvalidRequest"), "the node provider at http://p/offers refuses the request: none left"),
        (429, coded("TryLater"), "the node provider at http://p/offers asks to try later: none left"),
        (429, "slow down".to_owned(), "the node provider at http://p/offers asks to try later: slow down"),
        (500, coded("TryLater"), "the node provider at http://p/offers answered with HTTP status 500: {"),
        (
            200,
            "<html>".to_owned(),
            "the node provider at http://p/offers answered with HTTP status 200: cannot be read",
        ),
        (503, "<html>".to_owned(), "the node provider at http://p/offers answered with HTTP status 503: <html>"),
        (500, coded("Surprise"), "the node provider at http://p/offers answered with HTTP status 500: {"),
        (302, String::new(), "the node provider at http://p/offers answered with HTTP status 302: (no text)"),
    ] {
        let error = read::<Instance>(&answer(status, body)).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.is_capacity(), expected.contains("capacity"));
        assert_eq!(error.is_final(), expected.contains("refuses"));
        assert_eq!(error.is_certain(), !expected.contains("HTTP status"), "{error}");
    }
}

#[test]
fn a_success_that_cannot_be_read_shows_what_came() {
    let error = read::<Instance>(&answer(200, format!("hello {}", "x".repeat(500)))).unwrap_err().to_string();
    assert!(
        error.contains("HTTP status 200: cannot be read") && error.contains("hello xxx") && error.ends_with('…'),
        "{error}"
    );
}

#[test]
fn a_launch_is_confirmed_by_an_answer_that_names_the_machine() {
    let id = |body: Value| launched(&answer(201, body.to_string()), "t").map(|launched| launched.id);
    let whole = json!({"token": "t", "id": "i-1", "state": "pending", "nodeName": "t", "offer": "m5.large"});
    assert_eq!(id(whole).unwrap(), "i-1");
    // What nobody needs may be missing or new.
    assert_eq!(id(json!({"token": "t", "state": "Creating", "ip": 7})).unwrap(), "t");
    for other in [json!({"token": "u", "id": "i-1"}), json!({}), json!("t"), json!(null)] {
        let error = id(other.clone()).unwrap_err();
        assert!(!error.is_certain() && error.to_string().contains("does not name the machine"), "{other} {error}");
    }
}

#[test]
fn one_instance_that_is_not_understood_does_not_take_the_list_with_it() {
    let body = json!({"instances": [
        {"token": "runs", "id": "i", "state": "running", "nodeName": "runs", "offer": "o"},
        {"token": "stopped", "state": "stopped"}, {"token": "cased", "state": "Running"}, {"token": "bare"},
        {"token": "made", "state": "pending"}, {"token": "goes", "state": "terminating"}, {"token": "died", "state": "failed"},
        {"token": "twice", "state": "failed"}, {"token": "twice", "state": "running"},
        {"token": "again", "state": "running"}, {"token": "again", "state": "failed"},
        {"id": "i-7", "state": "running"}, 7,
    ]});
    let List { machines, problems } = list(&answer(200, body.to_string())).unwrap();
    let alive = |token: &&str| machines[*token] == Listed::Alive;
    let tokens = ["runs", "stopped", "cased", "bare", "made", "twice", "again"];
    assert_eq!(tokens.iter().filter(|token| !alive(token)).count(), 0, "{machines:?}");
    assert_eq!((machines["goes"], machines["died"], machines.len()), (Listed::Ended, Listed::Ended, 9));
    assert_eq!(problems[0], r#"instance "stopped" is in state "stopped", which is not known: it counts as running"#);
    assert_eq!((problems.len(), problems[4].as_str()), (5, "instance 12 has no token"));
    let many: Vec<Value> = (0..30).map(|_| json!({})).collect();
    let problems = list(&answer(200, json!({"instances": many}).to_string())).unwrap().problems;
    assert_eq!((problems.len(), problems[10].as_str()), (11, "20 more instances are not understood"));
    for (status, body) in [(200, "{}"), (200, "<html>"), (404, ""), (200, "[]"), (200, r#"{"instances": null}"#)] {
        assert!(list(&answer(status, body)).is_err(), "no list: {status} {body}");
    }
}

#[test]
fn a_termination_is_confirmed_by_an_answer_that_names_the_machine() {
    let said = |status, body: &str| ended(&answer(status, body), "t");
    for (status, body, expected) in [
        (404, "whatever", Ended::Unknown),
        (200, r#"{"token": "t", "id": "i", "state": "terminating", "nodeName": "t", "offer": "o"}"#, Ended::Ending),
        (202, r#"{"token": "t", "state": "shutting-down"}"#, Ended::Ending),
        (200, r#"{"token": "u", "state": "terminating"}"#, Ended::Unclear),
        (200, "<html>welcome</html>", Ended::Unclear),
        (200, "{}", Ended::Unclear),
        (204, "", Ended::Unclear),
    ] {
        assert_eq!(said(status, body).unwrap(), expected, "{status} {body}");
    }
    assert!(said(500, "").is_err());
}
