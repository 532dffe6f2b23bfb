//! From a request's body to the members that are known.
//!
//! Invariant: members that are not known are ignored and `null` is the same as absent; a member of the wrong type is named. Does
//! not judge values.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Reads a body; none at all is an empty object.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(mut members)) => {
            drop_nulls(&mut members);
            Ok(members)
        }
        Ok(_) => Err(Failure::Malformed("The request is not a JSON object".to_owned())),
        Err(error) => Err(Failure::Malformed(format!("The request is not JSON: {error}"))),
    }
}

fn drop_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    members.values_mut().for_each(drop_nulls_in);
}

fn drop_nulls_in(value: &mut Value) {
    match value {
        Value::Object(members) => drop_nulls(members),
        Value::Array(items) => items.iter_mut().for_each(drop_nulls_in),
        _ => {}
    }
}

/// Reads the members that are known.
pub(crate) fn members<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, Failure> {
    serde_path_to_error::deserialize(body).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.inner());
        Failure::Malformed(if path == "." { format!("{error}") } else { format!("{path}: {error}") })
    })
}

/// For members that Terraform sends as `""` when they are not set.
pub(crate) fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.filter(|text| !text.is_empty()))
}

/// Takes members that are `""` out of what is only kept to be echoed; tags may be empty.
pub(crate) fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| value.as_str() != Some(""));
            members.iter_mut().filter(|(name, _)| *name != "tags" && *name != "capacityTags").for_each(|(_, value)| {
                drop_empty(value);
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Some2 {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
        #[serde(default, deserialize_with = "not_empty")]
        role: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        max_size: i64,
    }

    fn read(text: &str) -> Result<Some2, String> {
        body(text.as_bytes()).and_then(|body| members(&body)).map_err(|failure| match failure {
            Failure::Malformed(message) => message,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_wrong_member_is_named() {
        for (text, message) in [
            (r#"{"name": 1}"#, "name: invalid type: integer `1`, expected a string"),
            (
                r#"{"name": "a", "inner": [{"maxSize": 1}, {"maxSize": "2"}]}"#,
                "inner[1].maxSize: invalid type: string \"2\", expected i64",
            ),
            ("{}", "missing field `name`"),
            (r#"{"name": null}"#, "missing field `name`"),
            ("[]", "The request is not a JSON object"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
        assert!(read("{").unwrap_err().starts_with("The request is not JSON: "));
    }

    #[test]
    fn nulls_and_unknown_members_are_as_if_absent() {
        let expected = Some2 { name: "a".into(), inner: vec![], role: None };
        for text in [r#"{"name": "a", "inner": null, "new": {"a": 1}}"#, r#"{"name": "a", "role": ""}"#] {
            assert_eq!(read(text), Ok(Some2 { ..read(text).unwrap() }));
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn empty_texts_go_and_empty_tags_stay() {
        let mut value =
            json!({"launchTemplate": {"launchTemplateId": "", "version": "1"}, "ec2KeyPair": "", "tags": {"a": ""}});
        drop_empty(&mut value);
        assert_eq!(value, json!({"launchTemplate": {"version": "1"}, "tags": {"a": ""}}));
    }
}
