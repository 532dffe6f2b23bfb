//! Dependencies that may not be there: by license, by name, and by where they come from. Deciding is apart from asking cargo.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{spdx, workspace};
use crate::image::root;

/// Licenses that a program under Apache-2.0 may link without conditions that its users would not expect.
const ALLOWED: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // Certificates of public authorities (webpki-roots): data, no code.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];
/// Cryptography is ring's alone: these need a C compiler or a system library in every build, and a second set of keys
/// and ciphers to keep in view.
const BANNED: [&str; 4] = ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"];

/// Where all of them come from: no checkout that somebody can change, no other registry in which a name is somebody else's.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Fails if a dependency may not be there.
pub(super) fn check() -> Result<()> {
    let metadata = workspace::metadata()?;
    let path = root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (count, mut wrong) = licenses(&metadata);
    wrong.extend(banned(&lock));
    wrong.extend(elsewhere(&lock));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    eprintln!("{count} dependencies, all under licenses of the list and from crates.io");
    Ok(())
}

/// How many dependencies there are, and what is wrong with their licenses.
fn licenses(metadata: &Value) -> (usize, Vec<String>) {
    let foreign = |package: &&Value| !package["source"].is_null();
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().filter(foreign).collect();
    (packages.len(), packages.iter().filter_map(|package| wrong_with(package)).collect())
}

fn wrong_with(package: &Value) -> Option<String> {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    let (name, version) = (text("name"), text("version"));
    let advice = format!("`cargo tree --invert {name}` shows who wants it; the list is ALLOWED in {}", file!());
    match spdx::satisfied(text("license"), &ALLOWED) {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "{name} {version} is licensed `{}`, which the allowed licenses do not satisfy; {advice}",
            text("license")
        )),
        Err(_) if text("license").is_empty() => Some(format!("{name} {version} names no license; {advice}")),
        Err(error) => Some(format!("{name} {version} is licensed `{}`: {error}; {advice}", text("license"))),
    }
}

fn banned(lock: &str) -> Vec<String> {
    let present = |name: &&&str| lock.lines().any(|line| line == format!("name = \"{name}\""));
    let complain = |name: &&str| {
        format!("{name} is in Cargo.lock; `cargo tree --workspace --target all --invert {name}` shows who wants it")
    };
    BANNED.iter().filter(present).map(complain).collect()
}

/// What comes from somewhere else, or without a checksum.
fn elsewhere(lock: &str) -> Vec<String> {
    let packages = lock.split("[[package]]").skip(1);
    let wrong = |package: &str| {
        let value = |key: &str| package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        let (name, source) = (value("name").unwrap_or_default(), value("source")?.trim_matches('"'));
        let sound = source == SOURCE && value("checksum").is_some();
        (!sound).then(|| {
            format!("{name} comes from {source}, not from crates.io with a checksum: say a version in Cargo.toml")
        })
    };
    packages.filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_license_that_is_not_allowed_names_its_crate() {
        let package = |name: &str, source: Value, license: Value| json!({"name": name, "version": "1.2.3", "source": source, "license": license});
        let check = |license: Value, expect: Option<&str>| {
            let metadata = json!({"packages": [
                package("ours", Value::Null, "GPL-3.0-only".into()),
                package("theirs", "registry".into(), license.clone()),
            ]});
            let (count, wrong) = licenses(&metadata);
            assert_eq!((count, wrong.len()), (1, usize::from(expect.is_some())), "{license}");
            if let Some(expect) = expect {
                assert!(wrong[0].starts_with(expect), "{}", wrong[0]);
            }
        };
        check("MIT OR GPL-3.0-only".into(), None);
        check("GPL-3.0-only".into(), Some("theirs 1.2.3 is licensed `GPL-3.0-only`, which"));
        check("MIT OR".into(), Some("theirs 1.2.3 is licensed `MIT OR`: it ends too early"));
        check(Value::Null, Some("theirs 1.2.3 names no license"));
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        let package = |rest: &str| format!("version = 4\n[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n{rest}\n");
        let check = |rest: &str, count: usize| assert_eq!(elsewhere(&package(rest)).len(), count, "{rest}");
        check("", 0);
        check(&format!("source = \"{SOURCE}\"\nchecksum = \"ab\""), 0);
        check(&format!("source = \"{SOURCE}\""), 1);
        check("source = \"git+https://example.org/x#1\"", 1);
        check("source = \"registry+https://example.org/index\"\nchecksum = \"ab\"", 1);
    }

    #[test]
    fn a_banned_crate_is_found_by_its_whole_name() {
        assert_eq!(banned("[[package]]\nname = \"openssl-probe\"\n"), Vec::<String>::new());
        let wrong = banned("[[package]]\nname = \"aws-lc-rs\"\nversion = \"1\"\n");
        assert!(wrong.len() == 1 && wrong[0].starts_with("aws-lc-rs is in Cargo.lock"), "{wrong:?}");
    }
}
