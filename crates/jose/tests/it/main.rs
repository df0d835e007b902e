//! Vectors that others published, through the public interface.

mod rfc;
mod wycheproof;
