//! Tags of a resource (<https://docs.aws.amazon.com/batch/latest/userguide/tag-restrictions.html>).
//!
//! Invariant: pure. Characters are judged one by one by their Unicode category, as AWS's pattern `[\p{L}\p{Z}\p{N}_.:/=+\-@]` does; lengths are counted in
//! characters.

use std::collections::BTreeMap;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::failure::Invalid;

const MOST: usize = 50;
const KEY: usize = 128;
const VALUE: usize = 256;
/// What no key and no value begins with, in any case.
const RESERVED: &str = "aws:";
/// Besides letters, numbers and separators.
const OTHERS: &str = "_.:/=+-@";

/// Checks the tags of a request.
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Result<(), Invalid> {
    count(tags.len())?;
    for (key, value) in tags {
        if key.is_empty() {
            return wrong(key, "TagKey", &format!("it must have 1 to {KEY} characters"));
        }
        text(key, "TagKey", KEY)?;
        text(value, "TagValue", VALUE)?;
    }
    Ok(())
}

/// Checks how many a resource has.
pub(crate) fn count(tags: usize) -> Result<(), Invalid> {
    if tags > MOST {
        return Invalid::err(format!("A resource can have at most {MOST} tags, got {tags}."));
    }
    Ok(())
}

fn text(text: &str, what: &str, most: usize) -> Result<(), Invalid> {
    if text.chars().count() > most {
        return wrong(text, what, &format!("it must have at most {most} characters"));
    }
    if !text.chars().all(is_allowed) {
        // AWS's words.
        return wrong(text, what, "it contains illegal characters");
    }
    if text.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED)) {
        return wrong(text, what, "the prefix aws: is reserved for AWS, in upper and lower case");
    }
    Ok(())
}

fn is_allowed(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number, Separator};
    OTHERS.contains(c) || matches!(c.general_category_group(), Letter | Number | Separator)
}

fn wrong(text: &str, what: &str, why: &str) -> Result<(), Invalid> {
    let shown: String = text.chars().take(VALUE).collect();
    Invalid::err(format!("'{shown}' is not a valid value for {what} - {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), String> {
        tags(&BTreeMap::from([(key.to_owned(), value.to_owned())])).map_err(|it| it.0)
    }

    #[test]
    fn every_character_is_allowed_or_not_in_keys_as_in_values() {
        let mut wrong = Vec::new();
        let mut each = |texts: &[&str], allowed: bool| {
            for text in texts {
                let (key, value) = (check(text, ""), check("k", text));
                let why = "it contains illegal characters";
                let expect = |what| {
                    if allowed { Ok(()) } else { Err(format!("'{text}' is not a valid value for {what} - {why}")) }
                };
                if (key, value) != (expect("TagKey"), expect("TagValue")) {
                    wrong.push(format!("{text:?} allowed: {allowed}"));
                }
            }
        };
        let ascii: Vec<String> = (0_u8..=127).map(|byte| char::from(byte).to_string()).collect();
        let (fine, others): (Vec<&str>, Vec<&str>) = ascii
            .iter()
            .map(String::as_str)
            .partition(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c)));
        assert_eq!((fine.len(), others.len()), (71, 57));
        each(&fine, true);
        each(&others, false);
        // Letters of any script, digits and other numbers, spaces and separators.
        each(&["é", "ß", "Ж", "日本", "ﾊ", "ʰ", "ª", "٣", "Ⅷ", "½", "²", "\u{a0}", "\u{3000}", "\u{2028}", "𝒜"], true);
        // Marks without a letter of their own, symbols, punctuation, controls, what is private or unassigned.
        each(
            &["e\u{301}", "हि", "Ⓐ", "€", "–", "„", "’", "×", "·", "\u{200b}", "\u{feff}", "\u{e000}", "😀", "\u{378}"],
            false,
        );
        assert_eq!(wrong, [""; 0]);
        assert_eq!(
            check("metaflow.version", "2.8.1+mc(0.10.0)").unwrap_err(),
            "'2.8.1+mc(0.10.0)' is not a valid value for TagValue - it contains illegal characters"
        );
    }

    #[test]
    fn the_prefix_of_aws_is_reserved_in_any_case() {
        for text in ["aws:", "aws:x", "AWS:x", "Aws:x", "aWs:cloudformation:stack-name"] {
            let why = "the prefix aws: is reserved for AWS, in upper and lower case";
            assert_eq!(check(text, ""), Err(format!("'{text}' is not a valid value for TagKey - {why}")));
            assert_eq!(check("k", text), Err(format!("'{text}' is not a valid value for TagValue - {why}")));
        }
        for text in ["aws", "aws.x", "aws=x", "x:aws:", " aws:", "awsé:"] {
            assert_eq!((check(text, ""), check("k", text)), (Ok(()), Ok(())), "{text}");
        }
    }

    #[test]
    fn tags_are_counted_and_measured_in_characters() {
        let some = |count: usize| (0..count).map(|i| (i.to_string(), String::new())).collect::<BTreeMap<_, _>>();
        assert_eq!(tags(&some(50)), Ok(()));
        assert_eq!(tags(&some(51)), Invalid::err("A resource can have at most 50 tags, got 51."));
        for letter in ["k", "é", "日"] {
            assert_eq!(check(&letter.repeat(128), &letter.repeat(256)), Ok(()));
            assert!(
                check(&letter.repeat(129), "").unwrap_err().ends_with("TagKey - it must have at most 128 characters")
            );
            assert!(
                check("k", &letter.repeat(257))
                    .unwrap_err()
                    .ends_with("TagValue - it must have at most 256 characters")
            );
        }
        assert_eq!(
            check("", "v").unwrap_err(),
            "'' is not a valid value for TagKey - it must have 1 to 128 characters"
        );
    }
}
