//! Issuers that publish their keys only to authenticated clients, as a Kubernetes API server does.

use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::IssuerFile;
use vouchsafe_harness::exchange::{Form, Want, check, unavailable};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

const DOWN: Want = unavailable("issuer.unavailable");
const FIRST: &str = "vouchsafe-credential-first";
const SECOND: &str = "vouchsafe-credential-second";

fn file(issuer: &Issuer) -> IssuerFile {
    let lines = "keys = { discovery = true, bearer_file = \"cluster\" }\nkeys_max_age = \"30s\"\n";
    IssuerFile::new("main", issuer.url("main"), lines)
}

fn setup(issuer: &Issuer) -> Setup {
    let setup = Setup::broker(&[file(issuer)], &[issuer.origin()]);
    let folder = setup.folder.join("credentials");
    std::fs::create_dir_all(&folder).expect("a folder");
    setup.mount(&folder, "/credentials")
}

/// Presents a new token to a new broker at `now`; no credential may appear in its answer or log.
fn present(setup: &Setup, issuer: &Issuer, now: u64, want: Want) {
    let setup = setup.clone().at_time(now);
    let broker = setup.start();
    let token = jwt::mint("RS256", &issuer.claims(now));
    let secrets = format!("{FIRST}.{SECOND}.{token}");
    let answer = check(&broker, &Form::of(&token).request(), &secrets, want);
    answer.unwrap_or_else(|error| panic!("{error}"));
    broker.assert_healthy();
}

#[test]
fn reads_credential_on_each_fetch() {
    let issuer = Issuer::start([("main", Script::Guarded(FIRST.to_owned()))]);
    let setup = setup(&issuer);
    let put = |text: &str| {
        std::fs::write(setup.folder.join("credentials/cluster"), text).expect("a file");
    };
    let start = now();
    // None, a wrong one, one that would inject a header, the right one.
    present(&setup, &issuer, start, DOWN);
    assert_eq!(issuer.fetches("main"), 0, "the issuer was asked without a credential");
    put(SECOND);
    present(&setup, &issuer, start + 100, DOWN);
    assert_eq!(issuer.fetches("main"), 1);
    put("a\r\nx-evil: b");
    present(&setup, &issuer, start + 200, DOWN);
    assert_eq!(issuer.fetches("main"), 1, "the issuer was asked with an invalid credential");
    put(&format!("{FIRST}\n"));
    present(&setup, &issuer, start + 300, Want::Issued);
    assert_eq!(issuer.fetches("main"), 3);
    // Rotated.
    issuer.set_script("main", Script::Guarded(SECOND.to_owned()));
    put(SECOND);
    present(&setup, &issuer, start + 400, Want::Issued);
    assert_eq!(issuer.fetches("main"), 5);
}

#[test]
fn does_not_start_without_mounted_credentials() {
    let issuer = Issuer::honest();
    let said = Setup::broker(&[file(&issuer)], &[issuer.origin()]).try_start().err().expect("refused");
    let expected = "issuers/main.toml: `bearer_file` is read from /credentials, but nothing is mounted there";
    assert!(said.contains(expected), "{said}");
    assert_eq!(issuer.fetches_total(), 0);
}
