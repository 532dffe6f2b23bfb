//! The environment of the webhook's container, as the manifest has it.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::manifests;

/// Names and values.
pub(super) fn of_the_webhook() -> Result<Vec<(String, String)>> {
    let path = manifests::path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text).with_context(|| format!("{} does not show the webhook's environment", path.display()))
}

fn read(manifest: &str) -> Result<Vec<(String, String)>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(manifest)?;
    let webhook = all.iter().find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "bulkhead-webhook");
    let container = &webhook.context("it has no webhook")?["spec"]["template"]["spec"]["containers"][0];
    // Where the pod is says nothing about how fast it is.
    let is_of_pod = |it: &&Value| it["valueFrom"]["fieldRef"].is_object();
    let variables = container["env"].as_array().into_iter().flatten().filter(|it| !is_of_pod(it));
    let read = |it: &Value| Some((it["name"].as_str()?.to_owned(), it["value"].as_str()?.to_owned()));
    variables.map(read).collect::<Option<_>>().context("a variable has no plain value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_tells_it() {
        let tunables = ("GLIBC_TUNABLES".to_owned(), "glibc.malloc.tcache_count=2000".to_owned());
        assert_eq!(of_the_webhook().unwrap(), [tunables]);
    }

    #[test]
    fn a_value_from_elsewhere_is_not_known() {
        let manifest = |env: &str| {
            let container = format!("containers: [{{name: webhook, env: [{env}]}}]");
            format!(
                "kind: Deployment\nmetadata: {{name: bulkhead-webhook}}\nspec: {{template: {{spec: {{{container}}}}}}}\n"
            )
        };
        assert_eq!(read(&manifest("")).unwrap(), []);
        assert!(read(&manifest("{name: A, valueFrom: {}}")).is_err());
        assert_eq!(read(&manifest("{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}")).unwrap(), []);
        assert!(read("kind: Service\n").is_err());
    }
}
