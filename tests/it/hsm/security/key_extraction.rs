//! No key leaves the PKCS#11 token: judged by the attributes of its keys, by attempts to extract them, and by every
//! call that the gateway makes from the first key to the last.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use vouchsafe_harness::bundle::{API, EDDSA, HSM, HSM_EDDSA, HSM_ES256};
use vouchsafe_harness::hsm::spy::{Call, calls};
use vouchsafe_harness::hsm::{
    self, At, GatewaySetup, KEY, PUBLISHED_SECONDS, Pkcs11Token, WITHDRAWN_SECONDS, issue_for, keys,
};
use vouchsafe_harness::now;

/// Not a test: [`Pkcs11Token::try_to_extract_keys`] runs it in a separate process.
#[test]
#[ignore = "run by the tests of keys that stay"]
fn extract_keys_in_own_process() {
    hsm::try_to_extract_keys();
}

/// Not a test: [`Pkcs11Token::check_key_attributes`] runs it in a separate process.
#[test]
#[ignore = "run by the tests of keys that stay"]
fn inspect_keys_in_own_process() {
    hsm::check_key_attributes();
}

/// Two roots, and the first version of each of four keys.
const KEYS: usize = 6;

/// Label, usage and access of each secret or private key, as the third-party tool `pkcs11-tool` lists them.
fn listed(token: &Pkcs11Token) -> Vec<[String; 3]> {
    let list = token.pkcs11_tool(&["--list-objects"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut objects: Vec<Vec<&str>> = Vec::new();
    for line in list.lines() {
        if line.starts_with(' ') {
            objects.last_mut().expect("an object").push(line);
        } else {
            objects.push(vec![line]);
        }
    }
    let has = |object: &Vec<&str>, kind: &str| object[0].starts_with(kind);
    objects.retain(|it| has(it, "Private Key Object") || has(it, "Secret Key Object"));
    let field = |object: &[&str], name: &str| {
        let mut lines = object.iter();
        let value = lines.find_map(|line| line.trim().strip_prefix(name));
        value.unwrap_or_default().trim().to_owned()
    };
    let said = |object: &Vec<&str>| ["label:", "Usage:", "Access:"].map(|it| field(object, it));
    objects.iter().map(said).collect()
}

#[track_caller]
fn check_listed(token: &Pkcs11Token, access: &str) {
    let objects = listed(token);
    let labels: BTreeSet<_> = objects.iter().map(|[label, ..]| label.as_str()).collect();
    let expected = [
        "vouchsafe:root",
        "vouchsafe:root-signing",
        "vouchsafe:token:eddsa:v1",
        "vouchsafe:token:es256:v1",
        "vouchsafe:token:rs256:v1",
        "vouchsafe:token:theirs:v1",
    ];
    assert_eq!(labels, BTreeSet::from(expected));
    for [label, usage, found] in &objects {
        // For secret keys it lists only whether they encrypt or wrap; `check_key_attributes` checks the rest.
        let signs = usage == "sign" || label == "vouchsafe:root" && usage == "none";
        assert!(signs, "{label}: {usage}");
        assert_eq!(found, access, "{label}");
    }
}

#[test]
fn generates_keys_that_never_leave_the_token() {
    let setup = GatewaySetup::initialized();
    check_listed(&setup.token, "sensitive, always sensitive, never extractable, local");
    setup.token.check_key_attributes(KEYS, false);
    let read = ["--read-object", "--type", "secrkey", "--label", "vouchsafe:root"];
    let read = setup.token.pkcs11_tool(&read);
    assert!(read.stdout.is_empty(), "{read:?}");
    setup.token.try_to_extract_keys(KEYS);
}

/// They were outside once, so they are not `never extractable`; but now they can't leave.
#[test]
fn makes_imported_keys_unextractable() {
    let setup = GatewaySetup::new(&Pkcs11Token::new());
    let shares = init_with_backup(&setup);
    let restored = setup.with_token(&Pkcs11Token::new());
    restore(&restored, &shares);
    for setup in [&setup, &restored] {
        check_listed(&setup.token, "sensitive");
        setup.token.check_key_attributes(KEYS, true);
        setup.token.try_to_extract_keys(KEYS);
    }
}

fn init_with_backup(setup: &GatewaySetup) -> [String; 2] {
    let folder = setup.folder.join("shares");
    std::fs::create_dir(&folder).expect("a folder");
    let shares = folder.display().to_string();
    let (code, text) = setup.run(&["init", "--with-backup", "2-of-3", "--shares", &shares]);
    assert_eq!(code, 0, "{text}");
    ["share-1-of-3", "share-3-of-3"].map(|name| folder.join(name).display().to_string())
}

fn restore(setup: &GatewaySetup, [first, second]: &[String; 2]) {
    let (code, text) = setup.run(&["restore", "--generation", "1", first, second]);
    assert_eq!(code, 0, "{text}");
}

/// The life of a gateway, in which each process logs its calls to its own file.
struct Life {
    setup: GatewaySetup,
    files: usize,
}

impl Life {
    fn new(token: &Pkcs11Token) -> Self {
        // With one session, the calls of a process are in sequence.
        let setup = GatewaySetup::new(token).change("pin_file", "sessions = 1\npin_file");
        Self { setup: setup.with_spy().0, files: 0 }
    }

    fn next(&mut self) -> GatewaySetup {
        self.files += 1;
        let file = self.setup.folder.join(format!("calls-{}", self.files));
        self.setup.clone().with_spy_output(&file)
    }

    #[track_caller]
    fn runs(&mut self, command: &[&str], code: i32) {
        let (ended, text) = self.next().run(command);
        assert_eq!(ended, code, "{command:?}: {text}");
    }

    fn serves(&mut self, at: u64) -> (GatewaySetup, At) {
        let setup = self.next();
        let at = At::new(&setup, at);
        (setup, at)
    }

    fn calls(&self) -> Vec<Call> {
        let file = |number| self.setup.folder.join(format!("calls-{number}"));
        let files = (1..=self.files).map(file);
        files.flat_map(|file| calls(Path::new(&file))).collect()
    }

    /// Exchanges in both tiers and all algorithms, every operation on a version, both kinds of emergency, and all
    /// read-only commands.
    fn goes_by(&mut self) {
        for command in ["status", "doctor", "root-certificate"] {
            self.runs(&[command], 0);
        }
        let (setup, at) = self.serves(now() + 10);
        exchange(&at);
        keys(&[&setup], &["stage", KEY]).is(0, "2 pending");
        let staged = at.now();
        drop(at);
        let (setup, at) = self.serves(staged + PUBLISHED_SECONDS + 5);
        let ask = |arguments: &[&str]| keys(&[&setup], arguments);
        let broker = format!("http://{}", at.fixture.broker.address);
        ask(&["canary", KEY, "100%"]).is(0, "2 canary 100%");
        exchange(&at);
        ask(&["promote", KEY, "--broker", &broker]).is(0, "1 retiring, 2 active");
        exchange(&at);
        ask(&["rollback", KEY]).is(0, "1 active, 2 pending");
        ask(&["canary", KEY, "100%"]).is(0, "2 canary 100%");
        ask(&["promote", KEY, "--broker", &broker]).is(0, "1 retiring, 2 active");
        let rotate = ["rotate", "--emergency", "--broker", &broker, "--timeout", "60"];
        ask(&rotate).is(0, "generation 2");
        exchange(&at);
        let retired = at.now() + WITHDRAWN_SECONDS + 5;
        drop(at);
        let (setup, at) = self.serves(retired);
        let ask = |arguments: &[&str]| keys(&[&setup], arguments);
        ask(&["retire", KEY]).is(0, "1 retired, 2 active");
        ask(&["retire", KEY, "--version", "1", "--destroy"]).is(0, "1 destroyed, 2 active");
        exchange(&at);
        drop(at);
        // By this machine's clock, the previous rotation was a moment ago.
        self.runs(&["rotate", "--emergency", "--although-unpublished"], 0);
        self.runs(&["doctor"], 0);
    }
}

fn exchange(at: &At) {
    for audience in [API, EDDSA, HSM, HSM_EDDSA, HSM_ES256] {
        let claims = at.fixture.issuer.claims(at.now());
        let token = issue_for(&at.fixture, audience, &claims);
        assert!(token.verifies(&at.fixture.broker.jwks()), "{audience}");
    }
}

/// Attributes that the gateway reads: identity, permitted uses, and public values.
const LOOKED_AT: [&str; 15] = [
    "CKA_DECRYPT",
    "CKA_DERIVE",
    "CKA_EC_POINT",
    "CKA_ENCRYPT",
    "CKA_EXTRACTABLE",
    "CKA_ID",
    "CKA_KEY_TYPE",
    "CKA_LABEL",
    "CKA_MODULUS",
    "CKA_NEVER_EXTRACTABLE",
    "CKA_PUBLIC_EXPONENT",
    "CKA_SENSITIVE",
    "CKA_SIGN",
    "CKA_UNWRAP",
    "CKA_WRAP",
];

/// All functions that it calls: none of `C_WrapKey`, `C_UnwrapKey`, `C_DeriveKey`, `C_CopyObject`, `C_Decrypt…`.
const CALLED: [&str; 24] = [
    "C_CloseAllSessions",
    "C_CloseSession",
    "C_CreateObject",
    "C_DestroyObject",
    "C_Finalize",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_FindObjectsInit",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_GetAttributeValue",
    "C_GetFunctionList",
    "C_GetInfo",
    "C_GetInterface",
    "C_GetMechanismList",
    "C_GetSessionInfo",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_Initialize",
    "C_Login",
    "C_OpenSession",
    "C_SetAttributeValue",
    "C_Sign",
    "C_SignInit",
];

/// Whether a call reads anything other than [`LOOKED_AT`] and the value of a certificate.
fn asks_for_more(call: &Call) -> bool {
    let is_certificate = call.class.as_deref() == Some("CKO_CERTIFICATE");
    let mut asked = call.attributes().into_iter();
    asked.any(|it| !(LOOKED_AT.contains(&it) || is_certificate && it == "CKA_VALUE"))
}

/// Checks that every call is one that a gateway may make; `imports` allows it to put keys into the PKCS#11 token.
fn check(calls: &[Call], imports: bool) {
    let mut put_in = Vec::new();
    for call in calls {
        assert!(CALLED.contains(&call.function.as_str()), "{call:?}");
        let class = call.class.as_deref();
        match call.function.as_str() {
            "C_GetAttributeValue" => assert!(!asks_for_more(call), "{call:?}"),
            "C_SetAttributeValue" => {
                assert_eq!(call.attributes(), BTreeSet::from(["CKA_ID"]), "{call:?}");
            }
            "C_CreateObject" => match class {
                Some("CKO_CERTIFICATE") => {}
                Some("CKO_PUBLIC_KEY") => assert!(imports, "{call:?}"),
                _ => {
                    assert!(imports, "{call:?}");
                    stays(call);
                    put_in.extend(call.secrets());
                }
            },
            "C_GenerateKey" | "C_GenerateKeyPair" => stays(call),
            _ => assert!(call.secrets().is_empty(), "{call:?}"),
        }
    }
    assert_eq!(put_in.is_empty(), !imports);
    // Imported secrets never come back in the result of any call.
    for secret in &put_in {
        assert!(secret.len() >= 32, "{secret} is too short to search for");
        let has = |call: &&Call| call.bytes_back().contains(secret.as_str());
        assert!(!calls.iter().any(|call| has(&call)), "a secret was returned");
    }
}

/// Whether the template of a new key keeps it in the PKCS#11 token.
fn stays(call: &Call) {
    let template = match call.given.split_once("pPrivateKeyTemplate") {
        Some((_, private)) => Call { given: private.to_owned(), ..call.clone() },
        None => call.clone(),
    };
    for (attribute, truth) in [
        ("CKA_TOKEN", "True"),
        ("CKA_PRIVATE", "True"),
        ("CKA_SENSITIVE", "True"),
        ("CKA_EXTRACTABLE", "False"),
        ("CKA_SIGN", "True"),
        ("CKA_DECRYPT", "False"),
        ("CKA_DERIVE", "False"),
        ("CKA_UNWRAP", "False"),
    ] {
        assert_eq!(template.says(attribute), Some(truth), "{attribute}: {call:?}");
    }
}

/// Tests the check itself: `pkcs11-tool` does ask for values of private keys, although it gets none.
#[test]
fn detects_program_that_reads_a_key() {
    let setup = GatewaySetup::initialized();
    let file = setup.folder.join("calls");
    let listed = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(hsm::spy())
        .args(["--token-label", hsm::TOKEN, "--login", "--pin", hsm::PIN, "--list-objects"])
        .env("SOFTHSM2_CONF", setup.token.softhsm_file())
        .env("PKCS11SPY", hsm::module())
        .env("PKCS11SPY_OUTPUT", &file)
        .output()
        .expect("starts");
    assert!(listed.status.success(), "{listed:?}");
    let asked = |it: &Call| it.attributes().contains("CKA_VALUE") && asks_for_more(it);
    assert!(calls(&file).iter().any(asked));
}

fn count(calls: &[Call], function: &str) -> usize {
    calls.iter().filter(|it| it.function == function).count()
}

/// The third-party module `pkcs11-spy` logs every call that the gateway makes. The root's signatures are the seeds,
/// which brokers get; every other secret stays.
#[test]
fn never_reads_a_key_in_its_lifetime() {
    let mut life = Life::new(&Pkcs11Token::new());
    life.runs(&["init"], 0);
    life.goes_by();
    let calls = life.calls();
    check(&calls, false);
    // These happened: two roots, four first versions, one second version and a certificate made; one key destroyed.
    assert_eq!(count(&calls, "C_GenerateKey"), 1);
    assert_eq!(count(&calls, "C_GenerateKeyPair"), 6);
    assert_eq!(count(&calls, "C_CreateObject"), 1);
    assert_eq!(count(&calls, "C_DestroyObject"), 1);
    let signed = |class: &str| {
        let with = |it: &&Call| it.function == "C_SignInit" && it.class.as_deref() == Some(class);
        calls.iter().filter(with).count()
    };
    assert!(signed("CKO_SECRET_KEY") > 0 && signed("CKO_PRIVATE_KEY") > 0);
    let mut asked = calls.iter().filter(|it| it.function == "C_GetAttributeValue");
    let certificate = asked.any(|it| it.attributes().contains("CKA_VALUE"));
    assert!(certificate, "the read went unnoticed");
}

/// The same with keys made outside: they go in once, and nothing of them comes back.
#[test]
fn never_reads_a_key_during_backup_and_restore() {
    let mut life = Life::new(&Pkcs11Token::new());
    let shares = init_with_backup(&life.next());
    life.goes_by();
    let lost = life.calls();
    let mut found = Life::new(&Pkcs11Token::new());
    restore(&found.next(), &shares);
    found.goes_by();
    for (calls, made) in [(lost, 1), (found.calls(), 1)] {
        check(&calls, true);
        // The second version of one key has no backup, because it was made on the PKCS#11 token.
        assert_eq!(count(&calls, "C_GenerateKey"), 0);
        assert_eq!(count(&calls, "C_GenerateKeyPair"), made);
        // A root, five key pairs as two objects each, and a certificate.
        assert_eq!(count(&calls, "C_CreateObject"), 1 + 2 * 5 + 1);
        let is_key = |it: &&Call| {
            let class = it.class.as_deref();
            it.function == "C_CreateObject" && class != Some("CKO_CERTIFICATE")
        };
        let put_in = calls.iter().filter(is_key);
        let secrets: BTreeSet<String> = put_in.flat_map(Call::secrets).collect();
        // The root, the scalars, the Edwards key, and the six numbers of the RSA key.
        assert_eq!(secrets.len(), 1 + 3 + 1 + 6);
    }
}
