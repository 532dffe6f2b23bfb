//! Tests of who is let in and what they may: with keys and tokens, over HTTP requests; what Kubernetes says is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use axum::http::{HeaderMap, HeaderValue, Request};
use cluster::access::Unanswered;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::identity::Identity;
use planning::access::Ask;

use super::*;
use crate::auth::{SentRequest, sign};
use crate::{Generation, Guard, Judge, Masters};

/// What Kubernetes says.
#[derive(Clone, Default)]
pub(super) struct Says(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    tokens: BTreeMap<String, Identity>,
    /// Users that are not there any more.
    gone: BTreeSet<String>,
    /// User and right.
    rights: BTreeSet<(String, String)>,
    silent: bool,
}

impl Says {
    fn with<T>(&self, of: impl FnOnce(&mut Said) -> T) -> Result<T, Unanswered> {
        let mut said = self.0.lock().unwrap();
        if said.silent { Err(Unanswered::Late) } else { Ok(of(&mut said)) }
    }

    pub(super) fn give(&self, name: &str, right: &str) {
        self.0.lock().unwrap().rights.insert((account(name).user, right.to_owned()));
    }
}

impl Judge for Says {
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<Identity>, Unanswered>> {
        let found = self.with(|said| said.tokens.get(&token).cloned());
        async { found }.boxed()
    }

    fn is_there(&self, identity: Identity) -> BoxFuture<'_, Result<bool, Unanswered>> {
        let found = self.with(|said| !said.gone.contains(&identity.user));
        async { found }.boxed()
    }

    fn may(&self, identity: Identity, ask: Ask) -> BoxFuture<'_, Result<bool, Unanswered>> {
        let found = self.with(|said| said.rights.contains(&(identity.user, ask.sentence())));
        async { found }.boxed()
    }
}

/// Service account `robot` of a namespace.
fn account(namespace: &str) -> Identity {
    Identity {
        user: format!("system:serviceaccount:{namespace}:robot"),
        uid: Some(format!("uid-{namespace}")),
        groups: vec!["system:authenticated".to_owned()],
    }
}

/// A client's key.
#[derive(Clone)]
pub(super) struct Key {
    id: String,
    secret: String,
    token: String,
}

/// The API where keys are asked for, beside the same without.
pub(super) struct Guarded {
    pub(super) world: World,
    router: Router,
    pub(super) says: Says,
}

impl Guarded {
    pub(super) async fn new() -> Self {
        let world = World::ready().await;
        let says = Says::default();
        for namespace in ["red", "blue"] {
            said_of(&says, namespace);
        }
        let masters = Masters::new(vec![Generation::new(Timestamp::now()).unwrap()]);
        let guard = Guard::forgetful(says.clone(), watch::Sender::new(masters).subscribe());
        let config = Config { guard: Some(guard), ..config() };
        let router = router(world.stores.subscribe(), world.fronts.subscribe(), world.objects.clone(), config);
        Self { world, router, says }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (u16, String, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn sts(&self, form: &str) -> (u16, String) {
        let request = Request::post("/").header("host", "localhost:8443");
        let request = request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let (status, _, body) = self.send(request.body(form.to_owned().into()).unwrap()).await;
        (status, body)
    }

    pub(super) async fn key(&self, namespace: &str) -> Key {
        let form = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=any&RoleSessionName=me&WebIdentityToken=token-{namespace}"
        );
        let (status, body) = self.sts(&form).await;
        assert_eq!(status, 200, "{body}");
        let element = |name: &str| {
            let rest = body.split(&format!("<{name}>")).nth(1).unwrap();
            rest.split("</").next().unwrap().to_owned()
        };
        Key { id: element("AccessKeyId"), secret: element("SecretAccessKey"), token: element("SessionToken") }
    }

    async fn call(&self, key: &Key, operation: &str, body: &Value) -> Result<Value, String> {
        let request =
            signed(key, "POST", &format!("/v1/{}", operation.to_lowercase()), &body.to_string(), Timestamp::now());
        let (status, _, text) = self.send(request).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        if status == 200 { Ok(answer) } else { Err(format!("{status} {}", inner(answer["message"].as_str().unwrap()))) }
    }

    /// Calls with no right, and gives the one that is said to be missing, until there is an answer. Returns what was missing.
    pub(super) async fn missing(&self, key: &Key, operation: &str, body: &Value) -> Vec<String> {
        let user = account("red").user;
        let mut missing = Vec::new();
        loop {
            let Err(said) = self.call(key, operation, body).await else { return missing };
            let right = said.split(&format!("because no role of Kubernetes lets {user} ")).nth(1);
            let Some(right) = right.filter(|_| said.starts_with("403 User: arn:aws:iam::123456789012:user/")) else {
                panic!("{operation}: {said}");
            };
            assert!(said.contains(&format!("perform: batch:{operation} on resource: arn:aws:batch:")), "{said}");
            self.says.give("red", right);
            missing.push(right.to_owned());
        }
    }
}

fn said_of(says: &Says, namespace: &str) {
    let mut said = says.0.lock().unwrap();
    said.tokens.insert(format!("token-{namespace}"), account(namespace));
}

fn signed(key: &Key, method: &str, path: &str, body: &str, at: Timestamp) -> Request<Body> {
    signed_for(("batch", None), key, method, path, body, at)
}

/// For a service, and what is called if a header says that.
pub(super) fn signed_for(
    (service, target): (&str, Option<&str>),
    key: &Key,
    method: &str,
    path: &str,
    body: &str,
    at: Timestamp,
) -> Request<Body> {
    let mut headers = HeaderMap::new();
    let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let of_all = [
        ("content-type", "application/json"),
        ("host", "localhost:8443"),
        ("x-amz-date", date.as_str()),
        ("x-amz-security-token", key.token.as_str()),
    ];
    for (name, value) in of_all.into_iter().chain(target.map(|target| ("x-amz-target", target))) {
        headers.insert(name.parse::<axum::http::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let (path_only, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let sent = SentRequest { method, path: path_only, query, headers: &headers, body: body.as_bytes() };
    let names = ["content-type;host;x-amz-date;x-amz-security-token", target.map_or("", |_| ";x-amz-target")].concat();
    let authorization = sign(&sent, &key.id, &key.secret, service, &names);
    headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
    let mut request = Request::builder().method(method).uri(path).body(body.to_owned().into()).unwrap();
    *request.headers_mut() = headers;
    request
}

fn submission(name: &str) -> Value {
    json!({"jobName": name, "jobQueue": "Q", "jobDefinition": "D"})
}

#[tokio::test]
async fn nobody_is_let_in_without_a_key_that_holds() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let now = Timestamp::now();
    let request = || signed(&key, "POST", "/v1/describejobqueues", "{}", now);
    assert_eq!(guarded.send(request()).await.0, 200);
    let with = |name: &'static str, value: &str| {
        let mut request = request();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        request
    };
    let without = |name: &str| {
        let mut request = request();
        request.headers_mut().remove(name);
        request
    };
    let late = |seconds| signed(&key, "POST", "/v1/describejobqueues", "{}", now - SignedDuration::from_secs(seconds));
    let other = Key { secret: "x".repeat(40), ..key.clone() };
    let strange = Key { id: "ASIAAAAAAAAAAAAAAAAA".to_owned(), ..key.clone() };
    let invalid = "The security token included in the request is invalid.";
    for (request, kind, said) in [
        (without("authorization"), "MissingAuthenticationTokenException", "Missing Authentication Token"),
        (without("x-amz-date"), "IncompleteSignatureException", "X-Amz-Date is missing"),
        (without("x-amz-security-token"), "UnrecognizedClientException", invalid),
        (with("x-amz-date", "20150830T123600Z"), "InvalidSignatureException", "Signature expired"),
        (with("host", "localhost"), "InvalidSignatureException", "does not match"),
        (with("authorization", "Basic YTpi"), "MissingAuthenticationTokenException", "Missing Authentication Token"),
        (with("authorization", "Bearer nobody"), "UnrecognizedClientException", invalid),
        (signed(&other, "POST", "/v1/describejobqueues", "{}", now), "InvalidSignatureException", "does not match"),
        (signed(&strange, "POST", "/v1/describejobqueues", "{}", now), "UnrecognizedClientException", invalid),
        (late(400), "InvalidSignatureException", "Signature expired"),
        (late(-400), "InvalidSignatureException", "Signature expired"),
    ] {
        let (status, given, body) = guarded.send(request).await;
        assert!(
            (status, given.as_str()) == (403, kind) && body.contains(said),
            "{kind} {said}: {status} {given} {body}"
        );
    }
    // A page can do nothing, whatever it has.
    assert_eq!(guarded.send(with("origin", "https://evil.example")).await.0, 403);
    guarded.says.0.lock().unwrap().silent = true;
    let (status, _, body) = guarded.send(with("authorization", "Bearer token-red")).await;
    assert!(status == 503 && body.contains("The Kubernetes API does not answer who you are"), "{status} {body}");
}

#[tokio::test]
async fn keys_and_tokens_are_of_those_whom_kubernetes_knows() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let bearer = |token: &str| {
        let request = Request::post("/v1/describejobqueues").header("host", "localhost:8443");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.header("content-type", "application/json").body(Body::from("{}")).unwrap()
    };
    assert_eq!(guarded.send(bearer("token-red")).await.0, 200);
    let (status, body) =
        guarded.sts("Action=AssumeRoleWithWebIdentity&RoleArn=a&RoleSessionName=me&WebIdentityToken=x").await;
    assert!(status == 400 && body.contains("<Code>InvalidIdentityToken</Code>"), "{body}");
    let container = |token: &str| {
        let request = Request::get("/credentials").header("host", "localhost:8443");
        request.header("authorization", token).body(Body::empty()).unwrap()
    };
    let (status, _, body) = guarded.send(container("token-blue")).await;
    let given: Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    let blue = Key { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: text("Token") };
    assert!(status == 200 && text("Expiration").ends_with('Z'));
    assert_eq!(guarded.call(&blue, "DescribeJobQueues", &json!({})).await, Ok(json!({"jobQueues": []})));
    assert_eq!(guarded.send(container("x")).await.0, 403);
    // The token of one key with the id of another is nobody's.
    let mixed = Key { id: blue.id.clone(), ..key.clone() };
    assert!(
        guarded.call(&mixed, "DescribeJobQueues", &json!({})).await.unwrap_err().starts_with("403 The security token")
    );
    // An account that is gone, or another of its name, is nobody any more.
    guarded.says.0.lock().unwrap().gone.insert(account("red").user);
    let fresh = guarded.key("red").await;
    assert!(
        guarded.call(&fresh, "DescribeJobQueues", &json!({})).await.unwrap_err().starts_with("403 The security token")
    );
}

#[tokio::test]
async fn each_operation_asks_for_the_rights_that_it_needs_and_says_which_is_missing() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let world = &guarded.world;
    let job = world.ok("SubmitJob", submission("a")).await["jobId"].as_str().unwrap().to_owned();
    let arn = |resource: &str| format!("arn:aws:batch:us-east-1:123456789012:{resource}");
    let order = json!([{"order": 1, "computeEnvironment": "CE"}]);
    let (ce, q) = (model::names::object_name("CE"), model::names::object_name("Q"));
    let environments = |verb: &str, name: &str| format!("{verb} computeenvironments.bulkhead.dev {name}");
    let queues = |verb: &str, name: &str| format!("{verb} jobqueues.bulkhead.dev {name}");
    // Of what was made without keys nobody's namespace is known.
    let everywhere = |verb: &str, of: &str| format!("{verb} {of}.bulkhead.dev in all namespaces");
    let space = "my-aws-batch-namespace";
    let jobs = |verb: &str, namespace: &str| format!("{verb} batchjobs.bulkhead.dev in namespace {namespace}");
    let definitions =
        |verb: &str, namespace: &str| format!("{verb} jobdefinitions.bulkhead.dev in namespace {namespace}");
    for (operation, body, expect) in [
        ("CreateComputeEnvironment", environment("new"), vec![environments("create", "new")]),
        (
            "UpdateComputeEnvironment",
            json!({"computeEnvironment": "CE", "state": "ENABLED"}),
            vec![environments("update", &ce)],
        ),
        (
            "CreateJobQueue",
            json!({"jobQueueName": "n", "priority": 1, "computeEnvironmentOrder": order}),
            vec![queues("create", "n")],
        ),
        ("UpdateJobQueue", json!({"jobQueue": arn("job-queue/Q"), "priority": 2}), vec![queues("update", &q)]),
        ("GetJobQueueSnapshot", json!({"jobQueue": "Q"}), vec![queues("get", &q)]),
        ("RegisterJobDefinition", definition("mine"), vec![definitions("create", "red")]),
        ("RegisterJobDefinition", definition("mine"), vec![definitions("update", "red")]),
        ("RegisterJobDefinition", definition("D"), vec![everywhere("update", "jobdefinitions")]),
        (
            "SubmitJob",
            submission("b"),
            vec![queues("use", &q), everywhere("get", "jobdefinitions"), jobs("create", space)],
        ),
        (
            "SubmitJob",
            json!({"jobName": "c", "jobQueue": "Q", "jobDefinition": "mine"}),
            vec![definitions("get", "red")],
        ),
        ("CancelJob", json!({"jobId": job, "reason": "r"}), vec![everywhere("delete", "batchjobs")]),
        ("TerminateJob", json!({"jobId": job, "reason": "r"}), vec![]),
        ("CancelJobs", json!({"jobs": [job], "reason": "r"}), vec![]),
        ("TerminateJobs", json!({"jobs": [job], "reason": "r"}), vec![]),
        ("DeregisterJobDefinition", json!({"jobDefinition": "mine:1"}), vec![definitions("delete", "red")]),
        ("DeregisterJobDefinition", json!({"jobDefinition": "never:1"}), vec![]),
        ("UpdateJobQueue", json!({"jobQueue": "Q", "state": "DISABLED"}), vec![]),
        ("DeleteJobQueue", json!({"jobQueue": "Q"}), vec![queues("delete", &q)]),
        (
            "UpdateComputeEnvironment",
            json!({"computeEnvironment": "new", "state": "DISABLED"}),
            vec![environments("update", "new")],
        ),
        ("DeleteComputeEnvironment", json!({"computeEnvironment": "new"}), vec![environments("delete", "new")]),
    ] {
        assert_eq!(guarded.missing(&key, operation, &body).await, expect, "{operation} {body}");
    }
}

#[tokio::test]
async fn tags_are_seen_and_changed_by_whoever_may_see_and_change_what_they_are_on() {
    let q = model::names::object_name("Q");
    let ce = model::names::object_name("CE");
    for (resource, of) in [
        ("job-queue/Q", format!("jobqueues.bulkhead.dev {q}")),
        ("compute-environment/CE", format!("computeenvironments.bulkhead.dev {ce}")),
        ("job-definition/D:1", "jobdefinitions.bulkhead.dev in all namespaces".to_owned()),
        ("job/ID", "batchjobs.bulkhead.dev in all namespaces".to_owned()),
    ] {
        for (method, query, body, verb) in [
            ("GET", "", "", "get"),
            ("POST", "", r#"{"tags": {"a": "b"}}"#, "update"),
            ("DELETE", "?tagKeys=a", "", "update"),
        ] {
            let guarded = Guarded::new().await;
            let key = guarded.key("red").await;
            let job = guarded.world.ok("SubmitJob", submission("a")).await["jobId"].as_str().unwrap().to_owned();
            let arn = format!("arn:aws:batch:us-east-1:123456789012:{}", resource.replace("ID", &job));
            let path = format!("/v1/tags/{}{query}", arn.replace(':', "%3A").replace('/', "%2F"));
            let right = format!("{verb} {of}");
            let (status, kind, said) = guarded.send(signed(&key, method, &path, body, Timestamp::now())).await;
            let refused = status == 403 && kind == "AccessDeniedException" && said.contains(&right);
            assert!(refused, "{method} {path}: {said}");
            guarded.says.give("red", &right);
            let (status, _, said) = guarded.send(signed(&key, method, &path, body, Timestamp::now())).await;
            let never = resource == "job/ID" && verb == "update";
            assert!((status == 200) != never && status != 403, "{method} {path}: {status} {said}");
        }
    }
}

#[tokio::test]
async fn pages_say_nothing_of_what_is_left_out() {
    let guarded = Guarded::new().await;
    let (red, blue) = (guarded.key("red").await, guarded.key("blue").await);
    for verb in ["create", "get", "update"] {
        guarded.says.give("red", &format!("{verb} jobdefinitions.bulkhead.dev in namespace red"));
    }
    guarded.call(&red, "RegisterJobDefinition", &definition("secret-name")).await.unwrap();
    let (mut body, mut seen, mut pages) = (json!({"maxResults": 1}), Vec::new(), 0);
    loop {
        let answer = guarded.call(&red, "DescribeJobDefinitions", &body).await.unwrap();
        let names = answer["jobDefinitions"].as_array().unwrap().iter().map(|it| it["jobDefinitionName"].clone());
        seen.extend(names);
        pages += 1;
        let Some(token) = answer["nextToken"].as_str() else { break };
        assert!(!token.contains("secret") && !token.contains('.'), "{token}");
        body["nextToken"] = json!(token);
        // It is of this caller alone.
        let said = guarded.call(&blue, "DescribeJobDefinitions", &body).await.unwrap_err();
        assert!(said.contains("nextToken is not one that was given to this caller"), "{said}");
    }
    assert_eq!((seen, pages), (vec![json!("secret-name")], 2));
    let made_up = json!({"maxResults": 1, "nextToken": "1.D"});
    assert!(guarded.call(&red, "DescribeJobDefinitions", &made_up).await.unwrap_err().contains("nextToken is not one"));
}

#[tokio::test]
async fn names_that_nothing_can_have_are_asked_for_nowhere() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let long = "a".repeat(20_000);
    for (operation, body) in [
        ("UpdateComputeEnvironment", json!({"computeEnvironment": long, "state": "ENABLED"})),
        ("DeleteJobQueue", json!({"jobQueue": long})),
        ("GetJobQueueSnapshot", json!({"jobQueue": long})),
        ("CreateJobQueue", json!({"jobQueueName": long, "priority": 1, "computeEnvironmentOrder": []})),
        ("SubmitJob", json!({"jobName": "a", "jobQueue": long, "jobDefinition": "D"})),
    ] {
        let said = guarded.call(&key, operation, &body).await.unwrap_err();
        assert!(said.starts_with("400 ") && said.len() < 500, "{operation}: {said}");
    }
}

#[tokio::test]
async fn without_a_master_key_nobody_is_told_that_his_is_none() {
    let guarded = Guarded::new().await;
    let key = guarded.key("red").await;
    let masters = watch::Sender::new(Masters::default());
    let config = Config { guard: Some(Guard::new(guarded.says.clone(), masters.subscribe())), ..config() };
    let (stores, fronts) = (guarded.world.stores.subscribe(), guarded.world.fronts.subscribe());
    let bare = router(stores, fronts, guarded.world.objects.clone(), config);
    let request = signed(&key, "POST", "/v1/describejobqueues", "{}", Timestamp::now());
    assert_eq!(bare.oneshot(request).await.unwrap().status().as_u16(), 503, "clients try again");
}

#[tokio::test]
async fn nobody_sees_what_is_not_theirs() {
    let guarded = Guarded::new().await;
    let (red, blue) = (guarded.key("red").await, guarded.key("blue").await);
    let q = model::names::object_name("Q");
    for name in ["red", "blue"] {
        guarded.says.give(name, "use jobqueues.bulkhead.dev");
        for verb in ["create", "get", "list", "update", "delete"] {
            for of in ["batchjobs", "jobdefinitions"] {
                guarded.says.give(name, &format!("{verb} {of}.bulkhead.dev in namespace {name}"));
            }
        }
    }
    guarded.says.give("blue", &format!("get jobqueues.bulkhead.dev {q}"));
    let definition = |name: &str| {
        let mut definition = definition(name);
        definition["eksProperties"]["podProperties"]["metadata"]["namespace"] = json!(name);
        definition
    };
    let mut ids = Vec::new();
    for (name, key) in [("red", &red), ("blue", &blue)] {
        guarded.call(key, "RegisterJobDefinition", &definition(name)).await.unwrap();
        let job = json!({"jobName": name, "jobQueue": "Q", "jobDefinition": name});
        ids.push(guarded.call(key, "SubmitJob", &job).await.unwrap()["jobId"].as_str().unwrap().to_owned());
    }
    let filter = json!({"jobQueue": "Q", "filters": [{"name": "AFTER_CREATED_AT", "values": ["0"]}]});
    for (key, name, own, other) in [(&red, "red", &ids[0], &ids[1]), (&blue, "blue", &ids[1], &ids[0])] {
        let answer = guarded.call(key, "ListJobs", &filter).await.unwrap();
        let listed: Vec<&str> =
            answer["jobSummaryList"].as_array().unwrap().iter().map(|it| it["jobName"].as_str().unwrap()).collect();
        assert_eq!(listed, [name]);
        let answer = guarded.call(key, "DescribeJobs", &json!({"jobs": ids})).await.unwrap();
        let described: Vec<&str> =
            answer["jobs"].as_array().unwrap().iter().map(|it| it["jobId"].as_str().unwrap()).collect();
        assert_eq!(described, [own]);
        let answer = guarded.call(key, "DescribeJobDefinitions", &json!({})).await.unwrap();
        let definitions: Vec<&str> = answer["jobDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["jobDefinitionName"].as_str().unwrap())
            .collect();
        assert_eq!(definitions, [name]);
        let queues = guarded.call(key, "DescribeJobQueues", &json!({})).await.unwrap();
        assert_eq!(queues["jobQueues"].as_array().unwrap().len(), usize::from(name == "blue"));
        for operation in ["CancelJob", "TerminateJob"] {
            let said = guarded.call(key, operation, &json!({"jobId": other, "reason": "r"})).await.unwrap_err();
            assert!(said.contains("delete batchjobs.bulkhead.dev in namespace"), "{said}");
        }
        // Not even whether it is there.
        let mut dependent = json!({"jobName": "x", "jobQueue": "Q", "jobDefinition": name});
        dependent["dependsOn"] = json!([{"jobId": other}]);
        let said = guarded.call(key, "SubmitJob", &dependent).await.unwrap_err();
        assert!(said.contains(&format!("dependsOn: job {other} does not exist")), "{said}");
        let others = if name == "red" { "blue" } else { "red" };
        let said =
            guarded.call(key, "SubmitJob", &json!({"jobName": "x", "jobQueue": "Q", "jobDefinition": others})).await;
        assert!(said.unwrap_err().contains(&format!("get jobdefinitions.bulkhead.dev in namespace {others}")));
        let said = guarded.call(key, "RegisterJobDefinition", &definition(others)).await.unwrap_err();
        assert!(said.contains(&format!("update jobdefinitions.bulkhead.dev in namespace {others}")), "{said}");
    }
    assert_eq!(guarded.world.records().jobs(&[ids[0].parse().unwrap()]).await.unwrap()[0].requested, None);
}
