//! `vouchsafe keys`, and the states of key versions.

use super::{Gateway, GatewaySetup};
use crate::broker::profile_folder;
use std::process::Command;

/// How long a version is published before it may sign: 300 s for a verifier's copy, 60 s for a broker's,
/// 5 s for a gateway's, 60 s for clocks.
pub const PUBLISHED_SECONDS: u64 = 425;
/// How long a version stays published after it last signed: `lifetime_max` of the test keys and 300 s.
pub const WITHDRAWN_SECONDS: u64 = 900 + 300;
pub const KEY: &str = "es256";

/// Exit code and output of a command.
pub struct Ended {
    pub code: i32,
    pub text: String,
}

impl Ended {
    #[track_caller]
    pub fn is(&self, code: i32, words: &str) {
        assert!(
            self.code == code && self.text.contains(words),
            "expected exit code {code} and `{words}`, got {} and\n{}",
            self.code,
            self.text
        );
    }
}

/// Runs `vouchsafe keys` for these gateways.
pub fn keys(gateways: &[&GatewaySetup], arguments: &[&str]) -> Ended {
    let mut command = Command::new(profile_folder().join("vouchsafe"));
    command.arg("keys").args(arguments);
    for gateway in gateways {
        command.args(["--gateway", &gateway.admin_url()]);
    }
    let output =
        command.arg("--admin-token-file").arg(gateways[0].folder.join("admin")).output().expect("vouchsafe runs");
    let text = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code().expect("an exit code"), text: String::from_utf8_lossy(&text).into_owned() }
}

/// State of each version of [`KEY`], such as `1 active, 2 canary 5%`.
pub fn states(gateway: &Gateway) -> String {
    let listing = gateway.administer("/v1/admin/keys", None).json();
    let keys = listing["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["name"] == KEY).expect("the key");
    let versions = key["versions"].as_array().expect("versions").iter();
    let words = versions.map(|it| {
        let share = it["share"].as_u64().map(|share| format!(" {share}%"));
        let state = it["state"].as_str().expect("a state");
        format!("{} {state}{}", it["version"], share.unwrap_or_default())
    });
    words.collect::<Vec<_>>().join(", ")
}

#[track_caller]
pub fn check_states(gateway: &Gateway, expected: &str) {
    assert_eq!(states(gateway), expected);
}
