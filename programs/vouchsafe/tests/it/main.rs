//! The standalone host with small guests of its own: what a guest can do to others, and can't.

mod printed;
mod serve;
mod stalled;
mod support;
mod vectors;
