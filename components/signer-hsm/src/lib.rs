//! The signer with gateways behind it: `vouchsafe:signer` over `vouchsafe_gateway::client`.
//!
//! Tier `delegated` signs here, with keys whose seeds a gateway hands out; tier `hsm` has each token signed
//! by a gateway. Imports `spin:variables` and `wasi:http/client` and no other capability.

// Both signers have one contract, and read variables and randomness in one way.
#[path = "../../signer-local/src/convert.rs"]
mod convert;
#[path = "../../signer-local/src/entropy.rs"]
mod entropy;
mod ports;
#[path = "../../signer-local/src/variables.rs"]
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
use ports::Gateways;
use vouchsafe_gateway::client::GatewaySigner;

struct Component;

impl Guest for Component {
    async fn settings() -> Result<SignerSettings, Error> {
        Ok(ports::signer().await?.settings().into())
    }

    async fn public_keys(generation_min: u64) -> Result<PublicKeySet, Error> {
        let signer = ports::signer().await?;
        let gateways = Gateways::within_deadline();
        let keys = signer.public_keys(generation_min, &gateways).await;
        keys.map(Into::into).map_err(|error| told(&signer, error))
    }

    async fn backend() -> Result<Option<BackendStatus>, Error> {
        let signer = ports::signer().await?;
        Ok(signer.backend(ports::now()).map(|backend| BackendStatus {
            generation: backend.generation,
            seconds_left: backend.seconds_left,
        }))
    }

    async fn sign_token(request: TokenRequest) -> Result<SignedToken, Error> {
        let (signer, gateways) = (ports::signer().await?, Gateways::within_deadline());
        let token = signer.sign(&request.into(), &gateways).await;
        let token = token.map_err(|error| told(&signer, error))?;
        ports::prefetch_if_due(signer);
        Ok(token.into())
    }
}

/// An outage says which gateway gave no answer, and why.
fn told(signer: &GatewaySigner, error: vouchsafe_signer::Error) -> Error {
    match (error, signer.outage()) {
        (vouchsafe_signer::Error::Unavailable, Some(why)) => Error::Unavailable(why),
        (error, _) => error.into(),
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
