//! Bindings generated from the broker's private world, which imports the four ports only.

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit/types", "../../wit/policy", "../../wit/identity", "../../wit/deps/spin-sqlite@3.1.0",
           "../../wit/store", "../../wit/deps/spin-variables@3.0.0", "../../wit/signer", "wit"],
    world: "vouchsafe:broker-component/broker",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    with: { "vouchsafe:types/types@0.1.0": vouchsafe_types },
    generate_all,
});

pub use vouchsafe::identity::verification;
pub use vouchsafe::policy::decisions;
pub use vouchsafe::signer::signing;
pub use vouchsafe::store::{log, revocations, state};
