//! `GetLogEvents` and `FilterLogEvents`.
//!
//! Invariant: of a log no more is kept than a page has.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use outputs::{Extent, NoOutput, Whose};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::events::{Event, MOST_BYTES, Page, Part, Place, Wanted};
use super::found::{Found, find, listed};
use super::lines::each;
use super::pattern::Pattern;
use super::request::{self, GROUP, Resume, no_group};
use crate::failure::{Failure, Invalid};
use crate::objects::Objects;
use crate::page;
use crate::session::Session;

/// A kubelet that takes longer to begin does not answer.
const OPENS: Duration = Duration::from_secs(5);
/// What is printed can be read within this time.
const ARRIVES: SignedDuration = SignedDuration::from_secs(1);
/// A page of several streams ends after this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// More lines than are wanted, so that the first of a page has its right number among those of the same moment.
const MORE_LINES: u32 = 100;
/// Clocks of nodes differ, and are set.
const SLACK: SignedDuration = SignedDuration::from_mins(1);

/// Reads a page of a stream.
async fn read<O>(
    session: &Session<O>,
    found: &Found,
    wanted: Wanted,
    is_wanted: impl Fn(&str) -> bool + Send + Sync,
) -> Result<Page, NoOutput> {
    let begin = wanted.from.and_then(|from| Timestamp::from_millisecond(from).ok());
    let since = match wanted.part {
        Part::After(place) => place.map(|place| place.time).max(begin),
        Part::Before(_) => begin,
    };
    let since = since.map(whole_second_before);
    // The end of all is what most people ask for: then the kubelet finds it.
    let is_end = wanted.part == Part::Before(None) && wanted.to.is_none();
    if let Some(tail) = is_end.then(|| u32::try_from(wanted.most).unwrap_or(u32::MAX).saturating_add(MORE_LINES)) {
        let page =
            page(session, found, wanted, Extent { since, tail: Some(tail), ..Extent::default() }, &is_wanted).await?;
        // Of lines of one moment nobody knows how many came before, if the first that are there are of it.
        if page.begins_after_its_first_moment() || page.lines < tail as usize {
            return Ok(page);
        }
    }
    page(session, found, wanted, Extent { since, ..Extent::default() }, &is_wanted).await
}

async fn page<O>(
    session: &Session<O>,
    found: &Found,
    wanted: Wanted,
    extent: Extent,
    is_wanted: &(impl Fn(&str) -> bool + Send + Sync),
) -> Result<Page, NoOutput> {
    let mut page = Page::new(wanted);
    let lines = match timeout(OPENS, session.config.outputs.open(found.whose.clone(), extent)).await {
        Ok(Err(NoOutput::NotYet)) => return Ok(page),
        Ok(lines) => lines?,
        Err(late) => return Err(NoOutput::Unavailable(Box::new(late))),
    };
    each(lines, |line| page.take(line, is_wanted)).await?;
    Ok(page)
}

/// A second that is whole, because a kubelet is asked for such, and some time before: times of lines are not always in their order.
fn whole_second_before(time: Timestamp) -> Timestamp {
    let second = time.as_second().saturating_sub(SLACK.as_secs());
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn no_output(why: NoOutput, whose: &Whose) -> Failure {
    let Whose { namespace, .. } = whose;
    match why {
        NoOutput::Gone | NoOutput::NotYet => Failure::NotFound(
            "The specified log stream does not exist: its pod is gone, and what it printed".to_owned(),
        ),
        NoOutput::Forbidden(said) => Failure::Denied {
            kind: "AccessDeniedException",
            message: format!(
                "Bulkhead may not read logs in namespace {namespace}: {said} (bulkhead namespace enable {namespace} gives the right)"
            ),
        },
        NoOutput::Unavailable(_) => Failure::Unavailable {
            message: format!("The log cannot be read now: the node of pod {} does not answer; try again", whose.pod),
            cause: cluster::telemetry::chain(&why),
        },
    }
}

pub(super) async fn get<O: Objects>(session: &Session<O>, asked: request::Get) -> Result<Value, Failure> {
    let group = request::group_name(asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    let name = asked.log_stream_name.as_deref().ok_or_else(|| Invalid::new("logStreamName is required"))?;
    let wanted = asked.wanted()?;
    let found = find(session, group, name).await?;
    let page = read(session, &found, wanted, |_| true).await.map_err(|why| no_output(why, &found.whose))?;
    let (back, forward) = ends(&page, wanted.part);
    let shown: Vec<Value> = page
        .events
        .iter()
        .map(|event| json!({"timestamp": event.millis(), "message": event.message, "ingestionTime": event.millis()}))
        .collect();
    Ok(json!({"events": shown, "nextBackwardToken": format!("b/{back}"), "nextForwardToken": format!("f/{forward}")}))
}

/// Before what the page before ends, and behind what the next begins. Where there is nothing, the token is the one that was sent.
fn ends(page: &Page, part: Part) -> (Place, Place) {
    let beginning = Place { time: Timestamp::UNIX_EPOCH, nth: 0 };
    match (page.events.front(), page.events.back()) {
        (Some(first), Some(last)) => (first.place, last.place),
        _ => match part {
            Part::After(Some(place)) => (place.next(), place),
            Part::Before(Some(place)) => (place, place.previous()),
            Part::After(None) | Part::Before(None) => (beginning, beginning),
        },
    }
}

pub(super) async fn filter<O: Objects>(session: &Session<O>, asked: request::Filter) -> Result<Value, Failure> {
    let group = request::group_name(asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    let (wanted, pattern, resume) = asked.wanted((Timestamp::now() - ARRIVES).as_millisecond())?;
    let mut all = Vec::new();
    match &asked.log_stream_names {
        Some(names) => {
            for name in names {
                all.push(find(session, group, name).await?);
            }
        }
        None if group != GROUP => return Err(no_group()),
        None => all = listed(session, asked.log_stream_name_prefix.as_deref().unwrap_or_default()).await?,
    }
    all.retain(|found| may_have(found, &wanted));
    let is_named = asked.log_stream_names.is_some();
    let (mut events, next) = collect(session, (by_name(all, resume), is_named), wanted, &pattern).await?;
    events.sort_by_key(|(_, event)| event.place.time);
    let shown = events.iter().map(|(stream, event)| shown(stream, event)).collect();
    let mut answer = page::answer("events", shown, next.map(|next| next.token()));
    answer["searchedLogStreams"] = json!([]);
    Ok(answer)
}

/// Whether a stream may have events between the times that are wanted.
fn may_have(found: &Found, wanted: &Wanted) -> bool {
    let millis = |time: Timestamp, slack: SignedDuration| (time + slack).as_millisecond();
    let ended = found.until.zip(wanted.from).is_some_and(|(until, from)| millis(until, SLACK) < from);
    let begun = found.since.zip(wanted.to).is_none_or(|(since, to)| millis(since, -SLACK) < to);
    begun && !ended
}

/// In order, from where the page before has ended.
fn by_name(all: Vec<Found>, resume: Option<Resume>) -> Vec<(String, Option<Place>, Found)> {
    let mut all: Vec<_> = all.into_iter().map(|found| (found.stream.to_string(), None, found)).collect();
    all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    all.dedup_by(|(a, ..), (b, ..)| a == b);
    if let Some(Resume { stream, after, .. }) = resume {
        all.retain(|(name, ..)| *name >= stream);
        if let Some((name, place, _)) = all.first_mut()
            && *name == stream
        {
            *place = after;
        }
    }
    all
}

type Events = Vec<(String, Event)>;

/// Reads one stream after the other until a page is full, and says where the next goes on.
async fn collect<O>(
    session: &Session<O>,
    (all, is_named): (Vec<(String, Option<Place>, Found)>, bool),
    wanted: Wanted,
    pattern: &Pattern,
) -> Result<(Events, Option<Resume>), Failure> {
    let (begun, until) = (Instant::now(), wanted.to.unwrap_or(i64::MAX));
    let (mut events, mut left, mut bytes): (Events, usize, usize) = (Vec::new(), wanted.most, 0);
    for (stream, after, found) in all {
        if left == 0 || bytes >= MOST_BYTES || begun.elapsed() > PATIENCE {
            return Ok((events, Some(Resume { stream, after, until })));
        }
        let part = Wanted { part: Part::After(after), most: left, ..wanted };
        let page = match read(session, &found, part, |line| pattern.has(line)).await {
            Ok(page) => page,
            // What is gone has nothing that is looked for, and what cannot be read keeps nobody from the others, unless he has named it.
            Err(why) if matches!(why, NoOutput::Gone) || !is_named => continue,
            Err(why) => return Err(no_output(why, &found.whose)),
        };
        let after = page.events.back().map(|last| last.place).or(after);
        left -= page.events.len();
        bytes += page.bytes;
        events.extend(page.events.into_iter().map(|event| (stream.clone(), event)));
        if page.is_full {
            return Ok((events, Some(Resume { stream, after, until })));
        }
    }
    Ok((events, None))
}

fn shown(stream: &str, event: &Event) -> Value {
    let id = Uuid::new_v3(&Uuid::NAMESPACE_OID, format!("{stream}@{}", event.place).as_bytes());
    json!({
        "logStreamName": stream, "timestamp": event.millis(), "message": event.message, "ingestionTime": event.millis(),
        "eventId": id.as_u128().to_string(),
    })
}
