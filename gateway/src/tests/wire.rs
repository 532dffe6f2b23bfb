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
        ("POST", "/v1/submitjob", &long, 400, "ClientException", "Job size must be less than 30 KiB, got 48 KiB"),
        ("POST", "/v1/registerjobdefinition", &long, 400, "ClientException", "less than 24 KiB, got 48 KiB"),
        ("POST", "/v1/updatejobqueue", &longer, 413, "RequestEntityTooLargeException", "at most 128 KiB"),
        ("POST", "/v1/canceljobs", "{}", 400, "ClientException", "CancelJobs is not supported by Bulkhead yet"),
        ("GET", "/v1/tags/arn%3Aa", "", 400, "ClientException", "ListTagsForResource is not supported by Bulkhead yet"),
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
    let router = router(None::<MemoryRecords>, MemoryObjects::default(), config());
    let world = World { router, objects: MemoryObjects::default(), records: MemoryRecords::default() };
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
