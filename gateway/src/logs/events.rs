//! From lines that a container printed to a page of events, in one direction from a place in the log.
//!
//! Invariant: pure, and holds one page at most. A place is the time at which a line was written, in nanoseconds, and its number among the lines
//! of that moment: so a place stays where it is, whatever is added behind it or rotated away before it.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

/// Events of a page (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
pub(crate) const MOST_EVENTS: usize = 10_000;
/// Bytes of a page.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// So many more than its message each event counts, as AWS counts them.
pub(crate) const OVERHEAD: usize = 26;

/// A place in a log: that of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) time: Timestamp,
    /// Its number among those of the same time, from 0.
    pub(crate) nth: u32,
}

impl Place {
    /// The place behind it.
    pub(crate) fn next(self) -> Self {
        Self { nth: self.nth.saturating_add(1), ..self }
    }

    /// The place before it.
    pub(crate) fn previous(self) -> Self {
        if let Some(nth) = self.nth.checked_sub(1) {
            return Self { nth, ..self };
        }
        let earlier = self.time.checked_sub(SignedDuration::from_nanos(1));
        Self { time: earlier.unwrap_or(self.time), nth: u32::MAX }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time.as_nanosecond(), self.nth)
    }
}

/// A text is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (time, nth) = text.split_once('.').ok_or(NoPlace)?;
        let time = time.parse().ok().and_then(|time| Timestamp::from_nanosecond(time).ok());
        let place = Self { time: time.ok_or(NoPlace)?, nth: nth.parse().map_err(|_| NoPlace)? };
        if place.to_string() == text { Ok(place) } else { Err(NoPlace) }
    }
}

/// Which part of a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What comes behind a place, the first of it; of no place: from the beginning.
    After(Option<Place>),
    /// What comes before a place, the last of it; of no place: the end.
    Before(Option<Place>),
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) part: Part,
    /// Milliseconds since 1970; the first that counts.
    pub(crate) from: Option<i64>,
    /// The first that does not count any more.
    pub(crate) to: Option<i64>,
    /// At least 1.
    pub(crate) most: usize,
    /// Bytes that an event counts besides those of its message.
    pub(crate) around: usize,
}

/// What a line became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) place: Place,
    pub(crate) message: String,
}

impl Event {
    pub(crate) fn millis(&self) -> i64 {
        self.place.time.as_millisecond()
    }
}

/// A page in the making.
#[derive(Debug)]
pub(crate) struct Page {
    wanted: Wanted,
    /// In order.
    pub(crate) events: VecDeque<Event>,
    pub(crate) bytes: usize,
    /// Time of the first line.
    first: Option<Timestamp>,
    last: Option<Place>,
    /// How many lines were read.
    pub(crate) lines: usize,
    /// Whether lines were left for another page.
    pub(crate) is_full: bool,
}

impl Page {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted, events: VecDeque::new(), bytes: 0, first: None, last: None, lines: 0, is_full: false }
    }

    /// Whether lines of another moment come before the first event.
    pub(crate) fn begins_after_its_first_moment(&self) -> bool {
        self.events.front().is_none_or(|event| self.first.is_none_or(|first| event.place.time > first))
    }

    /// Takes the next line, and keeps it if it is `wanted`. False: no further line belongs to this page.
    pub(crate) fn take(&mut self, line: &str, is_wanted: impl FnOnce(&str) -> bool) -> bool {
        let (time, message) = split(line);
        // What has no time is of the same moment as the line before; a clock that is set back does not turn the log around.
        let time = time.or(self.last.map(|last| last.time)).unwrap_or(Timestamp::UNIX_EPOCH);
        let place = match self.last {
            Some(last) if last.time >= time => Place { nth: last.nth.saturating_add(1), ..last },
            _ => Place { time, nth: 0 },
        };
        self.last = Some(place);
        self.first.get_or_insert(place.time);
        self.lines += 1;
        let millis = place.time.as_millisecond();
        let Wanted { part, from, to, most, around } = self.wanted;
        if to.is_some_and(|to| millis >= to) {
            return false;
        }
        match part {
            Part::Before(Some(end)) if place >= end => return false,
            Part::After(Some(begin)) if place <= begin => return true,
            _ => {}
        }
        if from.is_some_and(|from| millis < from) || !is_wanted(message) {
            return true;
        }
        let event = Event { place, message: message.to_owned() };
        let size = event.message.len() + around;
        let has_room = |page: &Self| page.events.len() < most && page.bytes + size <= MOST_BYTES;
        match part {
            Part::After(_) if !self.events.is_empty() && !has_room(self) => {
                self.is_full = true;
                return false;
            }
            Part::After(_) => {}
            Part::Before(_) => {
                while !self.events.is_empty() && !has_room(self) {
                    self.bytes -= self.events.pop_front().map_or(0, |first| first.message.len() + around);
                    self.is_full = true;
                }
            }
        }
        self.bytes += size;
        self.events.push_back(event);
        true
    }
}

/// Time and text of a line as the kubelet writes it.
fn split(line: &str) -> (Option<Timestamp>, &str) {
    let time = line.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)));
    // An empty line has nothing behind its time.
    let time = time.or_else(|| Some((line.parse().ok()?, "")));
    time.map_or((None, line), |(time, text)| (Some(time), text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(second: i64, nano: i32) -> Timestamp {
        Timestamp::new(second, nano).unwrap()
    }

    fn read(lines: &[String], wanted: Wanted) -> Page {
        let mut page = Page::new(wanted);
        let _all = lines.iter().all(|line| page.take(line, |_| true));
        page
    }

    fn messages(page: &Page) -> Vec<&str> {
        page.events.iter().map(|event| event.message.as_str()).collect()
    }

    fn wanted(part: Part, most: usize) -> Wanted {
        Wanted { part, from: None, to: None, most, around: OVERHEAD }
    }

    #[test]
    fn lines_are_read_as_the_kubelet_writes_them() {
        for (line, expect) in [
            ("2026-11-30T21:00:00.000000005Z hello world", (Some(time(1_796_072_400, 5)), "hello world")),
            ("2026-11-30T22:00:00.000000005+01:00  two", (Some(time(1_796_072_400, 5)), " two")),
            ("2026-11-30T21:00:00Z ", (Some(time(1_796_072_400, 0)), "")),
            ("2026-11-30T21:00:00Z", (Some(time(1_796_072_400, 0)), "")),
            ("unable to retrieve", (None, "unable to retrieve")),
            ("", (None, "")),
        ] {
            assert_eq!(split(line), expect, "{line}");
        }
    }

    #[test]
    fn a_page_has_what_is_between_two_times() {
        let lines: Vec<String> = (0..9).map(|second| format!("{} {second}", time(second, 999_999))).collect();
        let between = |from, to, part| messages(&read(&lines, Wanted { from, to, ..wanted(part, 9) })).join("");
        for (from, to, expect) in [
            (None, None, "012345678"),
            (Some(3000), None, "345678"),
            (None, Some(3000), "012"),
            (Some(3000), Some(3001), "3"),
            (Some(3001), Some(4000), ""),
            (Some(5000), Some(2000), ""),
        ] {
            for part in [Part::After(None), Part::Before(None)] {
                assert_eq!(between(from, to, part), expect, "{from:?} {to:?} {part:?}");
            }
        }
    }

    #[test]
    fn a_page_is_bounded_in_bytes_and_has_one_event_at_least() {
        let lines: Vec<String> = (0..5).map(|second| format!("{} {}", time(second, 0), "x".repeat(400_000))).collect();
        let first = read(&lines, wanted(Part::After(None), 100));
        assert_eq!((first.events.len(), first.is_full), (2, true));
        let last = read(&lines, wanted(Part::Before(None), 100));
        assert_eq!((last.events.len(), last.events[0].place.time, last.is_full), (2, time(3, 0), true));
        let huge = [format!("{} {}", time(0, 0), "x".repeat(2 * MOST_BYTES))];
        for part in [Part::After(None), Part::Before(None)] {
            assert_eq!(read(&huge, wanted(part, 100)).events.len(), 1);
        }
    }

    #[test]
    fn places_are_read_in_the_one_form_they_are_printed_in() {
        let place = Place { time: time(1_796_072_400, 5), nth: 7 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", ".", "1", "1.", ".1", "01.1", "1.01", "1.-1", "x.1", "99999999999999999999999999999.0"] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
    }

    proptest! {
        /// Times that stand still, jump back, or are missing.
        #[test]
        fn pages_in_both_directions_have_every_line_once(
            steps in prop::collection::vec(prop::option::of(-2..3_i64), 0..60),
            most in 1..8_usize,
            more in 0..5_usize,
        ) {
            let mut at = 100;
            let mut all: Vec<String> = Vec::new();
            for (number, step) in steps.iter().enumerate() {
                all.push(match step {
                    Some(step) => { at += step; format!("{} {number}", time(at, 0)) }
                    None => format!("{number}"),
                });
            }
            let expect: Vec<String> = (0..all.len()).map(|number| number.to_string()).collect();
            let (mut after, mut found) = (None, Vec::new());
            let mut known = all.len() / 2;
            loop {
                // The log grows while it is read.
                let page = read(&all[..known], wanted(Part::After(after), most));
                found.extend(messages(&page).iter().map(ToString::to_string));
                prop_assert!(page.events.len() <= most);
                after = page.events.back().map(|last| last.place).or(after);
                if page.events.is_empty() && known == all.len() {
                    break;
                }
                known = all.len().min(known + more.max(usize::from(page.events.is_empty())));
            }
            prop_assert_eq!(&found, &expect);
            let (mut before, mut found) = (None, Vec::new());
            loop {
                let page = read(&all, wanted(Part::Before(before), most));
                prop_assert!(page.events.len() <= most);
                let Some(first) = page.events.front() else { break };
                before = Some(first.place);
                found.splice(0..0, messages(&page).iter().map(ToString::to_string));
            }
            prop_assert_eq!(&found, &expect);
        }
    }
}
