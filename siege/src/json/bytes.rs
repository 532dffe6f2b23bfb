//! Bytes that were JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Texts that may be cut off somewhere, with bits flipped.
pub fn cut_and_flipped(texts: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (texts, any::<Index>(), any::<bool>(), vec((any::<Index>(), 0..8_u8), 0..6)).prop_map(
        |(mut text, end, cut, flips)| {
            if cut {
                text.truncate(end.index(text.len() + 1));
            }
            for (place, bit) in flips {
                if !text.is_empty() {
                    let place = place.index(text.len());
                    text[place] ^= 1 << bit;
                }
            }
            text
        },
    )
}

/// Bytes that no JSON text may hold, and escapes that mean no character.
const NOT_UTF8: [&[u8]; 10] = [
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\udfff\\ud800",
    b"\\u0000",
];

/// Texts with such bytes in them.
pub fn not_utf8(texts: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (texts, vec((any::<Index>(), select(&NOT_UTF8[..])), 1..4)).prop_map(|(mut text, insertions)| {
        for (place, bytes) in insertions {
            let place = place.index(text.len() + 1);
            text.splice(place..place, bytes.iter().copied());
        }
        text
    })
}
