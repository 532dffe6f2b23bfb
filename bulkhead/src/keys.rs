//! `bulkhead keys`: access keys for AWS's clients, for a service account.
//!
//! Invariant: whoever may make a token of the account gets a key of it, and nobody else; nothing is stored. What it prints is secret, and goes
//! to standard output alone. Certificates are checked.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::http::Uri;
use clap::{Args, Subcommand, ValueEnum};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use model::keys;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection::{controllers, forward};

/// Where a controller serves the API to whoever has keys, as it is installed.
const PORT: u16 = 8443;
/// A token is needed for a moment only; Kubernetes makes none that live shorter.
const TOKEN_SECONDS: i64 = 600;
const ANSWER_LIMIT: usize = 64 << 10;

/// Makes access keys for AWS's clients.
#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Makes a key of a service account. Takes the right to make tokens of it: create on `serviceaccounts/token`.
    Create(Create),
}

/// Arguments of `keys create`.
#[derive(Args)]
struct Create {
    /// Whose key it is: `serviceaccount/NAMESPACE/NAME`.
    #[arg(long = "for", value_name = "ACCOUNT", value_parser = account)]
    account: (String, String),
    /// Hours for which it is good, 1 to 12.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=12))]
    for_hours: u32,
    /// Where the API is: `https://host[:port]`. Without it a port is forwarded to the controller, which takes `pods/portforward` in its namespace.
    #[arg(long, env = "AWS_ENDPOINT_URL_BATCH", value_name = "URL")]
    endpoint: Option<String>,
    /// File with certificates to trust besides those of the installation's `ConfigMap` bulkhead-api-ca, which not everybody can read.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Output::Env)]
    output: Output,
    /// Namespace of the installation.
    #[arg(long, default_value = keys::NAMESPACE)]
    namespace: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for a shell: `eval "$(bulkhead keys create …)"`.
    Env,
    /// JSON as `credential_process` of AWS's clients wants it.
    Process,
}

fn account(text: &str) -> Result<(String, String), String> {
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("serviceaccount"), Some(namespace), Some(name), None) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("name a service account: serviceaccount/NAMESPACE/NAME".to_owned()),
    }
}

/// A key.
#[derive(PartialEq, Eq)]
struct Key {
    id: String,
    secret: String,
    token: String,
    until: String,
}

/// Does what is asked for.
pub(crate) async fn run(args: KeysArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let KeysCommand::Create(create) = args.command;
    let client = cluster::client::connect(kubeconfig).await?.retrying;
    let token = token(&client, &create.account).await?;
    let roots = roots(&client, &create).await?;
    let form = form(&token, create.for_hours * 3600);
    let answer = if let Some(endpoint) = &create.endpoint {
        let (host, port) = address(endpoint)?;
        let stream = TcpStream::connect((host.as_str(), port)).await;
        ask(stream.with_context(|| format!("cannot reach {endpoint}"))?, &host, port, roots, form).await?
    } else {
        let ready = controllers(&client, &create.namespace).await?;
        let stream = forward(&client, &create.namespace, &ready[0], PORT).await?;
        ask(stream, "localhost", PORT, roots, form).await?
    };
    let text = shown(&read(&answer)?, create.output);
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the key")
}

/// A token of the account for the API alone.
async fn token(client: &Client, (namespace, name): &(String, String)) -> anyhow::Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec {
        audiences: Some(vec![gateway::AUDIENCE.to_owned()]),
        expiration_seconds: Some(TOKEN_SECONDS),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let made = made.map_err(|error| match error {
        // As kubectl says it.
        kube::Error::Api(answer) => anyhow!(answer.message),
        other => other.into(),
    });
    let made =
        made.with_context(|| format!("cannot make a token of service account {name} in namespace {namespace}"))?;
    made.status.and_then(|status| status.token).context("the API server answered without a token")
}

/// Whose certificates are trusted.
async fn roots(client: &Client, create: &Create) -> anyhow::Result<RootCertStore> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &create.namespace);
    let mut pem = match (maps.get(keys::API_BUNDLE).await, &create.ca_bundle) {
        (Ok(found), _) => found.data.and_then(|mut data| data.remove("ca.crt")).unwrap_or_default(),
        (Err(_), Some(_)) => String::new(),
        (Err(error), None) => {
            return Err(error).context("cannot read which certificates to trust; name a file with --ca-bundle");
        }
    };
    if let Some(path) = &create.ca_bundle {
        pem += &std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.context("a certificate to trust cannot be read")?)?;
    }
    ensure!(!roots.is_empty(), "there is no certificate to trust");
    Ok(roots)
}

fn address(endpoint: &str) -> anyhow::Result<(String, u16)> {
    let uri: Uri = endpoint.parse().with_context(|| format!("{endpoint} is no URL"))?;
    ensure!(uri.scheme_str() == Some("https"), "{endpoint} is not https://…: keys are sent over TLS alone");
    let host = uri.host().context("the endpoint names no host")?;
    Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(443)))
}

fn form(token: &str, seconds: u32) -> String {
    let seconds = seconds.to_string();
    let members = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::000000000000:role/bulkhead"),
        ("RoleSessionName", "bulkhead-keys"),
        ("DurationSeconds", &seconds),
        ("WebIdentityToken", token),
    ];
    // Nothing in them is to be escaped: tokens are base64url with dots.
    members.map(|(name, value)| format!("{name}={value}")).join("&")
}

/// Sends the form over TLS.
async fn ask<S>(stream: S, host: &str, port: u16, roots: RootCertStore, form: String) -> anyhow::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host} is no host name"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.with_context(|| format!("no TLS connection to {host} port {port}"))?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.context("the API does not answer")?;
    // It ends with the connection; what went wrong, the request says.
    tokio::spawn(driver);
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request = Request::post("/").header("host", format!("{bracketed}:{port}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form))?;
    let response = sender.send_request(request).await.context("the API does not answer")?;
    let status = response.status();
    let bytes = to_bytes(Body::new(response.into_body()), ANSWER_LIMIT).await.context("the API's answer ends early")?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if !status.is_success() {
        bail!("the API refuses: {}", element(&text, "Message").unwrap_or(status.as_str()));
    }
    Ok(text)
}

fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn read(answer: &str) -> anyhow::Result<Key> {
    let take = |name: &str| {
        let found = element(answer, name).with_context(|| format!("the API answered without {name}"));
        found.map(str::to_owned)
    };
    Ok(Key {
        id: take("AccessKeyId")?,
        secret: take("SecretAccessKey")?,
        token: take("SessionToken")?,
        until: take("Expiration")?,
    })
}

fn shown(key: &Key, output: Output) -> String {
    let Key { id, secret, token, until } = key;
    match output {
        Output::Env => format!(
            "export AWS_ACCESS_KEY_ID='{id}'\nexport AWS_SECRET_ACCESS_KEY='{secret}'\nexport AWS_SESSION_TOKEN='{token}'\n\
             # good until {until}\n"
        ),
        Output::Process => format!(
            "{}\n",
            json!({"Version": 1, "AccessKeyId": id, "SecretAccessKey": secret, "SessionToken": token, "Expiration": until})
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_addresses_are_read() {
        assert_eq!(account("serviceaccount/a/b"), Ok(("a".to_owned(), "b".to_owned())));
        for wrong in ["a/b", "serviceaccount/a", "serviceaccount/a/b/c", "user/a/b", "serviceaccount//b"] {
            assert!(account(wrong).is_err(), "{wrong}");
        }
        for (text, expect) in [
            ("https://batch.example", Some(("batch.example", 443))),
            ("https://localhost:8443", Some(("localhost", 8443))),
            ("https://[::1]:8443", Some(("::1", 8443))),
            ("http://localhost:8443", None),
            ("localhost:8443", None),
        ] {
            let found = address(text).ok();
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expect, "{text}");
        }
    }

    #[test]
    fn a_key_is_shown_as_shells_and_sdks_want_it() {
        let answer = "<r><AccessKeyId>i</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                      <Expiration>2026-01-01T00:00:00Z</Expiration></r>";
        let key = read(answer).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            shown(&key, Output::Env).starts_with("export AWS_ACCESS_KEY_ID='i'\nexport AWS_SECRET_ACCESS_KEY='s'\n")
        );
        let process: serde_json::Value = serde_json::from_str(&shown(&key, Output::Process)).unwrap();
        assert_eq!((&process["Version"], &process["Expiration"]), (&json!(1), &json!("2026-01-01T00:00:00Z")));
        assert!(read("<r/>").is_err());
    }
}
