use super::*;
use crate::testing::{HOUR, ISSUER, NOW, Pair, Root, leaf};
use x509_cert::der::{Tag, Tagged as _};

/// 9999-12-31T23:59:59Z, the last second that X.509 can represent.
const LAST: u64 = 253_402_300_799;
/// 2050-01-01T00:00:00Z: from here on years have four digits (RFC 5280 §4.1.2.5).
const YEAR_2050: u64 = 2_524_608_000;

fn parse(der: &[u8]) -> TbsCertificate {
    Certificate::from_der(der).unwrap().tbs_certificate().clone()
}

/// Object identifier and criticality of each extension, in their order.
fn extensions(tbs: &TbsCertificate) -> Vec<(String, bool)> {
    let all = tbs.extensions().unwrap().iter();
    all.map(|it| (it.extn_id.to_string(), it.critical)).collect()
}

fn listed(all: &[(&str, bool)]) -> Vec<(String, bool)> {
    all.iter().map(|(id, critical)| ((*id).to_owned(), *critical)).collect()
}

const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";

#[test]
fn root_certifies_one_level_and_never_expires() {
    let root = Root::new();
    let tbs = parse(&root.certificate.to_der().unwrap());
    assert_eq!(tbs.issuer(), tbs.subject());
    assert!(tbs.subject().to_string().starts_with("CN=root "), "{}", tbs.subject());
    let validity = tbs.validity();
    assert_eq!(validity.not_before.to_unix_duration().as_secs(), NOW - ROOT_BACKDATE_SECONDS);
    assert_eq!(validity.not_after, Time::INFINITY);
    assert_eq!(validity.not_after.to_unix_duration().as_secs(), LAST);
    assert_eq!(
        extensions(&tbs),
        listed(&[(BASIC_CONSTRAINTS, true), (KEY_USAGE, true), (SUBJECT_KEY_IDENTIFIER, false)])
    );
    let (_, constraints) = tbs.get_extension::<BasicConstraints>().unwrap().unwrap();
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    let (_, usage) = tbs.get_extension::<KeyUsage>().unwrap().unwrap();
    assert_eq!(usage, KeyUsage(KeyUsages::KeyCertSign.into()));
}

#[test]
fn leaf_names_its_issuer_and_certifies_nothing() {
    let (root, pair) = (Root::new(), Pair::new());
    for (key, algorithm, spki) in [
        // RFC 5480 §2: id-ecPublicKey, secp256r1, an uncompressed point.
        (
            pair.leaf_key(),
            "ES256",
            [
                &b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"[..],
                &pair.point().0,
                &pair.point().1,
            ]
            .concat(),
        ),
        // RFC 8410 §4: id-Ed25519, without parameters.
        (
            LeafKey::Ed25519([7; 32]),
            "EdDSA",
            [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], &[7; 32]].concat(),
        ),
    ] {
        let leaf = EpochLeaf {
            algorithm,
            generation: 3,
            group: "ci-2",
            ..leaf(key)
        };
        let tbs = parse(&root.certify(&leaf));
        assert_eq!(
            tbs.subject().to_string(),
            format!("CN=generation 3 epoch {NOW} {algorithm},OU=ci-2,O=Vouchsafe")
        );
        let above = parse(&root.certificate.to_der().unwrap());
        assert_eq!(tbs.issuer(), above.subject());
        assert_eq!(tbs.subject_public_key_info().to_der().unwrap(), spki);
        let seconds = |time: Time| time.to_unix_duration().as_secs();
        let validity = tbs.validity();
        assert_eq!(
            (seconds(validity.not_before), seconds(validity.not_after)),
            (NOW - 2 * HOUR, NOW + 2 * HOUR)
        );
        assert_eq!(
            extensions(&tbs),
            listed(&[
                (BASIC_CONSTRAINTS, true),
                (KEY_USAGE, true),
                (SUBJECT_KEY_IDENTIFIER, false),
                (AUTHORITY_KEY_IDENTIFIER, false),
                (SUBJECT_ALT_NAME, false)
            ])
        );
        let (_, constraints) = tbs.get_extension::<BasicConstraints>().unwrap().unwrap();
        assert_eq!((constraints.ca, constraints.path_len_constraint), (false, None));
        let (_, usage) = tbs.get_extension::<KeyUsage>().unwrap().unwrap();
        assert_eq!(usage, KeyUsage(KeyUsages::DigitalSignature.into()));
        let (_, names) = tbs.get_extension::<SubjectAltName>().unwrap().unwrap();
        let url = GeneralName::UniformResourceIdentifier(Ia5String::new(ISSUER).unwrap());
        assert_eq!(names.0, [url]);
        let (_, theirs) = tbs.get_extension::<AuthorityKeyIdentifier>().unwrap().unwrap();
        let (_, own) = above.get_extension::<SubjectKeyIdentifier>().unwrap().unwrap();
        assert_eq!(theirs.key_identifier, Some(own.0));
    }
}

/// RFC 7093 §2, method 1, by hand: SHA-256 of the bits of the key, cut to 160.
#[test]
fn key_identifiers_are_of_rfc_7093() {
    let root = Root::new();
    let tbs = parse(&root.certify(&leaf(LeafKey::Ed25519([7; 32]))));
    let (_, identifier) = tbs.get_extension::<SubjectKeyIdentifier>().unwrap().unwrap();
    assert_eq!(identifier.0.as_bytes(), &Sha256::digest([7; 32])[..20]);
}

#[test]
fn equal_input_makes_equal_drafts() {
    let (root, pair) = (Root::new(), Pair::new());
    let message = |leaf: &EpochLeaf<'_>| root.certificate.leaf(leaf).unwrap().message().to_vec();
    let one = leaf(pair.leaf_key());
    assert_eq!(message(&one), message(&one.clone()));
    let later = EpochLeaf { not_after: one.not_after + 1, ..one.clone() };
    assert_ne!(message(&one), message(&later));
    let serial = |leaf: &EpochLeaf<'_>| parse(&root.certify(leaf)).serial_number().clone();
    assert_eq!(serial(&one), serial(&later));
    assert_ne!(serial(&one), serial(&leaf(Pair::new().leaf_key())));
}

/// RFC 5280 §4.1.2.2: positive, and at most 20 bytes. The first byte of the digest takes every value here.
#[test]
fn serial_numbers_are_positive_and_of_fixed_length() {
    let mut firsts = std::collections::BTreeSet::new();
    for number in 0..2_000_u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let info = LeafKey::Ed25519(key).info().unwrap();
        let digest = Sha256::digest(info.to_der().unwrap());
        firsts.insert(digest[0]);
        let found = serial(&info).unwrap();
        let bytes = found.as_bytes();
        assert_eq!(bytes.len(), SERIAL_BYTES, "{found}");
        assert!((0x40..0x80).contains(&bytes[0]), "{found}");
        assert_eq!(bytes[1..], digest[1..SERIAL_BYTES]);
    }
    assert_eq!(firsts.len(), 256);
}

#[test]
fn encodes_times_up_to_year_9999() {
    let root = Root::new();
    let with = |not_before: u64, not_after: u64| EpochLeaf { not_before, not_after, ..leaf(LeafKey::Ed25519([7; 32])) };
    for (seconds, tag) in [
        (0, Tag::UtcTime),
        (NOW, Tag::UtcTime),
        (YEAR_2050 - 1, Tag::UtcTime),
        (YEAR_2050, Tag::GeneralizedTime),
        (LAST, Tag::GeneralizedTime),
    ] {
        let tbs = parse(&root.certify(&with(seconds, LAST)));
        let found = tbs.validity().not_before;
        assert_eq!(found.tag(), tag, "{seconds}");
        assert_eq!(found.to_unix_duration().as_secs(), seconds);
        let tbs = parse(&root.certify(&with(0, seconds)));
        assert_eq!(tbs.validity().not_after.to_unix_duration().as_secs(), seconds);
    }
    for (not_before, not_after) in [(0, LAST + 1), (LAST + 1, LAST), (0, u64::MAX)] {
        let outcome = root.certificate.leaf(&with(not_before, not_after));
        assert_eq!(outcome.err(), Some(CertificateError::Encoding));
    }
    let key = Pair::new().root_key();
    let oldest = |now: u64| {
        let draft = key.draft(now)?;
        let der = draft.signed(&[1; SIGNATURE_BYTES])?;
        Ok(parse(&der).validity().not_before.to_unix_duration().as_secs())
    };
    for (now, expected) in [
        (0, Ok(0)),
        (ROOT_BACKDATE_SECONDS, Ok(0)),
        (ROOT_BACKDATE_SECONDS + 1, Ok(1)),
        (LAST + ROOT_BACKDATE_SECONDS, Ok(LAST)),
        (LAST + ROOT_BACKDATE_SECONDS + 1, Err(CertificateError::Encoding)),
    ] {
        assert_eq!(oldest(now), expected, "{now}");
    }
}

/// RFC 5280 appendix A.1: `ub-common-name` and `ub-organizational-unit-name` are 64 characters.
#[test]
fn longest_names_just_fit() {
    let root = Root::new();
    let group = "g".repeat(64);
    let longest = EpochLeaf {
        generation: u64::MAX,
        epoch_start: u64::MAX,
        algorithm: "EdDSA",
        group: &group,
        ..leaf(LeafKey::Ed25519([7; 32]))
    };
    let tbs = parse(&root.certify(&longest));
    let subject = tbs.subject().to_string();
    let fields: Vec<_> = subject.split(',').collect();
    assert_eq!(fields[0].len(), "CN=".len() + 64, "{subject}");
    assert_eq!(fields[1].len(), "OU=".len() + 64, "{subject}");
    assert_eq!(fields.len(), 3);
}

#[test]
fn rejects_invalid_group_name() {
    let root = Root::new();
    let with = |group: &str| {
        let leaf = EpochLeaf { group, ..leaf(LeafKey::Ed25519([7; 32])) };
        root.certificate.leaf(&leaf).map(drop)
    };
    assert_eq!(with("a"), Ok(()));
    assert_eq!(with(&"a".repeat(64)), Ok(()));
    let long = "a".repeat(65);
    for wrong in ["", &long, "a,CN=b", "a+CN=b", "a\\", "A", "a b", "ä", "a\0"] {
        assert_eq!(with(wrong), Err(CertificateError::Group), "{wrong}");
    }
}

#[test]
fn issuer_url_may_be_long_but_only_ascii() {
    let root = Root::new();
    let long = format!("https://{}.example", "a".repeat(2_000));
    let with = |issuer: &str| {
        let leaf = EpochLeaf { issuer, ..leaf(LeafKey::Ed25519([7; 32])) };
        root.certificate.leaf(&leaf).map(drop)
    };
    assert_eq!(with(&long), Ok(()));
    for wrong in ["https://brökér.example", "https://a.example/\u{80}"] {
        assert_eq!(with(wrong), Err(CertificateError::Issuer), "{wrong}");
    }
}

/// RFC 5480 appendix A: two INTEGERs, each as short as it can be and never negative.
#[test]
fn signatures_become_two_integers_in_der() {
    let root = Root::new();
    let draft = || root.certificate.leaf(&leaf(LeafKey::Ed25519([7; 32]))).unwrap();
    let number = |start: &[u8], end: u8| {
        let mut number = [0; 32];
        number[..start.len()].copy_from_slice(start);
        number[31] = end;
        number
    };
    let plain = |first: u8| [&[first][..], &[0; 30], &[1]].concat();
    for (r, integer) in [
        (number(&[0x7f], 1), [&[0x02, 32][..], &plain(0x7f)].concat()),
        (number(&[0x80], 1), [&[0x02, 33, 0][..], &plain(0x80)].concat()),
        (number(&[], 1), vec![0x02, 1, 1]),
        (number(&[], 0x80), vec![0x02, 2, 0, 0x80]),
        (number(&[], 0), vec![0x02, 1, 0]),
    ] {
        let s = number(&[], 5);
        let der = draft().signed(&[r, s].concat()).unwrap();
        let content = [&integer[..], &[0x02, 1, 5]].concat();
        let length = u8::try_from(content.len()).unwrap();
        let expected = [&[0x30, length][..], &content].concat();
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.signature().raw_bytes(), expected);
        assert!(der.ends_with(&expected));
    }
    for length in [0, SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1, 2 * SIGNATURE_BYTES] {
        let outcome = draft().signed(&vec![1; length]);
        assert_eq!(outcome, Err(CertificateError::Signature), "{length}");
    }
}

#[test]
fn signed_bytes_are_the_certificates() {
    let (root, pair) = (Root::new(), Pair::new());
    let draft = root.certificate.leaf(&leaf(pair.leaf_key())).unwrap();
    let message = draft.message().to_vec();
    let der = draft.signed(&root.pair.sign(&message)).unwrap();
    let certificate = Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.tbs_certificate().to_der().unwrap(), message);
    let algorithm = certificate.signature_algorithm();
    assert_eq!(algorithm.oid.to_string(), "1.2.840.10045.4.3.2");
    assert_eq!(algorithm.parameters, None);
}

#[test]
fn accepts_root_certificate_for_its_own_key_only() {
    let (root, pair) = (Root::new(), Pair::new());
    let der = root.certificate.to_der().unwrap();
    let key = || root.pair.root_key();
    let again = RootCertificate::new(&der, key()).unwrap();
    assert_eq!(again, root.certificate);
    assert_eq!(again.to_der().unwrap(), der);
    let subject = Certificate::from_der(&der).unwrap();
    let subject = subject.tbs_certificate().subject().to_der().unwrap();
    assert_eq!(again.subject_der().unwrap(), subject);
    let of_itself = root.certify(&leaf(root.pair.leaf_key()));
    let trailing = [&der[..], &[0]].concat();
    for (der, key) in [
        (&der[..], pair.root_key()),
        (&root.certify(&leaf(pair.leaf_key())), pair.root_key()),
        (&of_itself, key()),
        (&trailing, key()),
        (&der[..der.len() - 1], key()),
        (&[], key()),
    ] {
        let outcome = RootCertificate::new(der, key);
        assert_eq!(outcome, Err(CertificateError::Root));
    }
}
