//! Vectors that others published, through the public interface.

mod corpora;
mod rfc;
mod wycheproof;
