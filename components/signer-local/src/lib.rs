//! The software signer: epoch keys from `signer_root`, for development and small installations.
//!
//! Signs nothing beyond its own configuration (`crates/signer`) and never shows a key. Imports
//! `spin:variables` and no other capability.

mod convert;
mod entropy;
mod ports;
mod variables;

/// The contract, from `wit/signer`.
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: ["../../wit/deps/spin-variables@3.0.0", "../../wit/signer"],
        world: "vouchsafe:signer/signer",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::exports::vouchsafe::signer::signing::{
    BackendStatus, Error, Guest, PublicKeySet, SignedToken, SignerSettings, TokenRequest,
};

struct Component;

impl Guest for Component {
    async fn settings() -> Result<SignerSettings, Error> {
        Ok(ports::with_signer(|signer| Ok(signer.settings()))
            .await?
            .into())
    }

    async fn public_keys(generation_min: u64) -> Result<PublicKeySet, Error> {
        let now = ports::now()?;
        Ok(
            ports::with_signer(|signer| signer.public_keys(generation_min, now))
                .await?
                .into(),
        )
    }

    async fn backend() -> Result<Option<BackendStatus>, Error> {
        Ok(None)
    }

    async fn sign_token(request: TokenRequest) -> Result<SignedToken, Error> {
        let request = request.into();
        Ok(
            ports::with_signer(|signer| signer.sign(&request, ports::now()?, &entropy::draw()?))
                .await?
                .into(),
        )
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
