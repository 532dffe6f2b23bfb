//! The wire: `AdmissionReview` of `admission.k8s.io/v1`, read leniently, answered exactly.
//!
//! Invariant: whatever has a `uid` is answered with it. The object stays the JSON that was received, so that nothing is lost in a
//! typed round trip. Knows nothing about what is decided.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use planning::admission::{Admit, Allowed, PatchOperation, Refusal};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const API_VERSION: &str = "admission.k8s.io/v1";

/// What happens to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// Something that no hook is registered for.
    Other,
}

/// One request, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) uid: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    /// Its name, or the beginning of it where the API server still has to make it up.
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) user: String,
    pub(crate) dry_run: bool,
    /// Who manages the fields that are written, where the client says so.
    pub(crate) manager: Option<String>,
    pub(crate) object: Value,
    pub(crate) old: Option<Value>,
}

/// Why a body is no request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// There is not even a `uid` to answer with.
    Garbage(String),
    /// The request can be answered with this `uid`, but not understood.
    Request {
        /// The request's.
        uid: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads a review.
pub(crate) fn decode(body: &[u8]) -> Result<Request, Undecodable> {
    let garbage = |what: String| Undecodable::Garbage(format!("the body is no {API_VERSION} AdmissionReview: {what}"));
    let mut review: Value = serde_json::from_slice(body).map_err(|error| garbage(error.to_string()))?;
    let mut request = review.get_mut("request").map(Value::take).unwrap_or_default();
    let text = |path: &[&str]| {
        let value = path.iter().try_fold(&request, |value, key| value.get(key));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let uid = text(&["uid"]);
    if uid.is_empty() {
        return Err(garbage("request.uid is missing".to_owned()));
    }
    if review["apiVersion"] != API_VERSION {
        let message = format!("apiVersion is {}, only {API_VERSION:?} is answered", review["apiVersion"]);
        return Err(Undecodable::Request { uid, message });
    }
    if !request["object"].is_object() {
        return Err(Undecodable::Request { uid, message: "request.object is no object".to_owned() });
    }
    let operation = match (text(&["operation"]).as_str(), text(&["subResource"]).as_str()) {
        ("CREATE", "") => Operation::Create,
        ("UPDATE", "") => Operation::Update,
        _ => Operation::Other,
    };
    let names = [&["name"][..], &["object", "metadata", "name"], &["object", "metadata", "generateName"]].map(text);
    let (kind, namespace) = (text(&["kind", "kind"]), text(&["namespace"]));
    let manager = Some(text(&["options", "fieldManager"])).filter(|manager| !manager.is_empty());
    let user = text(&["userInfo", "username"]);
    Ok(Request {
        uid,
        kind,
        namespace,
        name: names.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        operation,
        user,
        dry_run: request["dryRun"] == true,
        manager,
        old: Some(request["oldObject"].take()).filter(Value::is_object),
        object: request["object"].take(),
    })
}

/// What a review is about that is too heavy to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) uid: String,
    /// An object that exists and is being deleted.
    pub(crate) is_ending: bool,
}

/// Reads so much of a review and keeps nothing else of it; `None`: there is no `uid` to answer with.
pub(crate) fn outline(body: &[u8]) -> Option<Outline> {
    #[derive(Deserialize)]
    struct Review {
        request: Asked,
    }
    #[derive(Deserialize)]
    struct Asked {
        uid: String,
        operation: Option<String>,
        object: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        deletion_timestamp: Option<IgnoredAny>,
    }
    let Asked { uid, operation, object } = serde_json::from_slice::<Review>(body).ok()?.request;
    let ends = object.and_then(|object| object.metadata?.deletion_timestamp).is_some();
    (!uid.is_empty()).then_some(Outline { uid, is_ending: ends && operation.as_deref() == Some("UPDATE") })
}

/// The answer, as the API server wants it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    /// With `patch_type`, or neither. Base64, not the array of numbers that a plain byte vector would become.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, &'static str>,
}

/// Puts a decision into an answer.
pub(crate) fn answer(uid: String, admit: Admit) -> Result<Answer, serde_json::Error> {
    let response = match admit {
        Admit::Allowed(Allowed { outcome, patch, warnings }) => {
            let patch = encode(&patch)?;
            let patch_type = patch.is_some().then_some("JSONPatch");
            let audit_annotations = BTreeMap::from([("outcome", outcome.as_str())]);
            Response { uid, allowed: true, patch, patch_type, status: None, warnings, audit_annotations }
        }
        Admit::Refused(Refusal { code, message }) => Response {
            uid,
            allowed: false,
            patch: None,
            patch_type: None,
            status: Some(status(code, &message)),
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
        },
    };
    Ok(Answer { api_version: API_VERSION, kind: "AdmissionReview", response })
}

/// A Kubernetes `Status` about a failure.
pub(crate) fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        400 => "BadRequest",
        403 => "Forbidden",
        404 => "NotFound",
        408 | 504 => "Timeout",
        409 => "Conflict",
        413 => "RequestEntityTooLarge",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let message = format!("bulkhead: {message}");
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn encode(patch: &[PatchOperation]) -> Result<Option<ByteString>, serde_json::Error> {
    if patch.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(patch).map(|bytes| Some(ByteString(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use planning::admission::Outcome;

    fn check(body: &str, expected: &str) {
        let found = match decode(body.as_bytes()) {
            Ok(request) => format!("{request:?}"),
            Err(Undecodable::Garbage(message)) => message,
            Err(Undecodable::Request { uid, message }) => format!("{uid}: {message}"),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn what_has_a_uid_is_answered_with_it() {
        let v1 = r#"{"apiVersion":"admission.k8s.io/v1","request":"#;
        check(&format!(r#"{v1}{{"uid":"u","object":[]}}}}"#), "u: request.object is no object");
        check(&format!(r#"{v1}{{"uid":"u"}}}}"#), "u: request.object is no object");
        check(
            r#"{"apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"u","object":{}}}"#,
            "u: apiVersion is \"admission.k8s.io/v1beta1\", only \"admission.k8s.io/v1\" is answered",
        );
    }

    #[test]
    fn garbage_says_what_was_expected() {
        check("", "the body is no admission.k8s.io/v1 AdmissionReview: EOF");
        check("[1]", "request.uid is missing");
        check(r#"{"request":7}"#, "request.uid is missing");
        check(&"[".repeat(100_000), "recursion limit exceeded");
    }

    #[test]
    fn a_request_is_read_leniently() {
        let body = json!({"apiVersion": API_VERSION, "request": {
            "uid": "u", "kind": {"kind": "Job"}, "operation": "UPDATE", "namespace": "ns", "dryRun": true, "new": {},
            "userInfo": {"username": "alice"}, "options": {"kind": "UpdateOptions", "fieldManager": "kubectl-edit"},
            "object": {"metadata": {"generateName": "work-"}, "unknown": 1}, "oldObject": null}});
        let request = decode(body.to_string().as_bytes()).unwrap();
        assert_eq!((request.uid.as_str(), request.kind.as_str(), request.name.as_str()), ("u", "Job", "work-"));
        assert_eq!((request.operation, request.user.as_str(), request.dry_run), (Operation::Update, "alice", true));
        assert_eq!((request.manager.as_deref(), request.old.is_none()), (Some("kubectl-edit"), true));
        assert_eq!(request.object, body["request"]["object"]);
    }

    #[test]
    fn of_what_is_too_heavy_only_the_outline_is_read() {
        let check = |request: &Value, expected: Option<bool>| {
            let found = outline(json!({"request": request}).to_string().as_bytes());
            assert_eq!(found, expected.map(|is_ending| Outline { uid: "u".into(), is_ending }), "{request}");
        };
        let going =
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}}, "spec": [{}]});
        check(&json!({"uid": "u", "operation": "UPDATE", "object": going}), Some(true));
        check(&json!({"uid": "u", "operation": "CREATE", "object": going}), Some(false));
        check(
            &json!({"uid": "u", "operation": "UPDATE", "object": {"metadata": {"deletionTimestamp": null}}}),
            Some(false),
        );
        check(&json!({"uid": "u", "object": null}), Some(false));
        check(&json!({"uid": "", "object": going}), None);
        check(&json!({"object": going}), None);
        assert_eq!(outline(b"[{}]"), None);
    }

    #[test]
    fn subresources_are_nobodys_business() {
        let body = json!({"apiVersion": API_VERSION, "request": {"uid": "u", "operation": "UPDATE", "subResource": "status", "object": {}}});
        assert_eq!(decode(body.to_string().as_bytes()).unwrap().operation, Operation::Other);
    }

    #[test]
    fn a_patch_travels_as_base64_and_never_without_its_type() {
        let patch: Vec<PatchOperation> = serde_json::from_value(json!([{"op": "remove", "path": "/a"}])).unwrap();
        let allowed = Allowed { outcome: Outcome::Queued, patch, warnings: vec!["w".into()] };
        let found = serde_json::to_value(answer("u".into(), Admit::Allowed(allowed)).unwrap()).unwrap();
        let response = json!({"uid": "u", "allowed": true, "patch": "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=",
            "patchType": "JSONPatch", "warnings": ["w"], "auditAnnotations": {"outcome": "queued"}});
        assert_eq!(found, json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}));
        let unchanged =
            serde_json::to_value(answer("u".into(), Admit::unchanged(Outcome::LeftAlone)).unwrap()).unwrap();
        assert_eq!(
            unchanged["response"],
            json!({"uid": "u", "allowed": true, "auditAnnotations": {"outcome": "left_alone"}})
        );
    }

    #[test]
    fn a_refusal_has_code_reason_and_message() {
        let found = serde_json::to_value(answer("u".into(), Admit::refused(422, "no")).unwrap()).unwrap();
        assert_eq!(found["response"]["allowed"], false);
        assert_eq!(found["response"]["status"]["code"], 422);
        assert_eq!(found["response"]["status"]["reason"], "Invalid");
        assert_eq!(found["response"]["status"]["message"], "bulkhead: no");
    }
}
