//! Step 4: the machines.
//!
//! Invariant: a machine's record loses its finalizer only when the provider says that the machine is gone, or when the user
//! has decided to go on without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use api::BatchNode;
use api::crd::BatchNodeSpec;
use cluster::telemetry::chain;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use model::keys;
use nodes::external::{HttpClient, http_client};
use nodes::provider::{Provider, ProviderError};
use planning::machine::ending::Answer;
use planning::removal;
use serde_json::{Value, json};

use super::access::{Access, Patched, Target, kind, text};
use super::say;
use super::survey::node_of_machine;

/// A provider that fails so often in a row will not recover while somebody waits.
const ATTEMPTS: u32 = 3;
/// The default `terminationGracePeriodSeconds` of a pod.
const GRACE: Duration = Duration::from_secs(30);

/// Closes the nodes of all machines, so that nothing that is started again lands on a machine that goes.
pub(super) async fn close(access: &Access) -> anyhow::Result<()> {
    for machine in access.list(&kind::<BatchNode>(), None, &ListParams::default()).await? {
        let node = Target::global(&kind::<Node>(), &node_of_machine(&machine));
        let Some(found) = access.get(&node).await?.filter(|found| belongs(found, &machine)) else { continue };
        if found.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            continue;
        }
        // A change in between only means that somebody else is at it too; the machine goes all the same.
        if let Patched::Done = access.patch(&node, &json!({"spec": {"unschedulable": true}})).await? {
            say::done(&format!("{node} is closed: its machine goes"));
        }
    }
    Ok(())
}

/// Whether a node is that of a machine, by the label that the machine was launched with.
fn belongs(node: &Value, machine: &Value) -> bool {
    let owner = node.pointer("/metadata/labels").and_then(|labels| labels.get(keys::CE_UUID));
    owner.is_some() && owner == machine.pointer("/spec/computeEnvironmentUuid")
}

/// Lets pods that were told to end finish what they are writing, within the time that Kubernetes gives them by default.
async fn let_pods_end(access: &Access, nodes: &BTreeSet<String>) -> anyhow::Result<()> {
    let pods = kind::<Pod>();
    let ending = |pod: &Value| {
        pod.pointer("/metadata/deletionTimestamp").is_some()
            && text(pod, "/spec/nodeName").is_some_and(|node| nodes.contains(node))
    };
    let queued = ListParams::default().labels(keys::JOB_ID);
    let look = async || {
        let found = access.list(&pods, None, &queued).await?;
        Ok(found.iter().filter(|pod| ending(pod)).map(|pod| Target::of(&pods, pod).to_string()).collect())
    };
    access.at_most(GRACE, look).await.map(drop)
}

/// Takes every machine down and waits until it is gone; `nodes` are the names of their nodes.
pub(super) async fn terminate(access: &Access, nodes: &BTreeSet<String>, abandon: bool) -> anyhow::Result<()> {
    let_pods_end(access, nodes).await?;
    let http = http_client()?;
    let machines = kind::<BatchNode>();
    let mut failures = BTreeMap::<String, u32>::new();
    let advice = "the provider has not taken them down yet; give --timeout a longer time";
    access
        .until_none(advice, async || {
            let mut left = Vec::new();
            for machine in access.list(&machines, None, &ListParams::default()).await? {
                let target = Target::of(&machines, &machine);
                let gone = match ask(&machine, &target, &http).await {
                    Ok(Answer::Unknown) => {
                        say::done(&format!("machine {} is gone", target.name));
                        true
                    }
                    Ok(Answer::Ending | Answer::Unclear | Answer::None) => {
                        failures.remove(&target.name);
                        false
                    }
                    Err(error) if abandon => {
                        say::note(&format!("abandoned machine {}: {error:#}; take it down yourself", target.name));
                        true
                    }
                    Err(error) => {
                        let count = failures.entry(target.name.clone()).or_default();
                        *count += 1;
                        judge(&target, *count, &error)?;
                        false
                    }
                };
                if !gone || !forget(access, &target, &machine).await? {
                    left.push(target.to_string());
                }
            }
            Ok(left)
        })
        .await
}

async fn ask(machine: &Value, target: &Target, http: &HttpClient) -> anyhow::Result<Answer> {
    let spec: BatchNodeSpec = serde_json::from_value(machine["spec"].clone())
        .with_context(|| format!("{target} does not say where its machine is"))?;
    Ok(Provider::new(&spec.provider, http)?.terminate(&target.name).await?)
}

/// Ends the removal if the machine's provider will not do it.
fn judge(target: &Target, count: u32, error: &anyhow::Error) -> anyhow::Result<()> {
    let is_final = error.downcast_ref::<ProviderError>().is_none_or(ProviderError::is_final);
    if is_final || count >= ATTEMPTS {
        bail!(
            "machine {} cannot be taken down: {error:#}. Give this command where the provider can be reached, for example in \
             a pod of the cluster; or give --abandon-machines and take the machine down yourself",
            target.name
        );
    }
    tracing::debug!(machine = target.name, error = chain(error.as_ref()), "asking again");
    Ok(())
}

/// Removes the node, then the record; false: look again.
async fn forget(access: &Access, target: &Target, machine: &Value) -> anyhow::Result<bool> {
    let node = Target::global(&kind::<Node>(), &node_of_machine(machine));
    if let Some(found) = access.get(&node).await? {
        if belongs(&found, machine) {
            access.delete(&node, text(&found, "/metadata/uid")).await?;
            say::done(&format!("deleted {node}"));
        } else {
            say::note(&format!("left {node}: it is not labelled as a node of {target}"));
        }
    }
    if let Some(patch) = removal::without_finalizers(machine) {
        match access.patch(target, &patch).await? {
            Patched::Done => {}
            Patched::Changed => return Ok(false),
            Patched::Refused(message) => bail!("the finalizer of {target} does not come off: {message}"),
        }
    }
    access.delete(target, text(machine, "/metadata/uid")).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_belongs_to_a_machine_only_by_its_label() {
        let machine = json!({"spec": {"computeEnvironmentUuid": "ce-1"}});
        for (labels, expected) in
            [(json!({keys::CE_UUID: "ce-1"}), true), (json!({keys::CE_UUID: "ce-2"}), false), (json!({}), false)]
        {
            assert_eq!(belongs(&json!({"metadata": {"labels": labels}}), &machine), expected, "{labels}");
        }
        assert!(!belongs(&json!({"metadata": {}}), &json!({"spec": {}})), "nothing known is no match");
    }

    #[test]
    fn a_provider_gets_a_few_attempts_and_a_hopeless_request_gets_one() {
        let machine = Target::global(&kind::<BatchNode>(), "m1");
        let later = || anyhow::Error::from(ProviderError::TryLater { url: "http://p".into(), message: "busy".into() });
        assert!(judge(&machine, 1, &later()).is_ok() && judge(&machine, ATTEMPTS - 1, &later()).is_ok());
        let given_up = judge(&machine, ATTEMPTS, &later()).unwrap_err().to_string();
        assert!(
            given_up.contains("http://p asks to try later: busy") && given_up.contains("--abandon-machines"),
            "{given_up}"
        );
        assert!(judge(&machine, 1, &ProviderError::Missing.into()).is_err());
    }
}
