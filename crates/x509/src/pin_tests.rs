use super::*;
use crate::testing::{HOUR, ISSUER, NOW, Pair, Root, leaf};
use crate::{EpochLeaf, RootKey};
use x509_cert::SubjectPublicKeyInfo;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{BitString, Ia5String, ObjectIdentifier, OctetString, UintRef};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, EncodePem as _};
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsages};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::{Time, Validity};

const SERVER_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const UNKNOWN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1");

fn pinned(root: &Root) -> PinnedRoot {
    PinnedRoot::from_pem(root.certificate.to_pem().unwrap().as_bytes()).unwrap()
}

/// A certificate that no gateway issues.
struct Odd {
    issuer: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Odd {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        "CN=odd".parse().unwrap()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

fn extension(value: impl ToExtension, critical: bool) -> Extension {
    let name = Name::default();
    let Ok(mut extension) = value.to_extension(&name, &[]) else { panic!("an extension") };
    extension.critical = critical;
    extension
}

fn usage(usages: KeyUsages) -> Extension {
    extension(&KeyUsage(usages.into()), true)
}

fn authority(ca: bool) -> Extension {
    let constraints = BasicConstraints { ca, path_len_constraint: None };
    extension(&constraints, true)
}

fn url(text: &str) -> GeneralName {
    GeneralName::UniformResourceIdentifier(Ia5String::new(text).unwrap())
}

fn names(names: Vec<GeneralName>) -> Extension {
    extension(&SubjectAltName(names), false)
}

fn odd(root: &Root, key: SubjectPublicKeyInfo, extensions: Vec<Extension>) -> Vec<u8> {
    let own = Certificate::from_der(&root.certificate.to_der().unwrap()).unwrap();
    let profile = Odd { issuer: own.tbs_certificate().subject().clone(), extensions };
    let time = |seconds| Time::from(DateTime::from_unix_duration(Duration::from_secs(seconds)).unwrap());
    let validity = Validity::new(time(NOW - HOUR), time(NOW + HOUR));
    let serial = SerialNumber::new(&[7]).unwrap();
    let mut builder = CertificateBuilder::new(profile, serial, validity, key).unwrap();
    let signer: RootKey = root.pair.root_key();
    let message = builder.finalize(&signer).unwrap();
    let signature = root.pair.sign(&message);
    let (r, s) = signature.split_at(32);
    let value = vec![UintRef::new(r).unwrap(), UintRef::new(s).unwrap()];
    let bits = BitString::from_bytes(&value.to_der().unwrap()).unwrap();
    builder.assemble(bits, &signer).unwrap().to_der().unwrap()
}

#[test]
fn verifies_leaf_throughout_its_validity() {
    let (root, pair) = (Root::new(), Pair::new());
    let pinned = pinned(&root);
    for key in [pair.leaf_key(), LeafKey::Ed25519([7; 32])] {
        let leaf = leaf(key);
        let der = root.certify(&leaf);
        for (now, expected) in [
            (0, Err(PinError::NotYetValid)),
            (leaf.not_before - 1, Err(PinError::NotYetValid)),
            (leaf.not_before, Ok(())),
            (NOW, Ok(())),
            (leaf.not_after, Ok(())),
            (leaf.not_after + 1, Err(PinError::Expired)),
            (u64::MAX, Err(PinError::Expired)),
        ] {
            let outcome = pinned.vouches_for(&der, &key, ISSUER, now);
            assert_eq!(outcome.clone().map(drop), expected, "{now}");
            if let Ok(said) = outcome {
                assert_eq!(said.subject, format!("CN=generation 1 epoch {NOW} ES256,OU=default,O=Vouchsafe"));
                assert!(said.root.starts_with("CN=root "), "{}", said.root);
                let validity = (said.not_before, said.not_after);
                assert_eq!(validity, (leaf.not_before, leaf.not_after));
            }
        }
    }
}

#[test]
fn reports_first_fault_of_a_leaf() {
    let (root, stranger, pair) = (Root::new(), Root::new(), Pair::new());
    let pinned = pinned(&root);
    let key = pair.leaf_key();
    let says = |der: &[u8], key: &LeafKey, issuer: &str, now: u64, expected: PinError| {
        let outcome = pinned.vouches_for(der, key, issuer, now);
        assert_eq!(outcome, Err(expected), "{expected}");
    };
    let der = root.certify(&leaf(key));
    let (other, late) = ("https://other.example", NOW + 3 * HOUR);
    let wrong = Pair::new().leaf_key();
    // Each also has all faults of those below it.
    says(&[], &wrong, other, late, PinError::Malformed);
    let of_another = stranger.certify(&leaf(key));
    says(&of_another, &wrong, other, late, PinError::Expired);
    says(&of_another, &wrong, other, NOW, PinError::Chain);
    says(&der, &wrong, other, NOW, PinError::Issuer);
    says(&der, &wrong, ISSUER, NOW, PinError::Key);
    says(&der, &LeafKey::Ed25519(pair.point().0), ISSUER, NOW, PinError::Key);
    // A URL is compared byte by byte.
    for near in ["https://broker.example/", "https://Broker.example", ""] {
        says(&der, &key, near, NOW, PinError::Issuer);
    }
    let (x, y) = pair.point();
    says(&der, &LeafKey::P256 { x: y, y: x }, ISSUER, NOW, PinError::Key);
}

#[test]
fn rejects_truncated_and_extended_input() {
    let (root, pair) = (Root::new(), Pair::new());
    let pinned = pinned(&root);
    let der = root.certify(&leaf(pair.leaf_key()));
    let added = [&der[..], &[0]].concat();
    for wrong in [&der[..der.len() - 1], &der[1..], &added, b"\x30\x00", b"x"] {
        let outcome = pinned.vouches_for(wrong, &pair.leaf_key(), ISSUER, NOW);
        assert_eq!(outcome, Err(PinError::Malformed));
    }
}

/// A certificate with the root's name but another signature: without the root, everything else can be forged.
#[test]
fn rejects_signature_of_another_root() {
    let (root, pair) = (Root::new(), Pair::new());
    let draft = || root.certificate.leaf(&leaf(pair.leaf_key())).unwrap();
    let message = draft().message().to_vec();
    for signature in [Pair::new().sign(&message), root.pair.sign(b"x"), vec![1; 64]] {
        let der = draft().signed(&signature).unwrap();
        let outcome = pinned(&root).vouches_for(&der, &pair.leaf_key(), ISSUER, NOW);
        assert_eq!(outcome, Err(PinError::Chain));
    }
}

/// The root signed each of them, but not only for signing tokens.
#[test]
fn rejects_certificate_of_another_use_or_name() {
    let (root, pair) = (Root::new(), Pair::new());
    let (pinned, key) = (pinned(&root), pair.leaf_key());
    let (signs, named) = (usage(KeyUsages::DigitalSignature), names(vec![url(ISSUER)]));
    let server = ExtendedKeyUsage(vec![SERVER_AUTHENTICATION]);
    let unknown =
        |critical| Extension { extn_id: UNKNOWN, critical, extn_value: OctetString::new(*b"\x05\x00").unwrap() };
    let dns = GeneralName::DnsName(Ia5String::new("broker.example").unwrap());
    for (extensions, expected) in [
        (vec![signs.clone(), named.clone()], Ok(())),
        (vec![authority(false), signs.clone(), named.clone()], Ok(())),
        (vec![signs.clone(), named.clone(), unknown(false)], Ok(())),
        (vec![signs.clone(), named.clone(), unknown(true)], Err(PinError::Malformed)),
        (vec![authority(true), signs.clone(), named.clone()], Err(PinError::Constraints)),
        (vec![named.clone()], Err(PinError::Constraints)),
        (vec![usage(KeyUsages::KeyAgreement), named.clone()], Err(PinError::Constraints)),
        (vec![usage(KeyUsages::KeyCertSign), named.clone()], Err(PinError::Constraints)),
        (vec![signs.clone(), named.clone(), extension(&server, false)], Err(PinError::Constraints)),
        (vec![signs.clone()], Err(PinError::Issuer)),
        (vec![signs.clone(), names(vec![])], Err(PinError::Issuer)),
        (vec![signs.clone(), names(vec![dns.clone()])], Err(PinError::Issuer)),
        (vec![signs.clone(), names(vec![url(ISSUER), dns])], Err(PinError::Issuer)),
        (vec![signs.clone(), names(vec![url(ISSUER), url("https://other.example")])], Err(PinError::Issuer)),
    ] {
        let der = odd(&root, key.info().unwrap(), extensions.clone());
        let outcome = pinned.vouches_for(&der, &key, ISSUER, NOW).map(drop);
        assert_eq!(outcome, expected, "{extensions:?}");
    }
}

#[test]
fn pin_must_be_a_ca_certificate() {
    let (root, pair) = (Root::new(), Pair::new());
    let pem = |der: &[u8]| {
        let certificate = Certificate::from_der(der).unwrap();
        certificate.to_pem(LineEnding::LF).unwrap()
    };
    let of = |extensions: Vec<Extension>| pem(&odd(&root, key_of(&pair), extensions));
    let may = usage(KeyUsages::KeyCertSign);
    for (file, expected) in [
        (root.certificate.to_pem().unwrap(), None),
        (root.certificate.to_pem().unwrap().replace('\n', "\r\n"), None),
        (of(vec![authority(true), may.clone()]), None),
        (of(vec![authority(true)]), Some(PinError::Root)),
        (of(vec![may.clone()]), Some(PinError::Root)),
        (of(vec![authority(false), may]), Some(PinError::Root)),
        (of(vec![authority(true), usage(KeyUsages::DigitalSignature)]), Some(PinError::Root)),
        (pem(&root.certify(&leaf(pair.leaf_key()))), Some(PinError::Root)),
        (String::new(), Some(PinError::Root)),
        ("-----BEGIN CERTIFICATE-----\n".to_owned(), Some(PinError::Root)),
        (root.certificate.to_pem().unwrap().replace("CERTIFICATE", "PUBLIC KEY"), Some(PinError::Root)),
    ] {
        let outcome = PinnedRoot::from_pem(file.as_bytes());
        assert_eq!(outcome.err(), expected, "{file}");
    }
}

fn key_of(pair: &Pair) -> SubjectPublicKeyInfo {
    pair.leaf_key().info().unwrap()
}

/// Keys of several issuers and key groups may have one root; the group is not checked (docs/pinning.md).
#[test]
fn pin_distinguishes_issuers_but_not_groups() {
    let (root, pair) = (Root::new(), Pair::new());
    let key = pair.leaf_key();
    let other = EpochLeaf { group: "other", ..leaf(key) };
    let outcome = pinned(&root).vouches_for(&root.certify(&other), &key, ISSUER, NOW);
    assert!(outcome.unwrap().subject.contains("OU=other"));
}
