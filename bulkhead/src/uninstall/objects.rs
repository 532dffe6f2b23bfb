//! Steps 1, 2, 6 and 7: the objects that were installed, and the custom resources.
//!
//! Invariant: outside of Bulkhead's own namespace and API group only what is named and labelled as Bulkhead's is deleted.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, ListParams};
use model::keys;
use planning::removal;
use serde_json::Value;

use super::access::{Access, Patched, Target, kind, text};
use super::say;

/// On everything that the manifest installs.
const LABEL: &str = "app.kubernetes.io/name=bulkhead";
/// Names of everything cluster-wide that the manifest installs begin with it.
const PREFIX: &str = "bulkhead";
/// API group of the custom resources.
const GROUP: &str = "bulkhead.dev";

/// Webhooks and policies.
pub(super) async fn admission(access: &Access) -> anyhow::Result<()> {
    for name in keys::WEBHOOK_CONFIGURATIONS {
        delete(access, &Target::global(&kind::<MutatingWebhookConfiguration>(), name)).await?;
    }
    for kind in [
        kind::<MutatingWebhookConfiguration>(),
        kind::<ValidatingWebhookConfiguration>(),
        kind::<ValidatingAdmissionPolicyBinding>(),
        kind::<ValidatingAdmissionPolicy>(),
    ] {
        delete_labelled(access, &kind).await?;
    }
    Ok(())
}

/// Everything that runs, until it is gone: a controller that still runs would launch machines again.
pub(super) async fn workloads(access: &Access) -> anyhow::Result<()> {
    let labelled = ListParams::default().labels(LABEL);
    for kind in [kind::<Deployment>(), kind::<StatefulSet>()] {
        for object in access.list(&kind, Some(keys::NAMESPACE), &labelled).await? {
            delete(access, &Target::of(&kind, &object)).await?;
        }
    }
    let pods = kind::<Pod>();
    let advice = "is their node alive? delete them by force once it is not: kubectl delete pod --force";
    access
        .until_none(advice, async || {
            let left = access.list(&pods, Some(keys::NAMESPACE), &labelled).await?;
            Ok(left.iter().map(|pod| Target::of(&pods, pod).to_string()).collect())
        })
        .await
}

/// Objects of the custom resources, then their definitions.
pub(super) async fn custom_resources(access: &Access) -> anyhow::Result<()> {
    let definitions = kind::<CustomResourceDefinition>();
    let ours = |definition: &Value| text(definition, "/spec/group") == Some(GROUP);
    let advice = "an object in them has a finalizer that is not Bulkhead's; take it off, then they go";
    access
        .until_none(advice, async || {
            let mut all = access.list(&definitions, None, &ListParams::default()).await?;
            all.retain(ours);
            for definition in &all {
                free_objects(access, definition).await?;
                if definition.pointer("/metadata/deletionTimestamp").is_none() {
                    delete(access, &Target::of(&definitions, definition)).await?;
                }
            }
            Ok(all.iter().map(|definition| Target::of(&definitions, definition).to_string()).collect())
        })
        .await
}

/// Deletes the objects of a custom resource and takes our finalizers off. Machines have been taken down before.
async fn free_objects(access: &Access, definition: &Value) -> anyhow::Result<()> {
    let Some(kind) = resource_of(definition) else { return Ok(()) };
    for object in access.list(&kind, None, &ListParams::default()).await? {
        let target = Target::of(&kind, &object);
        if let Some(patch) = removal::without_finalizers(&object)
            && let Patched::Refused(message) = access.patch(&target, &patch).await?
        {
            anyhow::bail!("the finalizer of {target} does not come off: {message}");
        }
        if object.pointer("/metadata/deletionTimestamp").is_none() {
            delete(access, &target).await?;
        }
    }
    Ok(())
}

fn resource_of(definition: &Value) -> Option<ApiResource> {
    let version = text(definition, "/spec/versions/0/name")?;
    Some(ApiResource {
        group: GROUP.to_owned(),
        version: version.to_owned(),
        api_version: format!("{GROUP}/{version}"),
        kind: text(definition, "/spec/names/kind")?.to_owned(),
        plural: text(definition, "/spec/names/plural")?.to_owned(),
    })
}

/// What is installed cluster-wide, or in namespaces of others.
pub(super) async fn permissions(access: &Access) -> anyhow::Result<()> {
    for kind in [
        kind::<ClusterRoleBinding>(),
        kind::<ClusterRole>(),
        kind::<PriorityClass>(),
        kind::<RoleBinding>(),
        kind::<Role>(),
    ] {
        delete_labelled(access, &kind).await?;
    }
    Ok(())
}

/// Our namespace, until it is gone.
pub(super) async fn namespace(access: &Access) -> anyhow::Result<()> {
    let namespace = Target::global(&kind::<Namespace>(), keys::NAMESPACE);
    delete(access, &namespace).await?;
    let advice = "its conditions say what keeps it: kubectl get namespace bulkhead-system -o yaml";
    access
        .until_none(advice, async || {
            Ok(access.get(&namespace).await?.map(|_| namespace.to_string()).into_iter().collect())
        })
        .await
}

async fn delete_labelled(access: &Access, kind: &ApiResource) -> anyhow::Result<()> {
    for object in access.list(kind, None, &ListParams::default().labels(LABEL)).await? {
        let target = Target::of(kind, &object);
        if is_installed(&target) {
            delete(access, &target).await?;
        } else {
            say::note(&format!("left {target}: it is labelled {LABEL} but not named as Bulkhead names things"));
        }
    }
    Ok(())
}

/// Whether it is one of the manifest's. What is in our own namespace goes with it.
fn is_installed(target: &Target) -> bool {
    target.name == PREFIX || target.name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('-'))
}

async fn delete(access: &Access, target: &Target) -> anyhow::Result<()> {
    if access.delete(target, None).await? {
        say::done(&format!("deleted {target}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt as _;

    #[test]
    fn only_what_is_named_as_ours_is_ours() {
        for (name, ours) in
            [("bulkhead", true), ("bulkhead-webhook", true), ("bulkheads", false), ("my-bulkhead", false), ("", false)]
        {
            assert_eq!(is_installed(&Target::global(&kind::<ClusterRole>(), name)), ours, "{name}");
        }
    }

    #[test]
    fn the_resource_of_a_definition_is_read_from_it() {
        let definition = serde_json::to_value(api::BatchNode::crd()).unwrap();
        assert_eq!(resource_of(&definition).unwrap(), kind::<api::BatchNode>());
    }
}
