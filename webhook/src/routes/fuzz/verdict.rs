//! What a well-formed answer is: an HTTP error with a Kubernetes `Status`, or the review of exactly this request.

use axum::http::StatusCode;
use k8s_openapi::ByteString;
use serde::Deserialize as _;
use serde_json::Value;

use super::sent::Sent;
use crate::routes::{BODY_LIMIT, REVIEWS_LIMIT_KIB};
use cluster::serve::weight;

/// Judges an answer. Returns the review of the object as patched, if it was.
pub(super) fn verdict(sent: &Sent, code: StatusCode, answer: &[u8]) -> Result<Option<Value>, String> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("{code} and an answer that is no JSON: {error}"))?;
    let too_long = sent.announced.is_some_and(|length| length > BODY_LIMIT);
    let too_heavy = weight::kib(&sent.body) > REVIEWS_LIMIT_KIB;
    let cut_off = sent.announced.is_some_and(|length| length < sent.body.len());
    if let Some(breaks) = sent.end {
        let expected = if breaks { StatusCode::BAD_REQUEST } else { StatusCode::REQUEST_TIMEOUT };
        ensure(code == expected, || format!("{code}, not {expected}: {answer}"))?;
        return status(code, &answer);
    }
    match (code, sent.review()) {
        (StatusCode::OK, Some(review)) if !too_long && !cut_off => reviewed(review, &answer),
        (StatusCode::PAYLOAD_TOO_LARGE, _) if too_long || too_heavy => status(code, &answer),
        (StatusCode::BAD_REQUEST, Some(_)) if cut_off => status(code, &answer),
        // Nothing to answer to; or a namespace, queue or Job that cannot be read.
        (StatusCode::BAD_REQUEST, None) | (StatusCode::SERVICE_UNAVAILABLE, Some(_)) => status(code, &answer),
        (code, review) => Err(format!("{code} for {review:?}: {answer}")),
    }
}

/// An error is a `Status` about it.
fn status(code: StatusCode, answer: &Value) -> Result<Option<Value>, String> {
    let head = [("apiVersion", "v1"), ("kind", "Status"), ("status", "Failure")];
    let said = |key: &str| answer[key].as_str().is_some_and(|text| !text.is_empty());
    let whole = head.iter().all(|(key, value)| answer[*key] == *value) && said("message") && said("reason");
    ensure(whole && answer["code"] == code.as_u16(), || format!("{code} is no whole Status: {answer}"))?;
    Ok(None)
}

fn reviewed(mut review: Value, answer: &Value) -> Result<Option<Value>, String> {
    let is_review = answer["apiVersion"] == "admission.k8s.io/v1" && answer["kind"] == "AdmissionReview";
    ensure(is_review, || format!("the answer is no review: {answer}"))?;
    let response = &answer["response"];
    ensure(response["uid"] == review["request"]["uid"], || format!("answered to another: {response}"))?;
    let has = |key: &str| response.get(key).is_some();
    match response["allowed"].as_bool() {
        Some(true) => {
            ensure(!has("status"), || format!("allowed with a status: {response}"))?;
            ensure(has("patch") == has("patchType"), || format!("half a patch: {response}"))?;
            if !has("patch") {
                return Ok(None);
            }
            ensure(response["patchType"] == "JSONPatch", || format!("no JSON patch: {response}"))?;
            patch(&mut review["request"]["object"], &response["patch"])?;
            Ok(Some(review))
        }
        Some(false) => {
            ensure(!has("patch") && !has("patchType"), || format!("refused with a patch: {response}"))?;
            let (code, message) = (response["status"]["code"].as_u64(), response["status"]["message"].as_str());
            let explained =
                code.is_some_and(|code| (400..600).contains(&code)) && message.is_some_and(|it| !it.is_empty());
            ensure(explained && code != Some(500), || format!("refused without code or message: {response}"))?;
            Ok(None)
        }
        None => Err(format!("neither allowed nor refused: {response}")),
    }
}

fn patch(object: &mut Value, encoded: &Value) -> Result<(), String> {
    let bytes = ByteString::deserialize(encoded).map_err(|error| format!("the patch is not base64: {error}"))?;
    let patch: json_patch::Patch =
        serde_json::from_slice(&bytes.0).map_err(|error| format!("the patch is no JSON patch: {error}"))?;
    ensure(!patch.is_empty(), || "the patch is empty".to_owned())?;
    json_patch::patch(object, &patch).map_err(|error| format!("the patch does not apply: {error}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
