//! Who somebody is, as Kubernetes knows him.
//!
//! Invariant: plain data, as a `TokenReview` gives it and a `SubjectAccessReview` takes it.

use serde::{Deserialize, Serialize};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// His UID, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// His groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Identity {
    /// Namespace and name, if he is a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_accounts_are_told_by_their_names() {
        let of = |user: &str| {
            let identity = Identity { user: user.to_owned(), uid: None, groups: Vec::new() };
            identity.service_account().map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        };
        assert_eq!(of("system:serviceaccount:a:b"), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!((of("anna"), of("system:serviceaccount:a")), (None, None));
    }
}
