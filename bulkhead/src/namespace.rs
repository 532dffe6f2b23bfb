//! `bulkhead namespace enable|disable`: gives user `aws-batch` the right to make pods in namespaces, or takes it back, in the caller's name.
//!
//! Invariant: rights are added to a Role that is there, never taken out of it, and nothing is written that is there already. The objects are
//! those of AWS Batch's documentation, so that what was made by hand counts.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use cluster::gone;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use model::keys::{BATCH_ROLE, BATCH_ROLE_BINDING, BATCH_USER};
use planning::rights;
use serde_json::json;

/// Lets the AWS Batch API make pods in namespaces, or ends that.
///
/// Pods of the API are made as user `aws-batch`. It needs a Role and a `RoleBinding` in each namespace, as AWS Batch's documentation has them;
/// this makes them with your rights. Jobs that wait for them go on by themselves.
#[derive(Args)]
pub(crate) struct NamespaceArgs {
    #[command(subcommand)]
    command: NamespaceCommand,
}

#[derive(Subcommand)]
enum NamespaceCommand {
    /// Makes Role aws-batch-compute-environment-role and its `RoleBinding`, or adds what is missing.
    Enable {
        /// Names of the namespaces.
        #[arg(required = true)]
        namespaces: Vec<String>,
    },
    /// Deletes both: no pod of the API is made there any more; those that run, run on.
    Disable {
        /// Names of the namespaces.
        #[arg(required = true)]
        namespaces: Vec<String>,
    },
}

/// Does it, and says what it has done.
pub(crate) async fn run(args: NamespaceArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let client = cluster::client::connect(kubeconfig).await?.retrying;
    match args.command {
        NamespaceCommand::Enable { namespaces } => {
            for namespace in &namespaces {
                enable(&client, namespace).await.with_context(|| format!("cannot enable namespace {namespace}"))?;
            }
        }
        NamespaceCommand::Disable { namespaces } => {
            for namespace in &namespaces {
                disable(&client, namespace).await.with_context(|| format!("cannot disable namespace {namespace}"))?;
            }
        }
    }
    Ok(())
}

async fn enable(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let all: Api<Namespace> = Api::all(client.clone());
    // Whoever may not read namespaces may still make roles in one.
    if let Ok(None) = all.get_opt(namespace).await {
        bail!("it does not exist; create it (kubectl create namespace {namespace}) and run this again");
    }
    let [role, binding] = rights::objects(namespace);
    let (role, binding): (Role, RoleBinding) = (serde_json::from_value(role)?, serde_json::from_value(binding)?);
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let done = match roles.get_opt(BATCH_ROLE).await? {
        None => {
            roles.create(&PostParams::default(), &role).await?;
            "created"
        }
        Some(stored) => match widened(stored.rules.unwrap_or_default(), role.rules.unwrap_or_default()) {
            None => "unchanged",
            Some(all) => {
                let version = stored.metadata.resource_version;
                let patch = json!({"metadata": {"resourceVersion": version}, "rules": all});
                roles.patch(BATCH_ROLE, &PatchParams::default(), &Patch::Merge(patch)).await?;
                "extended"
            }
        },
    };
    println!("Role {namespace}/{BATCH_ROLE} {done}");
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let done = match bindings.get_opt(BATCH_ROLE_BINDING).await? {
        None => {
            bindings.create(&PostParams::default(), &binding).await?;
            "created"
        }
        Some(stored) if stored.role_ref != binding.role_ref => bail!(
            "RoleBinding {BATCH_ROLE_BINDING} binds {} {}; delete it (kubectl delete rolebinding --namespace {namespace} \
             {BATCH_ROLE_BINDING}) and run this again",
            stored.role_ref.kind,
            stored.role_ref.name
        ),
        Some(stored) => match widened(stored.subjects.unwrap_or_default(), binding.subjects.unwrap_or_default()) {
            None => "unchanged",
            Some(subjects) => {
                let version = stored.metadata.resource_version;
                let patch = json!({"metadata": {"resourceVersion": version}, "subjects": subjects});
                bindings.patch(BATCH_ROLE_BINDING, &PatchParams::default(), &Patch::Merge(patch)).await?;
                "extended"
            }
        },
    };
    println!(
        "RoleBinding {namespace}/{BATCH_ROLE_BINDING} {done}: pods of the AWS Batch API may be made there, as user {BATCH_USER}"
    );
    Ok(())
}

async fn disable(client: &Client, namespace: &str) -> anyhow::Result<()> {
    // The binding first: what is left of the two gives nothing.
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let binding = bindings.delete(BATCH_ROLE_BINDING, &DeleteParams::default()).await.map(drop);
    let binding = gone::unless_gone(&bindings, BATCH_ROLE_BINDING, None, binding).await?;
    println!("RoleBinding {namespace}/{BATCH_ROLE_BINDING} {}", what_came(binding));
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let role = roles.delete(BATCH_ROLE, &DeleteParams::default()).await.map(drop);
    let role = what_came(gone::unless_gone(&roles, BATCH_ROLE, None, role).await?);
    println!("Role {namespace}/{BATCH_ROLE} {role}: no pod of the AWS Batch API is made there any more");
    Ok(())
}

fn what_came(deleted: Option<()>) -> &'static str {
    if deleted.is_some() { "deleted" } else { "is not there" }
}

/// What is there and what is missing; `None`: nothing is.
fn widened<T: PartialEq>(mut stored: Vec<T>, wanted: Vec<T>) -> Option<Vec<T>> {
    let missing: Vec<T> = wanted.into_iter().filter(|one| !stored.contains(one)).collect();
    if missing.is_empty() {
        return None;
    }
    stored.extend(missing);
    Some(stored)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::PolicyRule;

    use super::*;

    fn rules() -> Vec<PolicyRule> {
        rights::rules().into_iter().map(|rule| serde_json::from_value(rule).unwrap()).collect()
    }

    #[test]
    fn the_documents_role_gets_logs_and_keeps_what_it_has() {
        assert_eq!(widened(rules(), rules()), None);
        let own =
            PolicyRule { verbs: vec!["get".into()], resources: Some(vec!["secrets".into()]), ..PolicyRule::default() };
        let mut document = rules();
        let log = document.pop().unwrap();
        assert_eq!(log.resources.as_deref(), Some(&["pods/log".to_owned()][..]));
        let stored = [document, vec![own]].concat();
        let expect = [stored.clone(), vec![log]].concat();
        assert_eq!(widened(stored, rules()), Some(expect));
    }

    #[test]
    fn the_objects_are_what_their_types_say() {
        let [role, binding] = rights::objects("ns");
        assert_eq!(serde_json::to_value(serde_json::from_value::<Role>(role.clone()).unwrap()).unwrap(), role);
        assert_eq!(
            serde_json::to_value(serde_json::from_value::<RoleBinding>(binding.clone()).unwrap()).unwrap(),
            binding
        );
    }
}
