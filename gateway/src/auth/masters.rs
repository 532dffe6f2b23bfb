//! Where the master key is kept: one Secret, which every replica reads and whoever comes first makes and renews.
//!
//! Invariant: what was read once is used until something else is read, so keys hold while the API server is away. A generation goes only when
//! no key can be left that was made with it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::keys::{Generation, MASTER, Masters};

/// Name of the Secret.
const SECRET: &str = "bulkhead-api-keys";
const MEMBER: &str = "generations";
/// A new generation is made this long after the last: sessions live for 12 hours at most.
const LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How often it is read. Less than a new generation waits before it is used.
const EVERY: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// A generation as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    since: Timestamp,
    key: String,
}

fn read(secret: &Secret) -> Vec<Generation> {
    let text = secret.data.as_ref().and_then(|data| data.get(MEMBER));
    let stored: Vec<Stored> = text.and_then(|text| serde_json::from_slice(&text.0).ok()).unwrap_or_default();
    let key = |text: &str| <[u8; MASTER]>::try_from(STANDARD.decode(text).ok()?).ok();
    stored.iter().filter_map(|one| Some(Generation { since: one.since, key: key(&one.key)? })).collect()
}

fn written(generations: &[Generation]) -> ByteString {
    let stored = |one: &Generation| Stored { since: one.since, key: STANDARD.encode(one.key) };
    let all: Vec<Stored> = generations.iter().map(stored).collect();
    ByteString(serde_json::to_vec(&all).unwrap_or_default())
}

/// With a new generation in front, if it is time; of the others the last is kept.
fn renewed(known: &[Generation], now: Timestamp) -> Option<Vec<Generation>> {
    let newest = known.iter().max_by_key(|one| one.since);
    if newest.is_some_and(|one| one.since.saturating_add(LIFE).is_ok_and(|end| end > now)) {
        return None;
    }
    let new = Generation::new(now).ok()?;
    Some([new].into_iter().chain(newest.cloned()).collect())
}

/// Keeps the Secret, and says what is in it, for as long as somebody wants to know.
pub async fn keep(client: Client, namespace: String, masters: watch::Sender<Masters>) {
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let mut trouble = None;
    loop {
        let now = match tokio::time::timeout(PATIENCE, look(&secrets, &masters)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(cluster::telemetry::chain(&error)),
            Err(_) => Some("the API server does not answer".to_owned()),
        };
        // Once, and not every few seconds.
        if let Some(error) = now.as_ref().filter(|error| trouble.as_ref() != Some(*error)) {
            tracing::warn!(secret = SECRET, error, "the master key of access keys cannot be read");
        }
        trouble = now;
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(secrets: &Api<Secret>, masters: &watch::Sender<Masters>) -> kube::Result<()> {
    let found = secrets.get_opt(SECRET).await?;
    let known = found.as_ref().map(read).unwrap_or_default();
    if known.is_empty() && found.is_some() {
        // Whatever it is, keys may have been made with it.
        tracing::error!(
            secret = SECRET,
            "the master key of access keys cannot be understood; delete the Secret to have another one made, which ends all keys"
        );
        return Ok(());
    }
    let Some(wanted) = renewed(&known, Timestamp::now()) else {
        masters.send_if_modified(|last| {
            let next = Masters::new(known);
            let changed = *last != next;
            *last = next;
            changed
        });
        return Ok(());
    };
    let mut secret = found.clone().unwrap_or_else(|| Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        ..Secret::default()
    });
    secret.data.get_or_insert_default().insert(MEMBER.to_owned(), written(&wanted));
    let stored = match found {
        None => secrets.create(&PostParams::default(), &secret).await,
        Some(_) => secrets.replace(SECRET, &PostParams::default(), &secret).await,
    };
    match stored {
        Ok(stored) => drop(masters.send_replace(Masters::new(read(&stored)))),
        // Somebody else was faster: what he made is read.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = secrets.get(SECRET).await?;
            masters.send_replace(Masters::new(read(&found)));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    #[test]
    fn generations_are_read_as_they_were_written_and_nothing_else_is() {
        let all = [Generation::new(at(1)).unwrap(), Generation::new(at(0)).unwrap()];
        let secret = |bytes: &[u8]| Secret {
            data: Some([(MEMBER.to_owned(), ByteString(bytes.to_vec()))].into()),
            ..Secret::default()
        };
        assert_eq!(read(&secret(&written(&all).0)), all);
        for wrong in ["", "[]", "{}", r#"[{"since":"1970-01-01T00:00:00Z","key":"AAAA"}]"#] {
            assert_eq!(read(&secret(wrong.as_bytes())), [], "{wrong}");
        }
        assert_eq!(read(&Secret::default()), []);
    }

    #[test]
    fn there_is_a_new_generation_each_month_and_the_last_one_stays() {
        let first = renewed(&[], at(0)).unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(renewed(&first, at(30 * 24 - 1)), None);
        let second = renewed(&first, at(30 * 24)).unwrap();
        assert_eq!((second.len(), &second[1]), (2, &first[0]));
        let third = renewed(&second, at(60 * 24)).unwrap();
        assert_eq!((third.len(), &third[1]), (2, &second[0]));
    }
}
