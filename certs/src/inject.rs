//! Which webhooks of a configuration do not trust what they should, and the patch that changes that.
//!
//! Invariant: the patch touches nothing but `caBundle`, and only applies to the version it was computed from. Webhooks that
//! are called by URL are not ours to change.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

/// The certificates each webhook trusts; an unreadable bundle trusts nobody.
pub(crate) fn bundles(configuration: &MutatingWebhookConfiguration) -> Vec<Vec<CertificateDer<'static>>> {
    ours(configuration)
        .map(|(_, webhook)| {
            let pem = webhook.client_config.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default()
        })
        .collect()
}

/// A JSON patch that makes every webhook trust `bundle`; `None` when all do.
pub(crate) fn patch(configuration: &MutatingWebhookConfiguration, bundle: &str) -> Option<Value> {
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let mut operations: Vec<Value> = ours(configuration)
        .filter(|(_, webhook)| webhook.client_config.ca_bundle.as_ref() != Some(&bundle))
        .map(|(index, _)| {
            // `add` also replaces, so it works whether a bundle is there or not.
            json!({ "op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle })
        })
        .collect();
    if operations.is_empty() {
        return None;
    }
    let version = &configuration.metadata.resource_version;
    operations.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
    Some(Value::Array(operations))
}

fn ours(configuration: &MutatingWebhookConfiguration) -> impl Iterator<Item = (usize, &MutatingWebhook)> {
    let webhooks = configuration.webhooks.iter().flatten().enumerate();
    webhooks.filter(|(_, webhook)| webhook.client_config.service.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> MutatingWebhookConfiguration {
        let webhooks: Vec<Value> = bundles
            .iter()
            .map(|bundle| {
                let bundle = bundle.map(|pem| ByteString(pem.as_bytes().to_vec()));
                json!({
                    "name": "jobs.bulkhead.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                    "clientConfig": { "service": { "name": "s", "namespace": "n" }, "caBundle": bundle },
                })
            })
            .collect();
        let object = json!({ "metadata": { "name": "bulkhead", "resourceVersion": "9" }, "webhooks": webhooks });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_webhooks_that_trust_something_else_are_patched() {
        let patch = patch(&configuration(&[Some("new\n"), None, Some("old\n")]), "new\n").unwrap();
        let expect = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": "9" },
            { "op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bmV3Cg==" },
            { "op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "bmV3Cg==" },
        ]);
        assert_eq!(patch, expect);
    }

    #[test]
    fn nothing_is_patched_when_all_trust_what_they_should() {
        assert_eq!(patch(&configuration(&[Some("new\n"), Some("new\n")]), "new\n"), None);
        assert_eq!(patch(&configuration(&[]), "new\n"), None);
        assert_eq!(patch(&MutatingWebhookConfiguration::default(), "new\n"), None);
    }

    #[test]
    fn a_webhook_that_is_called_by_url_is_left_alone() {
        let mut by_url = configuration(&[None]);
        let client = &mut by_url.webhooks.as_mut().unwrap()[0].client_config;
        client.service = None;
        client.url = Some("https://example.test".to_owned());
        assert_eq!(patch(&by_url, "new\n"), None);
        assert!(bundles(&by_url).is_empty());
    }

    #[test]
    fn an_unreadable_bundle_trusts_nobody() {
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert_eq!(bundles(&configuration(&[None, Some(broken)])), [vec![], vec![]]);
    }
}
