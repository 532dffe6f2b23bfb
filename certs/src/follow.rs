//! The serving side: loads the leaf that the leader has handed on, at once when it changes.
//!
//! Invariant: what cannot be served is logged and what is served stays; a Secret that is gone changes nothing.
//!
//! It needs to read this one Secret and nothing else, and it issues nothing.

use std::{sync::Arc, time::Duration};

use cluster::{admin::Check, serve::ServingCert, telemetry::chain};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::{
    config::Config,
    data::{Data, Pair},
    keep::changes,
};

/// A lookup that takes longer is given up; the next one comes soon.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Loads the serving certificate into `cert` whenever the Secret changes. `check` holds from the
/// first usable certificate on.
///
/// The Secret is watched, and also read every [`Config::look_every`], because a watch can be dead for minutes before that
/// shows.
pub async fn follow(client: Client, config: Config, cert: Arc<ServingCert>, check: Check) {
    let secrets: Api<Secret> = Api::namespaced(client, &config.namespace);
    let mut follower = Follower { cert, check, name: config.leaf_secret.clone(), current: None, trouble: None };
    let changes = changes(secrets.clone(), &config.leaf_secret);
    tokio::pin!(changes);
    loop {
        follower.look(&secrets).await;
        tokio::select! {
            () = tokio::time::sleep(config.look_every) => {}
            _ = changes.next() => {}
        }
    }
}

struct Follower {
    cert: Arc<ServingCert>,
    check: Check,
    name: String,
    /// What was looked at last, usable or not.
    current: Option<Pair>,
    trouble: Option<String>,
}

impl Follower {
    async fn look(&mut self, secrets: &Api<Secret>) {
        match tokio::time::timeout(REQUEST_TIMEOUT, secrets.get_opt(&self.name)).await {
            Ok(Ok(Some(secret))) => self.take(&secret),
            Ok(Ok(None)) => self.report("the Secret does not exist; the controller creates it".to_owned()),
            Ok(Err(error)) => self.report(chain(&error)),
            Err(_) => self.report(format!("the API server did not answer within {REQUEST_TIMEOUT:?}")),
        }
    }

    fn take(&mut self, secret: &Secret) {
        let leaf = Data::read(secret.data.as_ref()).leaf;
        if self.current.as_ref() == Some(&leaf) {
            return;
        }
        match self.cert.load(leaf.certificate.as_bytes(), leaf.key.0.as_bytes()) {
            Ok(()) => {
                self.check.set(true);
                self.trouble = None;
                tracing::info!(secret = self.name, "serving a new certificate");
            }
            Err(error) => self.report(chain(&error)),
        }
        self.current = Some(leaf);
    }

    /// Says what is wrong once, not every few seconds.
    fn report(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            let serving = self.cert.is_loaded();
            tracing::warn!(secret = self.name, error = trouble, serving, "no new certificate can be loaded");
            self.trouble = Some(trouble);
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster::admin::Readiness;
    use jiff::Timestamp;

    use super::*;
    use crate::{decide::Action, decide::Why, keep::carry_out};

    fn follower(readiness: &Readiness) -> Follower {
        Follower {
            cert: ServingCert::empty(),
            check: readiness.check("certificate"),
            name: "bulkhead-webhook-tls".to_owned(),
            current: None,
            trouble: None,
        }
    }

    fn secret(data: &Data) -> Secret {
        Secret { data: Some(data.write_leaf()), ..Secret::default() }
    }

    fn issued() -> Data {
        let action = Action::Everything { why: Why::First };
        let made = carry_out(&action, Data::default(), None, &Config::default(), Timestamp::now());
        made.unwrap().unwrap()
    }

    #[test]
    fn the_process_is_ready_from_the_first_usable_certificate_on() {
        let readiness = Readiness::new();
        let mut follower = follower(&readiness);
        follower.take(&Secret::default());
        assert!(!readiness.is_ready() && follower.trouble.is_some());
        follower.take(&secret(&issued()));
        assert!(readiness.is_ready() && follower.trouble.is_none());
    }

    #[test]
    fn broken_content_is_reported_and_the_old_certificate_keeps_serving() {
        let readiness = Readiness::new();
        let mut follower = follower(&readiness);
        let good = issued();
        follower.take(&secret(&good));
        let mut mixed = good.clone();
        mixed.leaf.key = issued().leaf.key;
        follower.take(&secret(&mixed));
        assert!(readiness.is_ready() && follower.cert.is_loaded());
        assert!(follower.trouble.as_deref().is_some_and(|trouble| trouble.contains("cannot be used together")));
        follower.take(&secret(&good));
        assert_eq!(follower.trouble, None);
    }
}
