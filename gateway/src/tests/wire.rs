//! Tests of the wire: paths, headers, errors, limits.

use axum::http::StatusCode;
use uuid::Uuid;

use super::*;

#[tokio::test]
async fn answers_and_errors_have_awss_form() {
    let world = World::new();
    let response = world.send("POST", "/v1/describejobqueues", "{}").await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    assert!(Uuid::parse_str(&id).is_ok());
    assert_eq!(read(response).await, json!({"jobQueues": []}));

    let response = world.send("POST", "/v1/updatejobqueue", r#"{"jobQueue": "q"}"#).await;
    assert_eq!(
        (response.status(), &response.headers()["x-amzn-errortype"]),
        (StatusCode::BAD_REQUEST, &"ClientException".parse().unwrap())
    );
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    let message = format!("Error executing request, Exception : Job queue q does not exist, RequestId: {id}");
    assert_eq!(read(response).await, json!({"message": message}));
}

#[tokio::test]
async fn every_request_is_answered_by_what_is_wrong_with_it() {
    let world = World::new();
    let mut wrong = Vec::new();
    let long = format!(r#"{{"jobName": "{}"}}"#, "x".repeat(47 << 10));
    let longer = format!(r#"{{"jobQueue": "{}"}}"#, "x".repeat(200 << 10));
    for (method, path, body, code, kind, message) in [
        ("POST", "/v1/submitjob", "{", 400, "SerializationException", "The request is not JSON"),
        ("POST", "/v1/submitjob", "[]", 400, "SerializationException", "not a JSON object"),
        ("POST", "/v1/submitjob", r#"{"jobName": 1}"#, 400, "SerializationException", "jobName: invalid type"),
        ("POST", "/v1/canceljob", r#"{"reason": "x"}"#, 400, "SerializationException", "missing field `jobId`"),
        ("POST", "/v1/getjobqueuesnapshot", "{}", 400, "SerializationException", "missing field `jobQueue`"),
        (
            "POST",
            "/v1/getjobqueuesnapshot",
            r#"{"jobQueue": "q"}"#,
            400,
            "ClientException",
            "Job queue q does not exist",
        ),
        ("POST", "/v1/submitjob", &long, 400, "ClientException", "Job size must be less than 30 KiB, got 48 KiB"),
        ("POST", "/v1/registerjobdefinition", &long, 400, "ClientException", "less than 24 KiB, got 48 KiB"),
        ("POST", "/v1/updatejobqueue", &longer, 413, "RequestEntityTooLargeException", "at most 128 KiB"),
        ("POST", "/v1/canceljobs", "{}", 400, "SerializationException", "missing field `jobs`"),
        (
            "POST",
            "/v1/listquotashares",
            "{}",
            400,
            "ClientException",
            "ListQuotaShares is not supported by Bulkhead yet",
        ),
        ("GET", "/v1/tags/arn%3Aa", "", 400, "ClientException", "arn:a is not the ARN of"),
        ("POST", "/v1/tags/arn%3Aa", "{}", 400, "SerializationException", "missing field `tags`"),
        ("DELETE", "/v1/tags/arn%3Aa", "", 400, "SerializationException", "missing field `tagKeys`"),
        ("GET", "/v1/tags/%FF", "", 400, "SerializationException", "the path is no text"),
        ("GET", "/v1/submitjob", "", 405, "UnknownOperationException", "/v1/submitjob"),
        ("POST", "/v1/nonsense", "{}", 404, "UnknownOperationException", "no operation at /v1/nonsense"),
        ("GET", "/", "", 404, "UnknownOperationException", "no operation at /"),
    ] {
        let response = world.send(method, path, body.to_owned()).await;
        let got = (response.status().as_u16(), response.headers()["x-amzn-errortype"].to_str().unwrap().to_owned());
        let said = read(response).await["message"].as_str().unwrap().to_owned();
        if got != (code, kind.to_owned()) || !said.contains(message) {
            wrong.push(format!("{method} {path}: {got:?} {said}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn without_records_jobs_are_503_and_the_rest_works() {
    let world = World::new();
    for operation in ["submitjob", "describejobs", "describejobdefinitions"] {
        let response = world.send("POST", &format!("/v1/{operation}"), r#"{"jobs": []}"#).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
            (503, &"ServerException".parse().unwrap())
        );
        assert!(read(response).await["message"].as_str().unwrap().contains("record store is not open"));
    }
    assert_eq!(world.ok("DescribeComputeEnvironments", json!({})).await, json!({"computeEnvironments": []}));
}

#[tokio::test]
async fn pages_and_whoever_calls_another_name_reach_no_operation() {
    let world = World::new();
    let json = ("content-type", "application/json");
    let mut wrong = Vec::new();
    for (method, path) in
        [("POST", "/v1/describejobqueues"), ("POST", "/v1/canceljobs"), ("OPTIONS", "/v1/submitjob"), ("GET", "/")]
    {
        for (headers, code, kind) in [
            (vec![json, ("host", "evil.example")], 403, "AccessDeniedException"),
            (vec![json, ("host", "")], 400, "ClientException"),
            (vec![json, ("origin", "https://evil.example")], 403, "AccessDeniedException"),
            (vec![json, ("sec-fetch-site", "cross-site")], 403, "AccessDeniedException"),
        ] {
            let response = world.send_with(method, path, &headers, "{}").await;
            let got = (response.status().as_u16(), response.headers()["x-amzn-errortype"].to_str().unwrap().to_owned());
            assert!(!response.headers().contains_key("access-control-allow-origin"));
            if got != (code, kind.to_owned()) || read(response).await["message"].as_str().is_none() {
                wrong.push(format!("{method} {path} {headers:?}: {got:?}"));
            }
        }
    }
    for (headers, code, kind) in [
        (vec![("content-type", "text/plain")], 415, "UnsupportedMediaTypeException"),
        (vec![], 415, "UnsupportedMediaTypeException"),
        (vec![json, ("accept", "text/html")], 406, "NotAcceptableException"),
    ] {
        let response = world.send_with("POST", "/v1/describejobqueues", &headers, "{}").await;
        let got = (response.status().as_u16(), response.headers()["x-amzn-errortype"].to_str().unwrap().to_owned());
        if got != (code, kind.to_owned()) {
            wrong.push(format!("{headers:?}: {got:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(world.send_with("POST", "/v1/describejobqueues", &[], "").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_come_keep_nobody_from_being_answered() {
    let world = World::new();
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let request =
            Request::post("/v1/submitjob").header("host", "localhost").header("content-type", "application/json");
        under_way.spawn(world.router.clone().oneshot(request.header("content-length", 30_000).body(never).unwrap()));
    }
    tokio::task::yield_now().await;
    assert_eq!(world.ok("DescribeJobQueues", json!({})).await, json!({"jobQueues": []}));
    while let Some(response) = under_way.join_next().await {
        assert_eq!(response.unwrap().unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    }
}

#[tokio::test]
async fn a_request_that_would_take_more_memory_than_there_is_is_not_read() {
    let world = World::new();
    let heavy = format!(r#"{{"x": [{}0]}}"#, "{},".repeat(40 << 10));
    let response = world.send("POST", "/v1/describejobqueues", heavy).await;
    assert_eq!(response.status(), StatusCode::OK);
    let heavy = format!("[{}", "{".repeat((128 << 10) - 1));
    assert_eq!(world.send("POST", "/v1/describejobqueues", heavy).await.status(), StatusCode::TOO_MANY_REQUESTS);
}
