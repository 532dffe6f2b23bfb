//! Nobody gets the host's network from Bulkhead where rules about networks would be slipped past.
//!
//! Asked by dry runs: the API server admits a pod, and nothing is made.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Fixture, eventually};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "no pod gets the host's network past Pod Security labels and network policies, those of kinds that come later too",
        short: "net",
        company: Company::Nobody,
        local_only: false,
        run: |fixture| Box::pin(host_network(fixture)),
    }]
}

/// A kind that applies to the whole cluster, as Calico brings it.
const CALICO: &str = "globalnetworkpolicies.crd.projectcalico.org";

async fn host_network(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let others = fixture.namespace("others", Some(&queue)).await?;
    let gets = |namespace: &str, expected: bool| gets(fixture, namespace.to_owned(), queue.clone(), expected);
    gets(&namespace, true).await?;

    for mode in ["enforce", "warn", "audit"] {
        let label = |value: &str| format!("pod-security.kubernetes.io/{mode}{value}");
        fixture.world.kubectl(&["label", "namespace", &namespace, &label("=baseline")]).await?;
        gets(&namespace, false).await?;
        gets(&others, true).await?;
        fixture.world.kubectl(&["label", "namespace", &namespace, &label("-")]).await?;
    }
    gets(&namespace, true).await?;

    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
        "spec": {"podSelector": {"matchLabels": {"app": "somebody-else"}}, "policyTypes": ["Egress"]}});
    fixture.apply(&namespace, &policy.to_string()).await?;
    gets(&namespace, false).await?;
    gets(&others, true).await?;
    fixture.world.kubectl(&["delete", "networkpolicy", "p", "-n", &namespace]).await?;
    gets(&namespace, true).await?;

    fixture.on_clean(&["delete", "crd", CALICO, "--ignore-not-found"], "");
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": CALICO},
        "spec": {"group": "crd.projectcalico.org", "scope": "Cluster",
            "names": {"plural": "globalnetworkpolicies", "singular": "globalnetworkpolicy", "kind": "GlobalNetworkPolicy"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    fixture.world.apply(&definition.to_string()).await?;
    fixture.world.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{CALICO}")]).await?;
    let everywhere =
        json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "GlobalNetworkPolicy", "metadata": {"name": "g"}});
    fixture.world.apply(&everywhere.to_string()).await?;
    gets(&others, false).await?;
    fixture.world.kubectl(&["delete", "crd", CALICO]).await?;
    gets(&others, true).await
}

/// Waits until a pod that is created would get the host's network, or would not.
async fn gets(fixture: &Fixture, namespace: String, queue: String, expected: bool) -> Result<()> {
    let labels = json!({model::keys::QUEUE: queue});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]}});
    eventually(&format!("pods in {namespace} get the host's network: {expected}"), || async {
        let args = ["create", "--dry-run=server", "-n", &namespace, "-o", "json", "-f", "-"];
        let seen: Value = serde_json::from_str(&fixture.world.kubectl_with(&args, &pod.to_string()).await?)?;
        ensure!(seen["metadata"]["labels"].get(model::keys::JOB_ID).is_some(), "the hook was not called");
        let found = seen["spec"]["hostNetwork"] == true;
        Ok(if found == expected { Ok(()) } else { Err(format!("hostNetwork is {}", seen["spec"]["hostNetwork"])) })
    })
    .await
}
