//! `policy check --manifest`: what the signer of a manifest lacks, and what is for development.

use super::{default_bundle, root, run_check, said, scratch};
use std::fs;

/// The warnings of the bundle in `dir` with a manifest of the repository and further arguments.
fn warnings(dir: &str, manifest: &str, more: &[&str]) -> Vec<String> {
    let manifest = root().join(manifest).display().to_string();
    let (text, _) = run_check(&[&[dir, "--manifest", &manifest], more].concat()).expect("it runs");
    let warnings = text.lines().filter(|line| line.starts_with("warning["));
    warnings.map(|line| line.replace(&format!("{}/", root().display()), "")).collect()
}

#[test]
fn warns_of_audiences_that_no_signer_signs_for() {
    let dir = scratch("manifest-tier");
    let audience = dir.join("audiences/deploy.toml");
    let text = fs::read_to_string(&audience).expect("it reads");
    fs::write(&audience, text + "tier = \"hsm\"\n").expect("it writes");
    let shown = dir.display().to_string();
    assert_eq!(
        warnings(&shown, "spin.toml", &[]),
        ["warning[tier-unavailable]: spin.toml: audience `https://deploy.example` has tier `hsm`, but the signer \
          `signer-local` has no HSM"]
    );
    // Whether this manifest's broker offers the tier is not known before the variable is.
    assert_eq!(warnings(&shown, "spin.hsm.toml", &[]), [""; 0]);
    let offered = |algorithms: &str| {
        warnings(&shown, "spin.hsm.toml", &["--variable", &format!("signer_hsm_algorithms={algorithms}")])
    };
    assert_eq!(offered("RS256 ES256"), [""; 0]);
    assert_eq!(
        offered("RS256"),
        ["warning[algorithm-beyond-signer]: spin.hsm.toml: audience `https://deploy.example` has algorithm `ES256`, \
          which is not in `signer_hsm_algorithms`"]
    );
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn expects_the_database_of_the_store() {
    assert_eq!(warnings(&default_bundle(), "spin.postgres.toml", &[]), [""; 0]);
}

#[test]
fn warns_of_audiences_beyond_the_signer() {
    let dir = default_bundle();
    let listed =
        |audiences: &str| warnings(&dir, "spin.toml", &["--variable", &format!("signer_audiences={audiences}")]);
    for all in ["*", "https://api.example https://deploy.example", "https://deploy.example\nhttps://api.example other"]
    {
        assert_eq!(listed(all), [""; 0], "{all}");
    }
    assert_eq!(
        listed("https://api.example https://deploy.example/"),
        ["warning[audience-beyond-signer]: spin.toml: audience `https://deploy.example` is not in `signer_audiences`"]
    );
    let manifest = root().join("spin.toml").display().to_string();
    let variable = |text: &str| said(run_check(&[&dir, "--manifest", &manifest, "--variable", text]));
    let (message, hint, code) = variable("signer_audience=*");
    assert_eq!((message, code), (format!("`{manifest}` has no variable `signer_audience`"), 2));
    assert!(hint.is_some_and(|hint| hint.contains("signer_audiences, ")));
    assert_eq!(variable("issuer").0, "`issuer` is not a variable with its value");
}

#[test]
fn warns_of_development_in_production() {
    let dir = default_bundle();
    let expected = |broker: &str| {
        [
            format!(
                "warning[issuer-for-development]: issuers/dev.toml: issuer `dev` is for development, and the broker `{broker}` is not"
            ),
            "warning[host-for-development]: spin.toml: only issuers for development need `http://127.0.0.1:7000` of \
             `allowed_outbound_hosts`"
                .to_owned(),
        ]
    };
    let broker = "https://broker.example";
    assert_eq!(warnings(&dir, "spin.toml", &["--issuer", broker]), expected(broker));
    assert_eq!(warnings(&dir, "spin.toml", &["--variable", "issuer=https://a.example"]), expected("https://a.example"));
    for development in [&["--issuer", "http://127.0.0.1:3000"][..], &["--issuer", "http://localhost:3000"], &[]] {
        assert_eq!(warnings(&dir, "spin.toml", development), [""; 0], "{development:?}");
    }
    let (text, passed) = run_check(&[&dir, "--issuer", broker]).expect("it runs");
    assert!(passed && text.ends_with("0 errors, 0 warnings\n"), "without a manifest: {text}");
}
