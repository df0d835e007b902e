//! Bindings generated from `wit/store`.

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit/deps/spin-sqlite@3.1.0", "../../wit/types", "../../wit/store"],
    world: "vouchsafe:store/store",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    with: { "vouchsafe:types/types@0.1.0": vouchsafe_types },
    generate_all,
});
