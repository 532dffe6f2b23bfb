//! `efsVolumeConfiguration`: a directory that outlives the job, which is a `PersistentVolumeClaim` here
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EFSVolumeConfiguration.html>).
//!
//! Invariant: pure. What says how Amazon EFS is reached, and by whom, is checked, kept and shown; the claim says how its volume is.

use super::check::{is_object_name, not_supported};
use super::properties::{Efs, EfsAuthorization};
use crate::failure::Invalid;
use crate::limits::one_of;

/// Values of `transitEncryption` and `iam`, and whether that is so.
const SWITCH: [(&str, bool); 2] = [("ENABLED", true), ("DISABLED", false)];
/// Characters of `rootDirectory` at most.
const LONGEST: usize = 4096;

/// Checks what users wrote of a volume of this name.
pub(super) fn check(given: &Efs, name: &str) -> Result<(), Invalid> {
    if given.file_system_id.is_empty() {
        return Invalid::err(format!("efsVolumeConfiguration of volume {name}: fileSystemId is required."));
    }
    let switch = |member: &str, value: Option<&str>| value.map_or(Ok(false), |value| one_of(member, value, &SWITCH));
    let is_encrypted = switch("transitEncryption", given.transit_encryption.as_deref())?;
    let EfsAuthorization { access_point_id, iam } = given.authorization_config.clone().unwrap_or_default();
    let by_role = switch("authorizationConfig.iam", iam.as_deref())?;
    if !is_encrypted && (by_role || access_point_id.is_some()) {
        return Invalid::err(format!(
            "efsVolumeConfiguration of volume {name}: transitEncryption must be ENABLED with an access point or iam."
        ));
    }
    if let Some(port) = given.transit_encryption_port.filter(|port| !(0..=65_535).contains(port)) {
        return Invalid::err(format!("transitEncryptionPort must be between 0 and 65535, got {port}."));
    }
    if access_point_id.is_some() && directory(given).is_some() {
        return Invalid::err(format!(
            "efsVolumeConfiguration of volume {name}: rootDirectory must be omitted or / with an access point."
        ));
    }
    root_directory(given.root_directory.as_deref().unwrap_or("/"))?;
    let claim = claim(given);
    if is_object_name(claim) {
        return Ok(());
    }
    not_supported(
        &format!("efsVolumeConfiguration {claim} of volume {name}"),
        "name a PersistentVolumeClaim of the job's namespace by accessPointId, or else by fileSystemId",
    )
}

fn root_directory(path: &str) -> Result<(), Invalid> {
    if path.chars().count() > LONGEST {
        return Invalid::err(format!("rootDirectory can have at most {LONGEST} characters."));
    }
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Invalid::err(format!("rootDirectory must be an absolute path without \"..\", got \"{path}\"."));
    }
    Ok(())
}

/// Name of the claim.
pub(super) fn claim(given: &Efs) -> &str {
    let access_point = given.authorization_config.as_ref().and_then(|it| it.access_point_id.as_deref());
    access_point.unwrap_or(&given.file_system_id)
}

/// The part of the volume that is mounted, as `subPath` has it; `None`: all of it.
pub(super) fn directory(given: &Efs) -> Option<String> {
    let path = given.root_directory.as_deref().unwrap_or_default().trim_matches('/');
    Some(path.to_owned()).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A valid one with these members, too.
    #[allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]
    fn with(more: Value) -> Efs {
        let mut all = json!({"fileSystemId": "fs-1"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_claim_is_named_by_access_point_or_else_by_file_system() {
        let point = |more: Value| {
            let mut all = json!({"authorizationConfig": {"accessPointId": "fsap-1"}, "transitEncryption": "ENABLED"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        for (given, name, path) in [
            (json!({}), "fs-1", None),
            (json!({"rootDirectory": "/", "transitEncryptionPort": 2999}), "fs-1", None),
            (json!({"rootDirectory": "", "transitEncryption": ""}), "fs-1", None),
            (json!({"rootDirectory": "/a/b/"}), "fs-1", Some("a/b")),
            (json!({"authorizationConfig": {"iam": "DISABLED"}, "transitEncryption": "DISABLED"}), "fs-1", None),
            (json!({"authorizationConfig": {"iam": "ENABLED"}, "transitEncryption": "ENABLED"}), "fs-1", None),
            (point(json!({})), "fsap-1", None),
            (point(json!({"rootDirectory": "/"})), "fsap-1", None),
        ] {
            let read = with(given.clone());
            assert_eq!(check(&read, "v"), Ok(()), "{given}");
            assert_eq!((claim(&read), directory(&read).as_deref()), (name, path), "{given}");
        }
    }

    #[test]
    fn every_rule_names_what_is_wrong() {
        let point = json!({"accessPointId": "fsap-1"});
        for (given, message) in [
            (json!({"fileSystemId": ""}), "fileSystemId is required"),
            (json!({"transitEncryption": "YES"}), "transitEncryption must be one of [ENABLED, DISABLED], got YES"),
            (json!({"authorizationConfig": {"iam": "on"}}), "authorizationConfig.iam must be one of"),
            (json!({"authorizationConfig": {"iam": "ENABLED"}}), "transitEncryption must be ENABLED"),
            (json!({"authorizationConfig": point}), "transitEncryption must be ENABLED"),
            (json!({"transitEncryptionPort": 65_536}), "transitEncryptionPort must be between 0 and 65535, got 65536."),
            (json!({"transitEncryptionPort": -1}), "transitEncryptionPort must be between"),
            (
                json!({"authorizationConfig": point, "transitEncryption": "ENABLED", "rootDirectory": "/a"}),
                "rootDirectory must be omitted or / with an access point",
            ),
            (json!({"rootDirectory": "a"}), "rootDirectory must be an absolute path"),
            (json!({"rootDirectory": "/a/../b"}), "rootDirectory must be an absolute path"),
            (json!({"rootDirectory": format!("/{}", "a".repeat(4096))}), "rootDirectory can have at most 4096"),
            (json!({"fileSystemId": "arn:aws:efs:x"}), "efsVolumeConfiguration arn:aws:efs:x of volume v"),
        ] {
            let said = check(&with(given.clone()), "v").unwrap_err().0;
            assert!(said.contains(message), "{given}: {said}");
        }
    }
}
