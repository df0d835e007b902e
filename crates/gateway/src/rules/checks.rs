//! Checks of the entries of the gateway's file.

use std::collections::BTreeSet;

use vouchsafe_claims::{ClaimNames, NameFault, is_unprintable};
use vouchsafe_signer::{AUDIENCE_BYTES_MAX, Algorithm, EPOCH_SECONDS_MAX, EPOCH_SECONDS_MIN, EXTRA_CLAIMS_MAX};

use super::entries::{Admin, Binding, Credential, ENTRIES_MAX, Group, KeyAlgorithm, KeyRule, RuleError};
use super::files::{AdminFile, CredentialFile, GroupFile, KeyFile};
use super::size::{self, KEYS_PER_GROUP_MAX};
use crate::credential::{CertificateDigest, CredentialDigest};

const NAME_BYTES_MAX: usize = 64;
const AUDIENCES_MAX: usize = 256;
/// Longest lifetime of a token that an HSM key signs: one day.
const LIFETIME_SECONDS_MAX: u64 = 86_400;
const ISSUER_BYTES_MAX: usize = 512;
const SECONDS_PER_DAY: u64 = 86_400;
/// No gateway could reach a higher rate.
const REQUESTS_PER_MINUTE_MAX: u64 = 1_000_000;
/// Enough for several brokers, each with its current and its next certificate.
const CERTIFICATES_MAX: usize = 64;

pub(super) fn group(file: GroupFile, groups: &[Group]) -> Result<Group, RuleError> {
    let fail = fault_of("group", &file.name);
    let known = groups.iter().map(|group| group.name.as_str());
    check_name(&file.name, known).map_err(|fault| fail("name", fault))?;
    let web = file.issuer.starts_with("https://") || file.issuer.starts_with("http://");
    if !web || file.issuer.len() > ISSUER_BYTES_MAX {
        return Err(fail("issuer", "is not the issuer URL of a broker"));
    }
    // Certificates of epoch keys contain it as an IA5String.
    if !file.issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fail(
            "issuer",
            "contains characters other than visible ASCII: write hosts as `xn--…` and percent-encode the rest",
        ));
    }
    let mut algorithms = BTreeSet::new();
    for name in &file.algorithms {
        let algorithm = Algorithm::from_name(name)
            .ok_or_else(|| fail("algorithms", "contains an algorithm other than `ES256` and `EdDSA`"))?;
        if !algorithms.insert(algorithm) {
            return Err(fail("algorithms", "contains a duplicate entry"));
        }
    }
    if algorithms.is_empty() {
        return Err(fail("algorithms", "is empty"));
    }
    if !(EPOCH_SECONDS_MIN..=EPOCH_SECONDS_MAX).contains(&file.epoch_seconds) {
        return Err(fail("epoch_seconds", "is not between 300 and 604800"));
    }
    Ok(Group {
        name: file.name,
        issuer: file.issuer,
        algorithms: algorithms.into_iter().collect(),
        epoch_seconds: file.epoch_seconds,
    })
}

pub(super) fn key(file: KeyFile, groups: &[Group], keys: &[KeyRule]) -> Result<KeyRule, RuleError> {
    let fail = fault_of("key", &file.name);
    let known = keys.iter().map(|key| key.name.as_str());
    check_name(&file.name, known).map_err(|fault| fail("name", fault))?;
    let group = groups.iter().find(|group| group.name == file.group);
    let group = group.ok_or_else(|| fail("group", "names no [[group]]"))?;
    let algorithm = KeyAlgorithm::from_name(&file.algorithm)
        .ok_or_else(|| fail("algorithm", "is not `ES256`, `EdDSA` or `RS256`"))?;
    let audiences =
        distinct(file.audiences, AUDIENCES_MAX, AUDIENCE_BYTES_MAX).map_err(|fault| fail("audiences", fault))?;
    if audiences.is_empty() {
        return Err(fail("audiences", "is empty"));
    }
    // The signer selects keys by group, algorithm and audience.
    let shared = |other: &&KeyRule| {
        other.group == file.group && other.algorithm == algorithm && !other.audiences.is_disjoint(&audiences)
    };
    if keys.iter().any(|other| shared(&other)) {
        return Err(fail("audiences", "overlaps with another [[key]] of the same group and algorithm"));
    }
    if !(1..=LIFETIME_SECONDS_MAX).contains(&file.lifetime_max) {
        return Err(fail("lifetime_max", "is not between 1 and 86400 seconds"));
    }
    let claims = claims(file.claims).map_err(|fault| fail("claims", fault))?;
    for (field, number) in [
        ("requests_per_second", file.requests_per_second),
        ("requests_per_day", file.requests_per_day),
        ("age_days_max", file.age_days_max),
    ] {
        if number == 0 {
            return Err(fail(field, "is 0"));
        }
    }
    Ok(KeyRule {
        name: file.name,
        group: file.group,
        algorithm,
        issuer: group.issuer.clone(),
        audiences,
        lifetime_seconds_max: file.lifetime_max,
        claims,
        requests_per_second: file.requests_per_second,
        requests_per_day: file.requests_per_day,
        age_seconds_max: file.age_days_max.saturating_mul(SECONDS_PER_DAY),
    })
}

pub(super) fn credential(
    file: CredentialFile,
    groups: &[Group],
    credentials: &[Credential],
) -> Result<Credential, RuleError> {
    let fail = fault_of("credential", &file.name);
    let known = credentials.iter().map(|it| it.name.as_str());
    check_name(&file.name, known).map_err(|fault| fail("name", fault))?;
    let digest = CredentialDigest::parse(&file.sha256)
        .ok_or_else(|| fail("sha256", "is not 64 lower-case hexadecimal digits"))?;
    if credentials.iter().any(|it| it.digest == digest) {
        return Err(fail("sha256", "is also the hash of another credential"));
    }
    let names = distinct(file.groups, ENTRIES_MAX, NAME_BYTES_MAX).map_err(|fault| fail("groups", fault))?;
    if names.is_empty() {
        return Err(fail("groups", "is empty"));
    }
    if names.iter().any(|name| groups.iter().all(|group| group.name != *name)) {
        return Err(fail("groups", "names an unknown [[group]]"));
    }
    let certificates = binding(&file.certificate_sha256).map_err(|fault| fail("certificate_sha256", fault))?;
    for (field, number) in [("seeds_per_minute", file.seeds_per_minute), ("keys_per_minute", file.keys_per_minute)] {
        if !(1..=REQUESTS_PER_MINUTE_MAX).contains(&number) {
            return Err(fail(field, "is not between 1 and 1000000"));
        }
    }
    Ok(Credential {
        name: file.name,
        digest,
        certificates,
        groups: names,
        seeds_per_minute: file.seeds_per_minute,
        keys_per_minute: file.keys_per_minute,
    })
}

/// Checks that JWK Sets and answers stay within the limits of their readers.
pub(super) fn sizes(groups: &[Group], keys: &[KeyRule], credentials: &[Credential]) -> Result<(), RuleError> {
    for group in groups {
        if size::keys_of(keys, &group.name).count() > KEYS_PER_GROUP_MAX {
            return Err(fault_of("group", &group.name)("name", "has more than 16 [[key]]s"));
        }
    }
    for credential in credentials {
        let own = groups.iter().filter(|group| credential.groups.contains(&group.name));
        if !size::answer_fits(own, keys) {
            let fail = fault_of("credential", &credential.name);
            return Err(fail("groups", "has more keys and audiences than fit into one answer of 256 KiB"));
        }
    }
    Ok(())
}

pub(super) fn admin(
    file: AdminFile,
    admins: &[Admin],
    is_caller: impl Fn(&CredentialDigest) -> bool,
) -> Result<Admin, RuleError> {
    let fail = fault_of("admin", &file.name);
    let known = admins.iter().map(|it| it.name.as_str());
    check_name(&file.name, known).map_err(|fault| fail("name", fault))?;
    let digest = CredentialDigest::parse(&file.sha256)
        .ok_or_else(|| fail("sha256", "is not 64 lower-case hexadecimal digits"))?;
    // INVARIANT: no credential is both a broker's and an admin's.
    if is_caller(&digest) || admins.iter().any(|it| it.digest == digest) {
        return Err(fail("sha256", "is also the hash of another credential"));
    }
    Ok(Admin {
        name: file.name,
        digest,
        certificates: binding(&file.certificate_sha256).map_err(|fault| fail("certificate_sha256", fault))?,
    })
}

fn binding(texts: &[String]) -> Result<Binding, &'static str> {
    if texts.len() > CERTIFICATES_MAX {
        return Err("has too many entries");
    }
    let digests = texts.iter().map(|text| CertificateDigest::parse(text));
    let digests: Option<Vec<_>> = digests.collect();
    let digests = digests.ok_or("contains an entry that is not 64 lower-case hexadecimal digits")?;
    Ok(Binding(digests))
}

fn fault_of(entry: &'static str, name: &str) -> impl Fn(&'static str, &'static str) -> RuleError + use<> {
    let name = name.to_owned();
    move |field, fault| RuleError::Field { entry, name: name.clone(), field, fault }
}

/// Checks for `[a-z0-9-]{1,64}`, because names are part of PKCS#11 labels and log lines.
fn check_name<'a>(name: &str, mut known: impl Iterator<Item = &'a str>) -> Result<(), &'static str> {
    let legal = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !legal || name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err("is not 1 to 64 of a-z, 0-9 and `-`");
    }
    if known.any(|other| other == name) {
        return Err("is a duplicate");
    }
    Ok(())
}

/// Checks the names of extra claims with the same rules as the signer.
fn claims(listed: Vec<String>) -> Result<BTreeSet<String>, &'static str> {
    if listed.len() > EXTRA_CLAIMS_MAX {
        return Err("has too many entries");
    }
    let mut names = ClaimNames::of_issued_token();
    for name in &listed {
        names.add(name).map_err(|fault| match fault {
            NameFault::Malformed => {
                "contains an entry that is not 1 to 256 visible ASCII characters without `\"` and `\\`"
            }
            NameFault::Registered => "contains a registered name, ignoring case",
            NameFault::Repeated => "contains a duplicate entry, ignoring case",
        })?;
    }
    Ok(listed.into_iter().collect())
}

fn distinct(names: Vec<String>, count_max: usize, bytes_max: usize) -> Result<BTreeSet<String>, &'static str> {
    if names.len() > count_max {
        return Err("has too many entries");
    }
    let mut found = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.len() > bytes_max || name.chars().any(is_unprintable) {
            return Err("contains an entry that is empty, too long or unprintable");
        }
        if !found.insert(name) {
            return Err("contains a duplicate entry");
        }
    }
    Ok(found)
}
