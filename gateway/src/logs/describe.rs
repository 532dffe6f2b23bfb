//! `DescribeLogStreams` and `DescribeLogGroups`.
//!
//! Invariant: pages follow each other by what they are ordered by, as those of AWS Batch do.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{Found, listed};
use super::request::{self, GROUP, Order};
use crate::failure::Failure;
use crate::jobs::Members;
use crate::objects::Objects;
use crate::page;
use crate::session::Session;

pub(super) async fn streams<O: Objects>(session: &Session<O>, asked: &request::Streams) -> Result<Value, Failure> {
    request::group(asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    let (order, most) = asked.order()?;
    let after = session.page_in(asked.next_token.as_deref())?;
    let found = listed(session, asked.log_stream_name_prefix.as_deref().unwrap_or_default()).await?;
    // By what they are ordered; a time, then, that is of as many digits as others.
    let key = |found: &Found| match order {
        Order::Name => found.stream.to_string(),
        Order::LastEvent => {
            let last = found.until.map_or(i64::MAX, Timestamp::as_millisecond);
            format!("{last:020}/{}", found.stream)
        }
    };
    let mut keyed: Vec<(String, Found)> = found.into_iter().map(|found| (key(&found), found)).collect();
    keyed.sort_by(|(a, _), (b, _)| if asked.descending { b.cmp(a) } else { a.cmp(b) });
    let is_behind = |key: &String| match &after {
        None => true,
        Some(after) if asked.descending => key < after,
        Some(after) => key > after,
    };
    let mut rest = keyed.into_iter().filter(|(key, _)| is_behind(key));
    let page: Vec<(String, Found)> = rest.by_ref().take(most).collect();
    let next = rest.next().and(page.last()).map(|(key, _)| key.clone());
    let arn = &session.config.arn;
    let shown = page.iter().map(|(_, found)| {
        let name = found.stream.to_string();
        let mut shown = Members::default();
        shown.put("arn", arn.log_stream(GROUP, &name));
        shown.put("logStreamName", name);
        for member in ["creationTime", "firstEventTimestamp"] {
            shown.maybe(member, found.since.map(Timestamp::as_millisecond));
        }
        for member in ["lastEventTimestamp", "lastIngestionTime"] {
            shown.maybe(member, found.until.map(Timestamp::as_millisecond));
        }
        shown.put("storedBytes", 0);
        Value::Object(shown.0)
    });
    let shown = shown.collect();
    Ok(page::answer("logStreams", shown, session.page_out(next)))
}

pub(super) fn groups<O>(session: &Session<O>, asked: &request::Groups) -> Result<Value, Failure> {
    let arn = session.config.arn.log_group(GROUP);
    let group = json!({
        "logGroupName": GROUP, "arn": format!("{arn}:*"), "logGroupArn": arn, "creationTime": 0, "metricFilterCount": 0, "storedBytes": 0,
    });
    Ok(json!({"logGroups": if asked.has_group()? { vec![group] } else { vec![] }}))
}
