//! A review about a pod as JSON, without the list of the fields that somebody has updated.
//!
//! Invariant: all else is as `serde_json` reads it. What was *applied* is kept: it tells what a user wrote and the object does not show. Own
//! code, because those lists are a third of what a pod created by a controller consists of, and making and dropping them a tenth of the time
//! that a review takes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Where the entries of `managedFields` are in a review.
const ENTRIES: &[&str] = &["request", "object", "metadata", "managedFields"];

/// Reads a review about a pod.
pub(super) fn read(body: &[u8]) -> Result<Value, serde_json::Error> {
    let mut input = serde_json::Deserializer::from_slice(body);
    let review = Sparse(ENTRIES).deserialize(&mut input)?;
    input.end()?;
    Ok(review)
}

/// A value on the way to the entries, which are so many members further in; or one of them.
struct Sparse<'p>(&'p [&'p str]);

impl<'de> DeserializeSeed<'de> for Sparse<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sparse<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = input.next_key::<String>()? {
            let value = match self.0.split_first() {
                Some((next, rest)) if *next == key => input.next_value_seed(Sparse(rest))?,
                // The API server writes the operation first.
                None if key == "fieldsV1"
                    && members.get("operation").is_some_and(|operation| operation == "Update") =>
                {
                    input.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => input.next_value()?,
            };
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = input.next_element_seed(Sparse(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A review in which `entries` are the managed fields, and something like them elsewhere.
    fn review(entries: &str) -> String {
        let elsewhere = r#"{"operation":"Update","fieldsV1":{"f:a":{}}}"#;
        let metadata = format!(r#"{{"name":"p","managedFields":{entries}}}"#);
        format!(
            r#"{{"request":{{"object":{{"metadata":{metadata},"spec":{elsewhere}}},"old":{elsewhere}}},"more":{elsewhere}}}"#
        )
    }

    #[test]
    fn only_lists_of_updated_fields_are_left_out() {
        let check = |entries: &str, expected: &str| {
            let expected: Value = serde_json::from_str(&review(expected)).unwrap();
            assert_eq!(read(review(entries).as_bytes()).unwrap(), expected, "{entries}");
        };
        check(
            r#"[{"manager":"m","operation":"Update","time":"t","fieldsV1":{"f:a":{}}},{"operation":"Apply","fieldsV1":{"f:b":{}}}]"#,
            r#"[{"manager":"m","operation":"Update","time":"t"},{"operation":"Apply","fieldsV1":{"f:b":{}}}]"#,
        );
        for same in [
            r#"[{"fieldsV1":{"f:a":{}},"operation":"Update"}]"#,
            r#"[{"operation":["Update"],"fieldsV1":{"f:a":{}}}]"#,
            r#"[{"deeper":{"operation":"Update","fieldsV1":{"f:a":{}}}}]"#,
            r#"[[],1,"Update"]"#,
            "null",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        for (body, expected) in [("", "EOF"), ("{} {}", "trailing"), (&"[".repeat(100_000), "recursion limit")] {
            let error = read(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-zé\\u{1}\"]{0,5}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 4, |inner| {
            let key = prop::sample::select(vec!["request", "object", "metadata", "managedFields", "fieldsV1", "a"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_else_is_as_serde_json_reads_it(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
