//! Pages of answers.
//!
//! Invariant: a token is the name of the last item of the page before, so a page continues where the last one ended whatever was
//! added or removed in between. Callers treat it as opaque.

use serde_json::{Map, Value};

use crate::failure::Invalid;

/// How many items a page has, from `maxResults`: without it as many as it may have.
pub(crate) fn size(given: Option<i64>, limit: u32) -> Result<u32, Invalid> {
    match given {
        None => Ok(limit),
        Some(given) => match u32::try_from(given) {
            Ok(size) if (1..=limit).contains(&size) => Ok(size),
            _ => Invalid::err(format!("maxResults must be between 1 and {limit}, got {given}.")),
        },
    }
}

/// One page of items that are sorted by name, and the token of the next.
pub(crate) fn cut<T>(
    items: Vec<T>,
    name: impl Fn(&T) -> &str,
    after: Option<&str>,
    size: u32,
) -> (Vec<T>, Option<String>) {
    let mut rest = items.into_iter().filter(|item| after.is_none_or(|after| name(item) > after));
    let page: Vec<T> = rest.by_ref().take(size as usize).collect();
    let next = rest.next().and(page.last()).map(|last| name(last).to_owned());
    (page, next)
}

/// An answer with a list and, if there is more, a token.
pub(crate) fn answer(member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = Map::from_iter([(member.to_owned(), Value::Array(items))]);
    answer.extend(next.map(|next| ("nextToken".to_owned(), Value::String(next))));
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap() {
        let all = || vec!["a", "b", "c", "d"];
        let page = |after, size| cut(all(), |it| it, after, size);
        assert_eq!(page(None, 2), (vec!["a", "b"], Some("b".to_owned())));
        assert_eq!(page(Some("b"), 2), (vec!["c", "d"], None));
        assert_eq!(page(None, 4), (all(), None));
        assert_eq!(page(Some("bb"), 1), (vec!["c"], Some("c".to_owned())));
        assert_eq!(page(Some("d"), 1), (vec![], None));
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!((size(None, 100), size(Some(7), 100), size(None, 1000)), (Ok(100), Ok(7), Ok(1000)));
        for wrong in [0, -1, 101] {
            assert!(size(Some(wrong), 100).is_err());
        }
    }
}
