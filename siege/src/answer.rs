//! What a well-formed HTTP/1.1 answer is. Decides only.

use httparse::{EMPTY_HEADER, Response, Status};

/// Headers that an answer may have.
const HEADERS: usize = 32;

/// The status and length of the first answer in `bytes`; `None` if it is not whole.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(u16, usize)>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("no answer: {error}: {}", bytes.escape_ascii())),
    };
    let code = response.code.unwrap_or_default();
    let value = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value))
    };
    if code < 200 {
        return Ok(Some((code, head)));
    }
    let length = value("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| format!("{code} without a length: {}", bytes[..head].escape_ascii()))?;
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    if value("content-type").is_some_and(|it| it.starts_with("application/json")) {
        serde_json::from_slice::<serde_json::Value>(body)
            .map_err(|error| format!("{code} with a body that is no JSON: {error}: {}", body.escape_ascii()))?;
    }
    Ok(Some((code, head + length)))
}

/// Judges all that a connection gave: whole answers, none of which says that something broke in the server. The last one may be missing its end if the client
/// was cut off while it spoke.
pub(crate) fn judge(mut bytes: &[u8], cut_off: bool) -> Result<(), String> {
    while !bytes.is_empty() {
        match first(bytes)? {
            Some((500, length)) => return Err(format!("something broke: {}", bytes[..length].escape_ascii())),
            Some((_, length)) => bytes = &bytes[length..],
            None if cut_off => return Ok(()),
            None => return Err(format!("half an answer: {}", bytes.escape_ascii())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

    #[test]
    fn answers_are_whole_and_one_behind_the_other() {
        let check = |text: &str, cut_off: bool, expect: bool| {
            assert_eq!(judge(text.as_bytes(), cut_off).is_ok(), expect, "{text}");
        };
        check("", false, true);
        check(OK, false, true);
        check(&OK.repeat(3), false, true);
        check(&format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"), false, true);
        check("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", false, true);
        check(&OK[..OK.len() - 1], false, false);
        check(&OK[..OK.len() - 1], true, true);
        check(&OK[..20], false, false);
        check(&format!("{OK}x"), false, false);
        check(&OK.replace("{}", "{]"), false, false);
        check(&OK.replace("200", "500"), false, false);
        check("HTTP/1.1 200 OK\r\n\r\n", false, false);
        check("nonsense\r\n\r\n", false, false);
    }

    #[test]
    fn the_first_answer_ends_where_its_length_says() {
        assert_eq!(first(format!("{OK}{OK}").as_bytes()), Ok(Some((200, OK.len()))));
        assert_eq!(first(&OK.as_bytes()[..OK.len() - 1]), Ok(None));
    }
}
