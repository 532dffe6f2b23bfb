//! Arguments of `bulkhead controller` about the webhook's certificate: who makes it, and how long it lives.
//!
//! Invariant: lives that cannot work together are refused at the start. Knows nothing about certificates themselves.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Who makes the webhook's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// This controller: issues, renews, and keeps every caBundle.
    Internal,
    /// Something else, such as cert-manager, fills Secret `bulkhead-webhook-tls` (`tls.crt`, `tls.key`) and every caBundle.
    External,
}

/// Arguments about the webhook's certificate.
#[derive(Args, Debug)]
pub(crate) struct CertificateArgs {
    /// Who makes the webhook's certificate.
    #[arg(long, value_enum, default_value_t = Source::Internal)]
    certs: Source,
    /// Life of a certificate authority, for example 2160h; it is replaced at two thirds of it.
    #[arg(long, value_parser = crate::duration, default_value = "2160h")]
    ca_life: Duration,
    /// Life of the serving certificate; it is renewed at two thirds of it.
    #[arg(long, value_parser = crate::duration, default_value = "720h")]
    leaf_life: Duration,
    /// How long everybody gets to notice a new certificate authority before it signs; at most a twelfth of its life.
    #[arg(long, value_parser = crate::duration, default_value = "5m")]
    certs_settle: Duration,
}

impl CertificateArgs {
    /// What to keep in an installation in `namespace`, also under these names; `None`: somebody else does.
    pub(crate) fn config(
        &self,
        namespace: &str,
        names: impl Iterator<Item = String>,
    ) -> Result<Option<certs::Config>, certs::ConfigError> {
        let Self { certs: source, ca_life, leaf_life, certs_settle } = *self;
        let times = certs::Times { ca_life, leaf_life, settle: certs_settle };
        let mut config = certs::Config { times, ..certs::Config::in_namespace(namespace) };
        for name in names {
            if !config.names.contains(&name) {
                config.names.push(name);
            }
        }
        config.validate()?;
        Ok((source == Source::Internal).then_some(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: CertificateArgs,
    }

    fn config(args: &[&str]) -> Result<Option<certs::Config>, String> {
        let cli = Cli::try_parse_from([&["controller"], args].concat()).map_err(|error| error.to_string())?;
        cli.args.config("ns", std::iter::empty()).map_err(|error| error.to_string())
    }

    #[test]
    fn by_default_the_controller_keeps_them_as_long_as_the_library_says() {
        assert_eq!(config(&[]), Ok(Some(certs::Config::in_namespace("ns"))));
    }

    #[test]
    fn external_certificates_are_not_kept() {
        assert_eq!(config(&["--certs", "external"]), Ok(None));
    }

    #[test]
    fn lives_are_taken_and_impossible_ones_refused() {
        let times = config(&["--ca-life=72s", "--leaf-life=36s", "--certs-settle=6s"]).unwrap().unwrap().times;
        let seconds = [times.ca_life, times.leaf_life, times.settle].map(|life| life.as_secs());
        assert_eq!(seconds, [72, 36, 6]);
        assert!(config(&["--ca-life=1h"]).unwrap_err().contains("must not be longer"));
        assert!(config(&["--leaf-life=soon"]).unwrap_err().contains("write a duration"));
    }
}
