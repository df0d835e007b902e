//! A broker with a gateway behind it, and `vouchsafe verify` run against them.

pub use crate::cli::command::{Ended, run};
use std::path::Path;
use std::process::Command;
use vouchsafe_harness::broker::{Broker, Setup, profile_folder};
use vouchsafe_harness::bundle::{API, BROKER, IssuerFile};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::hsm::{Gateway, GatewaySetup};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

pub fn vouchsafe(arguments: &[&str], stdin: &[u8]) -> Ended {
    let mut command = Command::new(profile_folder().join("vouchsafe"));
    run(command.arg("verify").args(arguments), stdin)
}

/// A broker whose metadata can be fetched, and the gateway behind it.
pub struct Site {
    pub setup: GatewaySetup,
    pub gateway: Gateway,
    pub broker: Broker,
    pub url: String,
    pub at: u64,
}

impl Site {
    /// Starts both with their clocks at `at`.
    pub fn start(setup: GatewaySetup, at: u64, issuers: &[IssuerFile], origin: String) -> Self {
        let origins = [origin, setup.url()];
        let broker = Setup::of("spin.hsm.toml", issuers, &origins)
            .at_its_issuer_url()
            .variable("gateway_urls", &setup.url())
            .variable("gateway_token", &setup.credential)
            .variable("signer_hsm_algorithms", "ES256 EdDSA RS256");
        let issuer = broker.variables.iter().find(|(name, _)| name == "issuer");
        let url = issuer.expect("an issuer URL").1.clone();
        let gateway = setup.clone().change(BROKER, &url).at_time(at).start();
        let broker = broker.at_time(at).start();
        let (code, pem) = setup.run(&["root-certificate"]);
        assert_eq!(code, 0, "{pem}");
        let site = Self { setup, gateway, broker, url, at };
        site.write("root.pem", &pem);
        site.write("keys.json", &site.broker.jwks().to_string());
        site
    }

    /// Starts both now, trusting the realms of `issuer`.
    pub fn with(setup: GatewaySetup, issuer: &Issuer) -> Self {
        Self::start(setup, now(), &issuer.files(), issuer.origin())
    }

    pub fn folder(&self) -> &Path {
        &self.setup.folder
    }

    /// Writes a file into the gateway's folder; returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder().join(name), text).expect("a file");
        self.path(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    pub fn issue(&self, issuer: &Issuer, audience: &str) -> Issued {
        let claims = jwt::claims(&issuer.url("main"), &self.url, self.at);
        let form = Form::of(&jwt::mint("RS256", &claims)).set("audience", audience);
        let response = self.broker.send(&form.request());
        assert_eq!(response.status, 200, "{}", response.text());
        Issued::parse(response.json()["access_token"].as_str().expect("a token"))
    }

    /// Verifies with the broker's URL.
    pub fn verify(&self, audience: &str, more: &[&str], token: &str) -> Ended {
        let named = ["--broker", &self.url, "--audience", audience];
        vouchsafe(&[&named[..], more, &[token]].concat(), b"")
    }

    /// Verifies with a JWK Set in a file.
    pub fn verify_with(&self, jwks: &str, more: &[&str], token: &str) -> Ended {
        let named = ["--jwks", jwks, "--issuer", &self.url, "--audience", API];
        vouchsafe(&[&named[..], more, &[token]].concat(), b"")
    }
}

pub fn issuer() -> Issuer {
    Issuer::start([("main", Script::honest()), ("other", Script::honest())])
}
