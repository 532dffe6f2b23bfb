//! Hostile requests to the API, as whoever reaches its port may send them. Every test here is a target.
//!
//! Invariant: whatever comes in, nothing panics, and the answer is a result or an error in AWS's form. `cargo test` runs a few cases of each target, `cargo xtask fuzz` many.

use axum::http::header::{HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::runtime::Builder;

use super::*;
use crate::limits::TIME_LIMIT;

/// Cases of each target unless `PROPTEST_CASES` says otherwise.
const FEW: u32 = 64;

/// A request, and how its body comes.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    /// After so many bytes of the body nothing comes any more, or it breaks off.
    end: Option<(Index, bool)>,
}

impl Sent {
    fn request(&self) -> Request<Body> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let body = match &self.end {
            None => Body::from(self.body.clone()),
            Some((at, breaks)) => half(self.body[..at.index(self.body.len() + 1)].to_vec(), *breaks),
        };
        let mut request = Request::builder().method(&self.method).uri(&self.path).body(body).unwrap();
        *request.headers_mut() = headers;
        request
    }
}

/// A body of which this comes, and then nothing more for longer than anybody waits, or a break.
fn half(some: Vec<u8>, breaks: bool) -> Body {
    use futures::stream::{StreamExt as _, iter, once};
    let end = async move {
        if !breaks {
            tokio::time::advance(TIME_LIMIT).await;
            std::future::pending::<()>().await;
        }
        Err(std::io::Error::other("cut"))
    };
    Body::from_stream(iter([Ok(some)]).chain(once(end)))
}

fn check(inputs: impl Strategy<Value = Sent>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (_clock, world) = runtime.block_on(async { (hold_clock(), World::ready().await) });
    runtime.block_on(world.ok("RegisterJobDefinition", container_definition()));
    siege::check(FEW, &inputs, |sent| {
        runtime.block_on(async { verdict(world.router.clone().oneshot(sent.request()).await.unwrap()).await })
    });
}

async fn verdict(response: Response<Body>) -> Result<(), String> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{parts:?}: no JSON: {error}"))?;
    let kind = parts.headers.get("x-amzn-errortype");
    let known = parts.headers.contains_key("x-amzn-requestid") && answer.is_object();
    let formed = if parts.status.is_success() {
        kind.is_none()
    } else {
        parts.status != 500 && kind.is_some() && answer["message"].as_str().is_some_and(|it| !it.is_empty())
    };
    if known && formed { Ok(()) } else { Err(format!("{parts:?}: {answer}")) }
}

const OPERATIONS: [&str; 20] = [
    "createcomputeenvironment",
    "describecomputeenvironments",
    "updatecomputeenvironment",
    "deletecomputeenvironment",
    "createjobqueue",
    "describejobqueues",
    "updatejobqueue",
    "deletejobqueue",
    "getjobqueuesnapshot",
    "registerjobdefinition",
    "describejobdefinitions",
    "deregisterjobdefinition",
    "submitjob",
    "describejobs",
    "listjobs",
    "canceljob",
    "terminatejob",
    "canceljobs",
    "terminatejobs",
    "listquotashares",
];

fn usual_headers() -> Vec<(&'static str, Vec<u8>)> {
    vec![("host", b"localhost".to_vec()), ("content-type", b"application/json".to_vec())]
}

fn call(operation: &str, body: impl Into<Vec<u8>>) -> Sent {
    let (path, headers) = (format!("/v1/{operation}"), usual_headers());
    Sent { method: Method::POST, path, headers, body: body.into(), end: None }
}

/// Any JSON, with members that the API knows among its names.
fn junk() -> impl Strategy<Value = Value> + Clone {
    let names = select(
        &[
            "jobName",
            "jobQueue",
            "jobDefinition",
            "jobDefinitionName",
            "type",
            "eksProperties",
            "podProperties",
            "containers",
            "tags",
            "env",
            "name",
            "value",
            "arrayProperties",
            "size",
            "dependsOn",
            "jobId",
            "computeResources",
            "maxvCpus",
            "computeEnvironmentName",
            "eksConfiguration",
            "nextToken",
            "jobs",
            "filters",
            "values",
            "resources",
            "limits",
        ][..],
    );
    let texts = prop_oneof![Just("Q".to_owned()), Just("D".to_owned()), Just("container".to_owned()), "\\PC{0,40}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let members = vec((names.clone().prop_map(str::to_owned), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|it| Value::Object(it.into_iter().collect()))
        ]
    })
}

/// A definition of one container with every member that means something.
fn container_definition() -> Value {
    json!({"jobDefinitionName": "C", "type": "container", "parameters": {"a": "b"}, "containerProperties": {
        "image": "i", "command": ["Ref::a"], "user": "1:2", "environment": [{"name": "A", "value": "$B"}],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "8"}],
        "volumes": [{"name": "v", "host": {}}], "mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": true}],
        "linuxParameters": {"sharedMemorySize": 1, "tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["ro"]}]},
        "logConfiguration": {"logDriver": "awslogs"}, "runtimePlatform": {"cpuArchitecture": "X86_64"},
        "repositoryCredentials": {"credentialsParameter": "s"}, "privileged": false}})
}

/// An operation and a good request for it.
fn good() -> impl Strategy<Value = (&'static str, Value)> + Clone {
    select(vec![
        ("registerjobdefinition", definition("D")),
        ("registerjobdefinition", container_definition()),
        ("createcomputeenvironment", environment("E")),
        (
            "createjobqueue",
            json!({"jobQueueName": "R", "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "CE"}]}),
        ),
        (
            "submitjob",
            json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "D", "tags": {"a": "b"},
                "arrayProperties": {"size": 2}, "dependsOn": [{"jobId": "x", "type": "SEQUENTIAL"}],
                "retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1*", "action": "RETRY"}]},
                "eksPropertiesOverride": {"podProperties": {"containers": [{"env": [{"name": "A", "value": "B"}]}]}}}),
        ),
        (
            "submitjob",
            json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "C", "parameters": {"a": "b"},
                "containerOverrides": {"command": ["Ref::a"], "vcpus": 1, "environment": [{"name": "A", "value": "$B"}],
                    "resourceRequirements": [{"type": "MEMORY", "value": "8"}]}}),
        ),
        (
            "createcomputeenvironment",
            json!({"computeEnvironmentName": "F", "type": "MANAGED", "serviceRole": "r", "computeResources":
                {"type": "FARGATE", "maxvCpus": 4, "subnets": ["s"], "securityGroupIds": ["g"]}}),
        ),
        ("listjobs", json!({"jobQueue": "Q", "filters": [{"name": "JOB_NAME", "values": ["a*"]}], "maxResults": 3})),
        ("describejobs", json!({"jobs": ["a"]})),
        ("getjobqueuesnapshot", json!({"jobQueue": "Q"})),
        ("canceljobs", json!({"jobs": ["a", "2d044787-c663-4ce6-a6fe-f2baf7e51b04"], "reason": "b"})),
        ("terminatejob", json!({"jobId": "a", "reason": "b"})),
    ])
}

/// Good requests that were spoiled.
fn spoiled() -> BoxedStrategy<Sent> {
    let of_one = |(operation, body)| {
        siege::json::hostile(Just(body), junk()).prop_map(move |body| call(operation, body)).boxed()
    };
    good().prop_flat_map(of_one).boxed()
}

#[test]
fn junk_in_every_operation() {
    check((select(&OPERATIONS[..]), junk()).prop_map(|(operation, body)| call(operation, body.to_string())));
}

#[test]
fn spoiled_requests() {
    check(spoiled());
}

#[test]
fn bytes_that_are_no_text() {
    check((select(&OPERATIONS[..]), vec(any::<u8>(), 0..1024)).prop_map(|(operation, body)| call(operation, body)));
}

#[test]
fn deep_and_dense_bodies() {
    let piece = select(&["[", "{\"a\":", "{},", "[[],", "0,", "\"\\u0000\","][..]);
    check((select(&OPERATIONS[..]), piece, 0_usize..200_000).prop_map(|(operation, piece, length)| {
        call(operation, format!("{{\"x\": [{}", piece.repeat(length / piece.len())))
    }));
}

#[test]
fn bodies_that_stop_or_break_off() {
    let body = prop_oneof![Just(b"{}".to_vec()), vec(any::<u8>(), 0..200_000)];
    check(
        (select(&OPERATIONS[..]), body, any::<Index>(), any::<bool>())
            .prop_map(|(operation, body, at, breaks)| Sent { end: Some((at, breaks)), ..call(operation, body) }),
    );
}

/// Headers that mean something, here or to browsers.
const NAMES: [&str; 9] = [
    "host",
    "origin",
    "sec-fetch-site",
    "content-type",
    "content-length",
    "accept",
    "content-encoding",
    "referer",
    "cookie",
];

#[test]
fn odd_heads() {
    let methods = select(vec![Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE]);
    let value = prop_oneof![
        vec(any::<u8>(), 0..64),
        select(
            &["localhost", "evil.example", "127.0.0.1:80", "*/*", "application/json", "text/plain", "gzip", "-1"][..]
        )
        .prop_map(|it| it.as_bytes().to_vec()),
    ];
    let path = prop_oneof![
        select(&OPERATIONS[..]).prop_map(|it| format!("/v1/{it}")),
        "/v1/[a-z%0-9/]{0,20}",
        Just("/v1/tags/arn%3Aaws".to_owned()),
        "/v1/tags/[a-z%:/0-9]{0,40}(\\?tagKeys=[a-z%&=]{0,20})?",
        Just("/v1/tags/arn%3Aaws%3Abatch%3Ax%3A1%3Ajob-queue%2FQ?tagKeys=a".to_owned()),
        Just("http://evil.example/v1/submitjob".to_owned()),
    ];
    check((methods, path, vec((select(&NAMES[..]), value), 0..5)).prop_map(|(method, path, odd)| {
        let headers = usual_headers().into_iter().filter(|(name, _)| *name != HOST.as_str()).chain(odd).collect();
        Sent { method, path, headers, body: b"{}".to_vec(), end: None }
    }));
}

/// Over real connections.
#[test]
fn hostile_connections() {
    let honest = siege::Request { path: "/v1/describejobqueues".to_owned(), body: b"{}".to_vec() };
    let hostile = spoiled().prop_map(|Sent { path, body, .. }| siege::Request { path, body }).boxed();
    siege::lay(&siege::Door { tls: false, honest, hostile }, || World::new().router);
}
