//! How much memory JSON takes while it is decided on, judged by its text before it is parsed.
//!
//! Invariant: never less than it really takes. A tree of small maps takes a hundred times its text, one of long strings twice.

/// A map takes a node with room for eleven members.
const MAP: usize = 640;
/// A list begins with room for four values.
const LIST: usize = 144;
/// One more member or item: its share of a node, its key, its text; a list that grows holds half as much again for nothing.
const ITEM: usize = 192;
/// Besides the received object there may be one as changed so far, and the patch.
const COPIES: usize = 2;

/// KiB that a body takes. What looks like a map inside a text counts as one, too.
pub fn kib(body: &[u8]) -> usize {
    // In pieces in which a count fits into a byte: then the compiler counts sixteen bytes at once.
    let count = |byte: u8| {
        let piece = |piece: &[u8]| usize::from(piece.iter().map(|it| u8::from(*it == byte)).sum::<u8>());
        body.chunks(usize::from(u8::MAX)).map(piece).sum::<usize>()
    };
    let tree = MAP * count(b'{') + LIST * count(b'[') + ITEM * count(b',') + body.len();
    (COPIES * tree).div_ceil(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_maps_weigh_more_than_their_text_and_texts_hardly() {
        let check = |body: &str, expected: usize| assert_eq!(kib(body.as_bytes()), expected, "{} bytes", body.len());
        check("", 0);
        check("{}", 2);
        check(&"x".repeat(1 << 20), 2 << 10);
        check(&format!("[{}{{}}]", "{\"\":0},".repeat(1_000)), 1_641);
        check(&format!("[{}0]", "0,".repeat(1_000)), 380);
    }
}
