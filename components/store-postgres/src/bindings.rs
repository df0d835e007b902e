//! Bindings generated from this component's private world.

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit/deps/spin-postgres@4.2.0", "../../wit/deps/spin-sqlite@3.1.0", "../../wit/types",
           "../../wit/store", "wit"],
    world: "vouchsafe:store-postgres/store",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    with: { "vouchsafe:types/types@0.1.0": vouchsafe_types },
    generate_all,
});

pub use self::spin::postgres::postgres;
