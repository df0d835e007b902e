//! The policy component: the trust bundle behind `vouchsafe:policy`.
//!
//! Reads the bundle mounted at `/policies` and decides, and reads issuers' credentials from `/credentials`;
//! has no network, no keys, no variables and no clock. Every export is decode, call [`vouchsafe_policy`], encode.

mod convert;
mod ports;

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit/policy",
        world: "policy",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::exports::vouchsafe::policy::decisions as wit;

struct Component;

impl wit::Guest for Component {
    async fn load(
        environment: wit::Environment,
        seals: Option<String>,
    ) -> Result<wit::Bundle, wit::Error> {
        let bundle = ports::load(environment.into(), seals.as_deref())?;
        Ok(wit::Bundle::from(&*bundle))
    }

    async fn issuer(digest: String, iss: String) -> Result<Option<wit::IssuerRecord>, wit::Error> {
        let bundle = ports::loaded(&digest)?;
        Ok(bundle.issuer(&iss).map(wit::IssuerRecord::from))
    }

    async fn credential(digest: String, iss: String) -> Result<Option<String>, wit::Error> {
        let bundle = ports::loaded(&digest)?;
        let name = bundle
            .issuer(&iss)
            .and_then(|issuer| issuer.credential_file.as_deref());
        name.map(ports::credential).transpose()
    }

    async fn audience(
        digest: String,
        id: String,
    ) -> Result<Option<wit::AudienceRecord>, wit::Error> {
        let bundle = ports::loaded(&digest)?;
        Ok(bundle.audience(&id).map(wit::AudienceRecord::from))
    }

    async fn decide(
        digest: String,
        principal: wit::Principal,
        request: wit::TokenRequest,
        now: u64,
    ) -> Result<wit::Decision, wit::Error> {
        let bundle = ports::loaded(&digest)?;
        let decision = bundle.decide(&principal.into(), &request.into(), now)?;
        Ok(decision.into())
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
