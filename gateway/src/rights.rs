//! Whether a caller may do what he asks of the API.
//!
//! Invariant: denied is what is not allowed, and the answer says which right is missing. Whoever calls where no keys are asked for may do
//! everything that the API does.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use model::identity::Identity;
use model::names::object_name;
use planning::access::Ask;
use records::Kept;

use crate::auth::{Caller, Guard};
use crate::failure::{Failure, Invalid};
use crate::names::is_name;
use crate::objects::{Kind, Objects};
use crate::session::Session;
use crate::stored::find;

impl<O> Session<O> {
    /// Whether the caller may. Asked first of all objects of the kind: most people's rights are such, and the answer is known for the next one.
    pub(crate) async fn may(&self, ask: &Ask) -> Result<bool, Failure> {
        let Some((identity, guard)) = self.known() else { return Ok(true) };
        if let Some(all) = ask.of_all()
            && guard.may(identity, &all).await?
        {
            return Ok(true);
        }
        Ok(guard.may(identity, ask).await?)
    }

    /// Refuses a caller who may not, and says what he lacks; `on`: ARN of what he wants to do something with.
    pub(crate) async fn demand(&self, ask: &Ask, on: &str) -> Result<(), Failure> {
        if self.may(ask).await? {
            return Ok(());
        }
        let (arn, name) = (self.caller.arn(&self.config.arn.account), self.caller.name());
        let (service, operation) = (self.service, self.operation);
        let message = format!(
            "User: {arn} is not authorized to perform: {service}:{operation} on resource: {on} because no role of Kubernetes lets {name} {}",
            ask.sentence()
        );
        Err(Failure::Denied { kind: "AccessDeniedException", message })
    }

    /// Refuses a caller who may not do something with an object of an AWS name. It is looked up only for whoever may not do so with all.
    pub(crate) async fn demand_of<K: Kind>(
        &self,
        name: &str,
        ask: impl Fn(&str) -> Ask,
        on: &str,
    ) -> Result<(), Failure>
    where
        O: Objects,
    {
        let would_be = ask(&object_name(name));
        if self.caller == Caller::Anybody || self.may(&Ask { name: None, ..would_be.clone() }).await? {
            return Ok(());
        }
        if !is_name(name) {
            return Err(Invalid::new("A name is not supported pattern[a-zA-Z_0-9-]{1,128}").into());
        }
        let all: Vec<K> = self.objects.list().await?;
        let ask = find(&all, name).map_or(would_be, |found| ask(&found.name_any()));
        self.demand(&ask, on).await
    }

    /// The place in a list at which a caller goes on.
    pub(crate) fn page_in(&self, token: Option<&str>) -> Result<Option<String>, Failure> {
        let Some((token, (identity, guard))) = token.zip(self.known()) else { return Ok(token.map(str::to_owned)) };
        let opened = guard.open_page(identity, token);
        opened.map(Some).ok_or_else(|| Invalid::new("nextToken is not one that was given to this caller.").into())
    }

    /// The same for the next page: the place is that of something that he may not be allowed to see.
    pub(crate) fn page_out(&self, next: Option<String>) -> Option<String> {
        let Some((next, (identity, guard))) = next.as_ref().zip(self.known()) else { return next };
        guard.seal_page(identity, next)
    }

    fn known(&self) -> Option<(&Identity, &Guard)> {
        match (&self.caller, &self.config.guard) {
            (Caller::Known(identity), Some(guard)) => Some((identity, guard)),
            _ => None,
        }
    }

    /// Of these, those about which the caller may know.
    pub(crate) async fn seen<T>(&self, all: Vec<T>, about: impl Fn(&T) -> Ask) -> Result<Vec<T>, Failure> {
        let mut known = BTreeMap::new();
        let mut seen = Vec::new();
        for one in all {
            let ask = about(&one);
            let may = match known.get(&ask) {
                Some(may) => *may,
                None => self.may(&ask).await?,
            };
            known.insert(ask, may);
            seen.extend(may.then_some(one));
        }
        Ok(seen)
    }

    /// Namespace of what a caller makes who names none: that of a service account, else the one for all.
    pub(crate) fn home(&self) -> &str {
        let own = match &self.caller {
            Caller::Known(identity) => identity.service_account().map(|(namespace, _)| namespace),
            Caller::Anybody => None,
        };
        own.unwrap_or_else(|| self.default_namespace())
    }
}

/// About a job that is kept: in the namespace of its pods, as far as it is known.
pub(crate) fn about(verb: &'static str, kept: &Kept) -> Ask {
    let (spec, placed) = (&kept.spec, kept.record.placed.as_ref());
    let submitted = || spec.submitter.as_ref().map(|submitter| submitter.namespace.as_str());
    let placed = placed.map(|placed| placed.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    Ask::jobs(verb, placed.or(spec.namespace.as_deref()).or_else(submitted))
}
