//! What is issued, for how long, and where it is kept.
//!
//! Invariant: the lives leave room for every step of a rotation ([`Config::validate`]).

use std::time::Duration;

use model::keys::{API_BUNDLE, API_SERVICE, NAMESPACE, WEBHOOK_CONFIGURATIONS};

const DAY: Duration = Duration::from_hours(24);

/// How long things live and rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Life of a CA. Replaced at two thirds of it.
    pub ca_life: Duration,
    /// Life of a leaf, at most as long as its CA's. Renewed at two thirds of it.
    pub leaf_life: Duration,
    /// How long everybody gets to notice a change before the next step relies on it.
    pub settle: Duration,
}

impl Default for Times {
    /// CAs change every month and the leaf every three weeks, so that rotation is exercised long before anybody could
    /// forget that it exists. Five minutes is far more than API servers and replicas need, which watch.
    fn default() -> Self {
        Self { ca_life: 90 * DAY, leaf_life: 30 * DAY, settle: Duration::from_mins(5) }
    }
}

/// What to keep, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Namespace of the Secrets.
    pub namespace: String,
    /// Name of the Secret with the authorities and their keys, for the leader alone.
    pub secret: String,
    /// Name of the Secret with the leaf, for whoever serves.
    pub leaf_secret: String,
    /// Name of the `ConfigMap` with the authorities' certificates, for clients of the API.
    pub bundle: String,
    /// Names of the `MutatingWebhookConfiguration`s whose webhooks are called with these certificates.
    pub webhook_configurations: Vec<String>,
    /// The names the leaf is valid for.
    pub names: Vec<String>,
    /// How long things live.
    pub times: Times,
    /// Everything is looked at again this often, also without any change that was noticed.
    pub look_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::in_namespace(NAMESPACE)
    }
}

impl Config {
    /// What an installation in `namespace` keeps. The leaf's names contain the namespace, so changing the field alone is not
    /// enough.
    pub fn in_namespace(namespace: &str) -> Self {
        let of = |service: &str| {
            // What the API server asks for comes first.
            let within = format!("{service}.{namespace}");
            [format!("{within}.svc"), format!("{within}.svc.cluster.local"), within, service.to_owned()]
        };
        // Whoever forwards a port to the API calls it so.
        let names = of("bulkhead-webhook").into_iter().chain(of(API_SERVICE)).chain(["localhost".to_owned()]);
        Self {
            namespace: namespace.to_owned(),
            secret: "bulkhead-certs".to_owned(),
            leaf_secret: "bulkhead-webhook-tls".to_owned(),
            bundle: API_BUNDLE.to_owned(),
            webhook_configurations: WEBHOOK_CONFIGURATIONS.map(str::to_owned).to_vec(),
            names: names.collect(),
            times: Times::default(),
            look_every: Duration::from_secs(10),
        }
    }
}

/// Why a [`Config`] cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// X.509 counts whole seconds.
    #[error("the leaf's life {0:?} is too short: it must be at least 1 s")]
    Short(Duration),
    /// A leaf dies with its CA.
    #[error("the leaf's life {leaf:?} must not be longer than the CA's {ca:?}")]
    Leaf {
        /// The leaf's life.
        leaf: Duration,
        /// The CA's life.
        ca: Duration,
    },
    /// A rotation needs several settled steps in the last third of a life.
    #[error("settling takes {settle:?}, which must be at most a twelfth of the CA's life {ca:?}")]
    Settle {
        /// The time to settle.
        settle: Duration,
        /// The CA's life.
        ca: Duration,
    },
    /// No client can ask for it.
    #[error("no certificate can be made for {0:?}: it is no DNS name, without wildcard and dot at the end")]
    Name(String),
    /// The leaf must be valid for something.
    #[error("no name is given for the serving certificate")]
    Nameless,
}

impl Config {
    /// Whether all of it can work together; the error says what cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Times { ca_life: ca, leaf_life: leaf, settle } = self.times;
        if leaf < Duration::from_secs(1) {
            Err(ConfigError::Short(leaf))
        } else if leaf > ca {
            Err(ConfigError::Leaf { leaf, ca })
        } else if settle * 12 > ca {
            Err(ConfigError::Settle { settle, ca })
        } else if self.names.is_empty() {
            Err(ConfigError::Nameless)
        } else if let Some(name) = self.names.iter().find(|name| !is_dns_name(name)) {
            Err(ConfigError::Name(name.clone()))
        } else {
            Ok(())
        }
    }
}

/// Whether a certificate can be for this: a leaf that is for anything else is looked at in vain, and made again and again.
pub fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label) && name.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: Times, expect: &Result<(), ConfigError>) {
        assert_eq!(&Config { times, ..Config::default() }.validate(), expect);
    }

    #[test]
    fn lives_that_cannot_work_are_refused() {
        let good = Times::default();
        check(good, &Ok(()));
        check(Times { leaf_life: 91 * DAY, ..good }, &Err(ConfigError::Leaf { leaf: 91 * DAY, ca: 90 * DAY }));
        check(Times { settle: 8 * DAY, ..good }, &Err(ConfigError::Settle { settle: 8 * DAY, ca: 90 * DAY }));
        check(Times { leaf_life: Duration::ZERO, ..good }, &Err(ConfigError::Short(Duration::ZERO)));
        for (name, good) in [
            ("a.example", true),
            ("localhost", true),
            ("*.a", false),
            ("a.", false),
            ("[", false),
            ("::1", false),
            ("10.0.0.1", false),
            ("", false),
            ("-a", false),
        ] {
            let named = Config { names: vec![name.to_owned()], ..Config::default() };
            assert_eq!(named.validate(), if good { Ok(()) } else { Err(ConfigError::Name(name.to_owned())) });
        }
        let nameless = Config { names: Vec::new(), ..Config::default() };
        assert_eq!(nameless.validate(), Err(ConfigError::Nameless));
    }
}
