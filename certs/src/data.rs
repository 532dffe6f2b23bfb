//! What the leader's Secret holds, as text: three pairs of certificate and key, and the bundle of both CAs for people to read.
//!
//! Invariant: private keys never appear in debug output.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::ByteString;

/// The leaf's certificate, under the key that everybody expects.
pub(crate) const LEAF_CERTIFICATE: &str = "tls.crt";
/// The leaf's private key.
pub(crate) const LEAF_KEY: &str = "tls.key";
/// The CAs' certificates.
pub(crate) const CA_CERTIFICATES: [&str; 2] = ["ca-1.crt", "ca-2.crt"];
/// The CAs' private keys.
pub(crate) const CA_KEYS: [&str; 2] = ["ca-1.key", "ca-2.key"];
/// Both CAs' certificates, for people; never read.
pub(crate) const BUNDLE: &str = "ca.crt";

/// A private key in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct PrivatePem(pub(crate) String);

impl fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivatePem(redacted)")
    }
}

/// A certificate with its key, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: PrivatePem,
}

/// Everything in the Secret, whether it makes sense or not; what is absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) cas: [Pair; 2],
    pub(crate) leaf: Pair,
}

impl Data {
    /// Reads a Secret's `data`. What is not text counts as absent.
    pub(crate) fn read(secret: Option<&BTreeMap<String, ByteString>>) -> Self {
        let text = |key: &str| {
            let bytes = secret.and_then(|secret| secret.get(key)).map_or(&[][..], |value| &value.0);
            String::from_utf8(bytes.to_vec()).unwrap_or_default()
        };
        let pair = |certificate, key| Pair { certificate: text(certificate), key: PrivatePem(text(key)) };
        let [first, second] = [0, 1].map(|slot: usize| pair(CA_CERTIFICATES[slot], CA_KEYS[slot]));
        Self { cas: [first, second], leaf: pair(LEAF_CERTIFICATE, LEAF_KEY) }
    }

    /// The `data` of the Secret for those who serve: the leaf, and whom it is signed by. No key of an authority.
    pub(crate) fn write_leaf(&self) -> BTreeMap<String, ByteString> {
        let mut all = self.write();
        all.retain(|key, _| [LEAF_CERTIFICATE, LEAF_KEY, BUNDLE].contains(&key.as_str()));
        all
    }

    /// The Secret's whole `data`.
    pub(crate) fn write(&self) -> BTreeMap<String, ByteString> {
        let [first, second] = &self.cas;
        [
            (CA_CERTIFICATES[0], &first.certificate),
            (CA_KEYS[0], &first.key.0),
            (CA_CERTIFICATES[1], &second.certificate),
            (CA_KEYS[1], &second.key.0),
            (LEAF_CERTIFICATE, &self.leaf.certificate),
            (LEAF_KEY, &self.leaf.key.0),
            (BUNDLE, &format!("{}{}", first.certificate, second.certificate)),
        ]
        .map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes())))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> Pair {
        Pair { certificate: format!("certificate {name}\n"), key: PrivatePem(format!("key {name}\n")) }
    }

    #[test]
    fn data_is_read_back_as_written() {
        let data = Data { cas: [pair("1"), pair("2")], leaf: pair("leaf") };
        let secret = data.write();
        assert_eq!(Data::read(Some(&secret)), data);
        assert_eq!(secret[BUNDLE].0, b"certificate 1\ncertificate 2\n");
    }

    #[test]
    fn those_who_serve_get_no_key_of_an_authority() {
        let data = Data { cas: [pair("1"), pair("2")], leaf: pair("leaf") };
        let served = data.write_leaf();
        assert_eq!(served.keys().collect::<Vec<_>>(), [BUNDLE, LEAF_CERTIFICATE, LEAF_KEY]);
        assert_eq!(Data::read(Some(&served)), Data { leaf: pair("leaf"), ..Data::default() });
    }

    #[test]
    fn what_is_absent_or_not_text_is_empty() {
        assert_eq!(Data::read(None), Data::default());
        let binary = BTreeMap::from([(LEAF_KEY.to_owned(), ByteString(vec![0xff, 0xfe]))]);
        assert_eq!(Data::read(Some(&binary)), Data::default());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let data = Data { cas: [pair("1"), pair("2")], leaf: pair("leaf") };
        let shown = format!("{data:?}");
        assert!(!shown.contains("key 1") && !shown.contains("key leaf"), "{shown}");
        assert!(shown.contains("certificate 1"), "{shown}");
    }
}
