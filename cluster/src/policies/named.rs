//! An object of which nothing is read but its name and what a watch needs.
//!
//! Invariant: it takes a few hundred bytes, however many labels somebody has given it: what is not kept is passed over in the text.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};

/// An object's name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Metadata,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Metadata {
            name: Option<String>,
            namespace: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
        }
        let Metadata { name, namespace, uid, resource_version } = Object::deserialize(deserializer)?.metadata;
        Ok(Self { metadata: ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() } })
    }
}

impl Resource for Named {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;

    use super::*;

    #[test]
    fn nothing_but_the_name_is_kept() {
        let labels: Vec<String> = (0..1000).map(|number| format!("\"l{number}\":\"\"")).collect();
        let text = format!(
            r#"{{"kind":"NetworkPolicy","metadata":{{"labels":{{{}}},"name":"p","namespace":"n","resourceVersion":"7","managedFields":[{{"x":1}}]}},"spec":{{}}}}"#,
            labels.join(",")
        );
        let named: Named = serde_json::from_str(&text).unwrap();
        assert_eq!((named.name_any(), named.namespace().as_deref()), ("p".to_owned(), Some("n")));
        assert_eq!(named.resource_version().as_deref(), Some("7"));
        assert!(named.labels().is_empty() && named.managed_fields().is_empty());
    }
}
