//! What is asked of logs, and whether it can be answered.
//!
//! Invariant: pure. Words of refusals are those of Amazon CloudWatch Logs where they are known.

use serde::Deserialize;

use super::events::{MOST_EVENTS, OVERHEAD, Part, Place, Wanted};
use super::pattern::Pattern;
use crate::failure::{Failure, Invalid};

/// The group that all streams are in, as AWS Batch calls it where nobody says otherwise.
pub(crate) const GROUP: &str = "/aws/batch/job";
/// Bytes of an event in the answer of a filter besides those of its message, the name of its stream among them.
const AROUND: usize = 256;
/// Streams that one call may name.
const MOST_STREAMS: usize = 100;

/// `GetLogEvents`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Get {
    pub(crate) log_group_name: Option<String>,
    pub(crate) log_group_identifier: Option<String>,
    pub(crate) log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

/// `FilterLogEvents`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    pub(crate) log_group_name: Option<String>,
    pub(crate) log_group_identifier: Option<String>,
    pub(crate) log_stream_names: Option<Vec<String>>,
    pub(crate) log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    #[serde(rename = "filterPattern")]
    pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

/// `DescribeLogStreams`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Streams {
    pub(crate) log_group_name: Option<String>,
    pub(crate) log_group_identifier: Option<String>,
    pub(crate) log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    pub(crate) descending: bool,
    pub(crate) next_token: Option<String>,
    limit: Option<i64>,
}

/// `DescribeLogGroups`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Groups {
    pub(crate) log_group_name_prefix: Option<String>,
    pub(crate) log_group_name_pattern: Option<String>,
    limit: Option<i64>,
}

/// In which order streams are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Name,
    LastEvent,
}

/// Name of the group that is asked for; an ARN may name it.
pub(crate) fn group_name<'a>(name: Option<&'a str>, identifier: Option<&'a str>) -> Result<&'a str, Invalid> {
    let given = match (name, identifier) {
        (Some(given), None) | (None, Some(given)) => given,
        (None, None) => return Invalid::err("Exactly one of logGroupName and logGroupIdentifier is required"),
        (Some(_), Some(_)) => return Invalid::err("Only one of logGroupName and logGroupIdentifier may be given"),
    };
    let in_arn = given.split_once(":log-group:").filter(|_| given.starts_with("arn:")).map(|(_, name)| name);
    Ok(in_arn.map_or(given, |name| name.strip_suffix(":*").unwrap_or(name)))
}

/// Refuses any group but the one that all streams are in.
pub(crate) fn group(name: Option<&str>, identifier: Option<&str>) -> Result<(), Failure> {
    if group_name(name, identifier)? == GROUP { Ok(()) } else { Err(no_group()) }
}

pub(crate) fn no_group() -> Failure {
    Failure::NotFound(format!("The specified log group does not exist. Output of jobs is in {GROUP}"))
}

fn limit(given: Option<i64>, most: usize) -> Result<usize, Invalid> {
    match given {
        None => Ok(most),
        Some(given) => match usize::try_from(given) {
            Ok(given) if (1..=most).contains(&given) => Ok(given),
            _ => Invalid::err(format!("limit must be between 1 and {most}, got {given}")),
        },
    }
}

fn token<T>() -> Result<T, Invalid> {
    Invalid::err("The specified nextToken is invalid.")
}

impl Get {
    pub(crate) fn wanted(&self) -> Result<Wanted, Invalid> {
        let part = match self.next_token.as_deref().map(|token| (token.get(..2), token.get(2..).unwrap_or_default())) {
            None if self.start_from_head == Some(true) => Part::After(None),
            None => Part::Before(None),
            Some((Some("f/"), place)) => Part::After(Some(place.parse().or_else(|_| token())?)),
            Some((Some("b/"), place)) => Part::Before(Some(place.parse().or_else(|_| token())?)),
            Some(_) => return token(),
        };
        let most = limit(self.limit, MOST_EVENTS)?;
        Ok(Wanted { part, from: self.start_time, to: self.end_time, most, around: OVERHEAD })
    }
}

/// Where a filter goes on: in which stream, and behind what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) stream: String,
    pub(crate) after: Option<Place>,
    /// The first millisecond that no page looks at.
    pub(crate) until: i64,
}

impl Filter {
    /// `until_now`: the first millisecond that is not looked at, unless a page before said so.
    pub(crate) fn wanted(&self, until_now: i64) -> Result<(Wanted, Pattern, Option<Resume>), Invalid> {
        match (&self.log_stream_names, &self.log_stream_name_prefix) {
            (Some(_), Some(_)) => {
                return Invalid::err("Only one of logStreamNames and logStreamNamePrefix may be given");
            }
            (Some(names), None) if !(1..=MOST_STREAMS).contains(&names.len()) => {
                return Invalid::err(format!(
                    "logStreamNames must have between 1 and {MOST_STREAMS} names, got {}",
                    names.len()
                ));
            }
            _ => {}
        }
        let pattern = self.pattern.as_deref().map(Pattern::read).transpose()?.unwrap_or_default();
        let resume = self.next_token.as_deref().map(Resume::read).transpose()?;
        let most = limit(self.limit, MOST_EVENTS)?;
        // Here the last moment counts, and what comes while one stream after the other is read does not: who follows goes on at the latest time
        // that he has seen.
        let until = self.end_time.map_or(i64::MAX, |end| end.saturating_add(1));
        let until = until.min(resume.as_ref().map_or(until_now, |resume| resume.until));
        let wanted = Wanted { part: Part::After(None), from: self.start_time, to: Some(until), most, around: AROUND };
        Ok((wanted, pattern, resume))
    }
}

impl Resume {
    pub(crate) fn token(&self) -> String {
        let after = self.after.map(|place| place.to_string()).unwrap_or_default();
        format!("{}@{after}@{}", self.stream, self.until)
    }

    fn read(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.rsplitn(3, '@');
        let (Some(until), Some(after), Some(stream)) = (parts.next(), parts.next(), parts.next()) else {
            return token();
        };
        let after = if after.is_empty() { None } else { Some(after.parse().or_else(|_| token())?) };
        Ok(Self { stream: stream.to_owned(), after, until: until.parse().or_else(|_| token())? })
    }
}

impl Streams {
    pub(crate) fn order(&self) -> Result<(Order, usize), Invalid> {
        let order = match self.order_by.as_deref() {
            None | Some("LogStreamName") => Order::Name,
            Some("LastEventTime") if self.log_stream_name_prefix.is_some() => {
                return Invalid::err("Cannot order by LastEventTime with a logStreamNamePrefix.");
            }
            Some("LastEventTime") => Order::LastEvent,
            Some(other) => {
                return Invalid::err(format!("orderBy must be one of [LogStreamName, LastEventTime], got {other}"));
            }
        };
        Ok((order, limit(self.limit, 50)?))
    }
}

impl Groups {
    /// Whether the one that there is is asked for.
    pub(crate) fn has_group(&self) -> Result<bool, Invalid> {
        limit(self.limit, 50)?;
        let prefix = self.log_group_name_prefix.as_deref().unwrap_or_default();
        let pattern = self.log_group_name_pattern.as_deref().unwrap_or_default();
        Ok(GROUP.starts_with(prefix) && GROUP.contains(pattern))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn get(body: Value) -> Result<Wanted, Invalid> {
        serde_json::from_value::<Get>(body).unwrap().wanted()
    }

    #[test]
    fn there_is_one_group_by_name_and_arn() {
        let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/batch/job";
        for (name, identifier, expect) in [
            (Some(GROUP), None, true),
            (None, Some(GROUP), true),
            (None, Some(arn), true),
            (Some("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/batch/job:*"), None, true),
            (Some("/aws/batch"), None, false),
            (None, Some("arn:aws:logs:eu-west-1:123456789012:log-group:/other"), false),
            (None, None, false),
            (Some(GROUP), Some(GROUP), false),
        ] {
            assert_eq!(group(name, identifier).is_ok(), expect, "{name:?} {identifier:?}");
        }
    }

    #[test]
    fn a_page_begins_at_the_end_unless_it_is_to_begin_at_the_head() {
        let place = Place { time: Timestamp::from_nanosecond(5).unwrap(), nth: 1 };
        for (body, part) in [
            (json!({}), Part::Before(None)),
            (json!({"startFromHead": false}), Part::Before(None)),
            (json!({"startFromHead": true}), Part::After(None)),
            (json!({"startFromHead": true, "nextToken": "f/5.1"}), Part::After(Some(place))),
            (json!({"nextToken": "f/5.1"}), Part::After(Some(place))),
            (json!({"nextToken": "b/5.1"}), Part::Before(Some(place))),
        ] {
            assert_eq!(get(body.clone()).map(|wanted| wanted.part), Ok(part), "{body}");
        }
        for token in ["", "f", "f/", "c/5.1", "5.1", "f/5.1 ", "f/é", "éé"] {
            assert!(get(json!({"nextToken": token})).is_err(), "{token}");
        }
        for (limit, expect) in [(1, true), (10_000, true), (0, false), (-1, false), (10_001, false)] {
            assert_eq!(get(json!({"limit": limit})).is_ok(), expect, "{limit}");
        }
    }

    #[test]
    fn a_filter_goes_on_where_its_token_says() {
        for (stream, after) in [("a/b/c-1", None), ("a@b/c/d-1", Some("5.1".parse().unwrap()))] {
            let resume = Resume { stream: stream.to_owned(), after, until: 7 };
            assert_eq!(Resume::read(&resume.token()), Ok(resume));
        }
        let filter = |body: Value| serde_json::from_value::<Filter>(body).unwrap().wanted(1000);
        let until = |body: Value| filter(body).unwrap().0.to;
        assert_eq!(until(json!({"logStreamNames": ["a"]})), Some(1000));
        assert_eq!(until(json!({"endTime": 5})), Some(6), "the last moment counts");
        assert_eq!(until(json!({"nextToken": "a@@7"})), Some(7), "as the page before");
        for wrong in [
            json!({"nextToken": "a"}),
            json!({"nextToken": "a@x@7"}),
            json!({"nextToken": "a@"}),
            json!({"nextToken": "a@@x"}),
            json!({"logStreamNames": []}),
            json!({"logStreamNames": ["a"], "logStreamNamePrefix": "a"}),
            json!({"logStreamNames": vec!["a"; 101]}),
            json!({"filterPattern": "{ $.a }"}),
            json!({"limit": 0}),
        ] {
            assert!(filter(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn streams_are_ordered_by_name_or_time() {
        let order = |body: Value| serde_json::from_value::<Streams>(body).unwrap().order();
        assert_eq!(order(json!({})), Ok((Order::Name, 50)));
        assert_eq!(order(json!({"orderBy": "LastEventTime", "limit": 7})), Ok((Order::LastEvent, 7)));
        for wrong in [
            json!({"orderBy": "x"}),
            json!({"limit": 51}),
            json!({"orderBy": "LastEventTime", "logStreamNamePrefix": "a"}),
        ] {
            assert!(order(wrong.clone()).is_err(), "{wrong}");
        }
        let groups = |body: Value| serde_json::from_value::<Groups>(body).unwrap().has_group();
        for (body, expect) in [
            (json!({}), true),
            (json!({"logGroupNamePrefix": "/aws/"}), true),
            (json!({"logGroupNamePrefix": "/ecs"}), false),
            (json!({"logGroupNamePattern": "batch"}), true),
            (json!({"logGroupNamePattern": "lambda"}), false),
        ] {
            assert_eq!(groups(body.clone()), Ok(expect), "{body}");
        }
    }
}
