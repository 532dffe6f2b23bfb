//! Pushing to a registry over plain HTTP with the distribution API; blobs that are there are not sent again.
//!
//! Meant for a registry on this machine: no credentials, no TLS, no proxy. A push that dies half-way leaves unnamed
//! blobs only: the manifest, which names them, goes last.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Response, StatusCode, Url, header};

use super::{Blob, Image, MANIFEST, Name};

/// Pushes under the name's repository and tag (the registry stands in for the name's own host); answers the digest.
pub fn push(image: &Image, registry: &str, name: &Name) -> Result<String> {
    let repository = Repository::new(registry, name)?;
    wait(async {
        for blob in &image.blobs {
            repository.put_blob(blob).await?;
        }
        repository.put_manifest(&image.manifest, &name.tag).await
    })
    .with_context(|| format!("cannot push {name} to the registry at {registry}"))?;
    Ok(image.digest().to_owned())
}

/// Whether the registry has something under this repository and tag.
pub fn exists(registry: &str, name: &Name) -> Result<bool> {
    let repository = Repository::new(registry, name)?;
    wait(async {
        let request = repository.client.head(repository.url(&format!("manifests/{}", name.tag))?);
        let response = request.header(header::ACCEPT, MANIFEST).send().await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => checked(response).await.map(|_| true),
        }
    })
    .with_context(|| format!("cannot ask the image registry at {registry} for {name}"))
}

/// Runs to the end on a thread of its own, so that callers may or may not be inside a runtime.
fn wait<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

struct Repository {
    client: Client,
    base: Url,
}

impl Repository {
    fn new(registry: &str, name: &Name) -> Result<Self> {
        let base = Url::parse(&format!("http://{registry}/v2/{}/", name.repository))
            .ok()
            .filter(|_| !registry.contains('/'))
            .with_context(|| format!("{registry:?} is not a registry address: expected HOST:PORT"))?;
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(2)).build()?;
        Ok(Self { client, base })
    }

    fn url(&self, path: &str) -> Result<Url> {
        self.base.join(path).with_context(|| format!("{path:?} does not make a URL"))
    }

    async fn put_blob(&self, blob: &Blob) -> Result<()> {
        let there = self.client.head(self.url(&format!("blobs/{}", blob.digest))?).send().await?;
        if there.status().is_success() {
            return Ok(());
        }
        let started = checked(self.client.post(self.url("blobs/uploads/")?).send().await?).await?;
        let location = started
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .context("the registry started an upload without saying where to (no Location header)")?;
        let mut to = self.url(location)?;
        to.query_pairs_mut().append_pair("digest", &blob.digest);
        let request = self.client.put(to).header(header::CONTENT_TYPE, "application/octet-stream");
        checked(request.body(blob.bytes.clone()).send().await?).await?;
        Ok(())
    }

    async fn put_manifest(&self, manifest: &Blob, tag: &str) -> Result<()> {
        let request = self.client.put(self.url(&format!("manifests/{tag}"))?);
        let request = request.header(header::CONTENT_TYPE, manifest.media_type);
        checked(request.body(manifest.bytes.clone()).send().await?).await?;
        Ok(())
    }
}

async fn checked(response: Response) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, url) = (response.status(), response.url().path().to_owned());
    let text = response.text().await.unwrap_or_default();
    bail!("the registry answered {status} at {url}: {}", text.trim())
}
