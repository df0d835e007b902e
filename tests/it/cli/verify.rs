//! End-to-end tests of `vouchsafe verify`, against a broker with an HSM.

mod site;

use ring::hkdf::{HKDF_SHA256, Prk};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use site::{Ended, Site, issuer, run, vouchsafe};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use vouchsafe_harness::broker::profile_folder;
use vouchsafe_harness::bundle::{API, EDDSA, EPOCH_SECONDS, HSM, HSM_ES256, IssuerFile};
use vouchsafe_harness::hsm::{GatewaySetup, epoch_at, eventually};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued, base64url, from_base64url};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::now;

/// Runs a check twice, for the text and the JSON report of what is wrong.
#[track_caller]
fn refused(check: impl Fn(&[&str]) -> Ended, place: &str, reason: &str, hint: Option<&str>) {
    let ended = check(&[]);
    let hint = hint.map(|hint| format!("hint: {hint}"));
    let error = format!("error: invalid token: {reason}\n");
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{reason}");
    assert!(ended.stderr.starts_with(&error), "{}", ended.stderr);
    let rest = &ended.stderr[error.len()..];
    match hint {
        Some(hint) => assert!(rest.starts_with(&hint), "{rest}"),
        None => assert_eq!(rest, ""),
    }
    let ended = check(&["--format", "json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""), "{reason}");
    let said: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let expected = json!({ "valid": false, "check": place, "reason": reason });
    assert_eq!(said, expected);
}

/// The list is signed with an epoch key too, which the pinned root certifies.
#[test]
fn refuses_revoked_tokens_if_asked() {
    let issuer = issuer();
    let site = Site::with(GatewaySetup::initialized(), &issuer);
    let root = site.path("root.pem");
    let options = ["--pin-root", root.as_str(), "--revocations"];
    let (token, other) = (site.issue(&issuer, API), site.issue(&issuer, API));
    assert_eq!(site.verify(API, &options, &token.jwt).code, 0);
    let form = vouchsafe_harness::administration::form("/revoke", &token.jwt);
    assert_eq!(site.broker.send(&form).status, 200);
    eventually("the list has the token", || {
        let list = Issued::parse(&site.broker.get("/revocations").text());
        (list.claims["tokens"] == json!([token.claims["jti"]])).then_some(())
    });
    let check = |more: &[&str]| site.verify(API, &[&options[..], more].concat(), &token.jwt);
    refused(check, "revoked", "the token is revoked", None);
    assert_eq!(site.verify(API, &options, &other.jwt).code, 0);
    assert_eq!(site.verify(API, &options[..2], &token.jwt).code, 0, "without the list");
}

#[test]
fn names_signer_of_valid_token() {
    let issuer = issuer();
    let site = Site::with(GatewaySetup::initialized(), &issuer);
    let root = site.path("root.pem");
    let pin = ["--pin-root", root.as_str()];
    for (audience, algorithm) in [(API, "ES256"), (EDDSA, "EdDSA")] {
        let token = site.issue(&issuer, audience);
        let ended = site.verify(audience, &pin, &token.jwt);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        let lines: Vec<_> = ended.stdout.lines().collect();
        assert_eq!(lines.len(), 8, "{lines:?}");
        let signature = format!("signature  {algorithm} by {}", token.kid());
        let key = format!(
            "key        CN=generation 1 epoch {} {algorithm},OU=default,O=Vouchsafe",
            epoch_at(token.number("iat"))
        );
        let subject = format!("subject    {}", token.claims["sub"]);
        assert_eq!([lines[0], lines[1], lines[5]], [&signature, &key, &subject].map(String::as_str));
        assert_eq!(lines[3], format!("issuer     \"{}\"", site.url));
        assert_eq!(lines[4], format!("audience   \"{audience}\""));
        let scope = token.claims.get("scope").map_or("none".to_owned(), ToString::to_string);
        assert_eq!(lines[6], format!("scope      {scope}"));
        assert!(lines[2].starts_with("pinned     CN=root "), "{lines:?}");
        let seconds: u64 = lines[7]
            .strip_prefix("expires    in ")
            .and_then(|rest| rest.strip_suffix(" s")?.parse().ok())
            .expect("seconds");
        assert!((1..=300).contains(&seconds), "{lines:?}");

        // The same on standard input, with and without a final newline.
        let json = ["--format", "json", "-"];
        for end in ["", "\n", "\r\n"] {
            let stdin = format!("{}{end}", token.jwt);
            let named = ["--broker", &site.url, "--audience", audience];
            let ended = vouchsafe(&[&named, &pin[..], &json].concat(), stdin.as_bytes());
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
            let said: Value = serde_json::from_str(&ended.stdout).expect("JSON");
            assert_eq!(
                (&said["valid"], &said["alg"], &said["kid"], &said["claims"]),
                (&true.into(), &algorithm.into(), &token.kid().into(), &token.claims)
            );
            let start = epoch_at(token.number("iat"));
            let pinned = &said["pinned"];
            assert_eq!(pinned["not_before"], start - 2 * EPOCH_SECONDS);
            assert_eq!(pinned["not_after"], start + 2 * EPOCH_SECONDS);
            assert_eq!(lines[2], format!("pinned     {}", pinned["root"].as_str().expect("text")));
            assert_eq!(lines[1], format!("key        {}", pinned["subject"].as_str().unwrap()));
        }
    }
    // Keys of tier `hsm` have no certificate.
    for audience in [API, HSM, HSM_ES256] {
        let token = site.issue(&issuer, audience);
        let ended = site.verify(audience, &[], &token.jwt);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{audience}");
        assert!(ended.stdout.contains("\npinned     no; "), "{audience}");
        let ended = site.verify(audience, &["--format", "json"], &token.jwt);
        let said: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!((&said["valid"], &said["pinned"]), (&true.into(), &Value::Null));
    }
    site.broker.assert_healthy();
}

/// `jwt` with another byte at `place` of part `part`.
fn corrupt(jwt: &str, part: usize, place: usize) -> String {
    let mut parts: Vec<_> = jwt.split('.').map(str::to_owned).collect();
    let mut bytes = from_base64url(&parts[part]).expect("base64url");
    bytes[place] ^= 1;
    parts[part] = base64url(bytes);
    parts.join(".")
}

#[test]
fn reports_first_failed_check() {
    let issuer = issuer();
    let site = Site::with(GatewaySetup::initialized(), &issuer);
    let root = site.path("root.pem");
    let token = site.issue(&issuer, API);
    let pinned = |token: &str| {
        let (site, token, root) = (&site, token.to_owned(), root.clone());
        move |more: &[&str]| {
            let pin = ["--pin-root", root.as_str()];
            site.verify(API, &[&pin[..], more].concat(), &token)
        }
    };
    let unsigned = "the signature does not verify";
    for jwt in [
        corrupt(&token.jwt, 2, 0),
        corrupt(&token.jwt, 2, 63),
        // A digit of `exp`, so that it stays JSON.
        {
            let claims = token.claims.to_string();
            let exp = token.number("exp");
            let longer = claims.replace(&exp.to_string(), &(exp + 1).to_string());
            let [header, _, signature] = token.jwt.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
            format!("{header}.{}.{signature}", base64url(longer))
        },
    ] {
        refused(pinned(&jwt), "signature", unsigned, None);
    }
    refused(pinned("no.good.token"), "token", "the token is malformed", None);
    let stranger = jwt::mint_raw(
        &Key::stranger("ES256"),
        json!({ "alg": "ES256", "kid": token.kid(), "typ": "at+jwt" }).to_string(),
        token.claims.to_string(),
    );
    refused(pinned(&stranger), "signature", unsigned, None);
    let unknown = jwt::mint_raw(
        &Key::stranger("ES256"),
        json!({ "alg": "ES256", "kid": "nobody's", "typ": "at+jwt" }).to_string(),
        token.claims.to_string(),
    );
    let long_over = "the token's epoch ended long ago";
    refused(pinned(&unknown), "key", "no such key in the key set", Some(long_over));
    let elsewhere = |more: &[&str]| site.verify(EDDSA, &[&["--pin-root", &root][..], more].concat(), &token.jwt);
    let mismatch = format!("`aud` is `{API}`, not `{EDDSA}`");
    refused(elsewhere, "claims", &mismatch, None);
    check_missing_certificates(&site, &issuer, &token, &root);
    site.broker.assert_healthy();
}

fn check_missing_certificates(site: &Site, issuer: &Issuer, token: &Issued, root: &str) {
    let in_hsm = site.issue(issuer, HSM_ES256);
    refused(
        |more: &[&str]| site.verify(HSM_ES256, &[&["--pin-root", root][..], more].concat(), &in_hsm.jwt),
        "certificate",
        "the key has no certificate",
        Some("keys of tier `hsm` have no certificate"),
    );
    // A key set without its certificates, as an attacker without the root would serve it.
    let mut bare = site.broker.jwks();
    for key in bare["keys"].as_array_mut().expect("keys") {
        key.as_object_mut().expect("a JWK").remove("x5c");
    }
    let bare = site.write("bare.json", &bare.to_string());
    let with_bare = |more: &[&str]| site.verify_with(&bare, more, &token.jwt);
    assert_eq!(with_bare(&[]).code, 0, "accepted without the pin");
    refused(
        |more: &[&str]| with_bare(&[&["--pin-root", root][..], more].concat()),
        "certificate",
        "the key has no certificate",
        Some("keys of tier `hsm` have no certificate"),
    );
}

/// An attacker in the broker's place who has another HSM, and so another root.
#[test]
fn rejects_token_of_another_root() {
    let issuer = issuer();
    let (site, stranger) =
        (Site::with(GatewaySetup::initialized(), &issuer), Site::with(GatewaySetup::initialized(), &issuer));
    let root = site.path("root.pem");
    let token = stranger.issue(&issuer, API);
    assert_eq!(stranger.verify(API, &[], &token.jwt).code, 0);
    let chain = "the certificate is not signed by the pinned root";
    let hint = Some("the root was replaced, or the keys are not the broker's");
    let pin = ["--pin-root", root.as_str()];
    refused(|more: &[&str]| stranger.verify(API, &[&pin[..], more].concat(), &token.jwt), "certificate", chain, hint);
}

/// A root may certify keys of several issuers: a seed of one signs nothing for another.
#[test]
fn rejects_key_certified_for_another_issuer() {
    let issuer = issuer();
    let site = Site::with(GatewaySetup::initialized(), &issuer);
    let root = site.path("root.pem");
    let credential = &site.setup.other_credential;
    let start = epoch_at(now());
    let seed = site.gateway.ask_as(
        credential,
        "/v1/epoch-seed",
        Some(&json!({ "group": "other", "generation": 1, "algorithm": "EdDSA", "epoch_start": start })),
    );
    assert_eq!(seed.status, 200, "{}", seed.text());
    let seed = from_base64url(seed.json()["seed"].as_str().expect("a seed")).expect("base64url");
    // docs/epoch-keys.md: candidate 0.
    let mut private = [0; 32];
    Prk::new_less_safe(HKDF_SHA256, &seed)
        .expand(&[b"vouchsafe-epoch-v1 EdDSA key \0\0\0\0"], HKDF_SHA256)
        .and_then(|material| material.fill(&mut private))
        .expect("32 bytes");
    let pair = Ed25519KeyPair::from_seed_unchecked(&private).expect("a key");
    let keys = site.gateway.ask_as(credential, "/v1/keys", None).json();
    let keys = keys["groups"][0]["epoch_keys"].as_array().expect("keys");
    let theirs =
        keys.iter().find(|key| key["jwk"]["x"] == base64url(pair.public_key())).expect("the seed's key is certified");
    let jwks = json!({ "keys": [theirs["jwk"]] }).to_string();
    let jwks = site.write("theirs.json", &jwks);
    let claims = json!({ "iss": site.url, "aud": API, "sub": "main:repo", "exp": now() + 300 });
    let header = json!({ "alg": "EdDSA", "kid": theirs["jwk"]["kid"], "typ": "at+jwt" });
    let forged = jwt::mint_raw(&Key::EdDsa(pair), header.to_string(), claims.to_string());
    let accepted = site.verify_with(&jwks, &[], &forged);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    let pin = ["--pin-root", root.as_str()];
    refused(
        |more: &[&str]| site.verify_with(&jwks, &[&pin[..], more].concat(), &forged),
        "certificate",
        "the certificate is for another issuer",
        None,
    );
}

/// Keys of other times: the gateway's and the broker's clocks are wrong, the verifier's is right.
#[test]
fn accepts_certificate_while_key_is_published() {
    let issuer = issuer();
    let keys = GatewaySetup::initialized();
    let far = 4 * EPOCH_SECONDS;
    for (at, reason) in
        [(now() - far, "the certificate has expired"), (now() + far, "the certificate is not valid yet")]
    {
        let site = Site::start(keys.twin(), at, &issuer.files(), issuer.origin());
        let root = site.path("root.pem");
        let token = site.issue(&issuer, API);
        let pin = ["--pin-root", root.as_str()];
        refused(
            |more: &[&str]| site.verify(API, &[&pin[..], more].concat(), &token.jwt),
            "certificate",
            reason,
            Some("check this machine's clock"),
        );
        let reason = if at < now() { "expired" } else { "not valid yet" };
        refused(|more: &[&str]| site.verify(API, more, &token.jwt), "claims", reason, None);
    }
}

#[track_caller]
fn fails(arguments: &[&str], stdin: &[u8], code: i32, words: &str) {
    let ended = vouchsafe(arguments, stdin);
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
}

fn check_input(by: &[&str], token: &str) {
    let hint = "error: no token\nhint: the command before the pipe wrote nothing";
    let json = ["--format", "json", "-"];
    for stdin in [&b""[..], b"\n", b" \r\n\t"] {
        fails(&[by, &["-"]].concat(), stdin, 2, hint);
        fails(&[by, &json].concat(), stdin, 2, hint);
    }
    fails(&[by, &[""]].concat(), b"", 2, hint);
    let no_text = "error: standard input: not valid UTF-8";
    fails(&[by, &["-"]].concat(), b"\xff.\xff.\xff", 2, no_text);
    // The first 256 KiB alone would be valid.
    let kib_256 = 256 * 1024;
    let mut long = token.as_bytes().to_vec();
    long.resize(kib_256, b' ');
    let ended = vouchsafe(&[by, &["-"]].concat(), &long);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    long.push(b'x');
    let too_long = "error: standard input: larger than 262144 bytes";
    fails(&[by, &["-"]].concat(), &long, 2, too_long);
}

fn check_arguments(site: &Site, by: &[&str], token: &str) {
    let (keys, gone) = (site.path("keys.json"), site.path("gone"));
    let pin = |file: &str, words: &str| {
        fails(&[by, &["--pin-root", file, token]].concat(), b"", 2, words);
    };
    pin(&gone, "gone: No such file");
    let no_root = "the file contains no PEM certificate of a root signing key\n\
                   hint: `hsm-gateway root-certificate` prints the certificate";
    pin(&keys, no_root);
    let jwk = &site.broker.jwks()["keys"][0];
    let leaf = jwk["x5c"][0].as_str().expect("a certificate");
    let leaf = format!("-----BEGIN CERTIFICATE-----\n{leaf}\n-----END CERTIFICATE-----\n");
    pin(&site.write("leaf.pem", &leaf), no_root);
    for (arguments, words) in [
        (&["--audience", API, token][..], "--broker <URL>"),
        (&["--broker", &site.url, token], "--audience <A>"),
        (&["--jwks", &keys, "--audience", API, token], "--broker <URL>"),
        (&["--issuer", &site.url, "--audience", API, token], "--jwks <FILE>"),
        (&["--broker", &site.url, "--audience", API, &keys], "keys.json` is a file, not a token"),
        (&["--jwks", &gone, "--issuer", &site.url, "--audience", API, token], "gone: No such file"),
        (&["--broker", "http://broker.example", "--audience", API, token], "is not https"),
    ] {
        fails(arguments, b"", 2, words);
    }
}

#[test]
fn distinguishes_usage_token_and_network_errors() {
    let issuer = issuer();
    let site = Site::with(GatewaySetup::initialized(), &issuer);
    let token = site.issue(&issuer, API).jwt;
    let by = ["--broker", &site.url, "--audience", API];
    check_input(&by, &token);
    check_arguments(&site, &by, &token);
    let keys = site.path("keys.json");
    // A gateway instead of a broker; a broker with another issuer URL; nothing listening.
    let gateway = site.setup.url();
    fails(&["--broker", &gateway, "--audience", API, &token], b"", 3, "no OAuth metadata at");
    let named = site.url.replace("127.0.0.1", "localhost");
    fails(&["--broker", &named, "--audience", API, &token], b"", 2, "the broker's issuer is");
    site.broker.kill();
    fails(&[&by[..], &["--retries", "0", &token]].concat(), b"", 3, "no answer from");
    assert_eq!(site.verify_with(&keys, &[], &token).code, 0, "the file is enough");
}

/// A dev issuer, which behaves like GitHub's token service.
struct DevIssuer {
    child: Child,
    url: String,
}

impl DevIssuer {
    fn start() -> Self {
        let mut child = Command::new(profile_folder().join("vouchsafe"))
            .args(["dev-issuer", "--listen", "127.0.0.1:0", "--request-token", "request-token"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on ");
        let url = url.expect("where it listens").to_owned();
        Self { child, url }
    }
}

impl Drop for DevIssuer {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A shell runs each example of `--help`; only the broker's URL is replaced.
#[test]
fn runs_every_example_of_help() {
    let dev = DevIssuer::start();
    let main = IssuerFile::new("main", &dev.url, "");
    let site = Site::start(GatewaySetup::initialized(), now(), &[main], dev.url.clone());
    let help = vouchsafe(&["--help"], b"");
    assert_eq!(help.code, 0, "{}", help.stderr);
    assert!(help.stdout.contains("Exit codes: 0 the token is valid, 1 it is not"), "{}", help.stdout);
    let (_, examples) = help.stdout.split_once("Examples:\n").expect("examples");
    let examples = examples.replace("|\n", "| ");
    let examples: Vec<_> = examples.lines().filter(|it| !it.trim().is_empty()).collect();
    assert_eq!(examples.len(), 4, "{examples:?}");
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", profile_folder().display());
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-euc", script])
            .current_dir(site.folder())
            .env("PATH", &path)
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/token?api-version=2.0", dev.url))
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")
            .env_remove("GITHUB_ACTIONS");
        run(&mut command, b"")
    };
    let get = format!("vouchsafe token --broker {} --audience {API} > token", site.url);
    let got = shell(&get);
    assert_eq!(got.code, 0, "{}", got.stderr);
    for example in examples {
        let example = example.replace("https://broker.example", &site.url);
        let example = example.replace("http://127.0.0.1:3000", &site.url);
        let ended = shell(&example);
        assert_eq!(ended.code, 0, "{example}: {}", ended.stderr);
        let pinned = ended.stdout.contains("pinned     CN=root");
        assert_eq!(pinned, example.contains("--pin-root"), "{}", ended.stdout);
    }
}
