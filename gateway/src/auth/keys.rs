//! Access keys: ids, secrets and session tokens, made of a master key and of nothing that is stored.
//!
//! Invariant: a secret is the master's HMAC of the id, so no secret of a user is kept anywhere; a session token seals for whom it is and until
//! when, and nobody without the master can make, read or change one. Does not know where the master key is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use model::identity::Identity;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// Bytes of a master key.
pub const MASTER: usize = 32;
/// A new generation is used when every replica has had this long to see it.
const SETTLES: SignedDuration = SignedDuration::from_mins(2);
/// Temporary keys begin like this
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>).
const TEMPORARY: &str = "ASIA";
/// What stands in ids, besides the beginning: 80 bits of it cannot be guessed and do not come twice.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_LETTERS: usize = 16;
/// The form of tokens.
const VERSION: u8 = 1;
/// Purpose of what is sealed.
const TOKEN: &str = "token";
/// The longest token that is looked at.
const LONGEST: usize = 8 << 10;

/// A master key, and since when it is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Generation {
    /// When it was made.
    pub since: Timestamp,
    /// The key.
    pub key: [u8; MASTER],
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("since", &self.since).finish_non_exhaustive()
    }
}

/// The randomness of the system does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

impl Generation {
    /// A new one.
    pub fn new(since: Timestamp) -> Result<Self, NoRandomness> {
        Ok(Self { since, key: random()? })
    }

    /// Each use has a key of its own.
    fn derived(&self, of: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), of.as_bytes())
    }

    fn secret(&self, id: &str) -> String {
        // As long as AWS's: 40 characters.
        STANDARD.encode(&self.derived(&format!("secret {id}")).as_ref()[..30])
    }

    fn sealing(&self, purpose: &str) -> Option<LessSafeKey> {
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.derived(purpose).as_ref()).ok()?))
    }
}

/// What a client signs with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) until: Timestamp,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}

/// What a token seals.
#[derive(Serialize, Deserialize)]
struct Sealed {
    identity: Identity,
    until: Timestamp,
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Nobody here made it.
    NotOurs,
    /// Its time is over.
    Expired,
}

/// The generations of the master key, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masters(Vec<Generation>);

impl Masters {
    /// Of these, in any order.
    pub fn new(mut generations: Vec<Generation>) -> Self {
        generations.sort_by_key(|one| std::cmp::Reverse(one.since));
        Self(generations)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The generation that new keys are made with: the newest that everybody has seen.
    fn current(&self, now: Timestamp) -> Option<&Generation> {
        let settled = self.0.iter().find(|one| one.since.saturating_add(SETTLES).is_ok_and(|from| from <= now));
        settled.or(self.0.last())
    }

    /// A key for somebody; `None`: there is no master key, or he is in so many groups that nobody could send it.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Credentials>, NoRandomness> {
        let Some(generation) = self.current(now) else { return Ok(None) };
        let letters = random::<ID_LETTERS>()?.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        let id = format!("{TEMPORARY}{}", letters.iter().collect::<String>());
        let Ok(sealed) = serde_json::to_vec(&Sealed { identity: identity.clone(), until }) else { return Ok(None) };
        let Some(token) = self.seal(TOKEN, &id, &sealed, now).filter(|token| token.len() <= LONGEST) else {
            return Ok(None);
        };
        let secret = generation.secret(&id);
        Ok(Some(Credentials { id, secret, token, until }))
    }

    /// For whom a key is, and its secret.
    pub(crate) fn open(&self, id: &str, token: &str, now: Timestamp) -> Result<(Identity, String), Unknown> {
        let opened = self.unseal(TOKEN, id, token).and_then(|(plain, generation)| {
            Some((serde_json::from_slice::<Sealed>(&plain).ok()?, generation.secret(id)))
        });
        match opened {
            None => Err(Unknown::NotOurs),
            Some((sealed, _)) if sealed.until <= now => Err(Unknown::Expired),
            Some((sealed, secret)) => Ok((sealed.identity, secret)),
        }
    }

    /// Seals a text for a purpose, about something that has to be said again to read it.
    pub(crate) fn seal(&self, purpose: &str, about: &str, text: &[u8], now: Timestamp) -> Option<String> {
        let (key, nonce) = (self.current(now)?.sealing(purpose)?, random::<NONCE_LEN>().ok()?);
        let mut text = text.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut text).ok()?;
        Some(STANDARD.encode([&[VERSION][..], &nonce, &text].concat()))
    }

    /// What was sealed so, and by which generation.
    pub(crate) fn unseal(&self, purpose: &str, about: &str, sealed: &str) -> Option<(Vec<u8>, &Generation)> {
        let bytes =
            Some(sealed).filter(|sealed| sealed.len() <= LONGEST).and_then(|sealed| STANDARD.decode(sealed).ok())?;
        let (head, text) = bytes.split_at_checked(1 + NONCE_LEN)?;
        let nonce: [u8; NONCE_LEN] = head[1..].try_into().ok().filter(|_| head[0] == VERSION)?;
        self.0.iter().find_map(|generation| {
            let mut text = text.to_vec();
            let key = generation.sealing(purpose)?;
            let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut text).ok()?;
            Some((plain.to_vec(), generation))
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn identity() -> Identity {
        let groups = vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()];
        Identity { user: "system:serviceaccount:team:robot".to_owned(), uid: Some("u".to_owned()), groups }
    }

    fn masters(since: &[i64]) -> Masters {
        Masters::new(since.iter().map(|minutes| Generation::new(at(*minutes)).unwrap()).collect())
    }

    #[test]
    fn a_key_says_for_whom_it_is_until_its_time_is_over() {
        let masters = masters(&[0]);
        let key = masters.issue(&identity(), at(60), at(10)).unwrap().unwrap();
        assert!(key.id.len() == 20 && key.id.starts_with("ASIA") && key.secret.len() == 40, "{key:?}");
        assert_eq!(masters.open(&key.id, &key.token, at(59)), Ok((identity(), key.secret.clone())));
        assert_eq!(masters.open(&key.id, &key.token, at(60)), Err(Unknown::Expired));
        let other = masters.issue(&identity(), at(60), at(10)).unwrap().unwrap();
        assert!(other.id != key.id && other.secret != key.secret && other.token != key.token);
    }

    #[test]
    fn nothing_that_was_altered_is_a_key() {
        let masters = masters(&[0]);
        let key = masters.issue(&identity(), at(60), at(10)).unwrap().unwrap();
        let bytes = STANDARD.decode(&key.token).unwrap();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let got = masters.open(&key.id, &STANDARD.encode(&altered), at(10));
            assert_eq!(got, Err(Unknown::NotOurs), "byte {place}");
        }
        for length in 0..bytes.len() {
            assert_eq!(masters.open(&key.id, &STANDARD.encode(&bytes[..length]), at(10)), Err(Unknown::NotOurs));
        }
        for (id, token) in
            [("ASIAOTHER", key.token.as_str()), (&key.id, ""), (&key.id, "%"), (&key.id, &"A".repeat(9000))]
        {
            assert_eq!(masters.open(id, token, at(10)), Err(Unknown::NotOurs));
        }
        let others = self::masters(&[0]);
        assert_eq!(others.open(&key.id, &key.token, at(10)), Err(Unknown::NotOurs));
        assert_eq!(Masters::default().issue(&identity(), at(60), at(10)), Ok(None));
    }

    #[test]
    fn a_new_generation_is_used_when_all_have_seen_it_and_the_old_one_is_still_read() {
        let all = masters(&[0, 100]);
        let (newest, oldest) = (Masters::new(vec![all.0[0].clone()]), Masters::new(vec![all.0[1].clone()]));
        for (now, by_new) in [(100, false), (101, false), (102, true)] {
            let key = all.issue(&identity(), at(200), at(now)).unwrap().unwrap();
            assert!(all.open(&key.id, &key.token, at(now)).is_ok());
            assert_eq!(newest.open(&key.id, &key.token, at(now)).is_ok(), by_new, "{now}");
            assert_eq!(oldest.open(&key.id, &key.token, at(now)).is_ok(), !by_new, "{now}");
        }
        assert!(newest.issue(&identity(), at(200), at(100)).unwrap().is_some(), "the only one is used at once");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let generation = Generation { since: at(0), key: [7; MASTER] };
        let key = Masters::new(vec![generation.clone()]).issue(&identity(), at(60), at(10)).unwrap().unwrap();
        let shown = format!("{key:?} {generation:?}");
        assert!(!shown.contains(&key.secret) && !shown.contains(&key.token) && !shown.contains("7, 7"), "{shown}");
    }
}
