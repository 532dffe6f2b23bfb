//! Which machine to launch for work that found no room, and why none where there is none.
//!
//! Invariant: an environment's vCPUs never exceed its limit, whatever the demand. Knows nothing about how launches happen.

use jiff::Timestamp;
use model::snapshot::{Environment, Offer, Scaling, Setback};

use crate::explain::Note;
use crate::world::class::ClassId;
use crate::world::look::Look;
use crate::world::site::{Site, Sold};

/// Launches of one environment that may be under way at the same time, where its provider has delivered so many machines since it last failed:
/// 1, 2, 4, then what is asked for. More would hide for longer that it does not deliver, and cost the more.
pub(crate) fn may_come(delivered: u32) -> usize {
    match delivered {
        0 => 1,
        1..=2 => 2,
        3..=6 => 4,
        // As many nodes as one cluster is made for (<https://kubernetes.io/docs/setup/best-practices/cluster-large/>).
        _ => 5_000,
    }
}

/// A MANAGED environment that is asked for machines.
#[derive(Clone, Copy)]
pub(super) struct Market<'e, 's> {
    pub(super) environment: &'e Environment,
    pub(super) scaling: &'e Scaling,
    pub(super) site: &'s Site,
}

/// One of the things that a market sells.
pub(super) type Ware<'e, 's> = (usize, &'s Sold, &'e Offer);

impl<'e, 's> Market<'e, 's> {
    /// None if the environment is UNMANAGED.
    pub(super) fn of(environment: &'e Environment, site: &'s Site) -> Option<Self> {
        Some(Self { environment, scaling: environment.scaling.as_ref()?, site })
    }

    fn called(&self) -> &'e str {
        &self.environment.aws_name
    }

    fn wares(&self) -> impl Iterator<Item = Ware<'e, 's>> {
        let offers: &'e [Offer] = self.scaling.offers.as_deref().unwrap_or_default();
        self.site.sold.iter().enumerate().filter_map(|(number, sold)| Some((number, sold, offers.get(sold.offer)?)))
    }

    /// The offers on which a unit of a class can run, some time: allowed in the environment, large enough, within its limit. Or why none is.
    pub(super) fn fitting(&self, class: ClassId, look: &mut Look<'_, '_>) -> Result<Vec<Ware<'e, 's>>, Note> {
        let shape = &look.facts.classes[class].shape;
        let offers = self.scaling.offers.as_ref().map_err(|message| Note::provider(self.called(), message))?;
        let allowed: Vec<Ware<'e, 's>> = self.wares().filter(|(_, _, offer)| is_allowed(self.scaling, offer)).collect();
        if allowed.is_empty() {
            return Err(Note::no_offer(self.called(), self.scaling, offers));
        }
        let large: Vec<Ware<'e, 's>> =
            allowed.iter().copied().filter(|(_, sold, _)| look.is_promised(&sold.promised, class)).collect();
        if large.is_empty() {
            // A node that it can run on is there already, and no other will be like it.
            let nodes = self.site.rooms[..self.site.nodes].iter().filter(|room| look.suits(room, class)).count();
            if nodes > 0 {
                return Err(Note::no_room(self.called(), &look.facts.classes[class].requests, nodes));
            }
            let promises = || allowed.iter().map(|(_, sold, _)| &*sold.promised);
            let largest = promises().max_by_key(|promised| (promised.room.cpu(), promised.room.memory()));
            let largest = largest.map(|promised| promised.promise.room.clone()).unwrap_or_default();
            let taint = promises().find_map(|promised| promised.promise.keeps_away(shape));
            return Err(Note::too_large(self.called(), shape, &largest, taint));
        }
        let most = self.scaling.max_milli;
        let within: Vec<Ware<'e, 's>> =
            large.iter().copied().filter(|(_, _, offer)| offer.milli_vcpus <= most).collect();
        if within.is_empty() {
            return Err(Note::max_resource(self.called(), least(&large), most));
        }
        Ok(within)
    }

    /// Those of the [`fitting`](Self::fitting) offers that can be had now. Everything that is launched, or that nodes make way for, is one
    /// of these.
    pub(super) fn available(
        &self,
        class: ClassId,
        now: Timestamp,
        look: &mut Look<'_, '_>,
    ) -> Result<Vec<Ware<'e, 's>>, Note> {
        let fitting = self.fitting(class, look)?;
        if let Some(setback) = setback(self.scaling, None, now) {
            return Err(Note::setback(self.called(), None, setback));
        }
        let mut refused = None;
        let mut available = Vec::new();
        for ware in fitting {
            let name = Some(ware.2.name.as_str());
            match setback(self.scaling, name, now) {
                None => available.push(ware),
                Some(setback) => refused = refused.or_else(|| Some(Note::setback(self.called(), name, setback))),
            }
        }
        refused.filter(|_| available.is_empty()).map_or(Ok(available), Err)
    }

    /// The offer to launch for `count` units of a class, or why there is none.
    pub(super) fn choose(
        &self,
        class: ClassId,
        count: i64,
        now: Timestamp,
        look: &mut Look<'_, '_>,
    ) -> Result<Ware<'e, 's>, Note> {
        let available = self.available(class, now, look)?;
        let (used, most) = (self.site.counts.used, self.scaling.max_milli);
        let affordable: Vec<Ware<'e, 's>> =
            available.iter().copied().filter(|(_, _, offer)| offer.milli_vcpus <= most - used).collect();
        if affordable.is_empty() {
            return Err(Note::limit(self.called(), used, most, least(&available)));
        }
        let coming = self.site.counts.coming;
        if coming >= may_come(self.scaling.delivered) {
            return Err(Note::in_flight(self.called(), coming));
        }
        let shape = &look.facts.classes[class].shape;
        cheapest(&affordable, class, count, look)
            .ok_or_else(|| Note::too_large(self.called(), shape, &shape.requests, None))
    }
}

fn least(wares: &[Ware<'_, '_>]) -> i64 {
    wares.iter().map(|(_, _, offer)| offer.milli_vcpus).min().unwrap_or_default()
}

/// Lowest price per unit that would really run on it; of equals the larger machine, so that there are fewer.
pub(super) fn cheapest<'e, 's>(
    wares: &[Ware<'e, 's>],
    class: ClassId,
    count: i64,
    look: &Look<'_, '_>,
) -> Option<Ware<'e, 's>> {
    let need = &look.facts.classes[class].need;
    wares.iter().copied().min_by_key(|(_, sold, offer)| {
        let fit = need.capacity(&sold.promised.room).clamp(1, count.max(1));
        // Micro-prices per thousand units keep the division exact enough without floats.
        (offer.price_micros.saturating_mul(1000) / fit, -offer.milli_vcpus, &offer.name)
    })
}

/// The cheapest offer of those that an environment may use, for keeping `minvCpus`.
pub(super) fn cheapest_of_all<'e, 's>(market: &Market<'e, 's>, now: Timestamp) -> Option<Ware<'e, 's>> {
    let Market { scaling, site, .. } = market;
    let left = scaling.max_milli - site.counts.used;
    let usable = |(_, _, offer): &Ware<'e, 's>| {
        is_allowed(scaling, offer)
            && offer.milli_vcpus <= left
            && setback(scaling, None, now).is_none()
            && setback(scaling, Some(&offer.name), now).is_none()
    };
    market.wares().filter(usable).min_by_key(|(_, _, offer)| (offer.price_micros, offer.milli_vcpus, &offer.name))
}

/// The earliest end of a setback that still holds.
pub(super) fn next_retry(scaling: &Scaling, now: Timestamp) -> Option<Timestamp> {
    scaling.setbacks.iter().map(|setback| setback.until).filter(|until| *until > now).min()
}

/// Whether an environment may use an offer.
pub(crate) fn is_allowed(scaling: &Scaling, offer: &Offer) -> bool {
    let family = offer.name.split('.').next().unwrap_or_default();
    let named = |name: &String| *name == offer.name || name == family;
    (scaling.instance_types.is_empty() || scaling.instance_types.iter().any(named)) && (!scaling.spot || offer.spot)
}

/// What keeps an offer, or (`None`) all launches, from being tried now.
pub(crate) fn setback<'a>(scaling: &'a Scaling, offer: Option<&str>, now: Timestamp) -> Option<&'a Setback> {
    scaling.setbacks.iter().find(|setback| setback.offer.as_deref() == offer && setback.until > now)
}
