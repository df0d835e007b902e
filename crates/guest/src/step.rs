//! The steps of a call between components.

/// Ends the current step of an asynchronous call, which goes on at once. Call this in functions that may have nothing to
/// wait for: wasmtime 48 keeps the record of a call that ends in its first step for as long as the instance lives.
pub async fn next_step() {
    spin_sdk::wit_bindgen::yield_async().await;
}
