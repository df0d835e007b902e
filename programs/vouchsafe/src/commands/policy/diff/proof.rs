//! What a solver decides about a difference.

/// What is proven for all requests; nothing without `--prove`.
#[derive(Default)]
pub struct Proof {
    pub text: String,
    pub markdown: String,
    pub json: serde_json::Value,
    /// Whether someone gets more, or it is not known that nobody does.
    pub widens: bool,
    pub narrows: bool,
}
