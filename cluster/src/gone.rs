//! Whether an object to which something was written is gone.
//!
//! Invariant: no status code says so. Whoever has an admission webhook may refuse a write with any, and 404 and 409 have other meanings, too;
//! but no webhook is asked about reading. Does not know what is written.

use std::fmt::Debug;

use kube::core::ObjectMeta;
use kube::{Api, Error, Result};
use serde::de::DeserializeOwned;

/// The answer to a write to the object of this name and UID. `None`: the object is gone, or another one has its name.
pub async fn unless_gone<K, T>(api: &Api<K>, name: &str, uid: Option<&str>, answer: Result<T>) -> Result<Option<T>>
where
    K: Clone + Debug + DeserializeOwned,
{
    match answer {
        Err(error) if is_in_doubt(&error) => {
            let found = api.get_metadata_opt(name).await?;
            if is_it(found.as_ref().map(|found| &found.metadata), uid) { Err(error) } else { Ok(None) }
        }
        answer => answer.map(Some),
    }
}

/// Whether an answer can mean that the object is gone.
fn is_in_doubt(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 404 | 409))
}

/// Whether what has the name now is what was meant.
fn is_it(found: Option<&ObjectMeta>, uid: Option<&str>) -> bool {
    found.is_some_and(|found| uid.is_none_or(|uid| found.uid.as_deref() == Some(uid)))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_an_object_that_is_not_there_or_has_another_uid_is_gone() {
        let found = |uid: &str| ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        for (there, wanted, expect) in [
            (Some("u"), Some("u"), true),
            (Some("v"), Some("u"), false),
            (None, Some("u"), false),
            (Some("v"), None, true),
            (None, None, false),
        ] {
            assert_eq!(is_it(there.map(found).as_ref(), wanted), expect, "{there:?} {wanted:?}");
        }
    }

    #[test]
    fn an_object_is_looked_up_only_if_the_answer_leaves_room_for_doubt() {
        for (code, expect) in [(404, true), (409, true), (403, false), (422, false), (429, false), (500, false)] {
            let error = Error::Api(Status::failure("no", "x").with_code(code).boxed());
            assert_eq!(is_in_doubt(&error), expect, "{code}");
        }
    }
}
