//! The `Lease` object: read, held, given back; and its translation to what [`step`](super::step) decides on.
//!
//! Invariant: every write names the version it was decided on, so of two writers one gets a conflict.
//!
//! It does not decide.

use std::{
    fmt,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use super::step::{Me, Observed};
use super::tenure::Tenure;

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("somebody else has written in between")]
    Conflict,
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
    #[error("the API server refused")]
    Api(#[source] Box<kube::Error>),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match &error {
            // A replace over an old version, or a create of what exists by now.
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            _ => Self::Api(Box::new(error)),
        }
    }
}

/// The record as read, with what it means.
pub(super) struct Seen {
    pub(super) observed: Observed,
    object: Option<Lease>,
}

impl Seen {
    /// `before` keeps its time when the version is still the same.
    fn new(object: Option<Lease>, before: Option<&Self>, now: Instant) -> Self {
        let spec = object.as_ref().and_then(|lease| lease.spec.as_ref());
        let version = object.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let since = match before {
            Some(seen) if seen.observed.version == version => seen.observed.since,
            _ => now,
        };
        let observed = Observed {
            holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
            promised: spec
                .and_then(|spec| spec.lease_duration_seconds)
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            version,
            since,
        };
        Self { observed, object }
    }

    /// The time that begins with this record, which names us.
    pub(super) fn tenure(&self, until: Duration) -> Tenure {
        let uid = self.object.as_ref().and_then(|lease| lease.metadata.uid.as_deref()).unwrap_or_default();
        let spec = self.object.as_ref().and_then(|lease| lease.spec.as_ref());
        let turn = spec.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        Tenure::new(uid, turn.into(), until)
    }
}

/// Access to one `Lease` object.
pub(super) struct Record {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Record {
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(super) async fn read(&self, before: Option<&Seen>) -> Result<Seen, Failure> {
        let object = self.api.get_opt(&self.name).await?;
        Ok(Seen::new(object, before, Instant::now()))
    }

    /// Writes `me` as the holder over what was seen.
    pub(super) async fn hold(&self, seen: &Seen, me: &Me) -> Result<Seen, Failure> {
        let lease = held(seen.object.as_ref(), &self.name, me, Timestamp::now());
        self.write(seen, &lease).await
    }

    /// Writes nobody as the holder over what was seen.
    pub(super) async fn clear(&self, seen: &Seen) -> Result<Seen, Failure> {
        let Some(object) = &seen.object else {
            return Err(Failure::Conflict);
        };
        self.write(seen, &given_back(object, Timestamp::now())).await
    }

    async fn write(&self, seen: &Seen, lease: &Lease) -> Result<Seen, Failure> {
        let params = PostParams::default();
        let written = match seen.object {
            None => self.api.create(&params, lease).await?,
            Some(_) => self.api.replace(&self.name, &params, lease).await?,
        };
        Ok(Seen::new(Some(written), None, Instant::now()))
    }
}

/// The record with `me` as its holder; counts a take-over when the holder changes.
fn held(current: Option<&Lease>, name: &str, me: &Me, now: Timestamp) -> Lease {
    let mut lease = current.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: None,
    });
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    if spec.holder_identity.as_ref() != Some(&me.identity) {
        let changes = spec.lease_transitions.unwrap_or(0);
        spec.lease_transitions = Some(current.map_or(0, |_| changes.saturating_add(1)));
        spec.acquire_time = Some(MicroTime(now));
    }
    spec.holder_identity = Some(me.identity.clone());
    // Rounded up: a promise to be trusted for longer is safe, a shorter one is not.
    let seconds = me.timing.duration.as_millis().div_ceil(1000);
    spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    lease
}

/// The record without a holder. The duration must stay above zero to be accepted.
fn given_back(current: &Lease, now: Timestamp) -> Lease {
    let mut lease = current.clone();
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    // Absent, because validation refuses an empty identity.
    spec.holder_identity = None;
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(now));
    lease
}

#[cfg(test)]
mod tests {
    use super::super::step::Timing;
    use super::*;

    fn me(identity: &str) -> Me {
        Me { identity: identity.to_owned(), timing: Timing::default(), renewed: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_new_record_names_its_holder_and_a_take_over_is_counted() {
        let first = held(None, "controller", &me("a"), at(10));
        let spec = first.spec.clone().unwrap();
        assert_eq!(first.metadata.name.as_deref(), Some("controller"));
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(spec.lease_duration_seconds, Some(15));
        assert_eq!(spec.lease_transitions, Some(0));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(10))));

        let renewed = held(Some(&first), "controller", &me("a"), at(12)).spec.unwrap();
        assert_eq!(renewed.lease_transitions, Some(0));
        assert_eq!(renewed.acquire_time, Some(MicroTime(at(10))));
        assert_eq!(renewed.renew_time, Some(MicroTime(at(12))));

        let taken = held(Some(&first), "controller", &me("b"), at(40)).spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(at(40))));
    }

    #[test]
    fn a_record_that_was_given_back_has_no_holder_and_keeps_its_version() {
        let mut lease = held(None, "controller", &me("a"), at(10));
        lease.metadata.resource_version = Some("5".to_owned());
        let back = given_back(&lease, at(20));
        assert_eq!(back.metadata.resource_version.as_deref(), Some("5"));
        let seen = Seen::new(Some(back), None, Instant::now());
        assert_eq!(seen.observed.holder, None);
        assert_eq!(seen.observed.version.as_deref(), Some("5"));
    }

    #[test]
    fn the_time_of_a_sighting_stays_while_the_version_does() {
        let mut lease = held(None, "controller", &me("a"), at(10));
        lease.metadata.resource_version = Some("5".to_owned());
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        let first = Seen::new(Some(lease.clone()), None, start);
        assert_eq!(Seen::new(Some(lease.clone()), Some(&first), later).observed.since, start);
        lease.metadata.resource_version = Some("6".to_owned());
        assert_eq!(Seen::new(Some(lease), Some(&first), later).observed.since, later);
    }
}
