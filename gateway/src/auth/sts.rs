//! What AWS's Security Token Service has to say (<https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>): keys for a token of a
//! service account, and who one is.
//!
//! Invariant: pure; forms come in, XML goes out. Roles do not exist here: which one is named changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::identity::Identity;
use uuid::Uuid;

use super::keys::Credentials;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// Seconds: AWS's bounds, and what it takes where nothing is said.
const DURATIONS: (u32, u32, u32) = (900, 3600, 43_200);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `AssumeRoleWithWebIdentity`.
    Assume { token: String, session: String, seconds: u32 },
    /// `GetCallerIdentity`.
    WhoAmI,
}

/// An error of STS: code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Whether it is about who asks, and not about what is asked.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(
            self.code,
            "MissingAuthenticationToken"
                | "IncompleteSignature"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidClientTokenId"
        )
    }
}

/// What a form asks for.
pub(crate) fn action(body: &[u8]) -> Result<Action, Refused> {
    let mut members = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if members.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(Refused::new("MalformedQueryString", "A parameter is there twice"));
        }
    }
    let mut take = |name: &str| members.remove(name).filter(|value| !value.is_empty());
    match take("Action").as_deref() {
        Some("GetCallerIdentity") => Ok(Action::WhoAmI),
        Some("AssumeRoleWithWebIdentity") => {
            let missing = |name: &str| Refused::new("ValidationError", format!("{name} is required"));
            let token = take("WebIdentityToken").ok_or_else(|| missing("WebIdentityToken"))?;
            let session = take("RoleSessionName").ok_or_else(|| missing("RoleSessionName"))?;
            let is_in = |c: char| c.is_ascii_alphanumeric() || "=,.@-_".contains(c);
            if !(2..=64).contains(&session.len()) || !session.chars().all(is_in) {
                return Err(Refused::new(
                    "ValidationError",
                    "RoleSessionName must be 2 to 64 of the characters A-Za-z0-9=,.@-_",
                ));
            }
            let (least, default, most) = DURATIONS;
            let seconds = take("DurationSeconds").map_or(Some(default), |text| text.parse().ok());
            let Some(seconds) = seconds.filter(|seconds| (least..=most).contains(seconds)) else {
                return Err(Refused::new(
                    "ValidationError",
                    format!("DurationSeconds must be between {least} and {most}"),
                ));
            };
            Ok(Action::Assume { token, session, seconds })
        }
        Some(other) => {
            let shown: String = other.chars().take(64).collect();
            Err(Refused::new("InvalidAction", format!("Could not find operation {shown} for version 2011-06-15")))
        }
        None => Err(Refused::new("MissingAction", "The form names no Action")),
    }
}

/// How a user is called in an ARN: names of service accounts are paths of it.
pub(crate) fn arn(account: &str, identity: &Identity) -> String {
    format!("arn:aws:iam::{account}:user/{}", identity.user.replace(':', "/"))
}

/// The answer to `AssumeRoleWithWebIdentity`.
pub(crate) fn assumed(account: &str, identity: &Identity, session: &str, key: &Credentials, request: Uuid) -> String {
    let until = key.until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let role = format!("arn:aws:sts::{account}:assumed-role/{}/{session}", identity.user.replace(':', "."));
    let id = format!("{}:{session}", identity.uid.as_deref().unwrap_or("AROA"));
    let result = [
        element("SubjectFromWebIdentityToken", &identity.user),
        element("Audience", super::judge::AUDIENCE),
        format!("<AssumedRoleUser>{}{}</AssumedRoleUser>", element("Arn", &role), element("AssumedRoleId", &id)),
        format!(
            "<Credentials>{}{}{}{}</Credentials>",
            element("AccessKeyId", &key.id),
            element("SecretAccessKey", &key.secret),
            element("SessionToken", &key.token),
            element("Expiration", &until)
        ),
    ];
    answer("AssumeRoleWithWebIdentity", &result.concat(), request)
}

/// The answer to `GetCallerIdentity`.
pub(crate) fn who(account: &str, identity: &Identity, request: Uuid) -> String {
    let id = identity.uid.as_deref().unwrap_or(&identity.user);
    let result = [element("Arn", &arn(account, identity)), element("UserId", id), element("Account", account)];
    answer("GetCallerIdentity", &result.concat(), request)
}

fn answer(action: &str, result: &str, request: Uuid) -> String {
    let metadata = element("RequestId", &request.to_string());
    format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result><ResponseMetadata>{metadata}\
         </ResponseMetadata></{action}Response>"
    )
}

/// An error's body.
pub(crate) fn error(refused: &Refused, request: Uuid) -> String {
    let error = [element("Type", "Sender"), element("Code", refused.code), element("Message", &refused.message)];
    let id = element("RequestId", &request.to_string());
    format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>{}</Error>{id}</ErrorResponse>", error.concat())
}

fn element(name: &str, text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        let _infallible = match c {
            '<' => escaped.write_str("&lt;"),
            '>' => escaped.write_str("&gt;"),
            '&' => escaped.write_str("&amp;"),
            '"' => escaped.write_str("&quot;"),
            // XML 1.0 has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.write_char('\u{fffd}'),
            c => escaped.write_char(c),
        };
    }
    format!("<{name}>{escaped}</{name}>")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn assume(seconds: u32) -> Action {
        Action::Assume { token: "t.o+k".to_owned(), session: "me".to_owned(), seconds }
    }

    #[test]
    fn forms_are_read_as_sdks_write_them() {
        let base = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws&RoleSessionName=me&WebIdentityToken=t.o%2Bk";
        for (form, expect) in [
            ("Action=GetCallerIdentity&Version=2011-06-15".to_owned(), Ok(Action::WhoAmI)),
            (base.to_owned(), Ok(assume(3600))),
            (format!("{base}&DurationSeconds=900"), Ok(assume(900))),
            (format!("{base}&DurationSeconds=43200"), Ok(assume(43_200))),
            (format!("{base}&DurationSeconds=899"), Err("ValidationError")),
            (format!("{base}&DurationSeconds=-1"), Err("ValidationError")),
            (format!("{base}&Action=GetCallerIdentity"), Err("MalformedQueryString")),
            (base.replace("=me", "=m"), Err("ValidationError")),
            (base.replace("=me", "=a%20b"), Err("ValidationError")),
            (base.replace("WebIdentityToken", "Other"), Err("ValidationError")),
            ("Action=AssumeRole".to_owned(), Err("InvalidAction")),
            ("Version=1".to_owned(), Err("MissingAction")),
            (String::new(), Err("MissingAction")),
        ] {
            assert_eq!(action(form.as_bytes()).map_err(|refused| refused.code), expect, "{form}");
        }
    }

    #[test]
    fn answers_are_xml_whatever_names_hold() {
        let identity = Identity { user: "a<b>&\"\u{1}".to_owned(), uid: None, groups: Vec::new() };
        let shown = who("123456789012", &identity, Uuid::nil());
        assert!(shown.contains("<Arn>arn:aws:iam::123456789012:user/a&lt;b&gt;&amp;&quot;\u{fffd}</Arn>"), "{shown}");
        let robot =
            Identity { user: "system:serviceaccount:a:b".to_owned(), uid: Some("u".to_owned()), groups: Vec::new() };
        let key = Credentials {
            id: "ASIAX".to_owned(),
            secret: "s".to_owned(),
            token: "t".to_owned(),
            until: Timestamp::UNIX_EPOCH,
        };
        let shown = assumed("123456789012", &robot, "me", &key, Uuid::nil());
        for part in [
            "<AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>",
            "<Expiration>1970-01-01T00:00:00Z</Expiration>",
            "<Arn>arn:aws:sts::123456789012:assumed-role/system.serviceaccount.a.b/me</Arn>",
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId>",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(arn("1", &robot), "arn:aws:iam::1:user/system/serviceaccount/a/b");
    }
}
